/* The inverse of a block in float64: the residual of what the fixed point found in float32,
 * evaluated so that rounding hardly matters, and Newton's corrections of it. */
#ifndef IRN_EXACT_H
#define IRN_EXACT_H

#include "flow/workspace.h"

/* As computed. */
typedef struct irn_exact_norms {
    double residual, size; /* ||y - F_t(x)||, and ||z||, z = actnorm(x) */
} irn_exact_norms;

/* The residual at which a sample is good enough, from its z. */
typedef double irn_exact_target(const void *payload, double size);

typedef struct irn_exact {
    irn_model *model;
    irn_operands operands;              /* parameters and state in double */
    irn_workspace workspace;            /* double */
    irn_tensor y, x;                    /* double: a block's output, and its input before actnorm */
    irn_tensor residual, correction[2]; /* single */
    irn_tensor inputs[IRN_MAX_LAYERS];  /* single, of a block's layers */
    cl_mem norms, open;                 /* [images][2] doubles, [images] floats */
    irn_exact_norms *found;             /* [images], after irn_exact_improve() */
    double *before;                     /* [images] */
    float *open_host;
} irn_exact;

/* Needs a device with float64. */
irn_status irn_exact_create(irn_exact *out, irn_model *model, size_t images);
/* A zeroed one is allowed. */
void irn_exact_free(irn_exact *exact);

/* y = F_t(x) from the block's input before its squeeze in exact->y, in place; x is lost. */
irn_status irn_exact_forward(irn_exact *exact, size_t block, size_t images);

/* Corrects exact->x, each sample until its residual meets the target or corrections no longer help,
 * `corrections` times at most, each with so many terms of a Neumann series at most. */
irn_status irn_exact_improve(irn_exact *exact, size_t block, size_t images,
                             irn_exact_target *target, const void *payload, size_t corrections,
                             size_t terms);

#endif
