/* Device memory for tests of operations, with NaN before, behind and, until something is written,
 * in it. guarded_end() finds what was written outside, and frees everything. */
#ifndef GUARDED_H
#define GUARDED_H

#include "devices.h"

#include "ops/elementwise.h"

/* Begins on a device. */
void guarded_begin(irn_context *context);
void guarded_end(void);

/* Elements that all are NaN. */
irn_place guarded_place(irn_precision precision, size_t count);
/* [images, channels, height, width]; values NULL: NaN, for outputs. */
irn_tensor guarded_tensor(irn_precision precision, size_t images, size_t channels, size_t height,
                          size_t width, const double *values);
/* A vector of a value a channel, zeros behind; values NULL: NaN. */
irn_place guarded_vector(irn_precision precision, size_t channels, const double *values);
/* A kernel [outputs, inputs, kernel_height, kernel_width]; values NULL: NaN. */
irn_place guarded_kernel(irn_precision precision, const irn_conv *conv, const double *values);

/* Values on the host. read_clean also checks that padded channels are zeros. */
double *guarded_read(const irn_tensor *tensor);
double *guarded_read_clean(const irn_tensor *tensor);
double *guarded_read_vector(irn_place place, size_t channels);
double *guarded_read_kernel(irn_place place, const irn_conv *conv);

/* Elements as they lie on the device; single precision only. */
float *guarded_read_raw(irn_place place, size_t count);

#endif
