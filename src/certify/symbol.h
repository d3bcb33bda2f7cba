/* A layer's symbol on its way to a proof: what host and device share. */
#ifndef IRN_PROOF_SYMBOL_H
#define IRN_PROOF_SYMBOL_H

#include "certify/correlation.h"

typedef struct irn_symbol {
    irn_tap_list list;
    irn_correlation correlation;
    size_t half, frequencies; /* columns of the half spectrum, and all entries of its rectangle */
    irn_prover prover;        /* for single matrices, on the host */
    double *taps;             /* as the prover's matrix, of all groups */
    double entries_error;     /* of the prover's matrix, in norm */
    double lower;             /* the best so far, in units of the list */
    bool zero_padded;
    const char *name;
} irn_symbol;

/* Frequencies are numbered group by group. Whether it is one of the half of the spectrum that is
 * left when A(-w) = conj A(w). */
bool irn_symbol_frequency(const irn_symbol *symbol, size_t index, size_t *group, size_t *row,
                          size_t *column);

/* The squared norm at one frequency, little more than it, and what it proves: an upper bound there,
 * a lower one for the layer, which symbol->lower keeps. shift: above it the norm is already proven
 * to be; raised. Errors: IRN_ERROR_NOT_CERTIFIED, IRN_ERROR_MEMORY. */
irn_status irn_symbol_search(irn_symbol *symbol, size_t index, double *shift, double *upper);

/* An upper bound of the largest norm at all frequencies, in units of the list. */
irn_status irn_symbol_upper_on_host(irn_symbol *symbol, double *upper);
irn_status irn_symbol_upper_on_device(irn_symbol *symbol, irn_context *context, bool is_double,
                                      double *upper);

#endif
