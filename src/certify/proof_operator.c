/* Bounds of zero-padded convolutions from their own matrix A, whose rows and columns are the
 * channels at the positions of the smaller and of the larger of its two sides, outputs and inputs.
 *
 * A is real: the theorem of proof.c for imaginary parts that are 0. What it counts for X of m x n:
 *
 * 1. An entry of G = A A^T is a sum over pairs of taps that share a position of the larger side, of
 *    sums over that side's channels; terms off the map are left out, not rounded. So no product
 *    collects more roundings than there are such channels and taps together: n may be that number.
 *    (It counts the products that can underflow too, which are more here. Each loses DBL_MIN at
 *    most, which for fewer than 2^62 of them in each of m entries of a row is far below the
 *    hundredth by which the other terms are enlarged, s being at least 1/4.)
 *    G is banded, the map's positions being numbered along one axis and then along the other.
 * 2. An entry of the factor, which keeps the band, is a sum of fewer than m products.
 *
 * Values are scaled by a power of two, exactly but where they underflow; then each is wrong by less
 * than DBL_MIN, and A by that times the root of its number of entries in norm.
 *
 * For m <= 4096 the largest term is alpha tr B < 1.3e-12 m s < 6e-9 s. */
#include "base/round.h"
#include "certify/banded.h"
#include "certify/lanczos.h"
#include "certify/proof.h"
#include "spectral/tap_list.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Rows that are always few enough but for kernels of thousands of taps or inputs, whose price in
 * multiply-adds (minutes) or memory is then too high. */
enum { MOST_ROWS = 4096 };
static const double most_work = 5e11, most_bytes = 0x1p30;

/* One dimension: of the map, and of the taps that act. */
typedef struct axis {
    size_t rows, columns; /* positions of the smaller side and of the larger */
    size_t first, taps;   /* of the kernel's */
    size_t centre;        /* of those, the one at offset 0 */
    size_t stride, dilation;
    bool turned; /* the smaller side, the rows of A, are inputs */
} axis;

typedef struct layer {
    axis slow, fast;                 /* positions are numbered slow.. x fast */
    bool turned, swapped;            /* swapped: slow is the width */
    size_t groups, channels, others; /* channels at a row's position and at a column's, a group's */
    size_t rows, columns, band, panels;
    int exponent;
    double *taps;    /* [slow][fast][panels][others][8]; the kernel is 2^exponent times them */
    double *product; /* of two taps: [8 panels][8 panels] */
    double *strip;   /* of two lines: [fast rows][channels][fast rows][channels] */
    double *vector, *image; /* of rows, with zeros behind; of columns */
    size_t *slow_at, *fast_at;
    irn_banded gram, factor;
} layer;

/* ---- shape ---- */

/* Tap t of k looks at offset dilation (t - (k - 1) / 2) from stride times the output's position.
 * Taps that look beyond the map from everywhere never act. With a dilation and no stride, positions
 * that differ modulo it have nothing to do with each other, and the others are a part of those that
 * are 0 modulo it; with a single tap, each has only to do with its own. */
static axis axis_of(size_t kernel, size_t map, const irn_kernel_shape *shape)
{
    axis a = {.stride = irn_larger(shape->stride, 1), .dilation = irn_larger(shape->dilation, 1)};
    size_t inputs = shape->transposed ? map * a.stride : map;
    if (a.stride == 1) {
        inputs = (inputs + a.dilation - 1) / a.dilation;
        a.dilation = 1;
    }
    size_t outputs = (inputs + a.stride - 1) / a.stride;
    size_t before = irn_smaller((kernel - 1) / 2, (outputs - 1) * a.stride / a.dilation);
    size_t after = irn_smaller(kernel / 2, (inputs - 1) / a.dilation);
    a.first = (kernel - 1) / 2 - before;
    a.taps = before + 1 + after;
    a.centre = before;
    a.rows = a.taps == 1 ? 1 : outputs;
    a.columns = a.taps == 1 ? 1 : inputs;
    return a;
}

static void turn(axis *a)
{
    size_t rows = a->rows;
    a->rows = a->columns;
    a->columns = rows;
    a->turned = true;
}

/* The position among columns that a row's position sees through a tap. */
static bool partner(const axis *a, size_t row, size_t tap, size_t *column)
{
    long long offset = (long long)a->dilation * ((long long)tap - (long long)a->centre);
    long long stride = (long long)a->stride;
    long long at = a->turned ? (long long)row - offset : stride * (long long)row + offset;
    if (at < 0 || (a->turned && at % stride != 0))
        return false;
    *column = (size_t)(a->turned ? at / stride : at);
    return *column < a->columns;
}

