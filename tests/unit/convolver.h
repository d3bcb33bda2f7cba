/* The library's ways to convolve behind one interface, random shapes for them, and random
 * epilogues with what they should give. */
#ifndef CONVOLVER_H
#define CONVOLVER_H

#include "guarded.h"

#include "oracle/conv.h"

/* TILED is what irn_conv_* does on devices of the kind that has local memory, DIRECT what it does
 * without. DENSE is by CLBlast, and nothing else may take its place. */
typedef enum convolver { DIRECT, TILED, POINTWISE, WINOGRAD, NARROW, DENSE, CONVOLVERS } convolver;

irn_conv convolver_conv(const oracle_conv *c, irn_activation activation);
/* Words for it; valid until the next call. */
const char *convolver_describe(const oracle_conv *c);

/* Any shape; or one that the fast form suits, should the device have it: false else. Gives the
 * context its own tuning back, without tiles for DIRECT, and with a few pixels at a time for DENSE.
 */
bool convolver_shape(irn_context *context, convolver how, oracle_conv *c);

irn_tensor convolver_x(const oracle_conv *c, irn_precision precision, const double *values);
irn_tensor convolver_y(const oracle_conv *c, irn_precision precision, const double *values);

/* y = epilogue(W x), x = epilogue(W^T y), with kernels derived from w anew. */
void convolver_forward(convolver how, const irn_conv *conv, const double *w, const irn_tensor *x,
                       const irn_epilogue *epilogue, const irn_tensor *y);
void convolver_backward(convolver how, const irn_conv *conv, const double *w, const irn_tensor *y,
                        const irn_epilogue *epilogue, const irn_tensor *x);

typedef struct gradients {
    irn_place weights, bias;
} gradients;
/* Floats of scratch that a gradient needs. */
size_t convolver_scratch(irn_context *context, convolver how, const oracle_conv *c, size_t images);
/* In scratch that is made for `room` images, at least as many as there are. */
gradients convolver_gradient(convolver how, const oracle_conv *c, size_t room, const double *x,
                             const double *y, bool with_bias);

/* ---- epilogues ---- */

/* What the result is added to, or taken off. */
enum { ALONE, RESIDUAL, RESIDUAL_IS_OUTPUT, MINUEND, MINUEND_IS_OUTPUT, OTHERS };
enum { NOTHING, ACTIVATE, DERIVATIVE, DERIVATIVE_IS_OUTPUT, FINISHES };

typedef struct ending {
    bool scale, bias;
    int finish, other;
    irn_activation activation;
} ending;

/* An epilogue with random operands, and the tensor it goes to. */
typedef struct finished {
    irn_epilogue epilogue;
    irn_tensor out, saved, other;
} finished;

/* Makes the epilogue, and turns plain, values of W x in the shape of `like`, into what it gives. */
void convolver_finish(finished *f, const ending *e, const irn_tensor *like, double *plain);

#endif
