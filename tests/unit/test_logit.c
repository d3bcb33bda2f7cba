/* The logit transform of densities: its values and log-determinant, densities that integrate to
 * one, and training that minimises what evaluation finds. */
#include "devices.h"

#include "flow/logit.h"
#include "ops/elementwise.h"
#include "train/trainer.h"

#include <iresnet/density.h>

#include <math.h>
#include <stdlib.h>

static irn_model_config density_config(size_t channels, size_t map, double alpha)
{
    irn_model_config config = devices_small_config(channels, map, map);
    config.prior = IRN_PRIOR_LEARNED;
    config.logit = alpha;
    for (size_t i = 0; map == 1 && i < config.layers; i++)
        config.kernels[i] = 1;
    return config;
}

static irn_model *make(irn_context *context, const irn_model_config *config)
{
    irn_model *model;
    testing_ok(irn_model_create(&model, context, config));
    return model;
}

/* Uniform on [-0.5, 0.5], its ends among them. */
static float *uniform(size_t count)
{
    float *x = host_floats(count);
    for (size_t i = 0; i < count; i++)
        x[i] = (float)((double)host_below(257) / 256 - 0.5);
    x[0] = -0.5f;
    x[count - 1] = 0.5f;
    return x;
}

static double logit(double x, double alpha)
{
    double s = alpha + (1 - 2 * alpha) * (x + 0.5);
    return log(s) - log1p(-s);
}

/* ---- the transform ---- */

static void check_values(irn_context *context, double alpha)
{
    enum { IMAGES = 2, SIZE = 3 * 5 * 5, COUNT = IMAGES * SIZE };
    const irn_model_config config = density_config(3, 5, alpha);
    irn_model *model = make(context, &config);
    irn_tensor t;
    float *x = uniform(COUNT), *got = host_floats(COUNT);
    double *expected = host_doubles(COUNT), squares;
    for (size_t i = 0; i < COUNT; i++)
        expected[i] = logit((double)x[i], alpha);
    testing_ok(irn_tensor_create(&t, context, IRN_SINGLE, IMAGES, 3, 5, 5));
    testing_ok(irn_tensor_write(&t, x, 3));
    testing_ok(irn_logit_apply(model, &t));
    testing_ok(irn_tensor_read(&t, got, 3));
    host_check_float(expected, got, COUNT, 1e-6, "logit at alpha %g", alpha);
    /* All of the tensor, with the channels that fill its last block: they must be zero. */
    float sums[IMAGES];
    cl_mem sum;
    testing_ok(irn_memory_create(context, &sum, IMAGES, sizeof(float), true));
    testing_ok(irn_sample_dots(&t, &t, sum));
    testing_ok(irn_memory_read(context, sum, 0, sums, sizeof sums));
    squares = host_dot(expected, expected, COUNT);
    host_check_number(squares, (double)sums[0] + (double)sums[1], 1e-5 * squares, "padding");
    testing_ok(irn_logit_undo(model, &t));
    testing_ok(irn_tensor_read(&t, got, 3));
    host_check_float(host_widen(x, COUNT), got, COUNT, 1e-6, "back at alpha %g", alpha);
    irn_memory_release(context, sum);
    irn_tensor_free(&t);
    irn_model_free(model);
}

static void check_logdet(irn_context *context, double alpha)
{
    enum { SIZE = 3 * 5 * 5 };
    const irn_model_config config = density_config(3, 5, alpha);
    const double step = 1e-4 * alpha;
    irn_model *model = make(context, &config);
    float *x = uniform(SIZE);
    double expected = 0;
    for (size_t i = 0; i < SIZE; i++)
        expected += log((logit((double)x[i] + step, alpha) - logit((double)x[i] - step, alpha)) /
                        (2 * step));
    irn_interval found = irn_logit_logdet(model, x);
    host_check_number(expected, found.lower, 1e-5 * fabs(expected), "log-determinant at %g", alpha);
    ck_assert(found.lower < found.upper && found.upper - found.lower < 1e-8);
    irn_model_free(model);
}

START_TEST(transform)
{
    irn_context *context = devices_open(_i);
    const double alphas[] = {1e-6, 0.05, 0.3};
    for (size_t i = 0; i < 3; i++) {
        check_values(context, alphas[i]);
        check_logdet(context, i == 0 ? 1e-3 : alphas[i]);
    }
    devices_close(context);
}
END_TEST

/* ---- densities ---- */

