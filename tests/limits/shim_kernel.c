/* Kernels and their launches. */
#include "shim_parts.h"

#include <string.h>

CL_API_ENTRY cl_kernel CL_API_CALL clCreateKernel(cl_program program, const char *name, cl_int *out)
{
    __typeof__(clCreateKernel) *real;
    memcpy(&real, shim_next("clCreateKernel"), sizeof real);
    cl_int code = shim_fault("clCreateKernel");
    if (code)
        return shim_refuse(out, code);
    cl_kernel kernel = real(program, name, &code);
    shim_made(SHIM_KERNEL, code);
    if (out)
        *out = code;
    return kernel;
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseKernel(cl_kernel kernel)
{
    __typeof__(clReleaseKernel) *real;
    memcpy(&real, shim_next("clReleaseKernel"), sizeof real);
    shim_released(SHIM_KERNEL);
    return real(kernel);
}

CL_API_ENTRY cl_int CL_API_CALL clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size,
                                               const void *value)
{
    __typeof__(clSetKernelArg) *real;
    memcpy(&real, shim_next("clSetKernelArg"), sizeof real);
    cl_int code = shim_argument_fault("clSetKernelArg");
    return code ? code : real(kernel, index, size, value);
}

CL_API_ENTRY cl_int CL_API_CALL clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device,
                                                         cl_kernel_work_group_info what,
                                                         size_t size, void *value, size_t *needed)
{
    __typeof__(clGetKernelWorkGroupInfo) *real;
    memcpy(&real, shim_next("clGetKernelWorkGroupInfo"), sizeof real);
    cl_int code = shim_fault("clGetKernelWorkGroupInfo");
    return code ? code : real(kernel, device, what, size, value, needed);
}

/* The local memory of a kernel, as the driver says it. */
static uint64_t local_memory(cl_command_queue queue, cl_kernel kernel)
{
    __typeof__(clGetCommandQueueInfo) *queue_info;
    __typeof__(clGetKernelWorkGroupInfo) *kernel_info;
    cl_device_id device = NULL;
    cl_ulong bytes = 0;
    memcpy(&queue_info, shim_next("clGetCommandQueueInfo"), sizeof queue_info);
    memcpy(&kernel_info, shim_next("clGetKernelWorkGroupInfo"), sizeof kernel_info);
    queue_info(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    kernel_info(kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    return bytes;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel,
                                                       cl_uint dimensions, const size_t *first,
                                                       const size_t *global, const size_t *local,
                                                       cl_uint wait_count, const cl_event *wait,
                                                       cl_event *event)
{
    __typeof__(clEnqueueNDRangeKernel) *real;
    memcpy(&real, shim_next("clEnqueueNDRangeKernel"), sizeof real);
    cl_int code = shim_command_fault(queue, "clEnqueueNDRangeKernel");
    uint64_t group = 1;
    for (cl_uint i = 0; local && i < dimensions; i++)
        group *= local[i];
    /* Groups of nothing are a lie that no driver can keep to. */
    if (!code && group > shim_limit(CL_DEVICE_MAX_WORK_GROUP_SIZE) && group > 1)
        code = CL_INVALID_WORK_GROUP_SIZE;
    if (!code && shim_lies_about(CL_DEVICE_LOCAL_MEM_SIZE) &&
        local_memory(queue, kernel) > shim_limit(CL_DEVICE_LOCAL_MEM_SIZE))
        code = CL_OUT_OF_RESOURCES;
    if (code)
        return code;
    if (shim_late_leaves_out(queue, "clEnqueueNDRangeKernel"))
        return shim_late_pretend(queue, event);
    code = real(queue, kernel, dimensions, first, global, local, wait_count, wait, event);
    if (event)
        shim_made(SHIM_EVENT, code);
    return code;
}
