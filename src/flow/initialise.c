/* actnorm's first values, from the first samples that pass (math: Kingma and Dhariwal 2018,
 * "Glow"): all blocks have theirs, or none does. */
#include "flow/workspace.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdlib.h>

/* The mean as found is a rounded one, and the variance about it has the square of what it is off by
 * too much; the second mean, of what is left less the first, says how much that is (Chan, Golub,
 * LeVeque 1983, eq. 1.7). */
typedef struct moments {
    float *mean, *variance, *rest; /* [channels] */
} moments;

static irn_status find_moments(const irn_tensor *x, const moments *out)
{
    irn_context *context = x->context;
    irn_tensor vectors, rows[3];
    irn_place places[3];
    float *const values[] = {out->mean, out->variance, out->rest};
    cl_mem scratch = NULL;
    IRN_TRY(irn_tensor_create(&vectors, context, IRN_SINGLE, 3, x->channels, 1, 1));
    for (size_t i = 0; i < 3; i++) {
        rows[i] = irn_tensor_view(&vectors, 1, x->channels, 1, 1);
        rows[i].offset = i * irn_tensor_image_size(&vectors);
        places[i] = (irn_place){rows[i].memory, rows[i].offset};
    }
    irn_channel_sums rest = {.p = x,
                             .centre = places[0],
                             .centre_p = true,
                             .sums = places[2],
                             .factor = 1 / (double)(x->images * x->height * x->width)};
    irn_status status = irn_memory_create(
        context, &scratch, irn_channel_scratch(context, x->channels), sizeof(float), true);
    if (status == IRN_OK)
        status = irn_channel_moments(x, places[0], places[1], scratch);
    if (status == IRN_OK)
        status = irn_channel_sums_run(&rest, scratch);
    for (size_t i = 0; i < 3 && status == IRN_OK; i++)
        status = irn_tensor_read(&rows[i], values[i], x->channels);
    irn_memory_release(context, scratch);
    irn_tensor_free(&vectors);
    return status;
}

/* A channel that does not vary, but for the last bits of its values, cannot be given unit variance.
 * Classifiers have such channels by design, the padded ones; of a density the likelihood of that
 * channel would have no limit. */
static irn_status find_scale(const irn_model *model, const irn_block *block, size_t channel,
                             size_t images, double mean, double variance, double *scale)
{
    size_t index = (size_t)(block - model->blocks);
    double rounding = 0x1p-22 * mean;
    bool varies = variance > rounding * rounding;
    *scale = varies ? 1 / sqrt(variance + 1e-6) : 1;
    if (!isfinite(variance) || !isfinite((float)(mean * *scale)))
        return irn_fail(IRN_ERROR_NUMERIC,
                        "actnorm of blocks.%zu cannot be initialised: channel %zu has mean %g and "
                        "variance %g, which leaves the range of float32",
                        index, channel, mean, variance);
    if (model->config.prior != IRN_PRIOR_NONE && !varies)
        return irn_fail(IRN_ERROR_NUMERIC,
                        "actnorm of blocks.%zu cannot be initialised: channel %zu has mean %g and "
                        "variance %g, no more than rounding, over %zu images; a density needs data "
                        "that vary, and more than one sample of points",
                        index, channel, mean, variance, images);
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
    IRN_TRY(irn_alloc(&values, 3 * channels, sizeof *values));
    const moments m = {values, values + channels, values + 2 * channels};
    float *shift = m.mean, *log_scale = m.variance; /* take their places */
    irn_status status = find_moments(x, &m);
    for (size_t c = 0; status == IRN_OK && c < channels; c++) {
        double rest = (double)m.rest[c], mean = (double)m.mean[c] + rest, scale;
        double variance = fmax((double)m.variance[c] - rest * rest, 0);
        status = find_scale(model, block, c, x->images, mean, variance, &scale);
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
    IRN_TRY(irn_finish(model->context)); /* commands may fail later than they are queued */
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
    irn_arena_fill(&model->state, model->single.state, model->initialised, 0);
}

irn_status irn_initialisation_end(irn_model *model, irn_status status)
{
    if (model->actnorm_ready)
        return status;
    if (status == IRN_OK)
        status = irn_model_initialised(model);
    if (status == IRN_OK)
        return IRN_OK;
    forget(model);
    return status;
}
