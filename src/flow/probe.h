/* Random tensors for Hutchinson's estimator: their mean is zero and their covariance the identity.
 */
#ifndef IRN_PROBE_H
#define IRN_PROBE_H

#include "tensor/tensor.h"

/* Which of all probes there are: the same numbers give the same values on every device, signs bit
 * for bit, normal numbers but for rounding. */
typedef struct irn_probe {
    uint64_t seed, stream;
    size_t first_image;
    bool gaussian; /* standard normal; else +1 and -1 (Rademacher) */
} irn_probe;

irn_status irn_probe_fill(const irn_probe *probe, const irn_tensor *out);

#endif
