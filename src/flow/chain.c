#include "flow/chain.h"
#include "flow/workspace.h"
#include "ops/application.h"
#include "ops/narrow.h"
#include "ops/pointwise.h"
#include "ops/winograd.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* chain.clh, chain_series.cl */
enum { WORDS = 12, SERIES_LAYERS = 4, SERIES_FIRST = 1, SERIES_NEUMANN = 2, SERIES_ADD = 4 };
enum { POINTWISE, WINOGRAD, NARROW };

static bool is_pointwise(const irn_context *context, const irn_layer *layer)
{
    return irn_pointwise_suits(context, &layer->conv, layer->height, layer->width, IRN_SINGLE);
}

static bool can_chain(const irn_model *model, const irn_block *block)
{
    for (size_t i = 0; i < model->config.layers; i++) {
        const irn_layer *layer = &block->layers[i];
        if (!layer->winograd && !is_pointwise(model->context, layer))
            return false;
    }
    return true;
}

/* How a layer or, with `back`, its transpose is applied. */
static cl_ulong form(const irn_context *context, const irn_layer *layer, bool back)
{
    size_t outputs = back ? layer->conv.inputs : layer->conv.outputs;
    if (irn_narrow_suits(context, &layer->conv, outputs, layer->width))
        return NARROW;
    return layer->winograd ? WINOGRAD : POINTWISE;
}

/* The activation behind the last layer is the one before the first, in the next step. */
static void describe(const irn_model *model, const irn_block *block, size_t i,
                     cl_ulong words[WORDS])
{
    const irn_context *context = model->context;
    const irn_layer *layer = &block->layers[i];
    size_t next = (i + 1) % model->config.layers;
    size_t weights = irn_parameter(model, layer->weight).offset;
    words[0] = form(context, layer, false);
    words[1] = form(context, layer, true);
    words[2] = words[0] == WINOGRAD ? layer->winograd_offset : weights;
    words[3] = words[1] == WINOGRAD ? layer->winograd_offset : weights;
    words[4] = irn_state(model, layer->scale).offset;
    words[5] = irn_parameter(model, layer->bias).offset;
    words[6] = irn_block_beta(model, model->single.parameters, block, next).offset;
    words[7] = irn_channel_blocks(context, layer->conv.inputs);
    words[8] = irn_channel_blocks(context, layer->conv.outputs);
    words[9] = irn_application_last(context, layer->conv.inputs);
    words[10] = irn_application_last(context, layer->conv.outputs);
    words[11] = layer->conv.kernel_height;
}

/* A thread takes its images few at a time, so that they stay in its cache, but as many as give a
 * layer's weights, which may not, enough to do. */
static size_t images_at_a_time(const irn_block *block)
{
    enum { TILES = 32 };
    size_t tiles = ((block->height + 3) / 4) * ((block->width + 3) / 4);
    return (TILES + tiles - 1) / tiles;
}

/* A series keeps many tensors of each image, but reads no weights as often. */
static size_t series_images_at_a_time(const irn_block *block)
{
    enum { TILES = 16 };
    size_t tiles = ((block->height + 3) / 4) * ((block->width + 3) / 4);
    return (TILES + tiles - 1) / tiles;
}

/* Elements of a work-item's two hidden activations each, and of its slot. */
static void scratch_sizes(const irn_model *model, const irn_block *block, size_t *hidden,
                          size_t *slot)
{
    const irn_context *context = model->context;
    size_t blocks = 0, transforms = 0;
    for (size_t i = 0; i < model->config.layers; i++) {
        const irn_layer *layer = &block->layers[i];
        size_t outputs = irn_channel_blocks(context, layer->conv.outputs);
        if (i + 1 < model->config.layers)
            blocks = outputs > blocks ? outputs : blocks;
        if (layer->winograd) {
            size_t need = irn_winograd_slot(context, &layer->conv, layer->width);
            irn_conv back = layer->conv;
            back.inputs = layer->conv.outputs;
            back.outputs = layer->conv.inputs;
            need = irn_larger(need, irn_winograd_slot(context, &back, layer->width));
            transforms = need > transforms ? need : transforms;
        }
        transforms = irn_larger(transforms, irn_narrow_slot(context, &layer->conv, layer->width));
    }
    *hidden = blocks * context->tuning.channel_block * block->height * block->width *
              images_at_a_time(block);
    *slot = 2 * *hidden + transforms;
}

