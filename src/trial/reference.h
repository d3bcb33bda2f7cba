/* What kernels should compute, in double precision on the host, written to be read. Arrays are
 * [images, channels, height, width] and [outputs, inputs, kernel height, kernel width]. */
#ifndef IRN_TRIAL_REFERENCE_H
#define IRN_TRIAL_REFERENCE_H

#include "ops/conv.h"

typedef struct irn_map {
    size_t images, height, width;
} irn_map;

size_t irn_kernel_count(const irn_conv *conv);

/* y = W x, and x = W^T y. */
void irn_reference_convolve(const irn_conv *conv, irn_map map, const double *w, const double *x,
                            double *y);
void irn_reference_convolve_back(const irn_conv *conv, irn_map map, const double *w,
                                 const double *y, double *x);
/* w = the gradient of <y, W x>. */
void irn_reference_kernel_gradient(const irn_conv *conv, irn_map map, const double *x,
                                   const double *y, double *w);
/* sums[c] = that of channel c over images and pixels. */
void irn_reference_channel_sums(irn_map map, size_t channels, const double *x, double *sums);

/* phi, phi' or phi'' (order 0 to 2) of z; beta is LipSwish's. */
double irn_reference_activation(irn_activation activation, double beta, double z, int order);
/* LipSwish's derivative with respect to beta. */
double irn_reference_lipswish_beta(double beta, double z);

double irn_reference_dot(const double *a, const double *b, size_t count);

#endif
