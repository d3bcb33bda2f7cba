/* Models of all shapes there and back, and the proven error above the true one. */
#include "guarded.h"

#include "flow/model.h"

#include <iresnet/certify.h>

#include <math.h>
#include <string.h>

typedef struct exact {
    irn_model *model;
    irn_operands wide;
    size_t images;
} exact;

static cl_mem widened(irn_context *context, const irn_arena *arena, cl_mem narrow)
{
    irn_call call =
        irn_call_begin(context, irn_general_sources, irn_precision_options(IRN_DOUBLE), "widen");
    cl_mem wide;
    testing_ok(irn_memory_create(context, &wide, arena->size, sizeof(double), false));
    irn_call_memory(&call, narrow, 0);
    irn_call_memory(&call, wide, 0);
    testing_ok(irn_call_run(&call, arena->size, 1, 1, 0));
    return wide;
}

/* x = F^-1(y) of one block in double: 400 plain steps. y is used up. */
static irn_tensor invert_block(const exact *e, const irn_block *b, const irn_tensor *y)
{
    const irn_model *model = e->model;
    irn_tensor inputs[IRN_MAX_LAYERS], memory[IRN_MAX_LAYERS];
    irn_tensor x = guarded_tensor(IRN_DOUBLE, e->images, b->channels, b->height, b->width, NULL);
    irn_tensor g = guarded_tensor(IRN_DOUBLE, e->images, b->channels, b->height, b->width, NULL);
    for (size_t i = 0; i < model->config.layers; i++) {
        memory[i] = guarded_tensor(IRN_DOUBLE, irn_input_images(model, e->images),
                                   b->layers[i].conv.inputs, b->height, b->width, NULL);
        inputs[i] = irn_layer_input(b, i, &memory[i], e->images);
    }
    testing_ok(irn_tensor_copy(y, &x));
    for (int step = 0; step < 400; step++) {
        testing_ok(irn_block_residual(model, &e->wide, b, &x, inputs, NULL, &g));
        testing_ok(irn_tensor_copy(y, &x));
        testing_ok(irn_add_scaled(-1, &g, &x));
    }
    if (model->config.actnorm) {
        const irn_entry *entries = model->parameters.entries;
        irn_place log_scale = {e->wide.parameters, entries[b->log_scale].offset};
        irn_place shift = {e->wide.parameters, entries[b->shift].offset};
        testing_ok(irn_actnorm_inverse(&x, log_scale, shift, &x));
    }
    return x;
}

/* The exact inverse of the float array z, first channels only. */
static double *exact_inverse(irn_model *model, const float *z, size_t images)
{
    const irn_model_config *c = &model->config;
    irn_context *context = model->context;
    exact e = {.model = model, .images = images};
    e.wide.parameters = widened(context, &model->parameters, model->single.parameters);
    e.wide.state = widened(context, &model->state, model->single.state);
    const irn_block *last = &model->blocks[model->block_count - 1];
    size_t count = images * irn_model_latent_size(model);
    irn_tensor y = guarded_tensor(IRN_DOUBLE, images, last->channels, last->height, last->width,
                                  host_widen(z, count));
    for (size_t b = model->block_count; b-- > 0;) {
        const irn_block *block = &model->blocks[b];
        y = invert_block(&e, block, &y);
        if (!block->squeeze)
            continue;
        irn_tensor plain = guarded_tensor(IRN_DOUBLE, images, block->channels / 4,
                                          2 * block->height, 2 * block->width, NULL);
        testing_ok(irn_unsqueeze(&y, &plain));
        y = plain;
    }
    if (c->init_squeeze) {
        irn_tensor plain =
            guarded_tensor(IRN_DOUBLE, images, c->channels, c->height, c->width, NULL);
        testing_ok(irn_unsqueeze(&y, &plain));
        y = plain;
    }
    double *all = guarded_read(&y), *x = host_doubles(images * c->channels * c->height * c->width);
    size_t kept = c->channels * c->height * c->width, held = y.channels * c->height * c->width;
    for (size_t n = 0; n < images; n++)
        memcpy(x + n * kept, all + n * held, kept * sizeof *x);
    irn_memory_release(context, e.wide.parameters);
    irn_memory_release(context, e.wide.state);
    return x;
}

/* In place, if the model has a transform. */
static void undo_logit(const irn_model *model, double *l, size_t count)
{
    double alpha = model->config.logit;
    for (size_t i = 0; alpha > 0 && i < count; i++)
        l[i] = tanh(l[i] / 2) / (2 - 4 * alpha);
}

