#include "spectral/svd.h"

#include <math.h>
#include <string.h>

enum { LANES = IRN_SVD_LANES, BISECTIONS = 54 };

/* Squared norm below which a vector counts as zero; the entries are of order 1. */
static const double negligible = 1e-200;

typedef struct work {
    size_t columns, rows;
    double *v, *y, *w, *squares;
    double tau_v, tau_w;
} work;

size_t irn_svd_scratch(const irn_layout *layout)
{
    return 4 * (layout->stride + layout->columns);
}

static double sum_of(const double *lanes)
{
    return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
           ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* Turns the first entry of a vector into that of its reflector, and gives tau. */
static double reflector(double *re, double *im, double squared)
{
    if (!(squared > negligible)) {
        *re = *im = 0;
        return 0;
    }
    double norm = sqrt(squared), size = hypot(*re, *im), stretch = 1 + norm / size;
    double tau = 1 / (squared + norm * size);
    *re = size > 0 ? *re * stretch : norm;
    *im = size > 0 ? *im * stretch : 0;
    return tau;
}

/* a -= y conj(w) from row `first` on, then, if left, the left reflector. */
static void apply(const work *s, double *a, size_t column, size_t first, bool left)
{
    size_t rows = s->rows;
    double wr = s->w[column], wi = s->w[s->columns + column];
    double sr[LANES] = {0}, si[LANES] = {0};
    const double *y = s->y, *v = s->v;
    for (size_t r = first; r < rows; r += LANES)
        for (size_t l = 0; l < LANES; l++) {
            size_t i = r + l;
            a[i] -= y[i] * wr + y[rows + i] * wi;
            a[rows + i] += y[i] * wi - y[rows + i] * wr;
        }
    if (!left)
        return;
    for (size_t r = first; r < rows; r += LANES)
        for (size_t l = 0; l < LANES; l++) {
            size_t i = r + l;
            sr[l] += v[i] * a[i] + v[rows + i] * a[rows + i];
            si[l] += v[i] * a[rows + i] - v[rows + i] * a[i];
        }
    double tr = s->tau_v * sum_of(sr), ti = s->tau_v * sum_of(si);
    for (size_t i = first; i < rows; i++) {
        a[i] -= v[i] * tr - v[rows + i] * ti;
        a[rows + i] -= v[i] * ti + v[rows + i] * tr;
    }
}

static void make_left(work *s, const double *a, size_t k)
{
    double squared = 0;
    for (size_t r = 0; r < s->rows; r++) {
        s->v[r] = r < k ? 0 : a[r];
        s->v[s->rows + r] = r < k ? 0 : a[s->rows + r];
        squared += s->v[r] * s->v[r] + s->v[s->rows + r] * s->v[s->rows + r];
    }
    s->tau_v = reflector(&s->v[k], &s->v[s->rows + k], squared);
    s->squares[2 * k] = squared;
}

static void make_right(work *s, const double *matrix, size_t k)
{
    double squared = 0;
    for (size_t j = k + 1; j < s->columns; j++) {
        double re = matrix[2 * s->rows * j + k], im = matrix[2 * s->rows * j + s->rows + k];
        s->w[j] = re;
        s->w[s->columns + j] = -im;
        squared += re * re + im * im;
    }
    s->tau_w = reflector(&s->w[k + 1], &s->w[s->columns + k + 1], squared);
    s->squares[2 * k + 1] = squared;
}

/* y = tau A w over the columns right of k. */
static void collect(work *s, const double *matrix, size_t k)
{
    size_t rows = s->rows, first = (k + 1) / LANES * LANES;
    double *y = s->y;
    memset(y, 0, 2 * rows * sizeof *y);
    for (size_t j = k + 1; j < s->columns; j++) {
        const double *a = matrix + 2 * rows * j;
        double wr = s->tau_w * s->w[j], wi = s->tau_w * s->w[s->columns + j];
        for (size_t r = first; r < rows; r++) {
            y[r] += a[r] * wr - a[rows + r] * wi;
            y[rows + r] += a[r] * wi + a[rows + r] * wr;
        }
    }
}

/* How many of the 2 columns eigenvalues (plus and minus the singular values) are at least x. */
static void not_smaller(const work *s, const double *x, int *count)
{
    double q[LANES];
    for (size_t l = 0; l < LANES; l++) {
        q[l] = -x[l];
        count[l] = 0;
    }
    for (size_t i = 0;; i++) {
        for (size_t l = 0; l < LANES; l++) {
            q[l] = fabs(q[l]) < 1e-290 ? -1e-290 : q[l];
            count[l] += q[l] < 0 ? 0 : 1;
        }
        if (i == 2 * s->columns - 1)
            return;
        for (size_t l = 0; l < LANES; l++)
            q[l] = -x[l] - s->squares[i] / q[l];
    }
}

static void bisect(const work *s, double *values, size_t wanted)
{
    double top = 0;
    for (size_t i = 0; i < 2 * s->columns - 1; i++)
        top = fmax(top, s->squares[i]);
    top = 2.000001 * sqrt(top);
    for (size_t j = 0; j < wanted; j += LANES) {
        double low[LANES] = {0}, high[LANES], middle[LANES];
        int count[LANES];
        for (size_t l = 0; l < LANES; l++)
            high[l] = top;
        for (int step = 0; step < BISECTIONS; step++) {
            for (size_t l = 0; l < LANES; l++)
                middle[l] = 0.5 * (low[l] + high[l]);
            not_smaller(s, middle, count);
            for (size_t l = 0; l < LANES; l++)
                *((size_t)count[l] > j + l ? &low[l] : &high[l]) = middle[l];
        }
        for (size_t l = 0; l < LANES && j + l < wanted; l++)
            values[j + l] = 0.5 * (low[l] + high[l]);
    }
}

void irn_svd_host(const irn_layout *layout, double *matrix, double *scratch, double *values,
                  size_t wanted)
{
    work s = {.columns = layout->columns, .rows = layout->stride};
    memset(scratch, 0, irn_svd_scratch(layout) * sizeof *scratch);
    s.v = scratch;
    s.y = s.v + 2 * s.rows;
    s.w = s.y + 2 * s.rows;
    s.squares = s.w + 2 * s.columns;
    for (size_t k = 0; k < s.columns; k++) {
        apply(&s, matrix + 2 * s.rows * k, k, k / LANES * LANES, false);
        make_left(&s, matrix + 2 * s.rows * k, k);
        if (k + 1 == s.columns)
            break;
        for (size_t j = k + 1; j < s.columns; j++)
            apply(&s, matrix + 2 * s.rows * j, j, k / LANES * LANES, true);
        make_right(&s, matrix, k);
        collect(&s, matrix, k);
    }
    bisect(&s, values, wanted);
}
