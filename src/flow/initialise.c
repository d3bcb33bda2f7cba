/* actnorm's first values, from the first samples that pass (math: Kingma and Dhariwal 2018,
 * "Glow"): all blocks have theirs, or none does. */
#include "flow/workspace.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdlib.h>

static irn_status moments(const irn_tensor *x, float *mean, float *variance)
{
    irn_context *context = x->context;
    irn_tensor vectors;
    cl_mem scratch = NULL;
    IRN_TRY(irn_tensor_create(&vectors, context, IRN_SINGLE, 2, x->channels, 1, 1));
    irn_tensor first = irn_tensor_view(&vectors, 1, x->channels, 1, 1), second = first;
    second.offset = irn_tensor_image_size(&vectors);
    irn_status status = irn_memory_create(
        context, &scratch, irn_channel_scratch(context, x->channels), sizeof(float), true);
    if (status == IRN_OK)
        status = irn_channel_moments(x, (irn_place){first.memory, first.offset},
                                     (irn_place){second.memory, second.offset}, scratch);
    if (status == IRN_OK)
        status = irn_tensor_read(&first, mean, x->channels);
    if (status == IRN_OK)
        status = irn_tensor_read(&second, variance, x->channels);
    irn_memory_release(context, scratch);
    irn_tensor_free(&vectors);
    return status;
}

/* A channel that does not vary cannot be given unit variance. Classifiers have such channels by
 * design, the padded ones; of a density the likelihood of that channel would have no limit. */
static irn_status find_scale(const irn_model *model, const irn_block *block, size_t channel,
                             size_t images, double mean, double variance, double *scale)
{
    const double least = 1e-10;
    size_t index = (size_t)(block - model->blocks);
    *scale = variance > least ? 1 / sqrt(variance + 1e-6) : 1;
    if (!isfinite(*scale) || !isfinite(mean))
        return irn_fail(IRN_ERROR_NUMERIC,
                        "actnorm of blocks.%zu cannot be initialised: channel %zu has mean %g and "
                        "variance %g",
                        index, channel, mean, variance);
    if (model->config.prior != IRN_PRIOR_NONE && !(variance > least))
        return irn_fail(IRN_ERROR_NUMERIC,
                        "actnorm of blocks.%zu cannot be initialised: channel %zu has variance %g, "
                        "not above %g, over %zu images; a density needs data that vary, and more "
                        "than one sample of points",
                        index, channel, variance, least, images);
    return IRN_OK;
}

static irn_status write(irn_model *model, size_t entry, const float *values)
{
    return irn_arena_write(&model->parameters, model->single.parameters,
                           &model->parameters.entries[entry], values);
}

irn_status irn_block_initialise(irn_model *model, const irn_block *block, const irn_tensor *x)
{
    float *values;
    size_t channels = block->channels;
    if (!model->config.actnorm)
        return IRN_OK;
    IRN_TRY(irn_alloc(&values, 2 * channels, sizeof *values));
    float *shift = values, *log_scale = values + channels;
    irn_status status = moments(x, shift, log_scale);
    for (size_t c = 0; status == IRN_OK && c < channels; c++) {
        double mean = (double)shift[c], scale;
        status = find_scale(model, block, c, x->images, mean, (double)log_scale[c], &scale);
        log_scale[c] = (float)log(scale);
        shift[c] = (float)(-mean * scale);
    }
    if (status == IRN_OK)
        status = write(model, block->log_scale, log_scale);
    if (status == IRN_OK)
        status = write(model, block->shift, shift);
    free(values);
    return status;
}

irn_status irn_model_initialised(irn_model *model)
{
    const float yes = 1;
    IRN_TRY(irn_arena_write(&model->state, model->single.state,
                            &model->state.entries[model->initialised], &yes));
    model->actnorm_ready = true;
    return IRN_OK;
}

/* What is not initialised is the identity. A failure here would hide the first one. */
static void forget(irn_model *model)
{
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        irn_arena_fill(&model->parameters, model->single.parameters, block->log_scale, 0);
        irn_arena_fill(&model->parameters, model->single.parameters, block->shift, 0);
    }
}

irn_status irn_initialisation_end(irn_model *model, irn_status status)
{
    if (model->actnorm_ready)
        return status;
    if (status == IRN_OK)
        return irn_model_initialised(model);
    forget(model);
    return status;
}
