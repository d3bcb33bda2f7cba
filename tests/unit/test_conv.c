/* Convolutions, their adjoint and their weight gradient, direct, as products of matrices and by
 * Winograd's algorithm, against a double-precision oracle. */
#include "convolver.h"

#include "ops/application.h"
#include "ops/dense.h"
#include "ops/narrow.h"
#include "ops/pointwise.h"
#include "ops/tiled.h"
#include "ops/winograd.h"
#include "runtime/blas.h"
#include "runtime/tuning.h"

#include <iresnet/bench.h>

#include <limits.h>
#include <math.h>

static const double tolerance[2] = {1e-5, 1e-12}; /* by precision */

/* ---- epilogues, forward and backward ---- */

static void check_ending(convolver how, const oracle_conv *c, irn_precision precision,
                         const ending *e)
{
    irn_conv conv = convolver_conv(c, e->activation);
    size_t inputs = oracle_conv_inputs(c), outputs = oracle_conv_outputs(c);
    double *w = host_normal(oracle_conv_weights(c)), *x = host_normal(inputs);
    double *y = host_normal(outputs), *wx = host_doubles(outputs), *wy = host_doubles(inputs);
    irn_tensor in = convolver_x(c, precision, x), back = convolver_y(c, precision, y);
    finished f;
    oracle_conv_forward(c, w, x, wx);
    convolver_finish(&f, e, &back, wx);
    convolver_forward(how, &conv, w, &in, &f.epilogue, &f.out);
    host_check(wx, guarded_read_clean(&f.out), outputs, tolerance[precision],
               "W x (%d) %s, scale %d bias %d finish %d other %d", (int)how, convolver_describe(c),
               e->scale, e->bias, e->finish, e->other);
    oracle_conv_backward(c, w, y, wy);
    convolver_finish(&f, e, &in, wy);
    convolver_backward(how, &conv, w, &back, &f.epilogue, &f.out);
    host_check(wy, guarded_read_clean(&f.out), inputs, tolerance[precision],
               "W^T y (%d) %s, scale %d bias %d finish %d other %d", (int)how,
               convolver_describe(c), e->scale, e->bias, e->finish, e->other);
}

/* Every step-th combination; 1: all. */
static void check_endings(irn_context *context, convolver how, irn_precision precision,
                          irn_activation activation, int step)
{
    for (int i = 0; i < 4 * FINISHES * OTHERS; i += host_step(step)) {
        ending e = {.scale = i % 2,
                    .bias = i / 2 % 2,
                    .finish = i / 4 % FINISHES,
                    .other = i / 4 / FINISHES,
                    .activation = activation};
        oracle_conv c;
        if ((e.finish == DERIVATIVE_IS_OUTPUT &&
             (e.other == RESIDUAL_IS_OUTPUT || e.other == MINUEND_IS_OUTPUT)) ||
            !convolver_shape(context, how, &c))
            continue;
        guarded_begin(context);
        check_ending(how, &c, precision, &e);
        guarded_end();
        host_free_all();
    }
}

START_TEST(convolutions)
{
    irn_context *context = devices_open(_i);
    check_endings(context, DIRECT, IRN_SINGLE, IRN_ELU, 1);
    /* Padded channels need care where phi(0) is not 0. */
    check_endings(context, DIRECT, IRN_SINGLE, IRN_SOFTPLUS, 1);
    devices_close(context);
}
END_TEST

START_TEST(convolutions_by_tiles)
{
    irn_context *context = devices_open(_i);
    check_endings(context, TILED, IRN_SINGLE, IRN_ELU, 1);
    check_endings(context, TILED, IRN_SINGLE, IRN_SOFTPLUS, 1);
    devices_close(context);
}
END_TEST

START_TEST(pointwise_convolutions)
{
    irn_context *context = devices_open(_i);
    check_endings(context, POINTWISE, IRN_SINGLE, IRN_ELU, 1);
    check_endings(context, POINTWISE, IRN_SINGLE, IRN_SOFTPLUS, 1);
    devices_close(context);
}
END_TEST

START_TEST(convolutions_by_winograd)
{
    irn_context *context = devices_open(_i);
    check_endings(context, WINOGRAD, IRN_SINGLE, IRN_ELU, 1);
    check_endings(context, WINOGRAD, IRN_SINGLE, IRN_SOFTPLUS, 1);
    devices_close(context);
}
END_TEST

