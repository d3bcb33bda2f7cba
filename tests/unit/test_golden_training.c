/* Training: the golden steps of SGD, the other optimisers against double precision, and going on
 * from a checkpoint as if nothing had happened. */
#include "golden.h"

#include "oracle/optimizer.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static irn_train_options plain_options(irn_optimizer optimizer)
{
    irn_train_options options;
    testing_ok(irn_train_options_init(&options, NULL));
    options.optimizer = optimizer;
    options.warmup_steps = 0;
    options.milestone_count = 0;
    return options;
}

/* ---- the golden run ---- */

static void check_final(const irn_safetensors *file, const irn_model *model)
{
    golden_entry entries[GOLDEN_MAX_ENTRIES];
    size_t count = golden_entries(model, entries), values, wanted;
    for (size_t i = 0; i < count; i++) {
        cl_mem buffer = entries[i].state ? model->single.state : model->single.parameters;
        double *got = golden_entry_values(model, &entries[i], buffer, &values);
        double *expected = golden_read(file, &wanted, "expect.final.%s", entries[i].name);
        ck_assert_uint_eq(values, wanted);
        host_check(expected, got, values, GOLDEN_GRADIENT, "final %s", entries[i].name);
    }
}

START_TEST(golden_sgd)
{
    enum { BATCH = 8 };
    const char *name = "training-classify-sgd.safetensors";
    irn_context *context = devices_open(_i);
    irn_safetensors *file = golden_open(name);
    irn_model *model;
    irn_trainer *trainer;
    irn_train_options options = plain_options(IRN_SGD);
    size_t steps, count;
    testing_ok(irn_model_import(&model, context, golden_path(name), NULL));
    options.learning_rate = 0.05;
    options.momentum = 0.9;
    options.weight_decay = 5e-4;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    double *losses = golden_read(file, &steps, "expect.losses");
    double *x = golden_read(file, &count, "input.x");
    float *batches = host_narrow(x, count);
    int *labels = golden_labels(file, &count);
    ck_assert_uint_eq(count, steps * BATCH);
    for (size_t i = 0; i < steps; i++) {
        irn_step_report report;
        testing_ok(irn_trainer_step(trainer, batches + i * BATCH * 3 * 8 * 8, labels + i * BATCH,
                                    BATCH, &report));
        ck_assert_uint_eq(report.step, i + 1);
        host_check_number(losses[i], report.loss, GOLDEN_GRADIENT * losses[i], "loss %zu", i);
    }
    check_final(file, model);
    irn_trainer_free(trainer);
    irn_model_free(model);
    irn_safetensors_free(file);
    devices_close(context);
}
END_TEST

/* ---- the optimisers alone ---- */

static irn_model *small_model(irn_context *context)
{
    irn_model_config config;
    irn_model *model;
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = 3;
    config.height = config.width = 6;
    config.pad_channels = 2;
    config.stages = 2;
    config.blocks[0] = config.blocks[1] = 1;
    config.widths[0] = 7;
    config.widths[1] = 18;
    config.strides[0] = 1;
    config.strides[1] = 2;
    config.classes = 5;
    testing_ok(irn_model_create(&model, context, &config));
    return model;
}

static void check_moments(irn_trainer *trainer, const irn_entry *entry, const oracle_optimizer *o)
{
    const irn_arena *arena = &trainer->model->parameters;
    size_t count = irn_entry_count(entry);
    float *values = host_floats(count);
    const double *expected[2] = {o->first, o->second};
    for (size_t i = 0; i < 2 && trainer->moments[i]; i++) {
        testing_ok(irn_arena_read(arena, trainer->moments[i], entry, values));
        host_check_float(expected[i], values, count, 1e-4, "moment %zu of %s", i, entry->name);
    }
}

