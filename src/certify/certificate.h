/* The inside of a certificate. */
#ifndef IRN_CERTIFICATE_H
#define IRN_CERTIFICATE_H

#include "runtime/runtime.h"

#include <iresnet/certify.h>

struct irn_certificate {
    bool of_model; /* else of a weights file */
    bool verdict;
    irn_padding padding;
    double below; /* what every block's, or layer's, upper bound has to be less than */
    double lipschitz_upper, inverse_lipschitz_upper;
    char device[192]; /* where the singular values were computed */
    irn_layer_bound *layers;
    irn_block_bound *blocks;
    size_t layer_count, block_count;
};

/* With room for so many layers and blocks; the counts grow as they are added. */
irn_status irn_certificate_create(irn_certificate **out, const irn_context *context, size_t layers,
                                  size_t blocks);

/* The names are copied. Errors: IRN_ERROR_MEMORY. */
irn_status irn_certificate_add_layer(irn_certificate *certificate, const irn_layer_bound *layer);
irn_status irn_certificate_add_block(irn_certificate *certificate, const char *name,
                                     double lipschitz_upper);

/* Verdict: whether there is something to certify and all of it is below the limit. */
void irn_certificate_judge(irn_certificate *certificate);

#endif
