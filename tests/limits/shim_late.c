/* Failures that come late: a command is queued, is not carried out, and nor are those behind it;
 * who waits for the queue, or for an event of such a command, is told.
 *
 * Writes do not wait, blocking or not: OpenCL 1.2, 5.2.2, lets them return once the data were
 * copied. Of clFlush() the standard says nothing; there are drivers that report there what they
 * find. */
#include "shim_parts.h"

#include <pthread.h>
#include <string.h>

enum { MOST_EVENTS = 64 };

static struct {
    size_t commands, fail_at;
    shim_lateness how;
    cl_int code;
    cl_command_queue queue; /* of the command that failed; NULL: none has, or all is well again */
    bool told;
    cl_event events[MOST_EVENTS]; /* of commands that were left out; NULL: a free place */
} late;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void shim_late_reset(void)
{
    memset(&late, 0, sizeof late);
}

void shim_fail_late(size_t k, shim_lateness how, cl_int code)
{
    late.fail_at = late.commands + k;
    late.how = how;
    late.code = code;
}

/* ---- commands ---- */

bool shim_late_leaves_out(cl_command_queue queue, const char *name)
{
    pthread_mutex_lock(&lock);
    bool fails = ++late.commands == late.fail_at;
    if (fails)
        late.queue = queue;
    bool left_out = late.queue == queue;
    pthread_mutex_unlock(&lock);
    if (fails)
        shim_note_failed(name);
    return left_out;
}

static void add_event(cl_event event)
{
    pthread_mutex_lock(&lock);
    size_t place = 0;
    while (place < MOST_EVENTS && late.events[place])
        place++;
    if (place < MOST_EVENTS)
        late.events[place] = event;
    pthread_mutex_unlock(&lock);
}

cl_int shim_late_pretend(cl_command_queue queue, cl_event *event)
{
    cl_int code = event ? clEnqueueMarkerWithWaitList(queue, 0, NULL, event) : CL_SUCCESS;
    if (event)
        shim_made(SHIM_EVENT, code);
    if (event && code == CL_SUCCESS)
        add_event(*event);
    return code;
}

void shim_late_forget_event(cl_event event)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MOST_EVENTS; i++)
        if (late.events[i] == event)
            late.events[i] = NULL;
    pthread_mutex_unlock(&lock);
}

void shim_late_forget_queue(cl_command_queue queue)
{
    pthread_mutex_lock(&lock);
    if (late.queue == queue)
        late.queue = NULL;
    pthread_mutex_unlock(&lock);
}

/* ---- being told ---- */

/* Afterwards all is well again, or never. With the lock held. */
static cl_int tell(void)
{
    late.told = true;
    if (late.how != SHIM_TOLD_FOREVER)
        late.queue = NULL;
    return late.code;
}

cl_int shim_late_queueing(cl_command_queue queue)
{
    pthread_mutex_lock(&lock);
    cl_int code = late.told && late.queue == queue ? late.code : CL_SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

cl_int shim_late_flushing(cl_command_queue queue)
{
    pthread_mutex_lock(&lock);
    bool tells = late.queue == queue && (late.told || late.how == SHIM_TOLD_AT_FLUSH);
    cl_int code = tells ? tell() : CL_SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

cl_int shim_late_waiting(cl_command_queue queue)
{
    pthread_mutex_lock(&lock);
    cl_int code = late.queue == queue ? tell() : CL_SUCCESS;
    pthread_mutex_unlock(&lock);
    return code;
}

cl_int shim_late_events(cl_uint count, const cl_event *events)
{
    bool failed = false;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MOST_EVENTS; i++)
        for (cl_uint k = 0; k < count; k++)
            failed = failed || (events[k] && late.events[i] == events[k]);
    if (failed)
        tell();
    pthread_mutex_unlock(&lock);
    return failed ? CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST : CL_SUCCESS;
}
