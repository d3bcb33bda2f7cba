/* A small model's twin on the host: the same parameters in double precision, and from them latents,
 * log-determinants, scores and losses. Gradients are found from differences of losses. */
#ifndef IRN_TRIAL_TWIN_H
#define IRN_TRIAL_TWIN_H

#include "trial/trial.h"
#include "flow/model.h"

/* What stands for log|det(I + J)| of a block. */
typedef enum irn_twin_logdet {
    IRN_TWIN_NONE,   /* nothing: the loss is cross-entropy */
    IRN_TWIN_EXACT,  /* itself */
    IRN_TWIN_SERIES, /* sum over k <= terms of (-1)^(k+1)/k <J^k probe, probe> */
    IRN_TWIN_PAIR    /* <a, J probe>, which has the gradient of the Neumann series */
} irn_twin_logdet;

typedef struct irn_twin {
    irn_trial *trial;
    const irn_model *model;
    double **parameters;            /* by entry, in the host's order */
    double **u, **v;                /* by layer */
    double *scales;                 /* by layer, from the parameters at hand */
    size_t images, size, dimension; /* size: of x; dimension: of z */
    double *x;                      /* [images, size] */
    int *labels;
    irn_twin_logdet method;
    size_t terms;
    double **probes, **pairs;           /* by block, [images, d]; pairs: the a of IRN_TWIN_PAIR */
    double *z, *top, *logdets, *priors; /* [images, ...]; what a pass finds */
    double *scores;                     /* [images, classes] */
    double *flow[3], *hidden[2], *saved[IRN_MAX_LAYERS], *jacobian; /* scratch */
} irn_twin;

/* Copies what the model has now, and makes `images` random samples, labels and probes. */
irn_status irn_twin_create(irn_twin *out, irn_trial *trial, const irn_model *model, size_t images);
/* Copies parameters and the vectors of power iteration anew. */
irn_status irn_twin_copy(irn_twin *twin);

/* Fills z, top, logdets and priors for the parameters at hand. */
void irn_twin_pass(irn_twin *twin);
/* After it: the scores, with given statistics of the head's batch norm, or the batch's (NULL). */
void irn_twin_scores(irn_twin *twin, const double *mean, const double *variance);
/* For the methods' parameters: a of each pair, from a pass of its own. */
void irn_twin_make_pairs(irn_twin *twin);

/* Cross-entropy with the batch's statistics, and bits per dimension; the loss is their sum, or the
 * former alone. */
double irn_twin_cross_entropy(irn_twin *twin);
double irn_twin_bits(const irn_twin *twin);
double irn_twin_loss(irn_twin *twin);

#endif
