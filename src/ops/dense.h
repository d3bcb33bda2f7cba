/* 1x1 kernels, and with 1x1 maps dense layers, by CLBlast: what irn_conv_* does, in single
 * precision on GPUs whose tuning says so. In the layout [N][C/4][H][W][4] the pixels of one image
 * and block are a matrix of 4 columns, of which CLBlast could not make one product: so maps go to
 * plain matrices and back (dense.cl), some images at a time. Whether that pays, `iresnet tune`
 * measures. Where CLBlast fails, irn_conv_* is called instead. */
#ifndef IRN_DENSE_H
#define IRN_DENSE_H

#include "ops/conv.h"

/* Whether to compute y = W x and x = W^T y so; and the weight gradient. */
bool irn_dense_suits(const irn_context *context, const irn_conv *conv);
bool irn_dense_gradient_suits(const irn_context *context, const irn_conv *conv);

/* Floats of scratch that irn_dense_apply() needs on maps of this size, either way. */
size_t irn_dense_scratch(irn_context *context, const irn_conv *conv, size_t height, size_t width);

/* y = epilogue(W x), or with the weights of irn_conv_transpose() y = epilogue(W^T x). */
irn_status irn_dense_apply(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                           const irn_epilogue *epilogue, const irn_tensor *y, cl_mem scratch);

/* Floats of scratch that irn_dense_weight_gradient() needs for these shapes. */
size_t irn_dense_gradient_scratch(irn_context *context, const irn_conv *conv, size_t images,
                                  size_t height, size_t width);

/* weights = sum over images and pixels of y outer x; bias (may be absent) = sum of y. They are
 * overwritten. */
irn_status irn_dense_weight_gradient(const irn_conv *conv, const irn_tensor *x, const irn_tensor *y,
                                     irn_place weights, irn_place bias, cl_mem scratch);

#endif