START_TEST(narrow_convolutions)
{
    irn_context *context = devices_open(_i);
    check_endings(context, NARROW, IRN_SINGLE, IRN_ELU, 1);
    check_endings(context, NARROW, IRN_SINGLE, IRN_SOFTPLUS, 1);
    devices_close(context);
}
END_TEST

START_TEST(convolutions_by_clblast)
{
    irn_context *context = devices_open(_i);
    check_endings(context, DENSE, IRN_SINGLE, IRN_ELU, 1);
    check_endings(context, DENSE, IRN_SINGLE, IRN_SOFTPLUS, 1);
    ck_assert(context->blas_used == context->info.is_simt || context->info.local_memory == 0);
    devices_close(context);
}
END_TEST

START_TEST(other_activations)
{
    irn_context *context = devices_open(_i);
    for (convolver how = DIRECT; how < CONVOLVERS; how++) {
        check_endings(context, how, IRN_SINGLE, IRN_IDENTITY, 7);
        check_endings(context, how, IRN_SINGLE, IRN_RELU, 7);
        check_endings(context, how, IRN_SINGLE, IRN_TANH, 7);
        check_endings(context, how, IRN_SINGLE, IRN_LIPSWISH, 3);
    }
    devices_close(context);
}
END_TEST

START_TEST(convolutions_in_double)
{
    irn_context *context = devices_open(_i);
    if (irn_context_device(context)->has_fp64) {
        check_endings(context, DIRECT, IRN_DOUBLE, IRN_ELU, 1);
        check_endings(context, DIRECT, IRN_DOUBLE, IRN_SOFTPLUS, 5);
        check_endings(context, DIRECT, IRN_DOUBLE, IRN_LIPSWISH, 5);
        check_endings(context, TILED, IRN_DOUBLE, IRN_ELU, 1);
        check_endings(context, TILED, IRN_DOUBLE, IRN_LIPSWISH, 5);
        check_endings(context, POINTWISE, IRN_DOUBLE, IRN_ELU, 1);
        check_endings(context, POINTWISE, IRN_DOUBLE, IRN_SOFTPLUS, 5);
        check_endings(context, POINTWISE, IRN_DOUBLE, IRN_LIPSWISH, 5);
    }
    devices_close(context);
}
END_TEST

/* ---- the rest, in every way ---- */

typedef void check(irn_context *, convolver, const oracle_conv *);

static void on_shapes(int device, int count, check work)
{
    irn_context *context = devices_open(device);
    for (int i = 0; i < CONVOLVERS * count; i += host_step(1)) {
        convolver how = (convolver)(i / count);
        oracle_conv c;
        if (!convolver_shape(context, how, &c))
            continue;
        guarded_begin(context);
        work(context, how, &c);
        guarded_end();
        host_free_all();
    }
    devices_close(context);
}

static void check_gradient(irn_context *context, convolver how, const oracle_conv *c)
{
    irn_conv conv = convolver_conv(c, IRN_ELU);
    size_t weights = oracle_conv_weights(c);
    double *x = host_normal(oracle_conv_inputs(c)), *y = host_normal(oracle_conv_outputs(c));
    double *w = host_doubles(weights), *bias = host_doubles(c->outputs);
    bool with_bias = host_below(4) > 0;
    gradients g = convolver_gradient(how, c, c->images + host_below(8), x, y, with_bias);
    oracle_conv_gradient(c, x, y, w, bias);
    ck_assert_ptr_nonnull(context);
    host_check(w, guarded_read_kernel(g.weights, &conv), weights, tolerance[IRN_SINGLE],
               "weight gradient (%d) %s", (int)how, convolver_describe(c));
    if (with_bias)
        host_check(bias, guarded_read_vector(g.bias, c->outputs), c->outputs, tolerance[IRN_SINGLE],
                   "bias gradient (%d) %s", (int)how, convolver_describe(c));
}

START_TEST(weight_gradients)
{
    on_shapes(_i, 40, check_gradient);
}
END_TEST

/* For these CLBlast has another kernel, and copies of what is no multiple of its tiles; twice, so
 * that the gradient is added up. */
