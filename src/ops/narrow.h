/* Convolutions with few outputs, see narrow.cl: what irn_conv_* does, faster, in single precision,
 * on devices whose work-items are threads. */
#ifndef IRN_NARROW_H
#define IRN_NARROW_H

#include "ops/conv.h"

/* Whether irn_narrow_forward(), and irn_narrow_backward() with inputs and outputs exchanged, can do
 * a convolution with so many outputs on maps of this width. */
bool irn_narrow_suits(const irn_context *context, const irn_conv *conv, size_t outputs,
                      size_t width);

/* Elements that a work-item needs on maps of this width, forward or backward, and all of them. */
size_t irn_narrow_slot(const irn_context *context, const irn_conv *conv, size_t width);
size_t irn_narrow_scratch(const irn_context *context, const irn_conv *conv, size_t width);

/* y = epilogue(W x), and x = epilogue(W^T y) with the weights of irn_conv_transpose(). */
irn_status irn_narrow_forward(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                              const irn_epilogue *epilogue, const irn_tensor *y, cl_mem scratch);
irn_status irn_narrow_backward(const irn_conv *conv, irn_place transposed, const irn_tensor *y,
                               const irn_epilogue *epilogue, const irn_tensor *x, cl_mem scratch);

#endif
