#include "spectral/fft.h"

#include <clFFT.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* LEAST_GROUP: clFFT asserts that work-groups may have so many work-items. */
enum { MAX_BATCH = 512, MAX_BUFFER = 32 << 20, COMPLEX = 2 * sizeof(double), LEAST_GROUP = 64 };

typedef struct plan_entry {
    irn_fft_plan plan; /* data NULL: clFFT does not take this size */
    clfftPlanHandle handle;
    cl_mem temporary;
    struct plan_entry *next;
} plan_entry;

struct irn_fft {
    irn_context *context;
    plan_entry *plans;
};

/* Guards clFFT's own process-wide state; it is all that outlives an irn_fft. */
static pthread_mutex_t clfft_owner = PTHREAD_MUTEX_INITIALIZER;

irn_status irn_fft_create(irn_fft **out, irn_context *context)
{
    *out = NULL;
    if (!context->info.has_fp64 || context->fft_refused || context->info.max_group < LEAST_GROUP ||
        pthread_mutex_trylock(&clfft_owner) != 0)
        return IRN_OK;
    clfftSetupData setup = {clfftVersionMajor, clfftVersionMinor, clfftVersionPatch, 0};
    irn_status status = irn_alloc(out, 1, sizeof **out);
    if (status == IRN_OK && clfftSetup(&setup) != CLFFT_SUCCESS) {
        free(*out);
        *out = NULL;
    }
    if (*out)
        (*out)->context = context;
    else
        pthread_mutex_unlock(&clfft_owner);
    return status;
}

void irn_fft_free(irn_fft *fft)
{
    if (!fft)
        return;
    irn_finish(fft->context);
    while (fft->plans) {
        plan_entry *entry = fft->plans;
        fft->plans = entry->next;
        if (entry->plan.data)
            clfftDestroyPlan(&entry->handle);
        irn_memory_release(fft->context, entry->plan.data);
        irn_memory_release(fft->context, entry->temporary);
        free(entry);
    }
    clfftTeardown();
    pthread_mutex_unlock(&clfft_owner);
    free(fft);
}

/* A handle for in-place transforms; false if clFFT refuses anywhere. */
static bool bake(irn_context *context, plan_entry *entry)
{
    size_t height = entry->plan.height, width = entry->plan.width, points = height * width;
    bool flat = height == 1 || width == 1;
    size_t lengths[2] = {flat ? points : width, height};
    if (clfftCreateDefaultPlan(&entry->handle, context->cl, flat ? CLFFT_1D : CLFFT_2D, lengths) !=
        CLFFT_SUCCESS)
        return false;
    if (clfftSetPlanPrecision(entry->handle, CLFFT_DOUBLE) == CLFFT_SUCCESS &&
        clfftSetLayout(entry->handle, CLFFT_COMPLEX_INTERLEAVED, CLFFT_COMPLEX_INTERLEAVED) ==
            CLFFT_SUCCESS &&
        clfftSetResultLocation(entry->handle, CLFFT_INPLACE) == CLFFT_SUCCESS &&
        clfftSetPlanBatchSize(entry->handle, entry->plan.batch) == CLFFT_SUCCESS &&
        clfftSetPlanDistance(entry->handle, points, points) == CLFFT_SUCCESS &&
        clfftBakePlan(entry->handle, 1, &context->queue, NULL, NULL) == CLFFT_SUCCESS)
        return true;
    clfftDestroyPlan(&entry->handle);
    return false;
}

static irn_status make_buffers(irn_context *context, plan_entry *entry)
{
    size_t temporary = 0, count = entry->plan.batch * entry->plan.height * entry->plan.width;
    if (clfftGetTmpBufSize(entry->handle, &temporary) != CLFFT_SUCCESS)
        temporary = 0; /* clFFT then makes its own */
    irn_status status = irn_memory_create(context, &entry->plan.data, count, COMPLEX, false);
    if (status == IRN_OK && temporary)
        status = irn_memory_create(context, &entry->temporary, temporary, 1, false);
    if (status != IRN_OK) {
        irn_memory_release(context, entry->plan.data);
        entry->plan.data = NULL;
        clfftDestroyPlan(&entry->handle);
    }
    return status;
}

irn_status irn_fft_get(irn_fft *fft, size_t height, size_t width, const irn_fft_plan **out)
{
    plan_entry *entry = fft->plans;
    *out = NULL;
    while (entry && (entry->plan.height != height || entry->plan.width != width))
        entry = entry->next;
    if (!entry) {
        IRN_TRY(irn_alloc(&entry, 1, sizeof *entry));
        size_t batch = MAX_BUFFER / COMPLEX / (height * width);
        entry->plan.height = height;
        entry->plan.width = width;
        entry->plan.batch = batch > MAX_BATCH ? MAX_BATCH : batch ? batch : 1;
        entry->next = fft->plans;
        fft->plans = entry;
        if (bake(fft->context, entry))
            IRN_TRY(make_buffers(fft->context, entry));
    }
    if (entry->plan.data)
        *out = &entry->plan;
    return IRN_OK;
}

bool irn_fft_forward(irn_fft *fft, const irn_fft_plan *plan)
{
    plan_entry *entry = fft->plans;
    while (&entry->plan != plan)
        entry = entry->next;
    return clfftEnqueueTransform(entry->handle, CLFFT_FORWARD, 1, &fft->context->queue, 0, NULL,
                                 NULL, &entry->plan.data, NULL, entry->temporary) == CLFFT_SUCCESS;
}

void irn_fft_version(char out[IRN_FFT_VERSION])
{
    cl_uint major = 0, minor = 0, patch = 0;
    clfftGetVersion(&major, &minor, &patch); /* a failure leaves them 0 */
    snprintf(out, IRN_FFT_VERSION, "%u.%u.%u", major, minor, patch);
}