/* How far the row that sees a column through tap p is behind the one that sees it through q. */
static bool distance(const axis *a, size_t p, size_t q, long long *rows)
{
    long long apart = (long long)a->dilation * ((long long)q - (long long)p);
    long long stride = (long long)a->stride;
    if (!a->turned && apart % stride != 0)
        return false;
    *rows = a->turned ? -apart : apart / stride;
    return *rows < (long long)a->rows && -*rows < (long long)a->rows;
}

static size_t reach(const axis *a)
{
    size_t far = a->dilation * (a->taps - 1);
    return irn_smaller(a->turned ? far : far / a->stride, a->rows - 1);
}

static size_t band_of(const axis *slow, const axis *fast, size_t channels)
{
    size_t positions = reach(slow) * fast->rows + reach(fast);
    return irn_smaller((positions + 1) * channels, slow->rows * fast->rows * channels) - 1;
}

/* Of one axis, at most: pairs of taps with a product, and sums of products over shared columns. */
static double pairs_of(const axis *a)
{
    return (double)a->taps * (double)irn_smaller(a->taps, 2 * a->rows - 1);
}

static double sums_of(const axis *a)
{
    return (double)a->rows * (double)irn_smaller(a->rows, 2 * reach(a) + 1) *
           (double)irn_smaller(a->taps, a->columns);
}

/* Whether time and memory are within the limits. The price of a sum is that of 4 products. */
static bool affordable(const layer *l)
{
    double slow_taps = (double)l->slow.taps, fast_taps = (double)l->fast.taps;
    double padded = (double)(l->panels * IRN_PANEL), others = (double)l->others;
    double channels = (double)l->channels, strip = channels * (double)l->fast.rows;
    double band = (double)l->band + IRN_PANEL, rows = (double)l->rows;
    double work = slow_taps * slow_taps + pairs_of(&l->slow) * fast_taps * fast_taps +
                  pairs_of(&l->slow) * pairs_of(&l->fast) * padded * padded * others +
                  pairs_of(&l->slow) * sums_of(&l->fast) * 4 * channels * channels +
                  sums_of(&l->slow) * 4 * strip * strip + rows * band * band;
    double doubles = 2 * (double)irn_banded_size(l->rows, l->band) +
                     slow_taps * fast_taps * padded * others + padded * padded + strip * strip +
                     (double)l->columns + 128 * rows;
    return (double)l->groups * work / 2 <= most_work && doubles * sizeof(double) <= most_bytes;
}

static bool counts(size_t *out, size_t channels, size_t height, size_t width)
{
    const size_t sizes[] = {channels, height, width};
    return irn_product(out, sizes, 3);
}

/* Chooses the sides and the order of positions; whether the proof suits. */
static bool plan(layer *l, const irn_kernel_shape *shape)
{
    axis y = axis_of(shape->kernel_height, shape->height, shape);
    axis x = axis_of(shape->kernel_width, shape->width, shape);
    size_t outputs, inputs;
    l->groups = irn_larger(shape->groups, 1);
    l->channels = shape->outputs / l->groups;
    l->others = shape->inputs / l->groups;
    if (!counts(&outputs, l->channels, y.rows, x.rows) ||
        !counts(&inputs, l->others, y.columns, x.columns) ||
        irn_smaller(outputs, inputs) > MOST_ROWS || irn_larger(outputs, inputs) > INT_MAX)
        return false;
    l->turned = inputs < outputs;
    if (l->turned) {
        size_t channels = l->channels;
        l->channels = l->others;
        l->others = channels;
        turn(&y);
        turn(&x);
    }
    l->rows = irn_smaller(outputs, inputs);
    l->columns = irn_larger(outputs, inputs);
    l->panels = (l->channels + IRN_PANEL - 1) / IRN_PANEL;
    l->swapped = band_of(&x, &y, l->channels) < band_of(&y, &x, l->channels);
    l->slow = l->swapped ? x : y;
    l->fast = l->swapped ? y : x;
    l->band = band_of(&l->slow, &l->fast, l->channels);
    return affordable(l);
}

/* ---- the matrix ---- */

static void layer_free(layer *l)
{
    irn_banded_free(&l->gram);
    irn_banded_free(&l->factor);
    free(l->taps);
    free(l->product);
    free(l->strip);
    free(l->vector);
    free(l->image);
    free(l->slow_at);
    free(l->fast_at);
}

