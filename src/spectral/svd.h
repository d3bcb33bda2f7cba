/* Singular values of complex matrices in float64 on the host, for devices without float64. */
#ifndef IRN_SVD_H
#define IRN_SVD_H

#include "spectral/symbol.h"

/* Doubles of scratch that irn_svd_host() needs. */
size_t irn_svd_scratch(const irn_layout *layout);

/* The `wanted` largest singular values, descending, of a matrix stored as irn_layout says, which is
 * destroyed. The same method as cl/svd.cl, where it is explained. */
void irn_svd_host(const irn_layout *layout, double *matrix, double *scratch, double *values,
                  size_t wanted);

#endif
