/* Bounds of convolutions from their symbol
 *
 *   A(a, b)[o, i] = sum over taps (p, q) of K[o, i, p, q] e^{2 pi i (a p / N1 + b q / N2)}
 *
 * on the torus N1 x N2 (Sedghi, Gupta, Long 2019). Where the first tap lies, and the sign of the
 * exponent, change A(a, b) by a factor of modulus 1 and the order of the frequencies: no norm.
 *
 * ENTRIES. Roots of unity are wrong by tau = 8 u (roots.c). The product of two: by
 * 2 tau + tau^2 + sqrt(2) g(2) (1 + tau)^2 < 20 u, each of its parts being two products and a sum.
 * A part of the sum over T taps is wrong by g(T) sum |K| |part of the root|, both parts together by
 * g(T) sum |K| |root| (Minkowski). In all an entry is wrong by at most 1.01 (T + 21) u sum |K|, and
 * T tiny for underflow, twice for two parts. */
#include "certify/proof.h"
#include "base/round.h"
#include "certify/roots.h"
#include "spectral/taps.h"

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

typedef struct axis {
    size_t first, taps, torus;
} axis;

typedef struct symbol {
    axis y, x;
    irn_prover prover;
    double *taps; /* [tap][column][stride] as the prover's matrix, of order 1 */
    double *y_roots, *x_roots;
    int exponent; /* the kernel is 2^exponent times the taps */
} symbol;

/* "Same" padding looks from -(taps - 1) / 2 to taps / 2. Taps that reach beyond the map never act.
 * Zero padding is a restriction of the layer on a torus of the map and that reach: a place before
 * or behind the map is then never a place on it. */
static axis axis_of(size_t taps, size_t map, irn_padding padding)
{
    size_t before = (taps - 1) / 2, after = taps / 2;
    if (padding == IRN_PAD_CIRCULAR)
        return (axis){0, taps, taps == 1 ? 1 : map};
    size_t near = irn_smaller(before, map - 1), far = irn_smaller(after, map - 1);
    return (axis){before - near, near + 1 + far, far + near == 0 ? 1 : map + irn_larger(near, far)};
}

static void symbol_free(symbol *s)
{
    irn_prover_free(&s->prover);
    free(s->taps);
    free(s->y_roots);
}

static irn_status roots_of(symbol *s)
{
    IRN_TRY(irn_alloc(&s->y_roots, s->y.torus + s->x.torus, 2 * sizeof(double)));
    s->x_roots = s->y_roots + 2 * s->y.torus;
    for (size_t i = 0; i < s->y.torus; i++)
        irn_root(i, s->y.torus, &s->y_roots[2 * i], &s->y_roots[2 * i + 1]);
    for (size_t i = 0; i < s->x.torus; i++)
        irn_root(i, s->x.torus, &s->x_roots[2 * i], &s->x_roots[2 * i + 1]);
    return IRN_OK;
}

static double tap_of(const symbol *s, const double *kernel, const irn_kernel_shape *shape,
                     size_t pair, size_t tap)
{
    size_t row = s->y.first + tap / s->x.taps, column = s->x.first + tap % s->x.taps;
    return kernel[(pair * shape->kernel_height + row) * shape->kernel_width + column];
}

/* Scales the taps, and bounds the norm of what the entries will be wrong by: it is at most the
 * Frobenius norm of the entries' errors. 1.02 covers its own rounding too. */
