#include "convolver.h"

#include "ops/dense.h"
#include "ops/narrow.h"
#include "ops/pointwise.h"
#include "ops/tiled.h"
#include "ops/winograd.h"
#include "oracle/elementwise.h"
#include "runtime/tuning.h"

#include <stdio.h>
#include <string.h>

irn_conv convolver_conv(const oracle_conv *c, irn_activation activation)
{
    return (irn_conv){.inputs = c->inputs,
                      .outputs = c->outputs,
                      .kernel_height = c->kernel_height,
                      .kernel_width = c->kernel_width,
                      .padding = c->circular ? IRN_PAD_CIRCULAR : IRN_PAD_ZEROS,
                      .activation = activation};
}

const char *convolver_describe(const oracle_conv *c)
{
    static char text[96];
    snprintf(text, sizeof text, "%zu images %zu->%zu %zux%zu map %zux%zu kernel %s", c->images,
             c->inputs, c->outputs, c->height, c->width, c->kernel_height, c->kernel_width,
             c->circular ? "circular" : "zeros");
    return text;
}

/* ---- shapes ---- */

static oracle_conv random_shape(void)
{
    const size_t sizes[] = {1, 2, 3, 3, 3, 5, 7};
    size_t channels = host_step(1) > 1 ? 20 : 40; /* fewer where devices are slow */
    return (oracle_conv){.images = host_between(1, 5),
                         .inputs = host_between(1, channels),
                         .outputs = host_between(1, channels),
                         .height = host_between(1, 9),
                         .width = host_between(1, 9),
                         .kernel_height = sizes[host_below(7)],
                         .kernel_width = sizes[host_below(7)],
                         .circular = host_below(2) == 1};
}

static bool suits(const irn_context *context, convolver how, const oracle_conv *c)
{
    irn_conv conv = convolver_conv(c, IRN_ELU);
    if (how == TILED)
        return irn_tiled_suits(context, c->outputs) && irn_tiled_gradient_suits(context);
    if (how == DENSE)
        return irn_dense_suits(context, &conv) && irn_dense_gradient_suits(context, &conv);
    if (how == NARROW)
        return irn_narrow_suits(context, &conv, irn_smaller(c->inputs, c->outputs), c->width);
    return how == WINOGRAD ? irn_winograd_suits(context, &conv, c->height, c->width)
                           : irn_pointwise_suits(context, &conv, c->height, c->width, IRN_SINGLE);
}

/* Has irn_conv_* go one way or the other. */
static void take(irn_context *context, convolver how)
{
    context->tuning = irn_tuning_for(&context->info);
    if (how == DIRECT)
        memset(context->tuning.tiles, 0, sizeof context->tuning.tiles);
    for (irn_tile_use use = IRN_TILE_DENSE; use <= IRN_TILE_DENSE_GRADIENT && how == DENSE; use++)
        if (irn_tile_candidate(&context->tuning.tiles[use], &context->info, use, 1))
            context->tuning.tiles[use].size[0] = (unsigned)host_between(1, 150);
}

/* That CLBlast has done it. */
static void check_blas(const irn_context *context)
{
    ck_assert_msg(!context->blas_refused, "CLBlast has failed: %s", irn_last_error());
}

/* More channels than a tile's 64 under few taps; under many, as few as keep the work of a whole
 * tile bearable for slow devices. */
static void choose_channels(oracle_conv *c)
{
    size_t quads = host_step(1) > 1 ? 24 : 160;
    size_t most = irn_larger(4 * quads / (c->kernel_height * c->kernel_width), 12);
    c->inputs = host_between(1, irn_smaller(most, 80));
    c->outputs = host_between(9, irn_smaller(most, 80)); /* fewer are not for tiles */
}

bool convolver_shape(irn_context *context, convolver how, oracle_conv *c)
{
    *c = random_shape();
    take(context, how);
    if (how == DIRECT)
        return true;
    if (how == TILED)
        choose_channels(c);
    else if (how == NARROW)
        *(host_below(2) ? &c->inputs : &c->outputs) = host_between(1, 4);
    else
        c->kernel_height = c->kernel_width = how == WINOGRAD ? 3 : 1;
    for (int i = 0; i < 20; i++) {
        if (suits(context, how, c))
            return true;
        c->height = host_between(1, 14);
        c->width = host_between(1, 14);
    }
    return false;
}

irn_tensor convolver_x(const oracle_conv *c, irn_precision precision, const double *values)
{
    return guarded_tensor(precision, c->images, c->inputs, c->height, c->width, values);
}

irn_tensor convolver_y(const oracle_conv *c, irn_precision precision, const double *values)
{
    return guarded_tensor(precision, c->images, c->outputs, c->height, c->width, values);
}

