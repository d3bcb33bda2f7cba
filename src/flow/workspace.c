#include "flow/workspace.h"
#include "flow/logit.h"
#include "ops/elementwise.h"

#include <string.h>

static size_t map_size(const irn_model *model, size_t channels, size_t height, size_t width)
{
    irn_context *context = model->context;
    return irn_channel_blocks(context, channels) * context->tuning.channel_block * height * width;
}

size_t irn_largest_flow(const irn_model *model)
{
    const irn_model_config *c = &model->config;
    size_t most = map_size(model, c->channels, c->height, c->width);
    /* Padded channels that the first block squeezes are here only. */
    most = irn_larger(most, map_size(model, model->channels, model->height, model->width));
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        most = irn_larger(most, map_size(model, block->channels, block->height, block->width));
    }
    return most;
}

size_t irn_largest_input(const irn_model *model, size_t layer)
{
    size_t most = 0;
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        size_t channels = block->layers[layer].conv.inputs;
        most = irn_larger(most, map_size(model, channels, block->height, block->width));
    }
    return most;
}

size_t irn_largest_hidden(const irn_model *model)
{
    size_t most = 0;
    for (size_t i = 0; i < model->config.layers; i++)
        most = irn_larger(most, irn_largest_input(model, i));
    return most;
}

irn_status irn_flat_create(irn_tensor *out, irn_context *context, irn_precision precision,
                           size_t images, size_t size)
{
    return irn_tensor_create(out, context, precision, images, context->tuning.channel_block, 1,
                             size / context->tuning.channel_block);
}

irn_status irn_workspace_create(irn_workspace *out, const irn_model *model, irn_precision precision,
                                size_t images)
{
    size_t flow = irn_largest_flow(model), hidden = irn_largest_hidden(model);
    irn_status status = IRN_OK;
    memset(out, 0, sizeof *out);
    out->model = model;
    out->precision = precision;
    out->images = images;
    for (size_t i = 0; i < 2 && status == IRN_OK; i++) {
        status = irn_flat_create(&out->flow[i], model->context, precision, images, flow);
        if (status == IRN_OK)
            status = irn_flat_create(&out->hidden[i], model->context, precision,
                                     irn_input_images(model, images), hidden);
    }
    if (status == IRN_OK)
        status = irn_latents_create(&out->early, model, precision, images);
    if (status == IRN_OK && precision == IRN_SINGLE)
        status = irn_head_memory_create(&out->head, model, images);
    if (status != IRN_OK)
        irn_workspace_free(out);
    return status;
}

void irn_workspace_free(irn_workspace *workspace)
{
    for (size_t i = 0; i < 2; i++) {
        irn_tensor_free(&workspace->flow[i]);
        irn_tensor_free(&workspace->hidden[i]);
    }
    irn_latents_free(&workspace->early);
    irn_head_memory_free(&workspace->head);
    memset(workspace, 0, sizeof *workspace);
}

void irn_workspace_inputs(const irn_workspace *workspace, const irn_block *block, size_t images,
                          irn_tensor inputs[IRN_MAX_LAYERS])
{
    for (size_t i = 0; i < workspace->model->config.layers; i++)
        inputs[i] = irn_layer_input(block, i, &workspace->hidden[i % 2], images);
}

irn_status irn_flow_pack(const irn_model *model, cl_mem x, size_t offset, const irn_tensor *scratch,
                         const irn_tensor *out)
{
    const irn_model_config *c = &model->config;
    if (!c->init_squeeze)
        return irn_tensor_pack(out, x, offset, c->channels);
    irn_tensor plain = irn_tensor_view(scratch, out->images, c->channels, c->height, c->width);
    IRN_TRY(irn_tensor_pack(&plain, x, offset, c->channels));
    return irn_squeeze(&plain, out);
}

irn_status irn_flow_input(const irn_model *model, cl_mem x, size_t offset,
                          const irn_tensor *scratch, const irn_tensor *out)
{
    IRN_TRY(irn_flow_pack(model, x, offset, scratch, out));
    return irn_logit_apply(model, out);
}

