/* Batches of two-dimensional complex transforms in double precision on the device, by clFFT. */
#ifndef IRN_FFT_H
#define IRN_FFT_H

#include "runtime/runtime.h"

typedef struct irn_fft irn_fft;

/* Transforms of one size, with the buffer they work in: batch x height x width complex numbers. */
typedef struct irn_fft_plan {
    size_t height, width, batch;
    cl_mem data;
} irn_fft_plan;

/* clFFT is one object a process with known races (its issues #240, #250), and tearing it down
 * destroys everybody's plans: so one user at a time, and *out is NULL for a second one, for a
 * device without float64 or on which a check found clFFT wrong, and when clFFT does not start.
 * Callers have the tap sum instead. An application that uses clFFT itself must not do so while it
 * certifies. */
irn_status irn_fft_create(irn_fft **out, irn_context *context);
void irn_fft_free(irn_fft *fft);

/* The plan of a size, baked on first use and kept until the fft is freed. *out is NULL if clFFT
 * cannot transform that size. Errors: IRN_ERROR_MEMORY. */
irn_status irn_fft_get(irn_fft *fft, size_t height, size_t width, const irn_fft_plan **out);

/* Forward transforms in place; false if clFFT fails. */
bool irn_fft_forward(irn_fft *fft, const irn_fft_plan *plan);

/* clFFT's version, "2.12.2"; of the library that is loaded, not of what this one was built with. */
enum { IRN_FFT_VERSION = 40 };
void irn_fft_version(char out[IRN_FFT_VERSION]);

#endif
