/* log det(I + J) of a residual block by Hutchinson's estimator of its power series (iR algorithm
 * 2), and the one routine that gradients of all such estimators are made of. J is the Jacobian of
 * g; actnorm's part of a block's log-determinant is not included. */
#ifndef IRN_LOGDET_H
#define IRN_LOGDET_H

#include "flow/model.h"

/* Adds the gradient of sum over images of a^T J(z; theta) t, with a and t constant: with respect to
 * the normalised kernels and the biases to `gradient`, a buffer like the parameters', and with
 * respect to the block's input z (after actnorm) to z_gradient. `inputs` are what
 * irn_block_residual() kept for z. Needs irn_model_prepare(). */
irn_status irn_block_pair_gradient(const irn_model *model, const irn_block *block,
                                   const irn_tensor *z, const irn_tensor *inputs,
                                   const irn_tensor *a, const irn_tensor *t, cl_mem gradient,
                                   const irn_tensor *z_gradient);

/* The estimator sum_{k=1..terms} (-1)^{k+1}/k <(J^T)^k seed, probe>, image by image, into the
 * host's values[images]; seed is the probe, or the probe times an image's weight in the loss. With
 * gradient and z_gradient not NULL its exact gradient, summed over images, is added there as by
 * irn_block_pair_gradient(): pairs t_j = J^j probe, a_j = sum_{i=0..terms-1-j} c_{i+j+1} (J^T)^i
 * seed. Waits for the device. */
irn_status irn_block_logdet_series(const irn_model *model, const irn_block *block,
                                   const irn_tensor *z, const irn_tensor *inputs,
                                   const irn_tensor *probe, const irn_tensor *seed, size_t terms,
                                   double *values, cl_mem gradient, const irn_tensor *z_gradient);

#endif
