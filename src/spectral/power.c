#include "spectral/power.h"
#include "ops/application.h"

#include <stdio.h>

/* The activation is not used, but the sources want one. There is one image: on GPUs a work-group's
 * tiles are of single pixels, so that small maps fill it, and more would take all registers. */
static irn_call begin(const irn_power *power, const char *kernel)
{
    char options[IRN_APPLICATION_OPTIONS];
    const irn_context *context = power->layers.context;
    irn_application_options(options, context, IRN_SINGLE, IRN_RELU);
    if (context->info.is_simt)
        snprintf(options, sizeof options, "%s -DACT=%d -DT=1 -DOCB=2 -DGIC=%u -DGOB=%u",
                 irn_precision_options(IRN_SINGLE), (int)IRN_RELU, context->tuning.gradient_inputs,
                 context->tuning.gradient_blocks);
    return irn_call_begin(power->layers.context,
                          "common.clh group.clh activation.clh epilogue.clh conv.clh layers.clh "
                          "power.cl",
                          options, kernel);
}

static irn_call begin_general(const irn_power *power, const char *kernel)
{
    return irn_call_begin(power->layers.context, irn_general_sources,
                          irn_precision_options(IRN_SINGLE), kernel);
}

static int wrap(const irn_power *power)
{
    return power->padding == IRN_PAD_CIRCULAR;
}

/* Of every layer; with a tolerance, so many again and again, up to `most`. */
static irn_status launch(const irn_power *power, size_t iterations, size_t most, double tolerance)
{
    irn_context *context = power->layers.context;
    size_t group = context->tuning.work_group;
    size_t groups = context->info.is_simt ? power->layers.count : irn_cpu_items(context);
    irn_call call = begin(power, "power_iterate");
    irn_call_memory(&call, power->parameters, 0);
    irn_call_memory(&call, power->transposed, 0);
    irn_call_memory(&call, power->state, 0);
    irn_call_memory(&call, power->layers.table, 0);
    irn_call_int(&call, power->layers.count);
    irn_call_int(&call, iterations);
    irn_call_int(&call, most);
    irn_call_float(&call, (float)tolerance);
    irn_call_float(&call, (float)power->coefficient);
    irn_call_float(&call, (float)power->epsilon);
    irn_call_int(&call, (size_t)wrap(power));
    return irn_call_run(&call, groups * group, 1, 1, group);
}

/* On GPUs a layer has one work-group, whose launch must not last long: llvmpipe ends a kernel's
 * loops after 65535 turns in all, others a kernel after seconds. So an iteration is a launch there;
 * with a tolerance it cannot be, because only the kernel knows when to stop. */
irn_status irn_power_iterate(const irn_power *power, size_t iterations, double tolerance)
{
    enum { MOST = 100 };
    if (tolerance > 0)
        return launch(power, irn_larger(1, iterations), MOST, tolerance);
    const size_t at_once = power->layers.context->info.is_simt ? 1 : iterations;
    size_t left = iterations;
    do {
        const size_t now = irn_smaller(at_once, left);
        IRN_TRY(launch(power, now, now, 0));
        left -= now;
    } while (left > 0);
    return IRN_OK;
}

irn_status irn_power_gradient(const irn_power *power, cl_mem sigma_gradient)
{
    const irn_tuning *t = &power->layers.context->tuning;
    irn_call call = begin(power, "power_gradients");
    irn_call_memory(&call, power->state, 0);
    irn_call_memory(&call, sigma_gradient, 0);
    irn_call_memory(&call, power->layers.table, 0);
    irn_call_int(&call, (size_t)wrap(power));
    size_t tiles = power->layers.largest / (t->gradient_inputs * t->gradient_blocks) + 1;
    return irn_call_run(&call, irn_layers_items(&power->layers, tiles), power->layers.count, 1,
                        t->work_group);
}

static irn_status layer_dots(const irn_power *power, cl_mem gradient, cl_mem dots)
{
    size_t group = power->layers.context->tuning.work_group;
    irn_call call = begin_general(power, "layer_dots");
    irn_call_memory(&call, power->parameters, 0);
    irn_call_memory(&call, gradient, 0);
    irn_call_memory(&call, power->layers.table, 0);
    irn_call_memory(&call, dots, 0);
    return irn_call_run(&call, group * power->layers.count, 1, 1, group);
}

irn_status irn_power_backward(const irn_power *power, cl_mem gradient, cl_mem sigma_gradient,
                              cl_mem dots)
{
    if (power->coefficient > 0)
        IRN_TRY(layer_dots(power, gradient, dots));
    irn_call call = begin_general(power, "layer_gradients");
    irn_call_memory(&call, gradient, 0);
    irn_call_memory(&call, sigma_gradient, 0);
    irn_call_memory(&call, power->state, 0);
    irn_call_memory(&call, power->layers.table, 0);
    irn_call_memory(&call, dots, 0);
    irn_call_float(&call, (float)power->coefficient);
    return irn_call_run(&call, power->layers.largest, power->layers.count, 1, 0);
}
