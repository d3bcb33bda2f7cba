/* The program's charts of bounds and of singular values. */
#include "testing.h"

#include "cli/chart.h"

#include <math.h>
#include <string.h>

static bool is(const cli_canvas *canvas, long x, long y, uint8_t r, uint8_t g, uint8_t b)
{
    ck_assert(x >= 0 && x < (long)canvas->width && y >= 0 && y < (long)canvas->height);
    const uint8_t *p = canvas->pixels + ((size_t)y * canvas->width + (size_t)x) * 3;
    return p[0] == r && p[1] == g && p[2] == b;
}

/* Pixels of a colour. */
static size_t area(const cli_canvas *canvas, uint8_t r, uint8_t g, uint8_t b)
{
    size_t count = 0;
    for (long y = 0; y < (long)canvas->height; y++)
        for (long x = 0; x < (long)canvas->width; x++)
            count += is(canvas, x, y, r, g, b);
    return count;
}

START_TEST(filling_is_clipped)
{
    cli_canvas canvas;
    ck_assert(cli_canvas_create(&canvas, 10, 6));
    cli_canvas_fill(&canvas, -5, 2, 3, 99, (cli_ink){1, 2, 3});
    ck_assert_uint_eq(area(&canvas, 1, 2, 3), 3 * 4);
    cli_canvas_fill(&canvas, 20, 0, 30, 6, (cli_ink){4, 5, 6});
    cli_canvas_fill(&canvas, 5, 4, 5, 6, (cli_ink){4, 5, 6});
    ck_assert_uint_eq(area(&canvas, 4, 5, 6), 0);
    cli_canvas_dashes(&canvas, 9, 0, 10, 6, 2, (cli_ink){7, 8, 9});
    ck_assert_uint_eq(area(&canvas, 7, 8, 9), 4);
    ck_assert(is(&canvas, 9, 1, 7, 8, 9) && is(&canvas, 9, 2, 255, 255, 255));
    cli_canvas_free(&canvas);
}
END_TEST

/* Every printable sign has dots, and no two look the same. */
START_TEST(signs_differ)
{
    static uint8_t seen[96][12 * 16 * 3];
    cli_canvas canvas;
    for (int c = ' '; c <= '~'; c++) {
        const char text[] = {(char)c, '\0'};
        ck_assert(cli_canvas_create(&canvas, 12, 16));
        cli_canvas_text(&canvas, 1, 0, 2, -1, (cli_ink){0, 0, 0}, text);
        ck_assert_uint_eq(area(&canvas, 0, 0, 0) == 0, c == ' ');
        memcpy(seen[c - ' '], canvas.pixels, sizeof seen[0]);
        for (int other = ' '; other < c; other++)
            ck_assert_msg(memcmp(seen[c - ' '], seen[other - ' '], sizeof seen[0]) != 0,
                          "'%c' is '%c'", c, other);
        cli_canvas_free(&canvas);
    }
}
END_TEST

START_TEST(text_has_its_width)
{
    ck_assert_int_eq(cli_text_width("", 2), 0);
    ck_assert_int_eq(cli_text_width("ab", 1), 11);
    ck_assert_int_eq(cli_text_width("\xc3\xb6", 3), 15); /* one sign in UTF-8 */
    cli_canvas canvas;
    ck_assert(cli_canvas_create(&canvas, 40, 10));
    cli_canvas_text(&canvas, 30, 0, 1, 1, (cli_ink){0, 0, 0}, "HH");
    ck_assert(is(&canvas, 19, 0, 0, 0, 0) && is(&canvas, 29, 0, 0, 0, 0));
    ck_assert(is(&canvas, 18, 0, 255, 255, 255) && is(&canvas, 30, 0, 255, 255, 255));
    cli_canvas_free(&canvas);
}
END_TEST

START_TEST(ticks_are_round)
{
    double ticks[CLI_TICKS];
    cli_axis axis = cli_axis_for(0.5, 0.96, 1000);
    ck_assert(!axis.log && axis.low <= 0 && axis.high > 0.96);
    size_t count = cli_axis_ticks(&axis, ticks);
    ck_assert_uint_ge(count, 4);
    for (size_t i = 0; i < count; i++)
        ck_assert(fabs(ticks[i] - 0.1 * (double)i) <= 1e-12);
    axis = cli_axis_for(3e-4, 50, 1000);
    ck_assert(axis.log && fabs(axis.low / 1e-4 - 1) <= 1e-9);
    count = cli_axis_ticks(&axis, ticks);
    ck_assert_uint_eq(count, 6);
    ck_assert(fabs(ticks[5] / 10 - 1) <= 1e-9);
    ck_assert_double_eq_tol(cli_axis_share(&axis, sqrt(axis.low * axis.high)), 0.5, 1e-12);
    ck_assert(cli_axis_share(&axis, 0) <= 0 && cli_axis_share(&axis, NAN) <= 0);
    ck_assert(cli_axis_share(&axis, INFINITY) >= 1);
}
END_TEST

