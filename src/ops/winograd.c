#include "ops/winograd.h"
#include "ops/application.h"

#include <limits.h>

/* winograd.cl */
enum { TILE = 4, POINTS = 36 };

const char irn_winograd_sources[] =
    "common.clh activation.clh epilogue.clh product.clh layers.clh winograd.clh winograd.cl "
    "winograd_gradient.cl";

static irn_call begin(irn_context *context, const irn_conv *conv, const char *kernel)
{
    char options[IRN_APPLICATION_OPTIONS];
    irn_application_options(options, context, IRN_SINGLE, conv->activation);
    return irn_call_begin(context, irn_winograd_sources, options, kernel);
}

static size_t ceil_divide(size_t a, size_t b)
{
    return (a + b - 1) / b;
}

static size_t tiles_of(size_t images, size_t height, size_t width)
{
    return images * ceil_divide(height, TILE) * ceil_divide(width, TILE);
}

/* The shapes are measured with PoCL on Zen 4. With more than 2/3 of the tiles' outputs off the map
 * the weight gradient is slower than the direct one, and then the rest gains little. */
bool irn_winograd_suits(const irn_context *context, const irn_conv *conv, size_t height,
                        size_t width)
{
    return !context->info.is_simt && context->tuning.work_group == 1 && conv->kernel_height == 3 &&
           conv->kernel_width == 3 &&
           height * width * 3 >= tiles_of(1, height, width) * (TILE * TILE) &&
           irn_winograd_weights(context, conv) < INT_MAX / 2;
}

size_t irn_winograd_weights(const irn_context *context, const irn_conv *conv)
{
    size_t block = context->tuning.channel_block;
    return irn_channel_blocks(context, conv->outputs) * irn_channel_blocks(context, conv->inputs) *
           POINTS * block * block;
}

static irn_status transform(irn_context *context, const irn_conv *conv, irn_place weights,
                            size_t inputs, size_t outputs, irn_place transformed)
{
    irn_call call = begin(context, conv, "winograd_transform_weights");
    irn_call_memory(&call, weights.memory, weights.offset);
    irn_call_memory(&call, transformed.memory, transformed.offset);
    irn_call_int(&call, irn_channel_blocks(context, outputs));
    irn_call_int(&call, irn_channel_blocks(context, inputs));
    return irn_call_run(&call, irn_cpu_items(context), 1, 1, 1);
}

irn_status irn_winograd_transform(irn_context *context, const irn_conv *conv, irn_place weights,
                                  irn_place transformed)
{
    return transform(context, conv, weights, conv->inputs, conv->outputs, transformed);
}

irn_status irn_winograd_transform_transposed(irn_context *context, const irn_conv *conv,
                                             irn_place transposed, irn_place transformed)
{
    return transform(context, conv, transposed, conv->outputs, conv->inputs, transformed);
}

/* How a kernel's work is divided: along dimension 0 the tiles, along dimension 1 the blocks of
 * outputs. Neither changes the results of forward and backward. */
typedef struct division {
    size_t items, parts;
    size_t group; /* tiles at a time */
    size_t slot;  /* elements of scratch each */
} division;

/* Elements of the transforms of a group of tiles in so many blocks of channels. */
static size_t transformed_size(const irn_context *context, size_t group, size_t blocks)
{
    return POINTS * (group * blocks + 1) * context->tuning.channel_block;
}

/* Where tiles are few, as for single images, blocks of outputs keep all units busy. */
static division divide_apply(const irn_context *context, size_t inputs, size_t outputs,
                             size_t tiles, size_t width)
{
    const irn_tuning *t = &context->tuning;
    size_t units = irn_cpu_items(context);
    division d = {.group = irn_winograd_group(context)};
    d.items = irn_smaller(units, ceil_divide(tiles, t->tile_float));
    d.parts = irn_smaller(units / d.items,
                          ceil_divide(irn_channel_blocks(context, outputs), t->output_blocks));
    d.slot = width * t->channel_block +
             transformed_size(context, d.group, irn_channel_blocks(context, inputs)) +
             transformed_size(context, d.group, t->output_blocks);
    return d;
}

/* A work-item needs many tiles to make up for its partial sums, which are as large as the
 * transformed weights; where there are not so many for each unit, blocks of outputs are divided
 * too. Where there are more, several work-items a unit also keep the sums' errors small. The groups
 * are as large as the cache beside the sums allows. */
static division divide_gradient(const irn_context *context, const irn_conv *conv, size_t tiles,
                                size_t width)
{
    enum { ENOUGH_TILES = 512, MANY_BLOCKS = 32 };
    const irn_tuning *t = &context->tuning;
    tiles = irn_larger(tiles, 1); /* without any, one work-item stores zeros */
    size_t in = irn_channel_blocks(context, conv->inputs);
    size_t out = irn_channel_blocks(context, conv->outputs);
    size_t units = context->info.compute_units, most = ceil_divide(out, t->output_blocks);
    division d = {.group = (size_t)t->tile_float * (in + out > MANY_BLOCKS ? 8 : 4)};
    d.items = irn_larger(tiles / ENOUGH_TILES, ceil_divide(units, most));
    d.items = irn_smaller(d.items, irn_smaller(units * 4, ceil_divide(tiles, t->tile_float)));
    d.parts = irn_smaller(most, ceil_divide(units, d.items));
    d.slot = width * t->channel_block + transformed_size(context, d.group, in) +
             transformed_size(context, d.group, out);
    return d;
}