/* Five updates with random gradients, all parameters against the oracle. */
static void check_optimizer(irn_context *context, irn_optimizer kind, double beta2)
{
    enum { STEPS = 5 };
    irn_train_options options = plain_options(kind);
    irn_trainer *trainer;
    irn_model *model = small_model(context);
    const irn_arena *arena = &model->parameters;
    options.learning_rate = 0.01;
    options.weight_decay = 0.02;
    options.beta2 = beta2;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    oracle_optimizer o = {.kind = kind,
                          .rate = 0.01,
                          .momentum = options.momentum,
                          .beta1 = options.beta1,
                          .beta2 = options.beta2,
                          .epsilon = options.epsilon,
                          .decay = options.weight_decay};
    const irn_entry *entry = &arena->entries[model->blocks[1].layers[0].weight];
    size_t count = irn_entry_count(entry);
    float *values = host_floats(count);
    testing_ok(irn_arena_read(arena, model->single.parameters, entry, values));
    double *weights = host_widen(values, count), *before = host_widen(values, count);
    o.first = host_doubles(count);
    o.second = host_doubles(count);
    for (size_t i = 0; i < STEPS; i++) {
        double *gradient = host_normal(count);
        testing_ok(irn_arena_write(arena, trainer->parameter_gradient, entry,
                                   host_narrow(gradient, count)));
        testing_ok(irn_optimizer_update(trainer, options.learning_rate));
        trainer->step++;
        oracle_update(&o, weights, gradient, count);
        testing_ok(irn_arena_read(arena, model->single.parameters, entry, values));
        host_check_float(weights, values, count, 1e-5, "optimiser %d, step %zu", (int)kind, i);
    }
    double *moved = host_doubles(count), *moved_here = host_doubles(count);
    for (size_t i = 0; i < count; i++) {
        moved[i] = weights[i] - before[i];
        moved_here[i] = (double)values[i] - before[i];
    }
    host_check(moved, moved_here, count, 1e-4, "optimiser %d, way", (int)kind);
    check_moments(trainer, entry, &o);
    irn_trainer_free(trainer);
    irn_model_free(model);
}

START_TEST(optimizers)
{
    irn_context *context = devices_open(_i);
    check_optimizer(context, IRN_SGD, 0.999);
    check_optimizer(context, IRN_ADAM, 0.999);
    check_optimizer(context, IRN_ADAM, 1 - 1e-8); /* 1 in float32 */
    check_optimizer(context, IRN_ADAMAX, 0.999);
    devices_close(context);
}
END_TEST

/* ---- checkpoints ---- */

enum { BATCH = 4, STEPS = 6, INPUT = 3 * 6 * 6 };

static void train(irn_trainer *trainer, const float *x, const int *labels, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        testing_ok(
            irn_trainer_step(trainer, x + i * BATCH * INPUT, labels + i * BATCH, BATCH, NULL));
}

static void check_equal(const irn_model *model, const irn_model *other, cl_mem a, cl_mem b,
                        const irn_arena *arena, const char *what)
{
    for (size_t i = 0; i < arena->count; i++) {
        const irn_entry *entry = &arena->entries[i];
        size_t count = irn_entry_count(entry);
        float *left = host_floats(count), *right = host_floats(count);
        testing_ok(irn_arena_read(arena, a, entry, left));
        testing_ok(irn_arena_read(arena, b, entry, right));
        ck_assert_msg(memcmp(left, right, count * sizeof *left) == 0,
                      "%s of %s differ after resuming", what, entry->name);
    }
    ck_assert_uint_eq(model->parameters.count, other->parameters.count);
}

static void check_resume(irn_context *context, irn_optimizer kind)
{
    irn_train_options options = plain_options(kind);
    const char *path = testing_path("checkpoint.safetensors");
    irn_model *model = small_model(context), *resumed_model;
    irn_trainer *trainer, *resumed;
    float *x = host_narrow(host_normal(STEPS * BATCH * INPUT), STEPS * BATCH * INPUT);
    int labels[STEPS * BATCH];
    for (size_t i = 0; i < STEPS * BATCH; i++)
        labels[i] = (int)host_below(5);
    options.warmup_steps = 5; /* so that the step counter matters for every optimiser */
    options.learning_rate = 0.01;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    train(trainer, x, labels, 0, STEPS / 2);
    testing_ok(irn_trainer_save(trainer, path));
    train(trainer, x, labels, STEPS / 2, STEPS);
    testing_ok(irn_trainer_load(&resumed, &resumed_model, context, path));
    ck_assert_uint_eq(resumed->step, STEPS / 2);
    train(resumed, x, labels, STEPS / 2, STEPS);
    check_equal(model, resumed_model, model->single.parameters, resumed_model->single.parameters,
                &model->parameters, "parameters");
    check_equal(model, resumed_model, model->single.state, resumed_model->single.state,
                &model->state, "state");
    for (size_t i = 0; i < 2 && trainer->moments[i]; i++)
        check_equal(model, resumed_model, trainer->moments[i], resumed->moments[i],
                    &model->parameters, "moments");
    irn_trainer_free(trainer);
    irn_trainer_free(resumed);
    irn_model_free(model);
    irn_model_free(resumed_model);
}

