/* Arrays of the host for numerical tests: made from a pool that ends with the test, filled with
 * random numbers that a seed repeats, and compared so that NaN is a failure. */
#ifndef HOST_H
#define HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zeroed, and freed by host_free_all(). */
double *host_doubles(size_t count);
float *host_floats(size_t count);
void host_free_all(void);

float *host_narrow(const double *values, size_t count);
double *host_widen(const float *values, size_t count);

/* The seed of this run: IRN_TEST_SEED, or 1. host_restart() begins its sequence again. */
uint64_t host_seed(void);
void host_restart(void);
/* Standard normal numbers that are exact in float. */
double *host_normal(size_t count);
/* 0 to limit - 1. */
size_t host_below(size_t limit);
/* low to high, both included. */
size_t host_between(size_t low, size_t high);

double host_dot(const double *a, const double *b, size_t count);
double host_norm(const double *a, size_t count);
/* ||got - expected|| / ||expected||; ||got|| where nothing is expected. */
double host_error(const double *expected, const double *got, size_t count);

/* Fail the test unless the relative error in norm is at most the tolerance; the rest says of what,
 * as for printf. */
#define host_check(expected, got, count, tolerance, ...)                                           \
    host_check_at(__FILE__, __LINE__, (expected), (got), (count), (tolerance), __VA_ARGS__)
#define host_check_float(expected, got, count, tolerance, ...)                                     \
    host_check_at(__FILE__, __LINE__, (expected), host_widen((got), (count)), (count),             \
                  (tolerance), __VA_ARGS__)
void host_check_at(const char *file, int line, const double *expected, const double *got,
                   size_t count, double tolerance, const char *what, ...)
    __attribute__((format(printf, 7, 8)));

/* Fails unless |a - b| <= limit. */
#define host_check_number(expected, got, limit, ...)                                               \
    host_check_number_at(__FILE__, __LINE__, (expected), (got), (limit), __VA_ARGS__)
void host_check_number_at(const char *file, int line, double expected, double got, double limit,
                          const char *what, ...) __attribute__((format(printf, 6, 7)));

/* The step through a list of cases: step, or with IRN_TEST_EFFORT=small, for slow devices such as
 * Oclgrind, one that leaves few of them. */
int host_step(int step);

/* IRN_TEST_EFFORT=full: as many cases as it takes to be sure, in minutes. */
bool host_thorough(void);

#endif
