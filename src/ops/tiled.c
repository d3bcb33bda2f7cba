#include "ops/tiled.h"
#include "ops/application.h"

#include <stdio.h>

static const char apply_sources[] = "common.clh activation.clh epilogue.clh conv_tiled.cl";
static const char gradient_sources[] =
    "common.clh activation.clh epilogue.clh conv_tiled_gradient.cl";

bool irn_tiled_suits(const irn_context *context, size_t outputs)
{
    /* Of a tile's blocks few outputs would leave most unused, and conv.cl's own kernel has
     * output_blocks to do at a time. */
    return context->tuning.tiles[IRN_TILE_APPLY].size[0] > 0 &&
           irn_channel_blocks(context, outputs) > context->tuning.output_blocks;
}

bool irn_tiled_gradient_suits(const irn_context *context)
{
    return context->tuning.tiles[IRN_TILE_GRADIENT].size[0] > 0;
}

/* ---- choosing a tile ---- */

static size_t ceil_divide(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

/* Time of work-groups that each compute `area` sums and read `loads` blocks of 4 floats for each
 * sum from local memory, which hold up the 16 multiply-adds of a sum by a tenth each or so: what
 * matters is that larger tiles read less. At least one work-group a unit: fewer leave units idle.
 */
static double cost(const irn_context *context, size_t groups, size_t area, double loads)
{
    groups = irn_larger(groups, context->info.compute_units);
    return (double)groups * (double)area * (1 + 0.1 * loads);
}

static double apply_cost(const irn_context *context, const irn_tile *tile, size_t pixels,
                         size_t blocks)
{
    const unsigned *t = tile->size; /* GROUP, GP, GB, GK */
    size_t height = (size_t)t[1] * t[2];
    size_t groups = ceil_divide(pixels, t[0]) * ceil_divide(blocks, height);
    return cost(context, groups, t[0] * height, 1.0 / t[2] + 4.0 / t[1]);
}

static double gradient_cost(const irn_context *context, const irn_tile *tile, size_t quads,
                            size_t blocks)
{
    const unsigned *t = tile->size; /* NQ, NO, GQ, GO */
    size_t width = (size_t)t[0] * t[2], height = (size_t)t[1] * t[3];
    size_t groups = ceil_divide(quads, width) * ceil_divide(blocks, height);
    /* Pixels are divided until all units are busy. */
    groups *= context->info.compute_units;
    return cost(context, groups, width * height, 1.0 / t[2] + 1.0 / t[3]);
}

/* The tile that takes less time for the shape. */
static irn_tile choose_tile(const irn_context *context, const irn_tensor *y)
{
    const irn_tile *tiles = context->tuning.tiles;
    size_t pixels = y->images * y->height * y->width;
    size_t blocks = irn_channel_blocks(context, y->channels);
    if (y->precision == IRN_DOUBLE)
        return tiles[IRN_TILE_APPLY_DOUBLE];
    bool narrow = apply_cost(context, &tiles[IRN_TILE_APPLY_NARROW], pixels, blocks) <
                  apply_cost(context, &tiles[IRN_TILE_APPLY], pixels, blocks);
    return tiles[narrow ? IRN_TILE_APPLY_NARROW : IRN_TILE_APPLY];
}

static size_t quads_of(const irn_context *context, const irn_conv *conv)
{
    return irn_channel_blocks(context, conv->inputs) * conv->kernel_height * conv->kernel_width;
}

static irn_tile choose_gradient_tile(const irn_context *context, const irn_conv *conv)
{
    const irn_tile *tiles = context->tuning.tiles;
    size_t quads = quads_of(context, conv), blocks = irn_channel_blocks(context, conv->outputs);
    bool narrow = gradient_cost(context, &tiles[IRN_TILE_GRADIENT_NARROW], quads, blocks) <
                  gradient_cost(context, &tiles[IRN_TILE_GRADIENT], quads, blocks);
    return tiles[narrow ? IRN_TILE_GRADIENT_NARROW : IRN_TILE_GRADIENT];
}

/* ---- y = W x ---- */

irn_status irn_tiled_apply(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                           const irn_epilogue *epilogue, const irn_tensor *y, size_t pad_y,
                           size_t pad_x)
{
    irn_context *context = x->context;
    irn_tile tile = choose_tile(context, y);
    const unsigned *t = tile.size;
    char options[IRN_APPLICATION_OPTIONS];
    IRN_TRY(irn_application_check(x, y));
    snprintf(options, sizeof options, "%s -DACT=%d -DGROUP=%u -DGP=%u -DGB=%u -DGK=%u",
             irn_precision_options(x->precision), (int)conv->activation, t[0], t[1], t[2], t[3]);
    irn_call call = irn_call_begin(context, apply_sources, options, "conv_tiled");
    irn_application_arguments(&call, x, weights, epilogue, y);
    irn_call_int(&call, x->images);
    irn_call_int(&call, irn_channel_blocks(context, x->channels));
    irn_call_int(&call, irn_channel_blocks(context, y->channels));
    irn_call_int(&call, x->height);
    irn_call_int(&call, x->width);
    irn_call_int(&call, conv->kernel_height);
    irn_call_int(&call, conv->kernel_width);
    irn_call_int(&call, pad_y);
    irn_call_int(&call, pad_x);
    irn_call_int(&call, irn_application_flags(conv, epilogue, x, y));
    size_t height = (size_t)t[1] * t[2];
    return irn_call_run(&call, x->images * x->height * x->width,
                        ceil_divide(irn_channel_blocks(context, y->channels), height), 1, t[0]);
}

/* ---- the weight gradient ---- */

static size_t gradient_groups(const irn_context *context, const irn_conv *conv,
                              const irn_tile *tile)
{
    const unsigned *t = tile->size;
    return ceil_divide(quads_of(context, conv), (size_t)t[0] * t[2]) *
           ceil_divide(irn_channel_blocks(context, conv->outputs), (size_t)t[1] * t[3]);
}

/* Enough for ITEMS work-items a unit, and for short chains of sums; but no more than make the
 * partial sums as large as x and y together, and no parts of less than LEAST pixels. */
size_t irn_tiled_splits(const irn_context *context, const irn_conv *conv, size_t pixels)
{
    enum { ITEMS = 512, LEAST = 64, LONGEST = 4096 };
    irn_tile tile = choose_gradient_tile(context, conv);
    size_t group = (size_t)tile.size[0] * tile.size[1];
    size_t channels =
        (irn_channel_blocks(context, conv->inputs) + irn_channel_blocks(context, conv->outputs)) *
        context->tuning.channel_block;
    size_t busy = ceil_divide(context->info.compute_units * (size_t)ITEMS,
                              group * gradient_groups(context, conv, &tile));
    size_t most = irn_larger(pixels * channels / irn_conv_weights(context, conv), busy);
    size_t splits = irn_smaller(irn_larger(busy, ceil_divide(pixels, LONGEST)), most);
    splits = irn_smaller(splits, irn_larger(pixels / LEAST, 1));
    /* No more than NVIDIA's drivers take in a dimension other than the first. */
    return irn_smaller(splits, 65535);
}

static irn_call begin_gradient(irn_context *context, const irn_tile *tile, const char *kernel)
{
    const unsigned *t = tile->size;
    char options[IRN_APPLICATION_OPTIONS];
    snprintf(options, sizeof options, "%s -DACT=0 -DNQ=%u -DNO=%u -DGQ=%u -DGO=%u -DKP=%d",
             irn_precision_options(IRN_SINGLE), t[0], t[1], t[2], t[3], IRN_TILE_STEP);
    return irn_call_begin(context, gradient_sources, options, kernel);
}

static irn_status sum_biases(const irn_conv *conv, const irn_tile *tile, const irn_tensor *y,
                             cl_mem scratch, size_t splits)
{
    irn_context *context = y->context;
    size_t blocks = irn_channel_blocks(context, conv->outputs);
    irn_call call = begin_gradient(context, tile, "conv_tiled_bias");
    irn_call_memory(&call, y->memory, y->offset);
    irn_call_memory(&call, scratch, splits * irn_conv_weights(context, conv));
    irn_call_int(&call, y->images);
    irn_call_int(&call, blocks);
    irn_call_int(&call, y->height * y->width);
    irn_call_int(&call, splits);
    size_t group = (size_t)tile->size[0] * tile->size[1];
    return irn_call_run(&call, group, blocks, splits, group);
}

irn_status irn_tiled_gradient(const irn_conv *conv, const irn_tensor *x, const irn_tensor *y,
                              bool biases, cl_mem scratch, size_t splits)
{
    irn_context *context = x->context;
    irn_tile tile = choose_gradient_tile(context, conv);
    const unsigned *t = tile.size;
    size_t blocks = irn_channel_blocks(context, conv->outputs);
    size_t group = (size_t)t[0] * t[1];
    IRN_TRY(irn_application_check(x, y));
    irn_call call = begin_gradient(context, &tile, "conv_tiled_gradient");
    irn_call_memory(&call, x->memory, x->offset);
    irn_call_memory(&call, y->memory, y->offset);
    irn_call_memory(&call, scratch, 0);
    irn_call_int(&call, x->images);
    irn_call_int(&call, irn_channel_blocks(context, conv->inputs));
    irn_call_int(&call, blocks);
    irn_call_int(&call, x->height);
    irn_call_int(&call, x->width);
    irn_call_int(&call, conv->kernel_height);
    irn_call_int(&call, conv->kernel_width);
    irn_call_int(&call, (conv->kernel_height - 1) / 2);
    irn_call_int(&call, (conv->kernel_width - 1) / 2);
    irn_call_int(&call, splits);
    irn_call_int(&call, conv->padding == IRN_PAD_CIRCULAR ? IRN_CONV_WRAP : 0);
    IRN_TRY(irn_call_run(&call, group * ceil_divide(quads_of(context, conv), (size_t)t[0] * t[2]),
                         ceil_divide(blocks, (size_t)t[1] * t[3]), splits, group));
    return biases ? sum_biases(conv, &tile, y, scratch, splits) : IRN_OK;
}
