/* The leading eigenvalue of a symmetric positive semidefinite map, to begin a proof with. */
#ifndef IRN_LANCZOS_H
#define IRN_LANCZOS_H

#include "base/base.h"

/* out = M x. */
typedef void irn_symmetric_map(double *out, const double *x, void *payload);

enum { IRN_LANCZOS_STEPS = 100 };

/* The method of Lanczos (1950) from the vector x, which becomes the unit vector that it finds near
 * the leading eigenvector, in at most so many steps, IRN_LANCZOS_STEPS of them at most. What it
 * finds is from below, and nothing says how near: no proof rests on it. Errors: IRN_ERROR_MEMORY.
 */
irn_status irn_lanczos(double *x, size_t order, size_t steps, irn_symmetric_map *map,
                       void *payload);

#endif
