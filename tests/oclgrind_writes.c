/* Oclgrind 21.10 forgets which bytes of a buffer are initialised when the host fills it, or writes
 * or copies to a part of it. Preloaded before Oclgrind, this fills by writing, and writes and
 * copies by a kernel, whose stores Oclgrind follows. For tests of one thread; it gives no memory
 * back, because Oclgrind remembers freed buffers too. */
#define _GNU_SOURCE
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

typedef cl_int write_function(cl_command_queue, cl_mem, cl_bool, size_t, size_t, const void *,
                              cl_uint, const cl_event *, cl_event *);
typedef cl_int copy_function(cl_command_queue, cl_mem, cl_mem, size_t, size_t, size_t, cl_uint,
                             const cl_event *, cl_event *);

static const char *const source =
    "__kernel void host_copy(__global const uchar *from, ulong from_offset, __global uchar *to,\n"
    "                        ulong to_offset)\n"
    "{\n"
    "    size_t i = get_global_id(0);\n"
    "    to[to_offset + i] = from[from_offset + i];\n"
    "}\n";

static cl_int build(cl_context context, cl_kernel *out)
{
    cl_int result;
    cl_program program =
        clCreateProgramWithSource(context, 1, (const char **)&source, NULL, &result);
    if (result == CL_SUCCESS)
        result = clBuildProgram(program, 0, NULL, "-cl-opt-disable", NULL, NULL);
    if (result == CL_SUCCESS)
        *out = clCreateKernel(program, "host_copy", &result);
    return result;
}

/* Done when it returns. */
static cl_int copy(cl_command_queue queue, cl_mem from, cl_ulong from_offset, cl_mem to,
                   cl_ulong to_offset, size_t size)
{
    cl_context context;
    cl_kernel kernel;
    cl_int result = clGetMemObjectInfo(to, CL_MEM_CONTEXT, sizeof context, &context, NULL);
    if (result == CL_SUCCESS)
        result = build(context, &kernel);
    if (result != CL_SUCCESS)
        return result;
    clSetKernelArg(kernel, 0, sizeof from, &from);
    clSetKernelArg(kernel, 1, sizeof from_offset, &from_offset);
    clSetKernelArg(kernel, 2, sizeof to, &to);
    clSetKernelArg(kernel, 3, sizeof to_offset, &to_offset);
    result = clEnqueueNDRangeKernel(queue, kernel, 1, NULL, &size, NULL, 0, NULL, NULL);
    clFinish(queue);
    clReleaseKernel(kernel);
    return result;
}

cl_int clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to, size_t from_offset,
                           size_t to_offset, size_t size, cl_uint wait_count, const cl_event *wait,
                           cl_event *event)
{
    copy_function *real;
    void *symbol = dlsym(RTLD_NEXT, "clEnqueueCopyBuffer");
    memcpy(&real, &symbol, sizeof real);
    if (size == 0 || event)
        return real(queue, from, to, from_offset, to_offset, size, wait_count, wait, event);
    return copy(queue, from, from_offset, to, to_offset, size);
}

cl_int clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer, cl_bool blocking, size_t offset,
                            size_t size, const void *data, cl_uint wait_count, const cl_event *wait,
                            cl_event *event)
{
    write_function *real;
    void *symbol = dlsym(RTLD_NEXT, "clEnqueueWriteBuffer");
    memcpy(&real, &symbol, sizeof real);
    size_t whole = 0;
    clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof whole, &whole, NULL);
    if (size == whole || size == 0 || event)
        return real(queue, buffer, blocking, offset, size, data, wait_count, wait, event);
    cl_context context;
    cl_int result = clGetMemObjectInfo(buffer, CL_MEM_CONTEXT, sizeof context, &context, NULL);
    if (result != CL_SUCCESS)
        return result;
    cl_mem staging = clCreateBuffer(context, CL_MEM_READ_WRITE, size, NULL, &result);
    if (result != CL_SUCCESS)
        return result;
    result = real(queue, staging, CL_TRUE, 0, size, data, wait_count, wait, NULL);
    if (result == CL_SUCCESS)
        result = copy(queue, staging, 0, buffer, offset, size);

    return result;
}

cl_int clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer, const void *pattern,
                           size_t pattern_size, size_t offset, size_t size, cl_uint wait_count,
                           const cl_event *wait, cl_event *event)
{
    unsigned char *bytes = malloc(size > 0 ? size : 1);
    if (!bytes)
        return CL_OUT_OF_HOST_MEMORY;
    for (size_t i = 0; i < size; i += pattern_size)
        memcpy(bytes + i, pattern, pattern_size);
    cl_int result =
        clEnqueueWriteBuffer(queue, buffer, CL_TRUE, offset, size, bytes, wait_count, wait, event);
    free(bytes);
    return result;
}

cl_int clReleaseMemObject(cl_mem buffer)
{
    (void)buffer;
    return CL_SUCCESS;
}
