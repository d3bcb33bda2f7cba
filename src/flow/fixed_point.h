/* The inverse of single blocks by their fixed points, in float32. */
#ifndef IRN_FIXED_POINT_H
#define IRN_FIXED_POINT_H

#include "flow/workspace.h"

typedef struct irn_fixed_point {
    const irn_workspace *workspace; /* its hidden tensors are used */
    irn_tensor x[2];                /* iterates, in turn */
    irn_tensor input;               /* the activation of the latest */
    cl_mem progress;                /* [images] of what fixed_point.cl says */
    float *progress_host;           /* the same after irn_fixed_point_solve() */
} irn_fixed_point;

/* How far a sample came. */
typedef struct irn_fixed_point_result {
    double residual; /* ||x' - x|| of the last step */
    size_t steps;
    bool converged;
} irn_fixed_point_result;

irn_status irn_fixed_point_create(irn_fixed_point *out, const irn_workspace *workspace);
/* A zeroed one is allowed. */
void irn_fixed_point_free(irn_fixed_point *solver);

/* x = F^-1(y) for the block's x + g(x), from x = y. limit: the residual at which a sample is done;
 * below 0, exactly max_steps are taken. A residual that float32's rounding keeps above the limit
 * ends the sample too. IRN_ERROR_NUMERIC if the iteration diverges. x may not be y. */
irn_status irn_fixed_point_solve(irn_fixed_point *solver, size_t block, const irn_tensor *y,
                                 double limit, size_t max_steps, const irn_tensor *x);

irn_fixed_point_result irn_fixed_point_sample(const irn_fixed_point *solver, size_t sample);

#endif
