/* Roots of unity with a proven error, whatever the C library's sine does. */
#ifndef IRN_ROOTS_H
#define IRN_ROOTS_H

#include <stddef.h>

/* 2^-53. */
#define IRN_UNIT_64 0x1p-53

/* |computed - exact| of a complex root, in units of IRN_UNIT_64; derived in roots.c. */
#define IRN_ROOT_ERROR 8

/* e^{2 pi i numerator / denominator}, numerator < denominator <= SIZE_MAX / 8, both at most 2^50.
 */
void irn_root(size_t numerator, size_t denominator, double *re, double *im);

#endif
