#include "flow/prior.h"

#include <math.h>

const char irn_density_sources[] = "common.clh group.clh reduce.cl density.cl";

/* The flags of density.cl. */
enum { LEARNED = 1, ADD = 2 };

static irn_call begin(const irn_model *model, const char *kernel)
{
    return irn_call_begin(model->context, irn_density_sources, irn_precision_options(IRN_SINGLE),
                          kernel);
}

static void part_argument(irn_call *call, const irn_tensor *part)
{
    irn_call_memory(call, part->memory, part->offset);
}

/* Mean and log_std of a part, in a buffer like the parameters. */
static void prior_arguments(irn_call *call, const irn_model *model, cl_mem buffer, size_t scale)
{
    const irn_scale *s = &model->scales[scale];
    const irn_entry *entries = model->parameters.entries;
    bool learned = model->config.prior == IRN_PRIOR_LEARNED;
    irn_call_memory(call, learned ? buffer : NULL, learned ? entries[s->mean].offset : 0);
    irn_call_memory(call, learned ? buffer : NULL, learned ? entries[s->log_std].offset : 0);
}

static int learned_flag(const irn_model *model)
{
    return model->config.prior == IRN_PRIOR_LEARNED ? LEARNED : 0;
}

irn_status irn_prior_values(const irn_model *model, const irn_latents *z, double weight,
                            irn_place values)
{
    size_t group = model->context->tuning.work_group;
    for (size_t s = 0; s < model->scale_count; s++) {
        const irn_tensor *part = &z->parts[s];
        irn_call call = begin(model, "prior_values");
        part_argument(&call, part);
        prior_arguments(&call, model, model->single.parameters, s);
        irn_call_memory(&call, values.memory, values.offset);
        irn_call_ulong(&call, irn_tensor_blocks(part) / part->images);
        irn_call_float(&call, (float)weight);
        irn_call_int(&call, (size_t)(learned_flag(model) | (s > 0 ? ADD : 0)));
        IRN_TRY(irn_call_run(&call, part->images * group, 1, 1, group));
    }
    return IRN_OK;
}

double irn_prior_constant(const irn_model *model)
{
    const double log_two_pi = 1.8378770664093454836;
    return -0.5 * log_two_pi * (double)irn_model_latent_size(model);
}

irn_status irn_prior_gradient(const irn_model *model, const irn_latents *z, double weight,
                              bool add_last, const irn_latents *z_gradient, cl_mem gradient)
{
    for (size_t s = 0; s < model->scale_count; s++) {
        const irn_tensor *part = &z->parts[s];
        size_t blocks = irn_tensor_blocks(part) / part->images;
        bool add = add_last && s + 1 == model->scale_count;
        irn_call call = begin(model, "prior_gradient");
        part_argument(&call, part);
        prior_arguments(&call, model, model->single.parameters, s);
        part_argument(&call, &z_gradient->parts[s]);
        prior_arguments(&call, model, gradient, s);
        irn_call_ulong(&call, blocks);
        irn_call_int(&call, part->images);
        irn_call_int(&call, part->channels);
        irn_call_int(&call, part->height * part->width);
        irn_call_float(&call, (float)weight);
        irn_call_int(&call, (size_t)(learned_flag(model) | (add ? ADD : 0)));
        IRN_TRY(irn_call_run(&call, blocks, 1, 1, model->context->tuning.work_group));
    }
    return IRN_OK;
}
