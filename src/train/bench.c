/* Timings of kernels beside the convolutions: see bench.h of the public interface, and ops/bench.h
 * for those of convolutions. */
#include "ops/bench.h"
#include "flow/probe.h"
#include "ops/elementwise.h"
#include "train/trainer.h"

#include <iresnet/bench.h>

#include <stdio.h>
#include <stdlib.h>

/* The largest maps of cifar10's classifier. */
enum { IMAGES = 128, CHANNELS = 32, SIDE = 32 };

typedef struct streams {
    irn_context *context;
    irn_tensor a, b, c;
    cl_mem sums, scratch;
    irn_model *model;
    irn_trainer *trainer;
} streams;

/* ---- what is timed ---- */

static irn_status activation(const void *payload)
{
    const streams *s = payload;
    return irn_activation_forward(IRN_ELU, (irn_place){NULL, 0}, &s->a, &s->b);
}

static irn_status derivative(const void *payload)
{
    const streams *s = payload;
    return irn_activation_derivative(IRN_ELU, (irn_place){NULL, 0}, &s->b, &s->a, &s->c);
}

static irn_status signs(const void *payload)
{
    const streams *s = payload;
    return irn_probe_fill(&(irn_probe){.seed = 1}, &s->a);
}

static irn_status normals(const void *payload)
{
    const streams *s = payload;
    return irn_probe_fill(&(irn_probe){.seed = 1, .gaussian = true}, &s->a);
}

static irn_status channel_sums(const void *payload)
{
    const streams *s = payload;
    const irn_channel_sums what = {.p = &s->a, .sums = {s->sums, 0}, .factor = 1};
    return irn_channel_sums_run(&what, s->scratch);
}

static irn_status sample_dots(const void *payload)
{
    const streams *s = payload;
    return irn_sample_dots(&s->a, &s->b, s->sums);
}

static irn_status add_scaled(const void *payload)
{
    const streams *s = payload;
    return irn_add_scaled(0.5, &s->a, &s->b);
}

static irn_status adam(const void *payload)
{
    const streams *s = payload;
    return irn_optimizer_update(s->trainer, 1e-9);
}

/* Values that are read and written, and operations, for each element of a map; Adam's of each
 * parameter. ELU: the products and sums of activation.clh, the reduction of its argument included.
 */
static const struct stream {
    const char *name;
    irn_status (*work)(const void *);
    double values, operations;
} table[] = {
    {"activation", activation, 2, 20},    {"activation_derivative", derivative, 3, 2},
    {"sign_probes", signs, 1, 0},         {"normal_probes", normals, 1, 0},
    {"channel_sums", channel_sums, 1, 1}, {"sample_dots", sample_dots, 2, 2},
    {"add_scaled", add_scaled, 3, 2},     {"adam", adam, 7, 12},
};
enum { STREAMS = sizeof table / sizeof *table };

/* ---- a run ---- */

static irn_status create_trainer(streams *s)
{
    irn_model_config config;
    irn_train_options options;
    IRN_TRY(irn_model_config_init(&config, "cifar10"));
    IRN_TRY(irn_train_options_init(&options, "cifar10"));
    options.optimizer = IRN_ADAM;
    options.clip_norm = options.average_decay = 0;
    IRN_TRY(irn_model_create(&s->model, s->context, &config));
    return irn_trainer_create(&s->trainer, s->model, &options);
}

static irn_status create(streams *s)
{
    irn_tensor *const tensors[] = {&s->a, &s->b, &s->c};
    for (size_t i = 0; i < 3; i++)
        IRN_TRY(
            irn_tensor_create(tensors[i], s->context, IRN_SINGLE, IMAGES, CHANNELS, SIDE, SIDE));
    IRN_TRY(irn_memory_create(s->context, &s->sums, IMAGES, sizeof(float), true));
    IRN_TRY(irn_memory_create(s->context, &s->scratch, irn_channel_scratch(s->context, CHANNELS),
                              sizeof(float), true));
    return create_trainer(s);
}

static void release(streams *s)
{
    irn_trainer_free(s->trainer);
    irn_model_free(s->model);
    irn_memory_release(s->context, s->scratch);
    irn_memory_release(s->context, s->sums);
    irn_tensor_free(&s->c);
    irn_tensor_free(&s->b);
    irn_tensor_free(&s->a);
}

static irn_status measure_stream(const streams *s, const struct stream *what, size_t repeats,
                                 irn_kernel_time *out)
{
    size_t count = what->work == adam ? s->model->parameters.size : irn_tensor_size(&s->a);
    snprintf(out->name, sizeof out->name, "%s", what->name);
    out->bytes = sizeof(float) * what->values * (double)count;
    out->operations = what->operations * (double)count;
    return irn_bench_seconds(s->context, what->work, s, repeats, &out->seconds);
}

/* As the residual of an inverse is computed. */
static irn_status measure_double(irn_context *context, size_t repeats, irn_kernel_time *out)
{
    enum { BATCH = 32, WIDTH = 64, MAP = 16, KERNEL = 3 };
    const irn_conv_case what = {.batch = BATCH,
                                .inputs = WIDTH,
                                .outputs = WIDTH,
                                .height = MAP,
                                .width = MAP,
                                .kernel = KERNEL,
                                .precision = IRN_DOUBLE,
                                .forward = true};
    snprintf(out->name, sizeof out->name, "conv_float64");
    out->bytes =
        sizeof(double) * (2.0 * BATCH * WIDTH * MAP * MAP + KERNEL * KERNEL * WIDTH * WIDTH);
    return irn_bench_case(context, &what, repeats, &out->seconds, &out->operations);
}

irn_status irn_bench_kernels(irn_context *context, size_t repeats, irn_progress progress,
                             void *payload, irn_kernel_time **out, size_t *count)
{
    streams s = {.context = context};
    size_t total = STREAMS + (context->info.has_fp64 ? 1 : 0);
    *out = NULL;
    *count = 0;
    if (repeats < 1)
        return irn_fail(IRN_ERROR_ARGUMENT, "0 repeats: at least 1 is needed");
    IRN_TRY(irn_alloc(out, total, sizeof **out));
    irn_status status = create(&s);
    for (size_t i = 0; i < total && status == IRN_OK; i++) {
        irn_kernel_time *time = &(*out)[i];
        status = i < STREAMS ? measure_stream(&s, &table[i], repeats, time)
                             : measure_double(context, repeats, time);
        if (status == IRN_OK && progress && !progress(i + 1, total, time->name, payload))
            status = irn_fail(IRN_ERROR_CANCELLED, "the measurement was cancelled");
    }
    release(&s);
    if (status != IRN_OK) {
        free(*out);
        *out = NULL;
        return status;
    }
    *count = total;
    return IRN_OK;
}
