/* Density models of the official code: imported, encoded, decoded and differentiated as the golden
 * files say, with their probes; and the golden steps of Adam. */
#include "golden.h"

#include "flow/prior.h"
#include "train/trainer.h"

#include <math.h>

static const char *const files[] = {"model-density.safetensors",
                                    "model-density-multiscale.safetensors"};
enum { FILES = sizeof files / sizeof *files };

typedef struct subject {
    const char *name;
    irn_context *context;
    irn_safetensors *file;
    irn_model *model;
    irn_trainer *trainer;
    size_t batch, size; /* values of one sample */
    float *x;
    irn_tensor probes[16];
} subject;

static void open_subject(subject *s, irn_context *context, const char *name,
                         const irn_train_options *options)
{
    *s = (subject){.name = name, .context = context, .file = golden_open(name)};
    size_t count;
    testing_ok(irn_model_import(&s->model, context, golden_path(name), NULL));
    s->size = irn_model_latent_size(s->model);
    double *x = golden_read(s->file, &count, "input.x");
    s->x = host_narrow(x, count);
    s->batch = count / s->size;
    testing_ok(irn_trainer_create(&s->trainer, s->model, options));
    s->trainer->samples_ready = true;
    s->trainer->density.given = s->probes;
}

static void close_subject(subject *s)
{
    for (size_t b = 0; b < s->model->block_count; b++)
        irn_tensor_free(&s->probes[b]);
    irn_trainer_free(s->trainer);
    irn_model_free(s->model);
    irn_safetensors_free(s->file);
}

static irn_train_options density_options(size_t terms)
{
    irn_train_options options;
    testing_ok(irn_train_options_init(&options, NULL));
    options.task = IRN_DENSITY;
    options.terms = terms;
    options.warmup_steps = options.milestone_count = 0;
    options.power_iterations = 0; /* sigma is the file's */
    return options;
}

static void write_probe(subject *s, size_t b, size_t images, const double *noise)
{
    const irn_block *block = &s->model->blocks[b];
    size_t count = images * block->channels * block->height * block->width;
    if (!s->probes[b].memory)
        testing_ok(irn_tensor_create(&s->probes[b], s->context, IRN_SINGLE, images, block->channels,
                                     block->height, block->width));
    testing_ok(irn_tensor_write(&s->probes[b], host_narrow(noise, count), block->channels));
}

/* ---- one batch ---- */

static void check_latents(subject *s)
{
    size_t at = 0, count;
    float *z = host_floats(s->batch * s->size), *back = host_floats(s->batch * s->size);
    float *expected = host_floats(s->batch * s->size);
    testing_ok(irn_model_encode(s->model, s->x, s->batch, z));
    for (size_t p = 0; p < s->model->scale_count; p++) {
        double *part = golden_read(s->file, &count, "expect.z.%zu", p);
        size_t size = count / s->batch;
        for (size_t n = 0; n < s->batch; n++)
            for (size_t i = 0; i < size; i++)
                expected[n * s->size + at + i] = (float)part[n * size + i];
        at += size;
    }
    ck_assert_uint_eq(at, s->size);
    host_check_float(host_widen(expected, s->batch * s->size), z, s->batch * s->size, GOLDEN_OUTPUT,
                     "%s: z", s->name);
    irn_decode_options options = IRN_DECODE_OPTIONS_INIT;
    options.fixed_iterations = true;
    options.max_iterations = 60;
    testing_ok(irn_model_decode(s->model, expected, s->batch, &options, back, NULL, NULL));
    host_check_float(golden_read(s->file, NULL, "expect.x_from_z_60_iterations"), back,
                     s->batch * s->size, GOLDEN_OUTPUT, "%s: x from z", s->name);
}

static void check_density(subject *s)
{
    const double ln2 = log(2), dimension = (double)s->size;
    irn_step_report report;
    double *bits = golden_read(s->file, NULL, "expect.bits_per_dim"), mean = 0;
    double *logpz = golden_read(s->file, NULL, "expect.logpz");
    double *logdet = golden_read(s->file, NULL, "expect.logdet_series");
    float volume, *values = host_floats(s->batch);
    double *got = host_doubles(s->batch), *expected = host_doubles(s->batch);
    testing_ok(irn_memory_read(s->context, s->trainer->density.values, 0, values,
                               s->batch * sizeof *values));
    testing_ok(
        irn_memory_read(s->context, s->trainer->density.volume_values, 0, &volume, sizeof volume));
    for (size_t n = 0; n < s->batch; n++) {
        expected[n] = logpz[n] + logdet[n];
        got[n] = (double)values[n] / s->trainer->density.weight + (double)volume +
                 irn_prior_constant(s->model);
        host_check_number(bits[n], 8 - expected[n] / (ln2 * dimension), 1e-9, "bits of the file");
        mean += bits[n] / (double)s->batch;
    }
    host_check(expected, got, s->batch, GOLDEN_OUTPUT, "%s: log-density", s->name);
    testing_ok(irn_trainer_report(s->trainer, &report));
    host_check_number(mean, report.loss, GOLDEN_OUTPUT * mean, "%s: loss", s->name);
    host_check_number(mean, report.bits_per_dim, GOLDEN_OUTPUT * mean, "%s: bits", s->name);
}