/* Each sample's error is below its bound, and the bound is not idle. */
static void check_bounds(const float *back, const double *truth, size_t images, size_t size,
                         const double *bounds)
{
    for (size_t n = 0; n < images; n++) {
        const double *got = host_widen(back + n * size, size), *expected = truth + n * size;
        double error = host_error(expected, got, size) * host_norm(expected, size);
        ck_assert_msg(error <= bounds[n], "error %g above its bound %g", error, bounds[n]);
        ck_assert_msg(bounds[n] <= 1e-5, "the bound is %g", bounds[n]);
    }
}

static void check_errors(irn_model *model, const float *x, const float *z, size_t images)
{
    const irn_model_config *c = &model->config;
    size_t size = c->channels * c->height * c->width, iterations;
    float *back = host_floats(images * size);
    double *bounds = host_doubles(images), *truth = exact_inverse(model, z, images);
    undo_logit(model, truth, images * size);
    testing_ok(irn_model_decode(model, z, images, NULL, back, bounds, &iterations));
    ck_assert_uint_ge(iterations, 1);
    check_bounds(back, truth, images, size, bounds);
    testing_ok(irn_model_reconstruct(model, x, images, NULL, back, bounds, NULL));
    check_bounds(back, host_widen(x, images * size), images, size, bounds);
}

static void check_there_and_back(irn_context *context, const irn_model_config *config)
{
    enum { IMAGES = 3 };
    irn_model *model;
    irn_certificate *certificate;
    size_t size = config->channels * config->height * config->width;
    guarded_begin(context);
    testing_ok(irn_model_create(&model, context, config));
    size_t latent = irn_model_latent_size(model);
    double *x = host_normal(IMAGES * size);
    for (size_t i = 0; config->logit > 0 && i < IMAGES * size; i++)
        x[i] = (double)host_below(257) / 256 - 0.5;
    float *narrow = host_narrow(x, IMAGES * size), *z = host_floats(IMAGES * latent);
    float *back = host_floats(IMAGES * size);
    testing_ok(irn_model_power_iterate(model, 50));
    testing_ok(irn_model_encode(model, narrow, IMAGES, z));
    testing_ok(irn_model_decode(model, z, IMAGES, NULL, back, NULL, NULL));
    host_check_float(x, back, IMAGES * size, 1e-4, "decode(encode(x))");
    testing_ok(irn_certify_model(&certificate, model, NULL));
    irn_certificate_free(certificate);
    if (irn_context_device(context)->has_fp64)
        check_errors(model, narrow, z, IMAGES);
    irn_model_free(model);
    guarded_end();
    host_free_all();
}

START_TEST(all_activations)
{
    irn_context *context = devices_open(_i);
    for (irn_activation a = IRN_IDENTITY; a <= IRN_LIPSWISH; a++) {
        irn_model_config config = devices_small_config(3, 5, 6);
        config.activation = a;
        config.blocks[0] = 2;
        config.padding = a % 2 ? IRN_PAD_CIRCULAR : IRN_PAD_ZEROS;
        check_there_and_back(context, &config);
    }
    devices_close(context);
}
END_TEST

START_TEST(points)
{
    irn_context *context = devices_open(_i);
    const size_t dimensions[] = {1, 2, 17, 33};
    for (size_t i = 0; i < 4; i++) {
        irn_model_config config = devices_small_config(dimensions[i], 1, 1);
        config.kernels[0] = config.kernels[2] = 1;
        config.blocks[0] = 3;
        config.activation = IRN_TANH;
        check_there_and_back(context, &config);
    }
    devices_close(context);
}
END_TEST

START_TEST(numbers_of_layers)
{
    irn_context *context = devices_open(_i);
    for (size_t layers = 1; layers <= IRN_MAX_LAYERS; layers += layers < 3 ? 1 : 5) {
        irn_model_config config = devices_small_config(5, 3, 7);
        config.layers = layers;
        for (size_t i = 0; i < layers; i++)
            config.kernels[i] = 1 + i % 4;
        config.blocks[0] = 2;
        check_there_and_back(context, &config);
    }
    devices_close(context);
}
END_TEST

START_TEST(squeezes_and_padding)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < 12; i++) {
        irn_model_config config = devices_small_config(i % 3 + 1, 8, 12);
        config.init_squeeze = i % 2 == 1;
        config.pad_channels = i % 4 < 2 ? 0 : 16;
        config.stages = 2;
        config.blocks[1] = 1;
        config.widths[1] = 9;
        config.strides[0] = i < 6 ? 2 : 1;
        config.strides[1] = i < 6 ? 1 : 2;
        config.actnorm = i % 5 != 0;
        check_there_and_back(context, &config);
    }
    devices_close(context);
}
END_TEST

START_TEST(logits)
{
    irn_context *context = devices_open(_i);
    const double alphas[] = {1e-4, 0.05, 0.4};
    for (size_t i = 0; i < 6; i++) {
        irn_model_config config = devices_small_config(3, 6, 8);
        config.logit = alphas[i % 3];
        config.prior = IRN_PRIOR_STANDARD;
        config.init_squeeze = i < 3;
        config.blocks[0] = 2;
        check_there_and_back(context, &config);
    }
    devices_close(context);
}
END_TEST

