/* Mathematics of log-determinants on the host: Russian roulette, proven bounds, determinants. */
#include "host.h"
#include "testing.h"

#include "base/determinant.h"
#include "base/philox.h"
#include "flow/logdet_bounds.h"
#include "flow/roulette.h"

#include <lapacke.h>
#include <math.h>

static const irn_roulette roulettes[] = {
    {IRN_ROULETTE_GEOMETRIC, 0.5, 0},  {IRN_ROULETTE_GEOMETRIC, 0.03, 3},
    {IRN_ROULETTE_GEOMETRIC, 0.97, 1}, {IRN_ROULETTE_POISSON, 0.01, 2},
    {IRN_ROULETTE_POISSON, 2, 0},      {IRN_ROULETTE_POISSON, 2.5, 10},
    {IRN_ROULETTE_POISSON, 30, 1},     {IRN_ROULETTE_POISSON, 100, 0}};
enum { ROULETTES = sizeof roulettes / sizeof *roulettes, LONGEST = 2500 };

/* ---- roulette ---- */

/* P(M = j), in more digits. */
static long double mass(const irn_roulette *r, size_t j)
{
    long double p = (long double)r->parameter, i = (long double)j;
    if (r->kind == IRN_ROULETTE_GEOMETRIC)
        return j == 0 ? 0 : p * powl(1 - p, i - 1);
    return expl(i * logl(p) - p - lgammal(i + 1));
}

START_TEST(parameters)
{
    ck_assert(irn_roulette_of(IRN_ROULETTE_GEOMETRIC, 0, 3).parameter == 0.5);
    ck_assert(irn_roulette_of(IRN_ROULETTE_POISSON, 0, 3).parameter == 2);
    ck_assert(irn_roulette_of(IRN_ROULETTE_POISSON, 7, 3).parameter == 7);
    ck_assert(irn_roulette_fitting_p(0) == 0.5);
    ck_assert(irn_roulette_fitting_p(0.5) == 0.375);
    ck_assert(irn_roulette_fitting_p(0.999) == IRN_ROULETTE_LEAST_P);
    ck_assert(irn_roulette_fitting_p((double)INFINITY) == 0.5);
}
END_TEST

/* 1 / P(N >= k), summed from the small end, until the probability is far below what can be drawn.
 */
START_TEST(weights)
{
    const irn_roulette *r = &roulettes[_i];
    long double survival = 0;
    for (size_t j = LONGEST; j > 0; j--) {
        survival += mass(r, j);
        size_t k = r->exact_terms + j;
        if (j < 900 && survival > 1e-45L) {
            double expected = (double)(1 / survival);
            double tolerance = expected < 1.0001 ? 1e-15 : 2e-12;
            host_check_number(expected, irn_roulette_weight(r, k), tolerance * expected,
                              "weight of term %zu, roulette %d", k, _i);
        }
    }
    for (size_t k = 1; k <= r->exact_terms; k++)
        ck_assert(irn_roulette_weight(r, k) == 1);
}
END_TEST

static size_t draw(const irn_roulette *r, uint64_t index)
{
    uint32_t bits[4];
    irn_philox(bits, 7, IRN_STREAM_ROULETTE, 0, index);
    return irn_roulette_draw(r, irn_uniform_double(bits));
}

/* Term k comes with probability 1 / weight: the frequencies of N >= k. */
START_TEST(frequencies)
{
    enum { DRAWS = 20000 };
    const irn_roulette *r = &roulettes[_i];
    double *at_least = host_doubles(LONGEST);
    for (uint64_t i = 0; i < DRAWS; i++)
        for (size_t k = draw(r, i); k > 0; k--)
            at_least[k]++;
    for (size_t k = 1; k <= IRN_ROULETTE_MOST_TERMS; k++) {
        double p = 1 / irn_roulette_weight(r, k), error = sqrt(DRAWS * p * (1 - p));
        host_check_number(DRAWS * p, at_least[k], 4.5 * error + (p < 1 ? 2 : 0), "N >= %zu", k);
    }
    ck_assert(at_least[IRN_ROULETTE_MOST_TERMS + 1] == 0);
}
END_TEST

