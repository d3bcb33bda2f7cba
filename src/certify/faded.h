/* Lower bounds of zero-padded layers. */
#ifndef IRN_FADED_H
#define IRN_FADED_H

#include "spectral/tap_list.h"

/* A lower bound of the norm of one group of a zero-padded layer, in units of the list's values:
 * ||W x|| / ||x||, less all rounding, for the wave of frequency (row, column) of the torus with the
 * amplitudes re + i im of the inputs, faded towards the border as the best waves are. vector: 2
 * inputs, the real parts first. Errors: IRN_ERROR_MEMORY. */
irn_status irn_faded_quotient(double *lower, const irn_tap_list *list, size_t group, size_t row,
                              size_t column, const double *vector);

#endif
