/* LipSwish in networks: gradients with respect to its betas against differences of the loss, files,
 * certificates, proven errors for extreme betas, and a density that is learned. */
#include "guarded.h"

#include "oracle/elementwise.h"
#include "train/trainer.h"

#include <iresnet/certify.h>

#include <math.h>
#include <stdio.h>

static irn_model_config small(irn_task task)
{
    irn_model_config config = devices_small_config(4, 4, 4);
    config.activation = IRN_LIPSWISH;
    config.blocks[0] = 2;
    config.prior = task == IRN_CLASSIFY ? IRN_PRIOR_NONE : IRN_PRIOR_STANDARD;
    config.classes = task == IRN_DENSITY ? 0 : 3;
    return config;
}

/* Entries of the betas; returns how many. */
static size_t find_betas(const irn_model *model, size_t entries[])
{
    size_t count = 0;
    for (size_t b = 0; b < model->block_count; b++)
        for (size_t i = 0; i < model->config.layers; i++)
            if (irn_block_beta(model, model->single.parameters, &model->blocks[b], i).memory)
                entries[count++] = model->blocks[b].layers[i].beta;
    return count;
}

static void set_beta(irn_model *model, size_t entry, double value)
{
    testing_ok(irn_arena_fill(&model->parameters, model->single.parameters, entry, (float)value));
}

static double beta_in(const irn_model *model, cl_mem buffer, size_t entry)
{
    float value;
    testing_ok(
        irn_arena_read(&model->parameters, buffer, &model->parameters.entries[entry], &value));
    return (double)value;
}

/* ---- the function itself ---- */

/* The slope is at most 1 whatever beta and z are; the certificates rest on it. */
START_TEST(slopes)
{
    double most = 0;
    (void)_i;
    for (double beta = -20; beta <= 20; beta += 0.5)
        for (double z = -60; z <= 60; z += 1.0 / 64)
            most = fmax(most, fabs(oracle_lipswish(beta, z, 1)));
    ck_assert_msg(most <= 0.99986 && most >= 0.9998, "the largest slope is %.7f", most);
}
END_TEST

/* In long double, which has eleven more bits. */
static long double exactly(double beta, double z)
{
    long double b = (long double)beta, x = (long double)z;
    long double s = fmaxl(b, 0) + log1pl(expl(-fabsl(b)));
    return x / (1 + expl(-s * x)) / 1.1L;
}

/* What flow/rounding.c takes for granted of the double-precision function: 14 u |z|. */
START_TEST(rounding)
{
    enum { COUNT = 20000 };
    irn_context *context = devices_open(_i);
    for (double beta = -40; beta <= 40 && context->info.has_fp64; beta += 2.5) {
        guarded_begin(context);
        double *z = host_normal(COUNT);
        for (size_t i = 0; i < COUNT; i++)
            z[i] = ldexp(z[i], (int)(i % 21) - 10);
        irn_place place = guarded_vector(IRN_DOUBLE, 1, &beta);
        irn_tensor from = guarded_tensor(IRN_DOUBLE, 1, COUNT, 1, 1, z);
        irn_tensor to = guarded_tensor(IRN_DOUBLE, 1, COUNT, 1, 1, NULL);
        testing_ok(irn_activation_forward(IRN_LIPSWISH, place, &from, &to));
        double *got = guarded_read(&to), most = 0;
        for (size_t i = 0; i < COUNT; i++) {
            double error = (double)fabsl((long double)got[i] - exactly(beta, z[i]));
            most = z[i] == 0 ? most : fmax(most, error / fabs(z[i]));
            ck_assert(!isnan(got[i]));
        }
        ck_assert_msg(most <= 14 * 0x1p-53, "beta %g: %g u", beta, most * 0x1p53);
        guarded_end();
        host_free_all();
    }
    devices_close(context);
}
END_TEST

/* ---- gradients ---- */

typedef struct subject {
    irn_model *model;
    irn_trainer *trainer;
    float *x;
    int labels[32];
} subject;

enum { BATCH = 32, DIMENSIONS = 4, SIZE = 4 * 4 * 4 };

/* Of the same probes each time, since no step is done. */
static double loss_of(subject *s)
{
    irn_step_report report;
    testing_ok(irn_trainer_reserve(s->trainer, BATCH));
    testing_ok(irn_trainer_upload(s->trainer, s->x, s->labels, BATCH));
    testing_ok(irn_trainer_gradients(s->trainer, BATCH, NULL));
    testing_ok(irn_trainer_report(s->trainer, &report));
    return report.loss;
}

static double loss_at(subject *s, size_t entry, double beta)
{
    set_beta(s->model, entry, beta);
    return loss_of(s);
}

/* Kernels large enough to be divided by their norms, and much of the curve of the activations: the
 * betas matter. */
