#include "chart.h"

#include <math.h>
#include <stdio.h>

static const cli_ink text_ink = {34, 34, 34}, faint_ink = {110, 110, 110},
                     grid_ink = {226, 226, 226};
static const cli_ink band_ink = {246, 246, 246}, frame_ink = {150, 150, 150};
static const cli_ink norm_ink = {49, 104, 168}, gap_ink = {232, 145, 45};
static const cli_ink product_ink = {112, 48, 130}, limit_ink = {200, 30, 30};
static const cli_ink level_ink = {30, 120, 80};

/* The part of a canvas that an axis goes along. */
typedef struct plane {
    long left, top, right, bottom;
} plane;

static long along(const cli_axis *axis, long from, long to, double value)
{
    return from + lround(cli_axis_share(axis, value) * (double)(to - from));
}

static bool on_axis(const cli_axis *axis, double value)
{
    return value >= axis->low && value <= axis->high;
}

static const char *tick_text(char out[24], double value)
{
    snprintf(out, 24, "%.6g", value);
    return out;
}

static void frame(cli_canvas *canvas, const plane *p)
{
    cli_canvas_fill(canvas, p->left - 1, p->top - 1, p->right + 1, p->top, frame_ink);
    cli_canvas_fill(canvas, p->left - 1, p->bottom, p->right + 1, p->bottom + 1, frame_ink);
    cli_canvas_fill(canvas, p->left - 1, p->top - 1, p->left, p->bottom + 1, frame_ink);
    cli_canvas_fill(canvas, p->right, p->top - 1, p->right + 1, p->bottom + 1, frame_ink);
}

/* ---- bars ---- */

/* Measures of a chart of bars; all in pixels. */
typedef struct bars_layout {
    long scale, row, margin;
    plane plane;
    long width, height;
    cli_axis axis;
} bars_layout;

enum { LONGEST_NAME = 44, PLOT_WIDTH = 640, MOST_LARGE_ROWS = 120 };

/* The name, or its beginning and end with dots between. */
static const char *short_name(char out[LONGEST_NAME + 1], const char *name)
{
    int length = snprintf(out, LONGEST_NAME + 1, "%s", name);
    if (length > LONGEST_NAME) {
        const int kept = LONGEST_NAME / 2 - 1;
        snprintf(out + kept, (size_t)(LONGEST_NAME + 1 - kept), "..%s", name + length - kept);
    }
    return out;
}

/* 0 if not finite. */
static double known(double value)
{
    return isfinite(value) ? value : 0;
}

static double bar_norm(const chart_bar *bar)
{
    return known(bar->upper) > 0 ? bar->upper : known(bar->lower);
}

static cli_axis bars_axis(const chart_bars *chart)
{
    const double most = 25;
    double smallest = INFINITY, largest = 0;
    for (size_t i = 0; i < chart->count; i++) {
        double norm = bar_norm(&chart->bars[i]);
        largest = fmax(largest, norm);
        smallest = norm > 0 ? fmin(smallest, norm) : smallest;
        if (chart->products)
            largest = fmax(largest, known(chart->products[chart->bars[i].group]));
    }
    for (size_t i = 0; i < chart->mark_count; i++)
        largest = fmax(largest, chart->marks[i].value);
    /* Small norms do not ask for a logarithm, norms far above the marks do. */
    bool far = chart->mark_count > 0 && largest > most * chart->marks[0].value;
    largest = largest > 0 ? largest : 1;
    return cli_axis_for(fmin(smallest, largest), largest, far ? 1 : INFINITY);
}

static bars_layout lay_out_bars(const chart_bars *chart)
{
    char name[LONGEST_NAME + 1];
    bars_layout l = {.scale = chart->count <= MOST_LARGE_ROWS ? 2 : 1, .margin = 16};
    long names = 0, line = cli_text_height(2);
    for (size_t i = 0; i < chart->count; i++) {
        long width = cli_text_width(short_name(name, chart->bars[i].name), l.scale);
        names = width > names ? width : names;
    }
    l.row = cli_text_height(l.scale) + 2 + 2 * l.scale;
    l.plane.left = l.margin + names + l.margin / 2;
    l.plane.right = l.plane.left + PLOT_WIDTH;
    l.plane.top = l.margin + 4 * line + 3 * l.margin;
    l.plane.bottom = l.plane.top + (long)chart->count * l.row;
    l.width = l.plane.right + l.margin / 2 + cli_text_width("0.1234567", l.scale) + l.margin;
    l.height = l.plane.bottom + 2 * line + 2 * l.margin;
    l.axis = bars_axis(chart);
    return l;
}

