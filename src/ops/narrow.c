#include "ops/narrow.h"
#include "ops/application.h"

/* narrow.cl */
enum { NARROW = 4, LEAST = 4 };

/* A 1x1 kernel would leave most of a vector unused here too. */
bool irn_narrow_suits(const irn_context *context, const irn_conv *conv, size_t outputs,
                      size_t width)
{
    return !context->info.is_simt && context->tuning.work_group == 1 && outputs <= NARROW &&
           width >= LEAST && conv->kernel_width > 1;
}

size_t irn_narrow_slot(const irn_context *context, const irn_conv *conv, size_t width)
{
    size_t block = context->tuning.channel_block, taps = block / NARROW;
    size_t groups = (conv->kernel_width + taps - 1) / taps;
    size_t inputs = irn_channel_blocks(context, irn_larger(conv->inputs, conv->outputs));
    return groups * block * (inputs * conv->kernel_height * block + width + conv->kernel_width - 1);
}

size_t irn_narrow_scratch(const irn_context *context, const irn_conv *conv, size_t width)
{
    return irn_cpu_items(context) * irn_narrow_slot(context, conv, width);
}

static irn_status apply(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                        const irn_epilogue *epilogue, const irn_tensor *y, size_t pad_y,
                        size_t pad_x, cl_mem scratch)
{
    irn_context *context = x->context;
    char options[IRN_APPLICATION_OPTIONS];
    IRN_TRY(irn_application_check(x, y));
    irn_application_options(options, context, IRN_SINGLE, conv->activation);
    irn_call call = irn_call_begin(context, "common.clh activation.clh epilogue.clh narrow.cl",
                                   options, "narrow_apply");
    irn_application_arguments(&call, x, weights, epilogue, y);
    irn_call_memory(&call, scratch, 0);
    irn_call_int(&call, irn_narrow_slot(context, conv, x->width));
    irn_call_int(&call, x->images);
    irn_call_int(&call, irn_channel_blocks(context, x->channels));
    irn_call_int(&call, x->height);
    irn_call_int(&call, x->width);
    irn_call_int(&call, conv->kernel_height);
    irn_call_int(&call, conv->kernel_width);
    irn_call_int(&call, pad_y);
    irn_call_int(&call, pad_x);
    irn_call_int(&call, irn_application_flags(conv, epilogue, x, y));
    return irn_call_run(&call, irn_cpu_items(context), 1, 1, 1);
}

irn_status irn_narrow_forward(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                              const irn_epilogue *epilogue, const irn_tensor *y, cl_mem scratch)
{
    return apply(conv, weights, x, epilogue, y, (conv->kernel_height - 1) / 2,
                 (conv->kernel_width - 1) / 2, scratch);
}

irn_status irn_narrow_backward(const irn_conv *conv, irn_place transposed, const irn_tensor *y,
                               const irn_epilogue *epilogue, const irn_tensor *x, cl_mem scratch)
{
    return apply(conv, transposed, y, epilogue, x, conv->kernel_height / 2, conv->kernel_width / 2,
                 scratch);
}
