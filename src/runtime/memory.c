#include "runtime/runtime.h"

#include <stdio.h>

/* code: what the driver says; CL_SUCCESS: it has not been asked, as its limits forbid it. */
static irn_status too_large(const irn_context *context, size_t count, size_t size, cl_int code)
{
    return irn_fail(
        IRN_ERROR_MEMORY,
        "%s cannot hold %zu items of %zu bytes%s%s: its largest allocation is %llu bytes, "
        "%llu of %llu bytes are in use",
        context->info.name, count, size, code ? ", " : "", code ? irn_cl_error_name(code) : "",
        (unsigned long long)context->info.max_allocation, (unsigned long long)context->memory,
        (unsigned long long)context->info.global_memory);
}

/* What a command with so many bytes came to. One that waits may be the first to tell of a failure
 * of what was queued before it. */
static irn_status command(const irn_context *context, cl_int code, const char *what, size_t size,
                          bool waits)
{
    char sentence[384];
    if (code == CL_SUCCESS)
        return IRN_OK;
    snprintf(sentence, sizeof sentence, "%s %zu bytes on %s%s, %llu bytes held", what, size,
             context->info.name, waits ? " or what was queued before it" : "",
             (unsigned long long)context->memory);
    return irn_cl_check(code, sentence);
}

static cl_int fill(irn_context *context, cl_mem memory, size_t offset, size_t size)
{
    const cl_uchar nothing = 0;
    return clEnqueueFillBuffer(context->queue, memory, &nothing, sizeof nothing, offset, size, 0,
                               NULL, NULL);
}

irn_status irn_memory_create(irn_context *context, cl_mem *out, size_t count, size_t size,
                             bool zero)
{
    size_t bytes, sizes[2] = {count ? count : 1, size};
    *out = NULL;
    bool countable = irn_product(&bytes, sizes, 2);
    if (countable && context->need) {
        context->need->bytes += bytes;
        context->need->largest = bytes > context->need->largest ? bytes : context->need->largest;
        return IRN_OK;
    }
    if (!countable || bytes > context->info.max_allocation ||
        bytes > context->info.global_memory - context->memory)
        return too_large(context, count, size, CL_SUCCESS);
    cl_int code;
    cl_mem memory = clCreateBuffer(context->cl, CL_MEM_READ_WRITE, bytes, NULL, &code);
    if (code != CL_SUCCESS)
        return too_large(context, count, size, code);
    /* Drivers allocate when a buffer is first used: the write finds out that memory is short. */
    code = zero ? fill(context, memory, 0, bytes) : CL_SUCCESS;
    if (code != CL_SUCCESS) {
        clReleaseMemObject(memory);
        return too_large(context, count, size, code);
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
    return command(
        context,
        clEnqueueWriteBuffer(context->queue, memory, CL_TRUE, offset, size, data, 0, NULL, NULL),
        "writing", size, true);
}

irn_status irn_memory_read(irn_context *context, cl_mem memory, size_t offset, void *data,
                           size_t size)
{
    return command(
        context,
        clEnqueueReadBuffer(context->queue, memory, CL_TRUE, offset, size, data, 0, NULL, NULL),
        "reading", size, true);
}

irn_status irn_memory_zero(irn_context *context, cl_mem memory, size_t offset, size_t size)
{
    return command(context, fill(context, memory, offset, size), "zeroing", size, false);
}

irn_status irn_memory_copy(irn_context *context, cl_mem from, size_t from_offset, cl_mem to,
                           size_t to_offset, size_t size)
{
    return command(
        context,
        clEnqueueCopyBuffer(context->queue, from, to, from_offset, to_offset, size, 0, NULL, NULL),
        "copying", size, false);
}

irn_status irn_finish(irn_context *context)
{
    return irn_cl_check(clFinish(context->queue), "waiting for the device");
}