/* An array of the official code: the whole z in one. */
static void check_prior(const subject *s, cl_mem buffer, const char *what, const char *name,
                        bool log_std)
{
    const irn_arena *arena = &s->model->parameters;
    float *values = host_floats(s->size);
    for (size_t p = 0; p < s->model->scale_count; p++) {
        const irn_scale *scale = &s->model->scales[p];
        size_t entry = log_std ? scale->log_std : scale->mean;
        testing_ok(irn_arena_read(arena, buffer, &arena->entries[entry], values + scale->offset));
    }
    host_check_float(golden_read(s->file, NULL, "expect.%s.%s", what, name), values, s->size,
                     GOLDEN_GRADIENT, "%s: %s of %s", s->name, what, name);
}

static void check_parameters(const subject *s, cl_mem buffer, const char *what, bool state)
{
    golden_entry entries[GOLDEN_MAX_ENTRIES];
    size_t count = golden_entries(s->model, entries), values, wanted;
    for (size_t i = 0; i < count; i++) {
        if (entries[i].state && !state)
            continue;
        cl_mem from = entries[i].state ? s->model->single.state : buffer;
        double *got = golden_entry_values(s->model, &entries[i], from, &values);
        double *expected = golden_read(s->file, &wanted, "expect.%s.%s", what, entries[i].name);
        ck_assert_uint_eq(values, wanted);
        host_check(expected, got, values, GOLDEN_GRADIENT, "%s: %s of %s", s->name, what,
                   entries[i].name);
    }
    check_prior(s, buffer, what, "prior_mu", false);
    check_prior(s, buffer, what, "prior_logstd", true);
}

START_TEST(golden_densities)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < FILES; i++) {
        irn_train_options options = density_options(5);
        subject s;
        irn_tensor gradient;
        open_subject(&s, context, files[i], &options);
        for (size_t b = 0; b < s.model->block_count; b++)
            write_probe(&s, b, s.batch, golden_read(s.file, NULL, "input.noise.%zu", b));
        check_latents(&s);
        testing_ok(irn_trainer_reserve(s.trainer, s.batch));
        testing_ok(irn_trainer_upload(s.trainer, s.x, NULL, s.batch));
        testing_ok(irn_trainer_gradients(s.trainer, s.batch, &gradient));
        check_density(&s);
        check_parameters(&s, s.trainer->parameter_gradient, "grad", false);
        float *x_gradient = host_floats(s.batch * s.size);
        testing_ok(irn_tensor_read(&gradient, x_gradient, s.model->channels));
        host_check_float(golden_read(s.file, NULL, "expect.grad.x"), x_gradient, s.batch * s.size,
                         GOLDEN_GRADIENT, "%s: gradient of x", s.name);
        close_subject(&s);
    }
    devices_close(context);
}
END_TEST

/* ---- twelve steps ---- */

START_TEST(golden_adam)
{
    irn_context *context = devices_open(_i);
    irn_train_options options = density_options(4);
    size_t steps;
    options.optimizer = IRN_ADAM;
    options.learning_rate = 0.003;
    options.weight_decay = 0;
    options.power_iterations = 1;
    subject s;
    open_subject(&s, context, "training-density-adam.safetensors", &options);
    double *losses = golden_read(s.file, &steps, "expect.losses");
    size_t batch = s.batch / steps;
    for (size_t i = 0; i < steps; i++) {
        irn_step_report report;
        for (size_t b = 0; b < s.model->block_count; b++)
            write_probe(&s, b, batch, golden_read(s.file, NULL, "input.noise.%zu.%zu", i, b));
        testing_ok(irn_trainer_step(s.trainer, s.x + i * batch * s.size, NULL, batch, &report));
        host_check_number(losses[i], report.loss, GOLDEN_GRADIENT * losses[i], "loss %zu", i);
    }
    check_parameters(&s, s.model->single.parameters, "final", true);
    close_subject(&s);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden densities");
    TCase *golden = devices_case(suite, "golden");
    devices_add(golden, golden_densities);
    devices_add(golden, golden_adam);
    return testing_run(suite);
}