static void draw_bands(cli_canvas *canvas, const chart_bars *chart, const bars_layout *l)
{
    for (size_t i = 0; i < chart->count; i++) {
        bool shaded = chart->products ? chart->bars[i].group % 2 : i % 2;
        long y = l->plane.top + (long)i * l->row;
        if (shaded)
            cli_canvas_fill(canvas, l->margin / 2, y, l->width - l->margin / 2, y + l->row,
                            band_ink);
    }
}

/* Labels that would touch the one before are left out; their lines stay. */
static void draw_value_axis(cli_canvas *canvas, const bars_layout *l)
{
    double ticks[CLI_TICKS];
    char text[24];
    size_t count = cli_axis_ticks(&l->axis, ticks);
    long free_from = 0, height = cli_text_height(2);
    for (size_t i = 0; i < count; i++) {
        long x = along(&l->axis, l->plane.left, l->plane.right, ticks[i]);
        long half = cli_text_width(tick_text(text, ticks[i]), 2) / 2;
        cli_canvas_fill(canvas, x, l->plane.top, x + 1, l->plane.bottom, grid_ink);
        if (x - half < free_from)
            continue;
        free_from = x + half + height;
        cli_canvas_text(canvas, x, l->plane.bottom + 6, 2, 0, text_ink, text);
    }
    cli_canvas_text(canvas, (l->plane.left + l->plane.right) / 2,
                    l->plane.bottom + height + l->margin, 2, 0, text_ink,
                    l->axis.log ? "norm of the layer (logarithmic)" : "norm of the layer");
}

static void draw_bar(cli_canvas *canvas, const bars_layout *l, const chart_bar *bar, size_t index)
{
    char name[LONGEST_NAME + 1], upper[24];
    long y = l->plane.top + (long)index * l->row, pad = l->scale;
    long text_y = y + (l->row - cli_text_height(l->scale)) / 2;
    long lower_x = along(&l->axis, l->plane.left, l->plane.right, bar->lower);
    bool finite = isfinite(bar->upper);
    long upper_x =
        finite ? along(&l->axis, l->plane.left, l->plane.right, bar->upper) : l->plane.right;
    /* A gap of less than a pixel is still a gap. */
    if (bar->upper > 0 && upper_x < lower_x + 2)
        upper_x = lower_x + 2;
    cli_canvas_fill(canvas, l->plane.left, y + pad, lower_x, y + l->row - pad, norm_ink);
    cli_canvas_fill(canvas, lower_x, y + pad, upper_x, y + l->row - pad, gap_ink);
    cli_canvas_text(canvas, l->plane.left - l->margin / 2, text_y, l->scale, 1, text_ink,
                    short_name(name, bar->name));
    /* Six digits, rounded up so that they are a bound. */
    double unit = bar->upper > 0 && finite ? pow(10, floor(log10(bar->upper)) - 5) : 1;
    snprintf(upper, sizeof upper, finite ? "%.6g" : "none", ceil(bar->upper / unit) * unit);
    cli_canvas_text(canvas, l->plane.right + l->margin / 2, text_y, l->scale, -1, text_ink, upper);
}

/* A stroke through the rows of a group. */
static void draw_products(cli_canvas *canvas, const chart_bars *chart, const bars_layout *l)
{
    for (size_t i = 0; chart->products && i < chart->count;) {
        size_t first = i, group = chart->bars[i].group;
        while (i < chart->count && chart->bars[i].group == group)
            i++;
        double product = chart->products[group];
        long x = isfinite(product) ? along(&l->axis, l->plane.left, l->plane.right, product)
                                   : l->plane.right;
        cli_canvas_fill(canvas, x - 2, l->plane.top + (long)first * l->row + 1, x + 2,
                        l->plane.top + (long)i * l->row - 1, product_ink);
    }
}