static void enlarge(irn_model *model)
{
    irn_arena *arena = &model->parameters;
    for (size_t e = 0; e < arena->count; e++) {
        size_t count = irn_entry_count(&arena->entries[e]);
        float *values = host_floats(count);
        if (arena->entries[e].kind != IRN_ENTRY_KERNEL)
            continue;
        testing_ok(irn_arena_read(arena, model->single.parameters, &arena->entries[e], values));
        for (size_t i = 0; i < count; i++)
            values[i] *= 8;
        testing_ok(irn_arena_write(arena, model->single.parameters, &arena->entries[e], values));
    }
    irn_model_changed(model);
    testing_ok(irn_model_power_iterate(model, 100));
}

static subject begin(irn_context *context, irn_task task)
{
    subject s;
    irn_model_config config = small(task);
    irn_train_options options;
    testing_ok(irn_train_options_init(&options, NULL));
    options.task = task;
    options.logdet = IRN_GRADIENT_SERIES; /* that of the loss itself */
    options.terms = 4;
    options.probes = 2;
    options.power_iterations = 0;
    config.coefficient = 0.97;
    /* Few dimensions, so that betas count for much in the loss beside its rounding. */
    config.channels = DIMENSIONS;
    config.height = config.width = config.kernels[0] = config.kernels[2] = 1;
    testing_ok(irn_model_create(&s.model, context, &config));
    enlarge(s.model);
    testing_ok(irn_trainer_create(&s.trainer, s.model, &options));
    s.x = host_narrow(host_normal(BATCH * DIMENSIONS), BATCH * DIMENSIONS);
    for (size_t n = 0; n < BATCH; n++)
        s.labels[n] = (int)host_below(3);
    return s;
}

static void end(subject *s)
{
    irn_trainer_free(s->trainer);
    irn_model_free(s->model);
    host_free_all();
}

/* Two central differences extrapolated, so that steps can be long against the loss's rounding. */
static double slope_at(subject *s, size_t entry)
{
    const double h = 0.125;
    double beta = beta_in(s->model, s->model->single.parameters, entry);
    double near = (loss_at(s, entry, beta + h) - loss_at(s, entry, beta - h)) / (2 * h);
    double far = (loss_at(s, entry, beta + 2 * h) - loss_at(s, entry, beta - 2 * h)) / (4 * h);
    set_beta(s->model, entry, beta);
    return (4 * near - far) / 3;
}

static void check_gradient(irn_context *context, irn_task task)
{
    subject s = begin(context, task);
    size_t entries[2 * IRN_MAX_LAYERS], count = find_betas(s.model, entries);
    double *expected = host_doubles(count), *got = host_doubles(count);
    ck_assert_uint_eq(count, 5); /* none stands before the network's first layer */
    for (size_t i = 0; i < count; i++)
        set_beta(s.model, entries[i], host_normal(1)[0]);
    loss_of(&s);
    for (size_t i = 0; i < count; i++)
        got[i] = beta_in(s.model, s.trainer->parameter_gradient, entries[i]);
    for (size_t i = 0; i < count; i++)
        expected[i] = slope_at(&s, entries[i]);
    host_check(expected, got, count, 1e-2, "gradient of the betas, task %d", (int)task);
    end(&s);
}

START_TEST(gradients)
{
    irn_context *context = devices_open(_i);
    for (irn_task task = IRN_CLASSIFY; task <= IRN_HYBRID; task++)
        check_gradient(context, task);
    devices_close(context);
}
END_TEST

/* ---- files ---- */

START_TEST(files)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = small(IRN_CLASSIFY);
    irn_model *model, *again;
    size_t entries[2 * IRN_MAX_LAYERS], found[2 * IRN_MAX_LAYERS];
    float *z = host_floats(3 * SIZE), *same = host_floats(3 * SIZE);
    float *x = host_narrow(host_normal(3 * SIZE), 3 * SIZE);
    const char *path = "test_lipswish.irn";
    testing_ok(irn_model_create(&model, context, &config));
    size_t count = find_betas(model, entries);
    for (size_t i = 0; i < count; i++) {
        ck_assert(beta_in(model, model->single.parameters, entries[i]) == 0.5);
        set_beta(model, entries[i], (double)i - 1);
    }
    ck_assert_str_eq(model->parameters.entries[entries[count - 1]].name, "blocks.1.act2.beta");
    testing_ok(irn_model_encode(model, x, 3, z));
    testing_ok(irn_model_save(model, path));
    testing_ok(irn_model_load(&again, context, path));
    ck_assert_int_eq(irn_model_get_config(again)->activation, IRN_LIPSWISH);
    ck_assert_uint_eq(find_betas(again, found), count);
    for (size_t i = 0; i < count; i++)
        ck_assert(beta_in(again, again->single.parameters, found[i]) == (double)i - 1);
    testing_ok(irn_model_encode(again, x, 3, same));
    ck_assert_mem_eq(z, same, 3 * SIZE * sizeof *z);
    remove(path);
    irn_model_free(model);
    irn_model_free(again);
    host_free_all();
    devices_close(context);
}
END_TEST

/* ---- what is proven ---- */

