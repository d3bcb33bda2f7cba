/* Rates of the device and of the convolutions: see bench.h. */
#include "ops/bench.h"
#include "base/philox.h"
#include "ops/dense.h"
#include "ops/tiled.h"
#include "ops/winograd.h"

#include <iresnet/bench.h>

#include <math.h>
#include <stdlib.h>
#include <time.h>

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static irn_status run_peak(irn_context *context, cl_mem out, size_t items, size_t rounds)
{
    irn_call call =
        irn_call_begin(context, "common.clh peak.cl", irn_precision_options(IRN_SINGLE), "peak");
    irn_call_memory(&call, out, 0);
    irn_call_int(&call, rounds);
    irn_call_float(&call, 0.999f);
    irn_call_float(&call, 0.001f);
    IRN_TRY(irn_call_run(&call, items, 1, 1, context->tuning.work_group));
    return irn_finish(context);
}

irn_status irn_bench_peak(irn_context *context, double *gflops)
{
    enum { CHAINS = 12, REPEATS = 10 }; /* peak.cl */
    size_t block = context->tuning.channel_block, group = context->tuning.work_group;
    size_t items = (size_t)context->info.compute_units * (context->info.is_simt ? 2048 : 8);
    size_t rounds = context->info.is_simt ? 4096 : 200000;
    cl_mem out;
    items = (items + group - 1) / group * group;
    IRN_TRY(irn_memory_create(context, &out, items * block, sizeof(float), true));
    irn_status status = run_peak(context, out, items, 16);
    double best = INFINITY;
    for (int i = 0; i < REPEATS && status == IRN_OK; i++) {
        double start = seconds_now();
        status = run_peak(context, out, items, rounds);
        best = fmin(best, seconds_now() - start);
    }
    irn_memory_release(context, out);
    *gflops = 2.0 * CHAINS * (double)(items * block) * (double)rounds / best * 1e-9;
    return status;
}

irn_status irn_bench_seconds(irn_context *context, irn_status (*work)(const void *),
                             const void *payload, size_t repeats, double *seconds)
{
    *seconds = INFINITY;
    IRN_TRY(work(payload));
    IRN_TRY(irn_finish(context));
    for (size_t i = 0; i < repeats; i++) {
        double start = seconds_now();
        IRN_TRY(work(payload));
        IRN_TRY(irn_finish(context));
        *seconds = fmin(*seconds, seconds_now() - start);
    }
    return IRN_OK;
}

/* ---- convolutions ---- */

typedef struct conv_bench {
    irn_conv conv;
    irn_tensor x, y;
    irn_place weights, transposed, gradient;
    bool winograd, dense, dense_gradient;
    cl_mem memory[7]; /* three kernels, partial sums, Winograd's two kernels, scratch */
} conv_bench;

typedef irn_status (*conv_work)(const void *);

static irn_status forward(const void *payload)
{
    const conv_bench *b = payload;
    const irn_epilogue plain = {.activate = false};
    if (b->winograd)
        return irn_winograd_forward(&b->conv, (irn_place){b->memory[4], 0}, &b->x, &plain, &b->y,
                                    b->memory[6]);
    if (b->dense)
        return irn_dense_apply(&b->conv, b->weights, &b->x, &plain, &b->y, b->memory[6]);
    return irn_conv_forward(&b->conv, b->weights, &b->x, &plain, &b->y);
}

static irn_status data_gradient(const void *payload)
{
    const conv_bench *b = payload;
    const irn_epilogue plain = {.activate = false};
    if (b->winograd)
        return irn_winograd_backward(&b->conv, (irn_place){b->memory[5], 0}, &b->y, &plain, &b->x,
                                     b->memory[6]);
    if (b->dense)
        return irn_dense_apply(&b->conv, b->transposed, &b->y, &plain, &b->x, b->memory[6]);
    return irn_conv_backward(&b->conv, b->transposed, &b->y, &plain, &b->x);
}

static irn_status weight_gradient(const void *payload)
{
    const conv_bench *b = payload;
    const irn_place none = {NULL, 0};
    if (b->winograd)
        return irn_winograd_weight_gradient(&b->conv, &b->x, &b->y, b->gradient, none,
                                            b->memory[3]);
    if (b->dense_gradient)
        return irn_dense_weight_gradient(&b->conv, &b->x, &b->y, b->gradient, none, b->memory[3]);
    return irn_conv_weight_gradient(&b->conv, &b->x, &b->y, b->gradient, none, b->memory[3]);
}

static double operations_of(const conv_bench *b)
{
    return 2.0 * (double)(b->x.images * b->x.height * b->x.width) *
           (double)(b->conv.inputs * b->conv.outputs) *
           (double)(b->conv.kernel_height * b->conv.kernel_width);
}

static irn_status rate_of(const conv_bench *b, conv_work work, size_t repeats, double *gflops)
{
    double best;
    IRN_TRY(irn_bench_seconds(b->x.context, work, b, repeats, &best));
    *gflops = operations_of(b) / best * 1e-9;
    return IRN_OK;
}

static irn_status fill_normal(irn_context *context, cl_mem memory, size_t count, float factor)
{
    float *values;
    IRN_TRY(irn_alloc(&values, count, sizeof *values));
    irn_normal_fill(values, count, 1, IRN_STREAM_WEIGHTS, 0);
    for (size_t i = 0; i < count; i++)
        values[i] *= factor;
    irn_status status = irn_memory_write(context, memory, 0, values, count * sizeof *values);
    free(values);
    return status;
}

