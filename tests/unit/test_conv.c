/* Convolutions, their adjoint and their weight gradient, against a double-precision oracle. */
#include "guarded.h"

#include "oracle/conv.h"
#include "oracle/elementwise.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double tolerance[2] = {1e-5, 1e-12}; /* by precision */

static irn_conv device_conv(const oracle_conv *c, irn_activation activation)
{
    return (irn_conv){.inputs = c->inputs,
                      .outputs = c->outputs,
                      .kernel_height = c->kernel_height,
                      .kernel_width = c->kernel_width,
                      .padding = c->circular ? IRN_PAD_CIRCULAR : IRN_PAD_ZEROS,
                      .activation = activation};
}

static oracle_conv random_shape(void)
{
    const size_t sizes[] = {1, 2, 3, 3, 3, 5};
    return (oracle_conv){.images = host_between(1, 5),
                         .inputs = host_between(1, 40),
                         .outputs = host_between(1, 40),
                         .height = host_between(1, 9),
                         .width = host_between(1, 9),
                         .kernel_height = sizes[host_below(6)],
                         .kernel_width = sizes[host_below(6)],
                         .circular = host_below(2) == 1};
}

/* Shapes that specialised kernels like: 3x3, whole blocks of channels, larger maps. */
static oracle_conv regular_shape(void)
{
    const size_t channels[] = {16, 32, 48}, maps[] = {4, 7, 8, 12, 14};
    return (oracle_conv){.images = host_between(1, 3),
                         .inputs = channels[host_below(3)],
                         .outputs = channels[host_below(3)],
                         .height = maps[host_below(5)],
                         .width = maps[host_below(5)],
                         .kernel_height = 3,
                         .kernel_width = 3,
                         .circular = host_below(3) == 0};
}

static const char *describe(const oracle_conv *c)
{
    static char text[96];
    snprintf(text, sizeof text, "%zu images %zu->%zu %zux%zu map %zux%zu kernel %s", c->images,
             c->inputs, c->outputs, c->height, c->width, c->kernel_height, c->kernel_width,
             c->circular ? "circular" : "zeros");
    return text;
}

static irn_tensor tensor_x(const oracle_conv *c, irn_precision precision, const double *values)
{
    return guarded_tensor(precision, c->images, c->inputs, c->height, c->width, values);
}

static irn_tensor tensor_y(const oracle_conv *c, irn_precision precision, const double *values)
{
    return guarded_tensor(precision, c->images, c->outputs, c->height, c->width, values);
}

/* The kernel of the adjoint, transposed by the device and then widened. */
static irn_place transposed(irn_context *context, irn_precision precision, const irn_conv *conv,
                            const double *weights)
{
    irn_conv other = *conv;
    other.inputs = conv->outputs;
    other.outputs = conv->inputs;
    irn_place plain = guarded_kernel(IRN_SINGLE, conv, weights);
    irn_place out = guarded_kernel(IRN_SINGLE, &other, NULL);
    testing_ok(irn_conv_transpose(context, conv, plain, out));
    return precision == IRN_SINGLE
               ? out
               : guarded_kernel(precision, &other, guarded_read_kernel(out, &other));
}

/* ---- epilogues ---- */

enum { NO_RESIDUAL, RESIDUAL, RESIDUAL_IS_OUTPUT, RESIDUALS };
enum { NOTHING, ACTIVATE, DERIVATIVE, DERIVATIVE_IS_OUTPUT, FINISHES };

typedef struct ending {
    bool scale, bias;
    int finish, residual;
    irn_activation activation;
} ending;

/* What a random epilogue needs, on the host, and the tensor it goes to. */
typedef struct finished {
    irn_epilogue epilogue;
    irn_tensor out, saved, residual;
} finished;

/* Turns plain, values of W x, into what is expected, and makes the epilogue. out has the shape of
 * `like`. */
