#include "flow/roulette.h"

#include <math.h>

static const double usual_p = 0.5, usual_lambda = 2;

irn_roulette irn_roulette_of(irn_roulette_kind kind, double parameter, size_t exact_terms)
{
    double usual = kind == IRN_ROULETTE_POISSON ? usual_lambda : usual_p;
    return (irn_roulette){kind, parameter == 0 ? usual : parameter, exact_terms};
}

double irn_roulette_fitting_p(double lipschitz)
{
    double p = (1 - lipschitz * lipschitz) / 2;
    return lipschitz < 1 ? fmin(fmax(p, IRN_ROULETTE_LEAST_P), usual_p) : usual_p;
}

bool irn_roulette_finite(const irn_roulette *r, double lipschitz)
{
    return r->kind == IRN_ROULETTE_GEOMETRIC && lipschitz * lipschitz < 1 - r->parameter;
}

irn_status irn_roulette_check(const irn_roulette *r)
{
    double p = r->parameter;
    if (r->kind == IRN_ROULETTE_GEOMETRIC && !(p > 0 && p < 1))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "roulette: the geometric distribution's p is %g, not between 0 and 1", p);
    if (r->kind == IRN_ROULETTE_POISSON && !(p > 0 && p <= IRN_ROULETTE_MOST_LAMBDA))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "roulette: Poisson's lambda is %g, not above 0 and at most %d", p,
                        IRN_ROULETTE_MOST_LAMBDA);
    if (r->kind != IRN_ROULETTE_GEOMETRIC && r->kind != IRN_ROULETTE_POISSON)
        return irn_fail(IRN_ERROR_ARGUMENT, "roulette: no distribution %d", (int)r->kind);
    if (r->exact_terms > IRN_ROULETTE_MOST_TERMS)
        return irn_fail(IRN_ERROR_ARGUMENT, "roulette: %zu exact terms, more than the limit %d",
                        r->exact_terms, IRN_ROULETTE_MOST_TERMS);
    return IRN_OK;
}

/* Sum of P(M = i) over i = first, then upwards or downwards, until terms vanish. */
static double poisson_sum(double lambda, size_t first, bool upwards)
{
    double term = exp(-lambda), i = (double)first;
    for (size_t k = 1; k <= first; k++)
        term *= lambda / (double)k;
    double sum = term;
    while (term > sum * 0x1p-60 && (upwards || i >= 1)) {
        term *= upwards ? lambda / (i + 1) : i / lambda;
        i += upwards ? 1 : -1;
        sum += term;
    }
    return sum;
}

/* P(M >= j). Poisson's from the side of the mean where terms fall, so that small ones keep their
 * digits. */
static double survival(const irn_roulette *r, size_t j)
{
    if (r->kind == IRN_ROULETTE_GEOMETRIC)
        return j <= 1 ? 1 : exp((double)(j - 1) * log1p(-r->parameter));
    if (j == 0)
        return 1;
    if ((double)j > r->parameter)
        return poisson_sum(r->parameter, j, true);
    return 1 - poisson_sum(r->parameter, j - 1, false);
}

size_t irn_roulette_draw(const irn_roulette *r, double uniform)
{
    size_t n = r->exact_terms;
    while (n < IRN_ROULETTE_MOST_TERMS && survival(r, n + 1 - r->exact_terms) > uniform)
        n++;
    return n;
}

double irn_roulette_weight(const irn_roulette *r, size_t k)
{
    return k <= r->exact_terms ? 1 : 1 / survival(r, k - r->exact_terms);
}