/* Vertical lines with their labels above; a second label near the first stands one line higher. */
static void draw_bar_marks(cli_canvas *canvas, const chart_bars *chart, const bars_layout *l)
{
    long line = cli_text_height(2) + 4, taken = -l->width;
    for (size_t i = 0; i < chart->mark_count; i++) {
        const chart_mark *mark = &chart->marks[i];
        long x = along(&l->axis, l->plane.left, l->plane.right, mark->value);
        long half = cli_text_width(mark->label, 2) / 2, above = x - half < taken ? 2 : 1;
        cli_ink ink = mark->limit ? limit_ink : level_ink;
        long top = l->plane.top - 6;
        if (!on_axis(&l->axis, mark->value))
            continue;
        if (mark->limit)
            cli_canvas_fill(canvas, x - 1, top, x + 1, l->plane.bottom, ink);
        else
            cli_canvas_dashes(canvas, x - 1, top, x + 1, l->plane.bottom, 6, ink);
        cli_canvas_text(canvas, x, top - above * line, 2, 0, ink, mark->label);
        taken = x + half + line;
    }
}

static long legend_entry(cli_canvas *canvas, long x, long y, cli_ink ink, long width,
                         const char *text)
{
    long height = cli_text_height(2);
    cli_canvas_fill(canvas, x, y, x + width, y + height, ink);
    cli_canvas_text(canvas, x + width + 8, y, 2, -1, faint_ink, text);
    return x + width + 8 + cli_text_width(text, 2) + 28;
}

static void draw_legend(cli_canvas *canvas, const chart_bars *chart, const bars_layout *l)
{
    long y = l->margin + cli_text_height(2) + l->margin;
    long x = legend_entry(canvas, l->margin, y, norm_ink, 20, "at least");
    x = legend_entry(canvas, x, y, gap_ink, 20, "at most, in numbers");
    if (chart->products)
        legend_entry(canvas, x, y, product_ink, 4, "product of the block's layers");
}

/* Wide enough for the title and the legend. */
static long bars_width(const chart_bars *chart, const bars_layout *l)
{
    long title = cli_text_width(chart->title, 2) + 2 * l->margin;
    long legend = cli_text_width("at least at most, in numbers product of the block's layers", 2) +
                  44 + 3 * 36 + 2 * l->margin;
    long width = title > legend ? title : legend;
    return l->width > width ? l->width : width;
}

bool chart_draw_bars(cli_canvas *out, const chart_bars *chart)
{
    bars_layout l = lay_out_bars(chart);
    if (!cli_canvas_create(out, (size_t)bars_width(chart, &l), (size_t)l.height))
        return false;
    cli_canvas_text(out, l.margin, l.margin, 2, -1, text_ink, chart->title);
    draw_legend(out, chart, &l);
    draw_bands(out, chart, &l);
    draw_value_axis(out, &l);
    for (size_t i = 0; i < chart->count; i++)
        draw_bar(out, &l, &chart->bars[i], i);
    draw_products(out, chart, &l);
    draw_bar_marks(out, chart, &l);
    frame(out, &l.plane);
    return true;
}

/* ---- spectrum ---- */

enum { SPECTRUM_WIDTH = 760, SPECTRUM_HEIGHT = 420, SPECTRUM_MARGIN = 20 };

/* Logarithmic if the values spread over more than a factor of 1000; values that are far below all
 * others, as rounding makes them of 0, do not count. */
static cli_axis spectrum_axis(const chart_spectrum *chart)
{
    const double spread = 1000, least = 1e-12;
    double largest = chart->count > 0 ? chart->values[0] : 0, smallest = largest;
    for (size_t i = 0; i < chart->count && chart->values[i] > least * largest; i++)
        smallest = chart->values[i];
    for (size_t i = 0; i < chart->mark_count; i++)
        largest = fmax(largest, chart->marks[i].value);
    largest = largest > 0 ? largest : 1;
    return cli_axis_for(smallest > 0 ? smallest : largest, largest, spread);
}

static void draw_spectrum_axes(cli_canvas *canvas, const plane *p, const cli_axis *places,
                               const cli_axis *values)
{
    double ticks[CLI_TICKS];
    char text[24];
    long half = cli_text_height(2) / 2, last = p->bottom + 2 * half + 8;
    size_t count = cli_axis_ticks(values, ticks);
    for (size_t i = 0; i < count; i++) {
        long y = along(values, p->bottom, p->top, ticks[i]);
        cli_canvas_fill(canvas, p->left, y, p->right, y + 1, grid_ink);
        if (y + half + 4 > last)
            continue;
        last = y - half;
        cli_canvas_text(canvas, p->left - 8, y - half, 2, 1, text_ink, tick_text(text, ticks[i]));
    }
    count = cli_axis_ticks(places, ticks);
    for (size_t i = 0; i < count; i++) {
        long x = along(places, p->left, p->right, ticks[i]);
        if (ticks[i] > floor(ticks[i]))
            continue;
        cli_canvas_fill(canvas, x, p->top, x + 1, p->bottom, grid_ink);
        cli_canvas_text(canvas, x, p->bottom + 8, 2, 0, text_ink, tick_text(text, ticks[i]));
    }
}

