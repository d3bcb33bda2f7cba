/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gradient of a convolution with respect to its weights as a product of matrices, for devices
 * with local memory and B = 4: [quads x pixels] times [pixels x output channels]; conv_tiled.cl
 * says what a quad is and how tiles go through local memory.
 *
 * A work-group has NQ * NO work-items; each sums GQ quads and GO blocks of output channels, 4 * 4 *
 * GQ * GO accumulators, over the work-group's share of the pixels, KP of them a step. NQ * NO is a
 * multiple of KP, so that a work-item loads the same pixel and quads of every step, and
 * knows where they are; neighbours load neighbouring pixels. A pixel's row in local memory is one
 * block longer than the tile, so that storing these does not meet in one bank.
 *
 * The sums of all `splits` shares of the pixels are added up by conv.cl's conv_reduce_partials, in
 * an order that does not depend on the device's timing.
 *
 * Macros besides those of common.clh, epilogue.clh: NQ, NO, GQ, GO, KP.
 */
#define GROUP (NQ * NO)
#define TILE_QUADS (NQ * GQ)
#define TILE_BLOCKS (NO * GO)
#define QUAD_ROW (TILE_QUADS + 1)
#define BLOCK_ROW (TILE_BLOCKS + 1)
#define PER_PIXEL (GROUP / KP) /* work-items that load of the same pixel */
#define QUAD_LOADS ((TILE_QUADS + PER_PIXEL - 1) / PER_PIXEL)
#define BLOCK_LOADS ((TILE_BLOCKS + PER_PIXEL - 1) / PER_PIXEL)

/* A pixel, and how far KP pixels are: numbers of three digits, images, rows and columns. */
typedef struct pixel_walk {
    int n, y, x, step_n, step_y, step_x;
    int index; /* in the flattened index over N*H*W */
} pixel_walk;

INLINE void walk_begin(pixel_walk *walk, int p, const conv_shape *s)
{
    const int plane = s->H * s->W, r = p % plane, step = KP % plane;
    walk->index = p;
    walk->n = p / plane;
    walk->y = r / s->W;
    walk->x = r % s->W;
    walk->step_n = KP / plane;
    walk->step_y = step / s->W;
    walk->step_x = step % s->W;
}

INLINE void walk_on(pixel_walk *walk, const conv_shape *s)
{
    walk->index += KP;
    walk->x += walk->step_x;
    walk->y += walk->step_y;
    walk->n += walk->step_n;
    if (walk->x >= s->W) {
        walk->x -= s->W;
        walk->y++;
    }
    if (walk->y >= s->H) {
        walk->y -= s->H;
        walk->n++;
    }
}

/* What a quad sees: a block of input channels, shifted. A quad behind the last has ib = Ib. */
typedef struct quad {
    int ib, dy, dx;
} quad;

INLINE int wrapped_shift(int shift, int size, int wrap)
{
    return wrap ? (shift % size + size) % size : shift;
}

INLINE void quad_of(quad *out, int q, const conv_shape *s)
{
    const int taps = s->kh * s->kw, tap = q % taps;
    out->ib = min(q / taps, s->Ib);
    out->dy = wrapped_shift(tap / s->kw - s->pad_y, s->H, s->wrap);
    out->dx = wrapped_shift(tap % s->kw - s->pad_x, s->W, s->wrap);
}

INLINE realb load_quad(const quad *q, const pixel_walk *p, int end, const conv_shape *s,
                       __global const real *x)
{
    int sy = p->y + q->dy, sx = p->x + q->dx;
    if (s->wrap) {
        sy -= sy >= s->H ? s->H : 0;
        sx -= sx >= s->W ? s->W : 0;
    }
    realb v = (realb)(0);
    if ((p->index < end) & (q->ib < s->Ib) & (sy >= 0) & (sy < s->H) & (sx >= 0) & (sx < s->W))
        v = load_block(x + (ulong)(((p->n * s->Ib + q->ib) * s->H + sy) * s->W + sx) * B);
    return v;
}

INLINE realb load_output(int block, const pixel_walk *p, int end, const conv_shape *s,
                         __global const real *gy)
{
    realb v = (realb)(0);
    if ((p->index < end) & (block < s->Ob))
        v = load_block(gy + (ulong)(((p->n * s->Ob + block) * s->H + p->y) * s->W + p->x) * B);
    return v;
}

INLINE void store_step(const realb *quads, const realb *blocks, __local realb *x, __local realb *g)
{
    const int item = get_local_id(0), pixel = item % KP, first = item / KP;
#pragma unroll
    for (int i = 0; i < QUAD_LOADS; i++)
        if (first + i * PER_PIXEL < TILE_QUADS)
            x[pixel * QUAD_ROW + first + i * PER_PIXEL] = quads[i];
#pragma unroll
    for (int i = 0; i < BLOCK_LOADS; i++)
        if (first + i * PER_PIXEL < TILE_BLOCKS)
            g[pixel * BLOCK_ROW + first + i * PER_PIXEL] = blocks[i];
}

