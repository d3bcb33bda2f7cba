#include "exact.h"

enum { BITS = EXACT_BITS };

/* A pivot that may be 0: the matrix is indefinite all the same if a 2 x 2 minor with it is
 * negative. */
static int beside(const arb_mat_t a, slong j)
{
    int result = 0;
    arb_t minor;
    arb_init(minor);
    for (slong i = j + 1; i < arb_mat_nrows(a) && result == 0; i++) {
        arb_mul(minor, arb_mat_entry(a, i, i), arb_mat_entry(a, j, j), BITS);
        arb_submul(minor, arb_mat_entry(a, i, j), arb_mat_entry(a, i, j), BITS);
        result = arb_is_negative(minor);
    }
    arb_clear(minor);
    return result;
}

/* How ||M|| compares with t, by the pivots of t^2 I - gram: -1 below, 1 above, 0 undecided. */
static int compare(const arb_mat_t gram, double t)
{
    int result = -1;
    slong order = arb_mat_nrows(gram);
    arb_mat_t a;
    arb_t square, factor;
    arb_mat_init(a, order, order);
    arb_init(square);
    arb_init(factor);
    arb_mat_neg(a, gram);
    arb_set_d(square, t);
    arb_sqr(square, square, BITS);
    for (slong i = 0; i < order; i++)
        arb_add(arb_mat_entry(a, i, i), arb_mat_entry(a, i, i), square, BITS);
    for (slong j = 0; j < order && result == -1; j++) {
        if (!arb_is_positive(arb_mat_entry(a, j, j)))
            result = arb_is_negative(arb_mat_entry(a, j, j)) ? 1 : beside(a, j);
        for (slong i = j + 1; i < order && result == -1; i++) {
            arb_div(factor, arb_mat_entry(a, i, j), arb_mat_entry(a, j, j), BITS);
            for (slong k = j + 1; k <= i; k++)
                arb_submul(arb_mat_entry(a, i, k), factor, arb_mat_entry(a, k, j), BITS);
        }
    }
    arb_mat_clear(a);
    arb_clear(square);
    arb_clear(factor);
    return result;
}

static void gram_of(arb_mat_t gram, const arb_mat_t m)
{
    arb_mat_t turned;
    arb_mat_init(turned, arb_mat_ncols(m), arb_mat_nrows(m));
    arb_mat_transpose(turned, m);
    arb_mat_mul(gram, m, turned, BITS);
    arb_mat_clear(turned);
}

void exact_judge(exact_verdict *v, const arb_mat_t m, irn_bound bound)
{
    arb_mat_t gram;
    arb_mat_init(gram, arb_mat_nrows(m), arb_mat_nrows(m));
    gram_of(gram, m);
    v->below_upper = v->below_upper && compare(gram, bound.upper) == -1;
    v->above_lower = v->above_lower || bound.lower == 0 || compare(gram, bound.lower) == 1;
    arb_mat_clear(gram);
}
