/* The symbol of a list of taps (tap_list.h) as matrices for their SVD, and which of its frequencies
 * are needed. (Deep-learning convolutions correlate, hence the exponent's sign.) */
#ifndef IRN_SYMBOL_H
#define IRN_SYMBOL_H

#include "spectral/tap_list.h"

/* How a symbol is stored for its SVD: min(outputs, inputs) columns, each a run of `stride` real
 * parts and then as many imaginary ones, the rows beyond max(outputs, inputs) zero; transposed if
 * outputs < inputs, which changes no singular value. */
typedef struct irn_layout {
    size_t columns, rows, stride, size; /* size: doubles a matrix */
    bool transposed;
} irn_layout;

#define IRN_SVD_LANES 8

/* Errors: IRN_ERROR_ARGUMENT if the sizes are beyond what an int of a kernel counts. */
irn_status irn_layout_of(irn_layout *out, const irn_tap_list *list);

/* The symbol of the first group at the frequencies with the numbers (row, column) by the sum over
 * the taps, for any torus. phases: scratch of 2 x count doubles. */
void irn_symbol_at(const irn_tap_list *list, const irn_layout *layout, size_t row, size_t column,
                   double *phases, double *matrix);

/* Real kernels have A(-w) = conj A(w): the frequencies that are not a mirror image of an earlier
 * one, with the axes' shifts. table: row x width + column of each by their numbers,
 * irn_frequency_count() entries. */
size_t irn_frequency_count(const irn_tap_list *list);
void irn_frequency_table(const irn_tap_list *list, int *table);

#endif
