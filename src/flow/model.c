/* Making a model: the chain of blocks for a configuration, and random weights. */
#include "flow/chain.h"
#include "base/philox.h"
#include "ops/dense.h"
#include "ops/narrow.h"
#include "ops/winograd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static irn_status add_kernel(irn_model *model, const irn_conv *conv, size_t *entry,
                             const char *prefix, const char *name)
{
    size_t shape[4] = {conv->outputs, conv->inputs, conv->kernel_height, conv->kernel_width};
    return irn_arena_add(&model->parameters, IRN_ENTRY_KERNEL, shape, 4, entry, "%s.%s", prefix,
                         name);
}

static irn_status add_vector(irn_arena *arena, size_t count, size_t *entry, const char *prefix,
                             const char *name)
{
    size_t shape[4] = {count, 1, 1, 1};
    return irn_arena_add(arena, IRN_ENTRY_TENSOR, shape, 1, entry, "%s.%s", prefix, name);
}

static irn_status add_layer(irn_model *model, irn_layer *layer, const char *prefix)
{
    size_t u[4] = {layer->conv.outputs, layer->sigma_height, layer->sigma_width, 1};
    size_t v[4] = {layer->conv.inputs, layer->sigma_height, layer->sigma_width, 1};
    IRN_TRY(add_kernel(model, &layer->conv, &layer->weight, prefix, "weight"));
    IRN_TRY(add_vector(&model->parameters, layer->conv.outputs, &layer->bias, prefix, "bias"));
    IRN_TRY(irn_arena_add(&model->state, IRN_ENTRY_TENSOR, u, 3, &layer->u, "%s.u", prefix));
    IRN_TRY(irn_arena_add(&model->state, IRN_ENTRY_TENSOR, v, 3, &layer->v, "%s.v", prefix));
    IRN_TRY(add_vector(&model->state, 1, &layer->sigma, prefix, "sigma"));
    return add_vector(&model->state, 1, &layer->scale, prefix, "scale");
}

/* A 1x1 kernel is the same matrix at every pixel, so its operator is taken on one. */
static void set_sigma_map(irn_layer *layer, const irn_block *block, bool before_squeeze)
{
    size_t factor = before_squeeze && block->squeeze ? 2 : 1;
    bool matrix = layer->conv.kernel_height == 1 && layer->conv.kernel_width == 1;
    layer->sigma_height = matrix ? 1 : block->height * factor;
    layer->sigma_width = matrix ? 1 : block->width * factor;
}

/* beta of the activation before a layer. */
static irn_status add_beta(irn_model *model, const irn_block *block, irn_layer *layer, size_t index,
                           size_t i)
{
    char prefix[48];
    if (model->config.activation != IRN_LIPSWISH || (i == 0 && !block->first_activation))
        return IRN_OK;
    snprintf(prefix, sizeof prefix, "blocks.%zu.act%zu", index, i);
    return add_vector(&model->parameters, 1, &layer->beta, prefix, "beta");
}

static irn_status add_block(irn_model *model, irn_block *block, size_t index, size_t width)
{
    const irn_model_config *c = &model->config;
    char prefix[48];
    for (size_t i = 0; i < c->layers; i++) {
        irn_layer *layer = &block->layers[i];
        layer->conv = (irn_conv){.inputs = i == 0 ? block->channels : width,
                                 .outputs = i + 1 == c->layers ? block->channels : width,
                                 .kernel_height = c->kernels[i],
                                 .kernel_width = c->kernels[i],
                                 .padding = c->padding,
                                 .activation = c->activation};
        layer->height = block->height;
        layer->width = block->width;
        set_sigma_map(layer, block, c->sigma_map_before_squeeze);
        snprintf(prefix, sizeof prefix, "blocks.%zu.conv%zu", index, i);
        IRN_TRY(add_layer(model, layer, prefix));
        IRN_TRY(add_beta(model, block, layer, index, i));
    }
    snprintf(prefix, sizeof prefix, "blocks.%zu.actnorm", index);
    if (!c->actnorm)
        return IRN_OK;
    IRN_TRY(
        add_vector(&model->parameters, block->channels, &block->log_scale, prefix, "log_scale"));
    return add_vector(&model->parameters, block->channels, &block->shift, prefix, "shift");
}