/* In one dimension, by the trapezoid rule between where the transform ends. */
START_TEST(integral)
{
    enum { POINTS = 40001 };
    irn_context *context = devices_open(_i);
    const double alpha = 0.05, end = 0.5 + 0.998 * alpha / (1 - 2 * alpha);
    const double width = 2 * end / (POINTS - 1);
    irn_model_config config = density_config(1, 1, alpha);
    irn_density_options options = IRN_DENSITY_OPTIONS_INIT;
    irn_log_density *found = calloc(POINTS, sizeof *found);
    float *x = host_floats(POINTS);
    double sum = 0;
    config.actnorm = false;
    irn_model *model = make(context, &config);
    for (size_t i = 0; i < POINTS; i++)
        x[i] = (float)(-end + width * (double)i);
    options.method = IRN_LOGDET_EXACT;
    testing_ok(irn_model_log_density(model, x, POINTS, &options, found, NULL));
    for (size_t i = 0; i < POINTS; i++)
        sum += width * exp(found[i].log_prior + found[i].logdet);
    host_check_number(1, sum, 2e-3, "the integral of the density");
    free(found);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* The first step's noise is that of an evaluation with the same seed. */
static void check_loss(irn_context *context, size_t levels, size_t accumulate)
{
    enum { BATCH = 6, SIZE = 2 * 3 * 3 };
    irn_model_config config = density_config(2, 3, 0.05);
    irn_density_options how = IRN_DENSITY_OPTIONS_INIT;
    irn_train_options options;
    irn_trainer *trainer;
    irn_step_report report;
    irn_log_density found[BATCH];
    double bits = levels ? log2((double)levels) : 0;
    float *x = uniform(BATCH * SIZE);
    for (size_t i = 0; i < BATCH * SIZE && levels > 0; i++)
        x[i] = rintf((x[i] + 0.5F) * (float)(levels - 1)) / (float)(levels - 1) - 0.5F;
    config.levels = levels;
    irn_model *model = make(context, &config);
    testing_ok(irn_model_encode(model, x, BATCH, host_floats(BATCH * SIZE))); /* for actnorm */
    testing_ok(irn_train_options_init(&options, NULL));
    options.task = IRN_DENSITY;
    options.logdet = IRN_GRADIENT_EXACT;
    options.learning_rate = options.weight_decay = 0;
    options.power_iterations = 0;
    options.accumulate = accumulate;
    testing_ok(irn_trainer_create(&trainer, model, &options));
    testing_ok(irn_trainer_step(trainer, x, NULL, BATCH, &report));
    how.method = IRN_LOGDET_EXACT;
    testing_ok(irn_model_log_density(model, x, BATCH, &how, found, NULL));
    for (size_t n = 0; n < BATCH; n++)
        bits -= (found[n].log_prior + found[n].logdet) / (BATCH * SIZE * log(2));
    host_check_number(bits, report.loss, 1e-5 * fabs(bits), "bits per dimension of %zu levels",
                      levels);
    irn_trainer_free(trainer);
    irn_model_free(model);
}

START_TEST(loss_of_a_step)
{
    irn_context *context = devices_open(_i);
    check_loss(context, 0, 1);
    check_loss(context, 256, 1);
    check_loss(context, 0, 3);
    devices_close(context);
}
END_TEST

/* ---- files and refusals ---- */

START_TEST(kept_in_files)
{
    irn_context *context = devices_open(_i);
    const irn_model_config config = density_config(2, 1, 0.125);
    irn_model *model = make(context, &config), *loaded;
    float *x = uniform(2 * 3), *z = host_floats(2 * 3), *again = host_floats(2 * 3);
    testing_ok(irn_model_encode(model, x, 3, z));
    testing_ok(irn_model_save(model, testing_path("logit.safetensors")));
    testing_ok(irn_model_load(&loaded, context, testing_path("logit.safetensors")));
    ck_assert(irn_model_get_config(loaded)->logit == 0.125);
    testing_ok(irn_model_encode(loaded, x, 3, again));
    host_check_float(host_widen(z, 2 * 3), again, 2 * 3, 0, "z of a loaded model");
    irn_model_free(loaded);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

START_TEST(refusals)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = density_config(2, 1, 0.5);
    irn_model *model;
    irn_log_density found;
    float z[2];
    testing_fails(irn_model_create(&model, context, &config), IRN_ERROR_ARGUMENT,
                  "logit is 0.5; it must be 0 (none) or 1e-06 to 0.49");
    config.logit = 0.25;
    config.prior = IRN_PRIOR_NONE;
    testing_fails(irn_model_create(&model, context, &config), IRN_ERROR_ARGUMENT,
                  "logit is 0.25; without a prior it must be 0");
    config.prior = IRN_PRIOR_STANDARD;
    model = make(context, &config);
    testing_fails(irn_model_encode(model, (float[]){0, 1}, 1, z), IRN_ERROR_ARGUMENT,
                  "value 1 of sample 0 is 1; the model's logit transform is for -0.9995 to 0.9995");
    testing_fails(irn_model_log_density(model, (float[]){-1, 0}, 1, NULL, &found, NULL),
                  IRN_ERROR_ARGUMENT, "value 0 of sample 0 is -1");
    testing_fails(irn_model_encode(model, (float[]){NAN, 0}, 1, z), IRN_ERROR_ARGUMENT,
                  "is nan; the model's logit");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("logit");
    TCase *values = devices_case(suite, "values");
    devices_add(values, transform);
    devices_add(values, integral);
    devices_add(values, loss_of_a_step);
    devices_add(values, kept_in_files);
    devices_add(values, refusals);
    return testing_run(suite);
}
