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

static irn_status call_step(void *payload)
{
    network_bench *self = payload;
    irn_step_report report;
    return irn_trainer_step(self->trainer, self->x, self->labels, self->options->batch, &report);
}

static irn_status call_inverse(void *payload)
{
    network_bench *self = payload;
    irn_decode_options how = IRN_DECODE_OPTIONS_INIT;
    how.max_iterations = INVERSE_STEPS;
    how.fixed_iterations = true;
    return irn_model_decode(self->session->model, self->z, self->options->batch, &how, self->x,
                            NULL, NULL);
}

static irn_status call_certify(void *payload)
{
    network_bench *self = payload;
    irn_certificate *certificate = NULL;
    irn_certify_options how = IRN_CERTIFY_OPTIONS_INIT;
    how.arithmetic = (irn_arithmetic)self->options->arithmetic;
    irn_status status = irn_certify_model(&certificate, self->session->model, &how);
    irn_certificate_free(certificate);
    return status;
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
    bench_fill(self->x, batch * size, config->levels, self->session->common.seed);
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
    if (status == IRN_OK && what != BENCH_CERTIFY)
        result = make_images(self);
    if (result == CLI_DONE && status == IRN_OK)
        status = prepare(self, what);
    return status == IRN_OK ? result : cli_fail(session, status);
}

static int print_result(const network_bench *self, int what, const char *name,
                        const bench_seconds *seconds)
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
        cli_json_number(&json, json.root, "best_seconds", seconds->best);
        cli_json_number(&json, json.root, "median_seconds", seconds->median);
        cli_json_number(&json, json.root, "peak_device_memory", memory);
        return cli_json_print(session, &json);
    }
    char text[CLI_BOUND_TEXT];
    printf("%s, %s", name, options->preset);
    if (what != BENCH_CERTIFY)
        printf(", batch %zu", options->batch);
    printf(": %.4g s at best, %.4g s median of %zu", seconds->best, seconds->median,
           options->repeats);
    if (what != BENCH_CERTIFY)
        printf(", %.1f images/s", (double)options->batch / seconds->best);
    printf("\npeak device memory: %s\n",
           cli_bytes(text, irn_context_peak_memory(session->context)));
    return CLI_DONE;
}

int bench_network(cli_session *session, const bench_options *options, int what, const char *name)
{
    static const bench_call calls[] = {
        [BENCH_STEP] = call_step, [BENCH_INVERSE] = call_inverse, [BENCH_CERTIFY] = call_certify};
    network_bench self = {.session = session, .options = options};
    bench_seconds seconds;
    int result = setup(&self, what);
    if (result == CLI_DONE)
        result = bench_measure(session, options->repeats, calls[what], &self, &seconds);
    if (result == CLI_DONE)
        result = print_result(&self, what, name, &seconds);
    irn_trainer_free(self.trainer);
    free(self.x);
    free(self.z);
    free(self.labels);
    return result;
}
