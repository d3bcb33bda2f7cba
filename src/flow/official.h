/* How the official PyTorch code (jhjacobsen/invertible-resnet) normalises its kernels. */
#ifndef IRN_OFFICIAL_H
#define IRN_OFFICIAL_H

#include "io/safetensors.h"

/* 1 / (max(1, sigma / coefficient) + epsilon), epsilon for kernels larger than 1x1 only, in the
 * precision in which a model keeps it. */
float irn_official_scale(double sigma, double coefficient, double epsilon, bool large);

/* The options coeff and eps in the file's metadata key `config`. Errors: IRN_ERROR_FORMAT. */
irn_status irn_official_normalisation(const irn_safetensors *file, double *coefficient,
                                      double *epsilon);

#endif