static void check_large(irn_context *context, size_t channels, unsigned pixels)
{
    const ending e = {true, true, DERIVATIVE, MINUEND_IS_OUTPUT, IRN_ELU};
    const oracle_conv c = {.images = 2 * pixels / (13 * 11),
                           .inputs = channels - 3,
                           .outputs = channels + 1,
                           .height = 13,
                           .width = 11,
                           .kernel_height = 1,
                           .kernel_width = 1};
    context->tuning.tiles[IRN_TILE_DENSE].size[0] = pixels;
    context->tuning.tiles[IRN_TILE_DENSE_GRADIENT].size[0] = pixels;
    guarded_begin(context);
    check_ending(DENSE, &c, IRN_SINGLE, &e);
    check_gradient(context, DENSE, &c);
    guarded_end();
    host_free_all();
}

START_TEST(large_products)
{
    enum { PIXELS = 20 * 13 * 11, MOST = 1152 };
    irn_context *context = devices_open(_i);
    oracle_conv c;
    size_t channels = 128;
    if (host_step(1) == 1 && convolver_shape(context, DENSE, &c)) { /* slow devices: not */
        while (channels < MOST && !irn_gemm_is_large(context, PIXELS, channels, channels))
            channels += 32;
        ck_assert(irn_gemm_is_large(context, PIXELS, channels, channels));
        check_large(context, channels, PIXELS);
    }
    devices_close(context);
}
END_TEST

/* Sets of parameters that CLBlast may be given, each of which it compiles anew. */
START_TEST(parameters_of_clblast)
{
    enum { PIXELS = 4 * 13 * 11, CHANNELS = 70 };
    irn_context *context = devices_open(_i);
    const irn_tuning saved = context->tuning;
    const size_t step = host_thorough() ? 1 : (size_t)host_step(3);
    irn_tile tile;
    for (size_t k = 1; irn_tile_candidate(&tile, &context->info, IRN_TILE_BLAS, k); k += step) {
        irn_tuning_force(&context->tuning, IRN_TILE_BLAS, &tile);
        ck_assert(irn_gemm_is_large(context, PIXELS, CHANNELS, CHANNELS));
        check_large(context, CHANNELS, PIXELS);
        irn_tile given = irn_blas_parameters(context);
        ck_assert_mem_eq(&given, &tile, sizeof tile);
        context->tuning = saved;
    }
    devices_close(context);
}
END_TEST

/* Scratch for a batch does for smaller ones, though outputs are divided further for these. */
static void check_scratch(irn_context *context, convolver how, const oracle_conv *c)
{
    oracle_conv large = *c;
    large.height = large.width = 32;
    size_t enough = 1;
    for (size_t images = 0; images <= 64; images++) {
        size_t size = convolver_scratch(context, how, &large, images);
        ck_assert_msg(size >= enough, "%u units, %zu->%zu channels: %zu floats for %zu images",
                      context->info.compute_units, c->inputs, c->outputs, size, images);
        enough = size;
    }
}

/* How the work is divided depends on the compute units. */
static void check_units(irn_context *context, convolver how)
{
    for (unsigned units = 1; units <= 64; units += (unsigned)host_step(1)) {
        oracle_conv c;
        context->info.compute_units = units;
        if (!convolver_shape(context, how, &c))
            break;
        c.outputs = host_between(1, 200);
        check_scratch(context, how, &c);
        guarded_begin(context);
        check_gradient(context, how, &c);
        guarded_end();
        host_free_all();
    }
}

START_TEST(gradients_on_larger_devices)
{
    irn_context *context = devices_open(_i);
    check_units(context, WINOGRAD);
    check_units(context, TILED);
    devices_close(context);
}
END_TEST

