/* 1x1 convolutions as plain products, see pointwise.cl: what irn_conv_* does, faster, on devices
 * whose work-items are threads. */
#ifndef IRN_POINTWISE_H
#define IRN_POINTWISE_H

#include "ops/conv.h"

/* Whether irn_pointwise_apply() can do the convolution on maps of this size, and faster. */
bool irn_pointwise_suits(const irn_context *context, const irn_conv *conv, size_t height,
                         size_t width, irn_precision precision);

/* y = epilogue(W x), or with the weights of irn_conv_transpose() y = epilogue(W^T x). */
irn_status irn_pointwise_apply(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                               const irn_epilogue *epilogue, const irn_tensor *y);

#endif