static void finish(finished *f, const ending *e, const irn_tensor *like, double *plain)
{
    size_t pixels = like->height * like->width, channels = like->channels;
    size_t count = like->images * channels * pixels;
    irn_precision precision = like->precision;
    double *scale = host_normal(1), *bias = host_normal(channels), *z = host_normal(count);
    double *residual = host_normal(count);
    irn_tensor before =
        guarded_tensor(precision, like->images, channels, like->height, like->width, z);
    memset(f, 0, sizeof *f);
    f->out = guarded_tensor(precision, like->images, channels, like->height, like->width,
                            e->residual == RESIDUAL_IS_OUTPUT ? residual : NULL);
    f->saved = e->finish == DERIVATIVE_IS_OUTPUT ? f->out
                                                 : guarded_tensor(precision, like->images, channels,
                                                                  like->height, like->width, NULL);
    f->residual = e->residual == RESIDUAL_IS_OUTPUT
                      ? f->out
                      : guarded_tensor(precision, like->images, channels, like->height, like->width,
                                       residual);
    if (e->finish >= DERIVATIVE)
        testing_ok(irn_activation_forward(e->activation, &before, &f->saved));
    for (size_t i = 0; i < count; i++) {
        double value =
            plain[i] * (e->scale ? scale[0] : 1) + (e->bias ? bias[i / pixels % channels] : 0);
        value = e->finish == ACTIVATE ? oracle_activation(e->activation, value) : value;
        value *= e->finish >= DERIVATIVE ? oracle_derivative(e->activation, z[i]) : 1;
        plain[i] = value + (e->residual ? residual[i] : 0);
    }
    if (e->scale)
        f->epilogue.scale = guarded_vector(precision, 1, scale);
    if (e->bias)
        f->epilogue.bias = guarded_vector(precision, channels, bias);
    f->epilogue.activate = e->finish == ACTIVATE;
    f->epilogue.derivative = e->finish >= DERIVATIVE ? &f->saved : NULL;
    f->epilogue.residual = e->residual ? &f->residual : NULL;
}

static void check_ending(irn_context *context, const oracle_conv *c, irn_precision precision,
                         const ending *e)
{
    irn_conv conv = device_conv(c, e->activation);
    double *w = host_normal(oracle_conv_weights(c)), *x = host_normal(oracle_conv_inputs(c));
    double *y = host_normal(oracle_conv_outputs(c));
    double *wx = host_doubles(oracle_conv_outputs(c)), *wy = host_doubles(oracle_conv_inputs(c));
    irn_tensor in = tensor_x(c, precision, x), back = tensor_y(c, precision, y);
    finished f;
    guarded_read(&in);
    oracle_conv_forward(c, w, x, wx);
    finish(&f, e, &back, wx);
    testing_ok(
        irn_conv_forward(&conv, guarded_kernel(precision, &conv, w), &in, &f.epilogue, &f.out));
    host_check(wx, guarded_read_clean(&f.out), oracle_conv_outputs(c), tolerance[precision],
               "conv %s, scale %d bias %d finish %d residual %d", describe(c), e->scale, e->bias,
               e->finish, e->residual);
    oracle_conv_backward(c, w, y, wy);
    finish(&f, e, &in, wy);
    testing_ok(irn_conv_backward(&conv, transposed(context, precision, &conv, w), &back,
                                 &f.epilogue, &f.out));
    host_check(wy, guarded_read_clean(&f.out), oracle_conv_inputs(c), tolerance[precision],
               "adjoint %s, scale %d bias %d finish %d residual %d", describe(c), e->scale, e->bias,
               e->finish, e->residual);
}

/* Every step-th combination; 1: all. */
static void check_endings(irn_context *context, irn_precision precision, oracle_conv shape(void),
                          irn_activation activation, int step)
{
    for (int i = 0; i < 4 * FINISHES * RESIDUALS; i += step) {
        ending e = {.scale = i % 2,
                    .bias = i / 2 % 2,
                    .finish = i / 4 % FINISHES,
                    .residual = i / 4 / FINISHES,
                    .activation = activation};
        if (e.finish == DERIVATIVE_IS_OUTPUT && e.residual == RESIDUAL_IS_OUTPUT)
            continue;
        oracle_conv c = shape();
        guarded_begin(context);
        check_ending(context, &c, precision, &e);
        guarded_end();
        host_free_all();
    }
}

START_TEST(convolutions)
{
    irn_context *context = devices_open(_i);
    check_endings(context, IRN_SINGLE, random_shape, IRN_ELU, 1);
    /* Padded channels need care where phi(0) is not 0. */
    check_endings(context, IRN_SINGLE, random_shape, IRN_SOFTPLUS, 1);
    check_endings(context, IRN_SINGLE, regular_shape, IRN_ELU, 1);
    devices_close(context);
}
END_TEST

START_TEST(other_activations)
{
    irn_context *context = devices_open(_i);
    check_endings(context, IRN_SINGLE, random_shape, IRN_IDENTITY, 5);
    check_endings(context, IRN_SINGLE, random_shape, IRN_RELU, 5);
    check_endings(context, IRN_SINGLE, random_shape, IRN_TANH, 5);
    devices_close(context);
}
END_TEST

