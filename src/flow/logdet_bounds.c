#include "flow/logdet_bounds.h"
#include "base/round.h"

#include <float.h>
#include <stdbool.h>

static bool contraction(double lipschitz)
{
    return lipschitz >= 0 && lipschitz < 1;
}

/* log1p() of the C library errs by less than a unit in the last place, that is by less than two
 * steps: below a power of two a step is half of it. */
irn_interval irn_logdet_interval(size_t dimension, double lipschitz)
{
    double d = (double)dimension;
    if (!contraction(lipschitz))
        return (irn_interval){-(double)INFINITY, (double)INFINITY};
    double lower = irn_round_down(irn_round_down(log1p(-lipschitz)));
    double upper = irn_round_up(irn_round_up(log1p(lipschitz)));
    return (irn_interval){irn_round_down(d * lower), irn_round_up(d * upper)};
}

/* L^power, rounded up. */
static double power_upper(double lipschitz, size_t power)
{
    double result = 1;
    for (size_t k = 0; k < power; k++)
        result = irn_round_up(result * lipschitz);
    return result;
}

/* The bound is d times the tail sum_{k>terms} L^k / k, which is added up as such: the difference of
 * the logarithm and the first terms would lose small tails to cancellation. What follows term k is
 * at most L^k / k (L + L^2 + ...). */
double irn_logdet_truncation_upper(size_t dimension, double lipschitz, size_t terms)
{
    const size_t most = 1000000;
    if (!contraction(lipschitz))
        return (double)INFINITY;
    double ratio = irn_round_up(lipschitz / irn_round_down(1 - lipschitz));
    double power = power_upper(lipschitz, terms), sum = 0, rest = (double)INFINITY;
    for (size_t k = terms + 1; k <= terms + most && rest > fmax(sum * 0x1p-53, DBL_MIN); k++) {
        power = irn_round_up(power * lipschitz);
        double term = irn_round_up(power / (double)k);
        sum = irn_round_up(sum + term);
        rest = irn_round_up(term * ratio);
    }
    return irn_round_up((double)dimension * irn_round_up(sum + rest));
}
