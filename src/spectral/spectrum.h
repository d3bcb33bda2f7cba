/* Singular values of a kernel's symbol at every frequency of its torus: clFFT and a batched SVD on
 * the device in float64; without float64, the tap sum and the SVD on the host. */
#ifndef IRN_SPECTRUM_H
#define IRN_SPECTRUM_H

#include "runtime/runtime.h"
#include "spectral/symbol.h"

typedef struct irn_spectrum irn_spectrum;

/* What one kernel after another is computed with; baked plans are kept. Free before the context. */
irn_status irn_spectrum_create(irn_spectrum **out, irn_context *context);
void irn_spectrum_free(irn_spectrum *spectrum);

/* Where symbols and singular values come from. clFFT is the default; the tap sum on the host takes
 * its place for very small kernels, for lengths that clFFT does not know, for frequencies that are
 * shifted, and where clFFT fails; all is done on the host if the device has no float64. */
typedef enum irn_spectrum_route {
    IRN_ROUTE_FFT,
    IRN_ROUTE_TAP_SUM,
    IRN_ROUTE_HOST
} irn_spectrum_route;

/* For tests: this route, however small the kernel, or a later one where it is not possible. Routes
 * that were left stay left. */
void irn_spectrum_force(irn_spectrum *spectrum, irn_spectrum_route route);

/* How the last kernel was computed. */
irn_spectrum_route irn_spectrum_taken(const irn_spectrum *spectrum);

/* The `wanted` largest singular values at each frequency of irn_frequency_table(): values is
 * [irn_frequency_count(list)][wanted], descending within a frequency. Errors: IRN_ERROR_MEMORY,
 * IRN_ERROR_DEVICE. */
irn_status irn_spectrum_values(irn_spectrum *spectrum, const irn_tap_list *list, size_t wanted,
                               double *values);

/* The largest singular value of all, and the frequency (row x width + column) where it is. */
irn_status irn_spectrum_norm(irn_spectrum *spectrum, const irn_tap_list *list, double *norm,
                             size_t *frequency);

#endif
