/* A convolution kernel made ready for its Fourier symbol (Sedghi, Gupta, Long 2019)
 *
 *   A(a, b)[o, i] = sum over taps of K[o, i, tap] e^{+2 pi i (a dy / height + b dx / width)},
 *
 * dy, dx being the tap's offset and height x width the torus on which the layer is diagonalised.
 * (Deep-learning convolutions correlate, hence the sign.) The singular values of all A(a, b)
 * together are those of the layer on that torus. */
#ifndef IRN_TAPS_H
#define IRN_TAPS_H

#include "base/base.h"

#include <iresnet/certify.h>

typedef struct irn_taps {
    size_t outputs, inputs;
    size_t tap_rows, tap_columns;
    size_t first_row, first_column; /* offset of the first tap, modulo the torus */
    size_t height, width;           /* the torus; 1 along an axis that the symbol ignores */
    double *values;                 /* [outputs, inputs, tap_rows, tap_columns], of order 1 */
    int exponent;                   /* the kernel is 2^exponent times values */
    double weight; /* Frobenius norm of the matrix of sums of |values| over the taps */
    bool zero;     /* no tap that can act differs from 0 */
} irn_taps;

/* Prepares a kernel: taps that never meet the map are dropped (zero padding), taps further apart
 * than the map is wide are added up (circular padding), and an exact power of two brings the
 * largest magnitude that is left into [1/2, 1). Circular: the torus is the map. Zero padding: the
 * layer is a restriction of the layer on any torus of at least the map plus the kernel's reach, so
 * that one's norm is an upper bound; sizes are rounded up to what clFFT takes. Errors: those of
 * irn_shape_check(), IRN_ERROR_NUMERIC (NaN or infinity), IRN_ERROR_MEMORY. */
irn_status irn_taps_create(irn_taps *out, const double *kernel, const irn_kernel_shape *shape,
                           const char *name);

/* Also accepts a zeroed struct. */
void irn_taps_free(irn_taps *taps);

/* How a symbol is stored for its SVD: min(outputs, inputs) columns, each a run of `stride` real
 * parts and then as many imaginary ones, the rows beyond max(outputs, inputs) zero; transposed if
 * outputs < inputs, which changes no singular value. */
typedef struct irn_layout {
    size_t columns, rows, stride, size; /* size: doubles a matrix */
    bool transposed;
} irn_layout;

#define IRN_SVD_LANES 8

/* Errors: IRN_ERROR_ARGUMENT if the sizes are beyond what an int of a kernel counts. */
irn_status irn_layout_of(irn_layout *out, const irn_taps *taps);

/* The symbol at frequency (row, column) of the torus by the sum over the taps, for any torus.
 * phases: scratch of 2 x tap_rows x tap_columns doubles. */
void irn_taps_symbol(const irn_taps *taps, const irn_layout *layout, size_t row, size_t column,
                     double *phases, double *matrix);

/* Real kernels have A(-w) = conj A(w): the frequencies that are not a mirror image of an earlier
 * one. table: row x width + column of each, irn_frequency_count() entries. */
size_t irn_frequency_count(const irn_taps *taps);
void irn_frequency_table(const irn_taps *taps, int *table);

#endif
