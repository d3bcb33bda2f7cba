/* Kernels that are hard on bounds. */
#ifndef ADVERSARY_H
#define ADVERSARY_H

#include <iresnet/certify.h>

enum {
    ADVERSARY_RANDOM,
    ADVERSARY_FLAT,
    ADVERSARY_RANK_ONE,
    ADVERSARY_NEARLY_EQUAL,
    ADVERSARY_ZERO,
    ADVERSARY_DENORMAL,
    ADVERSARY_LARGE,
    ADVERSARY_SMALL,
    ADVERSARY_ONE_HUGE,
    ADVERSARY_SUM_ZERO,
    ADVERSARY_KINDS
};
extern const char *const adversary_kinds[];

/* Of numbers that are exact in float; from the host's pool. */
double *adversary_kernel(int kind, const irn_kernel_shape *shape);

#endif
