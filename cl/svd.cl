/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Singular values of many complex matrices in double precision (REAL is double): Householder
 * bidiagonalisation, then bisection. One work-group a matrix, on CPUs (WG 1) one work-item.
 *
 * A matrix has `columns` columns, each `rows` real parts and then `rows` imaginary ones; rows is a
 * multiple of LANES and at least `columns`; rows of zeros may fill it up. It is destroyed.
 *
 * Why this method: reflections are backward stable whatever the matrix (flat, of rank one, zero),
 * they take a known number of steps, and so does bisection with Sturm counts (Golub, Kahan 1965;
 * Kahan 1966; Demmel, Kahan 1990). The errors are absolute, a few roundings of the largest singular
 * value. Step k makes a reflector I - tau v v^H that turns column k, from row k on, into one entry;
 *   makes a reflector I - tau w w^H that turns row k, right of the diagonal, into one entry;
 * after which only the entries' magnitudes matter: unitary diagonal scalings remove the phases.
 * Rows above k and columns left of k are not read again, so vectors run over whole lanes there
 * without care.
 *
 * The second reflector of a step and the first of the next are applied in one pass over the matrix;
 * a second pass collects y = A w, which the next step needs.
 */
/* Row k, conjugated, becomes the right reflector's vector; notes the superdiagonal entry's square.
 */
INLINE void make_right(__global double *matrix, work *s, int k, int columns, int rows,
                       __local double *shared)
{
    double sum = 0;
    for (int j = k + 1 + (int)get_local_id(0); j < columns; j += WG) {
        __global const double *a = matrix + 2 * (size_t)rows * j + k;
        s->w[j] = a[0];
        s->w[columns + j] = -a[rows];
        sum = fma(a[0], a[0], fma(a[rows], a[rows], sum));
    }
    const double squared = group_sum(sum, shared);
    SYNCHRONISE;
    const double2 e = reflector((double2)(s->w[k + 1], s->w[columns + k + 1]), squared, &s->tau_w);
    SYNCHRONISE;
    if (get_local_id(0) == 0) {
        s->w[k + 1] = e.x;
        s->w[columns + k + 1] = e.y;
        s->squares[2 * k + 1] = squared;
    }
    SYNCHRONISE;
}

INLINE void bidiagonalise(__global double *matrix, work *s, int columns, int rows,
                          __local double *shared)
{
    for (int i = (int)get_local_id(0); i < rows; i += WG)
        s->y[i] = s->y[rows + i] = 0;
    for (int j = (int)get_local_id(0); j < columns; j += WG)
        s->w[j] = s->w[columns + j] = 0;
    SYNCHRONISE;
    for (int k = 0; k < columns; k++) {
        __global double *a = matrix + 2 * (size_t)rows * k;
        apply_right(a, s, (double2)(s->w[k], s->w[columns + k]), k & ~(LANES - 1), rows);
        SYNCHRONISE;
        make_left(a, s, k, rows, shared);
        if (k + 1 == columns)
            break;
        apply_to_columns(matrix, s, k, columns, rows);
        make_right(matrix, s, k, columns, rows, shared);
        collect(matrix, s, k, columns, rows);
    }
}

/*
 * Singular values of the bidiagonal B from the squares of its entries d0, e0, d1, ...: plus and
 * minus them are the eigenvalues of the tridiagonal matrix with zero diagonal and these
 * off-diagonals (Golub, Kahan). As many of its 2 columns eigenvalues are at least x as pivots of
 * the factorisation of T - x are not negative; rounding moves each by a few roundings of its
 * entries (Kahan 1966). LANES values at a time.
 */
INLINE lanes not_smaller(__global const double *squares, int columns, lanes x)
{
    lanes q = -x, count = 0;
    for (int i = 0;; i++) {
        q = fabs(q) < 1e-290 ? (lanes)(-1e-290) : q;
        count += q < 0.0 ? (lanes)(0) : (lanes)(1);
        if (i == 2 * columns - 1)
            return count;
        q = -x - squares[i] / q;
    }
}

/* values: the `wanted` largest, descending. The eigenvalue of index j (from 0) is >= x if more than
 * j are. */
INLINE void bisect(__global const double *squares, int columns, __global double *values, int wanted)
{
    double top = 0;
    for (int i = 0; i < 2 * columns - 1; i++)
        top = fmax(top, squares[i]);
    top = 2.000001 * sqrt(top); /* two entries a row: Gershgorin */
    for (int j = LANES * (int)get_local_id(0); j < wanted; j += LANES * WG) {
        const lanes index = LANE_NUMBERS + (double)j;
        lanes low = 0, high = top;
        for (int step = 0; step < 54; step++) {
            const lanes middle = 0.5 * (low + high);
            const lanes_test above = not_smaller(squares, columns, middle) > index;
            low = above ? middle : low;
            high = above ? high : middle;
        }
        const lanes found = 0.5 * (low + high);
        double kept[LANES];
        STORE_LANES(found, kept);
        for (int i = 0; i < LANES && j + i < wanted; i++)
            values[j + i] = kept[i];
    }
}

/* Global size WG x matrices. scratch: 4 (rows + columns) doubles a matrix; values: `wanted` a
 * matrix. */
KERNEL void svd(__global double *matrices, ulong matrices0, __global double *scratch,
                ulong scratch0, __global double *values, ulong values0, int columns, int rows,
                int wanted)
{
    GROUP_SCRATCH(shared);
    const size_t id = get_group_id(0);
    work s;
    s.v = scratch + scratch0 + id * 4 * (rows + columns);
    s.y = s.v + 2 * rows;
    s.w = s.y + 2 * rows;
    s.squares = s.w + 2 * columns;
    s.tau_v = s.tau_w = 0;
    bidiagonalise(matrices + matrices0 + id * 2 * rows * columns, &s, columns, rows, shared);
    SYNCHRONISE;
    bisect(s.squares, columns, values + values0 + id * wanted, wanted);
}
