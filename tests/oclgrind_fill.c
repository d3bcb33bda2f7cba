/* Oclgrind 21.10 takes memory that clEnqueueFillBuffer() has filled for uninitialised. Preloaded
 * before Oclgrind, this fills by writing instead. */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>

#include <stdlib.h>
#include <string.h>

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
