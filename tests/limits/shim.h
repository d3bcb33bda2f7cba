/* A driver that can be made to misbehave. The test's program defines the OpenCL functions below
 * itself, in front of the loader's, so that every call of the library, of clFFT and of CLBlast
 * comes through here: it can fail, be answered with a lie, and is counted. */
#ifndef SHIM_H
#define SHIM_H

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum shim_kind {
    SHIM_CONTEXT,
    SHIM_QUEUE,
    SHIM_BUFFER,
    SHIM_PROGRAM,
    SHIM_KERNEL,
    SHIM_EVENT,
    SHIM_KINDS
} shim_kind;

/* A well-behaved driver again: no fault, no lie, all counts zero. */
void shim_reset(void);

/* Gives back what the shim keeps from run to run. */
void shim_close(void);

/* The k-th call from here on (1: the next) fails with the code; if `forever`, so do all after it.
 */
void shim_fail(size_t k, bool forever, cl_int code);
/* So does the k-th argument that a kernel is given from here on, which is no call in that count. */
void shim_fail_argument(size_t k, cl_int code);

/* Who is told of a failure that comes late. */
typedef enum shim_lateness {
    SHIM_TOLD_ONCE,     /* the first that waits for the queue or for an event of it */
    SHIM_TOLD_AT_FLUSH, /* or clFlush(), if that comes first */
    SHIM_TOLD_FOREVER   /* the first that waits, and then every call that uses the queue */
} shim_lateness;

/* The k-th command queued from here on (1: the next; blocking reads are none, they wait) is not
 * carried out, nor is what comes behind it until somebody is told, by this code or by
 * CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST if it is an event that is waited for. */
void shim_fail_late(size_t k, shim_lateness how, cl_int code);

/* The function that failed, early or late; NULL: none so far. */
const char *shim_failed(void);
/* Calls since the reset that could have failed. */
size_t shim_calls(void);

/* Objects created or retained since the reset and not yet released. */
long shim_live(shim_kind kind);
const char *shim_kind_name(shim_kind kind);
/* Bytes of all buffers, and the most that there ever were. */
uint64_t shim_held(void);
uint64_t shim_peak(void);

/* clGetDeviceInfo() answers `what` with this, and the driver behaves accordingly: it refuses larger
 * buffers, larger work-groups, more local memory, kernels with doubles. */
void shim_lie(cl_device_info what, uint64_t value);
/* The device says that it is what the library takes for a GPU with local memory of its own; resets
 * do not change that. */
void shim_be_gpu(bool is);
/* Names of devices, drivers and platforms fill whatever memory they are given with bytes that are
 * no text, and end nowhere. */
void shim_garble(void);
/* All buffers together hold at most so many bytes, and nobody is told: somebody else has the rest.
 * Allocations fail where lazy is false, else the first use of a buffer, as drivers do that allocate
 * late. */
void shim_capacity(uint64_t bytes, bool lazy);

#endif