START_TEST(resumed_training)
{
    irn_context *context = devices_open(_i);
    check_resume(context, IRN_SGD);
    check_resume(context, IRN_ADAM);
    check_resume(context, IRN_ADAMAX);
    devices_close(context);
}
END_TEST

START_TEST(negative_moments)
{
    irn_context *context = devices_open(_i);
    irn_model *model = small_model(context), *loaded;
    irn_train_options options = plain_options(IRN_ADAM);
    irn_trainer *trainer, *other;
    const irn_entry *entry = &model->parameters.entries[model->head.bias];
    const char *path = testing_path("negative.safetensors");
    testing_ok(irn_trainer_create(&trainer, model, &options));
    testing_ok(irn_arena_write(&model->parameters, trainer->moments[1], entry,
                               (float[]){0, 1, -0.5f, 0, 0}));
    testing_ok(irn_trainer_save(trainer, path));
    testing_fails(irn_trainer_load(&other, &loaded, context, path), IRN_ERROR_FORMAT,
                  "is -0.5 at index 2");
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

static void refuses_options(irn_trainer *trainer, const char *words)
{
    irn_trainer *other;
    irn_model *loaded;
    const char *path = testing_path("options.safetensors");
    testing_ok(irn_trainer_save(trainer, path));
    testing_fails(irn_trainer_load(&other, &loaded, trainer->model->context, path),
                  IRN_ERROR_FORMAT, words);
}

START_TEST(bad_options_in_files)
{
    irn_context *context = devices_open(_i);
    irn_model *model = small_model(context);
    const irn_train_options options = plain_options(IRN_ADAM);
    irn_trainer *trainer;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    trainer->options.batch = 2000000000;
    refuses_options(trainer, "options.safetensors: training option 'batch' is 2000000000; it must");
    trainer->options = options;
    trainer->options.learning_rate = NAN;
    refuses_options(trainer, "training option 'learning_rate' is null; it must be a number");
    trainer->options = options;
    trainer->options.optimizer = (irn_optimizer)7;
    refuses_options(trainer, "training option 'optimizer' is 7; it must be a whole number from");
    trainer->options = options;
    trainer->options.milestone_count = 1;
    trainer->options.milestones[0] = NAN;
    refuses_options(trainer, "training option 'milestones' is [null]; it must be a list");
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

START_TEST(negative_variance)
{
    irn_context *context = devices_open(_i);
    irn_model *model = small_model(context), *loaded;
    const irn_entry *entry = &model->state.entries[model->head.running_variance];
    const char *path = testing_path("variance.safetensors");
    float *values = host_floats(irn_entry_count(entry));
    values[1] = -0.25f;
    testing_ok(irn_arena_write(&model->state, model->single.state, entry, values));
    testing_ok(irn_model_save(model, path));
    testing_fails(irn_model_load(&loaded, context, path), IRN_ERROR_FORMAT,
                  "variance.safetensors: head.norm.running_var is -0.25 at index 1; it must be 0");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* ---- fitting ---- */

typedef struct listener {
    size_t events, stop_at; /* stop_at 0: never */
    irn_fit_event last;
} listener;

static bool listen(const irn_fit_event *event, void *payload)
{
    listener *self = payload;
    self->last = *event;
    if (event->epoch_done)
        self->events++;
    return self->events != self->stop_at || self->stop_at == 0;
}

static irn_dataset *points_for(const irn_model *model, size_t count)
{
    const irn_model_config *c = irn_model_get_config(model);
    size_t shape[4] = {count, c->channels, c->height, c->width};
    irn_array x, labels;
    char spec[512];
    irn_dataset *dataset;
    testing_ok(irn_array_create(&x, IRN_FLOAT32, 4, shape));
    testing_ok(irn_array_create(&labels, IRN_INT32, 1, shape));
    double *values = host_normal(count * INPUT);
    for (size_t i = 0; i < count * INPUT; i++)
        ((float *)x.data)[i] = (float)values[i];
    for (size_t i = 0; i < count; i++)
        ((int32_t *)labels.data)[i] = (int32_t)(i % 5);
    testing_ok(irn_npy_write(&x, testing_path("x.npy")));
    testing_ok(irn_npy_write(&labels, testing_path("labels.npy")));
    snprintf(spec, sizeof spec, "npy:%s,%s", testing_path("x.npy"), testing_path("labels.npy"));
    testing_ok(irn_dataset_open(&dataset, spec, IRN_TRAIN));
    irn_array_free(&x);
    irn_array_free(&labels);
    return dataset;
}

/* A fit's means are without what a caller's own steps have counted, the caller's rate stays until
 * it is taken back, and what is complete cannot be stopped. */
START_TEST(fitting)
{
    irn_context *context = devices_open(_i);
    irn_model *model = small_model(context);
    irn_train_options options = plain_options(IRN_SGD);
    irn_trainer *trainer;
    irn_step_report report;
    listener own = {.stop_at = 0};
    const irn_metrics earlier = {.loss = 1e6f, .correct = 3, .samples = 4};
    options.batch = 8;
    options.epochs = 1;
    options.learning_rate = 0.25;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    irn_dataset *dataset = points_for(model, 8);
    testing_ok(irn_memory_write(context, trainer->metrics, 0, &earlier, sizeof earlier));
    irn_trainer_set_learning_rate(trainer, 0.125);
    testing_ok(irn_trainer_fit(trainer, dataset, NULL, NULL, listen, &own));
    ck_assert(own.last.learning_rate == 0.125);
    ck_assert_msg(own.last.loss > 0 && own.last.loss < 100, "the loss is %g", own.last.loss);
    irn_trainer_set_learning_rate(trainer, NAN);
    irn_trainer_set_epochs(trainer, 3);
    own = (listener){.stop_at = 1};
    testing_fails(irn_trainer_fit(trainer, dataset, NULL, NULL, listen, &own), IRN_ERROR_CANCELLED,
                  "stopped");
    ck_assert(own.last.learning_rate == 0.25);
    own = (listener){.stop_at = 1};
    testing_ok(irn_trainer_fit(trainer, dataset, NULL, NULL, listen, &own));
    testing_ok(irn_trainer_report(trainer, &report));
    ck_assert(report.loss == 0 && report.step == 3);
    irn_dataset_free(dataset);
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* A fit that is stopped after an epoch and goes on from its file, beside one that is not. */
START_TEST(resumed_fit)
{
    irn_context *context = devices_open(_i);
    irn_model *straight = small_model(context), *model = small_model(context), *resumed_model;
    irn_train_options options = plain_options(IRN_ADAM);
    irn_trainer *trainer, *resumed;
    listener stop = {.stop_at = 1};
    const char *path = testing_path("fit.safetensors");
    irn_dataset *dataset = points_for(model, 20);
    options.batch = 8;
    options.epochs = 2;
    options.milestone_count = 1;
    options.milestones[0] = 0.5;
    testing_ok(irn_trainer_create(&trainer, straight, &options));
    testing_ok(irn_trainer_fit(trainer, dataset, NULL, NULL, NULL, NULL));
    irn_trainer_free(trainer);
    testing_ok(irn_trainer_create(&trainer, model, &options));
    testing_fails(irn_trainer_fit(trainer, dataset, NULL, path, listen, &stop), IRN_ERROR_CANCELLED,
                  "stopped");
    testing_ok(irn_trainer_load(&resumed, &resumed_model, context, path));
    testing_ok(irn_trainer_fit(resumed, dataset, NULL, NULL, NULL, NULL));
    check_equal(straight, resumed_model, straight->single.parameters,
                resumed_model->single.parameters, &straight->parameters, "parameters");
    check_equal(straight, resumed_model, straight->single.state, resumed_model->single.state,
                &straight->state, "state");
    irn_dataset_free(dataset);
    irn_trainer_free(trainer);
    irn_trainer_free(resumed);
    irn_model_free(straight);
    irn_model_free(model);
    irn_model_free(resumed_model);
    devices_close(context);
}
END_TEST

/* ---- bad input ---- */

START_TEST(steps_refuse_bad_input)
{
    irn_context *context = devices_open(_i);
    irn_model *model = small_model(context);
    irn_train_options options = plain_options(IRN_SGD);
    irn_trainer *trainer;
    irn_step_report report;
    float *x = host_narrow(host_normal(2 * INPUT), 2 * INPUT);
    testing_ok(irn_trainer_create(&trainer, model, &options));
    testing_fails(irn_trainer_step(trainer, x, (int[]){0, 5}, 2, &report), IRN_ERROR_ARGUMENT,
                  "label 1 of the batch is 5");
    testing_fails(irn_trainer_step(trainer, x, (int[]){-1, 0}, 2, &report), IRN_ERROR_ARGUMENT,
                  "label 0 of the batch is -1");
    testing_fails(irn_trainer_step(trainer, x, (int[]){0}, 0, &report), IRN_ERROR_ARGUMENT,
                  "at least 1");
    testing_ok(irn_trainer_step(trainer, x, (int[]){0, 4}, 2, &report));
    x[INPUT + 7] = (float)NAN;
    testing_fails(irn_trainer_step(trainer, x, (int[]){0, 4}, 2, &report), IRN_ERROR_NUMERIC,
                  "the loss is");
    irn_trainer_free(trainer);
    options.momentum = 1.5;
    testing_fails(irn_trainer_create(&trainer, model, &options), IRN_ERROR_ARGUMENT,
                  "momentum is 1.5");
    options.momentum = 0.9;
    options.milestone_count = 2;
    options.milestones[1] = (double)NAN;
    testing_fails(irn_trainer_create(&trainer, model, &options), IRN_ERROR_ARGUMENT,
                  "milestone 1 is nan");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* A step that fails half way has moved sigma: bounds of the model before it hold no longer. */
START_TEST(failed_steps_forget_bounds)
{
    irn_context *context = devices_open(_i);
    irn_model *model = small_model(context);
    irn_train_options options = plain_options(IRN_SGD);
    irn_trainer *trainer;
    float *x = host_narrow(host_normal(BATCH * INPUT), BATCH * INPUT);
    testing_ok(irn_trainer_create(&trainer, model, &options));
    irn_model_set_lipschitz(model, 0, 0.5);
    testing_fails(irn_trainer_step(trainer, x, (int[]){0, 1, 2, 5}, BATCH, NULL),
                  IRN_ERROR_ARGUMENT, "label 3");
    ck_assert(model->blocks[0].lipschitz_upper == 0.5);
    x[0] = (float)NAN; /* actnorm cannot take its first values from this */
    testing_fails(irn_trainer_step(trainer, x, (int[]){0, 1, 2, 3}, BATCH, NULL), IRN_ERROR_NUMERIC,
                  "actnorm");
    ck_assert(isnan(model->blocks[0].lipschitz_upper));
    ck_assert_uint_eq(trainer->step, 0);
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("training");
    TCase *golden = devices_case(suite, "golden");
    devices_add(golden, golden_sgd);
    TCase *rest = devices_case(suite, "trainer");
    devices_add(rest, optimizers);
    devices_add(rest, resumed_training);
    devices_add(rest, negative_moments);
    devices_add(rest, bad_options_in_files);
    devices_add(rest, negative_variance);
    devices_add(rest, fitting);
    devices_add(rest, resumed_fit);
    devices_add(rest, steps_refuse_bad_input);
    devices_add(rest, failed_steps_forget_bounds);
    return testing_run(suite);
}