static irn_status write_table(irn_model *model)
{
    size_t layers = model->config.layers, count = model->block_count * layers * WORDS;
    cl_ulong *words;
    cl_mem table = NULL;
    IRN_TRY(irn_alloc(&words, count, sizeof *words));
    for (size_t k = 0; k < model->block_count * layers; k++)
        describe(model, &model->blocks[k / layers], k % layers, words + k * WORDS);
    irn_status status = irn_memory_create(model->context, &table, count, sizeof *words, false);
    if (status == IRN_OK)
        status = irn_memory_write(model->context, table, 0, words, count * sizeof *words);
    if (status == IRN_OK) /* it is written once and never looked at again */
        status = irn_finish(model->context);
    free(words);
    if (status == IRN_OK)
        model->chain_table = table;
    else
        irn_memory_release(model->context, table);
    return status;
}

/* A larger slot would not stay in a cache, which is what chaining is for. */
static bool fits(size_t slot)
{
    return slot <= ((size_t)2 << 20) / sizeof(float);
}

/* Chaining is faster, and nothing else: without memory for it blocks go through layer by layer, for
 * good, as the one may round where the other does not. */
static irn_status take_memory(irn_model *model, size_t scratch)
{
    char sentence[1024]; /* of the last failure, which this is not */
    snprintf(sentence, sizeof sentence, "%s", irn_last_error());
    /* A failure of what was queued before would look like one of this. */
    irn_status status = irn_finish(model->context);
    if (status != IRN_OK)
        return status;
    if (!model->chain_scratch)
        status =
            irn_memory_create(model->context, &model->chain_scratch, scratch, sizeof(float), true);
    if (status == IRN_OK)
        status = write_table(model);
    if (status != IRN_ERROR_MEMORY)
        return status;
    model->chain_refused = true;
    irn_memory_release(model->context, model->chain_scratch);
    model->chain_scratch = NULL;
    irn_log(model->context, "%s; blocks go through layer by layer", irn_last_error());
    irn_set_error("%s", sentence);
    return IRN_OK;
}

irn_status irn_chain_prepare(irn_model *model)
{
    size_t most = 0;
    bool any = false;
    /* Batches that never are large enough are not worth a slot for each work-item. */
    if (model->chain_table || model->chain_refused ||
        irn_model_chunk(model, SIZE_MAX) < irn_cpu_items(model->context))
        return IRN_OK;
    for (size_t b = 0; b < model->block_count; b++) {
        irn_block *block = &model->blocks[b];
        size_t hidden, slot;
        scratch_sizes(model, block, &hidden, &slot);
        block->chained = can_chain(model, block) && fits(slot);
        if (block->chained)
            most = slot > most ? slot : most;
        any = any || block->chained;
    }
    return any ? take_memory(model, irn_cpu_items(model->context) * most + 1) : IRN_OK;
}

void irn_chain_free(irn_model *model)
{
    irn_memory_release(model->context, model->chain_table);
    irn_memory_release(model->context, model->chain_scratch);
}

bool irn_chain_suits(const irn_model *model, const irn_block *block, size_t images)
{
    return model->chain_table && block->chained && images >= irn_cpu_items(model->context);
}

static irn_status check_sizes(const irn_block *block, size_t layers, const irn_tensor *input)
{
    for (size_t i = 0; i < layers; i++) {
        irn_tensor hidden = irn_layer_input(block, i, input, input->images);
        IRN_TRY(irn_application_check(input, &hidden));
    }
    return IRN_OK;
}

irn_status irn_chain_apply(const irn_model *model, const irn_block *block, const irn_tensor *input,
                           const irn_epilogue *last, size_t steps, const irn_tensor *out)
{
    irn_context *context = model->context;
    size_t layers = model->config.layers, hidden, slot;
    const irn_tensor *residual = last->minuend ? last->minuend : last->residual;
    irn_epilogue epilogue = *last;
    char options[IRN_APPLICATION_OPTIONS];
    IRN_TRY(check_sizes(block, layers, input));
    scratch_sizes(model, block, &hidden, &slot);
    epilogue.scale = (irn_place){model->single.state, 0};
    epilogue.bias = (irn_place){model->single.parameters, 0};
    irn_application_options(options, context, IRN_SINGLE, model->config.activation);
    irn_tensor before = irn_layer_input(block, layers - 1, input, input->images);
    size_t last_flags =
        irn_application_flags(&block->layers[layers - 1].conv, &epilogue, &before, out);
    irn_call call = irn_call_begin(
        context,
        "common.clh activation.clh epilogue.clh product.clh "
        "layers.clh winograd.clh winograd.cl pointwise.cl narrow.cl chain.clh chain.cl",
        options, "chain_apply");
    irn_call_memory(&call, input->memory, input->offset);
    irn_call_memory(&call, model->single.parameters, 0);
    irn_call_memory(&call, model->winograd, 0);
    irn_call_memory(&call, model->single.state, 0);
    irn_call_memory(&call, model->chain_table, (size_t)(block - model->blocks) * layers * WORDS);
    irn_call_memory(&call, residual ? residual->memory : NULL, residual ? residual->offset : 0);
    irn_call_memory(&call, out->memory, out->offset);
    irn_call_memory(&call, model->chain_scratch, 0);
    irn_call_int(&call, slot);
    irn_call_int(&call, hidden);
    irn_call_int(&call, layers);
    irn_call_int(&call, input->images);
    irn_call_int(&call, input->height);
    irn_call_int(&call, input->width);
    irn_call_int(&call, images_at_a_time(block));
    irn_call_int(&call, irn_winograd_group(context));
    irn_call_int(&call, steps);
    irn_call_int(&call, last_flags);
    return irn_call_run(&call, irn_cpu_items(context), 1, 1, 1);
}