/* acc[(o * GQ + q) * B + c] += channel c of this work-item's quad q times its block o. */
INLINE void multiply_step(__local const realb *x, __local const realb *g, realb *acc)
{
    x += get_local_id(0) % NQ;
    g += get_local_id(0) / NQ;
#pragma unroll 1
    for (int p = 0; p < KP; p++) {
        realb gv[GO];
#pragma unroll
        for (int o = 0; o < GO; o++)
            gv[o] = g[p * BLOCK_ROW + o * NO];
#pragma unroll
        for (int q = 0; q < GQ; q++) {
            const realb xv = x[p * QUAD_ROW + q * NQ];
#pragma unroll
            for (int c = 0; c < B; c++) {
#pragma unroll
                for (int o = 0; o < GO; o++) {
                    const int at = (o * GQ + q) * B + c;
                    acc[at] = fma((realb)(CHANNEL(xv, c)), gv[o], acc[at]);
                }
            }
        }
    }
}

/* Blocks of 4 inputs and 4 outputs [B in][B out] to partial [Ob][Ib][kh*kw][B][B]. */
INLINE void store_sums(const realb *acc, int first_quad, int first_block, const conv_shape *s,
                       __global real *partial)
{
    const int quads = s->Ib * s->kh * s->kw;
    first_quad += get_local_id(0) % NQ;
    first_block += get_local_id(0) / NQ;
#pragma unroll
    for (int o = 0; o < GO; o++) {
#pragma unroll
        for (int q = 0; q < GQ; q++) {
            const int block = first_block + o * NO, quad = first_quad + q * NQ;
            if (block < s->Ob && quad < quads) {
#pragma unroll
                for (int c = 0; c < B; c++)
                    store_block(acc[(o * GQ + q) * B + c],
                                partial + (((ulong)block * quads + quad) * B + c) * B);
            }
        }
    }
}

/*
 * partial [splits][Ob][Ib][kh*kw][B][B] = sums over each split's pixels of x outer gy. Global size:
 * NQ*NO * ceil(Ib*kh*kw, NQ*GQ), ceil(Ob, NO*GO), splits; local size NQ*NO.
 */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
conv_tiled_gradient(__global const real *x, ulong x0, __global const real *gy, ulong gy0,
                    __global real *partial, ulong partial0, int N, int Ib, int Ob, int H, int W,
                    int kh, int kw, int pad_y, int pad_x, int splits, int flags)
{
    __local realb x_tile[2][KP * QUAD_ROW], g_tile[2][KP * BLOCK_ROW];
    const conv_shape s = {N, Ib, Ob, H, W, kh, kw, pad_y, pad_x, (flags & CONV_WRAP) != 0};
    const int split = (int)get_group_id(2), item = (int)get_local_id(0);
    const int first_quad = (int)get_group_id(0) * TILE_QUADS;
    const int first_block = (int)get_group_id(1) * TILE_BLOCKS;
    const int begin = (int)((ulong)(N * H * W) * split / splits);
    const int end = (int)((ulong)(N * H * W) * (split + 1) / splits);
    const int steps = (end - begin + KP - 1) / KP;
    pixel_walk walk;
    quad mine[QUAD_LOADS];
    realb acc[GO * GQ * B], quads[QUAD_LOADS], blocks[BLOCK_LOADS];
#pragma unroll
    for (int i = 0; i < QUAD_LOADS; i++)
        quad_of(&mine[i], first_quad + item / KP + i * PER_PIXEL, &s);
#pragma unroll
    for (int i = 0; i < GO * GQ * B; i++)
        acc[i] = (realb)(0);
    walk_begin(&walk, begin + item % KP, &s);
    x += x0;
    gy += gy0;

    /* Step -1 only loads. */
    for (int step = -1; step < steps; step++) {
        const int more = step + 1 < steps;
        if (more) {
#pragma unroll
            for (int i = 0; i < QUAD_LOADS; i++)
                quads[i] = load_quad(&mine[i], &walk, end, &s, x);
#pragma unroll
            for (int i = 0; i < BLOCK_LOADS; i++)
                blocks[i] =
                    load_output(first_block + item / KP + i * PER_PIXEL, &walk, end, &s, gy);
            walk_on(&walk, &s);
        }
        if (step >= 0)
            multiply_step(x_tile[step & 1], g_tile[step & 1], acc);
        if (more)
            store_step(quads, blocks, x_tile[~step & 1], g_tile[~step & 1]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }
    store_sums(acc, first_quad, first_block, &s,
               partial + partial0 + split * ((ulong)Ob * Ib * kh * kw * B * B));
}

/*
 * sums [splits][Ob*B] = sums of gy over each split's pixels, for the bias. Global size: NQ*NO, Ob,
 * splits; local size NQ*NO.
 */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
conv_tiled_bias(__global const real *gy, ulong gy0, __global real *sums, ulong sums0, int N, int Ob,
                int plane, int splits)
{
    __local realb scratch[GROUP];
    const int block = (int)get_group_id(1), split = (int)get_group_id(2);
    const int item = (int)get_local_id(0), end = (int)((ulong)(N * plane) * (split + 1) / splits);
    realb sum = (realb)(0);
    gy += gy0;
    for (int p = (int)((ulong)(N * plane) * split / splits) + item; p < end; p += GROUP)
        sum += load_block(gy + (ulong)((p / plane * Ob + block) * plane + p % plane) * B);
    scratch[item] = sum;
    for (int half_way = GROUP / 2; half_way > 0; half_way /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_way)
            scratch[item] += scratch[item + half_way];
    }
    if (item == 0)
        store_block(scratch[0], sums + sums0 + ((ulong)split * Ob + block) * B);
}
