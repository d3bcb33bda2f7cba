/* Bounds of layers from their symbol
 *
 *   A(a, b) = sum over taps of M_tap e^{2 pi i (a dy / N1 + b dx / N2)}
 *
 * on the torus N1 x N2 (Sedghi, Gupta, Long 2019); with zero padding, along each axis at these
 * frequencies or half-way between them, whichever bounds the layer better (spectral/tap_list.h).
 * The sign of the exponent and a transposition change the order of the frequencies, and no norm.
 *
 * Upper bounds rest on Gram matrices from correlations (correlation.c), lower ones and the search
 * for the norm on single matrices.
 *
 * ENTRIES. Roots of unity are wrong by tau = 8 u (roots.c). The product of two: by
 * 2 tau + tau^2 + sqrt(2) g(2) (1 + tau)^2 < 20 u, each of its parts being two products and a sum.
 * A part of the sum over T taps is wrong by g(T) sum |K| |part of the root|, both parts together by
 * g(T) sum |K| |root| (Minkowski). In all an entry is wrong by at most 1.01 (T + 21) u sum |K|, and
 * T tiny for underflow, twice for two parts; the norm by the Frobenius norm of that. */
#include "base/round.h"
#include "certify/faded.h"
#include "certify/roots.h"
#include "certify/proof_symbol.h"
#include "runtime/runtime.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* Of a group: maps of about 4096 x 4096. */
enum { MOST_FREQUENCIES = 1 << 23 };

static void symbol_free(irn_symbol *s)
{
    irn_prover_free(&s->prover);
    irn_correlation_free(&s->correlation);
    irn_tap_list_free(&s->list);
    free(s->taps);
    free(s->table);
}

static irn_status fill(irn_symbol *s)
{
    const irn_correlation *c = &s->correlation;
    size_t count;
    IRN_TRY(irn_correlation_create(&s->correlation, &s->list, s->name));
    IRN_TRY(irn_prover_create(&s->prover, c->rows, c->columns));
    const size_t sizes[] = {s->list.groups, s->list.count, c->columns, s->prover.matrix.stride};
    if (!irn_product(&count, sizes, 4))
        return irn_fail(IRN_ERROR_ARGUMENT, "%s: %zu taps are beyond what can be counted", s->name,
                        s->list.count);
    IRN_TRY(irn_alloc(&s->taps, count, sizeof(double)));
    irn_correlation_taps(c, s->prover.matrix.stride, s->taps);
    double taps = (double)s->list.count, entries = (double)c->rows * (double)c->columns;
    s->entries_error =
        1.02 * ((taps + 21) * IRN_UNIT_64 * s->list.weight + 4 * taps * sqrt(entries) * DBL_MIN) +
        s->list.error;
    s->frequencies = irn_frequency_count(&s->list);
    if (s->frequencies > MOST_FREQUENCIES)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "%s: a torus of %zu x %zu has %zu frequencies to prove, and at most %d are "
                        "tried; bounds for maps of every size (--size any) need far fewer",
                        s->name, s->list.axes[0].torus, s->list.axes[1].torus, s->frequencies,
                        MOST_FREQUENCIES);
    s->most = s->list.axes[0].torus * (s->list.axes[1].torus / 2 + 1);
    IRN_TRY(irn_alloc(&s->table, s->most, sizeof *s->table));
    irn_symbol_shift(s, 0, 0);
    return IRN_OK;
}

void irn_symbol_shift(irn_symbol *s, size_t rows, size_t columns)
{
    s->list.axes[0].shift = rows;
    s->list.axes[1].shift = columns;
    s->frequencies = irn_frequency_count(&s->list);
    irn_frequency_table(&s->list, s->table);
}

irn_symbol_place irn_symbol_frequency(const irn_symbol *s, size_t index)
{
    size_t flat = (size_t)s->table[index % s->frequencies], width = s->list.axes[1].torus;
    return (irn_symbol_place){index / s->frequencies,
                              irn_axis_frequency(&s->list.axes[0], flat / width),
                              irn_axis_frequency(&s->list.axes[1], flat % width)};
}

void irn_symbol_evaluate(irn_symbol *s, irn_symbol_place at)
{
    irn_planes *x = &s->prover.matrix;
    const irn_correlation *c = &s->correlation;
    size_t plane = x->columns * x->stride;
    const double *values = s->taps + at.group * s->list.count * plane;
    for (size_t i = 0; i < plane; i++)
        x->re[i] = x->im[i] = 0;
    for (size_t tap = 0; tap < s->list.count; tap++, values += plane) {
        const size_t *offset = s->list.offsets[tap];
        const double *a = c->roots[0] + 2 * (at.row * offset[0] % s->list.axes[0].period);
        const double *b = c->roots[1] + 2 * (at.column * offset[1] % s->list.axes[1].period);
        double re = a[0] * b[0] - a[1] * b[1], im = a[0] * b[1] + a[1] * b[0];
        for (size_t i = 0; i < plane; i++) {
            x->re[i] += values[i] * re;
            x->im[i] += values[i] * im;
        }
    }
    s->prover.error = s->entries_error;
}

/* The right singular vector of the group's matrix to the left one v of X, which is its transpose if
 * turned: X^H v, or the conjugate of v. */
static void input_vector(const irn_symbol *s, double *vector)
{
    const irn_planes *x = &s->prover.matrix;
    const double *re = s->prover.vector_re, *im = s->prover.vector_im;
    size_t inputs = s->list.inputs;
    for (size_t k = 0; k < inputs; k++) {
        double a = 0, b = 0;
        for (size_t i = 0; i < x->rows && !s->correlation.turned; i++) {
            size_t at = k * x->stride + i;
            a += x->re[at] * re[i] + x->im[at] * im[i];
            b += x->re[at] * im[i] - x->im[at] * re[i];
        }
        vector[k] = s->correlation.turned ? re[k] : a;
        vector[inputs + k] = s->correlation.turned ? -im[k] : b;
    }
}