static void check_certificate(irn_model *model)
{
    irn_certificate *certificate;
    testing_ok(irn_certify_model(&certificate, model, NULL));
    for (size_t b = 0; b < model->block_count; b++) {
        double product = 1;
        for (size_t i = 0; i < model->config.layers; i++)
            product *= irn_certificate_layer(certificate, b * model->config.layers + i).bound.upper;
        double upper = irn_certificate_block(certificate, b).lipschitz_upper;
        ck_assert_msg(fabs(upper / product - 1) <= 1e-12 && upper < 1, "block %zu: %g of %g", b,
                      upper, product);
    }
    irn_certificate_free(certificate);
}

/* From slopes of a half everywhere to those of ReLU, nearly: there and back within the bound. */
START_TEST(proven_errors)
{
    irn_context *context = devices_open(_i);
    const double betas[] = {-60, -3, 0, 4, 50};
    for (size_t k = 0; k < 5 && irn_context_device(context)->has_fp64; k++) {
        irn_model_config config = small(IRN_CLASSIFY);
        irn_model *model;
        size_t entries[2 * IRN_MAX_LAYERS];
        float *x = host_narrow(host_normal(3 * SIZE), 3 * SIZE), *back = host_floats(3 * SIZE);
        float *z = host_floats(3 * SIZE);
        double bounds[3];
        testing_ok(irn_model_create(&model, context, &config));
        for (size_t i = find_betas(model, entries); i-- > 0;)
            set_beta(model, entries[i], betas[k]);
        testing_ok(irn_model_power_iterate(model, 50));
        testing_ok(irn_model_encode(model, x, 3, z)); /* actnorm's first values */
        check_certificate(model);
        testing_ok(irn_model_reconstruct(model, x, 3, NULL, back, bounds, NULL));
        for (size_t n = 0; n < 3; n++) {
            double *from = host_widen(x + n * SIZE, SIZE), *to = host_widen(back + n * SIZE, SIZE);
            double error = host_error(from, to, SIZE) * host_norm(from, SIZE);
            ck_assert_msg(error <= bounds[n] && bounds[n] <= 1e-5,
                          "beta %g: error %g, its bound %g", betas[k], error, bounds[n]);
        }
        irn_model_free(model);
        host_free_all();
    }
    devices_close(context);
}
END_TEST

/* ---- training ---- */

static void toy_batch(const irn_dataset *set, size_t step, size_t batch, float *x)
{
    size_t count = irn_dataset_get_info(set).count;
    uint32_t *indices = (uint32_t *)(void *)host_floats(batch);
    for (size_t n = 0; n < batch; n++)
        indices[n] = (uint32_t)((step * batch + n) % count);
    testing_ok(irn_dataset_batch(set, indices, batch, NULL, 0, 0, x, NULL));
}

/* The mean over so many steps. */
static double mean_loss(irn_trainer *trainer, const irn_dataset *set, size_t first, size_t steps)
{
    enum { POINTS = 200 };
    irn_step_report report;
    float x[2 * POINTS];
    for (size_t i = first; i < first + steps; i++) {
        toy_batch(set, i, POINTS, x);
        testing_ok(irn_trainer_step(trainer, x, NULL, POINTS, NULL));
    }
    testing_ok(irn_trainer_report(trainer, &report));
    return report.loss;
}

START_TEST(toy_density)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(2, 1, 1);
    irn_train_options options;
    irn_dataset *set;
    irn_model *model;
    irn_trainer *trainer;
    size_t entries[4 * IRN_MAX_LAYERS], moved = 0;
    config.activation = IRN_LIPSWISH;
    config.blocks[0] = 4;
    config.coefficient = 0.9;
    config.kernels[0] = config.kernels[2] = 1;
    config.widths[0] = 32;
    config.prior = IRN_PRIOR_STANDARD;
    testing_ok(irn_train_options_init(&options, NULL));
    options.task = IRN_DENSITY;
    options.optimizer = IRN_ADAM;
    options.learning_rate = 0.01;
    options.weight_decay = 0;
    options.terms = 5;
    options.warmup_steps = options.milestone_count = 0;
    testing_ok(irn_dataset_open(&set, "toy:8gaussians", IRN_TRAIN));
    testing_ok(irn_model_create(&model, context, &config));
    testing_ok(irn_trainer_create(&trainer, model, &options));
    double before = mean_loss(trainer, set, 0, 40);
    mean_loss(trainer, set, 40, 220);
    double after = mean_loss(trainer, set, 260, 40);
    ck_assert_msg(after <= before - 0.3, "bits per dimension: %g, then %g", before, after);
    size_t count = find_betas(model, entries);
    for (size_t i = 0; i < count; i++)
        moved += fabs(beta_in(model, model->single.parameters, entries[i]) - 0.5) > 0.01;
    ck_assert_uint_eq(moved, count);
    irn_trainer_free(trainer);
    irn_model_free(model);
    irn_dataset_free(set);
    host_free_all();
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("LipSwish");
    TCase *function = tcase_create("function");
    tcase_add_test(function, slopes);
    suite_add_tcase(suite, function);
    devices_add(devices_case(suite, "rounding"), rounding);
    TCase *networks = devices_case(suite, "networks");
    devices_add(networks, gradients);
    devices_add(networks, files);
    devices_add(networks, proven_errors);
    devices_add(networks, toy_density);
    return testing_run(suite);
}
