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

/* Adds block[c * size + r], r, c < size, to the entries (row + r, column + c), as far as they are
 * on the diagonal or within the band below it; what is beyond the band should be zero. */
void irn_banded_add(irn_banded *matrix, size_t row, size_t column, const double *block,
                    size_t size);

double irn_banded_trace(const irn_banded *matrix);

/* factor factor^T = shift I - gram, of the same order and band. Whether all pivots were positive;
 * if not, the factor is meaningless. trace: of the matrix that was factored. */
bool irn_banded_cholesky(irn_banded *factor, const irn_banded *gram, double shift, double *trace);

/* Vectors have 8 x panels values; those beyond the order are 0. */

/* y = M x. */
void irn_banded_times(const irn_banded *matrix, double *y, const double *x);

/* Solves factor factor^T x = b in place. */
void irn_banded_solve(const irn_banded *factor, double *x);

#endif