static irn_status taps_of(symbol *s, const double *kernel, const irn_kernel_shape *shape)
{
    const irn_planes *x = &s->prover.matrix;
    size_t pairs = shape->outputs * shape->inputs, taps = s->y.taps * s->x.taps, plane;
    double peak = 0, squares = 0;
    const size_t sizes[] = {taps, x->columns, x->stride};
    if (!irn_product(&plane, sizes, 3))
        return irn_fail(IRN_ERROR_ARGUMENT, "%zu taps are beyond what can be counted", taps);
    IRN_TRY(irn_alloc(&s->taps, plane, sizeof(double)));
    plane = x->columns * x->stride;
    for (size_t i = 0; i < pairs * taps; i++)
        peak = fmax(peak, fabs(tap_of(s, kernel, shape, i / taps, i % taps)));
    frexp(peak, &s->exponent);
    for (size_t pair = 0; pair < pairs; pair++) {
        size_t o = pair / shape->inputs, i = pair % shape->inputs;
        size_t at = shape->outputs <= shape->inputs ? i * x->stride + o : o * x->stride + i;
        double sum = 0;
        for (size_t tap = 0; tap < taps; tap++) {
            double value = ldexp(tap_of(s, kernel, shape, pair, tap), -s->exponent);
            s->taps[tap * plane + at] = value;
            sum += fabs(value);
        }
        double roundings = ((double)taps + 21) * IRN_UNIT_64;
        double error = roundings * sum + 4 * (double)taps * DBL_MIN;
        squares += error * error;
    }
    s->prover.error = peak == 0 ? 0 : 1.02 * sqrt(squares);
    return IRN_OK;
}

static irn_status symbol_create(symbol *out, const double *kernel, const irn_kernel_shape *shape,
                                irn_padding padding, const char *name)
{
    size_t count;
    *out = (symbol){0};
    IRN_TRY(irn_shape_check(shape, name, &count));
    for (size_t i = 0; i < count; i++)
        if (!isfinite(kernel[i]))
            return irn_fail(IRN_ERROR_NUMERIC, "%s: value %zu of %zu is %f, not a finite number",
                            name, i, count, kernel[i]);
    out->y = axis_of(shape->kernel_height, shape->height, padding);
    out->x = axis_of(shape->kernel_width, shape->width, padding);
    irn_status status = irn_prover_create(&out->prover, irn_smaller(shape->outputs, shape->inputs),
                                          irn_larger(shape->outputs, shape->inputs));
    if (status == IRN_OK)
        status = taps_of(out, kernel, shape);
    if (status == IRN_OK)
        status = roots_of(out);
    if (status != IRN_OK)
        symbol_free(out);
    return status;
}

/* The matrix of one frequency into the prover. */
static void evaluate(symbol *s, size_t row, size_t column)
{
    irn_planes *x = &s->prover.matrix;
    size_t plane = x->columns * x->stride;
    for (size_t i = 0; i < plane; i++)
        x->re[i] = x->im[i] = 0;
    for (size_t tap = 0; tap < s->y.taps * s->x.taps; tap++) {
        size_t p = tap / s->x.taps, q = tap % s->x.taps;
        const double *a = s->y_roots + 2 * (row * p % s->y.torus);
        const double *b = s->x_roots + 2 * (column * q % s->x.torus);
        double re = a[0] * b[0] - a[1] * b[1], im = a[0] * b[1] + a[1] * b[0];
        const double *values = s->taps + tap * plane;
        for (size_t i = 0; i < plane; i++) {
            x->re[i] += values[i] * re;
            x->im[i] += values[i] * im;
        }
    }
    irn_prover_gram(&s->prover);
}

/* One number of the half of the spectrum that is left when A(-w) = conj A(w); false for those that
 * are another's mirror image in it. */
static bool frequency(const symbol *s, size_t index, size_t *row, size_t *column)
{
    size_t half = s->x.torus / 2 + 1;
    *row = index / half;
    *column = index % half;
    bool own_mirror = *column == 0 || 2 * *column == s->x.torus;
    return !own_mirror || 2 * *row <= s->y.torus;
}

/* A step through 0 .. count - 1 that meets each once, and no two neighbours soon one after the
 * other: where norms change smoothly, few frequencies are then above all before them. */
