/* Proven bounds beside singular values: another computation of the same norms, which decides
 * nothing, but shows a proof that was computed wrongly. */
#ifndef IRN_CROSS_CHECK_H
#define IRN_CROSS_CHECK_H

#include "certify/jobs.h"
#include "spectral/spectrum.h"

/* Whether the job's bounds agree with the largest singular value of its symbol, by clFFT (where the
 * frequencies are shifted, or there are few, by a sum over the taps) and the SVD, which share
 * nothing with the proof but the list of taps. The symbol's is the norm on the torus that contains
 * the layer: it is compared with the lower bound, but for maps of every size, and with the upper
 * one if that was proven of the symbol. Errors: IRN_ERROR_DEVICE with both numbers; those of
 * irn_spectrum_norm(). */
irn_status irn_cross_check(irn_spectrum *spectrum, const irn_bound_job *job);

#endif