bool irn_chain_series_suits(const irn_model *model, const irn_block *block, size_t images)
{
    return model->config.layers <= SERIES_LAYERS && !irn_saves_input(model->config.activation) &&
           irn_chain_suits(model, block, images);
}

/* CHAIN_LAYERS of them, absent where the block has none. */
static void layer_arguments(irn_call *call, const irn_model *model, const irn_block *block,
                            const irn_tensor *tensors)
{
    for (size_t i = 0; i < SERIES_LAYERS; i++) {
        bool there = i < model->config.layers && (i > 0 || block->first_activation);
        irn_call_memory(call, there ? tensors[i].memory : NULL, there ? tensors[i].offset : 0);
    }
}

static void series_arguments(irn_call *call, const irn_model *model, const irn_block *block,
                             const irn_chain_streams *s)
{
    const irn_tensor *ends[4] = {&s->w, &s->t, &s->next, &s->a};
    size_t layers = model->config.layers;
    for (size_t i = 0; i < 4; i++)
        irn_call_memory(call, ends[i]->memory, ends[i]->offset);
    layer_arguments(call, model, block, s->tangents);
    layer_arguments(call, model, block, s->cotangents);
    layer_arguments(call, model, block, s->second);
    layer_arguments(call, model, block, s->inputs);
    irn_call_memory(call, s->seed->memory, s->seed->offset);
    irn_call_memory(call, s->probe->memory, s->probe->offset);
    irn_call_memory(call, s->values.memory, s->values.offset);
    irn_call_memory(call, model->single.parameters, 0);
    irn_call_memory(call, model->transposed, 0);
    irn_call_memory(call, model->winograd, 0);
    irn_call_memory(call, model->winograd_transposed, 0);
    irn_call_memory(call, model->single.state, 0);
    irn_call_memory(call, model->chain_table, (size_t)(block - model->blocks) * layers * WORDS);
    irn_call_memory(call, s->coefficients, 0);
    irn_call_memory(call, model->chain_scratch, 0);
}

irn_status irn_chain_series(const irn_model *model, const irn_block *block,
                            const irn_chain_streams *s)
{
    irn_context *context = model->context;
    size_t hidden, slot, terms = s->neumann ? 1 : s->terms;
    char options[IRN_APPLICATION_OPTIONS + 32];
    IRN_TRY(check_sizes(block, model->config.layers, &s->w));
    scratch_sizes(model, block, &hidden, &slot);
    irn_application_options(options, context, IRN_SINGLE, model->config.activation);
    snprintf(options + strlen(options), 32, " -DTERMS=%zu", terms);
    irn_call call = irn_call_begin(
        context,
        "common.clh activation.clh epilogue.clh product.clh group.clh "
        "layers.clh winograd.clh winograd.cl pointwise.cl narrow.cl chain.clh logdet.clh "
        "chain_series.cl",
        options, "chain_series");
    series_arguments(&call, model, block, s);
    irn_call_int(&call, slot);
    irn_call_int(&call, model->config.layers);
    irn_call_int(&call, s->w.images);
    irn_call_int(&call, block->height);
    irn_call_int(&call, block->width);
    irn_call_int(&call, series_images_at_a_time(block));
    irn_call_int(&call, irn_winograd_group(context));
    irn_call_int(&call, s->slot);
    irn_call_int(&call, s->terms);
    irn_call_int(&call, model->config.padding == IRN_PAD_CIRCULAR ? IRN_CONV_WRAP : 0);
    irn_call_int(&call, (size_t)((block->first_activation ? SERIES_FIRST : 0) |
                                 (s->neumann ? SERIES_NEUMANN : 0) | (s->add ? SERIES_ADD : 0)));
    return irn_call_run(&call, irn_cpu_items(context), 1, 1, 1);
}
