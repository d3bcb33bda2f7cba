/* Training of densities: batches in parts, shortened gradients, averages, both tasks at once,
 * roulette, going on from a checkpoint, and bad input. */
#include "blocks.h"

#include "train/trainer.h"

#include <math.h>
#include <string.h>

enum { BATCH = 7, SIZE = 27, LEVELS = 17, CLASSES = 3 };

/* 27 values an image: noise comes in fours, so that images begin in the middle of one. */
static irn_model_config small_config(size_t levels)
{
    irn_model_config config = devices_small_config(3, 3, 3);
    config.blocks[0] = 2;
    config.prior = IRN_PRIOR_LEARNED;
    config.levels = levels;
    return config;
}

/* Steps that leave the model as it is. */
static irn_train_options still_options(irn_task task)
{
    irn_train_options options;
    testing_ok(irn_train_options_init(&options, NULL));
    options.task = task;
    options.logdet = IRN_GRADIENT_NEUMANN;
    options.learning_rate = options.weight_decay = options.momentum = 0;
    options.warmup_steps = options.milestone_count = options.power_iterations = 0;
    options.seed = 5;
    return options;
}

static float *discrete(size_t count)
{
    float *x = host_floats(count);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((double)host_below(LEVELS) / (LEVELS - 1) - 0.5);
    return x;
}

/* A model whose actnorm has its values. */
static irn_model *new_model(irn_context *context, const irn_model_config *config, const float *x,
                            size_t batch)
{
    irn_model *model;
    testing_ok(irn_model_create(&model, context, config));
    testing_ok(
        irn_model_encode(model, x, batch, host_floats(batch * irn_model_latent_size(model))));
    return model;
}

static float *read_all(const irn_arena *arena, cl_mem memory)
{
    float *values = host_floats(arena->size);
    testing_ok(irn_memory_read(arena->context, memory, 0, values, arena->size * sizeof *values));
    return values;
}

static void check_same(const irn_arena *arena, const float *before, cl_mem memory, const char *what)
{
    const float *now = read_all(arena, memory);
    ck_assert_msg(memcmp(before, now, arena->size * sizeof *now) == 0, "%s differ", what);
}

/* The gradient that one step of a new trainer has used. */
static float *step_gradient(irn_model *model, const irn_train_options *options, const float *x,
                            const int *labels, size_t batch, irn_step_report *report)
{
    irn_trainer *trainer;
    testing_ok(irn_trainer_create(&trainer, model, options));
    testing_ok(irn_trainer_step(trainer, x, labels, batch, report));
    float *gradient = read_all(&model->parameters, trainer->parameter_gradient);
    irn_trainer_free(trainer);
    return gradient;
}

/* ---- parts ---- */

static void check_parts(irn_context *context, const irn_model_config *config,
                        irn_logdet_gradient logdet, const char *name)
{
    size_t count = BATCH * config->channels * config->height * config->width;
    float *x = discrete(count);
    irn_model *model = new_model(context, config, x, BATCH);
    irn_train_options options = still_options(IRN_DENSITY);
    irn_step_report whole, parts;
    size_t size = model->parameters.size;
    options.logdet = logdet;
    options.probes = 2;
    float *expected = step_gradient(model, &options, x, NULL, BATCH, &whole);
    options.accumulate = 3; /* of 3, 3 and 1 */
    float *got = step_gradient(model, &options, x, NULL, BATCH, &parts);
    ck_assert(host_norm(host_widen(expected, size), size) > 0);
    host_check_float(host_widen(expected, size), got, size, 1e-5, "%s: gradient of parts", name);
    host_check_number(whole.loss, parts.loss, 1e-5 * fabs(whole.loss), "%s: loss of parts", name);
    irn_model_free(model);
}

