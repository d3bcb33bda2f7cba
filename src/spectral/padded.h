/* The zero-padded layer itself, on its map: what the torus only bounds from above. */
#ifndef IRN_PADDED_H
#define IRN_PADDED_H

#include "spectral/taps.h"

/* A lower bound on the norm, ||W x|| / ||x|| for a chosen x, in units of the taps. The start is the
 * torus's singular vector at the frequency (row x width + column) of its norm, faded towards the
 * border; power iteration improves it as far as a fixed amount of work allows. Evaluated in
 * float64, so it may exceed the norm by rounding. Errors: IRN_ERROR_MEMORY. */
irn_status irn_padded_quotient(const irn_taps *taps, size_t height, size_t width, size_t frequency,
                               double *quotient);

/* The operator as a matrix [outputs x height x width][inputs x height x width], in units of the
 * taps. Errors: IRN_ERROR_MEMORY. */
irn_status irn_padded_matrix(const irn_taps *taps, size_t height, size_t width, double *matrix);

#endif
