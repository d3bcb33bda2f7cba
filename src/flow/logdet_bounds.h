/* What a Lipschitz bound L < 1 of g proves about log|det(I + J)|, J the Jacobian of g on d
 * dimensions (Behrmann et al. 2019). Rounded outwards: true of the real numbers. L >= 1 and NaN
 * prove nothing, and give infinite bounds. */
#ifndef IRN_LOGDET_BOUNDS_H
#define IRN_LOGDET_BOUNDS_H

#include <stddef.h>

typedef struct irn_interval {
    double lower, upper;
} irn_interval;

/* Lemma 7: d ln(1 - L) <= log|det(I + J)| <= d ln(1 + L). */
irn_interval irn_logdet_interval(size_t dimension, double lipschitz);

/* Theorem 3: the sum of the power series' first `terms` traces differs from log|det(I + J)| by at
 * most -d (ln(1 - L) + sum_{k<=terms} L^k / k). Above L = 1 - 1e-6 the bound exceeds that. */
double irn_logdet_truncation_upper(size_t dimension, double lipschitz, size_t terms);

#endif