/* Column by column, from the largest value in it to the next column's; below the curve it is
 * shaded. */
static void draw_curve(cli_canvas *canvas, const plane *p, const chart_spectrum *chart,
                       const cli_axis *values)
{
    const cli_ink shade = {214, 226, 240};
    long columns = p->right - p->left;
    for (long x = 0; x < columns; x++) {
        size_t first = (size_t)((double)x / (double)columns * (double)chart->count);
        size_t next = (size_t)((double)(x + 1) / (double)columns * (double)chart->count);
        next = next < chart->count ? next : chart->count - 1;
        long top = along(values, p->bottom, p->top, chart->values[first]);
        long end = along(values, p->bottom, p->top, chart->values[next]);
        cli_canvas_fill(canvas, p->left + x, top, p->left + x + 1, p->bottom, shade);
        cli_canvas_fill(canvas, p->left + x, top - 1, p->left + x + 1, end + 2, norm_ink);
    }
}

/* Horizontal lines, labels at the right end: above the line, or below if the last one is near. */
static void draw_spectrum_marks(cli_canvas *canvas, const plane *p, const chart_spectrum *chart,
                                const cli_axis *values)
{
    long height = cli_text_height(2), taken = -height;
    for (size_t i = 0; i < chart->mark_count; i++) {
        const chart_mark *mark = &chart->marks[i];
        long y = along(values, p->bottom, p->top, mark->value);
        cli_ink ink = mark->limit ? limit_ink : level_ink;
        if (!on_axis(values, mark->value))
            continue;
        if (mark->limit)
            cli_canvas_fill(canvas, p->left, y - 1, p->right, y + 1, ink);
        else
            cli_canvas_dashes_across(canvas, p->left, y - 1, p->right, y + 1, 6, ink);
        long text = y - height / 2;
        text = text < taken ? taken : text;
        cli_canvas_text(canvas, p->right + 10, text, 2, -1, ink, mark->label);
        taken = text + height + 4;
    }
}

static long widest_mark(const chart_spectrum *chart)
{
    long widest = 0;
    for (size_t i = 0; i < chart->mark_count; i++) {
        long width = cli_text_width(chart->marks[i].label, 2);
        widest = width > widest ? width : widest;
    }
    return widest;
}

bool chart_draw_spectrum(cli_canvas *out, const chart_spectrum *chart)
{
    const long margin = SPECTRUM_MARGIN, line = cli_text_height(2);
    const cli_axis places = {0, chart->count > 0 ? (double)chart->count : 1, false};
    const cli_axis values = spectrum_axis(chart);
    plane p = {.left = margin + cli_text_width("0.0000001", 2) + 8,
               .top = 2 * margin + 2 * line + 8};
    p.right = p.left + SPECTRUM_WIDTH;
    p.bottom = p.top + SPECTRUM_HEIGHT;
    long width = p.right + 10 + widest_mark(chart) + margin;
    long titles[] = {cli_text_width(chart->title, 2), cli_text_width(chart->subtitle, 2)};
    for (int i = 0; i < 2; i++)
        width = titles[i] + 2 * margin > width ? titles[i] + 2 * margin : width;
    if (!cli_canvas_create(out, (size_t)width, (size_t)(p.bottom + 2 * line + 2 * margin)))
        return false;
    cli_canvas_text(out, margin, margin, 2, -1, text_ink, chart->title);
    cli_canvas_text(out, margin, margin + line + 8, 2, -1, faint_ink, chart->subtitle);
    draw_spectrum_axes(out, &p, &places, &values);
    if (chart->count > 0)
        draw_curve(out, &p, chart, &values);
    draw_spectrum_marks(out, &p, chart, &values);
    frame(out, &p);
    cli_canvas_text(out, (p.left + p.right) / 2, p.bottom + line + margin, 2, 0, text_ink,
                    values.log ? "singular values, largest first (logarithmic)"
                               : "singular values, largest first");
    return true;
}
