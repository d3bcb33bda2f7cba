/* Buffers, the commands that use them, and how much memory there is. */
#include "shim_parts.h"

#include <pthread.h>
#include <string.h>

enum { MOST_BUFFERS = 1024 };

static struct {
    uint64_t held, peak, capacity;
    bool lazy;
    struct buffer {
        cl_mem memory; /* NULL: a free place */
        uint64_t size;
        int references;
    } buffers[MOST_BUFFERS];
} memory = {.capacity = UINT64_MAX};
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct buffer *find_buffer(cl_mem wanted)
{
    for (size_t i = 0; i < MOST_BUFFERS; i++)
        if (memory.buffers[i].memory == wanted)
            return &memory.buffers[i];
    return NULL;
}

static void add_buffer(cl_mem made, uint64_t size)
{
    pthread_mutex_lock(&lock);
    struct buffer *place = find_buffer(NULL);
    if (place) {
        *place = (struct buffer){made, size, 1};
        memory.held += size;
    }
    if (memory.held > memory.peak)
        memory.peak = memory.held;
    pthread_mutex_unlock(&lock);
}

static void refer_to_buffer(cl_mem wanted, int change)
{
    pthread_mutex_lock(&lock);
    struct buffer *known = find_buffer(wanted);
    if (known)
        known->references += change;
    if (known && known->references == 0) {
        memory.held -= known->size;
        known->memory = NULL;
    }
    pthread_mutex_unlock(&lock);
}

void shim_memory_reset(void)
{
    memset(&memory, 0, sizeof memory);
    memory.capacity = UINT64_MAX;
}

void shim_capacity(uint64_t bytes, bool lazy)
{
    memory.capacity = bytes;
    memory.lazy = lazy;
}

uint64_t shim_held(void)
{
    return memory.held;
}

uint64_t shim_peak(void)
{
    return memory.peak;
}

/* ---- buffers ---- */

CL_API_ENTRY cl_mem CL_API_CALL clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size,
                                               void *host, cl_int *out)
{
    __typeof__(clCreateBuffer) *real;
    memcpy(&real, shim_next("clCreateBuffer"), sizeof real);
    cl_int code = shim_fault("clCreateBuffer");
    uint64_t whole = shim_limit(CL_DEVICE_GLOBAL_MEM_SIZE);
    if (!memory.lazy && memory.capacity < whole)
        whole = memory.capacity;
    if (!code && size > shim_limit(CL_DEVICE_MAX_MEM_ALLOC_SIZE))
        code = CL_INVALID_BUFFER_SIZE;
    if (!code && memory.held + size > whole)
        code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    if (code)
        return shim_refuse(out, code);
    cl_mem buffer = real(context, flags, size, host, &code);
    shim_made(SHIM_BUFFER, code);
    if (code == CL_SUCCESS)
        add_buffer(buffer, size);
    if (out)
        *out = code;
    return buffer;
}

/* Has no bytes of its own, and keeps the buffer that it is a part of. */
CL_API_ENTRY cl_mem CL_API_CALL clCreateSubBuffer(cl_mem buffer, cl_mem_flags flags,
                                                  cl_buffer_create_type type, const void *region,
                                                  cl_int *out)
{
    __typeof__(clCreateSubBuffer) *real;
    memcpy(&real, shim_next("clCreateSubBuffer"), sizeof real);
    cl_int code = shim_fault("clCreateSubBuffer");
    if (code)
        return shim_refuse(out, code);
    cl_mem part = real(buffer, flags, type, region, &code);
    shim_made(SHIM_BUFFER, code);
    if (out)
        *out = code;
    return part;
}

