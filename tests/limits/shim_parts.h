/* What the parts of the shim share: one file each for calls that fail (shim_faults.c), failures
 * that come late (shim_late.c), lies (shim_device.c), objects that live (shim_objects.c), memory
 * (shim_memory.c), queues (shim_queue.c), kernels (shim_kernel.c), and what stays from run to run
 * (shim_kept.c). Certification has threads, so each part locks what it has. */
#ifndef SHIM_PARTS_H
#define SHIM_PARTS_H

#include "shim.h"

/* ---- shim_faults.c ---- */

/* Where the pointer to the loader's function stands, to be copied into one of its type. */
const void *shim_next(const char *name);
/* What this call fails with; CL_SUCCESS: it does not. */
cl_int shim_fault(const char *name);
/* The same for a kernel's argument: no call in this count, of which there are ten times as many as
 * of all others. */
cl_int shim_argument_fault(const char *name);
/* A null result with a code. */
void *shim_refuse(cl_int *out, cl_int code);
/* The function that shim_failed() tells, unless there is one before. */
void shim_note_failed(const char *name);
void shim_faults_reset(void);

/* ---- shim_late.c ---- */

/* Whether this command is left out and yet to look as if it were queued; and making it look so. */
bool shim_late_leaves_out(cl_command_queue queue, const char *name);
cl_int shim_late_pretend(cl_command_queue queue, cl_event *event);
/* What a call reports of commands before it that were left out: one that only hands commands to the
 * queue, one that flushes it, one that waits for it, and one that waits for events. */
cl_int shim_late_queueing(cl_command_queue queue);
cl_int shim_late_flushing(cl_command_queue queue);
cl_int shim_late_waiting(cl_command_queue queue);
cl_int shim_late_events(cl_uint count, const cl_event *events);
/* Events and queues that are no more. */
void shim_late_forget_event(cl_event event);
void shim_late_forget_queue(cl_command_queue queue);
void shim_late_reset(void);

/* ---- shim_device.c ---- */

/* The lie about a limit; UINT64_MAX: none is told. */
uint64_t shim_limit(cl_device_info what);
bool shim_lies_about(cl_device_info what);
void shim_lies_reset(void);

/* ---- shim_objects.c ---- */

/* One more, if the call that made it succeeded; one less. */
void shim_made(shim_kind kind, cl_int code);
void shim_released(shim_kind kind);
void shim_objects_reset(void);

/* ---- shim_memory.c ---- */

/* What a command that uses memory fails with at once. */
cl_int shim_command_fault(cl_command_queue queue, const char *name);
void shim_memory_reset(void);

#endif
