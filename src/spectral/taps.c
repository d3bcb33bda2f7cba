#include "spectral/taps.h"
#include "spectral/tap_list.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>

/* One dimension of a kernel: which taps stay, and where. */
typedef struct axis {
    size_t first_tap, taps; /* of the kernel, those that stay */
    size_t kept;            /* of the prepared kernel; fewer than taps if they are folded */
    size_t first;           /* offset of the first, modulo the torus */
    size_t torus;
} axis;

/* clFFT transforms lengths whose prime factors are at most 13. */
static bool is_smooth(size_t n)
{
    static const size_t primes[] = {2, 3, 5, 7, 11, 13};
    for (size_t i = 0; i < sizeof primes / sizeof *primes; i++)
        while (n % primes[i] == 0)
            n /= primes[i];
    return n == 1;
}

/* "Same" padding: (taps - 1) / 2 before, so tap t looks at offset t - (taps - 1) / 2. An output at
 * one end reads at most map - 1 away, so further taps never act. The output at map - 1 must not
 * wrap on to the map again: torus >= map + the larger reach. */
static axis zero_axis(size_t taps, size_t map)
{
    size_t before = (taps - 1) / 2, after = taps - 1 - before;
    size_t reach_before = before < map ? before : map - 1;
    size_t reach_after = after < map ? after : map - 1;
    size_t reach = reach_before > reach_after ? reach_before : reach_after;
    axis out = {.first_tap = before - reach_before, .taps = reach_before + 1 + reach_after};
    out.kept = out.taps;
    out.torus = reach == 0 ? 1 : map + reach;
    while (!is_smooth(out.torus))
        out.torus++;
    out.first = (out.torus - reach_before) % out.torus;
    return out;
}

/* Offsets count modulo the map; a kernel larger than the map lays its taps on one another. */
static axis circular_axis(size_t taps, size_t map)
{
    axis out = {.taps = taps, .kept = taps < map ? taps : map, .torus = taps == 1 ? 1 : map};
    size_t before = (taps - 1) / 2 % out.torus;
    out.first = (out.torus - before) % out.torus;
    return out;
}

static irn_status check_finite(const double *values, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return irn_fail(IRN_ERROR_NUMERIC, "%s: value %zu of %zu is %f, not a finite number",
                            name, i, count, values[i]);
    return IRN_OK;
}

static bool stays(const axis *axis, size_t tap)
{
    return tap >= axis->first_tap && tap < axis->first_tap + axis->taps;
}

/* Largest magnitude of the taps that stay: beside a large one that never acts they could vanish. */
static double largest(const axis *y, const axis *x, const double *kernel,
                      const irn_kernel_shape *shape, size_t count)
{
    double peak = 0;
    for (size_t i = 0; i < count; i++)
        if (stays(x, i % shape->kernel_width) &&
            stays(y, i / shape->kernel_width % shape->kernel_height))
            peak = fmax(peak, fabs(kernel[i]));
    return peak;
}

static size_t folded(const axis *axis, size_t tap)
{
    return (tap - axis->first_tap) % axis->kept;
}

/* Moves the taps that stay of one (output, input) pair, scaled; returns their sum of magnitudes. */
static double place(irn_taps *taps, const axis *y, const axis *x, const double *kernel,
                    size_t kernel_width, double *values)
{
    double sum = 0;
    for (size_t row = y->first_tap; row < y->first_tap + y->taps; row++)
        for (size_t column = x->first_tap; column < x->first_tap + x->taps; column++) {
            double value = ldexp(kernel[row * kernel_width + column], -taps->exponent);
            values[folded(y, row) * taps->tap_columns + folded(x, column)] += value;
            sum += fabs(value);
        }
    return sum;
}

irn_status irn_taps_create(irn_taps *out, const double *kernel, const irn_kernel_shape *shape,
                           const char *name)
{
    size_t count, pairs;
    double squares = 0;
    *out = (irn_taps){.outputs = shape->outputs, .inputs = shape->inputs};
    IRN_TRY(irn_shape_check(shape, name, &count));
    IRN_TRY(check_finite(kernel, count, name));
    axis (*make)(size_t, size_t) = shape->padding == IRN_PAD_ZEROS ? zero_axis : circular_axis;
    axis y = make(shape->kernel_height, shape->height), x = make(shape->kernel_width, shape->width);
    out->tap_rows = y.kept;
    out->tap_columns = x.kept;
    out->first_row = y.first;
    out->first_column = x.first;
    out->height = y.torus;
    out->width = x.torus;
    frexp(largest(&y, &x, kernel, shape, count), &out->exponent);
    pairs = shape->outputs * shape->inputs;
    IRN_TRY(irn_alloc(&out->values, pairs * y.kept * x.kept, sizeof(double)));
    for (size_t pair = 0; pair < pairs; pair++) {
        double sum = place(out, &y, &x, kernel + pair * shape->kernel_height * shape->kernel_width,
                           shape->kernel_width, out->values + pair * y.kept * x.kept);
        squares += sum * sum;
    }
    out->weight = sqrt(squares);
    out->zero = squares == 0;
    return IRN_OK;
}

void irn_taps_free(irn_taps *taps)
{
    free(taps->values);
    *taps = (irn_taps){0};
}
