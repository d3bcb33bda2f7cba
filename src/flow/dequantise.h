/* Uniform noise that makes discrete data continuous (Theis et al. 2016), so that they have a
 * density.
 */
#ifndef IRN_DEQUANTISE_H
#define IRN_DEQUANTISE_H

#include "base/base.h"

/* Values k of `levels`, as data sets have them on [-0.5, 0.5], become (k + u) / levels - 0.5 with u
 * uniform on [0, 1), which depends on the stream and on the number of the image, counted from
 * `first`. Values outside are IRN_ERROR_ARGUMENT. */
irn_status irn_dequantise(const float *x, size_t first, size_t images, size_t size, size_t levels,
                          uint64_t seed, uint64_t stream, float *out);

#endif
