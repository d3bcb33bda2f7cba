/* Upper bounds at all frequencies by the host, in float64. */
#include "certify/proof_symbol.h"

#include <math.h>
#include <stdlib.h>

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

/* The Gram matrix of one frequency into the prover, by its lower triangle. */
static void gram_of(irn_symbol *s, const irn_sums_layout *layout, const double *sums,
                    const double *weights)
{
    irn_planes *gram = &s->prover.gram;
    for (size_t column = 0; column < gram->rows; column++) {
        double *re = gram->re + column * gram->stride, *im = gram->im + column * gram->stride;
        for (size_t i = column; i < gram->rows; i++)
            re[i] = im[i] = 0;
        for (size_t lag = 0; lag < layout->lags; lag++) {
            const double *a = sums + irn_sums_place(layout, column, 0, lag, 0);
            const double *b = sums + irn_sums_place(layout, column, 0, lag, 1);
            for (size_t i = column; i < gram->rows; i++) {
                re[i] += a[i] * weights[2 * lag];
                im[i] += b[i] * weights[2 * lag + 1];
            }
        }
    }
}

/* ---- estimates ---- */

typedef struct estimator {
    irn_symbol *symbol;
    const irn_sums_layout *layout;
    double *sums, *weights, *product; /* product: [2][stride] */
} estimator;

/* product = G v for the prover's vector v. */
static void multiply(const estimator *e)
{
    const irn_prover *prover = &e->symbol->prover;
    const irn_planes *gram = &prover->gram;
    const double *re = prover->vector_re, *im = prover->vector_im;
    double *to_re = e->product, *to_im = e->product + gram->stride;
    for (size_t i = 0; i < 2 * gram->stride; i++)
        e->product[i] = 0;
    for (size_t k = 0; k < gram->rows; k++) {
        const double *a = gram->re + k * gram->stride, *b = gram->im + k * gram->stride;
        double sum_re = a[k] * re[k], sum_im = a[k] * im[k];
        for (size_t i = k + 1; i < gram->rows; i++) {
            to_re[i] += a[i] * re[k] - b[i] * im[k];
            to_im[i] += a[i] * im[k] + b[i] * re[k];
            sum_re += a[i] * re[i] + b[i] * im[i];
            sum_im += a[i] * im[i] - b[i] * re[i];
        }
        to_re[k] += sum_re;
        to_im[k] += sum_im;
    }
}

/* v = product / length; returns the length of the new v. */
static double advance(const estimator *e, double length)
{
    irn_prover *prover = &e->symbol->prover;
    double square = 0, *re = prover->vector_re, *im = prover->vector_im;
    for (size_t i = 0; i < prover->gram.rows; i++) {
        re[i] = e->product[i] / length;
        im[i] = e->product[prover->gram.stride + i] / length;
        square += re[i] * re[i] + im[i] * im[i];
    }
    return sqrt(square);
}

/* The squared norm from below; 0 for a matrix that is 0. */
static double iterate(const estimator *e, size_t steps)
{
    double length, *first = e->product, *second = e->product + e->symbol->prover.gram.stride;
    for (size_t i = 0; i < e->symbol->prover.gram.rows; i++) {
        double turn = 0.6180339887498949 * (double)(i + 1);
        first[i] = 0.25 + turn - floor(turn);
        second[i] = 0.1 + turn / 2 - floor(turn / 2);
    }
    length = advance(e, 1);
    for (size_t step = 0; step < steps && length > 0; step++) {
        multiply(e);
        length = advance(e, length);
    }
    return length;
}

/* Frequencies are ordered by group. */
static irn_status estimate(void *payload, size_t *frequencies, size_t count, size_t steps,
                           double *estimates)
{
    const estimator *e = payload;
    irn_symbol *s = e->symbol;
    size_t last = s->list.groups;
    for (size_t i = 0; i < count; i++) {
        const irn_symbol_place at = irn_symbol_frequency(s, frequencies[i]);
        if (at.group != last)
            irn_correlation_sums(&s->correlation, at.group, s->taps, e->layout, e->sums);
        last = at.group;
        irn_correlation_weights(&s->correlation, at.row, at.column, e->weights);
        gram_of(s, e->layout, e->sums, e->weights);
        estimates[i] = iterate(e, steps);
    }
    return IRN_OK;
}

/* The shifts, where there is a choice. */
static irn_status settle(irn_symbol *s, const irn_sums_layout *layout, double *sums,
                         double *weights)
{
    enum { STEPS = 6 };
    size_t unused;
    double squared;
    estimator e = {.symbol = s, .layout = layout, .sums = sums, .weights = weights};
    if (!irn_symbol_may_shift(s))
        return IRN_OK;
    IRN_TRY(irn_alloc(&e.product, s->prover.gram.stride, 2 * sizeof *e.product));
    irn_status status = irn_symbol_settle(s, estimate, &e, STEPS, &unused, &squared);
    free(e.product);
    return status;
}

/* ---- proofs ---- */

/* One shift serves all frequencies: it rises where it proves too small for one, and what it proved
 * before stays proven. */
static irn_status scan(irn_symbol *s, size_t group, const irn_sums_layout *layout,
                       const double *sums, double *weights, double *shift, double *upper)
{
    size_t count = s->frequencies, step = scattered_step(count);
    for (size_t i = 0, index = 0; i < count; i++, index = (index + step) % count) {
        const irn_symbol_place at = irn_symbol_frequency(s, group * count + index);
        irn_correlation_weights(&s->correlation, at.row, at.column, weights);
        gram_of(s, layout, sums, weights);
        s->prover.error = s->list.error;
        s->prover.gram_error = irn_correlation_error(&s->correlation, irn_rounding_64());
        double proven = irn_prover_try(&s->prover, *shift);
        if (!isfinite(proven)) {
            irn_symbol_evaluate(s, at);
            IRN_TRY(irn_symbol_search(s, at, shift, &proven));
        }
        *upper = fmax(*upper, proven);
    }
    return IRN_OK;
}

irn_status irn_symbol_upper_on_host(irn_symbol *s, double *upper)
{
    const irn_planes *gram = &s->prover.gram;
    const irn_sums_layout layout = {gram->stride, gram->stride, s->correlation.lags};
    double *sums, *weights = NULL, shift = 0;
    const size_t sizes[] = {2, layout.lags, layout.stride, layout.stride};
    size_t count;
    if (!irn_product(&count, sizes, 4))
        return irn_fail(IRN_ERROR_ARGUMENT, "%s: its correlations are beyond what can be counted",
                        s->name);
    IRN_TRY(irn_alloc(&sums, count, sizeof *sums));
    irn_status status = irn_alloc(&weights, layout.lags, 2 * sizeof *weights);
    if (status == IRN_OK)
        status = settle(s, &layout, sums, weights);
    for (size_t group = 0; status == IRN_OK && group < s->list.groups; group++) {
        irn_correlation_sums(&s->correlation, group, s->taps, &layout, sums);
        status = scan(s, group, &layout, sums, weights, &shift, upper);
    }
    if (status == IRN_OK && irn_symbol_may_shift(s))
        status = irn_symbol_lower(s);
    free(sums);
    free(weights);
    return status;
}