/* The part of z that leaves where so many channels are; returns how many stay. */
static size_t add_scale(irn_model *model, size_t channels, size_t height, size_t width, bool last)
{
    size_t taken = last ? channels : channels / 2, offset = 0;
    if (model->scale_count > 0) {
        const irn_scale *before = &model->scales[model->scale_count - 1];
        offset = before->offset + before->channels * before->height * before->width;
    }
    model->scales[model->scale_count++] =
        (irn_scale){.channels = taken, .height = height, .width = width, .offset = offset};
    return channels - taken;
}

static irn_status add_blocks(irn_model *model)
{
    const irn_model_config *c = &model->config;
    size_t squeezed = c->init_squeeze ? 2 : 1;
    model->channels = c->channels * squeezed * squeezed + c->pad_channels;
    model->height = c->height / squeezed;
    model->width = c->width / squeezed;
    for (size_t s = 0; s < c->stages; s++)
        model->block_count += c->blocks[s];
    IRN_TRY(irn_alloc(&model->blocks, model->block_count, sizeof *model->blocks));
    size_t channels = model->channels, height = model->height, width = model->width, index = 0;
    for (size_t s = 0; s < c->stages; s++) {
        bool last = s + 1 == c->stages;
        for (size_t b = 0; b < c->blocks[s]; b++, index++) {
            bool squeeze = b == 0 && c->strides[s] == 2;
            channels *= squeeze ? 4 : 1;
            height /= squeeze ? 2 : 1;
            width /= squeeze ? 2 : 1;
            model->blocks[index] = (irn_block){.channels = channels,
                                               .height = height,
                                               .width = width,
                                               .squeeze = squeeze,
                                               .first_activation = index > 0,
                                               .lipschitz_upper = NAN};
            IRN_TRY(add_block(model, &model->blocks[index], index, c->widths[s]));
        }
        model->blocks[index - 1].split = c->multiscale && !last;
        if (c->multiscale || last)
            channels = add_scale(model, channels, height, width, last);
    }
    return add_vector(&model->state, 1, &model->initialised, "actnorm", "initialised");
}

/* Entries have the shapes of the latents, so that they lie on the device as these do. */
static irn_status add_prior(irn_model *model)
{
    for (size_t s = 0; s < model->scale_count && model->config.prior == IRN_PRIOR_LEARNED; s++) {
        irn_scale *scale = &model->scales[s];
        size_t shape[4] = {scale->channels, scale->height, scale->width, 1};
        irn_arena *arena = &model->parameters;
        IRN_TRY(
            irn_arena_add(arena, IRN_ENTRY_TENSOR, shape, 3, &scale->mean, "prior.%zu.mean", s));
        IRN_TRY(irn_arena_add(arena, IRN_ENTRY_TENSOR, shape, 3, &scale->log_std,
                              "prior.%zu.log_std", s));
    }
    return IRN_OK;
}

static irn_status add_head(irn_model *model)
{
    irn_head *head = &model->head;
    size_t channels = model->blocks[model->block_count - 1].channels;
    if (!model->config.classes)
        return IRN_OK;
    head->dense = (irn_conv){.inputs = channels,
                             .outputs = model->config.classes,
                             .kernel_height = 1,
                             .kernel_width = 1,
                             .activation = model->config.activation};
    IRN_TRY(add_vector(&model->parameters, channels, &head->gamma, "head.norm", "weight"));
    IRN_TRY(add_vector(&model->parameters, channels, &head->beta, "head.norm", "bias"));
    IRN_TRY(add_kernel(model, &head->dense, &head->weight, "head.dense", "weight"));
    model->parameters.entries[head->weight].rank = 2;
    IRN_TRY(
        add_vector(&model->parameters, model->config.classes, &head->bias, "head.dense", "bias"));
    IRN_TRY(add_vector(&model->state, channels, &head->running_mean, "head.norm", "running_mean"));
    return add_vector(&model->state, channels, &head->running_variance, "head.norm", "running_var");
}

