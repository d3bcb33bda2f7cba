/* The Gram matrices G(w) = X(w) X(w)^H of a symbol X(w) = sum_t X_t e^{i <w, o_t>} as what they
 * are: a trigonometric polynomial, whose coefficients are the correlations of the taps,
 *
 *   C_d = sum over pairs of taps with o_t - o_t' = d of X_t X_t'^T,   C_{-d} = C_d^T,
 *   G(w) = sum over half of the d of (C_d + C_d^T) cos <w, d> + i (C_d - C_d^T) sin <w, d>,
 *
 * the d that are their own negative (0, and half a period) counted with cos / 2 and without sin.
 * The products, which cost most, are made once and not at every frequency: of a 3 x 3 kernel 81
 * real ones, where the Gram matrix of each frequency takes 4. */
#ifndef IRN_CORRELATION_H
#define IRN_CORRELATION_H

#include "certify/proof.h"
#include "spectral/tap_list.h"

typedef struct irn_correlation {
    const irn_tap_list *list; /* borrowed */
    size_t rows, columns;     /* of X_t: rows the smaller side of a group's matrices */
    bool turned;              /* X_t is the transpose of the list's matrix */
    size_t lags;              /* the d of one half */
    size_t (*offsets)[2];     /* d */
    bool *own_negative;
    size_t *starts; /* [lags + 1]: pairs of each d */
    int (*pairs)[2];
    size_t most_pairs;
    double *roots[2]; /* of unity, [period][2], along each axis */
} irn_correlation;

/* Of a list with at least one tap. Errors: IRN_ERROR_UNSUPPORTED (too many taps),
 * IRN_ERROR_ARGUMENT, IRN_ERROR_MEMORY. */
irn_status irn_correlation_create(irn_correlation *out, const irn_tap_list *list, const char *name);
void irn_correlation_free(irn_correlation *correlation);

/* Above ||G - X X^H|| at every frequency, for coefficients computed in float64 and stored, then
 * summed with their cosines and sines in the given arithmetic; infinity where nothing is proven. */
double irn_correlation_error(const irn_correlation *correlation, irn_rounding rounding);

/* X_t of all groups and taps: column k of one is [stride] at k * stride, rows from `rows` on 0. */
void irn_correlation_taps(const irn_correlation *correlation, size_t stride, double *taps);

/* How C_d + C_d^T (part 0) and C_d - C_d^T (part 1) are stored: column by column, `run` rows of one
 * part next to each other, then the other part and the other d of these rows. */
typedef struct irn_sums_layout {
    size_t stride, run; /* rows of a column, a multiple of run */
    size_t lags;
} irn_sums_layout;

static inline size_t irn_sums_place(const irn_sums_layout *l, size_t column, size_t row, size_t lag,
                                    size_t part)
{
    size_t line = (column * (l->stride / l->run) + row / l->run) * l->lags + lag;
    return (line * 2 + part) * l->run + row % l->run;
}

/* The sums of one group on the host, [stride columns] as laid out. taps: of
 * irn_correlation_taps() with the same stride. */
void irn_correlation_sums(const irn_correlation *correlation, size_t group, const double *taps,
                          const irn_sums_layout *layout, double *sums);

/* cos <w, d> and sin <w, d> of every d, as they count; [lags][2]. */
void irn_correlation_weights(const irn_correlation *correlation, size_t row, size_t column,
                             double *weights);

#endif
