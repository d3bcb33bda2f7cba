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

/* Writing out axes of the map tightens the torus's bound, at a price that is counted in complex
 * multiply-adds, n m^2 for an n x m matrix at each frequency: always where it is nothing, and up to
 * about a second where the torus leaves more than a hundredth open. */
static const double nothing = 2e7, a_second = 1.1e9, tight = 0.99;

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

/* The price of a kernel's bound after an axis of its map, or both, became channels. */
static double price(const irn_taps *taps, size_t height, size_t width)
{
    double places = (double)height * (double)width;
    double n = places * (double)taps->outputs, m = places * (double)taps->inputs;
    double rest = (height > 1 ? 1 : (double)taps->height) * (width > 1 ? 1 : (double)taps->width);
    return n * m * (n < m ? n : m) * (rest / 2 + 0.5);
}

/* Writes out the map's rows if height > 1, its columns if width > 1. */
static irn_status unrolled(irn_taps *out, const irn_taps *taps, size_t height, size_t width)
{
    irn_taps rows;
    if (height == 1 || width == 1)
        return irn_padded_unroll(out, taps, height > 1 ? IRN_AXIS_ROWS : IRN_AXIS_COLUMNS,
                                 height > 1 ? height : width);
    irn_status status = irn_padded_unroll(&rows, taps, IRN_AXIS_ROWS, height);
    if (status == IRN_OK)
        status = irn_padded_unroll(out, &rows, IRN_AXIS_COLUMNS, width);
    irn_taps_free(&rows);
    return status;
}

/* With both axes written out, or as far as the torus is more than 1 along them, it is the norm;
 * else only an upper bound. */
static irn_status bound_unrolled(irn_bound *out, irn_spectrum *spectrum, const irn_taps *taps,
                                 size_t height, size_t width, const char *name)
{
    irn_taps flat = {0};
    double value = 0;
    size_t unused;
    irn_status status = unrolled(&flat, taps, height, width);
    if (status == IRN_OK)
        status = norm_of(spectrum, &flat, name, &value, &unused);
    if (status == IRN_OK) {
        double upper = upper_of(&flat, value), lower = lower_of(&flat, value);
        out->upper = upper < out->upper ? upper : out->upper;
        if (flat.height * flat.width == 1 && lower > out->lower)
            out->lower = lower;
    }
    irn_taps_free(&flat);
    return status;
}

/* Tightens what the torus gave, as far as it is worth the price. */
static irn_status refine(irn_bound *out, irn_spectrum *spectrum, const irn_taps *taps,
                         const irn_kernel_shape *shape, const char *name)
{
    size_t height = taps->height == 1 ? 1 : shape->height;
    size_t width = taps->width == 1 ? 1 : shape->width;
    double most = out->lower > tight * out->upper ? nothing : a_second;
    if (price(taps, height, width) <= most)
        return bound_unrolled(out, spectrum, taps, height, width, name);
    double by_rows = price(taps, height, 1), by_columns = price(taps, 1, width);
    if (by_rows <= by_columns && by_rows <= most && height > 1)
        return bound_unrolled(out, spectrum, taps, height, 1, name);
    if (by_columns <= most && width > 1)
        return bound_unrolled(out, spectrum, taps, 1, width, name);
    return IRN_OK;
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
    IRN_TRY(irn_padded_quotient(taps, shape->height, shape->width, frequency, &quotient));
    out->lower = lower_of(taps, quotient < value ? quotient : value);
    return refine(out, spectrum, taps, shape, name);
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
    /* They come from different computations, so this would show a device that computes wrongly. */
    if (status == IRN_OK && !(bound.lower <= bound.upper))
        return irn_fail(IRN_ERROR_DEVICE, "%s: the device's bounds contradict: %.17g, %.17g", name,
                        bound.lower, bound.upper);
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
