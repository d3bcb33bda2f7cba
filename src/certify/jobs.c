#include "certify/jobs.h"
#include "certify/bound.h"
#include "certify/cross_check.h"
#include "runtime/runtime.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

_Static_assert((int)IRN_JOBS_AT_ONCE == (int)IRN_SIDES, "a slot has a side of the context");

/* A job under way. */
typedef struct slot {
    size_t index; /* of the slot, and of its side of the context */
    irn_bound_job job;
    irn_context *context;
    irn_arithmetic arithmetic;
    pthread_t thread;
    bool running;
    irn_status status;
    char message[512]; /* of a failure: the sentence is the thread's own */
} slot;

static void *bound(void *payload)
{
    slot *s = payload;
    s->status = irn_bound_kernel(&s->job.bound, &s->job.proof, s->context, s->arithmetic,
                                 s->job.kernel, &s->job.shape, s->job.name);
    if (s->status != IRN_OK)
        snprintf(s->message, sizeof s->message, "%s", irn_last_error());
    return NULL;
}

/* Where there is no thread to be had, the caller's does it. */
static irn_status begin(slot *s, const irn_bound_jobs *jobs, size_t index)
{
    s->job = (irn_bound_job){.kernel = NULL};
    s->status = IRN_OK;
    IRN_TRY(jobs->source(jobs->payload, index, &s->job));
    if (!s->job.kernel)
        return IRN_OK;
    s->running = pthread_create(&s->thread, NULL, bound, s) == 0;
    if (!s->running)
        bound(s);
    return IRN_OK;
}

static void await(slot *s, const irn_bound_jobs *jobs)
{
    if (s->running)
        pthread_join(s->thread, NULL);
    s->running = false;
    irn_context_tell_side(jobs->context, s->index);
}

/* Once more without the other, if there is not the memory for both. */
static irn_status cross_check(const slot *s, slot *other, const irn_bound_jobs *jobs,
                              irn_spectrum *spectrum)
{
    irn_status status = irn_cross_check(spectrum, &s->job);
    if (status != IRN_ERROR_MEMORY || !other->running)
        return status;
    await(other, jobs);
    return irn_cross_check(spectrum, &s->job);
}

/* Two at once may need more memory than there is for each by itself. */
static irn_status finish(slot *s, slot *other, const irn_bound_jobs *jobs, size_t index,
                         irn_spectrum *spectrum)
{
    bool beside = other->running;
    await(s, jobs);
    if (s->status == IRN_ERROR_MEMORY && beside) {
        await(other, jobs);
        bound(s);
        await(s, jobs);
    }
    if (s->status != IRN_OK)
        return irn_fail(s->status, "%s", s->message);
    if (spectrum && s->job.kernel)
        IRN_TRY(cross_check(s, other, jobs, spectrum));
    free(s->job.kernel);
    s->job.kernel = NULL;
    return jobs->sink(jobs->payload, index, &s->job);
}

static irn_status run(slot slots[IRN_JOBS_AT_ONCE], const irn_bound_jobs *jobs,
                      irn_spectrum *spectrum)
{
    irn_status status = IRN_OK;
    bool compiled = false;
    for (size_t i = 0; status == IRN_OK && i < jobs->count + IRN_JOBS_AT_ONCE; i++) {
        slot *s = &slots[i % IRN_JOBS_AT_ONCE], *other = &slots[(i + 1) % IRN_JOBS_AT_ONCE];
        if (i >= IRN_JOBS_AT_ONCE && i - IRN_JOBS_AT_ONCE < jobs->count)
            status = finish(s, other, jobs, i - IRN_JOBS_AT_ONCE, spectrum);
        if (status == IRN_OK && i < jobs->count)
            status = begin(s, jobs, i);
        if (!compiled)
            await(s, jobs);
        compiled |= s->job.kernel != NULL;
    }
    return status;
}

/* Each slot has a context of its own, for these are for one thread each; the caller's stays free
 * for the source and the sink. The first kernel goes alone: what is compiled for it, the second
 * finds in the cache. */
irn_status irn_bound_jobs_run(const irn_bound_jobs *jobs)
{
    slot slots[IRN_JOBS_AT_ONCE] = {{.running = false}};
    irn_spectrum *spectrum = NULL;
    irn_status status = jobs->cross_check ? irn_spectrum_create(&spectrum, jobs->context) : IRN_OK;
    for (size_t i = 0; status == IRN_OK && i < IRN_JOBS_AT_ONCE; i++) {
        slots[i].index = i;
        slots[i].arithmetic = jobs->arithmetic;
        status = irn_context_side(&slots[i].context, jobs->context, i);
    }
    if (status == IRN_OK)
        status = run(slots, jobs, spectrum);
    for (size_t i = 0; i < IRN_JOBS_AT_ONCE; i++) {
        await(&slots[i], jobs);
        free(slots[i].job.kernel);
    }
    irn_spectrum_free(spectrum);
    irn_context_count_sides(jobs->context);
    return status;
}
