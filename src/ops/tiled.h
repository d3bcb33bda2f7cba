/* Convolutions and their weight gradients by tiles in local memory, see conv_tiled.cl and
 * conv_tiled_gradient.cl: what irn_conv_* does, for GPUs.
 * A 1x1 kernel is the case of a single tap and a dense layer that of a single pixel; dense.h may
 * take both. */
#ifndef IRN_TILED_H
#define IRN_TILED_H

#include "ops/conv.h"

/* Whether to compute y = W x with so many output channels by tiles; and a weight gradient. */
bool irn_tiled_suits(const irn_context *context, size_t outputs);
bool irn_tiled_gradient_suits(const irn_context *context);

/* y = epilogue(W x), or with the weights of irn_conv_transpose() y = epilogue(W^T x): pad_y and
 * pad_x are the border in front. */
irn_status irn_tiled_apply(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                           const irn_epilogue *epilogue, const irn_tensor *y, size_t pad_y,
                           size_t pad_x);

/* Into how many parts a gradient divides the pixels. More images never need fewer. */
size_t irn_tiled_splits(const irn_context *context, const irn_conv *conv, size_t pixels);

/* The parts' sums, for conv.cl's conv_reduce_partials: weights, then biases if they are wanted. */
irn_status irn_tiled_gradient(const irn_conv *conv, const irn_tensor *x, const irn_tensor *y,
                              bool biases, cl_mem scratch, size_t splits);

#endif
