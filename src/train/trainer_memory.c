#include "train/trainer.h"
#include "ops/elementwise.h"

#include <stdlib.h>
#include <string.h>

/* What does not depend on the size of a batch. */
irn_status irn_trainer_allocate(irn_trainer *trainer)
{
    const irn_model *model = trainer->model;
    irn_context *context = model->context;
    size_t channels = 0;
    for (size_t b = 0; b < model->block_count; b++)
        if (model->blocks[b].channels > channels)
            channels = model->blocks[b].channels;
    IRN_TRY(irn_arena_create_buffer(&model->parameters, &trainer->parameter_gradient));
    IRN_TRY(irn_arena_create_buffer(&model->parameters, &trainer->sigma_gradient));
    IRN_TRY(irn_arena_create_buffer(&model->parameters, &trainer->moments[0]));
    if (trainer->options.accumulate > 1)
        IRN_TRY(irn_arena_create_buffer(&model->parameters, &trainer->accumulated));
    if (trainer->options.average_decay > 0)
        IRN_TRY(irn_arena_create_buffer(&model->parameters, &trainer->average));
    if (trainer->options.optimizer != IRN_SGD)
        IRN_TRY(irn_arena_create_buffer(&model->parameters, &trainer->moments[1]));
    IRN_TRY(irn_memory_create(context, &trainer->dots, irn_model_layer_count(model), sizeof(float),
                              true));
    IRN_TRY(irn_memory_create(context, &trainer->sums, irn_channel_scratch(context, channels),
                              sizeof(float), true));
    IRN_TRY(irn_memory_create(context, &trainer->metrics, 1, sizeof(irn_metrics), true));
    IRN_TRY(irn_memory_create(context, &trainer->density_metrics, 1, sizeof(irn_density_metrics),
                              true));
    if (trainer->options.task != IRN_CLASSIFY)
        IRN_TRY(irn_density_create(&trainer->density, trainer->model, &trainer->options));
    return irn_finish(context); /* what is zeroed here counts on it */
}

void irn_trainer_release_batch(irn_trainer *trainer)
{
    irn_context *context = trainer->model->context;
    for (size_t b = 0; trainer->tape && b < trainer->model->block_count; b++) {
        irn_tensor_free(&trainer->tape[b].z);
        for (size_t i = 0; i < IRN_MAX_LAYERS; i++)
            irn_tensor_free(&trainer->tape[b].inputs[i]);
    }
    free(trainer->tape);
    trainer->tape = NULL;
    irn_tensor_free(&trainer->top);
    for (size_t i = 0; i < 2; i++) {
        irn_upload_slot *slot = &trainer->slots[i];
        irn_tensor_free(&trainer->gradient[i]);
        if (slot->done) {
            clWaitForEvents(1, &slot->done);
            clReleaseEvent(slot->done);
        }
        free(slot->x);
        free(slot->labels);
        memset(slot, 0, sizeof *slot);
    }
    for (size_t i = 0; i < IRN_MAX_LAYERS; i++)
        irn_tensor_free(&trainer->cotangents[i]);
    irn_head_memory_free(&trainer->head);
    irn_latents_free(&trainer->early);
    irn_density_release_batch(&trainer->density);
    irn_memory_release(context, trainer->x);
    irn_memory_release(context, trainer->labels);
    irn_memory_release(context, trainer->partials);
    trainer->x = trainer->labels = trainer->partials = NULL;
    trainer->capacity = 0;
}

void irn_trainer_release(irn_trainer *trainer)
{
    irn_context *context = trainer->model->context;
    irn_trainer_release_batch(trainer);
    irn_memory_release(context, trainer->parameter_gradient);
    irn_memory_release(context, trainer->sigma_gradient);
    irn_memory_release(context, trainer->accumulated);
    irn_memory_release(context, trainer->average);
    irn_memory_release(context, trainer->state);
    irn_memory_release(context, trainer->moments[0]);
    irn_memory_release(context, trainer->moments[1]);
    irn_memory_release(context, trainer->dots);
    irn_memory_release(context, trainer->sums);
    irn_memory_release(context, trainer->metrics);
    irn_memory_release(context, trainer->density_metrics);
    irn_density_free(&trainer->density);
}

