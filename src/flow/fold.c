/* Lowering a layer's norm in its stored kernel. */
#include "flow/model.h"

#include <math.h>
#include <stdlib.h>

static irn_status read_number(const irn_model *model, size_t entry, float *out)
{
    return irn_arena_read(&model->state, model->single.state, &model->state.entries[entry], out);
}

static irn_status write_number(const irn_model *model, size_t entry, float value)
{
    return irn_arena_write(&model->state, model->single.state, &model->state.entries[entry],
                           &value);
}

irn_status irn_layer_copy_make(irn_layer_copy *out, const irn_model *model, size_t index)
{
    const irn_layer *layer = irn_model_layer_at(model, index);
    size_t count = irn_entry_count(&model->parameters.entries[layer->weight]);
    irn_layer_copy copy = {.count = count};
    IRN_TRY(irn_alloc(&copy.kernel, count, sizeof *copy.kernel));
    irn_status status = irn_model_layer_weights(model, index, copy.kernel);
    if (status == IRN_OK)
        status = read_number(model, layer->sigma, &copy.sigma);
    if (status == IRN_OK)
        status = read_number(model, layer->scale, &copy.scale);
    if (status == IRN_OK)
        *out = copy;
    else
        free(copy.kernel);
    return status;
}

void irn_layer_copy_free(irn_layer_copy *copy)
{
    free(copy->kernel);
    copy->kernel = NULL;
}

irn_status irn_layer_restore(irn_model *model, size_t index, const irn_layer_copy *copy)
{
    const irn_layer *layer = irn_model_layer_at(model, index);
    irn_model_changed(model);
    IRN_TRY(irn_arena_write(&model->parameters, model->single.parameters,
                            &model->parameters.entries[layer->weight], copy->kernel));
    IRN_TRY(write_number(model, layer->sigma, copy->sigma));
    return write_number(model, layer->scale, copy->scale);
}

/* What power iteration makes of an estimate that is not above the coefficient (power.cl). */
static float scale_at_rest(const irn_model *model, const irn_layer *layer)
{
    bool large = layer->conv.kernel_height * layer->conv.kernel_width > 1;
    bool normalised = model->config.coefficient > 0;
    return 1 / (1 + (normalised && large ? (float)model->config.sigma_epsilon : 0));
}

/* With sigma > c, scale = c/sigma, and a kernel multiplied by f alone would have its scale divided
 * by f at the next power iteration: the same layer again. So the scale moves into the kernel: it
 * becomes f scale W, with the estimate f scale sigma = f c < c, at which the scale is 1 and stays
 * so, whatever power iteration finds below c; if it finds more, the layer becomes smaller still. u
 * and v are those of W, up to a sign that the next step gives them. */
irn_status irn_layer_fold(irn_model *model, size_t index, double factor)
{
    const irn_layer *layer = irn_model_layer_at(model, index);
    double coefficient = model->config.coefficient;
    irn_layer_copy folded;
    IRN_TRY(irn_layer_copy_make(&folded, model, index));
    float scale = scale_at_rest(model, layer);
    double multiplier = factor * (double)folded.scale / (double)scale;
    for (size_t i = 0; i < folded.count; i++)
        folded.kernel[i] = (float)(multiplier * (double)folded.kernel[i]);
    double sigma = fabs(multiplier * (double)folded.sigma);
    folded.sigma = (float)(coefficient > 0 ? fmin(sigma, coefficient) : sigma);
    folded.scale = scale;
    irn_status status = irn_layer_restore(model, index, &folded);
    irn_layer_copy_free(&folded);
    return status;
}
