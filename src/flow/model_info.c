/* Questions about a model, and what keeps its derived values true. */
#include "flow/chain.h"
#include "ops/winograd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const irn_model_config *irn_model_get_config(const irn_model *model)
{
    return &model->config;
}

size_t irn_model_latent_size(const irn_model *model)
{
    return model->channels * model->height * model->width;
}

size_t irn_model_block_count(const irn_model *model)
{
    return model->block_count;
}

size_t irn_model_parameter_count(const irn_model *model)
{
    size_t count = 0;
    for (size_t i = 0; i < model->parameters.count; i++)
        count += irn_entry_count(&model->parameters.entries[i]);
    return count;
}

irn_context *irn_model_context(const irn_model *model)
{
    return model->context;
}

void irn_model_changed(irn_model *model)
{
    model->derived_valid = false;
    for (size_t b = 0; b < model->block_count; b++)
        model->blocks[b].lipschitz_upper = NAN;
}

void irn_model_set_lipschitz(irn_model *model, size_t block, double upper)
{
    model->blocks[block].lipschitz_upper = upper;
}

size_t irn_model_layer_count(const irn_model *model)
{
    return model->block_count * model->config.layers;
}

const irn_layer *irn_model_layer_at(const irn_model *model, size_t index)
{
    return &model->blocks[index / model->config.layers].layers[index % model->config.layers];
}

irn_status irn_model_layer(const irn_model *model, size_t index, irn_layer_view *out)
{
    const irn_layer *layer = irn_model_layer_at(model, index);
    float scale;
    IRN_TRY(irn_arena_read(&model->state, model->single.state, &model->state.entries[layer->scale],
                           &scale));
    *out = (irn_layer_view){.block = index / model->config.layers,
                            .outputs = layer->conv.outputs,
                            .inputs = layer->conv.inputs,
                            .kernel = layer->conv.kernel_height,
                            .height = layer->height,
                            .width = layer->width,
                            .scale = (double)scale};
    snprintf(out->name, sizeof out->name, "blocks.%zu.conv%zu", out->block,
             index % model->config.layers);
    return IRN_OK;
}

irn_status irn_model_layer_weights(const irn_model *model, size_t index, float *out)
{
    return irn_arena_read(&model->parameters, model->single.parameters,
                          &model->parameters.entries[irn_model_layer_at(model, index)->weight],
                          out);
}

irn_status irn_model_block_affine(const irn_model *model, size_t block, double *scale_min,
                                  double *scale_max)
{
    *scale_min = *scale_max = 1;
    if (!model->config.actnorm)
        return IRN_OK;
    const irn_entry *entry = &model->parameters.entries[model->blocks[block].log_scale];
    size_t count = irn_entry_count(entry);
    float *values;
    IRN_TRY(irn_alloc(&values, count, sizeof *values));
    irn_status status = irn_arena_read(&model->parameters, model->single.parameters, entry, values);
    *scale_min = *scale_max = exp((double)values[0]);
    for (size_t i = 1; i < count; i++) {
        *scale_min = fmin(*scale_min, exp((double)values[i]));
        *scale_max = fmax(*scale_max, exp((double)values[i]));
    }
    free(values);
    return status;
}

static irn_status derive_head(irn_model *model)
{
    irn_place weights = irn_parameter(model, model->head.weight);
    irn_place transposed = {model->transposed, weights.offset};
    return irn_conv_transpose(model->context, &model->head.dense, weights, transposed);
}

irn_power irn_model_power(const irn_model *model)
{
    return (irn_power){.layers = model->layers,
                       .parameters = model->single.parameters,
                       .transposed = model->transposed,
                       .state = model->single.state,
                       .padding = model->config.padding,
                       .coefficient = model->config.coefficient,
                       .epsilon = model->config.sigma_epsilon};
}

irn_status irn_model_prepare(irn_model *model)
{
    if (model->derived_valid)
        return IRN_OK;
    const irn_layers *layers = &model->layers;
    IRN_TRY(irn_layers_transpose(layers, model->single.parameters, model->transposed));
    if (model->winograd) {
        IRN_TRY(irn_layers_transform(layers, model->single.parameters, model->winograd, false));
        IRN_TRY(irn_layers_transform(layers, model->transposed, model->winograd_transposed, true));
    }
    if (model->config.classes)
        IRN_TRY(derive_head(model));
    IRN_TRY(irn_chain_prepare(model));
    model->derived_valid = true;
    return IRN_OK;
}

irn_status irn_model_power_iterate(irn_model *model, size_t iterations)
{
    if (!(model->config.coefficient > 0))
        return IRN_OK;
    IRN_TRY(irn_model_prepare(model));
    for (size_t b = 0; b < model->block_count; b++)
        model->blocks[b].lipschitz_upper = NAN; /* the scales change */
    irn_power power = irn_model_power(model);
    return irn_power_iterate(&power, iterations, 0);
}