START_TEST(convolutions_in_double)
{
    irn_context *context = devices_open(_i);
    if (irn_context_device(context)->has_fp64) {
        check_endings(context, IRN_DOUBLE, random_shape, IRN_ELU, 1);
        check_endings(context, IRN_DOUBLE, random_shape, IRN_SOFTPLUS, 5);
    }
    devices_close(context);
}
END_TEST

/* ---- the gradient with respect to the kernel ---- */

typedef struct gradients {
    irn_place weights, bias;
} gradients;

static gradients weight_gradient(irn_context *context, const oracle_conv *c, const double *x,
                                 const double *y, bool with_bias)
{
    irn_conv conv = device_conv(c, IRN_ELU);
    irn_tensor in = tensor_x(c, IRN_SINGLE, x), out = tensor_y(c, IRN_SINGLE, y);
    gradients g = {.weights = guarded_kernel(IRN_SINGLE, &conv, NULL)};
    size_t size = irn_conv_gradient_scratch(context, &conv, c->images, c->height, c->width);
    cl_mem scratch;
    if (with_bias)
        g.bias = guarded_vector(IRN_SINGLE, c->outputs, NULL);
    testing_ok(irn_memory_create(context, &scratch, size, sizeof(float), false));
    float *nan = host_floats(size);
    memset(nan, 0xff, size * sizeof *nan);
    testing_ok(irn_memory_write(context, scratch, 0, nan, size * sizeof *nan));
    testing_ok(irn_conv_weight_gradient(&conv, &in, &out, g.weights, g.bias, scratch));
    testing_ok(irn_finish(context));
    irn_memory_release(context, scratch);
    return g;
}

static void check_weight_gradient(irn_context *context, const oracle_conv *c)
{
    irn_conv conv = device_conv(c, IRN_ELU);
    double *x = host_normal(oracle_conv_inputs(c)), *y = host_normal(oracle_conv_outputs(c));
    double *w = host_doubles(oracle_conv_weights(c)), *bias = host_doubles(c->outputs);
    bool with_bias = host_below(4) > 0;
    guarded_begin(context);
    gradients g = weight_gradient(context, c, x, y, with_bias);
    oracle_conv_gradient(c, x, y, w, bias);
    host_check(w, guarded_read_kernel(g.weights, &conv), oracle_conv_weights(c),
               tolerance[IRN_SINGLE], "weight gradient %s", describe(c));
    if (with_bias)
        host_check(bias, guarded_read_vector(g.bias, c->outputs), c->outputs, tolerance[IRN_SINGLE],
                   "bias gradient %s", describe(c));
    guarded_end();
    host_free_all();
}

START_TEST(weight_gradients)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 60; i++) {
        oracle_conv c = i % 3 ? random_shape() : regular_shape();
        check_weight_gradient(context, &c);
    }
    devices_close(context);
}
END_TEST

/* ---- <Wx, y> = <x, W^T y> = <W, gradient(x, y)> ---- */

static void check_adjoint(irn_context *context, const oracle_conv *c, irn_precision precision)
{
    const irn_epilogue plain = {.activate = false};
    irn_conv conv = device_conv(c, IRN_ELU);
    size_t inputs = oracle_conv_inputs(c), outputs = oracle_conv_outputs(c);
    double *w = host_normal(oracle_conv_weights(c));
    double *x = host_normal(inputs), *y = host_normal(outputs);
    guarded_begin(context);
    irn_tensor in = tensor_x(c, precision, x), out = tensor_y(c, precision, NULL);
    irn_tensor from = tensor_y(c, precision, y), back = tensor_x(c, precision, NULL);
    irn_place kernel = guarded_kernel(precision, &conv, w);
    testing_ok(irn_conv_forward(&conv, kernel, &in, &plain, &out));
    testing_ok(
        irn_conv_backward(&conv, transposed(context, precision, &conv, w), &from, &plain, &back));
    double *wx = guarded_read(&out), product = host_dot(wx, y, outputs);
    double limit = tolerance[precision] * host_norm(wx, outputs) * host_norm(y, outputs);
    host_check_number(product, host_dot(x, guarded_read(&back), inputs), limit, "<x, W^T y> %s",
                      describe(c));
    if (precision == IRN_SINGLE) {
        gradients g = weight_gradient(context, c, x, y, false);
        double *found = guarded_read_kernel(g.weights, &conv);
        limit = fmax(limit, tolerance[precision] * host_norm(w, oracle_conv_weights(c)) *
                                host_norm(found, oracle_conv_weights(c)));
        host_check_number(product, host_dot(w, found, oracle_conv_weights(c)), limit,
                          "<W, gradient> %s", describe(c));
    }
    guarded_end();
    host_free_all();
}

