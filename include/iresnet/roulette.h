/* Russian roulette: how many terms of a power series are taken is drawn at random, and those that
 * are rare weigh more, so that the expectation is that of the whole series (Chen et al. 2019,
 * "Residual Flows", theorem 1). */
#ifndef IRESNET_ROULETTE_H
#define IRESNET_ROULETTE_H

#include <iresnet/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How many terms follow those that are always taken. With GEOMETRIC the estimates' variance is
 * finite where L^2 < 1 - p for every block's L. POISSON's tail falls faster than any power, so that
 * its rare draws weigh much: no L is a guarantee. */
typedef enum irn_roulette_kind {
    IRN_ROULETTE_GEOMETRIC, /* M = 1, 2, ...: P(M >= j) = (1 - p)^(j-1), 0 < p < 1 */
    IRN_ROULETTE_POISSON    /* M = 0, 1, ..., of mean lambda, 0 < lambda <= 100 */
} irn_roulette_kind;

#ifdef __cplusplus
}
#endif

#endif
