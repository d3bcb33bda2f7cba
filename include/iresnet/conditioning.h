/* How much a network stretches and shrinks small changes of given samples: the extreme singular
 * values of its Jacobian there, beside what is certified everywhere. */
#ifndef IRESNET_CONDITIONING_H
#define IRESNET_CONDITIONING_H

#include <iresnet/model.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct irn_conditioning_options {
    uint32_t version;      /* IRN_CONDITIONING_OPTIONS_VERSION */
    double tolerance;      /* an estimate is done when the latter half of its iterations changed it
                              by at most this share */
    size_t max_iterations; /* of either estimate */
    uint64_t seed;         /* of the first vectors */
    irn_progress progress; /* may be NULL; counts samples once for each estimate */
    void *progress_payload;
} irn_conditioning_options;

#define IRN_CONDITIONING_OPTIONS_VERSION 1
#define IRN_CONDITIONING_OPTIONS_INIT                                                              \
    {                                                                                              \
        IRN_CONDITIONING_OPTIONS_VERSION, 1e-3, 256, 0, NULL, NULL                                 \
    }

/* Of one sample. Each estimate is ||J v|| / ||v|| for a vector v, J the Jacobian of F behind its
 * logit transform in float32, so that but for rounding the true values lie beyond, however far the
 * iterations came. */
typedef struct irn_conditioning {
    double largest_estimate;   /* by power iteration; the largest singular value is no smaller */
    double smallest_estimate;  /* by inverse iteration; the smallest is no larger */
    double condition_estimate; /* their quotient; the condition number is no smaller */
    size_t largest_iterations, smallest_iterations;
    bool converged; /* both met the tolerance; no proof that the truth is as near */
    /* Behrmann et al. 2019, lemma 2, from the certified bounds of the blocks, actnorm included: at
     * every x all singular values of the network behind the logit transform, if it has one, lie
     * between these; 0 and infinity if a block has no bound < 1. */
    double certified_lower, certified_upper;
} irn_conditioning;

/* out [batch] for x [batch, channels, height, width]; padded channels count as part of x. For the
 * inverse each block's I + J is solved for by a Neumann series. Actnorm layers that have no values
 * yet are the identity. irn_certify_model() must have been called on this model object or its
 * bounds loaded for the certified interval; the estimates do not need it. Memory for every block's
 * activations is held at a time, for as many samples as it allows. options NULL: defaults. Errors:
 * IRN_ERROR_ARGUMENT (options), IRN_ERROR_NUMERIC (an estimate is not a finite number: x is not, or
 * the series diverges because a block is no contraction), IRN_ERROR_CANCELLED, IRN_ERROR_MEMORY,
 * IRN_ERROR_DEVICE. */
IRN_API irn_status irn_model_conditioning(irn_model *model, const float *x, size_t batch,
                                          const irn_conditioning_options *options,
                                          irn_conditioning *out);

#ifdef __cplusplus
}
#endif

#endif