/* <Wx, y> = <x, W^T y> = <W, gradient(x, y)> */
static void check_adjoint(convolver how, const oracle_conv *c, irn_precision precision)
{
    const irn_epilogue plain = {.activate = false};
    irn_conv conv = convolver_conv(c, IRN_ELU);
    size_t inputs = oracle_conv_inputs(c), outputs = oracle_conv_outputs(c);
    size_t weights = oracle_conv_weights(c);
    double *w = host_normal(weights), *x = host_normal(inputs), *y = host_normal(outputs);
    irn_tensor in = convolver_x(c, precision, x), out = convolver_y(c, precision, NULL);
    irn_tensor from = convolver_y(c, precision, y), back = convolver_x(c, precision, NULL);
    convolver_forward(how, &conv, w, &in, &plain, &out);
    convolver_backward(how, &conv, w, &from, &plain, &back);
    double *wx = guarded_read(&out), product = host_dot(wx, y, outputs);
    double limit = tolerance[precision] * host_norm(wx, outputs) * host_norm(y, outputs);
    host_check_number(product, host_dot(x, guarded_read(&back), inputs), limit,
                      "<x, W^T y> (%d) %s", (int)how, convolver_describe(c));
    if (precision == IRN_DOUBLE)
        return;
    gradients g = convolver_gradient(how, c, c->images, x, y, false);
    double *found = guarded_read_kernel(g.weights, &conv);
    limit = fmax(limit, tolerance[precision] * host_norm(w, weights) * host_norm(found, weights));
    host_check_number(product, host_dot(w, found, weights), limit, "<W, gradient> (%d) %s",
                      (int)how, convolver_describe(c));
}

static void check_adjoints(irn_context *context, convolver how, const oracle_conv *c)
{
    check_adjoint(how, c, IRN_SINGLE);
    bool wide = how == DIRECT || how == TILED || how == POINTWISE;
    if (wide && irn_context_device(context)->has_fp64)
        check_adjoint(how, c, IRN_DOUBLE);
}

START_TEST(adjoints)
{
    on_shapes(_i, 30, check_adjoints);
}
END_TEST

static void check_equal_bits(irn_context *context, convolver how, const oracle_conv *c)
{
    const irn_epilogue plain = {.activate = false};
    irn_conv conv = convolver_conv(c, IRN_ELU);
    double *w = host_normal(oracle_conv_weights(c)), *x = host_normal(oracle_conv_inputs(c));
    float *bits[2], *gradient_bits[2];
    size_t weights = irn_conv_weights(context, &conv), outputs = 0;
    for (int k = 0; k < 2; k++) {
        irn_tensor in = convolver_x(c, IRN_SINGLE, x), out = convolver_y(c, IRN_SINGLE, NULL);
        outputs = irn_tensor_size(&out);
        convolver_forward(how, &conv, w, &in, &plain, &out);
        bits[k] = guarded_read_raw((irn_place){out.memory, out.offset}, outputs);
        gradients g = convolver_gradient(how, c, c->images, x, guarded_read(&out), true);
        gradient_bits[k] = guarded_read_raw(g.weights, weights);
    }
    ck_assert_mem_eq(bits[0], bits[1], outputs * sizeof(float));
    ck_assert_mem_eq(gradient_bits[0], gradient_bits[1], weights * sizeof(float));
}

START_TEST(equal_calls_give_equal_bits)
{
    on_shapes(_i, 10, check_equal_bits);
}
END_TEST

/* Where the oracle has NaN, the device has: a fast algorithm may spread it further. */
static void expect_nan(const double *expected, const double *got, size_t count, const char *what)
{
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(!isnan(expected[i]) || isnan(got[i]), "%s: NaN was lost: %g", what, got[i]);
}

static void check_nan(irn_context *context, convolver how, const oracle_conv *c)
{
    const irn_epilogue activate = {.activate = true}, plain = {.activate = false};
    irn_conv conv = convolver_conv(c, (irn_activation)host_below(5));
    size_t inputs = oracle_conv_inputs(c), outputs = oracle_conv_outputs(c);
    size_t weights = oracle_conv_weights(c);
    double *w = host_normal(weights), *x = host_normal(inputs), *other = host_normal(outputs);
    double *y = host_doubles(outputs), *back = host_doubles(inputs);
    double *gradient = host_doubles(weights), *bias = host_doubles(c->outputs);
    x[host_below(inputs)] = NAN;
    irn_tensor in = convolver_x(c, IRN_SINGLE, x), out = convolver_y(c, IRN_SINGLE, NULL);
    irn_tensor returned = convolver_x(c, IRN_SINGLE, NULL);
    convolver_forward(how, &conv, w, &in, &activate, &out);
    oracle_conv_forward(c, w, x, y);
    expect_nan(y, guarded_read(&out), outputs, "forward");
    convolver_backward(how, &conv, w, &out, &plain, &returned);
    oracle_conv_backward(c, w, y, back);
    expect_nan(back, guarded_read(&returned), inputs, "adjoint");
    gradients g = convolver_gradient(how, c, c->images, x, other, true);
    oracle_conv_gradient(c, x, other, gradient, bias);
    expect_nan(gradient, guarded_read_kernel(g.weights, &conv), weights, "weight gradient");
    ck_assert_ptr_nonnull(context);
}

