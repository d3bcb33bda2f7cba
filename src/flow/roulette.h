/* Russian roulette for power series (Chen et al. 2019, "Residual Flows", theorem 1): the sum up to
 * a random N of terms k times 1 / P(N >= k) has the expectation of the whole series. */
#ifndef IRN_ROULETTE_H
#define IRN_ROULETTE_H

#include "base/base.h"

#include <iresnet/roulette.h>

#include <stdbool.h>

/* N never exceeds this. The weights stay right, so that all that is lost is the expectation of the
 * terms behind it; irn_logdet_truncation_upper() bounds that: for L = 0.97 by 2e-15 a dimension,
 * for L = 0.99 by 5e-6. */
#define IRN_ROULETTE_MOST_TERMS 1000
#define IRN_ROULETTE_MOST_LAMBDA 100

#define IRN_ROULETTE_LEAST_P 0.05

/* N = exact_terms + M. Exact terms make what the weights multiply small. Without the cap Poisson's
 * variance would be infinite unless J is nilpotent. */
typedef struct irn_roulette {
    irn_roulette_kind kind;
    double parameter; /* p, or lambda */
    size_t exact_terms;
} irn_roulette;

/* What is usual if the parameter is 0. */
irn_roulette irn_roulette_of(irn_roulette_kind kind, double parameter, size_t exact_terms);

/* p for a power series of a Jacobian of which `lipschitz` is a certified bound: half of what would
 * still have a finite variance, at most the usual one, and no less than IRN_ROULETTE_LEAST_P, for
 * twenty terms on average. */
double irn_roulette_fitting_p(double lipschitz);
/* Whether the variance is proven finite. */
bool irn_roulette_finite(const irn_roulette *roulette, double lipschitz);

/* Errors: IRN_ERROR_ARGUMENT. The functions below take what passed. */
irn_status irn_roulette_check(const irn_roulette *roulette);

/* N, from a number in (0, 1) of irn_uniform_double(): N >= k where P(N >= k) exceeds it. */
size_t irn_roulette_draw(const irn_roulette *roulette, double uniform);

/* 1 / P(N >= k), 1 for the exact terms; infinite only for terms that are never drawn. */
double irn_roulette_weight(const irn_roulette *roulette, size_t k);

#endif
