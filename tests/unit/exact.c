#include "exact.h"
#include "dense.h"

enum { BITS = EXACT_BITS };

/* A pivot that may be 0: the matrix is indefinite all the same if a 2 x 2 minor with it is
 * negative. */
static int beside(const arb_mat_t a, slong j)
{
    int result = 0;
    arb_t minor;
    arb_init(minor);
    for (slong i = j + 1; i < arb_mat_nrows(a) && result == 0; i++) {
        arb_mul(minor, arb_mat_entry(a, i, i), arb_mat_entry(a, j, j), BITS);
        arb_submul(minor, arb_mat_entry(a, i, j), arb_mat_entry(a, i, j), BITS);
        result = arb_is_negative(minor);
    }
    arb_clear(minor);
    return result;
}

/* By the pivots of t^2 I - gram. */
int exact_compare(const arb_mat_t gram, double t)
{
    int result = -1;
    slong order = arb_mat_nrows(gram);
    arb_mat_t a;
    arb_t square, factor;
    arb_mat_init(a, order, order);
    arb_init(square);
    arb_init(factor);
    arb_mat_neg(a, gram);
    arb_set_d(square, t);
    arb_sqr(square, square, BITS);
    for (slong i = 0; i < order; i++)
        arb_add(arb_mat_entry(a, i, i), arb_mat_entry(a, i, i), square, BITS);
    for (slong j = 0; j < order && result == -1; j++) {
        if (!arb_is_positive(arb_mat_entry(a, j, j)))
            result = arb_is_negative(arb_mat_entry(a, j, j)) ? 1 : beside(a, j);
        for (slong i = j + 1; i < order && result == -1; i++) {
            arb_div(factor, arb_mat_entry(a, i, j), arb_mat_entry(a, j, j), BITS);
            for (slong k = j + 1; k <= i; k++)
                arb_submul(arb_mat_entry(a, i, k), factor, arb_mat_entry(a, k, j), BITS);
        }
    }
    arb_mat_clear(a);
    arb_clear(square);
    arb_clear(factor);
    return result;
}

void exact_gram(arb_mat_t gram, const arb_mat_t m)
{
    arb_mat_t turned;
    arb_mat_init(turned, arb_mat_ncols(m), arb_mat_nrows(m));
    arb_mat_transpose(turned, m);
    arb_mat_mul(gram, m, turned, BITS);
    arb_mat_clear(turned);
}

void exact_judge(exact_verdict *v, const arb_mat_t m, irn_bound bound)
{
    arb_mat_t gram;
    arb_mat_init(gram, arb_mat_nrows(m), arb_mat_nrows(m));
    exact_gram(gram, m);
    v->below_upper = v->below_upper && exact_compare(gram, bound.upper) == -1;
    v->above_lower = v->above_lower || bound.lower == 0 || exact_compare(gram, bound.lower) == 1;
    arb_mat_clear(gram);
}

/* ---- matrices ---- */

void exact_add(arb_mat_t m, slong row, slong column, const arb_t re, const arb_t im)
{
    slong rows = arb_mat_nrows(m) / 2, columns = arb_mat_ncols(m) / 2;
    arb_ptr corners[] = {
        arb_mat_entry(m, row, column), arb_mat_entry(m, row + rows, column + columns),
        arb_mat_entry(m, row + rows, column), arb_mat_entry(m, row, column + columns)};
    arb_add(corners[0], corners[0], re, BITS);
    arb_add(corners[1], corners[1], re, BITS);
    arb_add(corners[2], corners[2], im, BITS);
    arb_sub(corners[3], corners[3], im, BITS);
}

/* Adds one tap's matrix, times e^{2 pi i turn}. */
static void add_tap(arb_mat_t m, const double *values, const irn_kernel_shape *s, const fmpq_t turn)
{
    size_t taps = s->kernel_height * s->kernel_width;
    bool wide = s->outputs <= s->inputs;
    arb_t root[2], value, part[2];
    for (int c = 0; c < 2; c++) {
        arb_init(root[c]);
        arb_init(part[c]);
    }
    arb_init(value);
    arb_sin_cos_pi_fmpq(root[1], root[0], turn, BITS);
    for (size_t e = 0; e < s->outputs * s->inputs; e++) {
        slong o = (slong)(e / s->inputs), i = (slong)(e % s->inputs);
        arb_set_d(value, values[e * taps]);
        arb_mul(part[0], root[0], value, BITS);
        arb_mul(part[1], root[1], value, BITS);
        exact_add(m, wide ? o : i, wide ? i : o, part[0], part[1]);
    }
    for (int c = 0; c < 2; c++) {
        arb_clear(root[c]);
        arb_clear(part[c]);
    }
    arb_clear(value);
}

void exact_symbol(arb_mat_t m, const double *kernel, const irn_kernel_shape *s,
                  const size_t torus[2], size_t a, size_t b)
{
    size_t rows = s->outputs < s->inputs ? s->outputs : s->inputs;
    size_t places = torus[0] * torus[1];
    fmpq_t turn;
    fmpq_init(turn);
    arb_mat_init(m, 2 * (slong)rows, 2 * (slong)(s->outputs + s->inputs - rows));
    for (size_t tap = 0; tap < s->kernel_height * s->kernel_width; tap++) {
        size_t p = tap / s->kernel_width, q = tap % s->kernel_width;
        fmpq_set_si(turn, 2 * (slong)((a * p * torus[1] + b * q * torus[0]) % places), places);
        add_tap(m, kernel + tap, s, turn);
    }
    fmpq_clear(turn);
}

typedef struct sink {
    arb_mat_struct *m;
    bool wide;
} sink;

static void add_value(void *payload, size_t row, size_t column, double value)
{
    sink *s = payload;
    arb_ptr entry =
        arb_mat_entry(s->m, (slong)(s->wide ? row : column), (slong)(s->wide ? column : row));
    arb_t term;
    arb_init(term);
    arb_set_d(term, value);
    arb_add(entry, entry, term, BITS);
    arb_clear(term);
}

void exact_operator(arb_mat_t m, const double *kernel, const irn_kernel_shape *shape)
{
    dense d = dense_size(shape);
    sink s = {m, d.rows <= d.columns};
    arb_mat_init(m, (slong)(s.wide ? d.rows : d.columns), (slong)(s.wide ? d.columns : d.rows));
    dense_visit(kernel, shape, add_value, &s);
}
