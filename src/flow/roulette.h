/* Russian roulette for power series (Chen et al. 2019, "Residual Flows", theorem 1): the sum up to
 * a random N of terms k times 1 / P(N >= k) has the expectation of the whole series. */
#ifndef IRN_ROULETTE_H
#define IRN_ROULETTE_H

#include "base/base.h"

/* N never exceeds this. The weights stay right, so that all that is lost is the expectation of the
 * terms behind it; irn_logdet_truncation_upper() bounds that: for L = 0.97 by 2e-15 a dimension,
 * for L = 0.99 by 5e-6. */
#define IRN_ROULETTE_MOST_TERMS 1000
#define IRN_ROULETTE_MOST_LAMBDA 100

/* N = exact_terms + M. The variance is finite where the squares of the terms fall faster than
 * P(N >= k): for the geometric distribution, wherever L^2 < 1 - p. Poisson's tail falls faster than
 * any power, so that rare draws have large weights: without the cap the variance would be infinite
 * unless J is nilpotent. Exact terms make what the weights multiply small. */
typedef enum irn_roulette_kind {
    IRN_ROULETTE_GEOMETRIC, /* M = 1, 2, ...: P(M >= j) = (1 - p)^(j-1), 0 < p < 1 */
    IRN_ROULETTE_POISSON    /* M = 0, 1, ..., of mean lambda, 0 < lambda <= 100 */
} irn_roulette_kind;

typedef struct irn_roulette {
    irn_roulette_kind kind;
    double parameter; /* p, or lambda */
    size_t exact_terms;
} irn_roulette;

/* Errors: IRN_ERROR_ARGUMENT. The functions below take what passed. */
irn_status irn_roulette_check(const irn_roulette *roulette);

/* N, from a number in (0, 1) of irn_uniform_double(): N >= k where P(N >= k) exceeds it. */
size_t irn_roulette_draw(const irn_roulette *roulette, double uniform);

/* 1 / P(N >= k), 1 for the exact terms; infinite only for terms that are never drawn. */
double irn_roulette_weight(const irn_roulette *roulette, size_t k);

#endif
