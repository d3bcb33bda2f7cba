#include "truth.h"
#include "dense.h"
#include "exact.h"
#include "host.h"

#include <check.h>
#include <complex.h>
#include <lapacke.h>

#include <math.h>

/* LAPACK's error is p u times the norm, p below 1500 here and by experience below 50; that of
 * entries, sums over at most 49 taps times roots of unity, is below 90 u times their magnitudes. */
static const double of_norm = 2e-13, of_taps = 2e-14;

/* Multiply-adds: of exact matrices, all of a layer's; of quotients; of LAPACK's, 1,500 rows and
 * columns if it may take its time. */
static const double exact_work = 4e6, quotient_work = 1e8;

static double dense_work(void)
{
    return host_thorough() ? 3.4e9 : 1.5e8;
}

/* A sum over the taps of the norms of their matrices' magnitudes. */
static double taps_norm(const double *kernel, const irn_kernel_shape *s)
{
    size_t taps = s->kernel_height * s->kernel_width;
    size_t matrix = s->outputs * s->inputs / (s->groups ? s->groups : 1);
    double sum = 0;
    for (size_t tap = 0; tap < taps; tap++) {
        double square = 0;
        for (size_t e = 0; e < matrix; e++)
            square += kernel[e * taps + tap] * kernel[e * taps + tap];
        sum += sqrt(square);
    }
    return sum;
}

static void enclose(truth *t, double norm, double allowance)
{
    t->least = fmax(norm - allowance, 0);
    t->most = norm + allowance;
}

/* ---- exact matrices ---- */

/* Takes m. */
static void keep(truth *t, arb_mat_t m)
{
    ck_assert_int_lt(t->count, TRUTH_GRAMS);
    arb_mat_init(t->grams[t->count], arb_mat_nrows(m), arb_mat_nrows(m));
    exact_gram(t->grams[t->count++], m);
    arb_mat_clear(m);
}

static bool exact_above(const truth *t, double value)
{
    for (int i = 0; i < t->count; i++)
        if (exact_compare(t->grams[i], value) == 1)
            return true;
    return false;
}

static bool exact_below(const truth *t, double value)
{
    for (int i = 0; i < t->count; i++)
        if (exact_compare(t->grams[i], value) != -1)
            return false;
    return true;
}

/* Nobody's allowance is trusted where Arb can say it. */
static void confirm(const truth *t)
{
    ck_assert_msg(t->least == 0 || exact_above(t, t->least), "Arb: not above %.17g", t->least);
    ck_assert_msg(t->most == 0 || exact_below(t, t->most), "Arb: not below %.17g", t->most);
}

/* ---- the torus ---- */

static double frequency_norm(const double *kernel, const irn_kernel_shape *s, const size_t torus[2],
                             size_t a, size_t b, double complex *m)
{
    size_t taps = s->kernel_height * s->kernel_width, places = torus[0] * torus[1];
    size_t count = s->outputs * s->inputs;
    double values[64];
    double complex none;
    for (size_t e = 0; e < count; e++)
        m[e] = 0;
    for (size_t tap = 0; tap < taps; tap++) {
        size_t p = tap / s->kernel_width, q = tap % s->kernel_width;
        size_t turn = (a * p * torus[1] + b * q * torus[0]) % places;
        double angle = 6.283185307179586 * ((double)turn / (double)places);
        double complex root = cos(angle) + I * sin(angle);
        for (size_t e = 0; e < count; e++)
            m[e] += kernel[e * taps + tap] * root;
    }
    ck_assert_uint_le(s->outputs < s->inputs ? s->outputs : s->inputs, 64);
    int code = LAPACKE_zgesdd(LAPACK_COL_MAJOR, 'N', (int)s->inputs, (int)s->outputs, m,
                              (int)s->inputs, values, &none, 1, &none, 1);
    ck_assert_int_eq(code, 0);
    return values[0];
}

/* At all frequencies of half the spectrum, row by row; returns the largest. */
static double torus_norms(double *norms, const double *kernel, const irn_kernel_shape *s,
                          const size_t torus[2])
{
    double complex *m = (double complex *)(void *)host_doubles(2 * s->outputs * s->inputs);
    double largest = 0;
    for (size_t a = 0; a < torus[0]; a++)
        for (size_t b = 0; b <= torus[1] / 2; b++) {
            *norms = frequency_norm(kernel, s, torus, a, b, m);
            largest = fmax(largest, *norms++);
        }
    return largest;
}

/* The circular layer on its own torus: Arb has the frequencies that may have the norm, the largest
 * first, as many as it can afford. */
static void find_on_torus(truth *t, const double *kernel, const irn_kernel_shape *s)
{
    const size_t torus[] = {s->height, s->width}, half = s->width / 2 + 1;
    size_t rows = s->outputs < s->inputs ? s->outputs : s->inputs;
    double *norms = host_doubles(s->height * half);
    double norm = torus_norms(norms, kernel, s, torus);
    double allowance = of_norm * norm + of_taps * taps_norm(kernel, s);
    double work = 0, each = 8 * (double)(rows * rows) * (double)(s->outputs + s->inputs - rows);
    enclose(t, norm, allowance);
    t->means = TRUTH_ARB;
    for (t->all = false; t->most > 0 && !t->all;) {
        size_t best = 0;
        for (size_t f = 1; f < s->height * half; f++)
            best = norms[f] > norms[best] ? f : best;
        t->all = norms[best] < norm - 2 * allowance;
        if (t->all || t->count == TRUTH_GRAMS || (t->count > 0 && work > exact_work))
            break;
        arb_mat_t m;
        exact_symbol(m, kernel, s, torus, best / half, best % half);
        keep(t, m);
        norms[best] = -1;
        work += each;
    }
    t->all = t->all || t->most == 0;
    confirm(t);
}

