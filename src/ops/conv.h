/* Convolutions of stride 1 that keep the map's size, and with 1x1 kernels on 1x1 maps dense layers.
 */
#ifndef IRN_CONV_H
#define IRN_CONV_H

#include "tensor/tensor.h"

#include <iresnet/model.h>

typedef struct irn_conv {
    size_t inputs, outputs, kernel_height, kernel_width;
    irn_padding padding;
    irn_activation activation; /* what the epilogue's activate and derivative mean */
} irn_conv;

/* A place in device memory; memory NULL: absent. */
typedef struct irn_place {
    cl_mem memory;
    size_t offset; /* in elements */
} irn_place;

/* Whether derivatives of an activation are found from its input, not from its output. */
static inline bool irn_saves_input(irn_activation activation)
{
    return activation == IRN_LIPSWISH;
}

/* What happens to W x before it is stored, in this order; absent parts are left out:
 * y = scale W x + bias; y = minuend - y; then y = phi(y), or y = y phi'(.) with phi' from
 * `derivative` (not both), the activation's outputs, or its inputs where irn_saves_input(); y +=
 * residual (not with a minuend). minuend, derivative and residual have y's shape and may be y. */
typedef struct irn_epilogue {
    irn_place scale, bias, beta; /* beta: LipSwish's */
    const irn_tensor *minuend;
    bool activate;
    const irn_tensor *derivative, *residual;
} irn_epilogue;

/* Whether kernels can count the weights of a convolution, and it has some; models' are checked by
 * their arenas. */
irn_status irn_conv_check(const irn_context *context, const irn_conv *conv);

/* Elements of the kernel on the device. */
size_t irn_conv_weights(const irn_context *context, const irn_conv *conv);

/* y = epilogue(W x). Forward, and the Jacobian-vector product with the epilogue's derivative. */
irn_status irn_conv_forward(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                            const irn_epilogue *epilogue, const irn_tensor *y);

/* x = epilogue(W^T y), the vector-Jacobian product, with weights from irn_conv_transpose(). */
irn_status irn_conv_backward(const irn_conv *conv, irn_place transposed, const irn_tensor *y,
                             const irn_epilogue *epilogue, const irn_tensor *x);

/* The kernel of W^T: channels exchanged, taps reversed. */
irn_status irn_conv_transpose(irn_context *context, const irn_conv *conv, irn_place weights,
                              irn_place transposed);

/* Floats of scratch that irn_conv_weight_gradient() needs for these shapes. */
size_t irn_conv_gradient_scratch(irn_context *context, const irn_conv *conv, size_t images,
                                 size_t height, size_t width);

/* weights = sum over images and pixels of y outer x; bias (may be absent) = sum of y. They are
 * overwritten. */
irn_status irn_conv_weight_gradient(const irn_conv *conv, const irn_tensor *x, const irn_tensor *y,
                                    irn_place weights, irn_place bias, cl_mem scratch);

#endif
