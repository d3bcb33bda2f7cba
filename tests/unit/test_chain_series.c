/* Log-determinants' gradients of a batch, whose blocks take their series in one launch, against the
 * same images one by one, whose layers have launches of their own. */
#include "blocks.h"

#include "flow/chain.h"
#include "train/trainer.h"

enum { IMAGES = 11 };

/* 3x3 layers that widen and that narrow, alone and between 1x1 layers, on maps that no tile fits.
 */
static irn_model_config random_config(size_t index)
{
    const size_t sides[4] = {5, 2, 7, 4};
    irn_model_config config;
    testing_ok(irn_model_config_init(&config, NULL));
    config.blocks[0] = 2;
    config.layers = index % 3 + 1;
    config.channels = 4;
    config.height = sides[index / 3 % 4];
    config.width = sides[host_below(4)];
    config.padding = host_below(2) ? IRN_PAD_CIRCULAR : IRN_PAD_ZEROS;
    config.activation = index % 2 ? IRN_SOFTPLUS : IRN_ELU;
    config.widths[0] = host_between(1, 64);
    config.prior = IRN_PRIOR_LEARNED;
    for (size_t i = 0; i < config.layers; i++)
        config.kernels[i] = host_below(2) ? 3 : 1;
    return config;
}

/* Of all parameters, with the batch in so many parts. */
static float *gradient(irn_model *model, const float *x, size_t parts, irn_logdet_gradient how)
{
    irn_train_options options;
    irn_trainer *trainer;
    irn_step_report report;
    size_t count = model->parameters.size;
    float *values = host_floats(count);
    testing_ok(irn_train_options_init(&options, NULL));
    options.task = IRN_DENSITY;
    options.logdet = how;
    options.terms = 5;
    options.learning_rate = 0;
    options.weight_decay = 0;
    options.optimizer = IRN_SGD;
    options.power_iterations = 0;
    options.accumulate = parts;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    testing_ok(irn_trainer_step(trainer, x, NULL, IMAGES, &report));
    testing_ok(irn_memory_read(model->context, trainer->parameter_gradient, 0, values,
                               count * sizeof *values));
    irn_trainer_free(trainer);
    return values;
}

static bool is_chained(irn_model *model)
{
    testing_ok(irn_model_prepare(model));
    return irn_chain_series_suits(model, &model->blocks[0], IMAGES) &&
           !irn_chain_series_suits(model, &model->blocks[0], 1);
}

/* Of the two ways and two activations the series of one and the Neumann series of the other, since
 * each pair of them is a program that takes compilers a minute. */
static bool is_skipped(size_t index, int how)
{
    return !host_thorough() && (how == IRN_GRADIENT_NEUMANN) != (index % 2 == 1);
}

static size_t check(irn_context *context, size_t index)
{
    irn_model_config config = random_config(index);
    irn_model *model;
    size_t values = IMAGES * config.channels * config.height * config.width;
    testing_ok(irn_model_create(&model, context, &config));
    float *x = host_narrow(host_normal(values), values);
    testing_ok(irn_model_encode(model, x, IMAGES, host_floats(values)));
    bool chained = is_chained(model);
    for (int how = IRN_GRADIENT_SERIES; chained && how <= IRN_GRADIENT_NEUMANN; how++) {
        if (is_skipped(index, how))
            continue;
        float *whole = gradient(model, x, 1, (irn_logdet_gradient)how);
        float *single = gradient(model, x, IMAGES, (irn_logdet_gradient)how);
        host_check_float(host_widen(single, model->parameters.size), whole, model->parameters.size,
                         2e-5, "case %zu: %zu layers of %zu x %zu, width %zu", index, config.layers,
                         config.kernels[0], config.kernels[0], config.widths[0]);
    }
    irn_model_free(model);
    host_free_all();
    return chained;
}

START_TEST(batches_and_images)
{
    irn_context *context = devices_open(_i);
    size_t chained = 0, cases = 0, step = host_step(1) > 1 ? 8 : 1;
    for (size_t i = 0; i < 24; i += step, cases++)
        chained += check(context, i);
    /* On devices of other kinds nothing is chained. */
    ck_assert(context->tuning.work_group > 1 || chained > cases / 3);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("series in one launch");
    TCase *test = devices_case(suite, "chain_series");
    devices_add(test, batches_and_images);
    return testing_run(suite);
}
