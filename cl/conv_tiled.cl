/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions of stride 1 that keep the size of the map as a product of matrices, for devices with
 * local memory and B = 4: [output channels x quads] times [quads x pixels], where a quad is the 4
 * input channels of a block under one tap of the kernel. The right matrix is never in memory
 * ("implicit GEMM", Chetlur et al. 2014, arXiv:1410.0759, section 3). Layouts are conv.clh's.
 *
 * A work-group of GROUP work-items computes GROUP pixels and GP * GB blocks of output channels,
 * each work-item GP pixels of GB blocks, 4 * GP * GB accumulators. Step by step it loads GK quads
 * of its pixels and of its weights into local memory, and the next ones into registers meanwhile:
 * with two buffers one barrier a step is enough. A work-item loads one pixel of a step, always the
 * same, so that it knows its place; neighbours load neighbouring pixels, 16 bytes each.
 *
 * Local memory is read without bank conflicts: neighbouring work-items read 16 neighbouring bytes,
 * or the same. Weights arrive with channels running fastest and are read with output blocks
 * running fastest; a row is one block longer than the tile so that storing them does not meet
 * in one bank.
 *
 * Macros besides those of common.clh, activation.clh, epilogue.clh: GROUP, GP (divides GROUP), GB,
 * GK. Global size: GROUP * ceil(N*H*W, GROUP), ceil(Ob, GP*GB); local size GROUP.
 */
#define ACROSS (GROUP / GP) /* work-items along the pixels; GP along the blocks */
#define TILE_BLOCKS (GP * GB)
#define WEIGHT_ROW (TILE_BLOCKS + 1)
#define STEP_WEIGHTS (GK * B * TILE_BLOCKS)
#define WEIGHT_LOADS ((STEP_WEIGHTS + GROUP - 1) / GROUP)

typedef PASTE(REAL, 2) real2;

/* Structs are filled through pointers: returned, they come with promises of the compiler to itself
 * that Oclgrind does not know. */

/* Where pixel p of the flattened index over N*H*W is. */
typedef struct pixel_place {
    int n, y, x;
    int exists;
} pixel_place;

INLINE void place_of(pixel_place *place, int p, const conv_shape *s)
{
    const int plane = s->H * s->W, r = p % plane;
    place->n = p / plane;
    place->y = r / s->W;
    place->x = r % s->W;
    place->exists = p < s->N * plane;
}

/* The quad that is loaded next: a tap, by how far it shifts, and a block of input channels.
 * Circular shifts are kept within [0, size). */
typedef struct quad_walk {
    int ky, kx, dy, dx, ib;
    int dy0, dx0; /* of the first tap */
} quad_walk;

INLINE int first_shift(int pad, int size, int wrap)
{
    return wrap ? (size - pad % size) % size : -pad;
}

INLINE int next_shift(int shift, int size, int wrap)
{
    return wrap && shift + 1 == size ? 0 : shift + 1;
}

INLINE void walk_begin(quad_walk *walk, const conv_shape *s)
{
    walk->ky = walk->kx = walk->ib = 0;
    walk->dy = walk->dy0 = first_shift(s->pad_y, s->H, s->wrap);
    walk->dx = walk->dx0 = first_shift(s->pad_x, s->W, s->wrap);
}

INLINE void walk_on(quad_walk *walk, const conv_shape *s)
{
    walk->dx = next_shift(walk->dx, s->W, s->wrap);
    if (++walk->kx < s->kw)
        return;
    walk->kx = 0;
    walk->dx = walk->dx0;
    walk->dy = next_shift(walk->dy, s->H, s->wrap);
    if (++walk->ky < s->kh)
        return;
    walk->ky = 0;
    walk->dy = walk->dy0;
    walk->ib++;
}

/* What the quad's tap sees from the pixel; zero outside of the map, behind the last pixel, and
 * behind the last quad. */
INLINE realb load_quad(const quad_walk *walk, const pixel_place *p, const conv_shape *s,
                       __global const real *x)
{
    int sy = p->y + walk->dy, sx = p->x + walk->dx;
    if (s->wrap) {
        sy -= sy >= s->H ? s->H : 0;
        sx -= sx >= s->W ? s->W : 0;
    }
    realb v = (realb)(0);
    if (p->exists & (walk->ib < s->Ib) & (sy >= 0) & (sy < s->H) & (sx >= 0) & (sx < s->W))
        v = load_block(x + (ulong)(((p->n * s->Ib + walk->ib) * s->H + sy) * s->W + sx) * B);
    return v;
}

/* Row k of a step's weights: channel k % B of quad k / B. Work-items take rows one after the
 * other, then blocks. */
INLINE realb load_weights(int load, int step, int ob, const conv_shape *s, __global const real *w)
{
    const int rows = s->Ib * s->kh * s->kw * B;
    const int at = (int)get_local_id(0) + load * GROUP;
    const int row = step * GK * B + at % (GK * B), block = ob + at / (GK * B);
    realb v = (realb)(0);
    if (at < STEP_WEIGHTS && row < rows && block < s->Ob)
        v = load_block(w + ((ulong)block * rows + row) * B);
    return v;
}