/* Values for one entry: uniform in (-bound, bound), constant, or a random unit vector. */
static irn_status fill_uniform(irn_model *model, size_t entry, double bound)
{
    const irn_entry *e = &model->parameters.entries[entry];
    float *values;
    IRN_TRY(irn_alloc(&values, irn_entry_count(e), sizeof *values));
    for (size_t i = 0; i < irn_entry_count(e); i++) {
        uint32_t bits[4];
        irn_philox(bits, model->context->seed, IRN_STREAM_WEIGHTS, entry, i);
        values[i] = (float)(bound * (2.0 * (double)irn_uniform_from_bits(bits[0]) - 1.0));
    }
    irn_status status = irn_arena_write(&model->parameters, model->single.parameters, e, values);
    free(values);
    return status;
}

static irn_status fill_unit(irn_model *model, size_t entry)
{
    const irn_entry *e = &model->state.entries[entry];
    size_t count = irn_entry_count(e);
    float *values;
    IRN_TRY(irn_alloc(&values, count, sizeof *values));
    irn_normal_fill(values, count, model->context->seed, IRN_STREAM_POWER, entry);
    double square = 0;
    for (size_t i = 0; i < count; i++)
        square += (double)values[i] * (double)values[i];
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)values[i] / sqrt(square));
    irn_status status = irn_arena_write(&model->state, model->single.state, e, values);
    free(values);
    return status;
}

/* Kernels and biases uniform within 1/sqrt(inputs x taps), the usual choice of PyTorch. */
static irn_status fill_layer(irn_model *model, const irn_block *block, size_t index)
{
    const irn_layer *layer = &block->layers[index];
    const float first_beta = 0.5f; /* that of Chen et al. */
    double fan_in =
        (double)(layer->conv.inputs * layer->conv.kernel_height * layer->conv.kernel_width);
    if (irn_block_beta(model, model->single.parameters, block, index).memory)
        IRN_TRY(
            irn_arena_fill(&model->parameters, model->single.parameters, layer->beta, first_beta));
    IRN_TRY(fill_uniform(model, layer->weight, 1 / sqrt(fan_in)));
    IRN_TRY(fill_uniform(model, layer->bias, 1 / sqrt(fan_in)));
    IRN_TRY(fill_unit(model, layer->u));
    IRN_TRY(fill_unit(model, layer->v));
    return irn_arena_fill(&model->state, model->single.state, layer->scale, 1);
}

static irn_status fill(irn_model *model)
{
    const irn_head *head = &model->head;
    for (size_t b = 0; b < model->block_count; b++)
        for (size_t i = 0; i < model->config.layers; i++)
            IRN_TRY(fill_layer(model, &model->blocks[b], i));
    if (model->config.classes) {
        double bound = 1 / sqrt((double)head->dense.inputs);
        IRN_TRY(irn_arena_fill(&model->parameters, model->single.parameters, head->gamma, 1));
        IRN_TRY(fill_uniform(model, head->weight, bound));
        IRN_TRY(fill_uniform(model, head->bias, bound));
        IRN_TRY(irn_arena_fill(&model->state, model->single.state, head->running_variance, 1));
    }
    /* A few iterations, so that a new network is near its constraint from the first step on. */
    return irn_model_power_iterate(model, 10);
}

/* What the layer's forms want, either way. */
static size_t layer_scratch(irn_context *context, const irn_layer *layer)
{
    const irn_conv *conv = &layer->conv;
    size_t most = 0;
    if (layer->winograd)
        most = irn_winograd_scratch(context, conv, layer->width);
    if (irn_narrow_suits(context, conv, irn_smaller(conv->inputs, conv->outputs), layer->width))
        most = irn_larger(most, irn_narrow_scratch(context, conv, layer->width));
    if (irn_dense_suits(context, conv))
        most = irn_larger(most, irn_dense_scratch(context, conv, layer->height, layer->width));
    return most;
}

/* Transformed kernels of the layers that are computed by Winograd's method, side by side, and
 * scratch for all. */
