/* Gram matrices from correlations, and their rounding errors.
 *
 * THEOREM. S = sum_t |X_t| entry by entry, Q = S S^T, u the unit roundoff of the arithmetic that
 * sums, u' that of float64, eta and eta' what an underflow loses, g(k) = k u / (1 - k u).
 *
 * 1. An entry of C_d is an inner product of at most N = pairs x columns terms; sum and difference
 *    of C_d and its transpose take one operation more, storing them another rounding in u. Both are
 *    wrong by at most (g'(N + 1) + u) q_d, less second order, q_d being the sum of the magnitudes
 * of their products. Those sum up to Q over all lags (the lags that are their own negative
 *    counted half): every ordered pair of taps is met once.
 * 2. Cosines and sines come from roots of unity with an error of 8 u' (roots.c); the product of two
 *    roots is wrong by 2 * 8 u' + sqrt(2) g'(2) and less than 20 u'; conversion adds u.
 * 3. Either part of an entry of G sums `lags` products: g(lags) sum |products|.
 * So each part is wrong by at most ((N + 22) u' + (lags + 3) u) Q_ij if that factor is below
 * 1/1000, enlarged by 1/100 for second order; the entry by sqrt(2) times it, and the matrix by
 *     sqrt(2) 1.01 ((N + 22) u' + (lags + 3) u) ||Q||_F,   ||Q||_F <= ||S||_F^2.
 * 4. Underflow: each of N products in each of the lags loses eta', storing, conversion and the
 *    product with the cosine eta each, times what they meet: less than
 *    2 rows lags (2 N eta' + 4 eta) (1 + ||S||_F^2) in norm.
 *
 * Of a layer that is not zero ||S||_F^2 is at most taps x rows x ||layer||^2: summing up the
 * squared Frobenius norms of X(w) over all frequencies gives (Parseval) the torus times the sum of
 * the taps' own. So the error is small relative to the norm, whatever cancels. */
#include "certify/correlation.h"
#include "certify/roots.h"

#include <math.h>
#include <stdlib.h>

/* Pairs of them are listed. */
enum { MOST_TAPS = 2048 };

/* An ordered pair of taps and its d, as one number. */
typedef struct pair {
    size_t key;
    int first, second;
} pair;

static size_t minus(size_t a, size_t b, size_t period)
{
    return a >= b ? a - b : a + period - b;
}

static int by_key(const void *a, const void *b)
{
    const pair *left = a, *right = b;
    if (left->key != right->key)
        return left->key < right->key ? -1 : 1;
    return left->first < right->first ? -1 : left->first > right->first;
}

/* All pairs whose d is not above -d, ordered by d. */
static size_t list_pairs(const irn_tap_list *list, pair *pairs)
{
    size_t count = 0, height = list->axes[0].period, width = list->axes[1].period;
    for (size_t s = 0; s < list->count; s++)
        for (size_t t = 0; t < list->count; t++) {
            size_t y = minus(list->offsets[s][0], list->offsets[t][0], height);
            size_t x = minus(list->offsets[s][1], list->offsets[t][1], width);
            size_t key = y * width + x, negative = minus(0, y, height) * width + minus(0, x, width);
            if (key <= negative)
                pairs[count++] = (pair){key, (int)s, (int)t};
        }
    qsort(pairs, count, sizeof *pairs, by_key);
    return count;
}

static irn_status fill_pairs(irn_correlation *c, const pair *pairs, size_t count)
{
    size_t height = c->list->axes[0].period, width = c->list->axes[1].period;
    IRN_TRY(irn_alloc(&c->pairs, count, sizeof *c->pairs));
    IRN_TRY(irn_alloc(&c->starts, count + 1, sizeof *c->starts));
    IRN_TRY(irn_alloc(&c->offsets, count, sizeof *c->offsets));
    IRN_TRY(irn_alloc(&c->own_negative, count, sizeof *c->own_negative));
    for (size_t i = 0; i < count; i++) {
        c->pairs[i][0] = pairs[i].first;
        c->pairs[i][1] = pairs[i].second;
        if (i == 0 || pairs[i].key != pairs[i - 1].key) {
            size_t y = pairs[i].key / width, x = pairs[i].key % width;
            c->offsets[c->lags][0] = y;
            c->offsets[c->lags][1] = x;
            c->own_negative[c->lags] = minus(0, y, height) == y && minus(0, x, width) == x;
            c->starts[c->lags++] = i;
        }
        c->starts[c->lags] = i + 1;
        c->most_pairs = irn_larger(c->most_pairs, i + 1 - c->starts[c->lags - 1]);
    }
    return IRN_OK;
}

static irn_status find_pairs(irn_correlation *c)
{
    size_t taps = c->list->count;
    pair *pairs;
    IRN_TRY(irn_alloc(&pairs, taps * taps, sizeof *pairs));
    irn_status status = fill_pairs(c, pairs, list_pairs(c->list, pairs));
    free(pairs);
    return status;
}

static irn_status find_roots(irn_correlation *c)
{
    for (int axis = 0; axis < 2; axis++) {
        size_t period = c->list->axes[axis].period;
        IRN_TRY(irn_alloc(&c->roots[axis], period, 2 * sizeof(double)));
        for (size_t i = 0; i < period; i++)
            irn_root(i, period, &c->roots[axis][2 * i], &c->roots[axis][2 * i + 1]);
    }
    return IRN_OK;
}

