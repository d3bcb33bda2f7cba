/* 3x3 convolutions by Winograd's F(4x4, 3x3), see winograd.clh: what irn_conv_* does with a third
 * of the arithmetic, in single precision, on devices whose work-items are threads. Errors in norm
 * are about twice those of irn_conv_* (1.6e-6 with 256 channels), of weight gradients up to 4
 * times. A NaN or infinity spreads to all 4x4 outputs of the tiles that see it. */
#ifndef IRN_WINOGRAD_H
#define IRN_WINOGRAD_H

#include "ops/conv.h"

/* The programs of these functions. */
extern const char irn_winograd_sources[];

/* Whether these functions can do the convolution on maps of this size, and faster. */
bool irn_winograd_suits(const irn_context *context, const irn_conv *conv, size_t height,
                        size_t width);

/* Elements of the transformed kernel, of W and of W^T alike. */
size_t irn_winograd_weights(const irn_context *context, const irn_conv *conv);

/* For irn_winograd_forward() from the convolution's weights, and for irn_winograd_backward() from
 * what irn_conv_transpose() made of them. */
irn_status irn_winograd_transform(irn_context *context, const irn_conv *conv, irn_place weights,
                                  irn_place transformed);
irn_status irn_winograd_transform_transposed(irn_context *context, const irn_conv *conv,
                                             irn_place transposed, irn_place transformed);

/* Tiles that winograd_tiles() goes through at a time, and elements of a slot for it on maps of this
 * width. */
size_t irn_winograd_group(const irn_context *context);
size_t irn_winograd_slot(const irn_context *context, const irn_conv *conv, size_t width);

/* Floats of scratch that forward and backward need on maps of this width. */
size_t irn_winograd_scratch(const irn_context *context, const irn_conv *conv, size_t width);

/* y = epilogue(W x), and x = epilogue(W^T y). */
irn_status irn_winograd_forward(const irn_conv *conv, irn_place transformed, const irn_tensor *x,
                                const irn_epilogue *epilogue, const irn_tensor *y, cl_mem scratch);
irn_status irn_winograd_backward(const irn_conv *conv, irn_place transformed, const irn_tensor *y,
                                 const irn_epilogue *epilogue, const irn_tensor *x, cl_mem scratch);

/* Floats of scratch that irn_winograd_weight_gradient() needs for these shapes. */
size_t irn_winograd_gradient_scratch(const irn_context *context, const irn_conv *conv,
                                     size_t images, size_t height, size_t width);

/* weights = sum over images and pixels of y outer x, in the layout of irn_conv_*; bias (may be
 * absent) = sum of y. They are overwritten. */
irn_status irn_winograd_weight_gradient(const irn_conv *conv, const irn_tensor *x,
                                        const irn_tensor *y, irn_place weights, irn_place bias,
                                        cl_mem scratch);

#endif
