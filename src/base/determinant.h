/* Determinants of dense matrices on the host. */
#ifndef IRN_DETERMINANT_H
#define IRN_DETERMINANT_H

#include <stddef.h>

/* log|det| of a row-major size x size matrix, which is destroyed; -infinity if elimination finds
 * it singular, NaN if it has a NaN. */
double irn_log_abs_determinant(double *matrix, size_t size);

#endif
