/* Limits of models, what is refused, and the ways to hand over data. */
#include "guarded.h"

#include "flow/workspace.h"

#include <math.h>
#include <string.h>

/* ---- limits ---- */

static void refuse(irn_context *context, const irn_model_config *config, const char *words)
{
    irn_model *model;
    testing_fails(irn_model_create(&model, context, config), IRN_ERROR_ARGUMENT, words);
    ck_assert_ptr_null(model);
}

/* One after another, each on an otherwise good configuration. */
#define REFUSE(change, words)                                                                      \
    do {                                                                                           \
        irn_model_config c = good;                                                                 \
        c.change;                                                                                  \
        refuse(context, &c, words);                                                                \
    } while (0)

START_TEST(limits)
{
    irn_context *context = devices_open(_i);
    irn_model_config good;
    testing_ok(irn_model_config_init(&good, "digits"));
    testing_fails(irn_model_config_init(&good, "imagenet"), IRN_ERROR_ARGUMENT,
                  "no preset 'imagenet'; choose digits, mnist, cifar10");
    testing_ok(irn_model_config_init(&good, "digits"));
    REFUSE(version = 9, "9");
    REFUSE(channels = 0, "channels is 0; it must be 1 to 65536");
    REFUSE(height = 4097, "height is 4097");
    REFUSE(width = 0, "width is 0");
    REFUSE(width = 7, "a stage of stride 2 squeezes a 8 x 7 map");
    REFUSE(pad_channels = 70000, "pad_channels is 70000");
    REFUSE(stages = 0, "stages is 0");
    REFUSE(stages = IRN_MAX_STAGES + 1, "stages is 9");
    REFUSE(blocks[1] = 0, "blocks in a stage is 0");
    REFUSE(widths[0] = 0, "width of a stage is 0");
    REFUSE(strides[0] = 3, "stride of a stage is 3");
    REFUSE(layers = 9, "layers is 9");
    REFUSE(layers = 0, "layers is 0");
    REFUSE(kernels[1] = 32, "kernel size is 32");
    REFUSE(padding = (irn_padding)7, "padding is 7");
    REFUSE(activation = (irn_activation)6, "activation is 6");
    REFUSE(coefficient = NAN, "coefficient is nan");
    REFUSE(coefficient = -1, "coefficient is -1");
    REFUSE(norm_momentum = 0, "norm_momentum is 0");
    REFUSE(sigma_epsilon = 2, "sigma_epsilon is 2");
    REFUSE(classes = 70000, "classes is 70000");
    devices_close(context);
}
END_TEST

/* ---- what is refused ---- */

static irn_model *ready_model(irn_context *context, const irn_model_config *config)
{
    irn_model *model;
    size_t size = config->channels * config->height * config->width;
    testing_ok(irn_model_create(&model, context, config));
    float *z = host_floats(irn_model_latent_size(model) * 2);
    testing_ok(irn_model_encode(model, host_narrow(host_normal(2 * size), 2 * size), 2, z));
    return model;
}

static bool stop(size_t done, size_t total, const char *what, void *payload)
{
    ck_assert(done <= total && what);
    ++*(int *)payload;
    return false;
}

START_TEST(refusals)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(2, 4, 4);
    config.blocks[0] = 2;
    irn_model *model = ready_model(context, &config);
    irn_decode_options options = IRN_DECODE_OPTIONS_INIT;
    float z[32] = {0}, x[32];
    double bound;
    testing_fails(irn_model_decode(model, z, 1, NULL, x, &bound, NULL), IRN_ERROR_NOT_CERTIFIED,
                  "blocks.0");
    irn_model_set_lipschitz(model, 0, 0.5);
    testing_fails(irn_model_decode(model, z, 1, NULL, x, &bound, NULL), IRN_ERROR_NOT_CERTIFIED,
                  "blocks.1");
    irn_model_set_lipschitz(model, 1, 1);
    testing_fails(irn_model_decode(model, z, 1, NULL, x, &bound, NULL), IRN_ERROR_NOT_CERTIFIED,
                  "blocks.1 has Lip(g) <= 1, which is not < 1");
    irn_model_changed(model);
    testing_fails(irn_model_decode(model, z, 1, NULL, x, &bound, NULL), IRN_ERROR_NOT_CERTIFIED,
                  "blocks.0");
    testing_fails(irn_model_predict(model, x, 1, z), IRN_ERROR_UNSUPPORTED, "no classifier head");
    options.tolerance = 0;
    testing_fails(irn_model_decode(model, z, 1, &options, x, NULL, NULL), IRN_ERROR_ARGUMENT,
                  "tolerance is 0");
    options.tolerance = 1e-5;
    options.max_iterations = 0;
    testing_fails(irn_model_decode(model, z, 1, &options, x, NULL, NULL), IRN_ERROR_ARGUMENT,
                  "max_iterations is 0");
    int calls = 0;
    options = (irn_decode_options)IRN_DECODE_OPTIONS_INIT;
    options.progress = stop;
    options.progress_payload = &calls;
    testing_fails(irn_model_decode(model, z, 1, &options, x, NULL, NULL), IRN_ERROR_CANCELLED,
                  "cancelled");
    ck_assert_int_eq(calls, 1);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* An ordinary residual network whose fixed point runs away. */
