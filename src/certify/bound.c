#include "certify/bound.h"
#include "spectral/padded.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* What is added to, and taken from, a singular value computed in float64. It is an ALLOWANCE, not a
 * verified bound: errors of the SVD are at most p(m, n) u ||A||_F with p a small polynomial that
 * the literature does not pin down, for which 1e-9 leaves seven decimal digits, and no FFT library
 * states a bound at all. The second term covers entries that cancel: the sums over the taps are
 * wrong by at most (taps + a few log2(torus)) u times the sums of magnitudes, `weight` in norm. */
static const double relative_allowance = 1e-9;
enum { ROUNDINGS = 64 };

/* Up to this many rows and columns, a zero-padded layer is also taken as a plain matrix. */
enum { DENSE_LIMIT = 256 };

double irn_round_up(double value)
{
    return nextafter(value, INFINITY);
}

double irn_round_down(double value)
{
    return nextafter(value, -INFINITY);
}

irn_bound irn_bound_scaled(irn_bound bound, double scale)
{
    double size = fabs(scale), lower = bound.lower * size, upper = bound.upper * size;
    return (irn_bound){lower > 0 ? irn_round_down(lower) : 0,
                       bound.upper == 0 || size == 0 ? 0 : irn_round_up(upper)};
}

static double allowance(const irn_taps *taps, double value)
{
    double roundings = ROUNDINGS + (double)(taps->tap_rows * taps->tap_columns);
    return relative_allowance * value + DBL_EPSILON * roundings * taps->weight;
}

/* value +- allowance in units of the kernel; ldexp may round where it meets subnormal numbers. */
static double upper_of(const irn_taps *taps, double value)
{
    return irn_round_up(ldexp(value + allowance(taps, value), taps->exponent));
}

static double lower_of(const irn_taps *taps, double value)
{
    double lower = ldexp(value - allowance(taps, value), taps->exponent);
    return lower > 0 ? irn_round_down(lower) : 0;
}

static irn_status norm_of(irn_spectrum *spectrum, const irn_taps *taps, const char *name,
                          double *value, size_t *frequency)
{
    IRN_TRY(irn_spectrum_norm(spectrum, taps, value, frequency));
    if (!isfinite(*value))
        return irn_fail(IRN_ERROR_DEVICE, "%s: the device computed the singular value %f", name,
                        *value);
    return IRN_OK;
}

/* Both bounds from the operator as a matrix: small layers, where the torus is loosest. */
static irn_status bound_dense(irn_bound *out, irn_spectrum *spectrum, const irn_taps *taps,
                              const irn_kernel_shape *shape, const char *name)
{
    size_t points = shape->height * shape->width, unused;
    size_t rows = shape->outputs * points, columns = shape->inputs * points;
    double *matrix, value = 0;
    irn_taps dense = {0};
    IRN_TRY(irn_alloc(&matrix, rows * columns, sizeof *matrix));
    irn_status status = irn_padded_matrix(taps, shape->height, shape->width, matrix);
    if (status == IRN_OK)
        status = irn_taps_from_matrix(&dense, matrix, rows, columns);
    if (status == IRN_OK)
        status = norm_of(spectrum, &dense, name, &value, &unused);
    if (status == IRN_OK) {
        dense.exponent += taps->exponent;
        *out = (irn_bound){lower_of(&dense, value), upper_of(&dense, value)};
    }
    irn_taps_free(&dense);
    free(matrix);
    return status;
}

static bool is_small(const irn_kernel_shape *shape)
{
    size_t larger = shape->outputs > shape->inputs ? shape->outputs : shape->inputs;
    return shape->height <= DENSE_LIMIT && shape->width <= DENSE_LIMIT && larger <= DENSE_LIMIT &&
           shape->height * shape->width * larger <= DENSE_LIMIT;
}

static irn_status bound_taps(irn_bound *out, irn_spectrum *spectrum, const irn_taps *taps,
                             const irn_kernel_shape *shape, const char *name)
{
    double value, quotient;
    size_t frequency;
    *out = (irn_bound){0, 0};
    if (taps->zero)
        return IRN_OK;
    IRN_TRY(norm_of(spectrum, taps, name, &value, &frequency));
    *out = (irn_bound){lower_of(taps, value), upper_of(taps, value)};
    /* The torus is the layer, not only a bound, for circular padding and for a single tap. */
    if (shape->padding == IRN_PAD_CIRCULAR || taps->height * taps->width == 1)
        return IRN_OK;
    if (is_small(shape)) {
        irn_bound dense;
        IRN_TRY(bound_dense(&dense, spectrum, taps, shape, name));
        *out = (irn_bound){dense.lower, dense.upper < out->upper ? dense.upper : out->upper};
        return IRN_OK;
    }
    IRN_TRY(irn_padded_quotient(taps, shape->height, shape->width, frequency, &quotient));
    out->lower = lower_of(taps, quotient < value ? quotient : value);
    return IRN_OK;
}

irn_status irn_bound_kernel(irn_bound *out, irn_spectrum *spectrum, const double *kernel,
                            const irn_kernel_shape *shape, const char *name)
{
    irn_taps taps = {0};
    irn_bound bound = {0, 0};
    irn_status status = irn_taps_create(&taps, kernel, shape, name);
    if (status == IRN_OK)
        status = bound_taps(&bound, spectrum, &taps, shape, name);
    irn_taps_free(&taps);
    if (status == IRN_OK)
        *out = bound;
    return status;
}

irn_status irn_certify_progress(const irn_certify_options *options, size_t done, size_t total,
                                const char *what)
{
    if (options && options->progress &&
        !options->progress(done, total, what, options->progress_payload))
        return irn_fail(IRN_ERROR_CANCELLED, "certification was cancelled after %zu of %zu layers",
                        done, total);
    return IRN_OK;
}