static irn_status layer_create(layer *l)
{
    size_t padded = l->panels * IRN_PANEL, strip = l->fast.rows * l->channels;
    IRN_TRY(irn_banded_create(&l->gram, l->rows, l->band));
    IRN_TRY(irn_banded_create(&l->factor, l->rows, l->band));
    IRN_TRY(irn_alloc(&l->taps, l->slow.taps * l->fast.taps * padded * l->others, sizeof(double)));
    IRN_TRY(irn_alloc(&l->product, padded * padded, sizeof(double)));
    IRN_TRY(irn_alloc(&l->strip, strip * strip, sizeof(double)));
    IRN_TRY(irn_alloc(&l->vector, l->gram.panels * IRN_PANEL + IRN_PANEL, sizeof(double)));
    IRN_TRY(irn_alloc(&l->image, l->columns, sizeof(double)));
    IRN_TRY(irn_alloc(&l->slow_at, l->slow.rows, sizeof(size_t)));
    return irn_alloc(&l->fast_at, l->fast.rows, sizeof(size_t));
}

static const double *tap_at(const layer *l, size_t slow, size_t fast)
{
    return l->taps + (slow * l->fast.taps + fast) * l->panels * IRN_PANEL * l->others;
}

static double value_of(const layer *l, const double *kernel, const irn_kernel_shape *shape,
                       size_t group, size_t slow, size_t fast, size_t channel, size_t other)
{
    size_t outputs = shape->outputs / l->groups, inputs = shape->inputs / l->groups;
    size_t output = group * outputs + (l->turned ? other : channel);
    size_t input = l->turned ? channel : other;
    size_t y = l->swapped ? l->fast.first + fast : l->slow.first + slow;
    size_t x = l->swapped ? l->slow.first + slow : l->fast.first + fast;
    return kernel[((output * inputs + input) * shape->kernel_height + y) * shape->kernel_width + x];
}

/* Loads a group's taps; returns their largest magnitude, before scaling. */
static double load(layer *l, const double *kernel, const irn_kernel_shape *shape, size_t group)
{
    double *to = l->taps, peak = 0;
    for (size_t slow = 0; slow < l->slow.taps; slow++)
        for (size_t fast = 0; fast < l->fast.taps; fast++)
            for (size_t channel = 0; channel < l->panels * IRN_PANEL; channel += IRN_PANEL)
                for (size_t other = 0; other < l->others; other++)
                    for (size_t r = 0; r < IRN_PANEL; r++, to++) {
                        if (channel + r >= l->channels)
                            continue;
                        double value =
                            value_of(l, kernel, shape, group, slow, fast, channel + r, other);
                        *to = ldexp(value, -l->exponent);
                        peak = fmax(peak, fabs(value));
                    }
    return peak;
}

/* product[c' * 8 panels + c] = sum over the other side's channels of p[c, .] q[c', .]; of a tap
 * with itself only the lower triangle. */
static void multiply(layer *l, const double *p, const double *q)
{
    size_t stride = l->panels * IRN_PANEL, panel = IRN_PANEL * l->others;
    double tile[IRN_PANEL_BLOCK];
    for (size_t column = 0; column < l->panels; column++)
        for (size_t row = p == q ? column : 0; row < l->panels; row++) {
            irn_panel_product(tile, p + row * panel, q + column * panel, l->others);
            for (size_t c = 0; c < IRN_PANEL; c++)
                memcpy(l->product + (column * IRN_PANEL + c) * stride + row * IRN_PANEL,
                       tile + c * IRN_PANEL, IRN_PANEL * sizeof *tile);
        }
}

/* Rows that see a column through tap q, for those of which a row sees it through the other tap. */
static size_t shared(const axis *a, size_t q, long long apart, size_t *list)
{
    size_t count = 0, column;
    for (size_t row = 0; row < a->rows; row++) {
        long long other = (long long)row + apart;
        if (other >= 0 && other < (long long)a->rows && partner(a, row, q, &column))
            list[count++] = row;
    }
    return count;
}

/* Adds a product to the strip's entries (row, column) onwards. */
static void add_product(layer *l, size_t row, size_t column)
{
    size_t stride = l->fast.rows * l->channels;
    for (size_t c = 0; c < l->channels; c++) {
        double *to = l->strip + (column + c) * stride + row;
        const double *from = l->product + c * l->panels * IRN_PANEL;
        for (size_t r = 0; r < l->channels; r++)
            to[r] += from[r];
    }
}