START_TEST(nan_comes_through)
{
    on_shapes(_i, 30, check_nan);
}
END_TEST

/* ---- every tile that tuning may choose; convolver.c has CLBlast take any number of pixels ---- */

static bool is_gradient(irn_tile_use use)
{
    return use == IRN_TILE_GRADIENT || use == IRN_TILE_GRADIENT_NARROW;
}

/* Instead of whatever else the shape would get. */
static void force(irn_context *context, irn_tile_use use, const irn_tile *tile)
{
    if (use == IRN_TILE_CPU)
        irn_tuning_set(&context->tuning, use, tile);
    else
        for (irn_tile_use other = 0; other < IRN_TILE_CPU; other++)
            if (is_gradient(other) == is_gradient(use))
                irn_tuning_set(&context->tuning, other, tile);
}

static void check_tile(irn_context *context, convolver how, irn_tile_use use, const irn_tile *tile)
{
    const ending e = {true, true, DERIVATIVE, RESIDUAL, IRN_ELU};
    irn_precision precision = use == IRN_TILE_APPLY_DOUBLE ? IRN_DOUBLE : IRN_SINGLE;
    for (int i = 0; i < 4; i += host_step(1)) {
        oracle_conv c;
        if (!convolver_shape(context, how, &c))
            return;
        force(context, use, tile);
        guarded_begin(context);
        if (use == IRN_TILE_CPU || !is_gradient(use))
            check_ending(how, &c, precision, &e);
        if (use == IRN_TILE_CPU || is_gradient(use))
            check_gradient(context, how, &c);
        guarded_end();
        host_free_all();
    }
}

START_TEST(every_tile)
{
    irn_context *context = devices_open(_i);
    irn_device_info roomy = context->info; /* as if it had the registers for all */
    roomy.simd_width = 32;
    for (irn_tile_use use = 0; use < IRN_TILE_USES; use++) {
        irn_tile tile;
        for (size_t k = 0; use < IRN_TILE_DENSE && irn_tile_candidate(&tile, &roomy, use, k); k++)
            for (convolver how = DIRECT; how < CONVOLVERS; how++)
                if ((how == TILED) == (use != IRN_TILE_CPU))
                    check_tile(context, how, use, &tile);
    }
    devices_close(context);
}
END_TEST

/* ---- tensors with more elements than kernels count; there is no memory behind them ---- */

enum { LONG_ROW = 1 << 12 };

/* One block of channels, of the most rows that can be counted, and so many more. */
static irn_tensor long_map(irn_context *context, size_t more)
{
    size_t block = context->tuning.channel_block;
    size_t rows = (size_t)INT_MAX / (block * LONG_ROW) + more;
    return (irn_tensor){.context = context,
                        .images = 1,
                        .channels = 1, /* the padding counts too */
                        .height = rows,
                        .width = LONG_ROW};
}

static irn_tensor small_map(irn_context *context)
{
    irn_tensor map = long_map(context, 0);
    map.height = 1;
    return map;
}

static irn_conv conv_of(size_t kernel)
{
    return (irn_conv){.inputs = 1, .outputs = 1, .kernel_height = kernel, .kernel_width = kernel};
}

#define BEYOND(call) testing_fails(call, IRN_ERROR_UNSUPPORTED, "use smaller batches")

/* Whatever takes a convolution's place here; the tensors may be too large for one another as well,
 * which nobody comes to see. */
