/* Which batches fit the device. What a batch takes is counted by making its memory without taking
 * any; what the device gives, its limits say, or what it gave before it refused. */
#include "train/trainer.h"

#include <stdio.h>

/* Of a batch of so many images. */
static irn_status count_memory(irn_trainer *trainer, size_t images, irn_memory_need *need)
{
    irn_context *context = trainer->model->context;
    *need = (irn_memory_need){0, 0};
    irn_trainer_release_batch(trainer);
    context->need = need;
    irn_status status = irn_trainer_reserve(trainer, images);
    irn_trainer_release_batch(trainer);
    context->need = NULL;
    return status;
}

static bool fits(irn_trainer *trainer, size_t images, uint64_t bytes)
{
    irn_memory_need need;
    return count_memory(trainer, images, &need) == IRN_OK && need.bytes <= bytes &&
           need.largest <= trainer->model->context->info.max_allocation;
}

/* The most images, fewer than so many, that take at most so many bytes; 0: none do. */
static size_t most_below(irn_trainer *trainer, size_t images, uint64_t bytes)
{
    size_t low = 0, high = images;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (fits(trainer, middle, bytes))
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* The most images, fewer than so many, for which the device has given the memory, and been given it
 * back. At first it is asked for so many bytes at most. */
static size_t find_fitting(irn_trainer *trainer, size_t images, uint64_t bytes)
{
    irn_context *context = trainer->model->context;
    for (size_t n = images; (n = most_below(trainer, n, bytes)) > 0; bytes /= 2) {
        bool given = irn_trainer_reserve(trainer, n) == IRN_OK && irn_finish(context) == IRN_OK;
        irn_trainer_release_batch(trainer);
        if (given)
            return n;
    }
    return 0;
}

/* Adds to a sentence that `images` at a time do not fit, but `fitting` do. */
static void explain(irn_trainer *trainer, const char *sentence, size_t images, size_t fitting)
{
    size_t parts = trainer->parts, batch = images * parts;
    irn_memory_need all, less;
    if (count_memory(trainer, images, &all) != IRN_OK ||
        count_memory(trainer, irn_larger(fitting, 1), &less) != IRN_OK)
        irn_set_error("%s", sentence);
    else if (fitting == 0)
        irn_set_error("%s; even %zu at a time, which takes %llu bytes, does not fit", sentence,
                      (size_t)1, (unsigned long long)less.bytes);
    else
        irn_set_error("%s; a batch of %zu takes %llu bytes, one of %zu would fit (%llu bytes), and "
                      "so would this one if it is accumulated in %zu parts",
                      sentence, batch, (unsigned long long)all.bytes, fitting * parts,
                      (unsigned long long)less.bytes, (batch + fitting - 1) / fitting);
}

/* Parts of a batch have the same gradient for a density, but not classifiers' batch statistics and
 * actnorm's first values, which are of the whole batch. */
static bool divisible(const irn_trainer *trainer)
{
    return trainer->options.task == IRN_DENSITY && trainer->model->actnorm_ready;
}

static irn_status divide(irn_trainer *trainer, size_t images, size_t fitting)
{
    irn_model *model = trainer->model;
    size_t parts = (images + fitting - 1) / fitting;
    irn_log(model->context, "%s; batches of %zu go through in %zu parts", irn_last_error(), images,
            parts);
    IRN_TRY(irn_trainer_reserve(trainer, (images + parts - 1) / parts));
    trainer->parts = parts;
    return IRN_OK;
}

irn_status irn_trainer_make_room(irn_trainer *trainer, size_t images)
{
    irn_model *model = trainer->model;
    char before[1024], sentence[1024];
    size_t share = (images + trainer->parts - 1) / trainer->parts;
    if (share <= trainer->capacity)
        return IRN_OK;
    /* What was queued before and failed since then would look like a batch that is too large. */
    IRN_TRY(irn_finish(model->context));
    snprintf(before, sizeof before, "%s", irn_last_error());
    irn_status status = irn_trainer_reserve(trainer, share);
    if (status != IRN_ERROR_MEMORY)
        return status;
    uint64_t given = trainer->given;
    snprintf(sentence, sizeof sentence, "%s", irn_last_error());
    bool parts = divisible(trainer) &&
                 (trainer->accumulated ||
                  irn_arena_create_buffer(&model->parameters, &trainer->accumulated) == IRN_OK);
    uint64_t left = model->context->info.global_memory - model->context->memory;
    /* What the limits allow, the device has refused: about as much as it gave, then. */
    irn_memory_need need;
    if (fits(trainer, share, left) && count_memory(trainer, share, &need) == IRN_OK)
        left = given > need.bytes / 2 ? given : need.bytes / 2;
    size_t fitting = find_fitting(trainer, share, left);
    irn_set_error("%s", sentence);
    if (parts && fitting > 0)
        status = divide(trainer, images, fitting);
    if (status == IRN_OK)
        irn_set_error("%s", before);
    else
        explain(trainer, sentence, share, fitting);
    return status;
}

void irn_trainer_explain_memory(irn_trainer *trainer)
{
    char sentence[1024];
    size_t images = trainer->capacity;
    irn_memory_need need;
    snprintf(sentence, sizeof sentence, "%s", irn_last_error());
    if (images == 0)
        return;
    /* The device held all of the batch and could do nothing with it. */
    if (irn_finish(trainer->model->context) == IRN_OK &&
        count_memory(trainer, images, &need) == IRN_OK)
        explain(trainer, sentence, images, find_fitting(trainer, images, need.bytes / 2));
    else
        irn_set_error("%s", sentence);
}