START_TEST(divergence)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(2, 4, 4);
    config.coefficient = 0;
    config.activation = IRN_IDENTITY;
    config.actnorm = false;
    irn_model *model = ready_model(context, &config);
    size_t size = model->parameters.size;
    float *values = host_floats(size);
    for (size_t i = 0; i < size; i++)
        values[i] = 3;
    testing_ok(
        irn_memory_write(context, model->single.parameters, 0, values, size * sizeof *values));
    irn_model_changed(model);
    float *z = host_narrow(host_normal(32), 32), x[32];
    testing_fails(irn_model_decode(model, z, 1, NULL, x, NULL, NULL), IRN_ERROR_NUMERIC,
                  "the inverse of blocks.0 diverges for sample 0");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

START_TEST(nan_is_not_inverted)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(2, 4, 4);
    irn_model *model = ready_model(context, &config);
    float *z = host_narrow(host_normal(64), 64), x[64];
    z[40] = (float)NAN;
    testing_fails(irn_model_decode(model, z, 2, NULL, x, NULL, NULL), IRN_ERROR_NUMERIC,
                  "sample 1");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* Kernels count in ints; nothing is allocated before that is known. */
START_TEST(too_many_weights)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(2, 4, 6);
    irn_model *model;
    config.widths[0] = 16384;
    config.kernels[1] = 3;
    testing_fails(irn_model_create(&model, context, &config), IRN_ERROR_UNSUPPORTED,
                  "blocks.0.conv1.weight of 16384 x 16384 x 3 x 3 has 2415919104 values with "
                  "padding; kernels count at most 1073741823");
    devices_close(context);
}
END_TEST

/* ---- batches and buffers ---- */

START_TEST(large_batches)
{
    enum { BATCH = 300, CLASSES = 3, SIZE = 2 * 4 * 6 };
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(2, 4, 6);
    config.classes = CLASSES;
    irn_model *model = ready_model(context, &config);
    float *x = host_narrow(host_normal(BATCH * SIZE), BATCH * SIZE);
    float *z = host_floats(BATCH * SIZE), *scores = host_floats(BATCH * CLASSES);
    float *back = host_floats(BATCH * SIZE), one[SIZE];
    ck_assert_uint_lt(irn_model_chunk(model, BATCH), BATCH);
    testing_ok(irn_model_encode(model, x, BATCH, z));
    testing_ok(irn_model_predict(model, x, BATCH, scores));
    testing_ok(irn_model_decode(model, z, BATCH, NULL, back, NULL, NULL));
    for (size_t n = 0; n < BATCH; n += 13) { /* as alone, to the last bit */
        testing_ok(irn_model_encode(model, x + n * SIZE, 1, one));
        ck_assert_mem_eq(one, z + n * SIZE, sizeof one);
        testing_ok(irn_model_predict(model, x + n * SIZE, 1, one));
        ck_assert_mem_eq(one, scores + n * CLASSES, CLASSES * sizeof *one);
        testing_ok(irn_model_decode(model, z + n * SIZE, 1, NULL, one, NULL, NULL));
        host_check_float(host_widen(one, SIZE), back + n * SIZE, SIZE, 1e-4, "decoded alone");
    }
    irn_model_free(model);
    devices_close(context);
}
END_TEST

START_TEST(device_buffers)
{
    enum { BATCH = 270, CLASSES = 3, SIZE = 2 * 4 * 4, IN = 10, OUT = 3 };
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(2, 4, 4);
    config.classes = CLASSES;
    config.pad_channels = 1;
    irn_model *model = ready_model(context, &config);
    size_t latent = irn_model_latent_size(model);
    float *x = host_narrow(host_normal(IN + BATCH * SIZE), IN + BATCH * SIZE);
    float *z = host_floats(BATCH * latent), *scores = host_floats(BATCH * CLASSES);
    float *same = host_floats(OUT + BATCH * latent);
    cl_mem from, to;
    testing_ok(irn_memory_create(context, &from, IN + BATCH * SIZE, sizeof(float), true));
    testing_ok(irn_memory_create(context, &to, OUT + BATCH * latent, sizeof(float), true));
    testing_ok(irn_memory_write(context, from, 0, x, (IN + BATCH * SIZE) * sizeof *x));
    testing_ok(irn_model_encode(model, x + IN, BATCH, z));
    testing_ok(irn_model_encode_cl(model, from, IN, BATCH, to, OUT));
    testing_ok(irn_memory_read(context, to, 0, same, (OUT + BATCH * latent) * sizeof *same));
    ck_assert(same[0] == 0 && same[OUT - 1] == 0);
    ck_assert_mem_eq(same + OUT, z, BATCH * latent * sizeof *z);
    testing_ok(irn_model_predict(model, x + IN, BATCH, scores));
    testing_ok(irn_model_predict_cl(model, from, IN, BATCH, to, OUT));
    testing_ok(irn_memory_read(context, to, 0, same, (OUT + BATCH * CLASSES) * sizeof *same));
    ck_assert_mem_eq(same + OUT, scores, BATCH * CLASSES * sizeof *scores);
    irn_memory_release(context, from);
    irn_memory_release(context, to);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("models");
    TCase *rest = devices_case(suite, "models");
    devices_add(rest, too_many_weights);
    devices_add(rest, limits);
    devices_add(rest, refusals);
    devices_add(rest, divergence);
    devices_add(rest, nan_is_not_inverted);
    devices_add(rest, large_batches);
    devices_add(rest, device_buffers);
    return testing_run(suite);
}
