/* How far a block that is evaluated in float64 can be from the exact F_t, with actnorm. */
#ifndef IRN_ROUNDING_H
#define IRN_ROUNDING_H

#include "flow/model.h"

/* ||computed F_t(x) - F_t(x)|| <= slope ||z|| + offset, z being x after actnorm. */
typedef struct irn_rounding {
    double slope, offset;
} irn_rounding;

irn_status irn_block_rounding(const irn_model *model, size_t block, irn_rounding *out);

#endif
