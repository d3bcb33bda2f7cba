/* How norms of matrices compare with bounds, in Arb's ball arithmetic, where a sign that it states
 * is the sign: ||M|| < t exactly if t^2 I - M M^T has only positive pivots. Complex matrices are in
 * the real form [Re, -Im; Im, Re], which has the same norm. */
#ifndef EXACT_H
#define EXACT_H

#include <iresnet/certify.h>

#include <arb_mat.h>

enum { EXACT_BITS = 192 };

typedef struct exact_verdict {
    bool below_upper, above_lower;
} exact_verdict;

/* Of several matrices one after the other, whose largest norm the bound is of; begin with {true,
 * false}. */
void exact_judge(exact_verdict *v, const arb_mat_t m, irn_bound bound);

/* gram = M M^T, in a matrix of that size. */
void exact_gram(arb_mat_t gram, const arb_mat_t m);

/* How ||M|| compares with t: -1 below, 1 above, 0 undecided. */
int exact_compare(const arb_mat_t gram, double t);

/* ---- matrices ---- */

/* Adds to a complex entry; row and column are of the complex matrix. */
void exact_add(arb_mat_t m, slong row, slong column, const arb_t re, const arb_t im);

/* The symbol at frequency (a, b) of a stride-1 convolution on a torus, or its transpose, whichever
 * has no more rows than columns; to be cleared. */
void exact_symbol(arb_mat_t m, const double *kernel, const irn_kernel_shape *shape,
                  const size_t torus[2], size_t a, size_t b);

/* Any layer from its definition (dense.h), or its transpose, likewise. */
void exact_operator(arb_mat_t m, const double *kernel, const irn_kernel_shape *shape);

#endif