/* However far apart the values are. */
START_TEST(ticks_are_few)
{
    const double ranges[][2] = {{1e-300, 1e300}, {5e-324, 1}, {1, 1}, {1e-9, 1}, {1e307, 1e308}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        for (int log = 0; log < 2; log++) {
            double ticks[CLI_TICKS + 1] = {0};
            cli_axis axis = cli_axis_for(ranges[i][0], ranges[i][1], log ? 1 : INFINITY);
            size_t count = cli_axis_ticks(&axis, ticks);
            ck_assert_uint_ge(count, 1);
            ck_assert_uint_le(count, CLI_TICKS);
            for (size_t k = 0; k < count; k++)
                ck_assert(ticks[k] <= axis.high && (k == 0 || ticks[k] > ticks[k - 1]));
        }
}
END_TEST

/* The blue of bars and the orange of what is open are as long as the numbers say; the red line
 * stands at the limit. */
START_TEST(bars_are_as_long_as_bounds)
{
    const chart_bar bars[] = {
        {"blocks.0.conv0", 0.5, 0.75, 0}, {"blocks.0.conv1", 0.25, 0.25, 0}, {"zero", 0, 0, 1}};
    const double products[] = {0.75 * 0.25, 0};
    const chart_bars chart = {.title = "test",
                              .bars = bars,
                              .count = 3,
                              .products = products,
                              .marks = {{0.9, "c = 0.9", false}, {1, "1", true}},
                              .mark_count = 2};
    cli_canvas canvas;
    ck_assert(chart_draw_bars(&canvas, &chart));
    long blue[2] = {0}, orange[2] = {0}, red = -1, left = -1, rows = 0, before = 0;
    for (long y = 0; y < (long)canvas.height; y++) {
        long run[2] = {0};
        for (long x = 0; x < (long)canvas.width; x++) {
            run[0] += is(&canvas, x, y, 49, 104, 168);
            run[1] += is(&canvas, x, y, 232, 145, 45);
            if (is(&canvas, x, y, 49, 104, 168) && left < 0 && y > 70)
                left = x;
            if (is(&canvas, x, y, 200, 30, 30))
                red = x;
        }
        if (run[0] > 40 && before <= 40 && rows < 2) {
            blue[rows] = run[0];
            orange[rows++] = run[1];
        }
        before = run[0];
    }
    ck_assert_int_eq(rows, 2);
    double unit = (double)(red - left);
    ck_assert(fabs((double)(blue[0] + orange[0]) / unit - 0.75) <= 0.02);
    ck_assert(fabs((double)orange[0] / unit - 0.25) <= 0.02);
    ck_assert(fabs((double)(blue[1] + 4) / unit - 0.25) <= 0.02); /* a product's stroke is on it */
    ck_assert_int_eq(orange[1], 2);
    cli_canvas_free(&canvas);
}
END_TEST

/* Nothing known, one bar, thousands, long names: a picture all the same, of a size in proportion.
 */
START_TEST(any_bars)
{
    static chart_bar bars[CHART_MOST_BARS];
    cli_canvas canvas;
    char name[301];
    memset(name, 'n', 300);
    name[300] = '\0';
    for (size_t i = 0; i < CHART_MOST_BARS; i++)
        bars[i] = (chart_bar){name, 0, i % 3 ? 1e-300 : i % 2 ? NAN : INFINITY, 0};
    const size_t counts[] = {1, 2, CHART_MOST_BARS};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const chart_bars chart = {.title = "", .bars = bars, .count = counts[i]};
        ck_assert(chart_draw_bars(&canvas, &chart));
        ck_assert_uint_le(canvas.height, 200 + 20 * counts[i]);
        ck_assert_uint_le(canvas.width, 1600);
        cli_canvas_free(&canvas);
    }
}
END_TEST

/* The curve falls from the left to the right, and a flat one does not. */
START_TEST(spectra)
{
    enum { COUNT = 5000 };
    static double values[COUNT];
    chart_spectrum chart = {.title = "a",
                            .subtitle = "b",
                            .values = values,
                            .count = COUNT,
                            .marks = {{1, "1", true}},
                            .mark_count = 1};
    cli_canvas canvas;
    long first[2] = {-1, -1}, last[2] = {-1, -1};
    for (size_t kind = 0; kind < 2; kind++) {
        for (size_t i = 0; i < COUNT; i++)
            values[i] = kind == 0 ? 0.5 : 0.9 * exp(-(double)i / 50);
        ck_assert(chart_draw_spectrum(&canvas, &chart));
        for (long x = 0; x < (long)canvas.width; x++)
            for (long y = 0; y < (long)canvas.height; y++)
                if (is(&canvas, x, y, 49, 104, 168)) {
                    first[kind] = first[kind] < 0 ? y : first[kind];
                    last[kind] = y;
                }
        cli_canvas_free(&canvas);
    }
    ck_assert_int_le(last[0] - first[0], 3);
    ck_assert(last[1] - first[1] > 300);
    const size_t counts[] = {0, 1, 2};
    for (size_t i = 0; i < 3; i++) {
        memset(values, 0, sizeof values);
        chart.count = counts[i];
        chart.mark_count = i;
        chart.marks[1] = (chart_mark){0, "0", false};
        ck_assert(chart_draw_spectrum(&canvas, &chart));
        cli_canvas_free(&canvas);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chart");
    TCase *chart = testing_case(suite, "chart");
    tcase_add_test(chart, filling_is_clipped);
    tcase_add_test(chart, signs_differ);
    tcase_add_test(chart, text_has_its_width);
    tcase_add_test(chart, ticks_are_round);
    tcase_add_test(chart, ticks_are_few);
    tcase_add_test(chart, bars_are_as_long_as_bounds);
    tcase_add_test(chart, any_bars);
    tcase_add_test(chart, spectra);
    return testing_run(suite);
}
