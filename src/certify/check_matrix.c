/* Gram matrices, the Cholesky factorisation, and the theorem that makes them a proof.
 *
 * THEOREM (Rump, "Verification of positive definiteness", BIT 46, 2006; Demmel 1989; Higham,
 * "Accuracy and Stability of Numerical Algorithms", 2nd ed., lemma 8.4 and section 3.1). All
 * numbers are real; u = 2^-53, eta = 2^-1022, g(k) = k u / (1 - k u). R has m rows and n columns.
 *
 * 1. SUMS of n products are made in runs of 64, whose results are added up. A product passes
 * through at most r(n) = 1 + min(n, 64) + ceil(n / 64) roundings: its own, the run's, the runs'. So
 * an entry of G = fl(R R^T) is wrong by at most g(r(n)) sum_k |R_ik| |R_jk| <= g(r(n)) |R_i| |R_j|
 *    (Cauchy-Schwarz), and ||G - R R^T|| <= g(r(n)) ||R||_F^2. Fused operations round less often.
 * 2. B = fl(s I - G): only the diagonal rounds, by at most u s where 0 <= G_ii <= s; for G_ii > s a
 *    pivot is negative.
 * 3. B = L L^T runs to completion, four columns at a time:
 *        L_jj L_ij = B_ij - (sum over columns before the four) - (up to 3 products, one by one),
 *    then divided by L_jj, or on the diagonal a square root. B_ij collects at most 4 factors
 *    1 + delta; divided by them, a product of the sum carries at most r(m) + 4 + 4, L_jj L_ij at
 *    most 2 + 4. With a = g(r(m) + 8) the residual of an entry is at most a sum_{k<=j} |L_ik||L_jk|
 *    <= a |L_i| |L_j|, and on the diagonal (1 - a) |L_j|^2 <= B_jj. The matrix of |L_i| |L_j| has
 *    norm sum |L_j|^2, so
 *        lambda_min(B) >= -alpha tr B,  alpha = a / (1 - a).
 *    Columns left of a row's first entry are zero in B and in L, and left out.
 * 4. UNDERFLOW loses at most eta with each product or quotient: in all, through norms of matrices
 * of order m, less than 8 (m + 1)(m + n + 1 + s) eta. With B = s I - G >= -alpha tr B, tr B <= m s
 * - tr G (1 + u for its rounding), s <= V^2:
 *    ||R||^2 <= s + u V^2 + alpha (m V^2 - tr G) + g(r(n)) ||R||_F^2 + 8 (m+1)(m+n+1+V^2) eta.
 * If s is V^2 less these terms, then ||R|| <= V, and ||A|| <= V + ||A - R||: V is what the claim
 * leaves for R.
 *
 * EVALUATION. The terms are sums of positive numbers, relatively wrong by less than 1/500 (sizes
 * times u are below 1/1000, as is asked for); ||R||_F^2 <= tr G / (1 - g(r(n))). They are enlarged
 * by 1/100. (m V^2 - tr G may cancel, but is then wrong by m^2 u^2 V^2 times a small number, less
 * than what u V^2 is enlarged by.) Other operations are rounded and moved down by one neighbour. */
#include "certify/check.h"
#include "base/round.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = IRN_CHECK_PANEL, COLUMNS = 4, RUN = 64 };

static const double unit = 0x1p-53, enlarged = 1.01;

/* Compiled twice where the loader can choose: for processors with 256-bit registers, and for all.
 * (Static functions alone: of others Clang 14 loses the name.) */
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__has_attribute)
#if __has_attribute(target_clones)
#define FOR_PROCESSORS __attribute__((target_clones("avx2", "default")))
#endif
#endif
#ifndef FOR_PROCESSORS
#define FOR_PROCESSORS
#endif

irn_status irn_check_matrix_create(irn_check_matrix *out, size_t rows, size_t columns)
{
    size_t count, panels = rows / ROWS + (rows % ROWS > 0);
    const size_t sizes[] = {panels, ROWS, columns};
    *out = (irn_check_matrix){.rows = rows, .columns = columns, .panels = panels};
    if (!irn_product(&count, sizes, 3))
        return irn_fail(IRN_ERROR_MEMORY, "a %zu x %zu matrix is beyond what can be counted", rows,
                        columns);
    return irn_alloc(&out->values, count, sizeof(double));
}

void irn_check_matrix_free(irn_check_matrix *matrix)
{
    free(matrix->values);
    *matrix = (irn_check_matrix){0};
}

/* Four columns of a panel. */
typedef double tile[COLUMNS][ROWS];

/* sum[c][r] = sum over k < depth of a[k, r] b[k, c], both steps through panels. */
static inline void sum_products(tile sum, const double *a, const double *b, size_t depth)
{
    for (size_t first = 0; first < depth; first += RUN) {
        size_t end = irn_smaller(first + RUN, depth);
        tile run = {{0}};
        for (size_t k = first; k < end; k++)
            for (size_t c = 0; c < COLUMNS; c++)
                for (size_t r = 0; r < ROWS; r++)
                    run[c][r] += a[k * ROWS + r] * b[k * ROWS + c];
        for (size_t c = 0; c < COLUMNS; c++)
            for (size_t r = 0; r < ROWS; r++)
                sum[c][r] += run[c][r];
    }
}

double irn_check_roundings(size_t columns)
{
    return 1 + (double)irn_smaller(columns, RUN) + ceil((double)columns / RUN);
}