/* N >= k exactly where the number is below 1 / weight(k), to the far ends. */
START_TEST(extreme_draws)
{
    const irn_roulette *r = &roulettes[_i];
    const uint32_t none[4] = {0}, all[4] = {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX};
    double least = irn_uniform_double(none), most = irn_uniform_double(all);
    ck_assert(least > 0 && least <= 0x1p-129 && most < 1);
    size_t far = irn_roulette_draw(r, least), near = irn_roulette_draw(r, most);
    ck_assert(isfinite(irn_roulette_weight(r, far)));
    ck_assert(far <= IRN_ROULETTE_MOST_TERMS && near >= r->exact_terms);
    if (far < IRN_ROULETTE_MOST_TERMS)
        ck_assert(1 / irn_roulette_weight(r, far + 1) <= least);
    for (size_t k = r->exact_terms + 1; k < far; k++) {
        double survival = 1 / irn_roulette_weight(r, k);
        ck_assert_uint_ge(irn_roulette_draw(r, survival * (1 - 1e-12)), k);
        if (survival < 1)
            ck_assert_uint_lt(irn_roulette_draw(r, survival * (1 + 1e-12)), k);
    }
}
END_TEST

/* The roulette's expectation of the series of ln(1 + x), found by going through all N. */
START_TEST(expectation)
{
    const irn_roulette *r = &roulettes[_i];
    const double x = 0.8;
    double sum = 0, power = 1, mean = 0;
    for (size_t k = 1; k < 2000; k++) {
        power *= -x;
        double weight = irn_roulette_weight(r, k);
        if (!isfinite(weight))
            break;
        sum -= power / (double)k * weight;
        double here = 1 / weight, next = 1 / irn_roulette_weight(r, k + 1);
        mean += (here - next) * sum; /* P(N = k), N = 0 adding nothing */
    }
    host_check_number(log1p(x), mean, 1e-9, "ln(1 + x) by roulette %d", _i);
}
END_TEST

START_TEST(bad_roulettes)
{
    irn_roulette r = {IRN_ROULETTE_GEOMETRIC, 1, 0};
    testing_fails(irn_roulette_check(&r), IRN_ERROR_ARGUMENT, "p is 1");
    r.parameter = (double)NAN;
    testing_fails(irn_roulette_check(&r), IRN_ERROR_ARGUMENT, "p is");
    r = (irn_roulette){IRN_ROULETTE_POISSON, 100.5, 0};
    testing_fails(irn_roulette_check(&r), IRN_ERROR_ARGUMENT, "lambda is 100.5");
    r = (irn_roulette){IRN_ROULETTE_POISSON, 2, 1001};
    testing_fails(irn_roulette_check(&r), IRN_ERROR_ARGUMENT, "1001 exact terms");
    r = (irn_roulette){(irn_roulette_kind)9, 0.5, 0};
    testing_fails(irn_roulette_check(&r), IRN_ERROR_ARGUMENT, "distribution 9");
    for (size_t i = 0; i < ROULETTES; i++)
        testing_ok(irn_roulette_check(&roulettes[i]));
}
END_TEST

/* ---- bounds ---- */

static const double constants[] = {1e-300, 1e-9, 1e-3, 0.1, 0.5, 0.7290000001, 0.9, 0.99, 0.9999};
enum { CONSTANTS = sizeof constants / sizeof *constants };

/* At least what more digits give, and hardly more. */
START_TEST(truncation)
{
    const size_t terms[] = {0, 1, 2, 5, 20, 200, 1000};
    const long double l = (long double)constants[_i];
    for (size_t t = 0; t < sizeof terms / sizeof *terms; t++) {
        long double tail = 0, power = powl(l, (long double)terms[t]);
        for (size_t k = terms[t] + 1; k < terms[t] + 600000 && power > 0; k++) {
            power *= l;
            tail += power / (long double)k;
        }
        double upper = irn_logdet_truncation_upper(3, constants[_i], terms[t]);
        ck_assert((long double)upper >= 3 * tail * (1 - 1e-14L));
        ck_assert((long double)upper <= 3 * tail * (1 + 1e-10L) + 1e-300L);
    }
    long double whole = -7 * log1pl(-l);
    host_check_number((double)whole, irn_logdet_truncation_upper(7, constants[_i], 0),
                      1e-10 * (double)whole, "truncation before the first term");
}
END_TEST

