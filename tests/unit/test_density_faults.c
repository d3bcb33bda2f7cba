/* Training of densities where things go wrong: bad input, data without variance, a loss that is no
 * number; and that a complete fit leaves the averaged parameters. */
#include "devices.h"

#include "train/trainer.h"

#include <iresnet/array.h>
#include <iresnet/data.h>
#include <iresnet/density.h>

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { BATCH = 8, SIZE = 27, EXAMPLES = 16, CLASSES = 4 };

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

/* A step that fails leaves actnorm and all other parameters as they were. */
static void check_refused(irn_trainer *trainer, const float *x, size_t batch, const char *words)
{
    const irn_model *model = trainer->model;
    const irn_arena *arena = &model->parameters;
    size_t bytes = arena->size * sizeof(float);
    const float *before = read_all(arena, model->single.parameters);
    testing_fails(irn_trainer_step(trainer, x, NULL, batch, NULL), IRN_ERROR_NUMERIC, words);
    ck_assert_uint_eq(trainer->step, 0);
    ck_assert_mem_eq(before, read_all(arena, model->single.parameters), bytes);
    ck_assert(!model->actnorm_ready);
}

/* Nothing bounds the likelihood of what does not vary. */
START_TEST(constant_channels_have_no_density)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context, 0);
    irn_train_options options = density_options();
    irn_trainer *trainer;
    float *x = normal(BATCH * SIZE), *z = host_floats(BATCH * SIZE);
    for (size_t n = 0; n < BATCH; n++)
        for (size_t i = 9; i < 18; i++)
            x[n * SIZE + i] = 0.25f;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    check_refused(trainer, x, BATCH,
                  "actnorm of blocks.0 cannot be initialised: channel 1 has mean 0.25 and variance "
                  "0, no more than rounding, over 8 images");
    testing_fails(irn_model_encode(model, x, BATCH, z), IRN_ERROR_NUMERIC,
                  "blocks.0 cannot be initialised: channel 1");
    testing_ok(irn_trainer_step(trainer, normal(BATCH * SIZE), NULL, BATCH, NULL));
    testing_ok(irn_trainer_step(trainer, x, NULL, BATCH, NULL));
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* What counts is the deviation beside the mean, and beside what float32 rounds of it: the mean of
 * many values of 0.1 is not 0.1. */
START_TEST(what_varies)
{
    enum { SIDE = 50, PIXELS = SIDE * SIDE };
    static const struct {
        double mean, deviation;
        const char *words; /* NULL: it varies */
    } cases[] = {{0, 1e-6, NULL},
                 {0.5, 1e-6, NULL},
                 {1e6, 10, NULL},
                 {0.1, 0, "no more than rounding"},
                 {-1234.567, 0, "no more than rounding"},
                 {1, 1e-7, "no more than rounding"},
                 {0, 1e20, "variance inf, which leaves the range"},
                 {1e38, 1e10, "which leaves the range"}};
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(1, SIDE, SIDE);
    config.prior = IRN_PRIOR_LEARNED;
    float *z = host_floats(BATCH * PIXELS);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double *values = host_normal(BATCH * PIXELS);
        for (size_t k = 0; k < BATCH * PIXELS; k++)
            values[k] = cases[i].mean + cases[i].deviation * values[k];
        const float *x = host_narrow(values, BATCH * PIXELS);
        irn_model *model;
        testing_ok(irn_model_create(&model, context, &config));
        if (cases[i].words)
            testing_fails(irn_model_encode(model, x, BATCH, z), IRN_ERROR_NUMERIC, cases[i].words);
        else
            testing_ok(irn_model_encode(model, x, BATCH, z));
        irn_model_free(model);
    }
    devices_close(context);
}
END_TEST

