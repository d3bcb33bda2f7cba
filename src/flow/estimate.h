/* log|det(I + J)| of blocks at many points, by the method that the options ask for: J is the
 * Jacobian of g. */
#ifndef IRN_ESTIMATE_H
#define IRN_ESTIMATE_H

#include "flow/roulette.h"
#include "flow/workspace.h"

#include <iresnet/density.h>

#define IRN_MOST_PROBES 1024

typedef struct irn_estimate {
    const irn_model *model;
    const irn_density_options *options;
    irn_logdet_method method; /* not AUTO */
    irn_roulette roulette;
    irn_workspace memory; /* of the powers */
    irn_tensor probe;
    double *means, *squares; /* [images], over the probes: mean, sum of squares about it */
} irn_estimate;

/* Errors: IRN_ERROR_ARGUMENT. */
irn_status irn_estimate_check(const irn_density_options *options);

/* For up to `images`; options, which passed, have to outlive it. */
irn_status irn_estimate_create(irn_estimate *out, const irn_model *model,
                               const irn_density_options *options, size_t images);
/* A zeroed one is allowed. */
void irn_estimate_free(irn_estimate *estimate);

/* Adds the block's value to values[n], and the variance of its estimate, of one probe NaN, to
 * variances[n], where `inputs` were made. Image n is number first + n of all: each number has its
 * own probes and roulette, so that errors of different images are independent and do not depend on
 * which images go through together. Needs irn_model_prepare(). */
irn_status irn_estimate_block(irn_estimate *estimate, size_t block, const irn_tensor *inputs,
                              size_t first, size_t images, double *values, double *variances);

#endif
