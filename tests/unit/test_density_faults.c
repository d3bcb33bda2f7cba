/* Training of densities where things go wrong: bad input, data without variance, a loss that is no
 * number; and that a complete fit leaves the averaged parameters. */
#include "devices.h"

#include "train/trainer.h"

#include <iresnet/array.h>
#include <iresnet/data.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BATCH = 8, SIZE = 27, EXAMPLES = 16 };

static irn_model *new_model(irn_context *context, size_t levels)
{
    irn_model *model;
    irn_model_config config = devices_small_config(3, 3, 3);
    config.prior = IRN_PRIOR_LEARNED;
    config.levels = levels;
    testing_ok(irn_model_create(&model, context, &config));
    return model;
}

static irn_train_options density_options(void)
{
    irn_train_options options;
    testing_ok(irn_train_options_init(&options, NULL));
    options.task = IRN_DENSITY;
    options.logdet = IRN_GRADIENT_NEUMANN;
    options.optimizer = IRN_ADAM;
    options.weight_decay = 0;
    options.learning_rate = 0.01;
    options.warmup_steps = options.milestone_count = 0;
    options.epochs = 3;
    options.batch = BATCH;
    return options;
}

static float *normal(size_t count)
{
    return host_narrow(host_normal(count), count);
}

static float *read_all(const irn_arena *arena, cl_mem memory)
{
    float *values = host_floats(arena->size);
    testing_ok(irn_memory_read(arena->context, memory, 0, values, arena->size * sizeof *values));
    return values;
}

/* ---- input ---- */

static void check_range(irn_context *context, size_t parts)
{
    irn_model *model = new_model(context, 17);
    irn_train_options options = density_options();
    irn_trainer *trainer;
    float *x = host_floats(BATCH * SIZE);
    options.accumulate = parts;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    for (size_t i = 0; i < BATCH * SIZE; i++)
        x[i] = (float)((double)host_below(17) / 16 - 0.5);
    testing_ok(irn_trainer_step(trainer, x, NULL, BATCH, NULL));
    x[6 * SIZE + 4] = 0.75f;
    testing_fails(irn_trainer_step(trainer, x, NULL, BATCH, NULL), IRN_ERROR_ARGUMENT,
                  "value 4 of sample 6 is 0.75; the data must be from -0.5 to 0.5");
    x[6 * SIZE + 4] = (float)(2.75 / 16 - 0.5);
    testing_fails(irn_trainer_step(trainer, x, NULL, BATCH, NULL), IRN_ERROR_ARGUMENT,
                  "value 4 of sample 6 is -0.328125, level 2.75 of 0 to 16");
    x[6 * SIZE + 4] = (float)NAN;
    testing_fails(irn_trainer_step(trainer, x, NULL, BATCH, NULL), IRN_ERROR_ARGUMENT,
                  "value 4 of sample 6 is");
    ck_assert_uint_eq(trainer->step, 1);
    x[6 * SIZE + 4] = 0.5f;
    irn_step_report report;
    testing_ok(irn_trainer_step(trainer, x, NULL, BATCH, &report));
    ck_assert_uint_eq(report.step, 2);
    irn_trainer_free(trainer);
    irn_model_free(model);
}

START_TEST(values_have_a_range)
{
    irn_context *context = devices_open(_i);
    check_range(context, 1);
    check_range(context, 3);
    devices_close(context);
}
END_TEST

START_TEST(tasks_need_their_models)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context, 0), *classifier;
    irn_train_options options = density_options();
    irn_trainer *trainer;
    for (int task = IRN_CLASSIFY; task <= IRN_HYBRID; task += IRN_HYBRID) {
        options.task = (irn_task)task;
        testing_fails(irn_trainer_create(&trainer, model, &options), IRN_ERROR_UNSUPPORTED,
                      "no classifier head");
        ck_assert_ptr_null(trainer);
    }
    irn_model_config config = devices_small_config(3, 3, 3);
    config.classes = 4;
    testing_ok(irn_model_create(&classifier, context, &config));
    options.task = IRN_DENSITY;
    testing_fails(irn_trainer_create(&trainer, classifier, &options), IRN_ERROR_UNSUPPORTED,
                  "no prior");
    options.density_weight = 0;
    testing_fails(irn_trainer_create(&trainer, model, &options), IRN_ERROR_ARGUMENT,
                  "density_weight is 0; it must be 1e-06 to");
    irn_model_free(classifier);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* All labels are looked at before the first part of a batch does anything. */
START_TEST(labels_of_all_parts)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(3, 3, 3);
    irn_train_options options = density_options();
    irn_model *model;
    irn_trainer *trainer;
    config.classes = 4;
    config.prior = IRN_PRIOR_LEARNED;
    options.task = IRN_HYBRID;
    options.accumulate = 4;
    testing_ok(irn_model_create(&model, context, &config));
    testing_ok(irn_trainer_create(&trainer, model, &options));
    const float *state = read_all(&model->state, model->single.state);
    testing_fails(irn_trainer_step(trainer, normal(BATCH * SIZE), (int[]){0, 1, 2, 3, 3, 2, 1, 4},
                                   BATCH, NULL),
                  IRN_ERROR_ARGUMENT, "label 7 of the batch is 4; it must be 0 to 3");
    ck_assert_mem_eq(state, read_all(&model->state, model->single.state),
                     model->state.size * sizeof *state);
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

