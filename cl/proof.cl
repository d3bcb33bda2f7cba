/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs of bounds on the symbols of convolutions: Gram matrices from their correlations
 * (certify/correlation.h), and the floating-point Cholesky factorisation of shift I - G, which runs
 * to completion only if ||X|| is at most little more than sqrt(shift) (certify/proof.c has the
 * theorem; what it asks for is that every entry is a sum of so many products, in any order, fused
 * or not, and one quotient).
 *
 * A work-group takes one bundle of at most FREQUENCIES frequencies of one group after another (read
 * together, the coefficients are read less often); on CPUs it is
 * one work-item, whose vectors hold LANES rows, on GPUs each work-item has its own rows. Matrices
 * are columns of `pitch` numbers: `stride` real parts, then `stride` imaginary ones.
 */
#if WG == 1 && B == 8 && PASTE(REAL_IS_, REAL)
#define TILE 2 /* what 16 registers hold */
#else
#define TILE 4
#endif

/* What a work-group has one of: GPUs have no registers for one of each work-item, nor to keep all
 * that could be computed in advance from one phase to the next. */
#if WG == 1 || defined STORED
#define OF_GROUP
#else
#define OF_GROUP __local
#endif

typedef struct shape {
    int rows, order; /* order: rows up to a whole tile */
    int stride, pitch, run, lags;
} shape;

/* Where certify/correlation.h puts it. */
INLINE size_t sums_place(OF_GROUP const shape *s, int column, int row, int lag, int part)
{
    const size_t line = ((size_t)column * (s->stride / s->run) + row / s->run) * s->lags + lag;
    return (line * 2 + part) * s->run + row % s->run;
}

#ifdef STORED
INLINE void store_sums(__global STORED *sums, OF_GROUP const shape *s, int row, int column, int lag,
                       real a, real b)
{
    sums[sums_place(s, column, row, lag, 0)] = (STORED)(a + b);
    sums[sums_place(s, column, row, lag, 1)] = (STORED)(a - b);
    sums[sums_place(s, row, column, lag, 0)] = (STORED)(a + b);
    sums[sums_place(s, row, column, lag, 1)] = (STORED)(b - a);
}

/*
 * The correlations, in REAL, stored as STORED. Global size: row blocks, column tiles, lags x
 * groups. taps: [group][tap][column][stride]; pairs of lag h: starts[h] to starts[h + 1].
 */
KERNEL void correlate(__global const real *taps, ulong taps0, __global const int2 *pairs,
                      ulong pairs0, __global const int *starts, ulong starts0,
                      __global STORED *sums, ulong sums0, int count, int columns, int stride,
                      int run, int lags)
{
    const shape s = {.stride = stride, .run = run, .lags = lags};
    const int row = (int)get_global_id(0) * LANES, column = (int)get_global_id(1) * TILE;
    const int lag = (int)get_global_id(2) % lags, group = (int)get_global_id(2) / lags;
    const size_t matrix = (size_t)columns * stride;
    if (row >= stride || row + LANES <= column)
        return;
    taps += taps0 + (size_t)group * count * matrix;
    sums += sums0 + (size_t)group * 2 * lags * stride * stride;
    lanes straight[TILE], turned[TILE];
    for (int j = 0; j < TILE; j++)
        straight[j] = turned[j] = 0;
    for (int p = starts[starts0 + lag]; p < starts[starts0 + lag + 1]; p++) {
        const int2 pair = pairs[pairs0 + p];
        __global const real *a = taps + pair.x * matrix, *b = taps + pair.y * matrix;
        for (int k = 0; k < columns; k++, a += stride, b += stride) {
            const lanes x = LOAD_LANES(a + row), y = LOAD_LANES(b + row);
#pragma unroll
            for (int j = 0; j < TILE; j++) {
                straight[j] = fma(x, (lanes)(b[column + j]), straight[j]);
                turned[j] = fma(y, (lanes)(a[column + j]), turned[j]);
            }
        }
    }
    for (int j = 0; j < TILE; j++)
        for (int i = 0; i < LANES; i++)
            store_sums(sums, &s, row + i, column + j, lag, ((real *)&straight[j])[i],
                       ((real *)&turned[j])[i]);
}
#else