static irn_status create_winograd(irn_model *model)
{
    irn_context *context = model->context;
    size_t size = 0, scratch = 0;
    for (size_t b = 0; b < model->block_count; b++)
        for (size_t i = 0; i < model->config.layers; i++) {
            irn_layer *layer = &model->blocks[b].layers[i];
            layer->winograd =
                irn_winograd_suits(context, &layer->conv, layer->height, layer->width);
            scratch = irn_larger(scratch, layer_scratch(context, layer));
            if (!layer->winograd)
                continue;
            layer->winograd_offset = size;
            size += irn_winograd_weights(context, &layer->conv);
        }
    if (scratch)
        IRN_TRY(irn_memory_create(context, &model->layer_scratch, scratch, sizeof(float), true));
    if (!size)
        return IRN_OK;
    IRN_TRY(irn_memory_create(context, &model->winograd, size, sizeof(float), false));
    return irn_memory_create(context, &model->winograd_transposed, size, sizeof(float), false);
}

static irn_layer_row describe(const irn_model *model, const irn_layer *layer)
{
    const irn_conv *conv = &layer->conv;
    size_t weights = irn_parameter(model, layer->weight).offset;
    return (irn_layer_row){.weights = weights,
                           .weight_blocks = irn_conv_weights(model->context, conv) /
                                            model->context->tuning.channel_block,
                           .transposed = weights,
                           .scale = irn_state(model, layer->scale).offset,
                           .sigma = irn_state(model, layer->sigma).offset,
                           .u = irn_state(model, layer->u).offset,
                           .v = irn_state(model, layer->v).offset,
                           .outputs = conv->outputs,
                           .inputs = conv->inputs,
                           .kernel_height = conv->kernel_height,
                           .kernel_width = conv->kernel_width,
                           .height = layer->sigma_height,
                           .width = layer->sigma_width,
                           .winograd = layer->winograd ? layer->winograd_offset : IRN_LAYER_NONE};
}

static irn_status create_table(irn_model *model)
{
    irn_layer_row *rows;
    size_t layers = model->config.layers, count = irn_model_layer_count(model);
    IRN_TRY(irn_alloc(&rows, count, sizeof *rows));
    for (size_t i = 0; i < count; i++)
        rows[i] = describe(model, &model->blocks[i / layers].layers[i % layers]);
    irn_status status = irn_layers_create(&model->layers, model->context, rows, count);
    free(rows);
    return status;
}

static irn_status build(irn_model *model)
{
    irn_arena_init(&model->parameters, model->context);
    irn_arena_init(&model->state, model->context);
    IRN_TRY(add_blocks(model));
    IRN_TRY(add_head(model));
    IRN_TRY(add_prior(model));
    IRN_TRY(irn_arena_create_buffer(&model->parameters, &model->single.parameters));
    IRN_TRY(irn_arena_create_buffer(&model->parameters, &model->transposed));
    IRN_TRY(irn_arena_create_buffer(&model->state, &model->single.state));
    IRN_TRY(create_winograd(model));
    IRN_TRY(create_table(model));
    model->actnorm_ready = !model->config.actnorm;
    return IRN_OK;
}

irn_status irn_model_create_empty(irn_model **out, irn_context *context,
                                  const irn_model_config *config)
{
    irn_model *model;
    *out = NULL;
    IRN_TRY(irn_config_check(config));
    IRN_TRY(irn_alloc(&model, 1, sizeof *model));
    model->context = context;
    model->config = *config;
    irn_status status = build(model);
    if (status != IRN_OK) {
        irn_model_free(model);
        return status;
    }
    *out = model;
    return IRN_OK;
}

irn_status irn_model_create(irn_model **out, irn_context *context, const irn_model_config *config)
{
    IRN_TRY(irn_model_create_empty(out, context, config));
    irn_status status = fill(*out);
    if (status == IRN_OK) /* a write that fails later than it is queued is no model */
        status = irn_finish(context);
    if (status != IRN_OK) {
        irn_model_free(*out);
        *out = NULL;
    }
    return status;
}

void irn_model_free(irn_model *model)
{
    if (!model)
        return;
    irn_memory_release(model->context, model->single.parameters);
    irn_memory_release(model->context, model->single.state);
    irn_memory_release(model->context, model->transposed);
    irn_layers_free(&model->layers);
    irn_memory_release(model->context, model->winograd);
    irn_memory_release(model->context, model->winograd_transposed);
    irn_memory_release(model->context, model->layer_scratch);
    irn_chain_free(model);
    irn_arena_free(&model->parameters);
    irn_arena_free(&model->state);
    free(model->blocks);
    free(model);
}
