#include "spectral/power.h"

#include <math.h>

static irn_status normalise(const irn_tensor *x, irn_place sigma)
{
    irn_context *context = x->context;
    irn_call call = irn_call_begin(context, irn_general_sources, irn_precision_options(IRN_SINGLE),
                                   "normalise");
    irn_call_memory(&call, x->memory, x->offset);
    irn_call_memory(&call, sigma.memory, sigma.offset);
    irn_call_ulong(&call, irn_tensor_blocks(x));
    irn_call_int(&call, x->channels);
    irn_call_int(&call, x->height * x->width);
    return irn_call_run(&call, context->tuning.work_group, 1, 1, context->tuning.work_group);
}

static irn_status scale_from_sigma(const irn_power *power)
{
    irn_context *context = power->u.context;
    irn_call call = irn_call_begin(context, irn_general_sources, irn_precision_options(IRN_SINGLE),
                                   "sigma_scale");
    irn_call_memory(&call, power->sigma.memory, power->sigma.offset);
    irn_call_memory(&call, power->scale.memory, power->scale.offset);
    irn_call_float(&call, (float)power->coefficient);
    irn_call_float(&call, (float)power->epsilon);
    return irn_call_run(&call, context->tuning.work_group, 1, 1, context->tuning.work_group);
}

irn_status irn_power_iterate(const irn_power *power, size_t iterations)
{
    const irn_epilogue plain = {.activate = false};
    for (size_t i = 0; i < iterations; i++) {
        IRN_TRY(irn_conv_backward(&power->conv, power->transposed, &power->u, &plain, &power->v));
        IRN_TRY(normalise(&power->v, power->sigma));
        /* sigma = <u, W v> = |W v|, since u is W v over its length. */
        IRN_TRY(irn_conv_forward(&power->conv, power->weights, &power->v, &plain, &power->u));
        IRN_TRY(normalise(&power->u, power->sigma));
    }
    return scale_from_sigma(power);
}

/* The first look has nothing to compare with: the state's sigma may be that of other weights. */
irn_status irn_power_converge(const irn_power *power, size_t between, double tolerance, size_t most)
{
    float before = NAN, now = NAN;
    for (size_t done = 0; done < most; done += between) {
        before = now;
        IRN_TRY(irn_power_iterate(power, irn_smaller(between, most - done)));
        IRN_TRY(irn_memory_read(power->u.context, power->sigma.memory,
                                power->sigma.offset * sizeof now, &now, sizeof now));
        if (fabs((double)now - (double)before) <= tolerance * (double)now)
            break;
    }
    return IRN_OK;
}

irn_status irn_power_gradient(const irn_power *power, irn_place gradient, cl_mem scratch)
{
    const irn_place no_bias = {NULL, 0};
    return irn_conv_weight_gradient(&power->conv, &power->v, &power->u, gradient, no_bias, scratch);
}

static irn_status layer_dots(const irn_layer_gradients *what)
{
    size_t group = what->context->tuning.work_group;
    irn_call call = irn_call_begin(what->context, irn_general_sources,
                                   irn_precision_options(IRN_SINGLE), "layer_dots");
    irn_call_memory(&call, what->parameters, 0);
    irn_call_memory(&call, what->gradient, 0);
    irn_call_memory(&call, what->table, 0);
    irn_call_memory(&call, what->dots, 0);
    return irn_call_run(&call, group * what->layers, 1, 1, group);
}

irn_status irn_layer_gradients_run(const irn_layer_gradients *what)
{
    if (what->coefficient > 0)
        IRN_TRY(layer_dots(what));
    irn_call call = irn_call_begin(what->context, irn_general_sources,
                                   irn_precision_options(IRN_SINGLE), "layer_gradients");
    irn_call_memory(&call, what->gradient, 0);
    irn_call_memory(&call, what->sigma_gradient, 0);
    irn_call_memory(&call, what->state, 0);
    irn_call_memory(&call, what->table, 0);
    irn_call_memory(&call, what->dots, 0);
    irn_call_float(&call, (float)what->coefficient);
    return irn_call_run(&call, what->largest, what->layers, 1, 0);
}