irn_status irn_symbol_search(irn_symbol *s, irn_symbol_place at, double *shift, double *upper)
{
    *upper = irn_prover_search(&s->prover, shift);
    if (!isfinite(*upper))
        return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                        "%s: no bound was proven at frequency (%zu, %zu) of %zu x %zu", s->name,
                        at.row, at.column, s->list.axes[0].period, s->list.axes[1].period);
    if (*shift > s->highest) {
        s->highest = *shift;
        s->summit = at;
    }
    if (s->list.axes[0].exact && s->list.axes[1].exact)
        s->lower = fmax(s->lower, irn_prover_lower(&s->prover));
    return IRN_OK;
}

/* At any frequency, by the host alone. near: about the squared norm there. */
static irn_status search_at(irn_symbol *s, irn_symbol_place at, double near)
{
    double unused;
    irn_symbol_evaluate(s, at);
    irn_prover_gram(&s->prover);
    return irn_symbol_search(s, at, &near, &unused);
}

/* The peak was estimated, the summit of the grid that the proof is on is known. */
irn_status irn_symbol_lower(irn_symbol *s)
{
    double near = s->peak_estimate, lower, *vector;
    if (!(near > s->highest)) {
        near = s->highest;
        s->peak = s->summit;
    }
    IRN_TRY(search_at(s, s->peak, near));
    IRN_TRY(irn_alloc(&vector, s->list.inputs, 2 * sizeof(double)));
    input_vector(s, vector);
    irn_status status =
        irn_faded_quotient(&lower, &s->list, s->peak.group, s->peak.row, s->peak.column, vector);
    free(vector);
    s->lower = fmax(s->lower, lower);
    return status;
}

/* cos(pi d / N) from below: a trigonometric polynomial of degree d is at most its largest value on
 * a grid of N > 2d divided by this (Ehlich, Zeller 1964): around a maximum of height 1 it is at
 * least cos(d t) for |t| <= pi / d (M. Riesz), and a grid point is within pi / N. u^H A v is one in
 * each variable, of degree d after a factor of modulus 1. */
static double grid_cosine(const irn_tap_axis *axis)
{
    double cosine, sine;
    if (axis->degree == 0)
        return 1;
    irn_root(axis->degree, 2 * axis->torus, &cosine, &sine);
    return irn_round_down(cosine - IRN_ROOT_ERROR * IRN_UNIT_64);
}

/* In the kernel's units, for all frequencies; ldexp rounds where it meets subnormal numbers. */
static irn_bound finished(const irn_symbol *s, double upper)
{
    double lower = irn_round_down(ldexp(s->lower, s->list.exponent));
    upper = irn_round_up(irn_round_up(upper / grid_cosine(&s->list.axes[0])) /
                         grid_cosine(&s->list.axes[1]));
    return (irn_bound){lower > 0 ? lower : 0, irn_round_up(ldexp(upper, s->list.exponent))};
}

/* What the arithmetic is in the end, and whether the device can do it. */
static irn_status resolve(irn_proof *proof, irn_context *context, irn_arithmetic arithmetic,
                          const char *name)
{
    bool wide = context && context->info.has_fp64, whole = true;
    if (context && (wide || arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT32) &&
        arithmetic != IRN_ARITHMETIC_HOST_FLOAT64)
        IRN_TRY(irn_context_loops(context, &whole));
    if (arithmetic == IRN_ARITHMETIC_AUTO)
        wide = wide && whole;
    if (arithmetic == IRN_ARITHMETIC_AUTO)
        arithmetic = wide ? IRN_ARITHMETIC_DEVICE_FLOAT64 : IRN_ARITHMETIC_HOST_FLOAT64;
    *proof = (irn_proof){.method = IRN_PROOF_SYMBOL, .arithmetic = arithmetic};
    if (arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT64 && !wide)
        return irn_fail(IRN_ERROR_UNSUPPORTED, "%s: %s has no float64", name,
                        context ? context->info.name : "no device given");
    if (!whole && arithmetic != IRN_ARITHMETIC_HOST_FLOAT64)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "%s: the driver of %s ends long loops early, so it cannot prove anything; "
                        "the host can",
                        name, context->info.name);
    if (arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT32 && !context)
        return irn_fail(IRN_ERROR_UNSUPPORTED, "%s: there is no device to prove on", name);
    return IRN_OK;
}

irn_status irn_prove_symbol(irn_bound *out, irn_proof *proof, irn_context *context,
                            irn_arithmetic arithmetic, const double *kernel,
                            const irn_kernel_shape *shape, const char *name)
{
    irn_symbol s = {.name = name};
    irn_bound bound = {0, 0};
    double upper;
    IRN_TRY(resolve(proof, context, arithmetic, name));
    IRN_TRY(irn_tap_list_create(&s.list, kernel, shape, name));
    irn_status status = IRN_OK;
    upper = s.list.error;
    if (s.list.count > 0) {
        status = fill(&s);
        if (status == IRN_OK)
            status =
                proof->arithmetic == IRN_ARITHMETIC_HOST_FLOAT64
                    ? irn_symbol_upper_on_host(&s, &upper)
                    : irn_symbol_upper_on_device(
                          &s, context, proof->arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT64, &upper);
    }
    if (upper > 0)
        bound = finished(&s, upper);
    for (int axis = 0; axis < 2; axis++) {
        proof->torus[axis] = s.list.axes[axis].torus;
        proof->shifted[axis] = s.list.axes[axis].shift > 0;
    }
    symbol_free(&s);
    if (status == IRN_OK)
        *out = bound;
    return status;
}
