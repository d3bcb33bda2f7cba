/* Panels: eight rows of a real matrix, stored column after column, so that the sums of products of
 * factorisations run through memory in order and their accumulators fit the registers. */
#ifndef IRN_PANEL_H
#define IRN_PANEL_H

#include <stddef.h>

enum { IRN_PANEL = 8, IRN_PANEL_BLOCK = IRN_PANEL * IRN_PANEL };

/* out[8 c + r] = sum over k < depth of a[8 k + r] b[8 k + c]. */
void irn_panel_product(double *out, const double *a, const double *b, size_t depth);

/* y[r] += sum over k < depth of panel[8 k + r] x[k]. */
void irn_panel_times(double *y, const double *panel, const double *x, size_t depth);

/* y[k] += sum over r < 8 of panel[8 k + r] x[r], for k < depth. */
void irn_panel_transposed(double *y, const double *panel, const double *x, size_t depth);

#endif
