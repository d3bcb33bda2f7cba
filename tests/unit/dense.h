/* Layers' matrices, written down from the definition of a convolution, and their norms by LAPACK.
 */
#ifndef DENSE_H
#define DENSE_H

#include <iresnet/certify.h>

typedef struct dense {
    size_t rows, columns;
    double *values; /* row-major */
} dense;

/* Rows are the results' values, columns those of what a convolution reads; of a transposed layer it
 * is the transpose. values: NULL. */
dense dense_size(const irn_kernel_shape *shape);

/* Calls add() with all that an entry of the matrix is a sum of. */
typedef void dense_add(void *payload, size_t row, size_t column, double value);
void dense_visit(const double *kernel, const irn_kernel_shape *shape, dense_add *add,
                 void *payload);

/* In the host's pool. Sums, of taps that fall on one another on a torus, are rounded. */
dense dense_operator(const double *kernel, const irn_kernel_shape *shape);

double dense_norm(const dense *matrix);

#endif