size_t irn_winograd_group(const irn_context *context)
{
    return (size_t)context->tuning.tile_float * 2;
}

size_t irn_winograd_slot(const irn_context *context, const irn_conv *conv, size_t width)
{
    return divide_apply(context, conv->inputs, conv->outputs, 1, width).slot;
}

size_t irn_winograd_scratch(const irn_context *context, const irn_conv *conv, size_t width)
{
    size_t channels = irn_larger(conv->inputs, conv->outputs);
    division d = divide_apply(context, channels, channels, SIZE_MAX / 2, width);
    return d.items * d.parts * d.slot;
}

/* The arguments that both large kernels end with. */
static void add_shape(irn_call *call, const division *d, const irn_tensor *x, const irn_tensor *y,
                      cl_mem scratch)
{
    irn_call_memory(call, scratch, 0);
    irn_call_int(call, d->slot);
    irn_call_int(call, x->images);
    irn_call_int(call, irn_channel_blocks(x->context, x->channels));
    irn_call_int(call, irn_channel_blocks(x->context, y->channels));
    irn_call_int(call, x->height);
    irn_call_int(call, x->width);
    irn_call_int(call, d->group);
}

/* Pad 1 on both sides is its own mirror image, so W and W^T are applied alike. */
static irn_status apply(const irn_conv *conv, irn_place transformed, const irn_tensor *x,
                        const irn_epilogue *e, const irn_tensor *y, cl_mem scratch)
{
    irn_context *context = x->context;
    IRN_TRY(irn_application_check(x, y));
    size_t tiles = tiles_of(x->images, x->height, x->width);
    if (tiles == 0)
        return IRN_OK;
    division d = divide_apply(context, x->channels, y->channels, tiles, x->width);
    irn_call call = begin(context, conv, "winograd_apply");
    irn_application_arguments(&call, x, transformed, e, y);
    add_shape(&call, &d, x, y, scratch);
    irn_call_int(&call, irn_application_flags(conv, e, x, y));
    return irn_call_run(&call, d.items, d.parts, 1, 1);
}

irn_status irn_winograd_forward(const irn_conv *conv, irn_place transformed, const irn_tensor *x,
                                const irn_epilogue *epilogue, const irn_tensor *y, cl_mem scratch)
{
    return apply(conv, transformed, x, epilogue, y, scratch);
}

irn_status irn_winograd_backward(const irn_conv *conv, irn_place transformed, const irn_tensor *y,
                                 const irn_epilogue *epilogue, const irn_tensor *x, cl_mem scratch)
{
    return apply(conv, transformed, y, epilogue, x, scratch);
}

static size_t biases_of(const irn_context *context, const irn_conv *conv)
{
    return irn_channel_blocks(context, conv->outputs) * context->tuning.channel_block;
}

size_t irn_winograd_gradient_scratch(const irn_context *context, const irn_conv *conv,
                                     size_t images, size_t height, size_t width)
{
    size_t partial = irn_winograd_weights(context, conv) + biases_of(context, conv), most = 0;
    /* Fewer images may need more, for outputs are then divided further: room for any number up to
     * it. */
    for (size_t n = 0; n <= images; n++) {
        division d = divide_gradient(context, conv, tiles_of(n, height, width), width);
        most = irn_larger(most, d.items * (partial + d.parts * d.slot));
    }
    return most;
}

static irn_status reduce(const irn_conv *conv, irn_context *context, cl_mem scratch,
                         irn_place weights, irn_place bias, size_t items)
{
    irn_call call = begin(context, conv, "winograd_reduce_gradient");
    irn_call_memory(&call, scratch, 0);
    irn_call_int(&call, items);
    irn_call_memory(&call, weights.memory, weights.offset);
    irn_call_memory(&call, bias.memory, bias.offset);
    irn_call_int(&call, irn_channel_blocks(context, conv->inputs));
    irn_call_int(&call, irn_channel_blocks(context, conv->outputs));
    irn_call_int(&call, conv->inputs);
    irn_call_int(&call, conv->outputs);
    irn_call_int(&call, bias.memory ? biases_of(context, conv) : 0);
    return irn_call_run(&call, irn_cpu_items(context), 1, 1, 1);
}

irn_status irn_winograd_weight_gradient(const irn_conv *conv, const irn_tensor *x,
                                        const irn_tensor *y, irn_place weights, irn_place bias,
                                        cl_mem scratch)
{
    irn_context *context = x->context;
    IRN_TRY(irn_application_check(x, y));
    division d = divide_gradient(context, conv, tiles_of(x->images, x->height, x->width), x->width);
    irn_call call = begin(context, conv, "winograd_weight_gradient");
    irn_call_memory(&call, x->memory, x->offset);
    irn_call_memory(&call, y->memory, y->offset);
    add_shape(&call, &d, x, y, scratch);
    irn_call_int(&call, x->channels);
    irn_call_int(&call, y->channels);
    irn_call_int(&call, conv->padding == IRN_PAD_CIRCULAR ? IRN_CONV_WRAP : 0);
    IRN_TRY(irn_call_run(&call, d.items, d.parts, 1, 1));
    return reduce(conv, context, scratch, weights, bias, d.items);
}