/* -G of a bundle's frequencies, from the diagonal down, or whole. weights: [frequency][lag]
 * [cosine, sine]. */
INLINE void gram(__global real *matrices, __global const real *sums, __global const real *weights,
                 OF_GROUP const shape *s, bool whole)
{
    const size_t size = (size_t)s->pitch * s->order;
    for (int column = 0; column < s->order; column++)
        for (int row = (whole ? 0 : column / LANES * LANES) + (int)get_local_id(0) * LANES;
             row < s->stride; row += WG * LANES) {
            lanes re[FREQUENCIES], im[FREQUENCIES];
            for (int f = 0; f < FREQUENCIES; f++)
                re[f] = im[f] = 0;
            __global const real *p = sums + sums_place(s, column, row, 0, 0);
            for (int lag = 0; lag < s->lags; lag++, p += 2 * s->run) {
                const lanes a = LOAD_LANES(p), b = LOAD_LANES(p + s->run);
#pragma unroll
                for (int f = 0; f < FREQUENCIES; f++) {
                    __global const real *w = weights + 2 * (f * s->lags + lag);
                    re[f] = fma(a, (lanes)(w[0]), re[f]);
                    im[f] = fma(b, (lanes)(w[1]), im[f]);
                }
            }
            __global real *to = matrices + (size_t)column * s->pitch + row;
            for (int f = 0; f < FREQUENCIES; f++, to += size) {
                STORE_LANES(-re[f], to);
                STORE_LANES(-im[f], to + s->stride);
            }
        }
}

/* Columns j ... j + TILE - 1, from row j on, less what the columns before them account for. */
INLINE void update(__global real *a, int j, OF_GROUP const shape *s)
{
    for (int row = (j / LANES + (int)get_local_id(0)) * LANES; row < s->stride; row += WG * LANES) {
        lanes re[TILE], im[TILE];
        for (int c = 0; c < TILE; c++) {
            re[c] = LOAD_LANES(a + (size_t)(j + c) * s->pitch + row);
            im[c] = LOAD_LANES(a + (size_t)(j + c) * s->pitch + s->stride + row);
        }
        __global const real *from = a;
        for (int k = 0; k < j; k++, from += s->pitch) {
            const lanes x = LOAD_LANES(from + row), y = LOAD_LANES(from + s->stride + row);
#pragma unroll
            for (int c = 0; c < TILE; c++) {
                const lanes p = (lanes)(from[j + c]), q = (lanes)(from[s->stride + j + c]);
                re[c] = fma(-x, p, fma(-y, q, re[c]));
                im[c] = fma(-y, p, fma(x, q, im[c]));
            }
        }
        for (int c = 0; c < TILE; c++) {
            STORE_LANES(re[c], a + (size_t)(j + c) * s->pitch + row);
            STORE_LANES(im[c], a + (size_t)(j + c) * s->pitch + s->stride + row);
        }
    }
}

/* The factor of a tile on the diagonal: its part below it, and the reciprocals of its diagonal. A
 * work-group has one: GPUs have no registers for one of each work-item. */
typedef struct corner {
    real re[TILE][TILE], im[TILE][TILE], reciprocal[TILE];
#if WG > 1
    int positive;
#endif
} corner;
INLINE bool factor_corner(OF_GROUP corner *t, __global const real *a, int j,
                          OF_GROUP const shape *s)
{
    for (int c = 0; c < TILE; c++) {
        for (int r = c; r < TILE; r++) {
            real re = a[(size_t)(j + c) * s->pitch + j + r];
            real im = a[(size_t)(j + c) * s->pitch + s->stride + j + r];
            for (int k = 0; k < c; k++) {
                re -= t->re[r][k] * t->re[c][k] + t->im[r][k] * t->im[c][k];
                im -= t->im[r][k] * t->re[c][k] - t->re[r][k] * t->im[c][k];
            }
            t->re[r][c] = re;
            t->im[r][c] = im;
        }
        if (!(t->re[c][c] > 0))
            return false;
        t->reciprocal[c] = 1 / sqrt(t->re[c][c]);
        for (int r = c + 1; r < TILE; r++) {
            t->re[r][c] *= t->reciprocal[c];
            t->im[r][c] *= t->reciprocal[c];
        }
    }
    return true;
}

