/* Tuning in part, beside tune.h of the public interface. */
#ifndef IRN_OPS_TUNE_H
#define IRN_OPS_TUNE_H

#include "runtime/runtime.h"

#include <iresnet/tune.h>

/* irn_tune() of this use and those after it. */
irn_status irn_tune_from(irn_tile_use first, irn_context *context, const irn_tune_options *options,
                         irn_tune_entry **out, size_t *count);

#endif
