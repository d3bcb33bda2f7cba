/* Queues, and what waits for them. */
#include "shim_parts.h"

#include <string.h>

CL_API_ENTRY cl_command_queue CL_API_CALL clCreateCommandQueue(
    cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int *out)
{
    __typeof__(clCreateCommandQueue) *real;
    memcpy(&real, shim_next("clCreateCommandQueue"), sizeof real);
    cl_int code = shim_fault("clCreateCommandQueue");
    if (code)
        return shim_refuse(out, code);
    cl_command_queue queue = real(context, device, properties, &code);
    shim_made(SHIM_QUEUE, code);
    if (out)
        *out = code;
    return queue;
}

CL_API_ENTRY cl_int CL_API_CALL clRetainCommandQueue(cl_command_queue queue)
{
    __typeof__(clRetainCommandQueue) *real;
    memcpy(&real, shim_next("clRetainCommandQueue"), sizeof real);
    shim_made(SHIM_QUEUE, CL_SUCCESS);
    return real(queue);
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseCommandQueue(cl_command_queue queue)
{
    __typeof__(clReleaseCommandQueue) *real;
    memcpy(&real, shim_next("clReleaseCommandQueue"), sizeof real);
    shim_released(SHIM_QUEUE);
    shim_late_forget_queue(queue);
    return real(queue);
}

CL_API_ENTRY cl_int CL_API_CALL clGetCommandQueueInfo(cl_command_queue queue,
                                                      cl_command_queue_info what, size_t size,
                                                      void *value, size_t *needed)
{
    __typeof__(clGetCommandQueueInfo) *real;
    memcpy(&real, shim_next("clGetCommandQueueInfo"), sizeof real);
    cl_int code = shim_fault("clGetCommandQueueInfo");
    return code ? code : real(queue, what, size, value, needed);
}

CL_API_ENTRY cl_int CL_API_CALL clFlush(cl_command_queue queue)
{
    __typeof__(clFlush) *real;
    memcpy(&real, shim_next("clFlush"), sizeof real);
    cl_int code = shim_fault("clFlush");
    if (!code)
        code = shim_late_flushing(queue);
    return code ? code : real(queue);
}

/* Waits even if it fails, as everything that the queue holds ends in the end. */
CL_API_ENTRY cl_int CL_API_CALL clFinish(cl_command_queue queue)
{
    __typeof__(clFinish) *real;
    memcpy(&real, shim_next("clFinish"), sizeof real);
    cl_int code = shim_fault("clFinish"), done = real(queue);
    if (!code)
        code = shim_late_waiting(queue);
    return code ? code : done;
}

CL_API_ENTRY cl_int CL_API_CALL clWaitForEvents(cl_uint count, const cl_event *events)
{
    __typeof__(clWaitForEvents) *real;
    memcpy(&real, shim_next("clWaitForEvents"), sizeof real);
    cl_int code = shim_fault("clWaitForEvents"), done = real(count, events);
    if (!code)
        code = shim_late_events(count, events);
    return code ? code : done;
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseEvent(cl_event event)
{
    __typeof__(clReleaseEvent) *real;
    memcpy(&real, shim_next("clReleaseEvent"), sizeof real);
    shim_released(SHIM_EVENT);
    shim_late_forget_event(event);
    return real(event);
}
