/* Gram matrices and the floating-point Cholesky factorisation, of complex matrices in float64.
 * How wrong their results can be is derived in proof.c; it depends only on the numbers of products
 * and sums that an entry takes, not on their order. */
#ifndef IRN_CHOLESKY_H
#define IRN_CHOLESKY_H

#include "base/base.h"

/* Column k is re[k * stride + row], im likewise; rows from `rows` to `stride` are zero. Of
 * Hermitian matrices and of factors only the lower triangle means something. */
typedef struct irn_planes {
    size_t rows, columns, stride;
    double *re, *im;
} irn_planes;

/* Zeroed. Errors: IRN_ERROR_ARGUMENT (sizes that overflow), IRN_ERROR_MEMORY. */
irn_status irn_planes_create(irn_planes *out, size_t rows, size_t columns);
/* Also accepts a zeroed struct. */
void irn_planes_free(irn_planes *planes);

/* gram = X X^H, of order x->rows. */
void irn_gram(irn_planes *gram, const irn_planes *x);

/* factor factor^H = shift I - gram. Whether all pivots were positive; if not, the factor is
 * meaningless. trace: of the matrix that was factored. */
bool irn_cholesky(irn_planes *factor, const irn_planes *gram, double shift, double *trace);

/* Solves factor factor^H x = b in place. re, im: factor->stride values. */
void irn_cholesky_solve(const irn_planes *factor, double *re, double *im);

#endif
