/* Latents from the prior. */
#include "base/philox.h"
#include "flow/model.h"

#include <iresnet/density.h>

#include <math.h>
#include <stdlib.h>

/* Means and logarithms of standard deviations [D], which are zeros for the standard prior. */
static irn_status read_prior(const irn_model *model, float *mean, float *log_std)
{
    const irn_arena *arena = &model->parameters;
    bool learned = model->config.prior == IRN_PRIOR_LEARNED;
    for (size_t s = 0; s < model->scale_count && learned; s++) {
        const irn_scale *scale = &model->scales[s];
        IRN_TRY(irn_arena_read(arena, model->single.parameters, &arena->entries[scale->mean],
                               mean + scale->offset));
        IRN_TRY(irn_arena_read(arena, model->single.parameters, &arena->entries[scale->log_std],
                               log_std + scale->offset));
    }
    return IRN_OK;
}

irn_status irn_model_draw_latents(irn_model *model, uint64_t seed, size_t first, size_t count,
                                  double temperature, float *z)
{
    size_t size = irn_model_latent_size(model);
    float *prior;
    if (model->config.prior == IRN_PRIOR_NONE)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "the model has no prior, so there is nothing to draw from");
    if (!(temperature >= 0 && isfinite(temperature)))
        return irn_fail(IRN_ERROR_ARGUMENT, "temperature is %g; it must be a number from 0 up",
                        temperature);
    IRN_TRY(irn_alloc(&prior, 2 * size, sizeof *prior));
    irn_status status = read_prior(model, prior, prior + size);
    for (size_t n = 0; n < count && status == IRN_OK; n++) {
        float *row = z + n * size;
        irn_normal_fill(row, size, seed, IRN_STREAM_SAMPLE, first + n);
        for (size_t i = 0; i < size; i++) {
            double deviation = temperature * exp((double)prior[size + i]);
            row[i] = (float)((double)prior[i] + deviation * (double)row[i]);
        }
    }
    free(prior);
    return status;
}