irn_status irn_flow_unpack(const irn_model *model, const irn_tensor *first,
                           const irn_tensor *scratch, cl_mem x, size_t offset)
{
    const irn_model_config *c = &model->config;
    if (!c->init_squeeze)
        return irn_tensor_unpack(first, x, offset, c->channels);
    irn_tensor plain = irn_tensor_view(scratch, first->images, c->channels, c->height, c->width);
    IRN_TRY(irn_unsqueeze(first, &plain));
    return irn_tensor_unpack(&plain, x, offset, c->channels);
}

/* The workspace's flow tensor that `now` is not in, with a shape. */
static irn_tensor other_flow(const irn_workspace *workspace, const irn_tensor *now, size_t channels,
                             size_t height, size_t width)
{
    const irn_tensor *other = &workspace->flow[now->memory == workspace->flow[0].memory];
    return irn_tensor_view(other, now->images, channels, height, width);
}

/* now becomes out = x + g(x), with the inputs of the layers for the visitor. */
static irn_status visit_block(const irn_model *model, size_t index, const irn_visitor *visitor,
                              const irn_tensor *now, const irn_tensor *out)
{
    const irn_block *block = &model->blocks[index];
    irn_tensor inputs[IRN_MAX_LAYERS];
    for (size_t i = 0; i < model->config.layers; i++)
        inputs[i] = irn_layer_input(block, i, &visitor->memory[i], now->images);
    IRN_TRY(irn_block_residual(model, &model->single, block, now, inputs, now, out));
    return visitor->visit(visitor->payload, index, inputs, now->images);
}

/* *now, before the block's squeeze, becomes the block's output. */
static irn_status forward_block(irn_model *model, const irn_workspace *workspace, size_t index,
                                const irn_visitor *visitor, irn_tensor *now)
{
    const irn_block *block = &model->blocks[index];
    irn_tensor inputs[IRN_MAX_LAYERS];
    if (block->squeeze) {
        irn_tensor next = other_flow(workspace, now, block->channels, block->height, block->width);
        IRN_TRY(irn_squeeze(now, &next));
        *now = next;
    }
    if (!model->actnorm_ready)
        IRN_TRY(irn_block_initialise(model, block, now));
    IRN_TRY(irn_block_normalise(model, &model->single, block, now));
    /* A single layer would read what it overwrites. */
    irn_tensor out = *now;
    if (model->config.layers == 1)
        out = other_flow(workspace, now, block->channels, block->height, block->width);
    irn_workspace_inputs(workspace, block, now->images, inputs);
    IRN_TRY(visitor ? visit_block(model, index, visitor, now, &out)
                    : irn_block_apply(model, block, now, inputs, now, &out));
    *now = out;
    return IRN_OK;
}

/* From what the first block takes, in the workspace's first flow tensor. */
static irn_status forward_blocks(irn_model *model, irn_workspace *workspace, irn_tensor now,
                                 const irn_visitor *visitor, irn_latents *z)
{
    size_t scale = 0;
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        IRN_TRY(forward_block(model, workspace, b, visitor, &now));
        if (!block->split)
            continue;
        irn_tensor rest = other_flow(workspace, &now, irn_split_rest(block), now.height, now.width);
        z->parts[scale] = irn_latent_view(model, &workspace->early.parts[scale], scale, now.images);
        IRN_TRY(irn_part_leave(&now, &z->parts[scale++], &rest));
        now = rest;
    }
    z->parts[scale] = now;
    return IRN_OK;
}

irn_status irn_flow_visit(irn_model *model, irn_workspace *workspace, cl_mem x, size_t offset,
                          size_t images, const irn_visitor *visitor, irn_latents *z)
{
    irn_tensor first =
        irn_tensor_view(&workspace->flow[0], images, model->channels, model->height, model->width);
    IRN_TRY(irn_model_prepare(model));
    IRN_TRY(irn_flow_input(model, x, offset, &workspace->flow[1], &first));
    return irn_initialisation_end(model, forward_blocks(model, workspace, first, visitor, z));
}

irn_status irn_flow_forward(irn_model *model, irn_workspace *workspace, cl_mem x, size_t offset,
                            size_t images, irn_latents *z)
{
    return irn_flow_visit(model, workspace, x, offset, images, NULL, z);
}
