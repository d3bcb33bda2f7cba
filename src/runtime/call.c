#include "runtime/runtime.h"

#include <limits.h>
#include <string.h>

static void set(irn_call *call, size_t size, const void *value)
{
    if (call->status != IRN_OK)
        return;
    cl_int code = clSetKernelArg(call->kernel, call->index, size, value);
    if (code != CL_SUCCESS)
        call->status = irn_fail(IRN_ERROR_DEVICE, "argument %u of kernel %s: %s",
                                (unsigned)call->index, call->name, irn_cl_error_name(code));
    call->index++;
}

irn_call irn_call_begin(irn_context *context, const char *sources, const char *options,
                        const char *name)
{
    irn_call call = {.context = context, .name = name};
    call.status = irn_kernel(context, sources, options, name, &call.kernel);
    return call;
}

void irn_call_memory(irn_call *call, cl_mem memory, size_t offset)
{
    set(call, sizeof(cl_mem), memory ? &memory : NULL);
    irn_call_ulong(call, offset);
}

void irn_call_int(irn_call *call, size_t value)
{
    if (value > INT_MAX && call->status == IRN_OK)
        call->status = irn_fail(IRN_ERROR_UNSUPPORTED, "kernel %s: %zu is beyond the limit %d",
                                call->name, value, INT_MAX);
    cl_int small = (cl_int)value;
    set(call, sizeof small, &small);
}

void irn_call_uint(irn_call *call, uint32_t value)
{
    cl_uint word = value;
    set(call, sizeof word, &word);
}

void irn_call_ulong(irn_call *call, uint64_t value)
{
    cl_ulong wide = value;
    set(call, sizeof wide, &wide);
}

void irn_call_float(irn_call *call, float value)
{
    set(call, sizeof value, &value);
}

void irn_call_real(irn_call *call, bool is_double, double value)
{
    if (is_double)
        set(call, sizeof value, &value);
    else
        irn_call_float(call, (float)value);
}

void irn_launches_add(irn_launches *launches, const char *name)
{
    for (size_t i = 0; i < launches->count; i++)
        if (strcmp(launches->names[i], name) == 0)
            return;
    if (launches->count < IRN_MOST_LAUNCHES)
        launches->names[launches->count++] = name;
}

irn_status irn_call_run(irn_call *call, size_t global0, size_t global1, size_t global2,
                        size_t local)
{
    if (call->status != IRN_OK)
        return call->status;
    size_t groups = local ? (global0 + local - 1) / local : 0;
    size_t global[3] = {local ? groups * local : global0, global1, global2};
    size_t group[3] = {local, 1, 1}, first[3] = {0, call->first1, 0};
    if (!global[0] || !global[1] || !global[2])
        return IRN_OK;
    if (call->context->launches)
        irn_launches_add(call->context->launches, call->name);
    cl_int code = clEnqueueNDRangeKernel(call->context->queue, call->kernel, 3, first, global,
                                         local ? group : NULL, 0, NULL, NULL);
    if (code == CL_MEM_OBJECT_ALLOCATION_FAILURE || code == CL_OUT_OF_RESOURCES ||
        code == CL_OUT_OF_HOST_MEMORY)
        return irn_fail(IRN_ERROR_MEMORY, "%s ran out of memory in kernel %s (%s), %llu bytes held",
                        call->context->info.name, call->name, irn_cl_error_name(code),
                        (unsigned long long)call->context->memory);
    if (code != CL_SUCCESS)
        return irn_fail(IRN_ERROR_DEVICE, "kernel %s on %s: %s", call->name,
                        call->context->info.name, irn_cl_error_name(code));
    return IRN_OK;
}
