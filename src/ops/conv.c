#include "ops/application.h"
#include "ops/pointwise.h"
#include "ops/tiled.h"
#include "tensor/arena.h"

static const char sources[] = "common.clh activation.clh epilogue.clh conv.clh conv.cl";

irn_status irn_conv_check(const irn_context *context, const irn_conv *conv)
{
    size_t block = context->tuning.channel_block, count;
    const size_t sizes[] = {irn_channel_blocks(context, conv->outputs),
                            irn_channel_blocks(context, conv->inputs),
                            conv->kernel_height,
                            conv->kernel_width,
                            block,
                            block};
    if (!irn_product(&count, sizes, 6) || count > IRN_MOST_WEIGHTS)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "a kernel of %zu x %zu x %zu x %zu is beyond the limit of %d weights",
                        conv->outputs, conv->inputs, conv->kernel_height, conv->kernel_width,
                        IRN_MOST_WEIGHTS);
    if (count == 0)
        return irn_fail(IRN_ERROR_ARGUMENT, "a kernel of %zu x %zu x %zu x %zu has no weights",
                        conv->outputs, conv->inputs, conv->kernel_height, conv->kernel_width);
    return IRN_OK;
}

size_t irn_conv_weights(const irn_context *context, const irn_conv *conv)
{
    size_t block = context->tuning.channel_block;
    return irn_channel_blocks(context, conv->outputs) * irn_channel_blocks(context, conv->inputs) *
           conv->kernel_height * conv->kernel_width * block * block;
}

typedef struct application {
    const irn_conv *conv;
    irn_place weights;
    const irn_tensor *x, *y;
    const irn_epilogue *epilogue;
    size_t pad_y, pad_x;
} application;

/* `groups` groups of output blocks, of as many blocks as the kernel does at a time, from
 * first_group on. */
static irn_status launch(const application *a, const char *kernel, size_t pixels,
                         size_t first_group, size_t groups)
{
    irn_context *context = a->x->context;
    char options[IRN_APPLICATION_OPTIONS];
    irn_application_options(options, context, a->x->precision, a->conv->activation);
    irn_call call = irn_call_begin(context, sources, options, kernel);
    irn_application_arguments(&call, a->x, a->weights, a->epilogue, a->y);
    irn_call_int(&call, a->x->images);
    irn_call_int(&call, irn_channel_blocks(context, a->x->channels));
    irn_call_int(&call, irn_channel_blocks(context, a->y->channels));
    irn_call_int(&call, a->x->height);
    irn_call_int(&call, a->x->width);
    irn_call_int(&call, a->conv->kernel_height);
    irn_call_int(&call, a->conv->kernel_width);
    irn_call_int(&call, a->pad_y);
    irn_call_int(&call, a->pad_x);
    irn_call_int(&call, irn_application_flags(a->conv, a->epilogue, a->x, a->y));
    call.first1 = first_group;
    size_t all = a->x->images * a->x->height * a->x->width;
    return irn_call_run(&call, (all + pixels - 1) / pixels, groups, 1, context->tuning.work_group);
}

/* Output blocks go in groups of tuning.output_blocks; what is left over one by one. */
static irn_status apply(const application *a)
{
    irn_context *context = a->x->context;
    if (irn_pointwise_suits(context, a->conv, a->x->height, a->x->width, a->x->precision))
        return irn_pointwise_apply(a->conv, a->weights, a->x, a->epilogue, a->y);
    if (irn_tiled_suits(context, a->y->channels))
        return irn_tiled_apply(a->conv, a->weights, a->x, a->epilogue, a->y, a->pad_y, a->pad_x);
    IRN_TRY(irn_application_check(a->x, a->y));
    size_t blocks = irn_channel_blocks(context, a->y->channels);
    size_t group = context->tuning.output_blocks,
           pixels = irn_application_tile(context, a->x->precision);
    if (blocks >= group)
        IRN_TRY(launch(a, "conv_apply", pixels, 0, blocks / group));
    if (blocks % group)
        IRN_TRY(launch(a, "conv_apply_1", pixels, blocks - blocks % group, blocks % group));
    return IRN_OK;
}

irn_status irn_conv_forward(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                            const irn_epilogue *epilogue, const irn_tensor *y)
{
    application a = {
        conv, weights, x, y, epilogue, (conv->kernel_height - 1) / 2, (conv->kernel_width - 1) / 2};
    return apply(&a);
}

irn_status irn_conv_backward(const irn_conv *conv, irn_place transposed, const irn_tensor *y,
                             const irn_epilogue *epilogue, const irn_tensor *x)
{
    /* Taps are reversed, so what was behind the pixel is in front of it: k-1 - (k-1)/2 = k/2. */
    application a = {
        conv, transposed, y, x, epilogue, conv->kernel_height / 2, conv->kernel_width / 2};
    return apply(&a);
}

irn_status irn_conv_transpose(irn_context *context, const irn_conv *conv, irn_place weights,
                              irn_place transposed)
{
    char options[IRN_APPLICATION_OPTIONS];
    irn_application_options(options, context, IRN_SINGLE, conv->activation);
    irn_call call = irn_call_begin(context, sources, options, "conv_transpose_weights");
    irn_call_memory(&call, weights.memory, weights.offset);
    irn_call_memory(&call, transposed.memory, transposed.offset);
    irn_call_int(&call, irn_channel_blocks(context, conv->outputs));
    irn_call_int(&call, irn_channel_blocks(context, conv->inputs));
    irn_call_int(&call, conv->kernel_height * conv->kernel_width);
    size_t items = irn_conv_weights(context, conv) / context->tuning.channel_block;
    return irn_call_run(&call, context->info.is_simt ? items : 64, 1, 1,
                        context->tuning.work_group);
}