static size_t scattered_step(size_t count)
{
    size_t step = (size_t)(0.6180339887498949 * (double)count) + 1;
    for (;; step++) {
        size_t a = step, b = count;
        while (b != 0) {
            size_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            return step % count;
    }
}

/* One shift serves all frequencies: it rises where it proves too small for one, and what it proved
 * before stays proven. */
static irn_status bound_all(irn_bound *out, symbol *s, double candidate, const char *name)
{
    size_t count = s->y.torus * (s->x.torus / 2 + 1), step = scattered_step(count), row, column;
    double scaled = ldexp(candidate, -s->exponent), shift = scaled * scaled;
    *out = (irn_bound){0, 0};
    for (size_t i = 0, index = 0; i < count; i++, index = (index + step) % count) {
        if (!frequency(s, index, &row, &column))
            continue;
        evaluate(s, row, column);
        double upper = irn_prover_try(&s->prover, shift);
        if (!isfinite(upper)) {
            upper = irn_prover_search(&s->prover, &shift);
            out->lower = fmax(out->lower, irn_prover_lower(&s->prover));
        }
        if (!isfinite(upper))
            return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                            "%s: no bound was proven at frequency (%zu, %zu) of %zu x %zu", name,
                            row, column, s->y.torus, s->x.torus);
        out->upper = fmax(out->upper, upper);
    }
    return IRN_OK;
}

/* In the kernel's units; ldexp rounds where it meets subnormal numbers. */
static irn_bound unscaled(irn_bound bound, int exponent)
{
    double lower = irn_round_down(ldexp(bound.lower, exponent));
    return (irn_bound){lower > 0 ? lower : 0, irn_round_up(ldexp(bound.upper, exponent))};
}

irn_status irn_prove_symbol(irn_bound *out, const double *kernel, const irn_kernel_shape *shape,
                            double candidate, const char *name)
{
    symbol s;
    irn_bound bound = {0, 0};
    IRN_TRY(symbol_create(&s, kernel, shape, shape->padding, name));
    bool zero = s.prover.error == 0;
    irn_status status = zero ? IRN_OK : bound_all(&bound, &s, candidate, name);
    if (status == IRN_OK) {
        *out = zero ? bound : unscaled(bound, s.exponent);
        /* The torus is the layer, not only above it, for circular padding and for a single tap. */
        if (shape->padding != IRN_PAD_CIRCULAR && s.y.torus * s.x.torus > 1)
            out->lower = 0;
    }
    symbol_free(&s);
    return status;
}

/* cos(pi d / N) from below: a trigonometric polynomial of degree d is at most its largest value on
 * a grid of N > 2d divided by this (Ehlich, Zeller 1964): around a maximum of height 1 it is at
 * least cos(d t) for |t| <= pi / d (M. Riesz), and a grid point is within pi / N. u^H A v is one in
 * each variable, of degree d = taps / 2 after a factor of modulus 1. */
static double grid_cosine(size_t taps, size_t grid)
{
    double cosine, sine;
    if (taps == 1)
        return 1;
    irn_root(taps / 2, 2 * grid, &cosine, &sine);
    return irn_round_down(cosine - IRN_ROOT_ERROR * IRN_UNIT_64);
}

irn_status irn_prove_any_size(irn_bound *out, const double *kernel, const irn_kernel_shape *shape,
                              const char *name)
{
    irn_kernel_shape grid = *shape;
    irn_bound bound;
    grid.padding = IRN_PAD_CIRCULAR;
    if (shape->height <= shape->kernel_height / 2 * 2 ||
        shape->width <= shape->kernel_width / 2 * 2)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "%s: a grid of %zu x %zu frequencies is too small for a %zu x %zu kernel",
                        name, shape->height, shape->width, shape->kernel_height,
                        shape->kernel_width);
    IRN_TRY(irn_prove_symbol(&bound, kernel, &grid, 0, name));
    double y = grid_cosine(shape->kernel_height, shape->height);
    double x = grid_cosine(shape->kernel_width, shape->width);
    if (bound.upper > 0)
        bound.upper = irn_round_up(irn_round_up(bound.upper / y) / x);
    *out = bound;
    return IRN_OK;
}
