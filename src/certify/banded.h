/* The floating-point Cholesky factorisation of banded real symmetric matrices in float64. How wrong
 * it can be is derived in proof.c, and depends only on the number of products in an entry. */
#ifndef IRN_BANDED_H
#define IRN_BANDED_H

#include "base/base.h"
#include "certify/panel.h"

/* The lower triangle in blocks of 8 x 8: block (r, c) is stored for r - reach <= c <= r, as part of
 * a panel of eight rows. Rows beyond the order are zero. */
typedef struct irn_banded {
    size_t order, panels, reach;
    double *values;
} irn_banded;

/* Zeroed, for entries at most `band` below the diagonal. Errors: IRN_ERROR_MEMORY. */
irn_status irn_banded_create(irn_banded *out, size_t order, size_t band);
/* Also accepts a zeroed struct. */
void irn_banded_free(irn_banded *matrix);
void irn_banded_clear(irn_banded *matrix);
/* Doubles that such a matrix takes. */
size_t irn_banded_size(size_t order, size_t band);

/* Adds block[c * stride + r], r, c < size, to the entries (row + r, column + c); those above the
 * matrix's diagonal are left out. */
void irn_banded_add(irn_banded *matrix, size_t row, size_t column, const double *block, size_t size,
                    size_t stride);

double irn_banded_trace(const irn_banded *matrix);

/* factor factor^T = shift I - gram, of the same order and band. Whether all pivots were positive;
 * if not, the factor is meaningless. trace: of the matrix that was factored. */
bool irn_banded_cholesky(irn_banded *factor, const irn_banded *gram, double shift, double *trace);

/* Solves factor factor^T x = b in place. x: 8 x panels values, those beyond the order 0. */
void irn_banded_solve(const irn_banded *factor, double *x);

#endif
