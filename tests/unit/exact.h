/* How norms of real matrices compare with bounds, in Arb's ball arithmetic, where a sign that it
 * states is the sign: ||M|| < t exactly if t^2 I - M M^T has only positive pivots. */
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

#endif