START_TEST(interval)
{
    const long double l = (long double)constants[_i];
    irn_interval found = irn_logdet_interval(48, constants[_i]);
    ck_assert((long double)found.lower < 48 * log1pl(-l) && found.lower < 0);
    ck_assert((long double)found.upper > 48 * log1pl(l) && found.upper > 0);
    ck_assert((long double)found.lower > 48 * log1pl(-l) * (1 + 1e-14L));
    ck_assert((long double)found.upper < 48 * log1pl(l) * (1 + 1e-14L));
}
END_TEST

START_TEST(no_bounds)
{
    const double bad[] = {1, 1.5, -0.1, (double)NAN, (double)INFINITY};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        irn_interval found = irn_logdet_interval(2, bad[i]);
        ck_assert(found.lower < 0 && isinf(found.lower) && found.upper > 0 && isinf(found.upper));
        ck_assert(isinf(irn_logdet_truncation_upper(2, bad[i], 5)));
    }
    ck_assert(irn_logdet_truncation_upper(2, 0, 5) >= 0);
    ck_assert(irn_logdet_truncation_upper(2, 0, 5) <= 1e-300);
    double close = irn_logdet_truncation_upper(1, 1 - 0x1p-40, 10); /* 27.7 - 2.9 */
    ck_assert(close > 24.7 && isfinite(close));
}
END_TEST

/* ---- determinants ---- */

static double lapack_log_determinant(double *matrix, int n)
{
    lapack_int *pivots = (lapack_int *)host_floats((size_t)n); /* of the same size */
    double sum = 0;
    ck_assert_int_eq(LAPACKE_dgetrf(LAPACK_ROW_MAJOR, n, n, matrix, n, pivots), 0);
    for (int i = 0; i < n; i++)
        sum += log(fabs(matrix[i * n + i]));
    return sum;
}

START_TEST(determinants)
{
    const int sizes[] = {1, 2, 5, 63, 64, 65, 128, 200, 330};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int n = sizes[s];
        size_t count = (size_t)n * (size_t)n;
        double *a = host_normal(count), *b = host_doubles(count);
        for (int i = 0; i < n && n > 1; i++)
            a[i * n + i] = 0; /* no elimination without pivoting */
        for (size_t i = 0; i < count; i++)
            b[i] = a[i];
        double expected = lapack_log_determinant(b, n);
        host_check_number(expected, irn_log_abs_determinant(a, (size_t)n), 1e-11 * n,
                          "log|det| of %d x %d", n, n);
    }
    double singular[4] = {0, 2, 0, 3}, bad[4] = {1, (double)NAN, 2, 3};
    double value = irn_log_abs_determinant(singular, 2);
    ck_assert(isinf(value) && value < 0);
    ck_assert(isnan(irn_log_abs_determinant(bad, 2)));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("roulette");
    TCase *test = testing_case(suite, "roulette");
    tcase_add_checked_fixture(test, host_restart, host_free_all);
    tcase_set_timeout(test, 60);
    tcase_add_test(test, parameters);
    tcase_add_loop_test(test, weights, 0, ROULETTES);
    tcase_add_loop_test(test, frequencies, 0, ROULETTES);
    tcase_add_loop_test(test, extreme_draws, 0, ROULETTES);
    tcase_add_loop_test(test, expectation, 0, ROULETTES);
    tcase_add_test(test, bad_roulettes);
    tcase_add_loop_test(test, truncation, 0, CONSTANTS);
    tcase_add_loop_test(test, interval, 0, CONSTANTS);
    tcase_add_test(test, no_bounds);
    tcase_add_test(test, determinants);
    return testing_run(suite);
}
