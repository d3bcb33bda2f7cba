/* Timings of whole networks on random images. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { INVERSE_STEPS = 20 };

typedef struct network_bench {
    cli_session *session;
    const bench_options *options;
    irn_train_options training;
    irn_trainer *trainer;
    float *x, *z;
    int *labels;
} network_bench;

/* One run of what is timed. */
typedef irn_status (*bench_call)(network_bench *self);

static irn_status call_step(network_bench *self)
{
    irn_step_report report;
    return irn_trainer_step(self->trainer, self->x, self->labels, self->options->batch, &report);
}

static irn_status call_inverse(network_bench *self)
{
    irn_decode_options how = IRN_DECODE_OPTIONS_INIT;
    how.max_iterations = INVERSE_STEPS;
    how.fixed_iterations = true;
    return irn_model_decode(self->session->model, self->z, self->options->batch, &how, self->x,
                            NULL, NULL);
}

static irn_status call_certify(network_bench *self)
{
    irn_certificate *certificate = NULL;
    irn_certify_options how = IRN_CERTIFY_OPTIONS_INIT;
    how.arithmetic = (irn_arithmetic)self->options->arithmetic;
    irn_status status = irn_certify_model(&certificate, self->session->model, &how);
    irn_certificate_free(certificate);
    return status;
}

/* Uniform in -0.5..0.5 by splitmix64; or on the levels of discrete data. */
static void fill_random(float *values, size_t count, size_t levels, uint64_t seed)
{
    float top = (float)levels - 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = (seed += UINT64_C(0x9e3779b97f4a7c15));
        bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
        float share = (float)((bits ^ (bits >> 31)) >> 40) * 0x1p-24f;
        values[i] = (levels > 1 ? floorf(share * (float)levels) / top : share) - 0.5f;
    }
}

static int make_images(network_bench *self)
{
    irn_model *model = self->session->model;
    const irn_model_config *config = irn_model_get_config(model);
    size_t batch = self->options->batch, size = config->channels * config->height * config->width;
    self->x = calloc(batch, size * sizeof *self->x);
    self->z = calloc(batch, irn_model_latent_size(model) * sizeof *self->z);
    self->labels = calloc(batch, sizeof *self->labels);
    if (!self->x || !self->z || !self->labels)
        return cli_error(self->session, CLI_FAILED, "no memory for %zu images", batch);
    fill_random(self->x, batch * size, config->levels, self->session->common.seed);
    for (size_t i = 0; i < batch && config->classes > 0; i++)
        self->labels[i] = (int)(i % config->classes);
    return CLI_DONE;
}

static irn_status prepare(network_bench *self, int what)
{
    irn_model *model = self->session->model;
    if (what == BENCH_INVERSE)
        return irn_model_encode(model, self->x, self->options->batch, self->z);
    if (what == BENCH_CERTIFY)
        return IRN_OK;
    return irn_trainer_create(&self->trainer, model, &self->training);
}

/* The preset with what was changed of it. */
static int configure(network_bench *self, irn_model_config *config)
{
    const bench_options *o = self->options;
    irn_status status = irn_train_options_init(&self->training, o->preset);
    if (status != IRN_OK)
        return cli_fail_option(self->session, status);
    irn_task task = self->training.task;
    int result = train_model_config(self->session, o->model, o->preset, task, NULL, config);
    return result == CLI_DONE ? train_schedule_options(self->session, o->schedule, o->preset, task,
                                                       &self->training)
                              : result;
}

static int setup(network_bench *self, int what)
{
    cli_session *session = self->session;
    irn_model_config config;
    int result = configure(self, &config);
    if (result == CLI_DONE)
        result = cli_session_context(session);
    if (result != CLI_DONE)
        return result;
    session->model_path = self->options->preset;
    irn_status status = irn_model_create(&session->model, session->context, &config);
    if (status == IRN_OK)
        result = make_images(self);
    if (result == CLI_DONE && status == IRN_OK)
        status = prepare(self, what);
    return status == IRN_OK ? result : cli_fail(session, status);
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* A warm-up, then sorted seconds of each run. */
static int measure(network_bench *self, bench_call call, double *seconds)
{
    cli_session *session = self->session;
    size_t repeats = self->options->repeats;
    cli_progress_begin(&session->progress, "measuring");
    irn_status status = call(self);
    for (size_t i = 0; i < repeats && status == IRN_OK; i++) {
        double begun = cli_clock();
        status = call(self);
        seconds[i] = cli_clock() - begun;
        if (status == IRN_OK && !cli_progress_step(i + 1, repeats, NULL, &session->progress))
            status = IRN_ERROR_CANCELLED;
    }
    cli_progress_clear(&session->progress);
    qsort(seconds, repeats, sizeof *seconds, compare);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

static int print_result(const network_bench *self, int what, const char *name, double best,
                        double median)
{
    cli_session *session = self->session;
    const bench_options *options = self->options;
    double memory = (double)irn_context_peak_memory(session->context);
    if (session->common.json) {
        cli_json json;
        cli_json_begin(&json, false);
        cli_json_text(&json, json.root, "bench", name);
        cli_json_text(&json, json.root, "device", irn_context_device(session->context)->name);
        cli_json_text(&json, json.root, "preset", options->preset);
        if (what != BENCH_CERTIFY)
            cli_json_number(&json, json.root, "batch", (double)options->batch);
        cli_json_number(&json, json.root, "repeats", (double)options->repeats);
        cli_json_number(&json, json.root, "best_seconds", best);
        cli_json_number(&json, json.root, "median_seconds", median);
        cli_json_number(&json, json.root, "peak_device_memory", memory);
        return cli_json_print(session, &json);
    }
    char text[CLI_BOUND_TEXT];
    printf("%s, %s", name, options->preset);
    if (what != BENCH_CERTIFY)
        printf(", batch %zu", options->batch);
    printf(": %.4g s at best, %.4g s median of %zu", best, median, options->repeats);
    if (what != BENCH_CERTIFY)
        printf(", %.1f images/s", (double)options->batch / best);
    printf("\npeak device memory: %s\n",
           cli_bytes(text, irn_context_peak_memory(session->context)));
    return CLI_DONE;
}

int bench_network(cli_session *session, const bench_options *options, int what, const char *name)
{
    static const bench_call calls[] = {NULL, call_step, call_inverse, call_certify};
    network_bench self = {.session = session, .options = options};
    size_t repeats = options->repeats;
    double *seconds = calloc(repeats, sizeof *seconds);
    int result = seconds ? setup(&self, what)
                         : cli_error(session, CLI_FAILED, "no memory for %zu timings", repeats);
    if (result == CLI_DONE)
        result = measure(&self, calls[what], seconds);
    if (result == CLI_DONE)
        result = print_result(&self, what, name, seconds[0],
                              0.5 * (seconds[(repeats - 1) / 2] + seconds[repeats / 2]));
    irn_trainer_free(self.trainer);
    free(self.x);
    free(self.z);
    free(self.labels);
    free(seconds);
    return result;
}