/* ---- both ways ---- */

/* Scratch full of NaN, for calls that take a buffer from its beginning; what is behind `size` must
 * stay as it is. */
typedef struct scratch {
    cl_mem memory;
    size_t size;
} scratch;

enum { BEHIND = 64 };

static scratch scratch_create(irn_context *context, size_t size)
{
    scratch s = {.size = size};
    float *nan = host_floats(size + BEHIND);
    memset(nan, 0xff, (size + BEHIND) * sizeof *nan);
    testing_ok(irn_memory_create(context, &s.memory, size + BEHIND, sizeof *nan, false));
    testing_ok(irn_memory_write(context, s.memory, 0, nan, (size + BEHIND) * sizeof *nan));
    return s;
}

static void scratch_free(irn_context *context, scratch s)
{
    float behind[BEHIND], nan[BEHIND];
    memset(nan, 0xff, sizeof nan);
    testing_ok(irn_memory_read(context, s.memory, s.size * sizeof *nan, behind, sizeof behind));
    ck_assert_msg(memcmp(behind, nan, sizeof nan) == 0, "written behind %zu floats of scratch",
                  s.size);
    irn_memory_release(context, s.memory);
}

/* The kernel of the adjoint, transposed by the device and then widened. */
static irn_place transposed(irn_context *context, irn_precision precision, const irn_conv *conv,
                            const double *w)
{
    irn_conv other = *conv;
    other.inputs = conv->outputs;
    other.outputs = conv->inputs;
    irn_place plain = guarded_kernel(IRN_SINGLE, conv, w);
    irn_place out = guarded_kernel(IRN_SINGLE, &other, NULL);
    testing_ok(irn_conv_transpose(context, conv, plain, out));
    return precision == IRN_SINGLE
               ? out
               : guarded_kernel(precision, &other, guarded_read_kernel(out, &other));
}

void convolver_forward(convolver how, const irn_conv *conv, const double *w, const irn_tensor *x,
                       const irn_epilogue *epilogue, const irn_tensor *y)
{
    irn_context *context = x->context;
    irn_place kernel = guarded_kernel(x->precision, conv, w);
    if (how == NARROW && irn_narrow_suits(context, conv, conv->outputs, x->width)) {
        scratch s = scratch_create(context, irn_narrow_scratch(context, conv, x->width));
        testing_ok(irn_narrow_forward(conv, kernel, x, epilogue, y, s.memory));
        scratch_free(context, s);
        return;
    }
    if (how == DENSE) {
        scratch s = scratch_create(context, irn_dense_scratch(context, conv, x->height, x->width));
        testing_ok(irn_dense_apply(conv, kernel, x, epilogue, y, s.memory));
        scratch_free(context, s);
        check_blas(context);
        return;
    }
    if (how != WINOGRAD) {
        testing_ok(irn_conv_forward(conv, kernel, x, epilogue, y));
        return;
    }
    scratch s = scratch_create(context, irn_winograd_scratch(context, conv, x->width));
    irn_place transformed = guarded_place(IRN_SINGLE, irn_winograd_weights(context, conv));
    testing_ok(irn_winograd_transform(context, conv, kernel, transformed));
    testing_ok(irn_winograd_forward(conv, transformed, x, epilogue, y, s.memory));
    scratch_free(context, s);
}

void convolver_backward(convolver how, const irn_conv *conv, const double *w, const irn_tensor *y,
                        const irn_epilogue *epilogue, const irn_tensor *x)
{
    irn_context *context = y->context;
    irn_place kernel = transposed(context, y->precision, conv, w);
    if (how == NARROW && irn_narrow_suits(context, conv, conv->inputs, y->width)) {
        scratch s = scratch_create(context, irn_narrow_scratch(context, conv, y->width));
        testing_ok(irn_narrow_backward(conv, kernel, y, epilogue, x, s.memory));
        scratch_free(context, s);
        return;
    }
    if (how == DENSE) {
        scratch s = scratch_create(context, irn_dense_scratch(context, conv, y->height, y->width));
        testing_ok(irn_dense_apply(conv, kernel, y, epilogue, x, s.memory));
        scratch_free(context, s);
        check_blas(context);
        return;
    }
    if (how != WINOGRAD) {
        testing_ok(irn_conv_backward(conv, kernel, y, epilogue, x));
        return;
    }
    scratch s = scratch_create(context, irn_winograd_scratch(context, conv, y->width));
    irn_place transformed = guarded_place(IRN_SINGLE, irn_winograd_weights(context, conv));
    testing_ok(irn_winograd_transform_transposed(context, conv, kernel, transformed));
    testing_ok(irn_winograd_backward(conv, transformed, y, epilogue, x, s.memory));
    scratch_free(context, s);
}

