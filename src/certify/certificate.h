/* The inside of a certificate. */
#ifndef IRN_CERTIFICATE_H
#define IRN_CERTIFICATE_H

#include "flow/logdet_bounds.h"
#include "io/sha256.h"
#include "runtime/runtime.h"

#include <iresnet/certify.h>

struct irn_certificate {
    bool of_model; /* else of a weights file */
    bool verdict;
    irn_padding padding;
    double below; /* what every block's, or layer's, upper bound has to be less than */
    double lipschitz_upper, inverse_lipschitz_upper;
    irn_interval logdet; /* sum of the blocks' */
    irn_weights_options
        weights;      /* what bare weights were taken for; coefficient 0: none needed it */
    char library[64]; /* that made it */
    char device[192], driver[128];     /* of the proofs that are not the host's, if there are any */
    char model_sha256[IRN_SHA256_HEX]; /* of a certificate that was read; "": not recorded */
    irn_layer_bound *layers;
    irn_block_bound *blocks;
    size_t layer_count, block_count;
};

/* With room for so many layers and blocks; the counts grow as they are added. context: NULL for one
 * that is read. */
irn_status irn_certificate_create(irn_certificate **out, const irn_context *context, size_t layers,
                                  size_t blocks);

/* The name is copied. Errors: IRN_ERROR_MEMORY. */
irn_status irn_certificate_add_layer(irn_certificate *certificate, const irn_layer_bound *layer);
irn_status irn_certificate_add_block(irn_certificate *certificate, const irn_block_bound *block);

/* Makes it one of bare weights, the pattern copied too; coefficient and epsilon are left to who
 * finds a layer that needs them. */
irn_status irn_certificate_set_weights(irn_certificate *certificate,
                                       const irn_weights_options *weights);

/* What a bound L of g proves of a block on so many dimensions. */
irn_block_bound irn_block_bound_of(const char *name, double lipschitz_upper, size_t dimension);

/* The tolerance of the blocks' irn_inverse_steps(). */
#define IRN_STEPS_FACTOR 1e-6
/* Whether so many are enough: L^steps / (1 - L) is at most the tolerance, as every contraction's
 * error is at most that multiple of its first step (Banach). */
bool irn_inverse_steps_suffice(double lipschitz_upper, double tolerance, size_t steps);

/* A bound widened by 1e-12 of itself: what a C library computes of exp and log elsewhere is then
 * within it too. */
double irn_widened_upper(double bound);
double irn_widened_lower(double bound);

/* Whether there is something to certify and all of it is below the limit. */
bool irn_certificate_judged(const irn_certificate *certificate);
/* Sets the verdict to that, and adds up the blocks' log-determinants. */
void irn_certificate_judge(irn_certificate *certificate);

#endif
