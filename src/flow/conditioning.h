/* What a Lipschitz bound of g says about the singular values of a block's Jacobian. */
#ifndef IRN_FLOW_CONDITIONING_H
#define IRN_FLOW_CONDITIONING_H

#include "flow/logdet_bounds.h"
#include "flow/model.h"

/* Behrmann et al. 2019, lemma 2, with x -> scale x + shift before g: all singular values lie in
 * [(1 - L) min scale, (1 + L) max scale]. Rounded outwards: true of the real numbers. L >= 1 and
 * NaN prove nothing: 0 and infinity. */
irn_status irn_block_stretch(const irn_model *model, size_t block, double lipschitz,
                             irn_interval *out);

/* The same of the whole network behind the logit transform, from the bounds that the model holds.
 * The part of z that leaves after a block sees nothing of later blocks: its factor is 1. */
irn_status irn_network_stretch(const irn_model *model, irn_interval *out);

#endif
