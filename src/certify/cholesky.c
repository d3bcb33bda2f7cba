#include "certify/cholesky.h"

#include <math.h>
#include <stdlib.h>

/* A tile's accumulators fit the registers of common processors. */
enum { TILE_ROWS = 4, TILE_COLUMNS = 2 };

typedef struct tile {
    double re[TILE_COLUMNS][TILE_ROWS], im[TILE_COLUMNS][TILE_ROWS];
} tile;

irn_status irn_planes_create(irn_planes *out, size_t rows, size_t columns)
{
    size_t count;
    *out = (irn_planes){.rows = rows, .columns = columns};
    if (rows == 0 || columns == 0 || rows > SIZE_MAX - TILE_ROWS)
        return irn_fail(IRN_ERROR_ARGUMENT, "no matrix is %zu x %zu", rows, columns);
    out->stride = (rows + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    const size_t sizes[] = {2, out->stride, columns};
    if (!irn_product(&count, sizes, 3))
        return irn_fail(IRN_ERROR_ARGUMENT, "a %zu x %zu matrix is beyond what can be counted",
                        rows, columns);
    IRN_TRY(irn_alloc(&out->re, count, sizeof(double)));
    out->im = out->re + count / 2;
    return IRN_OK;
}

void irn_planes_free(irn_planes *planes)
{
    free(planes->re);
    *planes = (irn_planes){0};
}

/* out[c][r] = sum over k < depth of X[row + r, k] conj(X[column + c, k]). */
static void multiply(tile *out, const irn_planes *x, size_t row, size_t column, size_t depth)
{
    tile sum = {0};
    for (size_t k = 0; k < depth; k++) {
        const double *re = x->re + k * x->stride, *im = x->im + k * x->stride;
        for (size_t c = 0; c < TILE_COLUMNS; c++) {
            double a = re[column + c], b = im[column + c];
            for (size_t r = 0; r < TILE_ROWS; r++) {
                sum.re[c][r] += re[row + r] * a + im[row + r] * b;
                sum.im[c][r] += im[row + r] * a - re[row + r] * b;
            }
        }
    }
    *out = sum;
}

static size_t tile_above(size_t row)
{
    return row / TILE_ROWS * TILE_ROWS;
}

void irn_gram(irn_planes *gram, const irn_planes *x)
{
    tile sum;
    for (size_t column = 0; column < x->rows; column += TILE_COLUMNS)
        for (size_t row = tile_above(column); row < x->rows; row += TILE_ROWS) {
            multiply(&sum, x, row, column, x->columns);
            for (size_t c = 0; c < TILE_COLUMNS && column + c < x->rows; c++)
                for (size_t r = 0; r < TILE_ROWS; r++) {
                    gram->re[(column + c) * gram->stride + row + r] = sum.re[c][r];
                    gram->im[(column + c) * gram->stride + row + r] = sum.im[c][r];
                }
        }
}

/* Columns `column` ... of shift I - gram, less what the factor's columns before them account for.
 */
static void update(irn_planes *factor, const irn_planes *gram, size_t column, double shift,
                   double *trace)
{
    tile sum;
    size_t stride = gram->stride;
    for (size_t row = tile_above(column); row < gram->rows; row += TILE_ROWS) {
        multiply(&sum, factor, row, column, column);
        for (size_t c = 0; c < TILE_COLUMNS && column + c < gram->rows; c++)
            for (size_t r = 0; r < TILE_ROWS; r++) {
                size_t at = (column + c) * stride + row + r;
                double entry = -gram->re[at];
                if (row + r == column + c) {
                    entry += shift;
                    *trace += entry;
                }
                factor->re[at] = entry - sum.re[c][r];
                factor->im[at] = -gram->im[at] - sum.im[c][r];
            }
    }
}

/* Takes column k's part off column j, rows from j on. */
static void subtract(irn_planes *factor, size_t j, size_t k)
{
    double *re = factor->re + j * factor->stride, *im = factor->im + j * factor->stride;
    const double *from_re = factor->re + k * factor->stride;
    const double *from_im = factor->im + k * factor->stride;
    double a = from_re[j], b = from_im[j];
    for (size_t i = j; i < factor->rows; i++) {
        re[i] -= from_re[i] * a + from_im[i] * b;
        im[i] -= from_im[i] * a - from_re[i] * b;
    }
}

static bool scale(irn_planes *factor, size_t j)
{
    double *re = factor->re + j * factor->stride, *im = factor->im + j * factor->stride;
    if (!(re[j] > 0))
        return false;
    double root = sqrt(re[j]);
    re[j] = root;
    im[j] = 0;
    for (size_t i = j + 1; i < factor->rows; i++) {
        re[i] /= root;
        im[i] /= root;
    }
    return true;
}

bool irn_cholesky(irn_planes *factor, const irn_planes *gram, double shift, double *trace)
{
    *trace = 0;
    for (size_t column = 0; column < gram->rows; column += TILE_COLUMNS) {
        update(factor, gram, column, shift, trace);
        for (size_t j = column; j < column + TILE_COLUMNS && j < gram->rows; j++) {
            for (size_t k = column; k < j; k++)
                subtract(factor, j, k);
            if (!scale(factor, j))
                return false;
        }
    }
    return true;
}

void irn_cholesky_solve(const irn_planes *factor, double *re, double *im)
{
    for (size_t j = 0; j < factor->rows; j++) {
        const double *l_re = factor->re + j * factor->stride,
                     *l_im = factor->im + j * factor->stride;
        double a = re[j] /= l_re[j], b = im[j] /= l_re[j];
        for (size_t i = j + 1; i < factor->rows; i++) {
            re[i] -= l_re[i] * a - l_im[i] * b;
            im[i] -= l_re[i] * b + l_im[i] * a;
        }
    }
    for (size_t j = factor->rows; j-- > 0;) {
        const double *l_re = factor->re + j * factor->stride,
                     *l_im = factor->im + j * factor->stride;
        double a = re[j], b = im[j];
        for (size_t i = j + 1; i < factor->rows; i++) {
            a -= l_re[i] * re[i] + l_im[i] * im[i];
            b -= l_re[i] * im[i] - l_im[i] * re[i];
        }
        re[j] = a / l_re[j];
        im[j] = b / l_re[j];
    }
}
