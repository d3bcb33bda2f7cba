/* Bounds on one kernel. */
#ifndef IRN_BOUND_H
#define IRN_BOUND_H

#include "base/round.h"
#include "spectral/tap_list.h"

#include <iresnet/certify.h>

/* Proven bounds of a kernel in float64, as irn_certify_kernel() gives them for one in float32, and
 * how they were proven. context: NULL for the host only. name is for sentences. */
irn_status irn_bound_kernel(irn_bound *out, irn_proof *proof, irn_context *context,
                            irn_arithmetic arithmetic, const double *kernel,
                            const irn_kernel_shape *shape, const char *name);

/* As irn_singular_values(), for a kernel in float64. */
irn_status irn_symbol_values(irn_array *out, irn_context *context, const double *kernel,
                             const irn_kernel_shape *shape, const char *name);

/* The options' arithmetic; options may be NULL. */
irn_arithmetic irn_certify_arithmetic(const irn_certify_options *options);

/* Bounds of the layer scale x kernel. */
irn_bound irn_bound_scaled(irn_bound bound, double scale);

/* Calls the progress callback, if there is one. Errors: IRN_ERROR_CANCELLED. */
irn_status irn_certify_progress(const irn_certify_options *options, size_t done, size_t total,
                                const char *what);

#endif