START_TEST(parts_are_the_whole)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = small_config(LEVELS);
    check_parts(context, &config, IRN_GRADIENT_NEUMANN, "Neumann");
    check_parts(context, &config, IRN_GRADIENT_SERIES, "series");
    check_parts(context, &config, IRN_GRADIENT_ROULETTE, "roulette");
    check_parts(context, &config, IRN_GRADIENT_EXACT, "exact");
    config.channels = 1;
    config.height = config.width = 4;
    config.stages = config.strides[1] = 2;
    config.blocks[1] = 1;
    config.widths[1] = 12;
    config.strides[0] = 2;
    config.multiscale = true;
    check_parts(context, &config, IRN_GRADIENT_NEUMANN, "multiscale");
    devices_close(context);
}
END_TEST

/* ---- clipping ---- */

START_TEST(long_gradients_are_shortened)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = small_config(LEVELS);
    float *x = discrete(BATCH * SIZE);
    irn_model *model = new_model(context, &config, x, BATCH);
    irn_train_options options = still_options(IRN_DENSITY);
    size_t size = model->parameters.size;
    float *plain = step_gradient(model, &options, x, NULL, BATCH, NULL);
    double *expected = host_widen(plain, size), norm = host_norm(expected, size);
    options.clip_norm = 2 * norm;
    float *below = step_gradient(model, &options, x, NULL, BATCH, NULL);
    ck_assert_mem_eq(plain, below, size * sizeof *plain);
    options.clip_norm = norm / 4;
    float *above = step_gradient(model, &options, x, NULL, BATCH, NULL);
    host_check_number(norm / 4, host_norm(host_widen(above, size), size), 1e-5 * norm, "norm");
    for (size_t i = 0; i < size; i++)
        expected[i] /= 4;
    host_check_float(expected, above, size, 1e-5, "shortened gradient");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* ---- averages ---- */

static irn_train_options moving_options(irn_optimizer optimizer)
{
    irn_train_options options = still_options(IRN_DENSITY);
    options.optimizer = optimizer;
    options.learning_rate = 0.01;
    options.power_iterations = 1;
    options.average_decay = 0.5;
    return options;
}

