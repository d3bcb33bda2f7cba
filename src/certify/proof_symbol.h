/* A layer's symbol on its way to a proof: what host and device share. */
#ifndef IRN_PROOF_SYMBOL_H
#define IRN_PROOF_SYMBOL_H

#include "certify/correlation.h"
#include "spectral/symbol.h"

/* A frequency; row and column are of the axes' periods. */
typedef struct irn_symbol_place {
    size_t group, row, column;
} irn_symbol_place;

typedef struct irn_symbol {
    irn_tap_list list;
    irn_correlation correlation;
    size_t frequencies;   /* of one group */
    size_t most;          /* frequencies with any shift */
    int *table;           /* irn_frequency_table() */
    irn_prover prover;    /* for single matrices, on the host */
    double *taps;         /* as the prover's matrix, of all groups */
    double entries_error; /* of the prover's matrix, in norm */
    double lower;         /* the best so far, in units of the list */
    double highest;       /* the largest squared norm that was searched for, and where it is */
    irn_symbol_place summit;
    irn_symbol_place peak; /* of a zero-padded layer: where its norm seems largest on any grid, */
    double peak_estimate;  /* and its square there, from below */
    const char *name;
} irn_symbol;

/* Goes over to frequencies with other shifts, as numbered from then on. */
void irn_symbol_shift(irn_symbol *symbol, size_t rows, size_t columns);

/* Frequencies are numbered group by group. */
irn_symbol_place irn_symbol_frequency(const irn_symbol *symbol, size_t index);

/* Makes one frequency's matrix, for what follows. */
void irn_symbol_evaluate(irn_symbol *symbol, irn_symbol_place at);

/* The squared norm at the frequency, little more than it, by the prover's Gram matrix, which is
 * there, and what it proves: an upper bound there, and a lower one, which symbol->lower keeps, for
 * a layer that the torus is. shift: above it the norm is already known to be; raised. Errors:
 * IRN_ERROR_NOT_CERTIFIED. */
irn_status irn_symbol_search(irn_symbol *symbol, irn_symbol_place at, double *shift, double *upper);

/* Raises the lower bound of a layer with a choice of shifts to its own quotient at a faded wave of
 * the peak, whose vector it leaves in the prover. Errors: IRN_ERROR_NOT_CERTIFIED,
 * IRN_ERROR_MEMORY. */
irn_status irn_symbol_lower(irn_symbol *symbol);

/* ---- shift.c ---- */

/* Whether theta may be pi along some axis (spectral/tap_list.h). */
bool irn_symbol_may_shift(const irn_symbol *symbol);

/* Estimates of the squared norms at some frequencies, by so many steps of power iteration. */
typedef irn_status irn_estimate(void *payload, size_t *frequencies, size_t count, size_t steps,
                                double *estimates);

/* Goes over to the shifts for which the largest norm seems least, and finds the peak; where: the
 * frequency with the largest norm, as it seems, for these shifts, which is estimated from below, or
 * 0 if there is one frequency only. steps: of the estimates at all
 * frequencies that come first. Errors: IRN_ERROR_MEMORY, those of estimate(). */
irn_status irn_symbol_settle(irn_symbol *symbol, irn_estimate *estimate, void *payload,
                             size_t steps, size_t *where, double *squared_estimate);

/* ---- proof_host.c, proof_device.c ---- */

/* An upper bound of the largest norm at all frequencies, in units of the list. */
irn_status irn_symbol_upper_on_host(irn_symbol *symbol, double *upper);
irn_status irn_symbol_upper_on_device(irn_symbol *symbol, irn_context *context, bool is_double,
                                      double *upper);

#endif