FOR_PROCESSORS
static void products(irn_check_matrix *out, size_t panel, const irn_check_matrix *a,
                     const irn_check_matrix *b, bool lower)
{
    for (size_t column = 0; column < b->panels * ROWS; column += COLUMNS)
        for (size_t row = lower ? column / ROWS : 0; row < a->panels; row++) {
            tile sum = {{0}};
            sum_products(sum, a->values + row * a->columns * ROWS,
                         b->values + irn_check_place(b, column, 0), a->columns);
            memcpy(out->values + irn_check_place(out, (panel + row) * ROWS, column), sum,
                   sizeof sum);
        }
}

void irn_check_product(irn_check_matrix *out, size_t panel, const irn_check_matrix *a,
                       const irn_check_matrix *b, bool lower)
{
    products(out, panel, a, b, lower);
}

FOR_PROCESSORS
static void combine(double *re, double *im, size_t count, const double *terms, size_t stride,
                    const double *factors, size_t factor_count)
{
    enum { CHUNK = 256 };
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t length = irn_smaller(CHUNK, count - first);
        double a[CHUNK] = {0}, b[CHUNK] = {0};
        for (size_t t = 0; t < factor_count; t++) {
            const double *from = terms + t * stride + first;
            double c = factors[2 * t], s = factors[2 * t + 1];
            for (size_t i = 0; i < length; i++) {
                a[i] += from[i] * c;
                b[i] += from[i] * s;
            }
        }
        memcpy(re + first, a, length * sizeof *a);
        memcpy(im + first, b, length * sizeof *b);
    }
}

void irn_check_combine(double *re, double *im, size_t count, const double *terms, size_t stride,
                       const double *factors, size_t factor_count)
{
    combine(re, im, count, terms, stride, factors, factor_count);
}

/* Takes off four columns of a panel what the columns before them account for. */
static inline void update(irn_check_matrix *b, const size_t *first, size_t panel, size_t column)
{
    size_t own = column / ROWS, begin = first ? irn_larger(first[panel], first[own]) : 0;
    double *values = b->values + irn_check_place(b, panel * ROWS, column);
    tile sum = {{0}};
    if (begin >= column)
        return;
    sum_products(sum, b->values + irn_check_place(b, panel * ROWS, begin),
                 b->values + irn_check_place(b, column, begin), column - begin);
    for (size_t c = 0; c < COLUMNS; c++)
        for (size_t r = 0; r < ROWS; r++)
            values[c * ROWS + r] -= sum[c][r];
}

/* Column c of four, from those before it; factors: the columns' own rows, factors[k][c]. */
static inline void subtract(double *values, const double *factors, size_t c)
{
    for (size_t k = 0; k < c; k++)
        for (size_t r = 0; r < ROWS; r++)
            values[c * ROWS + r] -= values[k * ROWS + r] * factors[k * ROWS + c];
}

static inline void divide(double *values, double pivot)
{
    for (size_t r = 0; r < ROWS; r++)
        values[r] /= pivot;
}

/* The panel in which the four columns have their diagonal; rows above it become whatever. Whether
 * all pivots are positive. */
static inline bool factorise_diagonal(double *values, size_t row)
{
    for (size_t c = 0; c < COLUMNS; c++) {
        subtract(values, values + row, c);
        double pivot = values[c * ROWS + row + c];
        if (!(pivot > 0))
            return false;
        double root = sqrt(pivot);
        divide(values + c * ROWS, root);
        values[c * ROWS + row + c] = root;
    }
    return true;
}

FOR_PROCESSORS
static bool factorise(irn_check_matrix *b, const size_t *first)
{
    for (size_t column = 0; column < b->panels * ROWS; column += COLUMNS) {
        size_t own = column / ROWS, row = column % ROWS;
        double *diagonal = b->values + irn_check_place(b, own * ROWS, column);
        update(b, first, own, column);
        if (!factorise_diagonal(diagonal, row))
            return false;
        for (size_t panel = own + 1; panel < b->panels; panel++) {
            if (first && first[panel] >= column + COLUMNS)
                continue;
            double *values = b->values + irn_check_place(b, panel * ROWS, column);
            update(b, first, panel, column);
            for (size_t c = 0; c < COLUMNS; c++) {
                subtract(values, diagonal + row, c);
                divide(values + c * ROWS, diagonal[c * ROWS + row + c]);
            }
        }
    }
    return true;
}

static double gamma_of(double roundings)
{
    return roundings * unit / (1 - roundings * unit);
}

/* s of the theorem; 0 where the claim leaves nothing. */
static double shift_of(const irn_check_claim *claim)
{
    double m = (double)claim->order, n = (double)claim->depth;
    double factor_roundings = irn_check_roundings(claim->order) + 8;
    if (!((m + n + claim->roundings + factor_roundings) * unit <= 1e-3))
        return 0;
    double left = irn_round_down(claim->upper - claim->error);
    if (!(left > 0))
        return 0;
    double square = irn_round_down(left * left), a = gamma_of(factor_roundings);
    double slack = unit * square + a / (1 - a) * fmax(0, m * square - claim->trace) +
                   gamma_of(claim->roundings) * claim->trace +
                   8 * (m + 1) * (m + n + 1 + square) * DBL_MIN;
    return irn_round_down(square - enlarged * slack);
}

bool irn_check_prove(const irn_check_claim *claim, irn_check_matrix *gram, const size_t *first)
{
    double shift = shift_of(claim);
    if (!(shift > 0))
        return false;
    for (size_t i = 0; i < gram->panels * gram->columns * ROWS; i++)
        gram->values[i] = -gram->values[i];
    for (size_t i = 0; i < gram->panels * ROWS; i++)
        gram->values[irn_check_place(gram, i, i)] += shift;
    return factorise(gram, first);
}
