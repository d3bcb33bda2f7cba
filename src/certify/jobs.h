/* Bounds of many kernels, two at a time: while the device is at work for one, the host searches for
 * the other. */
#ifndef IRN_JOBS_H
#define IRN_JOBS_H

#include <iresnet/certify.h>

typedef struct irn_bound_job {
    double *kernel;   /* NULL: nothing to bound; the callee frees it */
    const char *name; /* valid until the sink was called */
    irn_kernel_shape shape;
    irn_bound bound; /* results, for the sink */
    irn_proof proof;
} irn_bound_job;

enum { IRN_JOBS_AT_ONCE = 2 };

/* The source is called with index 0, 1, ..., the sink in the same order, at most IRN_JOBS_AT_ONCE
 * sources ahead of it, both in the caller's thread; either may use the context. A failure of either
 * or of a job ends it. */
typedef struct irn_bound_jobs {
    irn_context *context;
    irn_arithmetic arithmetic;
    bool cross_check; /* by cross_check.h, in the caller's thread */
    size_t count;
    irn_status (*source)(void *payload, size_t index, irn_bound_job *job);
    irn_status (*sink)(void *payload, size_t index, const irn_bound_job *job);
    void *payload;
} irn_bound_jobs;

irn_status irn_bound_jobs_run(const irn_bound_jobs *jobs);

#endif