START_TEST(averages_follow_their_formula)
{
    enum { STEPS = 14 }; /* from the tenth, the decay is the options' */
    irn_context *context = devices_open(_i);
    irn_model_config config = small_config(LEVELS);
    float *x = discrete(BATCH * SIZE);
    irn_model *model = new_model(context, &config, x, BATCH);
    irn_train_options options = moving_options(IRN_ADAM);
    irn_trainer *trainer;
    size_t size = model->parameters.size;
    double *expected = host_doubles(size);
    testing_ok(irn_trainer_create(&trainer, model, &options));
    for (int t = 0; t < STEPS; t++) {
        testing_ok(irn_trainer_step(trainer, x, NULL, BATCH, NULL));
        const float *now = read_all(&model->parameters, model->single.parameters);
        double decay = fmin(0.5, t / (t + 10.0));
        for (size_t i = 0; i < size; i++)
            expected[i] = decay * expected[i] + (1 - decay) * (double)now[i];
    }
    const float *average = read_all(&model->parameters, trainer->average);
    host_check_float(expected, average, size, 1e-6, "average");
    ck_assert(host_error(host_widen(read_all(&model->parameters, model->single.parameters), size),
                         expected, size) > 1e-4);
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

START_TEST(tests_of_averages_leave_no_trace)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = small_config(LEVELS);
    float *x = discrete(BATCH * SIZE);
    irn_model *model = new_model(context, &config, x, BATCH);
    irn_train_options options = moving_options(IRN_ADAM);
    irn_trainer *trainer;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    for (int t = 0; t < 3; t++)
        testing_ok(irn_trainer_step(trainer, x, NULL, BATCH, NULL));
    const float *parameters = read_all(&model->parameters, model->single.parameters);
    const float *state = read_all(&model->state, model->single.state);
    const float *average = read_all(&model->parameters, trainer->average);
    testing_ok(irn_average_begin(trainer));
    check_same(&model->parameters, average, model->single.parameters, "averages in place");
    testing_ok(irn_average_end(trainer));
    check_same(&model->parameters, parameters, model->single.parameters, "parameters");
    check_same(&model->state, state, model->single.state, "states");
    check_same(&model->parameters, average, trainer->average, "averages");
    testing_ok(irn_average_take(trainer));
    check_same(&model->parameters, average, model->single.parameters, "final parameters");
    irn_trainer_free(trainer);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* ---- both tasks ---- */

START_TEST(hybrid_is_the_sum)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = small_config(0); /* noise would be added for two of the tasks */
    config.classes = CLASSES;
    const double weight = 0.3;
    const int labels[BATCH] = {0, 1, 2, 2, 1, 0, 1};
    float *x = host_narrow(host_normal(BATCH * SIZE), BATCH * SIZE), *gradients[3];
    irn_model *model = new_model(context, &config, x, BATCH);
    irn_step_report reports[3];
    size_t size = model->parameters.size;
    for (int task = IRN_CLASSIFY; task <= IRN_HYBRID; task++) {
        irn_train_options options = still_options((irn_task)task);
        options.density_weight = weight;
        gradients[task] = step_gradient(model, &options, x, labels, BATCH, &reports[task]);
    }
    double *sum = host_doubles(size);
    for (size_t i = 0; i < size; i++)
        sum[i] = (double)gradients[IRN_CLASSIFY][i] + weight * (double)gradients[IRN_DENSITY][i];
    double loss = reports[IRN_CLASSIFY].loss + weight * reports[IRN_DENSITY].loss;
    host_check_float(sum, gradients[IRN_HYBRID], size, 1e-5, "gradient of both");
    host_check_number(loss, reports[IRN_HYBRID].loss, 1e-5 * fabs(loss), "loss of both");
    host_check_number(reports[IRN_DENSITY].loss, reports[IRN_HYBRID].bits_per_dim, 1e-5, "bits");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* ---- roulette ---- */

/* How many standard errors the mean gradient of many steps is off the exact one where it is worst;
 * rounding is not counted. */
static double worst_deviation(irn_model *model, irn_train_options options, const float *x,
                              const double *exact)
{
    const size_t steps = (size_t)4000 / (size_t)host_step(1), size = model->parameters.size;
    double *sum = host_doubles(size), *squares = host_doubles(size), worst = 0;
    double rounding = 1e-5 * host_norm(exact, size), n = (double)steps;
    irn_trainer *trainer;
    float *gradient = host_floats(size);
    testing_ok(irn_trainer_create(&trainer, model, &options));
    for (size_t s = 0; s < steps; s++) {
        testing_ok(irn_trainer_step(trainer, x, NULL, BATCH, NULL));
        testing_ok(irn_memory_read(model->context, trainer->parameter_gradient, 0, gradient,
                                   size * sizeof *gradient));
        for (size_t i = 0; i < size; i++) {
            double difference = (double)gradient[i] - exact[i];
            sum[i] += difference;
            squares[i] += difference * difference;
        }
    }
    for (size_t i = 0; i < size; i++) {
        double mean = sum[i] / n, error = sqrt(fmax(squares[i] / n - mean * mean, 0) / (n - 1));
        worst = fmax(worst, fabs(mean) / (error + rounding));
        ck_assert(isfinite(mean));
    }
    irn_trainer_free(trainer);
    return worst;
}

START_TEST(roulette_is_unbiased)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(2, 1, 1);
    config.prior = IRN_PRIOR_STANDARD;
    config.blocks[0] = 2;
    config.coefficient = 0.89; /* its cube squared is below 1/2: the variance is finite */
    float *x = host_narrow(host_normal(BATCH * 2), BATCH * 2);
    irn_model *model = new_model(context, &config, x, BATCH);
    blocks_enlarge(model, 8);
    irn_train_options options = still_options(IRN_DENSITY);
    options.logdet = IRN_GRADIENT_EXACT;
    double *exact =
        host_widen(step_gradient(model, &options, x, NULL, BATCH, NULL), model->parameters.size);
    options.terms = 1;
    options.logdet = IRN_GRADIENT_ROULETTE;
    double unbiased = worst_deviation(model, options, x, exact);
    ck_assert_msg(unbiased <= 5, "%g standard errors", unbiased);
    options.roulette = IRN_ROULETTE_POISSON;
    options.roulette_parameter = 5;
    unbiased = worst_deviation(model, options, x, exact);
    ck_assert_msg(unbiased <= 5, "Poisson: %g standard errors", unbiased);
    options.logdet = IRN_GRADIENT_NEUMANN; /* the same without the random terms */
    double biased = worst_deviation(model, options, x, exact);
    ck_assert_msg(biased > 8, "a bias was not found: %g standard errors", biased);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

static uint64_t peak_of(int device, irn_logdet_gradient logdet, size_t terms)
{
    irn_context *context = devices_open(device);
    irn_model_config config = small_config(LEVELS);
    irn_train_options options = still_options(IRN_DENSITY);
    float *x = discrete(BATCH * SIZE);
    irn_model *model = new_model(context, &config, x, BATCH);
    options.logdet = logdet;
    options.terms = terms;
    step_gradient(model, &options, x, NULL, BATCH, NULL);
    uint64_t peak = irn_context_peak_memory(context);
    irn_model_free(model);
    devices_close(context);
    return peak;
}

START_TEST(neumann_needs_no_memory_for_terms)
{
    ck_assert_uint_eq(peak_of(_i, IRN_GRADIENT_NEUMANN, 5), peak_of(_i, IRN_GRADIENT_NEUMANN, 40));
    ck_assert_uint_lt(peak_of(_i, IRN_GRADIENT_SERIES, 5), peak_of(_i, IRN_GRADIENT_SERIES, 40));
}
END_TEST

/* ---- checkpoints ---- */

START_TEST(resumed_densities)
{
    enum { STEPS = 6 };
    irn_context *context = devices_open(_i);
    irn_model_config config = small_config(LEVELS);
    float *x = discrete(STEPS * BATCH * SIZE);
    irn_model *model = new_model(context, &config, x, BATCH), *other;
    irn_train_options options = moving_options(IRN_ADAMAX);
    irn_trainer *trainer, *resumed;
    const char *path = testing_path("density.safetensors");
    options.logdet = IRN_GRADIENT_ROULETTE;
    options.roulette = IRN_ROULETTE_POISSON;
    options.roulette_parameter = 3;
    options.clip_norm = 0.1;
    options.accumulate = 2;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    for (size_t i = 0; i < STEPS; i++) {
        if (i == STEPS / 2)
            testing_ok(irn_trainer_save(trainer, path));
        testing_ok(irn_trainer_step(trainer, x + i * BATCH * SIZE, NULL, BATCH, NULL));
    }
    const irn_arena *arena = &model->parameters;
    testing_ok(irn_trainer_load(&resumed, &other, context, path));
    ck_assert_uint_eq(resumed->step, STEPS / 2);
    ck_assert(resumed->options.roulette == IRN_ROULETTE_POISSON);
    ck_assert(resumed->options.roulette_parameter == 3);
    for (size_t i = STEPS / 2; i < STEPS; i++)
        testing_ok(irn_trainer_step(resumed, x + i * BATCH * SIZE, NULL, BATCH, NULL));
    check_same(arena, read_all(arena, model->single.parameters), other->single.parameters,
               "parameters");
    check_same(&model->state, read_all(&model->state, model->single.state), other->single.state,
               "states");
    check_same(arena, read_all(arena, trainer->average), resumed->average, "averages");
    for (size_t i = 0; i < 2; i++)
        check_same(arena, read_all(arena, trainer->moments[i]), resumed->moments[i], "moments");
    irn_trainer_free(trainer);
    irn_trainer_free(resumed);
    irn_model_free(model);
    irn_model_free(other);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("training of densities");
    TCase *steps = devices_case(suite, "steps");
    devices_add(steps, parts_are_the_whole);
    devices_add(steps, long_gradients_are_shortened);
    devices_add(steps, averages_follow_their_formula);
    devices_add(steps, tests_of_averages_leave_no_trace);
    devices_add(steps, hybrid_is_the_sum);
    devices_add(steps, roulette_is_unbiased);
    devices_add(steps, neumann_needs_no_memory_for_terms);
    devices_add(steps, resumed_densities);
    return testing_run(suite);
}