irn_status irn_correlation_create(irn_correlation *out, const irn_tap_list *list, const char *name)
{
    *out = (irn_correlation){.list = list,
                             .rows = irn_smaller(list->outputs, list->inputs),
                             .columns = irn_larger(list->outputs, list->inputs),
                             .turned = list->inputs < list->outputs};
    if (list->count > MOST_TAPS)
        return irn_fail(IRN_ERROR_UNSUPPORTED, "%s: its %zu taps are beyond the limit of %d", name,
                        list->count, MOST_TAPS);
    irn_status status = find_pairs(out);
    if (status == IRN_OK)
        status = find_roots(out);
    if (status != IRN_OK)
        irn_correlation_free(out);
    return status;
}

void irn_correlation_free(irn_correlation *c)
{
    free(c->offsets);
    free(c->own_negative);
    free(c->starts);
    free(c->pairs);
    free(c->roots[0]);
    free(c->roots[1]);
    *c = (irn_correlation){0};
}

double irn_correlation_error(const irn_correlation *c, irn_rounding rounding)
{
    const irn_rounding wide = irn_rounding_64();
    double rows = (double)c->rows, lags = (double)c->lags;
    double squares = 1.01 * c->list->weight * c->list->weight;
    double terms = (double)c->columns * (double)c->most_pairs;
    double relative = (terms + 22) * wide.unit + (lags + 3) * rounding.unit;
    if (!(relative <= 1e-3))
        return INFINITY;
    double lost = 2 * rows * lags * (2 * terms * wide.tiny + 4 * rounding.tiny);
    return 1.02 * (sqrt(2) * 1.01 * relative * squares + lost * (1 + squares));
}

void irn_correlation_taps(const irn_correlation *c, size_t stride, double *taps)
{
    const irn_tap_list *list = c->list;
    const double *from = list->values;
    for (size_t i = 0; i < list->groups * list->count; i++, taps += c->columns * stride)
        for (size_t o = 0; o < list->outputs; o++)
            for (size_t k = 0; k < list->inputs; k++)
                taps[c->turned ? o * stride + k : k * stride + o] = *from++;
}

/* ---- on the host ---- */

/* A tile's accumulators fit the registers of common processors. */
enum { TILE = 4 };

typedef struct tile {
    double straight[TILE][TILE],
        turned[TILE][TILE]; /* of C_d and of its transpose, [column][row] */
} tile;

static void add_product(tile *sum, const double *a, const double *b, size_t columns, size_t stride,
                        size_t row, size_t column)
{
    for (size_t k = 0; k < columns; k++, a += stride, b += stride)
        for (size_t j = 0; j < TILE; j++)
            for (size_t i = 0; i < TILE; i++) {
                sum->straight[j][i] += a[row + i] * b[column + j];
                sum->turned[j][i] += b[row + i] * a[column + j];
            }
}

static void store_tile(const tile *sum, const irn_sums_layout *layout, size_t row, size_t column,
                       size_t lag, double *sums)
{
    for (size_t j = 0; j < TILE; j++)
        for (size_t i = 0; i < TILE; i++) {
            double a = sum->straight[j][i], b = sum->turned[j][i];
            sums[irn_sums_place(layout, column + j, row + i, lag, 0)] = a + b;
            sums[irn_sums_place(layout, column + j, row + i, lag, 1)] = a - b;
            sums[irn_sums_place(layout, row + i, column + j, lag, 0)] = a + b;
            sums[irn_sums_place(layout, row + i, column + j, lag, 1)] = b - a;
        }
}

void irn_correlation_sums(const irn_correlation *c, size_t group, const double *taps,
                          const irn_sums_layout *layout, double *sums)
{
    size_t stride = layout->stride, matrix = c->columns * stride;
    taps += group * c->list->count * matrix;
    for (size_t lag = 0; lag < c->lags; lag++)
        for (size_t column = 0; column < c->rows; column += TILE)
            for (size_t row = column; row < c->rows; row += TILE) {
                tile sum = {0};
                for (size_t p = c->starts[lag]; p < c->starts[lag + 1]; p++)
                    add_product(&sum, taps + (size_t)c->pairs[p][0] * matrix,
                                taps + (size_t)c->pairs[p][1] * matrix, c->columns, stride, row,
                                column);
                store_tile(&sum, layout, row, column, lag, sums);
            }
}

void irn_correlation_weights(const irn_correlation *c, size_t row, size_t column, double *weights)
{
    size_t height = c->list->axes[0].period, width = c->list->axes[1].period;
    for (size_t lag = 0; lag < c->lags; lag++) {
        const double *a = c->roots[0] + 2 * (row * c->offsets[lag][0] % height);
        const double *b = c->roots[1] + 2 * (column * c->offsets[lag][1] % width);
        weights[2 * lag] = a[0] * b[0] - a[1] * b[1];
        weights[2 * lag + 1] = a[0] * b[1] + a[1] * b[0];
        if (c->own_negative[lag]) {
            weights[2 * lag] /= 2;
            weights[2 * lag + 1] = 0;
        }
    }
}