/* Biases so large that y, x + g(x), is known to 1e-2 only in float32: the residual cannot become
 * small, and the iteration has to see that it is down to rounding. */
START_TEST(large_biases)
{
    enum { IMAGES = 2, SIZE = 3 * 4 * 5 };
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(3, 4, 5);
    irn_model *model;
    irn_certificate *certificate;
    float z[IMAGES * SIZE], x[IMAGES * SIZE], biases[12];
    double bounds[IMAGES];
    size_t iterations;
    guarded_begin(context);
    config.blocks[0] = 2;
    testing_ok(irn_model_create(&model, context, &config));
    testing_ok(irn_model_power_iterate(model, 50));
    for (size_t i = 0; i < 12; i++)
        biases[i] = 3e5f;
    for (size_t i = 0; i < config.layers; i++)
        testing_ok(irn_arena_write(&model->parameters, model->single.parameters,
                                   &model->parameters.entries[model->blocks[0].layers[i].bias],
                                   biases));
    for (size_t i = 0; i < IMAGES * SIZE; i++)
        z[i] = (float)i;
    testing_ok(irn_certify_model(&certificate, model, NULL));
    irn_certificate_free(certificate);
    testing_ok(irn_model_decode(model, z, IMAGES, NULL, x, NULL, &iterations));
    ck_assert_uint_lt(iterations, 100);
    if (irn_context_device(context)->has_fp64) {
        testing_ok(irn_model_decode(model, z, IMAGES, NULL, x, bounds, &iterations));
        ck_assert_uint_lt(iterations, 100);
        for (size_t n = 0; n < IMAGES; n++)
            ck_assert_msg(bounds[n] <= 1, "the bound is %g", bounds[n]);
    }
    irn_model_free(model);
    guarded_end();
    devices_close(context);
}
END_TEST

/* x + w x = 3 with w near -1: nothing may stop before it has to. */
START_TEST(slow_contractions)
{
    irn_context *context = devices_open(_i);
    const float weights[] = {-0.5f, -0.96f, -0.98f, -0.99f, -0.999f};
    irn_model_config config = devices_small_config(1, 1, 1);
    config.layers = 1;
    config.kernels[0] = 1;
    config.activation = IRN_IDENTITY;
    config.coefficient = 0;
    config.actnorm = false;
    for (size_t i = 0; i < 5; i++) {
        irn_decode_options options = IRN_DECODE_OPTIONS_INIT;
        irn_certificate *certificate;
        irn_model *model;
        const float y = 3, bias = 0;
        float x;
        double bound, exact = 3 / (1 + (double)weights[i]);
        guarded_begin(context);
        testing_ok(irn_model_create(&model, context, &config));
        const irn_layer *layer = &model->blocks[0].layers[0];
        const irn_entry *entries = model->parameters.entries;
        cl_mem parameters = model->single.parameters;
        testing_ok(
            irn_arena_write(&model->parameters, parameters, &entries[layer->weight], &weights[i]));
        testing_ok(irn_arena_write(&model->parameters, parameters, &entries[layer->bias], &bias));
        irn_model_changed(model);
        testing_ok(irn_certify_model(&certificate, model, NULL));
        irn_certificate_free(certificate);
        options.max_iterations = 1000000;
        testing_ok(irn_model_decode(model, &y, 1, &options, &x, NULL, NULL));
        /* A step's rounding, twice that of the result, adds up over 1 / (1 - L) steps. */
        double rounding = 0x1p-23 * exact / (1 + (double)weights[i]);
        ck_assert_msg(fabs((double)x - exact) <= 1e-5 + 2 * rounding, "w %g: %g, not %g",
                      (double)weights[i], (double)x, exact);
        if (irn_context_device(context)->has_fp64) {
            testing_ok(irn_model_decode(model, &y, 1, &options, &x, &bound, NULL));
            ck_assert_msg(fabs((double)x - exact) <= bound, "w %g: %.9g, not %.9g",
                          (double)weights[i], (double)x, exact);
            ck_assert_msg(bound <= 1e-5 + 1e-7 * exact, "w %g: the bound is %g", (double)weights[i],
                          bound);
        }
        irn_model_free(model);
        guarded_end();
    }
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inverses");
    TCase *test = devices_case(suite, "there and back");
    devices_add(test, all_activations);
    devices_add(test, points);
    devices_add(test, numbers_of_layers);
    devices_add(test, squeezes_and_padding);
    devices_add(test, logits);
    devices_add(test, large_biases);
    devices_add(test, slow_contractions);
    return testing_run(suite);
}