/* The same by a work-group, which has a barrier before it. */
INLINE bool group_factor_corner(OF_GROUP corner *t, __global const real *a, int j,
                                OF_GROUP const shape *s)
{
#if WG == 1
    return factor_corner(t, a, j, s);
#else
    if (get_local_id(0) == 0)
        t->positive = factor_corner(t, a, j, s);
    barrier(CLK_LOCAL_MEM_FENCE | CLK_GLOBAL_MEM_FENCE);
    return t->positive;
#endif
}

/* The tile's columns of the factor. */
INLINE void solve(__global real *a, int j, OF_GROUP const corner *t, OF_GROUP const shape *s)
{
    for (int row = (j / LANES + (int)get_local_id(0)) * LANES; row < s->stride; row += WG * LANES) {
        lanes re[TILE], im[TILE];
#pragma unroll
        for (int c = 0; c < TILE; c++) {
            __global real *p = a + (size_t)(j + c) * s->pitch + row;
            re[c] = LOAD_LANES(p);
            im[c] = LOAD_LANES(p + s->stride);
#pragma unroll
            for (int k = 0; k < c; k++) {
                re[c] -= re[k] * t->re[c][k] + im[k] * t->im[c][k];
                im[c] -= im[k] * t->re[c][k] - re[k] * t->im[c][k];
            }
            re[c] *= t->reciprocal[c];
            im[c] *= t->reciprocal[c];
            STORE_LANES(re[c], p);
            STORE_LANES(im[c], p + s->stride);
        }
    }
}

/* Whether all pivots are positive; a is overwritten. Rows before the tile in its first block are
 * computed along, and never looked at. */
INLINE bool cholesky(__global real *a, OF_GROUP corner *t, OF_GROUP const shape *s)
{
    for (int j = 0; j < s->order; j += TILE) {
        update(a, j, s);
        GROUP_BARRIER();
        if (!group_factor_corner(t, a, j, s))
            return false;
        solve(a, j, t, s);
        GROUP_BARRIER();
    }
    return true;
}

/* B = shift I - G from -G; its trace, without the rows that fill up the last tile. */
INLINE real add_shift(__global real *a, real shift, OF_GROUP const shape *s, __local real *shared)
{
    real trace = 0;
    for (int i = (int)get_local_id(0); i < s->order; i += WG) {
        __global real *p = a + (size_t)i * s->pitch + i;
        *p += shift;
        trace += i < s->rows ? *p : 0;
    }
    return group_sum(trace, shared);
}

INLINE void set_shape(OF_GROUP shape *s, int rows, int order, int stride, int pitch, int run,
                      int lags)
{
    if (WG == 1 || get_local_id(0) == 0) {
        s->rows = rows;
        s->order = order;
        s->stride = stride;
        s->pitch = pitch;
        s->run = run;
        s->lags = lags;
    }
#if WG > 1
    barrier(CLK_LOCAL_MEM_FENCE);
#endif
}

/*
 * For each frequency the trace of shift I - G if its factorisation runs to completion, else -1.
 * Global size: WG x any number of groups; scratch: for each FREQUENCIES matrices, and two vectors.
 * groups: of each bundle, and how many frequencies it has.
 */
