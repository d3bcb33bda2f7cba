/* Upper bounds at all frequencies by the host, in float64. */
#include "certify/symbol.h"

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

/* One shift serves all frequencies: it rises where it proves too small for one, and what it proved
 * before stays proven. */
static irn_status scan(irn_symbol *s, size_t group, const irn_sums_layout *layout,
                       const double *sums, double *weights, double *shift, double *upper)
{
    size_t count = s->frequencies, step = scattered_step(count), ignored, row, column;
    for (size_t i = 0, index = 0; i < count; i++, index = (index + step) % count) {
        if (!irn_symbol_frequency(s, index, &ignored, &row, &column))
            continue;
        irn_correlation_weights(&s->correlation, row, column, weights);
        gram_of(s, layout, sums, weights);
        s->prover.error = s->list.error;
        s->prover.gram_error = irn_correlation_error(&s->correlation, irn_rounding_64());
        double proven = irn_prover_try(&s->prover, *shift);
        if (!isfinite(proven))
            IRN_TRY(irn_symbol_search(s, group * count + index, shift, &proven));
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
    for (size_t group = 0; status == IRN_OK && group < s->list.groups; group++) {
        irn_correlation_sums(&s->correlation, group, s->taps, &layout, sums);
        status = scan(s, group, &layout, sums, weights, &shift, upper);
    }
    free(sums);
    free(weights);
    return status;
}