INLINE void store_step(const realb *pixels, const realb *weights, __local realb *x,
                       __local realb *w)
{
    const int item = get_local_id(0);
#pragma unroll
    for (int k = 0; k < GK; k++)
        x[k * GROUP + item] = pixels[k];
#pragma unroll
    for (int load = 0; load < WEIGHT_LOADS; load++) {
        const int at = item + load * GROUP;
        if (at < STEP_WEIGHTS)
            w[at % (GK * B) * WEIGHT_ROW + at / (GK * B)] = weights[load];
    }
}

/*
 * acc[o * GP + i] += the step's share for this work-item's pixel i and block o. Two channels at a
 * time, and no unrolling beyond them: compilers would load far ahead and run out of registers.
 */
INLINE void multiply_step(__local const realb *x, __local const realb *w, realb *acc)
{
    x += get_local_id(0) % ACROSS;
    w += get_local_id(0) / ACROSS;
#pragma unroll 1
    for (int pair = 0; pair < 2 * GK; pair++) {
        real2 pixel[GP];
#pragma unroll
        for (int i = 0; i < GP; i++)
            pixel[i] = ((__local const real2 *)(x + pair / 2 * GROUP + i * ACROSS))[pair % 2];
#pragma unroll
        for (int c = 0; c < 2; c++) {
#pragma unroll
            for (int o = 0; o < GB; o++) {
                const realb wv = w[(pair * 2 + c) * WEIGHT_ROW + o * GP];
#pragma unroll
                for (int i = 0; i < GP; i++) {
                    const realb xv = (realb)(c == 0 ? pixel[i].s0 : pixel[i].s1);
                    acc[o * GP + i] = fma(xv, wv, acc[o * GP + i]);
                }
            }
        }
    }
}

INLINE void finish_tile(const realb *acc, int first, int ob, const conv_shape *s, realb scale,
                        __global const real *bias, const epilogue e)
{
    const int plane = s->H * s->W;
    first += get_local_id(0) % ACROSS;
    ob += get_local_id(0) / ACROSS;
#pragma unroll
    for (int o = 0; o < GB; o++) {
        const int block = ob + o * GP;
        if (block < s->Ob) {
            realb b = (realb)(0);
            if (e.flags & CONV_BIAS)
                b = load_block(bias + block * B);
#pragma unroll
            for (int i = 0; i < GP; i++) {
                const int p = first + i * ACROSS, n = p / plane;
                const ulong at = (ulong)((n * s->Ob + block) * plane + p - n * plane) * B;
                if (p < s->N * plane)
                    conv_finish(e, fma(scale, acc[o * GP + i], b), at, block == s->Ob - 1);
            }
        }
    }
}

/* conv.cl's conv_apply says what it computes. */
__kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
conv_tiled(__global const real *x, ulong x0, __global const real *w, ulong w0,
           __global const real *scale, ulong scale0, __global const real *bias, ulong bias0,
           __global const real *beta, ulong beta0, __global const real *saved, ulong saved0,
           __global const real *residual, ulong residual0, __global real *y, ulong y0, int N,
           int Ib, int Ob, int H, int W, int kh, int kw, int pad_y, int pad_x, int flags)
{
    __local realb x_tile[2][GK * GROUP], w_tile[2][GK * B * WEIGHT_ROW];
    const conv_shape s = {N, Ib, Ob, H, W, kh, kw, pad_y, pad_x, (flags & CONV_WRAP) != 0};
    const int first = (int)get_group_id(0) * GROUP, ob = (int)get_group_id(1) * TILE_BLOCKS;
    const int steps = (Ib * kh * kw + GK - 1) / GK;
    pixel_place place;
    quad_walk walk;
    realb acc[GP * GB], pixels[GK], weights[WEIGHT_LOADS];
#pragma unroll
    for (int i = 0; i < GP * GB; i++)
        acc[i] = (realb)(0);
    place_of(&place, first + (int)get_local_id(0), &s);
    walk_begin(&walk, &s);
    x += x0;
    w += w0;

    /* Step -1 only loads. */
    for (int step = -1; step < steps; step++) {
        const int more = step + 1 < steps;
        if (more) {
#pragma unroll
            for (int k = 0; k < GK; k++, walk_on(&walk, &s))
                pixels[k] = load_quad(&walk, &place, &s, x);
#pragma unroll
            for (int load = 0; load < WEIGHT_LOADS; load++)
                weights[load] = load_weights(load, step + 1, ob, &s, w);
        }
        if (step >= 0)
            multiply_step(x_tile[step & 1], w_tile[step & 1], acc);
        if (more)
            store_step(pixels, weights, x_tile[~step & 1], w_tile[~step & 1]);
        barrier(CLK_LOCAL_MEM_FENCE);
    }

    const epilogue e = {saved + saved0, residual + residual0, y + y0, flags,
                        epilogue_parameter(beta + beta0, flags)};
    finish_tile(acc, first, ob, &s, (realb)(flags & CONV_SCALE ? scale[scale0] : (real)1),
                bias + bias0, e);
}