/* A A^T for two lines of the map, of which one sees a line through taps (p, .), the other the same
 * line through (q, .). If p = q they are one line, and only the lower triangle means something. */
static void strip_of(layer *l, size_t p, size_t q)
{
    size_t side = l->fast.rows * l->channels;
    long long apart;
    memset(l->strip, 0, side * side * sizeof *l->strip);
    for (size_t r = 0; r < l->fast.taps; r++)
        for (size_t s = 0; s < l->fast.taps; s++) {
            if (!distance(&l->fast, r, s, &apart) || (p == q && apart < 0))
                continue;
            size_t count = shared(&l->fast, s, apart, l->fast_at);
            if (count > 0)
                multiply(l, tap_at(l, p, r), tap_at(l, q, s));
            for (size_t i = 0; i < count; i++)
                add_product(l, (size_t)((long long)l->fast_at[i] + apart) * l->channels,
                            l->fast_at[i] * l->channels);
        }
}

/* The lower triangle of A A^T. */
static void gram_of(layer *l)
{
    size_t side = l->fast.rows * l->channels;
    long long apart;
    irn_banded_clear(&l->gram);
    for (size_t p = 0; p < l->slow.taps; p++)
        for (size_t q = 0; q < l->slow.taps; q++) {
            if (!distance(&l->slow, p, q, &apart) || apart < 0)
                continue;
            size_t count = shared(&l->slow, q, apart, l->slow_at);
            if (count > 0)
                strip_of(l, p, q);
            for (size_t i = 0; i < count; i++)
                irn_banded_add(&l->gram, (l->slow_at[i] + (size_t)apart) * side,
                               l->slow_at[i] * side, l->strip, side);
        }
}

/* image = A^T vector, at one pair of positions and everywhere. */
static void transpose_at(layer *l, const double *tap, size_t row, size_t column)
{
    for (size_t panel = 0; panel < l->panels; panel++)
        irn_panel_transposed(l->image + column * l->others, tap + panel * IRN_PANEL * l->others,
                             l->vector + row * l->channels + panel * IRN_PANEL, l->others);
}

static void transpose(layer *l)
{
    size_t y, x, rows = l->slow.rows, columns = l->fast.rows;
    memset(l->image, 0, l->columns * sizeof *l->image);
    for (size_t slow = 0; slow < l->slow.taps * rows; slow++) {
        if (!partner(&l->slow, slow % rows, slow / rows, &y))
            continue;
        for (size_t fast = 0; fast < l->fast.taps * columns; fast++)
            if (partner(&l->fast, fast % columns, fast / columns, &x))
                transpose_at(l, tap_at(l, slow / rows, fast / columns),
                             slow % rows * columns + fast % columns, y * l->fast.columns + x);
    }
}

/* ---- the proof ---- */

/* Of squared norms: how far above the leading eigenvalue a shift is left. */
static const double gap = 1e-6;
enum { MOST_TRIALS = 60 };

static irn_proof_terms terms_of(const layer *l, size_t columns)
{
    double entries = (double)l->rows * (double)l->columns;
    return (irn_proof_terms){.rows = l->rows,
                             .columns = columns,
                             .gram = irn_banded_trace(&l->gram),
                             .error = 2 * DBL_MIN * sqrt(entries)};
}

/* A proven bound near sqrt(shift), or infinity where shift is too small. */
static double try_shift(layer *l, double shift)
{
    irn_proof_terms terms = terms_of(l, l->others + l->slow.taps * l->fast.taps);
    terms.shift = shift;
    if (!irn_banded_cholesky(&l->factor, &l->gram, shift, &terms.trace))
        return INFINITY;
    return irn_proof_upper(irn_rounding_64(), &terms);
}

static void gram_map(double *out, const double *x, void *payload)
{
    const layer *l = payload;
    irn_banded_times(&l->gram, out, x);
}

static void inverse_map(double *out, const double *x, void *payload)
{
    const layer *l = payload;
    memcpy(out, x, l->factor.panels * IRN_PANEL * sizeof *x);
    irn_banded_solve(&l->factor, out);
}

/* ||A^T x||^2 / ||x||^2 for the vector that Lanczos's method finds from x, and in *lower the root
 * of it that holds in spite of rounding: each entry of A^T x is a sum of at most m products, as
 * that of proof.c asks. */
