#include "host.h"

#include <check.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the pool ---- */

static void **pool;
static size_t pool_count, pool_capacity;

static void *pooled(size_t count, size_t size)
{
    if (pool_count == pool_capacity) {
        pool_capacity = pool_capacity ? 2 * pool_capacity : 256;
        pool = realloc(pool, pool_capacity * sizeof *pool);
        ck_assert_ptr_nonnull(pool);
    }
    void *memory = calloc(count ? count : 1, size);
    ck_assert_ptr_nonnull(memory);
    pool[pool_count++] = memory;
    return memory;
}

double *host_doubles(size_t count)
{
    return pooled(count, sizeof(double));
}

float *host_floats(size_t count)
{
    return pooled(count, sizeof(float));
}

void host_free_all(void)
{
    for (size_t i = 0; i < pool_count; i++)
        free(pool[i]);
    free(pool);
    pool = NULL;
    pool_count = pool_capacity = 0;
}

float *host_narrow(const double *values, size_t count)
{
    float *out = host_floats(count);
    for (size_t i = 0; i < count; i++)
        out[i] = (float)values[i];
    return out;
}

double *host_widen(const float *values, size_t count)
{
    double *out = host_doubles(count);
    for (size_t i = 0; i < count; i++)
        out[i] = (double)values[i];
    return out;
}

/* ---- random numbers: splitmix64 ---- */

static uint64_t state = 1;

uint64_t host_seed(void)
{
    const char *text = getenv("IRN_TEST_SEED");
    return text && *text ? strtoull(text, NULL, 10) : 1;
}

void host_restart(void)
{
    state = host_seed();
}

static uint64_t next_bits(void)
{
    uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static double next_uniform(void)
{
    return ((double)(next_bits() >> 11) + 0.5) * 0x1p-53;
}

double *host_normal(size_t count)
{
    double *out = host_doubles(count);
    for (size_t i = 0; i < count; i++) {
        double radius = sqrt(-2 * log(next_uniform()));
        out[i] = (double)(float)(radius * cos(6.283185307179586 * next_uniform()));
    }
    return out;
}

size_t host_below(size_t limit)
{
    return (size_t)(next_bits() >> 16) % limit;
}

size_t host_between(size_t low, size_t high)
{
    return low + host_below(high - low + 1);
}

/* ---- comparing ---- */

double host_dot(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

double host_norm(const double *a, size_t count)
{
    return sqrt(host_dot(a, a, count));
}

double host_error(const double *expected, const double *got, size_t count)
{
    double error = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        error += (got[i] - expected[i]) * (got[i] - expected[i]);
        size += expected[i] * expected[i];
    }
    return size > 0 ? sqrt(error / size) : sqrt(error);
}

void host_check_at(const char *file, int line, const double *expected, const double *got,
                   size_t count, double tolerance, const char *what, ...)
{
    char text[256];
    double error = host_error(expected, got, count);
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(text, sizeof text, what, arguments);
    va_end(arguments);
    if (getenv("IRN_TEST_VERBOSE"))
        printf("%-60s %.3g of %.3g\n", text, error, tolerance);
    if (!(error <= tolerance))
        ck_abort_msg("%s:%d: %s: relative error %.3g, at most %.3g allowed (%zu values, seed %llu)",
                     file, line, text, error, tolerance, count, (unsigned long long)host_seed());
}

void host_check_number_at(const char *file, int line, double expected, double got, double limit,
                          const char *what, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, what);
    vsnprintf(text, sizeof text, what, arguments);
    va_end(arguments);
    if (getenv("IRN_TEST_VERBOSE"))
        printf("%-60s %.3g of %.3g\n", text, fabs(got - expected), limit);
    if (!(fabs(got - expected) <= limit))
        ck_abort_msg("%s:%d: %s: %.9g instead of %.9g, more than %.3g off (seed %llu)", file, line,
                     text, got, expected, limit, (unsigned long long)host_seed());
}

static bool effort_is(const char *wanted)
{
    const char *effort = getenv("IRN_TEST_EFFORT");
    return effort && strcmp(effort, wanted) == 0;
}

int host_step(int step)
{
    return effort_is("small") ? 31 * step : step;
}

bool host_thorough(void)
{
    return effort_is("full");
}
