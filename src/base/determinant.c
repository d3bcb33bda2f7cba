/* LU decomposition with partial pivoting, a panel of columns at a time; the rest of the matrix
 * follows in tiles that stay in the cache. */
#include "base/determinant.h"

#include "base/base.h"

#include <math.h>

enum { PANEL = 64, TILE = 256 };

/* Exchanges rows k and the one that has the column's largest element, if it is not k. */
static void pivot(double *a, size_t n, size_t k)
{
    size_t best = k;
    for (size_t i = k + 1; i < n; i++)
        if (fabs(a[i * n + k]) > fabs(a[best * n + k]))
            best = i;
    for (size_t j = 0; best != k && j < n; j++) {
        double other = a[best * n + j];
        a[best * n + j] = a[k * n + j];
        a[k * n + j] = other;
    }
}

/* Row i loses factor times row k, in columns from..to-1. */
static void subtract(double *a, size_t n, size_t i, size_t k, size_t from, size_t to)
{
    double factor = a[i * n + k];
    double *restrict row = a + i * n;
    const double *restrict pivot_row = a + k * n;
    for (size_t j = from; j < to; j++)
        row[j] -= factor * pivot_row[j];
}

/* Factorises columns k0..k1-1 below the diagonal. */
static void factorise_panel(double *a, size_t n, size_t k0, size_t k1)
{
    for (size_t k = k0; k < k1; k++) {
        pivot(a, n, k);
        double diagonal = a[k * n + k];
        for (size_t i = k + 1; i < n && diagonal != 0; i++) {
            a[i * n + k] /= diagonal;
            subtract(a, n, i, k, k + 1, k1);
        }
    }
}

double irn_log_abs_determinant(double *a, size_t n)
{
    double sum = 0;
    for (size_t k0 = 0; k0 < n; k0 += PANEL) {
        size_t k1 = irn_smaller(k0 + PANEL, n);
        factorise_panel(a, n, k0, k1);
        for (size_t j = k1; j < n; j += TILE)
            for (size_t i = k0 + 1; i < n; i++)
                for (size_t k = k0; k < irn_smaller(i, k1); k++)
                    subtract(a, n, i, k, j, irn_smaller(j + TILE, n));
    }
    for (size_t k = 0; k < n; k++)
        sum += log(fabs(a[k * n + k]));
    return sum;
}