/* One image varies in the map of the first block, but not where each channel is one pixel. */
START_TEST(initialised_whole_or_not_at_all)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(1, 2, 2);
    irn_train_options options = density_options();
    irn_model *model;
    irn_trainer *trainer;
    float z[4];
    config.prior = IRN_PRIOR_STANDARD;
    config.stages = 2;
    config.blocks[1] = 1;
    config.widths[1] = config.widths[0];
    config.strides[1] = 2;
    testing_ok(irn_model_create(&model, context, &config));
    testing_ok(irn_trainer_create(&trainer, model, &options));
    check_refused(trainer, normal(4), 1, "actnorm of blocks.1 cannot be initialised: channel 0");
    const irn_arena *arena = &model->parameters;
    const float *before = read_all(arena, model->single.parameters);
    testing_fails(irn_model_encode(model, normal(4), 1, z), IRN_ERROR_NUMERIC, "blocks.1");
    ck_assert_mem_eq(before, read_all(arena, model->single.parameters),
                     arena->size * sizeof(float));
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* Padded channels do not vary, and classifiers have them. */
START_TEST(classifiers_take_constant_channels)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(3, 3, 3);
    irn_train_options options = density_options();
    irn_model *model;
    irn_trainer *trainer;
    irn_step_report report;
    const int labels[BATCH] = {0, 1, 2, 3, 3, 2, 1, 0};
    options.task = IRN_CLASSIFY;
    config.classes = CLASSES;
    config.pad_channels = 2;
    testing_ok(irn_model_create(&model, context, &config));
    testing_ok(irn_trainer_create(&trainer, model, &options));
    for (int t = 0; t < 5; t++) {
        testing_ok(irn_trainer_step(trainer, normal(BATCH * SIZE), labels, BATCH, &report));
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

/* With labels for models of classes. */
static irn_dataset *dataset(void)
{
    size_t shape[4] = {EXAMPLES, 3, 3, 3};
    irn_array x, labels;
    irn_dataset *out;
    char spec[512];
    testing_ok(irn_array_create(&x, IRN_FLOAT32, 4, shape));
    testing_ok(irn_array_create(&labels, IRN_INT32, 1, shape));
    memcpy(x.data, normal(EXAMPLES * SIZE), EXAMPLES * SIZE * sizeof(float));
    for (size_t n = 0; n < EXAMPLES; n++)
        ((int32_t *)labels.data)[n] = (int32_t)(n % CLASSES);
    testing_ok(irn_npy_write(&x, testing_path("x.npy")));
    testing_ok(irn_npy_write(&labels, testing_path("labels.npy")));
    irn_array_free(&x);
    irn_array_free(&labels);
    snprintf(spec, sizeof spec, "npy:%s,%s", testing_path("x.npy"), testing_path("labels.npy"));
    testing_ok(irn_dataset_open(&out, spec, IRN_TRAIN));
    return out;
}

/* After the first epoch, steps become so long that parameters are no good any more: with an
 * infinite rate no numbers, with a finite one numbers of which the loss is none. */
typedef struct spoiling {
    irn_task task;
    size_t batch;
    double rate;
    bool stop; /* training at the first step of the next epoch that is told of */
    irn_trainer *trainer;
} spoiling;

static bool spoil(const irn_fit_event *event, void *payload)
{
    spoiling *s = payload;
    const struct timespec until_steps_are_told = {.tv_nsec = 300000000};
    if (event->epoch_done)
        irn_trainer_set_learning_rate(s->trainer, s->rate);
    if (event->epoch_done && s->stop)
        nanosleep(&until_steps_are_told, NULL);
    return event->epoch_done || event->epoch == 1 || !s->stop;
}

static void check_spoiled(irn_context *context, spoiling s)
{
    irn_model_config config = devices_small_config(3, 3, 3);
    irn_train_options options = density_options();
    irn_model *model, *loaded;
    irn_trainer *good;
    irn_dataset *data = dataset();
    const char *path = testing_path("good.safetensors");
    char kept[64];
    config.prior = s.task == IRN_CLASSIFY ? IRN_PRIOR_NONE : IRN_PRIOR_LEARNED;
    config.classes = s.task == IRN_DENSITY ? 0 : CLASSES;
    options.task = s.task;
    options.batch = s.batch;
    options.average_decay = 0.9;
    testing_ok(irn_model_create(&model, context, &config));
    testing_ok(irn_trainer_create(&s.trainer, model, &options));
    snprintf(kept, sizeof kept, "good.safetensors keeps step %zu", EXAMPLES / s.batch);
    testing_fails(irn_trainer_fit(s.trainer, data, NULL, path, spoil, &s), IRN_ERROR_NUMERIC, kept);
    ck_assert_ptr_nonnull(strstr(irn_last_error(), "epoch 2, step "));
    testing_ok(irn_trainer_load(&good, &loaded, context, path));
    ck_assert_uint_eq(good->step, EXAMPLES / s.batch);
    irn_trainer_set_epochs(good, 2);
    testing_ok(irn_trainer_fit(good, data, NULL, NULL, NULL, NULL));
    irn_dataset_free(data);
    irn_trainer_free(s.trainer);
    irn_trainer_free(good);
    irn_model_free(model);
    irn_model_free(loaded);
}

/* Found by the loss, or if there is no further step in the epoch, when parameters are saved. */
START_TEST(the_last_good_checkpoint_stays)
{
    irn_context *context = devices_open(_i);
    const double rates[] = {(double)INFINITY, 1e30};
    for (int task = IRN_CLASSIFY; task <= IRN_HYBRID; task++)
        for (size_t r = 0; r < 2; r++) {
            check_spoiled(context, (spoiling){(irn_task)task, EXAMPLES / 4, rates[r], false, NULL});
            check_spoiled(context, (spoiling){(irn_task)task, EXAMPLES, rates[r], false, NULL});
        }
    devices_close(context);
}
END_TEST

START_TEST(stopping_keeps_it_too)
{
    irn_context *context = devices_open(_i);
    for (int task = IRN_CLASSIFY; task <= IRN_HYBRID; task++)
        check_spoiled(context, (spoiling){(irn_task)task, EXAMPLES / 2, 1e30, true, NULL});
    devices_close(context);
}
END_TEST

static bool keep_event(const irn_fit_event *event, void *payload)
{
    if (event->epoch_done)
        *(irn_fit_event *)payload = *event;
    return true;
}

/* The test after the last epoch is of the weights that the fit ends with. */
static void check_test(irn_model *model, const irn_dataset *data, const irn_fit_event *event)
{
    irn_log_density densities[EXAMPLES];
    uint32_t all[EXAMPLES];
    float *x = host_floats(EXAMPLES * SIZE);
    double bits = 0;
    for (uint32_t i = 0; i < EXAMPLES; i++)
        all[i] = i;
    testing_ok(irn_dataset_batch(data, all, EXAMPLES, NULL, 0, 0, x, NULL));
    testing_ok(irn_model_log_density(model, x, EXAMPLES, NULL, densities, NULL));
    for (size_t i = 0; i < EXAMPLES; i++)
        bits -= (densities[i].log_prior + densities[i].logdet) / (log(2) * SIZE * EXAMPLES);
    host_check_number(bits, event->test_bits_per_dim, 1e-3 * fabs(bits), "test bits per dimension");
    ck_assert(event->test_bits_per_dim_error > 0 && event->test_bits_per_dim_error < fabs(bits));
    ck_assert(isnan(event->test_accuracy));
}

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
    irn_fit_event event;
    testing_ok(irn_trainer_fit(trainer, data, data, path, keep_event, &event));
    check_test(model, data, &event);
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

/* There is nothing to average before the first step. */
START_TEST(fits_without_a_step)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context, 0);
    irn_train_options options = density_options();
    irn_trainer *trainer;
    irn_dataset *data = dataset();
    options.average_decay = 0.9;
    options.epochs = 0;
    const irn_arena *arena = &model->parameters;
    const float *before = read_all(arena, model->single.parameters);
    testing_ok(irn_trainer_create(&trainer, model, &options));
    testing_ok(irn_trainer_fit(trainer, data, NULL, NULL, NULL, NULL));
    ck_assert_mem_eq(before, read_all(arena, model->single.parameters),
                     arena->size * sizeof(float));
    irn_dataset_free(data);
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* Where the device cannot iterate with the averages, the model has its own parameters again. */
START_TEST(a_failed_average_is_undone)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context, 0);
    irn_train_options options = density_options();
    irn_trainer *trainer;
    options.average_decay = 0.9;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    for (int t = 0; t < 2; t++)
        testing_ok(irn_trainer_step(trainer, normal(BATCH * SIZE), NULL, BATCH, NULL));
    const irn_arena *parameters = &model->parameters, *state = &model->state;
    const float *raw = read_all(parameters, model->single.parameters);
    const float *average = read_all(parameters, trainer->average);
    const float *estimates = read_all(state, model->single.state);
    size_t bytes = parameters->size * sizeof(float);
    unsigned work_group = context->tuning.work_group;
    ck_assert_mem_ne(raw, average, bytes);
    context->tuning.work_group = 1u << 24; /* more than any device has */
    irn_status status = irn_average_begin(trainer);
    context->tuning.work_group = work_group;
    ck_assert_msg(status != IRN_OK, "power iteration did not fail");
    ck_assert_mem_eq(raw, read_all(parameters, model->single.parameters), bytes);
    ck_assert_mem_eq(average, read_all(parameters, trainer->average), bytes);
    ck_assert_mem_eq(estimates, read_all(state, model->single.state), state->size * sizeof(float));
    irn_trainer_free(trainer);
    irn_model_free(model);
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
    devices_add(steps, constant_channels_have_no_density);
    devices_add(steps, what_varies);
    devices_add(steps, initialised_whole_or_not_at_all);
    devices_add(steps, classifiers_take_constant_channels);
    TCase *fits = devices_case(suite, "fits");
    devices_add(fits, the_last_good_checkpoint_stays);
    devices_add(fits, stopping_keeps_it_too);
    devices_add(fits, fits_end_with_the_average);
    devices_add(fits, fits_without_a_step);
    devices_add(fits, a_failed_average_is_undone);
    return testing_run(suite);
}
