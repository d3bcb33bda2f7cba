#include "ops/pointwise.h"
#include "ops/application.h"

bool irn_pointwise_suits(const irn_context *context, const irn_conv *conv, size_t height,
                         size_t width, irn_precision precision)
{
    return !context->info.is_simt && context->tuning.work_group == 1 && conv->kernel_height == 1 &&
           conv->kernel_width == 1 && height * width >= irn_application_tile(context, precision);
}

irn_status irn_pointwise_apply(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                               const irn_epilogue *epilogue, const irn_tensor *y)
{
    irn_context *context = x->context;
    char options[IRN_APPLICATION_OPTIONS];
    IRN_TRY(irn_application_check(x, y));
    irn_application_options(options, context, x->precision, conv->activation);
    irn_call call =
        irn_call_begin(context, "common.clh activation.clh epilogue.clh product.clh pointwise.cl",
                       options, "pointwise_apply");
    irn_application_arguments(&call, x, weights, epilogue, y);
    irn_call_int(&call, x->images);
    irn_call_int(&call, irn_channel_blocks(context, x->channels));
    irn_call_int(&call, irn_channel_blocks(context, y->channels));
    irn_call_int(&call, x->height * x->width);
    irn_call_int(&call, irn_application_flags(conv, epilogue, x, y));
    return irn_call_run(&call, irn_cpu_items(context), 1, 1, 1);
}
