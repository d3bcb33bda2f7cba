/* The checker's own proofs of upper bounds: plain float64 on the host, a code path that shares no
 * function with the prover's. A claimed bound is tested by one factorisation for each matrix that
 * the layer consists of; nothing is searched for. */
#ifndef IRN_CHECK_H
#define IRN_CHECK_H

#include "base/base.h"

#include <iresnet/certify.h>

/* ---- check_matrix.c: real matrices, and how wrong what is computed of them can be ---- */

/* In panels of eight rows: row r, column k stands at irn_check_place(). Rows from `rows` to the
 * last panel's end are zero. Of symmetric matrices only the lower triangle means something. */
#define IRN_CHECK_PANEL 8
typedef struct irn_check_matrix {
    size_t rows, columns, panels;
    double *values;
} irn_check_matrix;

static inline size_t irn_check_place(const irn_check_matrix *matrix, size_t row, size_t column)
{
    size_t panel = row / IRN_CHECK_PANEL;
    return (panel * matrix->columns + column) * IRN_CHECK_PANEL + row % IRN_CHECK_PANEL;
}

/* Zeroed. Errors: IRN_ERROR_MEMORY, also for sizes that overflow. */
irn_status irn_check_matrix_create(irn_check_matrix *out, size_t rows, size_t columns);
/* Also accepts a zeroed struct. */
void irn_check_matrix_free(irn_check_matrix *matrix);

/* out[8 panel + i, j] = sum over columns of a[i, k] b[j, k] for all rows, whole panels of them, of
 * a and of b; lower: where j <= i alone. */
void irn_check_product(irn_check_matrix *out, size_t panel, const irn_check_matrix *a,
                       const irn_check_matrix *b, bool lower);

/* re[i], im[i] = sum over t of terms[t * stride + i] times the complex factor t, one after the
 * other.
 */
void irn_check_combine(double *re, double *im, size_t count, const double *terms, size_t stride,
                       const double *factors, size_t factor_count);

/* What is claimed of a matrix A that R stands for, ||A - R|| <= error; G is the computed Gram
 * matrix of R's rows, with entries of at most so many roundings each. */
typedef struct irn_check_claim {
    double upper, error; /* the claim is ||A|| <= upper */
    size_t order, depth; /* of G; terms of its entries */
    double roundings;    /* of an entry of G */
    double trace;        /* of G */
} irn_check_claim;

/* Roundings of an entry of irn_check_product(). */
double irn_check_roundings(size_t columns);

/* Whether the claim is proven: G becomes the factor of shift I - G. Its columns are those of whole
 * panels. The entries of panel i are zero left of column first[i], a multiple of 8; NULL: of none.
 */
bool irn_check_prove(const irn_check_claim *claim, irn_check_matrix *gram, const size_t *first);

/* ---- check_layer.c ---- */

/* One dimension of a layer: which taps can act, at which offsets, and where. */
typedef struct irn_check_axis {
    size_t first, taps;  /* from the kernel's first to its last tap that acts and is not 0 */
    size_t step;         /* divides the distances between those; 0: there is one, or none */
    int64_t offset;      /* of the first, in pixels */
    size_t dilation;     /* pixels from one tap to the next */
    size_t stride;       /* of the outputs; of the symbol 1 where that bounds the layer too */
    size_t map, outputs; /* pixels; 0: any number */
    size_t torus;        /* frequencies of the symbol */
    bool shifted;        /* they are half-way between those of the periodic torus */
} irn_check_axis;

/* One group of a layer's channels. */
typedef struct irn_check_layer {
    const char *name;
    size_t outputs, inputs, kernel_height, kernel_width;
    irn_check_axis y, x;
    const double *values; /* [outputs, inputs, kernel_height, kernel_width], of order 1 */
    double upper;         /* what its norm is to be proven not to exceed, in the same units */
} irn_check_layer;

/* Where progress goes, and what can cancel. */
typedef struct irn_check_watch {
    const irn_certify_options *options;
    size_t done, total;
} irn_check_watch;

/* Tap number `tap` of y.taps x x.taps. */
double irn_check_tap(const irn_check_layer *layer, size_t output, size_t input, size_t tap);

/* Proves bound->kernel_upper for a kernel [outputs, inputs / groups, kernel_height, kernel_width]
 * of the bound's shape, which is brought to order 1. Errors: IRN_ERROR_NOT_CERTIFIED with a
 * sentence on what is wrong, IRN_ERROR_NUMERIC (NaN, infinity), IRN_ERROR_MEMORY,
 * IRN_ERROR_CANCELLED. */
irn_status irn_check_kernel(const irn_layer_bound *bound, double *kernel,
                            const irn_check_watch *watch);

/* ---- check_symbol.c, check_operator.c: the same of one group ---- */

irn_status irn_check_symbol(const irn_check_layer *layer, const irn_check_watch *watch);

/* The largest order of an operator's Gram matrix that is looked at. */
#define IRN_CHECK_ORDER 4096
irn_status irn_check_operator(const irn_check_layer *layer, const irn_check_watch *watch);

#endif
