/* Lower bounds of zero-padded layers by Lanczos's method on the layers themselves. */
#ifndef IRN_KRYLOV_H
#define IRN_KRYLOV_H

#include "certify/proof_symbol.h"
#include "runtime/runtime.h"

/* Raises *lower, in units of the list's values, to ||W^T x|| / ||x|| for a better x than a faded
 * wave: from the one at the peak, which the prover's vector belongs to, a few steps of Lanczos's
 * method in the device's arithmetic, as many as a fixed amount of work allows; none for layers
 * larger than that, for strides, and where *lower is within 0.6 % of the upper bound. Errors:
 * IRN_ERROR_MEMORY, IRN_ERROR_DEVICE. */
irn_status irn_krylov_quotient(double *lower, double upper, const irn_symbol *symbol,
                               irn_context *context, bool is_double);

#endif