static void check_beyond(const irn_tensor *x, const irn_tensor *y)
{
    const irn_conv square = conv_of(3), point = conv_of(1);
    const irn_epilogue plain = {.activate = false};
    const irn_place none = {NULL, 0};
    BEYOND(irn_application_check(x, y));
    BEYOND(irn_conv_forward(&square, none, x, &plain, y));
    BEYOND(irn_conv_forward(&point, none, x, &plain, y));
    BEYOND(irn_conv_backward(&square, none, x, &plain, y));
    BEYOND(irn_conv_weight_gradient(&square, x, y, none, none, NULL));
    BEYOND(irn_pointwise_apply(&point, none, x, &plain, y));
    BEYOND(irn_narrow_forward(&square, none, x, &plain, y, NULL));
    BEYOND(irn_narrow_backward(&square, none, x, &plain, y, NULL));
    BEYOND(irn_winograd_forward(&square, none, x, &plain, y, NULL));
    BEYOND(irn_winograd_backward(&square, none, x, &plain, y, NULL));
    BEYOND(irn_winograd_weight_gradient(&square, x, y, none, none, NULL));
    if (irn_tiled_gradient_suits(x->context)) {
        BEYOND(irn_tiled_apply(&square, none, x, &plain, y, 1, 1));
        BEYOND(irn_tiled_gradient(&square, x, y, true, NULL, 1));
    }
}

/* CLBlast gets some images at a time, each of which has to be small enough. */
static void check_images_beyond(const irn_tensor *x, const irn_tensor *y)
{
    const irn_conv point = conv_of(1);
    const irn_epilogue plain = {.activate = false};
    const irn_place none = {NULL, 0};
    BEYOND(irn_dense_apply(&point, none, x, &plain, y, NULL));
    BEYOND(irn_dense_weight_gradient(&point, x, y, none, none, NULL));
}

START_TEST(too_many_elements)
{
    irn_context *context = devices_open(_i);
    irn_tensor most = long_map(context, 0), beyond = long_map(context, 1);
    irn_tensor small = small_map(context), batch = small;
    testing_ok(irn_application_check(&most, &most));
    check_beyond(&beyond, &small);
    check_beyond(&small, &beyond);
    check_images_beyond(&beyond, &small);
    check_images_beyond(&small, &beyond);
    batch.images = beyond.height; /* more images, not larger ones */
    check_beyond(&batch, &batch);
    devices_close(context);
}
END_TEST

/* Blocks of channels whose weights, and a bias with them, are just not too many, and one more. */
START_TEST(too_many_weights)
{
    irn_context *context = devices_open(_i);
    size_t block = context->tuning.channel_block, limit = (size_t)INT_MAX / 2 / (block * block);
    irn_conv conv = {.inputs = 1, .outputs = limit * block, .kernel_height = 1, .kernel_width = 1};
    irn_conv_rates rates;
    testing_ok(irn_conv_check(context, &conv));
    conv.outputs++;
    testing_fails(irn_conv_check(context, &conv), IRN_ERROR_UNSUPPORTED,
                  "beyond the limit of 1073741823 weights");
    testing_fails(irn_bench_conv(context, 1, 1 << 15, 1 << 15, 1, 1, 3, true, 1, &rates),
                  IRN_ERROR_UNSUPPORTED, "a kernel of 32768 x 32768 x 3 x 3 is beyond");
    testing_fails(irn_bench_conv(context, 1, SIZE_MAX / 2, SIZE_MAX / 2, 1, 1, 3, true, 1, &rates),
                  IRN_ERROR_UNSUPPORTED, "is beyond the limit");
    testing_fails(irn_bench_conv(context, 1, 0, 4, 1, 1, 3, true, 1, &rates), IRN_ERROR_ARGUMENT,
                  "a kernel of 4 x 0 x 3 x 3 has no weights");
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("convolutions");
    TCase *test = devices_case(suite, "convolutions"), *limits = devices_case(suite, "limits");
    devices_add(test, convolutions);
    devices_add(test, convolutions_by_tiles);
    devices_add(test, pointwise_convolutions);
    devices_add(test, convolutions_by_winograd);
    devices_add(test, narrow_convolutions);
    devices_add(test, convolutions_by_clblast);
    devices_add(test, large_products);
    devices_add(test, parameters_of_clblast);
    devices_add(test, other_activations);
    devices_add(test, convolutions_in_double);
    devices_add(test, weight_gradients);
    devices_add(test, gradients_on_larger_devices);
    devices_add(test, adjoints);
    devices_add(test, equal_calls_give_equal_bits);
    devices_add(test, nan_comes_through);
    devices_add(test, every_tile);
    devices_add(limits, too_many_elements);
    devices_add(limits, too_many_weights);
    return testing_run(suite);
}
