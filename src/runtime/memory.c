#include "runtime/runtime.h"

static irn_status too_large(const irn_context *context, size_t count, size_t size)
{
    return irn_fail(
        IRN_ERROR_MEMORY,
        "%s cannot hold %zu items of %zu bytes: its largest allocation is %llu bytes, "
        "%llu of %llu bytes are in use",
        context->info.name, count, size, (unsigned long long)context->info.max_allocation,
        (unsigned long long)context->memory, (unsigned long long)context->info.global_memory);
}

irn_status irn_memory_create(irn_context *context, cl_mem *out, size_t count, size_t size,
                             bool zero)
{
    size_t bytes, sizes[2] = {count ? count : 1, size};
    *out = NULL;
    if (!irn_product(&bytes, sizes, 2) || bytes > context->info.max_allocation ||
        context->memory + bytes > context->info.global_memory)
        return too_large(context, count, size);
    cl_int code;
    cl_mem memory = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code != CL_SUCCESS)
        return too_large(context, count, size);
    /* Drivers allocate when a buffer is first used: the write finds out that memory is short. */
    if (zero && irn_memory_zero(context, memory, 0, bytes) != IRN_OK) {
        clReleaseMemObject(memory);
        return too_large(context, count, size);
    }
    context->memory += bytes;
    if (context->memory > context->peak_memory)
        context->peak_memory = context->memory;
    *out = memory;
    return IRN_OK;
}

void irn_memory_release(irn_context *context, cl_mem memory)
{
    if (!memory)
        return;
    size_t bytes = 0;
    if (clGetMemObjectInfo(memory, CL_MEM_SIZE, sizeof bytes, &bytes, NULL) == CL_SUCCESS)
        context->memory -= bytes;
    clReleaseMemObject(memory);
}

irn_status irn_memory_write(irn_context *context, cl_mem memory, size_t offset, const void *data,
                            size_t size)
{
    return irn_cl_check(
        clEnqueueWriteBuffer(context->queue, memory, CL_TRUE, offset, size, data, 0, NULL, NULL),
        "writing to device memory");
}

irn_status irn_memory_read(irn_context *context, cl_mem memory, size_t offset, void *data,
                           size_t size)
{
    return irn_cl_check(
        clEnqueueReadBuffer(context->queue, memory, CL_TRUE, offset, size, data, 0, NULL, NULL),
        "reading device memory");
}

irn_status irn_memory_zero(irn_context *context, cl_mem memory, size_t offset, size_t size)
{
    const cl_uchar nothing = 0;
    return irn_cl_check(clEnqueueFillBuffer(context->queue, memory, &nothing, sizeof nothing,
                                            offset, size, 0, NULL, NULL),
                        "zeroing device memory");
}

irn_status irn_memory_copy(irn_context *context, cl_mem from, size_t from_offset, cl_mem to,
                           size_t to_offset, size_t size)
{
    return irn_cl_check(
        clEnqueueCopyBuffer(context->queue, from, to, from_offset, to_offset, size, 0, NULL, NULL),
        "copying device memory");
}

irn_status irn_finish(irn_context *context)
{
    return irn_cl_check(clFinish(context->queue), "waiting for the device");
}