CL_API_ENTRY cl_int CL_API_CALL clRetainMemObject(cl_mem buffer)
{
    __typeof__(clRetainMemObject) *real;
    memcpy(&real, shim_next("clRetainMemObject"), sizeof real);
    refer_to_buffer(buffer, 1);
    shim_made(SHIM_BUFFER, CL_SUCCESS);
    return real(buffer);
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseMemObject(cl_mem buffer)
{
    __typeof__(clReleaseMemObject) *real;
    memcpy(&real, shim_next("clReleaseMemObject"), sizeof real);
    refer_to_buffer(buffer, -1);
    shim_released(SHIM_BUFFER);
    return real(buffer);
}

CL_API_ENTRY cl_int CL_API_CALL clGetMemObjectInfo(cl_mem buffer, cl_mem_info what, size_t size,
                                                   void *value, size_t *needed)
{
    __typeof__(clGetMemObjectInfo) *real;
    memcpy(&real, shim_next("clGetMemObjectInfo"), sizeof real);
    cl_int code = shim_fault("clGetMemObjectInfo");
    return code ? code : real(buffer, what, size, value, needed);
}

/* ---- commands ---- */

cl_int shim_command_fault(cl_command_queue queue, const char *name)
{
    cl_int code = shim_fault(name);
    if (!code)
        code = shim_late_queueing(queue);
    if (!code && memory.lazy && memory.held > memory.capacity)
        code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer,
                                                     cl_bool blocking, size_t offset, size_t size,
                                                     const void *data, cl_uint wait_count,
                                                     const cl_event *wait, cl_event *event)
{
    __typeof__(clEnqueueWriteBuffer) *real;
    memcpy(&real, shim_next("clEnqueueWriteBuffer"), sizeof real);
    cl_int code = shim_command_fault(queue, "clEnqueueWriteBuffer");
    if (code)
        return code;
    if (shim_late_leaves_out(queue, "clEnqueueWriteBuffer"))
        return shim_late_pretend(queue, event);
    code = real(queue, buffer, blocking, offset, size, data, wait_count, wait, event);
    if (event)
        shim_made(SHIM_EVENT, code);
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer,
                                                    cl_bool blocking, size_t offset, size_t size,
                                                    void *data, cl_uint wait_count,
                                                    const cl_event *wait, cl_event *event)
{
    __typeof__(clEnqueueReadBuffer) *real;
    memcpy(&real, shim_next("clEnqueueReadBuffer"), sizeof real);
    cl_int code = shim_command_fault(queue, "clEnqueueReadBuffer");
    if (!code && blocking)
        code = shim_late_waiting(queue);
    if (code)
        return code;
    if (!blocking && shim_late_leaves_out(queue, "clEnqueueReadBuffer"))
        return shim_late_pretend(queue, event);
    code = real(queue, buffer, blocking, offset, size, data, wait_count, wait, event);
    if (event)
        shim_made(SHIM_EVENT, code);
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer,
                                                    const void *pattern, size_t pattern_size,
                                                    size_t offset, size_t size, cl_uint wait_count,
                                                    const cl_event *wait, cl_event *event)
{
    __typeof__(clEnqueueFillBuffer) *real;
    memcpy(&real, shim_next("clEnqueueFillBuffer"), sizeof real);
    cl_int code = shim_command_fault(queue, "clEnqueueFillBuffer");
    if (code)
        return code;
    if (shim_late_leaves_out(queue, "clEnqueueFillBuffer"))
        return shim_late_pretend(queue, event);
    code = real(queue, buffer, pattern, pattern_size, offset, size, wait_count, wait, event);
    if (event)
        shim_made(SHIM_EVENT, code);
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to,
                                                    size_t from_offset, size_t to_offset,
                                                    size_t size, cl_uint wait_count,
                                                    const cl_event *wait, cl_event *event)
{
    __typeof__(clEnqueueCopyBuffer) *real;
    memcpy(&real, shim_next("clEnqueueCopyBuffer"), sizeof real);
    cl_int code = shim_command_fault(queue, "clEnqueueCopyBuffer");
    if (code)
        return code;
    if (shim_late_leaves_out(queue, "clEnqueueCopyBuffer"))
        return shim_late_pretend(queue, event);
    code = real(queue, from, to, from_offset, to_offset, size, wait_count, wait, event);
    if (event)
        shim_made(SHIM_EVENT, code);
    return code;
}
