/* Random kernels, and comparisons that NaN never passes. */
#ifndef KERNELS_H
#define KERNELS_H

#include <iresnet/certify.h>

#include <check.h>
#include <math.h>
#include <stdlib.h>

#define CLOSE(a, b, limit)                                                                         \
    ck_assert_msg(fabs((a) - (b)) <= (limit), "%.17g and %.17g differ by more than %g", (a), (b),  \
                  (limit))
#define AT_MOST(a, b) ck_assert_msg((a) <= (b), "%.17g is not at most %.17g", (a), (b))

static inline float *random_kernel(const irn_kernel_shape *s, unsigned seed)
{
    size_t count = s->outputs * s->inputs * s->kernel_height * s->kernel_width;
    float *kernel = calloc(count, sizeof *kernel);
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        kernel[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
    return kernel;
}

static inline double *widened(const float *kernel, const irn_kernel_shape *s)
{
    size_t count = s->outputs * s->inputs * s->kernel_height * s->kernel_width;
    double *wide = calloc(count, sizeof *wide);
    for (size_t i = 0; i < count; i++)
        wide[i] = (double)kernel[i];
    return wide;
}

#endif
