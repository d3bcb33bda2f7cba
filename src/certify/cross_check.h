/* Proven bounds beside singular values: another computation of the same norms, which decides
 * nothing, but shows a proof that was computed wrongly. */
#ifndef IRN_CROSS_CHECK_H
#define IRN_CROSS_CHECK_H

#include "certify/jobs.h"
#include "spectral/spectrum.h"

/* Whether the job's bounds agree with the largest singular value of its symbol, by clFFT (a sum
 * over the taps, where the frequencies are shifted) and the SVD, which share nothing with the proof
 * but the list of taps. Upper bounds of a layer's own matrix, which is smaller, are not compared.
 * Errors: IRN_ERROR_DEVICE with both numbers; those of irn_spectrum_norm(). */
irn_status irn_cross_check(irn_spectrum *spectrum, const irn_bound_job *job);

#endif
