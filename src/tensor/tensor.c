#include "tensor/tensor.h"

#include <string.h>

const char irn_general_sources[] =
    "common.clh layout.cl group.clh reduce.cl layers.clh "
    "power_gradient.cl head.cl head_tangent.cl optimizer.cl fixed_point.cl";

const char *irn_precision_options(irn_precision precision)
{
    return precision == IRN_DOUBLE ? "-DREAL=double" : "-DREAL=float";
}

size_t irn_precision_size(irn_precision precision)
{
    return precision == IRN_DOUBLE ? sizeof(double) : sizeof(float);
}

size_t irn_channel_blocks(const irn_context *context, size_t channels)
{
    size_t block = context->tuning.channel_block;
    return channels / block + (channels % block != 0);
}

size_t irn_tensor_image_size(const irn_tensor *tensor)
{
    return irn_channel_blocks(tensor->context, tensor->channels) * tensor->height * tensor->width *
           tensor->context->tuning.channel_block;
}

size_t irn_tensor_size(const irn_tensor *tensor)
{
    return tensor->images * irn_tensor_image_size(tensor);
}

size_t irn_tensor_blocks(const irn_tensor *tensor)
{
    return irn_tensor_size(tensor) / tensor->context->tuning.channel_block;
}

size_t irn_cpu_items(const irn_context *context)
{
    return (size_t)context->info.compute_units * 4;
}

size_t irn_block_items(const irn_context *context, size_t blocks)
{
    size_t items = irn_cpu_items(context);
    return context->info.is_simt || blocks < items ? blocks : items;
}

irn_status irn_tensor_create(irn_tensor *out, irn_context *context, irn_precision precision,
                             size_t images, size_t channels, size_t height, size_t width)
{
    size_t count, sizes[5] = {images, irn_channel_blocks(context, channels), height, width,
                              context->tuning.channel_block};
    memset(out, 0, sizeof *out);
    if (!irn_product(&count, sizes, 5))
        return irn_fail(IRN_ERROR_MEMORY,
                        "a tensor of %zu x %zu x %zu x %zu does not fit in memory", images,
                        channels, height, width);
    irn_tensor tensor = {context, NULL, 0, precision, images, channels, height, width};
    IRN_TRY(irn_memory_create(context, &tensor.memory, count, irn_precision_size(precision), true));
    *out = tensor;
    return IRN_OK;
}

void irn_tensor_free(irn_tensor *tensor)
{
    if (tensor->context)
        irn_memory_release(tensor->context, tensor->memory);
    memset(tensor, 0, sizeof *tensor);
}

irn_tensor irn_tensor_view(const irn_tensor *tensor, size_t images, size_t channels, size_t height,
                           size_t width)
{
    irn_tensor view = *tensor;
    view.images = images;
    view.channels = channels;
    view.height = height;
    view.width = width;
    return view;
}

irn_status irn_tensor_pack(const irn_tensor *tensor, cl_mem source, size_t offset, size_t channels)
{
    size_t row = channels * tensor->height * tensor->width;
    return irn_tensor_pack_rows(tensor, source, offset, channels, row);
}

irn_status irn_tensor_pack_rows(const irn_tensor *tensor, cl_mem source, size_t offset,
                                size_t channels, size_t row)
{
    size_t pixels = tensor->height * tensor->width;
    irn_call call = irn_call_begin(tensor->context, irn_general_sources,
                                   irn_precision_options(tensor->precision), "pack");
    irn_call_memory(&call, source, offset);
    irn_call_ulong(&call, row);
    irn_call_memory(&call, tensor->memory, tensor->offset);
    irn_call_int(&call, channels);
    irn_call_int(&call, pixels);
    return irn_call_run(&call, pixels, irn_channel_blocks(tensor->context, tensor->channels),
                        tensor->images, 0);
}

irn_status irn_tensor_unpack(const irn_tensor *tensor, cl_mem destination, size_t offset,
                             size_t channels)
{
    size_t row = channels * tensor->height * tensor->width;
    return irn_tensor_unpack_rows(tensor, destination, offset, channels, row);
}

irn_status irn_tensor_unpack_rows(const irn_tensor *tensor, cl_mem destination, size_t offset,
                                  size_t channels, size_t row)
{
    size_t pixels = tensor->height * tensor->width;
    irn_call call = irn_call_begin(tensor->context, irn_general_sources,
                                   irn_precision_options(tensor->precision), "unpack");
    irn_call_memory(&call, tensor->memory, tensor->offset);
    irn_call_memory(&call, destination, offset);
    irn_call_ulong(&call, row);
    irn_call_int(&call, irn_channel_blocks(tensor->context, tensor->channels));
    irn_call_int(&call, pixels);
    return irn_call_run(&call, pixels, channels, tensor->images, 0);
}

irn_status irn_tensor_write(const irn_tensor *tensor, const float *source, size_t channels)
{
    irn_context *context = tensor->context;
    size_t count = tensor->images * channels * tensor->height * tensor->width;
    cl_mem staging;
    IRN_TRY(irn_memory_create(context, &staging, count, sizeof(float), false));
    irn_status status = irn_memory_write(context, staging, 0, source, count * sizeof(float));
    if (status == IRN_OK)
        status = irn_tensor_pack(tensor, staging, 0, channels);
    irn_memory_release(context, staging);
    return status;
}

irn_status irn_tensor_read(const irn_tensor *tensor, float *destination, size_t channels)
{
    irn_context *context = tensor->context;
    size_t count = tensor->images * channels * tensor->height * tensor->width;
    cl_mem staging;
    IRN_TRY(irn_memory_create(context, &staging, count, sizeof(float), false));
    irn_status status = irn_tensor_unpack(tensor, staging, 0, channels);
    if (status == IRN_OK)
        status = irn_memory_read(context, staging, 0, destination, count * sizeof(float));
    irn_memory_release(context, staging);
    return status;
}

irn_status irn_tensor_copy(const irn_tensor *from, const irn_tensor *to)
{
    size_t size = irn_tensor_size(from), bytes = irn_precision_size(from->precision);
    if (from->precision == to->precision)
        return irn_memory_copy(from->context, from->memory, from->offset * bytes, to->memory,
                               to->offset * bytes, size * bytes);
    irn_call call =
        irn_call_begin(from->context, irn_general_sources, irn_precision_options(IRN_DOUBLE),
                       to->precision == IRN_DOUBLE ? "widen" : "narrow");
    irn_call_memory(&call, from->memory, from->offset);
    irn_call_memory(&call, to->memory, to->offset);
    return irn_call_run(&call, size, 1, 1, 0);
}
