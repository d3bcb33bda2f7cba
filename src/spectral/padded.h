/* The zero-padded layer itself, on its map: what the torus only bounds from above. */
#ifndef IRN_PADDED_H
#define IRN_PADDED_H

#include "spectral/taps.h"

/* A lower bound on the norm, ||W x|| / ||x|| for a chosen x, in units of the taps. The start is the
 * torus's singular vector at the frequency (row x width + column) of its norm, faded towards the
 * border; power iteration improves it as far as a fixed amount of work allows. Rounding in
 * float64 is taken off, so it is at most the norm. Errors: IRN_ERROR_MEMORY. */
irn_status irn_padded_quotient(const irn_taps *taps, size_t height, size_t width, size_t frequency,
                               double *quotient);

/* Writes an axis of the map out: the same layer with the map's rows, or its columns, as channels,
 * whose torus is 1 along that axis. No torus means no wrapping, so the bound is tighter; with both
 * axes written out it is the operator's matrix. An axis whose torus is 1 stays as it is.
 * Errors: IRN_ERROR_MEMORY. */
typedef enum irn_axis { IRN_AXIS_ROWS, IRN_AXIS_COLUMNS } irn_axis;
irn_status irn_padded_unroll(irn_taps *out, const irn_taps *taps, irn_axis axis, size_t map);

#endif