size_t convolver_scratch(irn_context *context, convolver how, const oracle_conv *c, size_t images)
{
    irn_conv conv = convolver_conv(c, IRN_ELU);
    if (how == DENSE)
        return irn_dense_gradient_scratch(context, &conv, images, c->height, c->width);
    return how != WINOGRAD
               ? irn_conv_gradient_scratch(context, &conv, images, c->height, c->width)
               : irn_winograd_gradient_scratch(context, &conv, images, c->height, c->width);
}

gradients convolver_gradient(convolver how, const oracle_conv *c, size_t room, const double *x,
                             const double *y, bool with_bias)
{
    irn_conv conv = convolver_conv(c, IRN_ELU);
    irn_tensor in = convolver_x(c, IRN_SINGLE, x), out = convolver_y(c, IRN_SINGLE, y);
    irn_context *context = in.context;
    gradients g = {.weights = guarded_kernel(IRN_SINGLE, &conv, NULL)};
    scratch s = scratch_create(context, convolver_scratch(context, how, c, room));
    if (with_bias)
        g.bias = guarded_vector(IRN_SINGLE, c->outputs, NULL);
    if (how == DENSE)
        testing_ok(irn_dense_weight_gradient(&conv, &in, &out, g.weights, g.bias, s.memory));
    else if (how == WINOGRAD)
        testing_ok(irn_winograd_weight_gradient(&conv, &in, &out, g.weights, g.bias, s.memory));
    else
        testing_ok(irn_conv_weight_gradient(&conv, &in, &out, g.weights, g.bias, s.memory));
    scratch_free(context, s);
    check_blas(context);
    return g;
}

/* ---- epilogues ---- */

static irn_tensor shaped_like(const irn_tensor *like, const double *values)
{
    return guarded_tensor(like->precision, like->images, like->channels, like->height, like->width,
                          values);
}

static bool takes_off(const ending *e)
{
    return e->other == MINUEND || e->other == MINUEND_IS_OUTPUT;
}

/* The end of a convolution for one value of W x, in double. z: where the derivative is taken. */
static double finish(const ending *e, double value, double z, double other)
{
    if (takes_off(e))
        value = other - value;
    if (e->finish == ACTIVATE)
        value = oracle_activation(e->activation, value);
    if (e->finish >= DERIVATIVE)
        value *= oracle_derivative(e->activation, z);
    return e->other == ALONE || takes_off(e) ? value : value + other;
}

void convolver_finish(finished *f, const ending *e, const irn_tensor *like, double *plain)
{
    size_t pixels = like->height * like->width, channels = like->channels;
    size_t count = like->images * channels * pixels;
    double *scale = host_normal(1), *bias = host_normal(channels), *z = host_normal(count);
    double *other = host_normal(count);
    bool onto = e->other == RESIDUAL_IS_OUTPUT || e->other == MINUEND_IS_OUTPUT;
    const double number = ORACLE_BETA;
    irn_place beta = guarded_vector(like->precision, 1, &number);
    irn_tensor before = shaped_like(like, z);
    memset(f, 0, sizeof *f);
    f->out = shaped_like(like, onto ? other : NULL);
    f->saved = e->finish == DERIVATIVE_IS_OUTPUT ? f->out : shaped_like(like, NULL);
    f->other = onto ? f->out : shaped_like(like, other);
    if (e->finish >= DERIVATIVE && irn_saves_input(e->activation))
        testing_ok(irn_tensor_copy(&before, &f->saved));
    else if (e->finish >= DERIVATIVE)
        testing_ok(irn_activation_forward(e->activation, beta, &before, &f->saved));
    for (size_t i = 0; i < count; i++) {
        double value =
            plain[i] * (e->scale ? scale[0] : 1) + (e->bias ? bias[i / pixels % channels] : 0);
        plain[i] = finish(e, value, z[i], other[i]);
    }
    if (e->scale)
        f->epilogue.scale = guarded_vector(like->precision, 1, scale);
    if (e->bias)
        f->epilogue.bias = guarded_vector(like->precision, channels, bias);
    if (e->finish >= ACTIVATE) /* nobody may read it otherwise */
        f->epilogue.beta = beta;
    f->epilogue.activate = e->finish == ACTIVATE;
    f->epilogue.derivative = e->finish >= DERIVATIVE ? &f->saved : NULL;
    if (takes_off(e))
        f->epilogue.minuend = &f->other;
    else if (e->other != ALONE)
        f->epilogue.residual = &f->other;
}
