/* Results of a rounded operation, moved to the safe side. */
#ifndef IRN_ROUND_H
#define IRN_ROUND_H

#include <math.h>

/* The neighbour above, or below, of a result that was rounded to nearest. */
static inline double irn_round_up(double value)
{
    return nextafter(value, (double)INFINITY);
}

static inline double irn_round_down(double value)
{
    return nextafter(value, -(double)INFINITY);
}

#endif