static irn_status improve(layer *l, double *x, irn_symmetric_map *map, double *value, double *lower)
{
    double square = 0, length = 0;
    irn_proof_terms terms = terms_of(l, l->columns);
    IRN_TRY(irn_lanczos(x, l->gram.panels * IRN_PANEL, IRN_LANCZOS_STEPS, map, l));
    memcpy(l->vector, x, l->rows * sizeof *x);
    transpose(l);
    for (size_t i = 0; i < l->rows; i++)
        length += x[i] * x[i];
    for (size_t i = 0; i < l->columns; i++)
        square += l->image[i] * l->image[i];
    *value = fmax(*value, square / length);
    *lower = fmax(*lower, irn_proof_lower(irn_rounding_64(), &terms, square, length));
    return IRN_OK;
}

/* Raises *shift, which is not above what can be proven of all groups, to just above this group's
 * squared norm. An estimate from below that is too far below shows as a factorisation that fails;
 * the first that succeeds further up gives a much better one, by its inverse. */
static irn_status search(layer *l, double *x, double *shift, irn_bound *out)
{
    double low = *shift, high = INFINITY, above = gap;
    IRN_TRY(improve(l, x, gram_map, &low, &out->lower));
    for (int i = 0; i < MOST_TRIALS && !(high <= low * (1 + 2 * gap)); i++) {
        double trial = low * (1 + above), upper = try_shift(l, trial);
        if (!isfinite(upper)) {
            above *= 8;
            continue;
        }
        out->upper = upper;
        high = trial;
        if (above > gap)
            IRN_TRY(improve(l, x, inverse_map, &low, &out->lower));
        above = gap;
    }
    *shift = high;
    return IRN_OK;
}

/* A vector that is orthogonal to nothing in particular. */
static void begin(double *x, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double turn = 0.6180339887498949 * (double)(i + 1) * (double)(i + 1);
        x[i] = 0.375 - (turn - floor(turn));
    }
}

/* One shift serves all groups: it rises where it is too small for one. At first it is below what
 * the largest value alone makes the norm. */
static irn_status prove_groups(layer *l, const double *kernel, const irn_kernel_shape *shape,
                               irn_bound *out)
{
    double shift = 0.25, *x;
    IRN_TRY(irn_alloc(&x, l->gram.panels * IRN_PANEL, sizeof *x));
    irn_status status = IRN_OK;
    for (size_t group = 0; status == IRN_OK && isfinite(shift) && group < l->groups; group++) {
        irn_bound one = {0, INFINITY};
        load(l, kernel, shape, group);
        gram_of(l);
        if (group > 0)
            one.upper = try_shift(l, shift);
        if (!isfinite(one.upper)) {
            begin(x, l->rows);
            status = search(l, x, &shift, &one);
        }
        *out = (irn_bound){fmax(out->lower, one.lower), fmax(out->upper, one.upper)};
    }
    free(x);
    return status;
}

/* In the kernel's units; ldexp rounds where it meets subnormal numbers. */
static irn_status prove(layer *l, const double *kernel, const irn_kernel_shape *shape,
                        const char *name, irn_bound *out)
{
    double peak = 0;
    irn_bound bound = {0, 0};
    *out = bound;
    IRN_TRY(layer_create(l));
    for (size_t group = 0; group < l->groups; group++)
        peak = fmax(peak, load(l, kernel, shape, group));
    if (peak == 0)
        return IRN_OK;
    frexp(peak, &l->exponent);
    IRN_TRY(prove_groups(l, kernel, shape, &bound));
    if (!isfinite(bound.upper))
        return irn_fail(IRN_ERROR_NOT_CERTIFIED, "%s: no bound was proven for its %zu x %zu matrix",
                        name, l->rows, l->columns);
    out->lower = fmax(irn_round_down(ldexp(bound.lower, l->exponent)), 0);
    out->upper = irn_round_up(ldexp(bound.upper, l->exponent));
    return IRN_OK;
}

irn_status irn_prove_operator(irn_bound *out, bool *suits, const double *kernel,
                              const irn_kernel_shape *shape, const char *name)
{
    layer l = {0};
    irn_bound bound;
    *suits = false;
    if (shape->padding != IRN_PAD_ZEROS || shape->height == 0 || shape->width == 0)
        return IRN_OK;
    IRN_TRY(irn_kernel_check(kernel, shape, name));
    if (!plan(&l, shape))
        return IRN_OK;
    irn_status status = prove(&l, kernel, shape, name, &bound);
    layer_free(&l);
    if (status == IRN_OK) {
        *out = bound;
        *suits = true;
    }
    return status;
}