KERNEL void factor(__global const real *sums, ulong sums0, __global const real *weights,
                   ulong weights0, __global const int2 *groups, ulong groups0,
                   __global real *scratch, ulong scratch0, __global real *traces, ulong traces0,
                   real shift, int bundles, int rows, int order, int stride, int pitch, int run,
                   int lags)
{
    GROUP_SCRATCH(shared);
    OF_GROUP corner t;
    OF_GROUP shape s;
    set_shape(&s, rows, order, stride, pitch, run, lags);
    const size_t size = (size_t)pitch * order;
    __global real *matrices =
        scratch + scratch0 + get_group_id(0) * (FREQUENCIES * size + 4 * (size_t)stride);
    for (int bundle = (int)get_group_id(0); bundle < bundles; bundle += (int)get_num_groups(0)) {
        const int2 group = groups[groups0 + bundle];
        gram(matrices, sums + sums0 + (size_t)group.x * 2 * lags * stride * stride,
             weights + weights0 + (size_t)bundle * FREQUENCIES * 2 * lags, &s, false);
        GROUP_BARRIER();
        for (int f = 0; f < group.y; f++) {
            const real trace = add_shift(matrices + f * size, shift, &s, shared);
            GROUP_BARRIER();
            const bool done = cholesky(matrices + f * size, &t, &s);
            if (get_local_id(0) == 0)
                traces[traces0 + bundle * FREQUENCIES + f] = done ? trace : -1;
            GROUP_BARRIER();
        }
    }
}

/* y = A x; its squared length. */
INLINE real multiply(__global const real *a, __global const real *x, __global real *y,
                     OF_GROUP const shape *s, __local real *shared)
{
    real square = 0;
    for (int row = (int)get_local_id(0) * LANES; row < s->stride; row += WG * LANES) {
        lanes re = 0, im = 0;
        __global const real *from = a + row;
        for (int k = 0; k < s->order; k++, from += s->pitch) {
            const lanes p = LOAD_LANES(from), q = LOAD_LANES(from + s->stride);
            const lanes b = (lanes)(x[k]), c = (lanes)(x[s->stride + k]);
            re = fma(p, b, fma(-q, c, re));
            im = fma(p, c, fma(q, b, im));
        }
        STORE_LANES(re, y + row);
        STORE_LANES(im, y + s->stride + row);
        const lanes both = re * re + im * im;
        for (int i = 0; i < LANES; i++)
            square += ((real *)&both)[i];
    }
    return group_sum(square, shared);
}

/*
 * For each frequency an estimate of ||X||^2 by `steps` steps of power iteration from the vector
 * `start`; it is no proof of anything. Global size and scratch: as for factor().
 */
KERNEL void estimate(__global const real *sums, ulong sums0, __global const real *weights,
                     ulong weights0, __global const int2 *groups, ulong groups0,
                     __global real *scratch, ulong scratch0, __global real *estimates,
                     ulong estimates0, __global const real *start, ulong start0, int steps,
                     int bundles, int rows, int order, int stride, int pitch, int run, int lags)
{
    GROUP_SCRATCH(shared);
    OF_GROUP shape s;
    set_shape(&s, rows, order, stride, pitch, run, lags);
    const size_t size = (size_t)pitch * order;
    __global real *matrices =
        scratch + scratch0 + get_group_id(0) * (FREQUENCIES * size + 4 * (size_t)stride);
    __global real *x = matrices + FREQUENCIES * size, *y = x + 2 * stride;
    for (int bundle = (int)get_group_id(0); bundle < bundles; bundle += (int)get_num_groups(0)) {
        const int2 group = groups[groups0 + bundle];
        gram(matrices, sums + sums0 + (size_t)group.x * 2 * lags * stride * stride,
             weights + weights0 + (size_t)bundle * FREQUENCIES * 2 * lags, &s, true);
        for (int f = 0; f < group.y; f++) {
            real value = 0;
            for (int i = (int)get_local_id(0); i < 2 * stride; i += WG)
                x[i] = start[start0 + i];
            for (int step = 0; step < steps; step++) {
                GROUP_BARRIER();
                value = sqrt(multiply(matrices + f * size, x, y, &s, shared));
                const real scale = value > 0 ? 1 / value : 0;
                GROUP_BARRIER();
                for (int i = (int)get_local_id(0); i < 2 * stride; i += WG)
                    x[i] = y[i] * scale;
            }
            if (get_local_id(0) == 0)
                estimates[estimates0 + bundle * FREQUENCIES + f] = value;
            GROUP_BARRIER();
        }
    }
}
#endif
