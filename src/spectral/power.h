/* Soft spectral normalisation by power iteration on the real operator (Behrmann et al. 2019, eq.
 * 2), all layers of a model in one launch. */
#ifndef IRN_POWER_H
#define IRN_POWER_H

#include "ops/layers.h"

/* Layers W with the state that persists between steps. sigma estimates ||W|| from below; scale =
 * 1/(max(1, sigma/coefficient) + epsilon) makes the layer scale W. */
typedef struct irn_power {
    irn_layers layers; /* borrowed */
    cl_mem parameters, transposed, state;
    irn_padding padding;
    double coefficient; /* 0: no normalisation */
    double epsilon;     /* of kernels larger than 1x1; none is added for others */
} irn_power;

/* v = W^T u/|.|, u = W v/|.|, sigma = <u, W v>, `iterations` times, then scale. With a tolerance
 * that many are repeated until they change sigma by at most this share of it, up to 100. Queued, no
 * waiting. */
irn_status irn_power_iterate(const irn_power *power, size_t iterations, double tolerance);

/* dsigma/dW = u outer v as a gradient of the kernels, u and v constant, in a buffer with the
 * parameters' layout. */
irn_status irn_power_gradient(const irn_power *power, cl_mem sigma_gradient);

/* Turns the gradient with respect to the normalised kernels, in a buffer with the parameters'
 * layout, into that with respect to the raw kernels, in place. dots: a float a layer. */
irn_status irn_power_backward(const irn_power *power, cl_mem gradient, cl_mem sigma_gradient,
                              cl_mem dots);

#endif
