/* Soft spectral normalisation by power iteration on the real operator (Behrmann et al. 2019, eq.
 * 2). */
#ifndef IRN_POWER_H
#define IRN_POWER_H

#include "ops/conv.h"

/* One layer's operator W on its map with the state that persists between steps. sigma estimates
 * ||W|| from below; scale = 1/(max(1, sigma/coefficient) + epsilon) makes the layer scale W. */
typedef struct irn_power {
    irn_conv conv;
    irn_place weights, transposed;
    irn_tensor u, v; /* [1, outputs, H, W], [1, inputs, H, W]: unit vectors */
    irn_place sigma, scale;
    double coefficient, epsilon;
} irn_power;

/* v = W^T u/|.|, u = W v/|.|, sigma = <u, W v>, `iterations` times, then scale. Queued, no waiting.
 */
irn_status irn_power_iterate(const irn_power *power, size_t iterations);

/* The same, `between` at a time, until they change sigma by at most this share of it, up to `most`
 * iterations. Waits for the device. */
irn_status irn_power_converge(const irn_power *power, size_t between, double tolerance,
                              size_t most);

/* dsigma/dW = u outer v as a gradient of the kernel, u and v constant. */
irn_status irn_power_gradient(const irn_power *power, irn_place gradient, cl_mem scratch);

/* What the kernels of power.cl must know of each layer of a model; device offsets in elements. */
typedef struct irn_layer_row {
    cl_ulong weights, weight_blocks, scale, sigma, outputs, inputs, taps;
} irn_layer_row;

/* Turns the gradient with respect to the normalised kernels, in a buffer with the parameters'
 * layout, into that with respect to the raw kernels, in place, for all layers. coefficient 0: no
 * normalisation. */
typedef struct irn_layer_gradients {
    irn_context *context;
    cl_mem table;           /* irn_layer_row each */
    size_t layers, largest; /* the most blocks that a layer has */
    cl_mem parameters, gradient, sigma_gradient, state, dots;
    double coefficient;
} irn_layer_gradients;
irn_status irn_layer_gradients_run(const irn_layer_gradients *what);

#endif