/* Floats in each of the bench's buffers. */
static void buffer_sizes(const conv_bench *b, irn_context *context, size_t batch, size_t height,
                         size_t width, size_t sizes[7])
{
    sizes[0] = sizes[1] = sizes[2] = irn_conv_weights(context, &b->conv);
    sizes[3] = irn_conv_gradient_scratch(context, &b->conv, batch, height, width);
    sizes[4] = sizes[5] = sizes[6] = 0;
    if (b->dense)
        sizes[6] = irn_dense_scratch(context, &b->conv, height, width);
    if (b->dense_gradient)
        sizes[3] = irn_dense_gradient_scratch(context, &b->conv, batch, height, width);
    if (!b->winograd)
        return;
    sizes[3] = irn_winograd_gradient_scratch(context, &b->conv, batch, height, width);
    sizes[4] = sizes[5] = irn_winograd_weights(context, &b->conv);
    sizes[6] = irn_winograd_scratch(context, &b->conv, width);
}

static irn_status fill_operands(conv_bench *b, irn_context *context, size_t weights)
{
    IRN_TRY(fill_normal(context, b->x.memory, irn_tensor_size(&b->x), 1));
    IRN_TRY(fill_normal(context, b->memory[0], weights, 0.01f));
    IRN_TRY(irn_conv_transpose(context, &b->conv, b->weights, b->transposed));
    if (!b->winograd)
        return IRN_OK;
    irn_place forward = {b->memory[4], 0}, backward = {b->memory[5], 0};
    IRN_TRY(irn_winograd_transform(context, &b->conv, b->weights, forward));
    return irn_winograd_transform_transposed(context, &b->conv, b->transposed, backward);
}

/* Doubles stay zero: they take as long. */
static irn_status prepare(conv_bench *b, irn_context *context, const irn_conv_case *what)
{
    size_t sizes[7];
    b->conv = (irn_conv){.inputs = what->inputs,
                         .outputs = what->outputs,
                         .kernel_height = what->kernel,
                         .kernel_width = what->kernel};
    IRN_TRY(irn_conv_check(context, &b->conv));
    bool models = !what->direct && what->precision == IRN_SINGLE;
    b->winograd = models && irn_winograd_suits(context, &b->conv, what->height, what->width);
    b->dense = models && irn_dense_suits(context, &b->conv);
    b->dense_gradient = models && irn_dense_gradient_suits(context, &b->conv);
    IRN_TRY(irn_tensor_create(&b->x, context, what->precision, what->batch, what->inputs,
                              what->height, what->width));
    IRN_TRY(irn_tensor_create(&b->y, context, what->precision, what->batch, what->outputs,
                              what->height, what->width));
    buffer_sizes(b, context, what->batch, what->height, what->width, sizes);
    for (size_t i = 0; i < 7; i++)
        IRN_TRY(irn_memory_create(context, &b->memory[i], sizes[i],
                                  irn_precision_size(what->precision), true));
    b->weights.memory = b->memory[0];
    b->transposed.memory = b->memory[1];
    b->gradient.memory = b->memory[2];
    return what->precision == IRN_SINGLE ? fill_operands(b, context, sizes[0]) : IRN_OK;
}

static void release(conv_bench *b, irn_context *context)
{
    irn_tensor_free(&b->x);
    irn_tensor_free(&b->y);
    for (size_t i = 0; i < 7; i++)
        irn_memory_release(context, b->memory[i]);
}

irn_status irn_bench_case(irn_context *context, const irn_conv_case *what, size_t repeats,
                          double *seconds, double *operations)
{
    const bool wanted[] = {what->forward, what->data_gradient, what->weight_gradient};
    const conv_work works[] = {forward, data_gradient, weight_gradient};
    conv_bench b = {.winograd = false};
    irn_status status = prepare(&b, context, what);
    *seconds = *operations = 0;
    for (size_t i = 0; i < 3 && status == IRN_OK; i++) {
        double best = 0;
        if (!wanted[i])
            continue;
        status = irn_bench_seconds(context, works[i], &b, repeats, &best);
        *seconds += best;
        *operations += operations_of(&b);
    }
    release(&b, context);
    return status;
}

irn_status irn_bench_conv(irn_context *context, size_t batch, size_t inputs, size_t outputs,
                          size_t height, size_t width, size_t kernel, bool direct, size_t repeats,
                          irn_conv_rates *rates)
{
    const irn_conv_case what = {.batch = batch,
                                .inputs = inputs,
                                .outputs = outputs,
                                .height = height,
                                .width = width,
                                .kernel = kernel,
                                .direct = direct};
    conv_bench b = {.winograd = false};
    irn_status status = prepare(&b, context, &what);
    rates->winograd = b.winograd;
    rates->tiled = irn_tiled_suits(context, outputs);
    rates->blas = b.dense || b.dense_gradient;
    if (status == IRN_OK)
        status = rate_of(&b, forward, repeats, &rates->forward);
    if (status == IRN_OK)
        status = rate_of(&b, data_gradient, repeats, &rates->data_gradient);
    if (status == IRN_OK)
        status = rate_of(&b, weight_gradient, repeats, &rates->weight_gradient);
    release(&b, context);
    return status;
}