/* Work-items of the weight gradient beside its splits. */
static size_t gradient_items(const irn_context *context, const irn_conv *conv)
{
    const irn_tuning *t = &context->tuning;
    size_t out = irn_channel_blocks(context, conv->outputs);
    return conv->kernel_height * conv->kernel_width * (t->channel_block / t->gradient_inputs) *
           irn_channel_blocks(context, conv->inputs) *
           ((out + t->gradient_blocks - 1) / t->gradient_blocks);
}

/* Into how many parts the pixels are divided: enough to keep every compute unit busy and each
 * part's images in its cache, but no more than pays for adding the parts up. Measured on PoCL; the
 * GPU's number is sized for occupancy. */
static size_t gradient_splits(const irn_context *context, const irn_conv *conv, size_t images,
                              size_t height, size_t width)
{
    size_t pixels = images * height * width, items = gradient_items(context, conv);
    if (irn_tiled_gradient_suits(context))
        return irn_tiled_splits(context, conv, pixels);
    size_t channels =
        (irn_channel_blocks(context, conv->inputs) + irn_channel_blocks(context, conv->outputs)) *
        context->tuning.channel_block;
    size_t wanted = (size_t)context->info.compute_units * (context->info.is_simt ? 2048 : 16);
    size_t busy = (wanted + items - 1) / items;
    size_t cached = pixels * context->tuning.channel_block * sizeof(float) / (256 << 10) + 1;
    size_t most = pixels * channels / irn_conv_weights(context, conv);
    size_t splits = cached > busy ? cached : busy;
    most = most > busy ? most : busy;
    splits = splits < most ? splits : most;
    /* No more than NVIDIA's drivers take in a dimension other than the first. */
    splits = splits < 65535 ? splits : 65535;
    return splits < pixels ? splits : pixels;
}

size_t irn_conv_gradient_scratch(irn_context *context, const irn_conv *conv, size_t images,
                                 size_t height, size_t width)
{
    size_t biases = irn_channel_blocks(context, conv->outputs) * context->tuning.channel_block;
    return gradient_splits(context, conv, images, height, width) *
           (irn_conv_weights(context, conv) + biases);
}

static irn_status reduce_partials(const irn_conv *conv, irn_context *context, cl_mem scratch,
                                  irn_place weights, irn_place bias, size_t splits)
{
    char options[IRN_APPLICATION_OPTIONS];
    size_t count = irn_conv_weights(context, conv);
    size_t biases = irn_channel_blocks(context, conv->outputs) * context->tuning.channel_block;
    irn_application_options(options, context, IRN_SINGLE, conv->activation);
    irn_call call = irn_call_begin(context, sources, options, "conv_reduce_partials");
    irn_call_memory(&call, scratch, 0);
    irn_call_memory(&call, weights.memory, weights.offset);
    irn_call_memory(&call, bias.memory, bias.offset);
    irn_call_int(&call, count);
    irn_call_int(&call, bias.memory ? biases : 0);
    irn_call_int(&call, splits);
    return irn_call_run(&call, context->info.is_simt ? count / context->tuning.channel_block : 64,
                        1, 1, context->tuning.work_group);
}

/* The splits' sums of pixels, and of y for the bias. */
static irn_status direct_gradient(const irn_conv *conv, const irn_tensor *x, const irn_tensor *y,
                                  cl_mem scratch, size_t splits)
{
    irn_context *context = x->context;
    char options[IRN_APPLICATION_OPTIONS];
    IRN_TRY(irn_application_check(x, y));
    irn_application_options(options, context, IRN_SINGLE, conv->activation);
    irn_call call = irn_call_begin(context, sources, options, "conv_weight_gradient");
    irn_call_memory(&call, x->memory, x->offset);
    irn_call_memory(&call, y->memory, y->offset);
    irn_call_memory(&call, scratch, 0);
    irn_call_int(&call, x->images);
    irn_call_int(&call, irn_channel_blocks(context, x->channels));
    irn_call_int(&call, irn_channel_blocks(context, y->channels));
    irn_call_int(&call, x->height);
    irn_call_int(&call, x->width);
    irn_call_int(&call, conv->kernel_height);
    irn_call_int(&call, conv->kernel_width);
    irn_call_int(&call, (conv->kernel_height - 1) / 2);
    irn_call_int(&call, (conv->kernel_width - 1) / 2);
    irn_call_int(&call, splits);
    irn_call_int(&call, conv->padding == IRN_PAD_CIRCULAR ? IRN_CONV_WRAP : 0);
    return irn_call_run(&call, gradient_items(context, conv), splits, 1,
                        context->tuning.work_group);
}

irn_status irn_conv_weight_gradient(const irn_conv *conv, const irn_tensor *x, const irn_tensor *y,
                                    irn_place weights, irn_place bias, cl_mem scratch)
{
    irn_context *context = x->context;
    size_t splits = gradient_splits(context, conv, x->images, x->height, x->width);
    if (irn_tiled_gradient_suits(context))
        IRN_TRY(irn_tiled_gradient(conv, x, y, bias.memory != NULL, scratch, splits));
    else
        IRN_TRY(direct_gradient(conv, x, y, scratch, splits));
    return reduce_partials(conv, context, scratch, weights, bias, splits);
}
