#include "ops/application.h"

#include <limits.h>
#include <stdio.h>

/* epilogue.clh */
enum { SCALE = 1, BIAS = 2, ACTIVATE = 4, DERIVATIVE = 8, RESIDUAL = 16, SUBTRACT = 64 };
enum { PADDED_SHIFT = 8, LAST_SHIFT = 16 };

size_t irn_application_tile(const irn_context *context, irn_precision precision)
{
    return precision == IRN_DOUBLE ? context->tuning.tile_double : context->tuning.tile_float;
}

void irn_application_options(char options[IRN_APPLICATION_OPTIONS], const irn_context *context,
                             irn_precision precision, irn_activation activation)
{
    const irn_tuning *t = &context->tuning;
    snprintf(options, IRN_APPLICATION_OPTIONS, "%s -DACT=%d -DT=%zu -DOCB=%u -DGIC=%u -DGOB=%u",
             irn_precision_options(precision), (int)activation,
             irn_application_tile(context, precision), t->output_blocks, t->gradient_inputs,
             t->gradient_blocks);
}

static irn_status check_size(const irn_tensor *tensor)
{
    if (irn_tensor_size(tensor) > INT_MAX)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "a tensor of %zu images with %zu channels of %zu x %zu is beyond the "
                        "limit of %d elements: use smaller batches",
                        tensor->images, tensor->channels, tensor->height, tensor->width, INT_MAX);
    return IRN_OK;
}

irn_status irn_application_check(const irn_tensor *x, const irn_tensor *y)
{
    IRN_TRY(check_size(x));
    return check_size(y);
}

size_t irn_application_last(const irn_context *context, size_t channels)
{
    size_t block = context->tuning.channel_block, last = (channels + block - 1) % block + 1;
    return (last + 3) / 4 * 4;
}

size_t irn_application_flags(const irn_conv *conv, const irn_epilogue *e, const irn_tensor *x,
                             const irn_tensor *y)
{
    size_t block = y->context->tuning.channel_block;
    size_t padded = (block - y->channels % block) % block;
    return irn_application_last(x->context, x->channels) << LAST_SHIFT | padded << PADDED_SHIFT |
           (e->scale.memory ? SCALE : 0u) | (e->bias.memory ? BIAS : 0u) |
           (e->activate ? ACTIVATE : 0u) | (e->derivative ? DERIVATIVE : 0u) |
           (e->residual ? RESIDUAL : 0u) | (e->minuend ? SUBTRACT : 0u) |
           (conv->padding == IRN_PAD_CIRCULAR ? (unsigned)IRN_CONV_WRAP : 0u);
}

static void place(irn_call *call, irn_place place)
{
    irn_call_memory(call, place.memory, place.offset);
}

static void tensor(irn_call *call, const irn_tensor *tensor)
{
    irn_call_memory(call, tensor ? tensor->memory : NULL, tensor ? tensor->offset : 0);
}

void irn_application_arguments(irn_call *call, const irn_tensor *x, irn_place weights,
                               const irn_epilogue *e, const irn_tensor *y)
{
    tensor(call, x);
    place(call, weights);
    place(call, e->scale);
    place(call, e->bias);
    place(call, e->beta);
    tensor(call, e->derivative);
    tensor(call, e->minuend ? e->minuend : e->residual);
    tensor(call, y);
}
