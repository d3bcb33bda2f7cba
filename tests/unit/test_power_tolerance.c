/* Training steps that iterate until the norms have settled. */
#include "devices.h"

#include "train/trainer.h"

#include <math.h>

enum { BATCH = 4, INPUT = 3 * 6 * 6 };

static irn_model *small_model(irn_context *context)
{
    irn_model_config config = devices_small_config(3, 6, 6);
    irn_model *model;
    config.blocks[0] = 2;
    config.classes = 5;
    testing_ok(irn_model_create(&model, context, &config));
    return model;
}

/* Power iteration begins anew. */
static void scramble(irn_model *model)
{
    for (size_t b = 0; b < model->block_count; b++)
        for (size_t i = 0; i < model->config.layers; i++) {
            const irn_entry *u = &model->state.entries[model->blocks[b].layers[i].u];
            size_t count = irn_entry_count(u);
            testing_ok(irn_arena_write(&model->state, model->single.state, u,
                                       host_narrow(host_normal(count), count)));
        }
}

static void read_sigmas(const irn_model *model, float *out)
{
    for (size_t b = 0; b < model->block_count; b++)
        for (size_t i = 0; i < model->config.layers; i++)
            testing_ok(irn_arena_read(&model->state, model->single.state,
                                      &model->state.entries[model->blocks[b].layers[i].sigma],
                                      out++));
}

/* The largest relative error of sigma after a step that leaves the weights alone. */
static double sigma_error(irn_context *context, size_t iterations, double tolerance)
{
    irn_model *model = small_model(context);
    irn_train_options options;
    irn_trainer *trainer;
    const int labels[BATCH] = {0, 1, 2, 3};
    size_t layers = irn_model_layer_count(model);
    float *got = host_floats(layers), *settled = host_floats(layers);
    double most = 0;
    testing_ok(irn_train_options_init(&options, NULL));
    options.learning_rate = 0;
    options.power_iterations = iterations;
    options.power_tolerance = tolerance;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    scramble(model);
    const float *x = host_narrow(host_normal(BATCH * INPUT), BATCH * INPUT);
    testing_ok(irn_trainer_step(trainer, x, labels, BATCH, NULL));
    read_sigmas(model, got);
    testing_ok(irn_model_power_iterate(model, 1000));
    read_sigmas(model, settled);
    for (size_t i = 0; i < layers; i++)
        most = fmax(most, fabs((double)got[i] / (double)settled[i] - 1));
    irn_trainer_free(trainer);
    irn_model_free(model);
    return most;
}

START_TEST(settled_norms)
{
    irn_context *context = devices_open(_i);
    double without = sigma_error(context, 1, 0);
    ck_assert_msg(without > 0.1, "one iteration is off by %g already", without);
    /* Changes shrink geometrically, so that what is left is a multiple of the last. */
    host_check_number(0, sigma_error(context, 1, 1e-2), 2e-1, "sigma at 1e-2");
    host_check_number(0, sigma_error(context, 5, 1e-3), 2e-2, "sigma at 1e-3, every fifth");
    host_check_number(0, sigma_error(context, 0, 1e-3), 1e-1, "sigma at 1e-3");
    devices_close(context);
}
END_TEST

START_TEST(kept_and_checked)
{
    irn_context *context = devices_open(_i);
    irn_model *model = small_model(context), *loaded;
    const char *path = testing_path("checkpoint.safetensors");
    irn_train_options options;
    irn_trainer *trainer, *resumed;
    testing_ok(irn_train_options_init(&options, NULL));
    options.power_tolerance = 0.125;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    testing_ok(irn_trainer_save(trainer, path));
    testing_ok(irn_trainer_load(&resumed, &loaded, context, path));
    ck_assert(irn_trainer_get_options(resumed)->power_tolerance == 0.125);
    irn_trainer_free(resumed);
    irn_model_free(loaded);
    irn_trainer_free(trainer);
    options.power_tolerance = -0.5;
    testing_fails(irn_trainer_create(&trainer, model, &options), IRN_ERROR_ARGUMENT,
                  "power_tolerance is -0.5; it must be 0 to 1");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("power tolerance");
    TCase *steps = devices_case(suite, "steps");
    devices_add(steps, settled_norms);
    devices_add(steps, kept_and_checked);
    return testing_run(suite);
}