START_TEST(adjoints)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 40; i++) {
        oracle_conv c = i % 3 ? random_shape() : regular_shape();
        check_adjoint(context, &c, IRN_SINGLE);
        if (irn_context_device(context)->has_fp64)
            check_adjoint(context, &c, IRN_DOUBLE);
    }
    devices_close(context);
}
END_TEST

/* ---- the same bits again; NaN ---- */

START_TEST(equal_calls_give_equal_bits)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 20; i++) {
        const irn_epilogue plain = {.activate = false};
        oracle_conv c = i % 2 ? random_shape() : regular_shape();
        irn_conv conv = device_conv(&c, IRN_ELU);
        double *w = host_normal(oracle_conv_weights(&c)), *x = host_normal(oracle_conv_inputs(&c));
        float *bits[2], *gradient_bits[2];
        size_t weights = irn_conv_weights(context, &conv), outputs = 0;
        guarded_begin(context);
        for (int k = 0; k < 2; k++) {
            irn_tensor in = tensor_x(&c, IRN_SINGLE, x), out = tensor_y(&c, IRN_SINGLE, NULL);
            outputs = irn_tensor_size(&out);
            testing_ok(
                irn_conv_forward(&conv, guarded_kernel(IRN_SINGLE, &conv, w), &in, &plain, &out));
            bits[k] = guarded_read_raw((irn_place){out.memory, out.offset}, outputs);
            gradients g = weight_gradient(context, &c, x, guarded_read(&out), true);
            gradient_bits[k] = guarded_read_raw(g.weights, weights);
        }
        ck_assert_mem_eq(bits[0], bits[1], outputs * sizeof(float));
        ck_assert_mem_eq(gradient_bits[0], gradient_bits[1], weights * sizeof(float));
        guarded_end();
        host_free_all();
    }
    devices_close(context);
}
END_TEST

/* Where the oracle has NaN, the device has: a fast algorithm may spread it further. */
static void check_nan(const double *expected, const double *got, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(!isnan(expected[i]) || isnan(got[i]), "%s: NaN was lost: %g", what, got[i]);
}

START_TEST(nan_comes_through)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 40; i++) {
        oracle_conv c = i % 4 ? random_shape() : regular_shape();
        irn_activation activation = (irn_activation)(i % 5);
        const irn_epilogue activate = {.activate = true}, plain = {.activate = false};
        irn_conv conv = device_conv(&c, activation);
        size_t inputs = oracle_conv_inputs(&c), outputs = oracle_conv_outputs(&c);
        double *w = host_normal(oracle_conv_weights(&c)), *x = host_normal(inputs);
        double *y = host_doubles(outputs), *back = host_doubles(inputs);
        double *gradient = host_doubles(oracle_conv_weights(&c)), *bias = host_doubles(c.outputs);
        x[host_below(inputs)] = NAN;
        guarded_begin(context);
        irn_tensor in = tensor_x(&c, IRN_SINGLE, x), out = tensor_y(&c, IRN_SINGLE, NULL);
        irn_tensor returned = tensor_x(&c, IRN_SINGLE, NULL);
        irn_place kernel = guarded_kernel(IRN_SINGLE, &conv, w);
        testing_ok(irn_conv_forward(&conv, kernel, &in, &activate, &out));
        oracle_conv_forward(&c, w, x, y);
        check_nan(y, guarded_read(&out), outputs, "forward");
        testing_ok(irn_conv_backward(&conv, transposed(context, IRN_SINGLE, &conv, w), &out, &plain,
                                     &returned));
        oracle_conv_backward(&c, w, y, back);
        check_nan(back, guarded_read(&returned), inputs, "adjoint");
        double *other = host_normal(outputs);
        gradients g = weight_gradient(context, &c, x, other, true);
        oracle_conv_gradient(&c, x, other, gradient, bias);
        check_nan(gradient, guarded_read_kernel(g.weights, &conv), oracle_conv_weights(&c),
                  "weight gradient");
        guarded_end();
        host_free_all();
    }
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("convolutions");
    TCase *test = devices_case(suite, "convolutions");
    devices_add(test, convolutions);
    devices_add(test, other_activations);
    devices_add(test, convolutions_in_double);
    devices_add(test, weight_gradients);
    devices_add(test, adjoints);
    devices_add(test, equal_calls_give_equal_bits);
    devices_add(test, nan_comes_through);
    return testing_run(suite);
}