static irn_status create_tape(irn_trainer *trainer, size_t images)
{
    const irn_model *model = trainer->model;
    IRN_TRY(irn_alloc(&trainer->tape, model->block_count, sizeof *trainer->tape));
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        irn_tape_block *tape = &trainer->tape[b];
        IRN_TRY(irn_tensor_create(&tape->z, model->context, IRN_SINGLE, images, block->channels,
                                  block->height, block->width));
        for (size_t i = block->first_activation ? 0 : 1; i < model->config.layers; i++)
            IRN_TRY(irn_tensor_create(&tape->inputs[i], model->context, IRN_SINGLE,
                                      irn_input_images(model, images), block->layers[i].conv.inputs,
                                      block->height, block->width));
    }
    const irn_block *last = &model->blocks[model->block_count - 1];
    return irn_tensor_create(&trainer->top, model->context, IRN_SINGLE, images, last->channels,
                             last->height, last->width);
}

/* Scratch for the weight gradient of whichever layer needs most. */
static size_t largest_partials(const irn_trainer *trainer, size_t images)
{
    const irn_model *model = trainer->model;
    irn_context *context = model->context;
    size_t most = images, pairs = 0; /* gradients of betas take a float each */
    if (model->config.classes)
        most =
            irn_larger(most, irn_conv_gradient_scratch(context, &model->head.dense, images, 1, 1));
    if (trainer->options.task != IRN_CLASSIFY)
        pairs = irn_density_pairs(model, &trainer->options);
    for (size_t b = 0; b < model->block_count; b++)
        for (size_t i = 0; i < model->config.layers; i++) {
            const irn_layer *layer = &model->blocks[b].layers[i];
            size_t batch = irn_layer_partials(model, layer, images * irn_larger(pairs, 1));
            most = irn_larger(most, batch);
        }
    return most;
}

static irn_status create_batch(irn_trainer *trainer, size_t images)
{
    const irn_model *model = trainer->model;
    const irn_model_config *c = &model->config;
    irn_context *context = model->context;
    size_t pixels = c->channels * c->height * c->width;
    IRN_TRY(create_tape(trainer, images));
    for (size_t i = 0; i < 2; i++) {
        IRN_TRY(irn_flat_create(&trainer->gradient[i], context, IRN_SINGLE, images,
                                irn_largest_flow(model)));
        IRN_TRY(irn_alloc(&trainer->slots[i].x, images * pixels, sizeof(float)));
        IRN_TRY(irn_alloc(&trainer->slots[i].labels, images, sizeof(int)));
    }
    for (size_t i = 1; i < c->layers; i++)
        IRN_TRY(irn_flat_create(&trainer->cotangents[i], context, IRN_SINGLE, images,
                                irn_largest_input(model, i)));
    IRN_TRY(irn_latents_create(&trainer->early, model, IRN_SINGLE, images));
    IRN_TRY(irn_head_memory_create(&trainer->head, model, images));
    if (trainer->options.task != IRN_CLASSIFY)
        IRN_TRY(irn_density_reserve(&trainer->density, images));
    IRN_TRY(irn_memory_create(context, &trainer->x, images * pixels, sizeof(float), true));
    IRN_TRY(irn_memory_create(context, &trainer->labels, images, sizeof(int), true));
    return irn_memory_create(context, &trainer->partials, largest_partials(trainer, images),
                             sizeof(float), true);
}

irn_status irn_trainer_reserve(irn_trainer *trainer, size_t images)
{
    if (images <= trainer->capacity)
        return IRN_OK;
    irn_context *context = trainer->model->context;
    IRN_TRY(irn_finish(context));
    irn_trainer_release_batch(trainer);
    uint64_t before = context->memory;
    irn_status status = create_batch(trainer, images);
    trainer->given = context->memory - before;
    if (status != IRN_OK)
        irn_trainer_release_batch(trainer);
    else
        trainer->capacity = images;
    return status;
}