START_TEST(constant_channels_are_no_trouble)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context, 0);
    irn_train_options options = density_options();
    irn_trainer *trainer;
    irn_step_report report;
    float *x = normal(BATCH * SIZE);
    for (size_t n = 0; n < BATCH; n++)
        for (size_t i = 0; i < 9; i++)
            x[n * SIZE + i] = 0.25f;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    for (int t = 0; t < 5; t++) {
        testing_ok(irn_trainer_step(trainer, x, NULL, BATCH, &report));
        ck_assert_msg(isfinite(report.loss), "loss %g", report.loss);
    }
    const float *parameters = read_all(&model->parameters, model->single.parameters);
    for (size_t i = 0; i < model->parameters.size; i++)
        ck_assert_msg(isfinite(parameters[i]), "parameter %zu is %g", i, (double)parameters[i]);
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* ---- fits ---- */

static irn_dataset *dataset(void)
{
    size_t shape[4] = {EXAMPLES, 3, 3, 3};
    irn_array x;
    irn_dataset *out;
    char spec[512];
    testing_ok(irn_array_create(&x, IRN_FLOAT32, 4, shape));
    memcpy(x.data, normal(EXAMPLES * SIZE), EXAMPLES * SIZE * sizeof(float));
    testing_ok(irn_npy_write(&x, testing_path("x.npy")));
    irn_array_free(&x);
    snprintf(spec, sizeof spec, "npy:%s", testing_path("x.npy"));
    testing_ok(irn_dataset_open(&out, spec, IRN_TRAIN));
    return out;
}

/* After the first epoch, steps become so long that parameters are no numbers. */
static bool spoil(const irn_fit_event *event, void *payload)
{
    if (event->epoch_done)
        irn_trainer_set_learning_rate(payload, (double)INFINITY);
    return true;
}

static void check_spoiled(irn_context *context, size_t batch)
{
    irn_model *model = new_model(context, 0), *loaded;
    irn_train_options options = density_options();
    irn_trainer *trainer, *good;
    irn_dataset *data = dataset();
    const char *path = testing_path("good.safetensors");
    options.batch = batch;
    options.average_decay = 0.9;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    irn_status status = irn_trainer_fit(trainer, data, NULL, path, spoil, trainer);
    ck_assert_msg(status == IRN_ERROR_NUMERIC, "status %d", (int)status);
    testing_ok(irn_trainer_load(&good, &loaded, context, path));
    ck_assert_uint_eq(good->step, EXAMPLES / batch);
    irn_trainer_set_epochs(good, 2);
    testing_ok(irn_trainer_fit(good, data, NULL, NULL, NULL, NULL));
    irn_dataset_free(data);
    irn_trainer_free(trainer);
    irn_trainer_free(good);
    irn_model_free(model);
    irn_model_free(loaded);
}

/* Found by the loss, or if there is no further step in the epoch, when parameters are saved. */
START_TEST(the_last_good_checkpoint_stays)
{
    irn_context *context = devices_open(_i);
    check_spoiled(context, EXAMPLES / 4);
    check_spoiled(context, EXAMPLES);
    devices_close(context);
}
END_TEST

START_TEST(fits_end_with_the_average)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context, 0), *loaded;
    irn_train_options options = density_options();
    irn_trainer *trainer, *last;
    irn_dataset *data = dataset();
    const char *path = testing_path("last.safetensors");
    options.average_decay = 0.9;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    testing_ok(irn_trainer_fit(trainer, data, NULL, path, NULL, NULL));
    testing_ok(irn_trainer_load(&last, &loaded, context, path));
    const irn_arena *arena = &model->parameters;
    size_t bytes = arena->size * sizeof(float);
    const float *average = read_all(arena, trainer->average);
    ck_assert_mem_eq(average, read_all(arena, model->single.parameters), bytes);
    ck_assert_mem_eq(average, read_all(arena, last->average), bytes);
    ck_assert_mem_ne(average, read_all(arena, loaded->single.parameters), bytes);
    irn_dataset_free(data);
    irn_trainer_free(trainer);
    irn_trainer_free(last);
    irn_model_free(model);
    irn_model_free(loaded);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("faults in training densities");
    TCase *steps = devices_case(suite, "steps");
    devices_add(steps, values_have_a_range);
    devices_add(steps, tasks_need_their_models);
    devices_add(steps, labels_of_all_parts);
    devices_add(steps, constant_channels_are_no_trouble);
    TCase *fits = devices_case(suite, "fits");
    devices_add(fits, the_last_good_checkpoint_stays);
    devices_add(fits, fits_end_with_the_average);
    return testing_run(suite);
}
