/* Bounds on one kernel. */
#ifndef IRN_BOUND_H
#define IRN_BOUND_H

#include "base/round.h"
#include "spectral/spectrum.h"

#include <iresnet/certify.h>

/* As irn_certify_kernel(), for a kernel in float64 and with a spectrum that keeps its plans from
 * one kernel to the next; name is for sentences. */
irn_status irn_bound_kernel(irn_bound *out, irn_spectrum *spectrum, const double *kernel,
                            const irn_kernel_shape *shape, const char *name);

/* As irn_singular_values(), for a kernel in float64. */
irn_status irn_symbol_values(irn_array *out, irn_context *context, const double *kernel,
                             const irn_kernel_shape *shape, const char *name);

/* Bounds of the layer scale x kernel. */
irn_bound irn_bound_scaled(irn_bound bound, double scale);

/* Calls the progress callback, if there is one. Errors: IRN_ERROR_CANCELLED. */
irn_status irn_certify_progress(const irn_certify_options *options, size_t done, size_t total,
                                const char *what);

#endif
