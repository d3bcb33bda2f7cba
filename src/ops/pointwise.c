#include "ops/pointwise.h"
#include "ops/application.h"

#include <stdio.h>

static unsigned tile(const irn_context *context, irn_precision precision)
{
    return precision == IRN_DOUBLE ? context->tuning.tile_double : context->tuning.tile_float;
}

bool irn_pointwise_suits(const irn_context *context, const irn_conv *conv, size_t height,
                         size_t width, irn_precision precision)
{
    return !context->info.is_simt && context->tuning.work_group == 1 && conv->kernel_height == 1 &&
           conv->kernel_width == 1 && height * width >= tile(context, precision);
}

irn_status irn_pointwise_apply(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                               const irn_epilogue *epilogue, const irn_tensor *y)
{
    irn_context *context = x->context;
    unsigned pixels = tile(context, x->precision);
    char options[128];
    IRN_TRY(irn_application_check(x, y));
    snprintf(options, sizeof options, "%s -DACT=%d -DT=%u -DOCB=%u",
             irn_precision_options(x->precision), (int)conv->activation, pixels,
             context->tuning.output_blocks);
    irn_call call =
        irn_call_begin(context, "common.clh activation.clh epilogue.clh product.clh pointwise.cl",
                       options, "pointwise_apply");
    irn_application_arguments(&call, x, weights, epilogue, y);
    irn_call_int(&call, x->images);
    irn_call_int(&call, irn_channel_blocks(context, x->channels));
    irn_call_int(&call, irn_channel_blocks(context, y->channels));
    irn_call_int(&call, x->height * x->width);
    irn_call_int(&call, irn_application_flags(conv, epilogue, y));
    /* A few work-items a compute unit even out what else the machine does. */
    return irn_call_run(&call, (size_t)context->info.compute_units * 4, 1, 1, 1);
}
