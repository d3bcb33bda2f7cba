/* Operations without weights, or with two numbers a channel: activations, actnorm, squeeze. Inputs
 * and outputs of the elementwise ones may be the same tensor. */
#ifndef IRN_ELEMENTWISE_H
#define IRN_ELEMENTWISE_H

#include "ops/conv.h"

/* y = phi(z). beta: LipSwish's, else absent. */
irn_status irn_activation_forward(irn_activation activation, irn_place beta, const irn_tensor *z,
                                  const irn_tensor *y);
/* out = phi'(z) t, both the vector-Jacobian and the Jacobian-vector product; y = phi(z) is given,
 * or y = z where irn_saves_input(). */
irn_status irn_activation_derivative(irn_activation activation, irn_place beta, const irn_tensor *y,
                                     const irn_tensor *t, const irn_tensor *out);
/* The vjp of the jvp: out += phi''(z) zdot ydot_bar. */
irn_status irn_activation_second(irn_activation activation, irn_place beta, const irn_tensor *y,
                                 const irn_tensor *zdot, const irn_tensor *ydot_bar,
                                 const irn_tensor *out);

/* The end of a training step's vjp through an activation with a beta, and the gradient there: out =
 * phi'(z) ybar + gain. gain (NULL: 0) is the second-order part of log-determinants' pairs, plus
 * `rest` (NULL: 0). values: room for a float each image. out may be ybar. */
typedef struct irn_activation_gradient {
    irn_activation activation;
    irn_place beta, gradient;
    const irn_tensor *z, *ybar, *gain, *rest, *out;
    cl_mem values;
} irn_activation_gradient;
irn_status irn_activation_gradient_run(const irn_activation_gradient *what);

/* Actnorm: z = x exp(log_scale) + shift per channel; its inverse; its linear part, which is its own
 * transpose and so both jvp and vjp. */
irn_status irn_actnorm_forward(const irn_tensor *x, irn_place log_scale, irn_place shift,
                               const irn_tensor *z);
irn_status irn_actnorm_inverse(const irn_tensor *z, irn_place log_scale, irn_place shift,
                               const irn_tensor *x);
irn_status irn_actnorm_scale(const irn_tensor *x, irn_place log_scale, const irn_tensor *y);
/* Gradients of the parameters from the gradient g at z: sum of g (z - shift) and sum of g. */
irn_status irn_actnorm_gradient(const irn_tensor *g, const irn_tensor *z, irn_place shift,
                                irn_place log_scale_gradient, irn_place shift_gradient,
                                cl_mem scratch);

/* Space to channels and back: y [N, 4C, H, W] at channel (dy*2+dx)*C + c is x [N, C, 2H, 2W] at
 * (c, 2h+dy, 2w+dx). A permutation: inverse and transpose are the same. y may have more channels:
 * zeros on the way there, ignored on the way back. */
irn_status irn_squeeze(const irn_tensor *x, const irn_tensor *y);
irn_status irn_unsqueeze(const irn_tensor *y, const irn_tensor *x);

/* y = the channels from `first` on of x, as many as y has; and y = those of a, then those of b.
 * Maps are equal. */
irn_status irn_take_channels(const irn_tensor *x, size_t first, const irn_tensor *y);
irn_status irn_join_channels(const irn_tensor *a, const irn_tensor *b, const irn_tensor *y);

/* out[n] = <a_n, b_n> for every image n, in float32 on the device. */
irn_status irn_sample_dots(const irn_tensor *a, const irn_tensor *b, cl_mem out);
irn_status irn_sample_dots_at(const irn_tensor *a, const irn_tensor *b, irn_place out);
/* out[n] += <a_n, b_n>. */
irn_status irn_add_sample_dots(const irn_tensor *a, const irn_tensor *b, irn_place out);
/* Every image becomes one of norm 1, or where the square of its norm is zero or leaves float32's
 * range one that is not finite. */
irn_status irn_normalise_samples(const irn_tensor *x);

/* y += a x. */
irn_status irn_add_scaled(double a, const irn_tensor *x, const irn_tensor *y);

/* Means over images and pixels, channel by channel, of (p - centre) and (p - centre)(q - centre_q):
 * see reduce.cl. products may be absent; centre too. factor multiplies the sums. scratch:
 * irn_channel_scratch() floats. */
typedef struct irn_channel_sums {
    const irn_tensor *p, *q; /* q NULL: no products */
    irn_place centre;        /* absent: 0 */
    bool centre_p, centre_q; /* whether it is taken off p and off q */
    irn_place sums, products;
    double factor;
} irn_channel_sums;
irn_status irn_channel_sums_run(const irn_channel_sums *what, cl_mem scratch);
/* Each channel's mean, and the mean of the squares about it. */
irn_status irn_channel_moments(const irn_tensor *x, irn_place mean, irn_place variance,
                               cl_mem scratch);
size_t irn_channel_scratch(const irn_context *context, size_t channels);

#endif