/* ---- the layer's matrix ---- */

static double work_of(const dense *d)
{
    double rows = (double)d->rows, columns = (double)d->columns;
    return rows * columns * fmin(rows, columns);
}

static void find_dense(truth *t, const double *kernel, const irn_kernel_shape *s)
{
    dense d = dense_operator(kernel, s);
    double norm = dense_norm(&d);
    /* On a map taps do not fall on one another, and entries are exact. */
    double taps = s->padding == IRN_PAD_CIRCULAR ? of_taps * taps_norm(kernel, s) : 0;
    enclose(t, norm, of_norm * norm + taps);
    t->means = work_of(&d) <= exact_work ? TRUTH_ARB : TRUTH_LAPACK;
    if (t->means == TRUTH_LAPACK)
        return;
    arb_mat_t m;
    exact_operator(m, kernel, s);
    keep(t, m);
    t->all = true;
    confirm(t);
}

/* ---- limits ---- */

typedef struct product {
    const long double *x;
    long double *y;
    bool transposed;
} product;

static void add_product(void *payload, size_t row, size_t column, double value)
{
    product *p = payload;
    if (p->transposed)
        p->y[column] += (long double)value * p->x[row];
    else
        p->y[row] += (long double)value * p->x[column];
}

/* Divides by the length, which is returned. */
static long double normalise(long double *x, size_t count)
{
    long double sum = 0, length;
    for (size_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    length = sqrtl(sum);
    for (size_t i = 0; i < count && length > 0; i++)
        x[i] /= length;
    return length;
}

/* y = W x / ||W x||, or with W^T; returns ||W x||. */
static long double apply(long double *y, const long double *x, const double *kernel,
                         const irn_kernel_shape *s, bool transposed)
{
    dense d = dense_size(s);
    size_t count = transposed ? d.columns : d.rows;
    product p = {x, y, transposed};
    for (size_t i = 0; i < count; i++)
        y[i] = 0;
    dense_visit(kernel, s, add_product, &p);
    return normalise(y, count);
}

/* ||W x|| / ||x|| after some power iteration, in long double. */
static double quotient(const double *kernel, const irn_kernel_shape *s)
{
    dense d = dense_size(s);
    long double *x = (long double *)(void *)host_doubles(2 * d.columns), length = 0;
    long double *y = (long double *)(void *)host_doubles(2 * d.rows);
    double *start = host_normal(d.columns);
    double work = (double)(s->outputs * s->inputs * s->kernel_height * s->kernel_width) *
                  (double)(s->height * s->width);
    for (size_t i = 0; i < d.columns; i++)
        x[i] = (long double)start[i];
    normalise(x, d.columns);
    for (double done = 0; done <= quotient_work && done < 60 * work; done += 2 * work) {
        if (done > 0)
            apply(x, y, kernel, s, true);
        length = apply(y, x, kernel, s, false);
    }
    return (double)length;
}

/* The layer is a part of the circular one on a torus that no tap's reach goes round. */
static void find_limits(truth *t, const double *kernel, const irn_kernel_shape *s)
{
    const size_t torus[] = {s->height + s->kernel_height / 2, s->width + s->kernel_width / 2};
    double norm = torus_norms(host_doubles(torus[0] * (torus[1] / 2 + 1)), kernel, s, torus);
    t->means = TRUTH_LIMITS;
    t->most = norm + of_norm * norm + of_taps * taps_norm(kernel, s);
    t->least = quotient(kernel, s) * (1 - 1e-15);
}

/* ---- the whole ---- */

static bool plain(const irn_kernel_shape *s)
{
    return s->stride <= 1 && s->dilation <= 1 && s->groups <= 1;
}

void truth_find(truth *t, const double *kernel, const irn_kernel_shape *s)
{
    dense d = dense_size(s);
    *t = (truth){.all = true};
    if (plain(s) && s->padding == IRN_PAD_CIRCULAR)
        find_on_torus(t, kernel, s);
    else if (!plain(s) || work_of(&d) <= dense_work())
        find_dense(t, kernel, s);
    else
        find_limits(t, kernel, s);
}

void truth_free(truth *t)
{
    while (t->count > 0)
        arb_mat_clear(t->grams[--t->count]);
}

int truth_of_lower(const truth *t, double lower)
{
    if (lower <= t->least)
        return -1;
    if (!(lower <= t->most))
        return 1;
    if (exact_above(t, lower))
        return -1;
    return t->all && t->count > 0 && exact_below(t, lower) ? 1 : 0;
}

int truth_of_upper(const truth *t, double upper)
{
    if (upper >= t->most)
        return 1;
    if (!(upper >= t->least) || exact_above(t, upper))
        return -1;
    return t->all && t->count > 0 && exact_below(t, upper) ? 1 : 0;
}
