/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 3x3 convolutions of stride 1 and pad 1 by Winograd's minimal filtering F(4x4, 3x3): Lavin & Gray,
 * "Fast Algorithms for Convolutional Neural Networks", CVPR 2016. For CPUs (WG = 1), where a
 * work-item is a thread. A tile of 4x4 outputs takes 36 products a pair of channels instead of 144:
 *   y = A^T [ (G w G^T) . (B^T x B) ] A                   x: the 6x6 inputs around the tile
 *   dw = G^T [ sum over tiles (B^T x B) . (A dy A^T) ] G
 * and the sums over channels, or tiles, of the 36 products are matrix products. Tiles hang over the
 * edge of maps whose size is not a multiple of 4.
 *
 * The transforms interpolate at 0, +-sqrt(1/2), +-sqrt(2) and infinity. With the usual 0, +-1, +-2
 * the error is twice as large (for 256 channels 3.1e-6 instead of 1.4e-6 in norm; a plain sum of
 * products has 0.9e-6), and these take fewer operations, for the product of the squares is 1.
 *
 * Layouts and offsets as in conv.cl, which this follows; besides
 *   u        [Ob][36][Ib][B in][B out], the transformed weights
 *   scratch  a slot of `slot` elements for each work-item, after what else is said at the kernel
 * Global size of winograd_apply and winograd_weight_gradient: any in two dimensions. The work-items
 * divide the tiles along dimension 0, and each goes through its own in groups of `group`, a
 * multiple of T, so that its slot stays in the cache; they divide the blocks of output channels
 * along dimension 1, where every part transforms the inputs again. The other kernels: any in
 * dimension 0; their work is divided.
 */
#define POINTS 36
#define SQRT_HALF ((real)0.70710678118654752440)
#define SQRT_2 ((real)1.41421356237309504880)

/*
 * A slot of winograd_apply: a row of W zeros, the transformed inputs [36][group/T][Ib][T][B], and
 * the products [36][group][OCB][B]. The strides of the points are off a power of 2, or a tile's 36
 * blocks would fall in the same few sets of the cache.
 */
#define INPUT_STRIDE(group, blocks) ((group) * (blocks)*B + B)
#define PRODUCT_STRIDE(group) ((group)*OCB * B + B)

/* Half of B^T d for d = (d[0], d[s], ..., d[5s]): the first or the last three of six. */
INLINE void winograd_input(const int part, const realb *d, const int s, realb *v, const int t)
{
    if (part == 0) {
        const realb even = d[4 * s] - 2 * d[2 * s], odd = d[3 * s] - 2 * d[s];
        v[0] = d[0] + d[4 * s] - (real)2.5 * d[2 * s];
        v[t] = even + SQRT_HALF * odd;
        v[2 * t] = even - SQRT_HALF * odd;
    } else {
        const realb even = d[4 * s] - (real)0.5 * d[2 * s], odd = d[3 * s] - (real)0.5 * d[s];
        v[0] = even + SQRT_2 * odd;
        v[t] = even - SQRT_2 * odd;
        v[2 * t] = d[s] + d[5 * s] - (real)2.5 * d[3 * s];
    }
}

/* A^T m: 6 to 4. */
INLINE void winograd_output(const realb *m, const int s, realb *y, const int t)
{
    const realb even_a = m[s] + m[2 * s], odd_a = m[s] - m[2 * s];
    const realb even_b = m[3 * s] + m[4 * s], odd_b = m[3 * s] - m[4 * s];
    y[0] = m[0] + even_a + even_b;
    y[t] = SQRT_HALF * odd_a + SQRT_2 * odd_b;
    y[2 * t] = (real)0.5 * even_a + 2 * even_b;
    y[3 * t] = SQRT_HALF / 2 * odd_a + (SQRT_2 * 2 * odd_b + m[5 * s]);
}

/* G g: 3 to 6. */
INLINE void winograd_weights(const realb *g, const int s, realb *u, const int t)
{
    const realb even_a = g[0] + (real)0.5 * g[2 * s], odd_a = SQRT_HALF * g[s];
    const realb even_b = g[0] + 2 * g[2 * s], odd_b = SQRT_2 * g[s];
    u[0] = g[0];
    u[t] = (even_a + odd_a) * (real)(-2.0 / 3);
    u[2 * t] = (even_a - odd_a) * (real)(-2.0 / 3);
    u[3 * t] = (even_b + odd_b) * (real)(1.0 / 6);
    u[4 * t] = (even_b - odd_b) * (real)(1.0 / 6);
    u[5 * t] = g[2 * s];
}

/* Half of A g, 4 to 6. */
INLINE void winograd_gradient(const int part, const realb *g, const int s, realb *v, const int t)
{
    if (part == 0) {
        const realb even = g[0] + (real)0.5 * g[2 * s], odd = g[s] + (real)0.5 * g[3 * s];
        v[0] = g[0];
        v[t] = even + SQRT_HALF * odd;
        v[2 * t] = even - SQRT_HALF * odd;
    } else {
        const realb even = g[0] + 2 * g[2 * s], odd = g[s] + 2 * g[3 * s];
        v[0] = even + SQRT_2 * odd;
        v[t] = even - SQRT_2 * odd;
        v[2 * t] = g[3 * s];
    }
}

/* G^T u: 6 to 3. */
INLINE void winograd_taps(const realb *u, const int s, realb *g, const int t)
{
    const realb even_a = (u[s] + u[2 * s]) * (real)(-2.0 / 3);
    const realb odd_a = (u[s] - u[2 * s]) * (real)(-2.0 / 3);
    const realb even_b = (u[3 * s] + u[4 * s]) * (real)(1.0 / 6);
    const realb odd_b = (u[3 * s] - u[4 * s]) * (real)(1.0 / 6);
    g[0] = u[0] + even_a + even_b;
    g[t] = SQRT_HALF * odd_a + SQRT_2 * odd_b;
    g[2 * t] = (real)0.5 * even_a + 2 * even_b + u[5 * s];
}

/* u = G w G^T for each pair of channels. */
KERNEL void winograd_transform_weights(__global const real *w, ulong w0, __global real *u, ulong u0,
                                       int Ob, int Ib)
{
    const int total = Ob * Ib * B, step = (int)get_global_size(0);
    for (int k = (int)get_global_id(0); k < total; k += step) {
        const int c = k % B, ib = k / B % Ib, ob = k / B / Ib;
        __global const real *from = w + w0 + ((ulong)(ob * Ib + ib) * 9 * B + c) * B;
        __global real *to = u + u0 + (((ulong)ob * POINTS * Ib + ib) * B + c) * B;
        realb g[9], h[18], v[POINTS];
#pragma unroll
        for (int i = 0; i < 9; i++)
            g[i] = load_block(from + i * B * B);
#pragma unroll
        for (int i = 0; i < 3; i++)
            winograd_weights(g + i, 3, h + i, 3);
#pragma unroll
        for (int i = 0; i < 6; i++)
            winograd_weights(h + 3 * i, 1, v + 6 * i, 1);
#pragma unroll
        for (int i = 0; i < POINTS; i++)
            store_block(v[i], to + (ulong)i * Ib * B * B);
    }
}

/* Where tile `tile` is: its image, and its top left output. */
INLINE void tile_place(int tile, int H, int W, int *n, int *y, int *x)
{
    const int across = (W + 3) / 4, down = (H + 3) / 4;
    *x = tile % across * 4;
    *y = tile / across % down * 4;
    *n = tile / (across * down);
}

/* The first block of part `part` of the blocks of outputs, in whole groups of OCB. */
INLINE int part_start(int part, int parts, int blocks)
{
    const int groups = (blocks + OCB - 1) / OCB;
    return min((int)((ulong)groups * part / parts) * OCB, blocks);
}

/* Row or column p of a map, -1 if it is zero. Past the border that outputs of the map see there
 * are zeros: what tiles that hang over compute from them is thrown away. */
INLINE int border(int p, int size, int wrap)
{
    if (wrap)
        p = p == -1 ? size - 1 : p == size ? 0 : p;
    return p < size ? p : -1;
}

/* The built-in function prefetch() does nothing in PoCL, and simulators (which compile for SPIR) do
 * not know clang's. */
#if defined(__has_builtin) && !defined(__SPIR__)
#if __has_builtin(__builtin_prefetch)
#define PREFETCH(p, write) __builtin_prefetch((const void *)(ulong)(p), write)
#define PREFETCH2(p, write) __builtin_prefetch((const void *)(ulong)(p), write, 2)
#endif
#endif
#ifndef PREFETCH
#define PREFETCH(p, write) (void)(p)
#define PREFETCH2(p, write) (void)(p)
#endif

/*
 * v = B^T x B for one block of a tile, with point k going to v + k * stride. Pixel (i, j) of the
 * inputs is at rows[i] + columns[j], or zero where columns[j] < 0. Three rows of points at a time,
 * which the registers hold: loads are cheaper than stores.
 */
INLINE void transform_tile(__global const real *const *rows, const int *columns, __global real *v,
                           int stride, int ahead)
{
#pragma unroll
    for (int part = 0; part < 2; part++) {
        realb t[18];
#pragma unroll
        for (int j = 0; j < 6; j++) {
            realb d[6];
#pragma unroll
            for (int k = 0; k < 3; k++)
                t[6 * k + j] = (realb)(0);
            if (columns[j] >= 0) {
#pragma unroll
                for (int k = 0; k < 6; k++) {
                    d[k] = load_block(rows[k] + columns[j]);
                    if (part == 0)
                        PREFETCH(rows[k] + columns[j] + ahead, 0);
                }
                winograd_input(part, d, 1, t + j, 6);
            }
        }
#pragma unroll
        for (int j = 0; j < 3; j++) {
            realb p[6];
            winograd_input(0, t + 6 * j, 1, p, 1);
            winograd_input(1, t + 6 * j, 1, p + 3, 1);
#pragma unroll
            for (int k = 0; k < 6; k++) {
                store_block(p[k], v);
                v += stride;
            }
        }
    }
}

/*
 * Transformed inputs of tiles [first, end), rounded up to T with tiles of zeros: point k of block
 * ib of tile i goes to v + k * stride + ib * block_stride + i / T * group_stride + i % T * B.
 * zeros: a row of the map with zeros.
 */
INLINE void transform_inputs(__global const real *x, __global const real *zeros, __global real *v,
                             int first, int end, int stride, int block_stride, int group_stride,
                             int blocks, int H, int W, int wrap)
{
    const int count = (end - first + T - 1) / T * T;
    for (int i = 0; i < count; i++) {
        int n, top, left, row[6], columns[6];
        tile_place(min(first + i, end - 1), H, W, &n, &top, &left);
#pragma unroll
        for (int j = 0; j < 6; j++) {
            row[j] = first + i < end ? border(top - 1 + j, H, wrap) : -1;
            columns[j] = border(left - 1 + j, W, wrap) * B;
        }
        for (int ib = 0; ib < blocks; ib++) {
            __global const real *from = x + (ulong)(n * blocks + ib) * (H * W * B);
            __global const real *rows[6];
#pragma unroll
            for (int j = 0; j < 6; j++)
                rows[j] = row[j] < 0 ? zeros : from + row[j] * W * B;
            transform_tile(rows, columns, v + ib * block_stride + i / T * group_stride + i % T * B,
                           stride, ib + 1 < blocks ? H * W * B : (4 - (blocks - 1) * H * W) * B);
        }
    }
}

/*
 * Asks for what is needed next while the products keep the core busy: activations reach beyond the
 * cache, in pieces too short for the hardware to foresee, and layers with few channels would wait
 * for them a third of the time. Part k of POINTS of the 4x4 pixels of tiles [first, first + count)
 * in blocks [from, to) of `blocks`.
 */
INLINE void fetch(const int write, __global const real *x, int k, int first, int count, int from,
                  int to, int blocks, int H, int W)
{
    for (int i = count * k / POINTS; i < count * (k + 1) / POINTS; i++) {
        int n, top, left;
        tile_place(first + i, H, W, &n, &top, &left);
        for (int b = from; b < to; b++) {
            __global const real *at = x + ((n * blocks + b) * H + top) * (ulong)(W * B) + left * B;
            for (int y = top; y < min(top + 4, H); y++) {
                for (int p = 0; p < min(4, W - left) * B; p += B) {
                    if (write)
                        PREFETCH2(at + p, 1);
                    else
                        PREFETCH2(at + p, 0);
                }
                at += W * B;
            }
        }
    }
}

/* The products at one point: T tiles by `blocks` <= OCB blocks of outputs, a constant. */
INLINE void winograd_multiply(const int blocks, __global const real *v, __global const real *u,
                              ulong u_stride, __global real *product, int Ib)
{
    realb acc[OCB * T];
    __global const real *up[OCB];
#pragma unroll
    for (int o = 0; o < OCB; o++)
        up[o] = u + (o < blocks ? o : 0) * u_stride;
    multiply_tile(blocks, v, T * B, up, acc, Ib);
#pragma unroll
    for (int i = 0; i < T; i++) {
#pragma unroll
        for (int o = 0; o < OCB; o++) {
            if (o < blocks)
                store_block(acc[o * T + i], product + (i * OCB + o) * B);
        }
    }
}

/* The products at one point for all tiles of a group. */
INLINE void multiply_tiles(int blocks, __global const real *v, __global const real *u,
                           ulong u_stride, __global real *product, int Ib, int count)
{
    for (int i = 0; i < count; i += T) {
        if (blocks == OCB)
            winograd_multiply(OCB, v, u, u_stride, product, Ib);
        else
            for (int o = 0; o < blocks; o++)
                winograd_multiply(1, v, u + o * u_stride, u_stride, product + o * B, Ib);
        v += T * Ib * B;
        product += T * OCB * B;
    }
}

/* A^T m A for block ob of a tile, from the products m, and the end of the convolution. */
INLINE void finish_tile(__global const real *m, int stride, int tile, realb scale, realb bias,
                        int ob, const epilogue e, int Ob, int H, int W)
{
    realb t[24];
    int n, top, left;
    tile_place(tile, H, W, &n, &top, &left);
#pragma unroll
    for (int j = 0; j < 6; j++) {
        realb p[6];
#pragma unroll
        for (int k = 0; k < 6; k++)
            p[k] = load_block(m + (6 * k + j) * stride);
        winograd_output(p, 1, t + j, 6);
    }
#pragma unroll
    for (int j = 0; j < 4; j++) {
        realb p[4];
        winograd_output(t + 6 * j, 1, p, 1);
#pragma unroll
        for (int k = 0; k < 4; k++) {
            if (top + j < H && left + k < W) {
                const int at = ((n * Ob + ob) * H + top + j) * W + left + k;
                conv_finish(e, fma(scale, p[k], bias), (ulong)at * B, ob == Ob - 1);
            }
        }
    }
}

/*
 * Tiles [begin, end) of blocks [first_block, last_block) of outputs, in groups of `group`. slot: a
 * slot of scratch. scale is of all channels; bias and the rest as in conv_apply. far_x, far_y: x,
 * or y and what is combined with it, are beyond the cache.
 */
INLINE void winograd_tiles(__global const real *x, __global const real *u, realb scale,
                           __global const real *bias, const epilogue e, __global real *slot,
                           int begin, int end, int first_block, int last_block, int Ib, int Ob,
                           int H, int W, int group, int far_x, int far_y)
{
    const int v_stride = INPUT_STRIDE(group, Ib), m_stride = PRODUCT_STRIDE(group);
    const ulong u_stride = (ulong)POINTS * Ib * B * B;
    __global real *zeros = slot, *v = zeros + W * B, *m = v + POINTS * v_stride;

    for (int i = 0; i < W; i++)
        store_block((realb)(0), zeros + i * B);
    for (int first = begin; first < end; first += group) {
        const int count = min(group, end - first);
        transform_inputs(x, zeros, v, first, first + count, v_stride, T * B, Ib * T * B, Ib, H, W,
                         e.flags & CONV_WRAP);
        for (int ob = first_block; ob < last_block; ob += OCB) {
            const int blocks = min(OCB, last_block - ob);
            __global const real *up = u + ob * u_stride;
            for (int k = 0; k < POINTS; k++) {
                multiply_tiles(blocks, v + k * v_stride, up, u_stride, m + k * m_stride, Ib, count);
                up += Ib * B * B;
                if (far_y)
                    fetch(1, e.y, k, first, count, ob, ob + blocks, Ob, H, W);
                if (far_y && e.flags & CONV_DERIVATIVE)
                    fetch(0, e.saved, k, first, count, ob, ob + blocks, Ob, H, W);
                if (far_y && e.flags & (CONV_RESIDUAL | CONV_SUBTRACT))
                    fetch(0, e.residual, k, first, count, ob, ob + blocks, Ob, H, W);
                if (far_x && ob + OCB >= last_block)
                    fetch(0, x, k, first + count, min(group, end - first - count), 0, Ib, Ib, H, W);
            }
            for (int o = 0; o < blocks; o++) {
                realb b = (realb)(0);
                if (e.flags & CONV_BIAS)
                    b = load_block(bias + (ob + o) * B);
                for (int i = 0; i < count; i++)
                    finish_tile(m + (i * OCB + o) * B, m_stride, first + i, scale, b, ob + o, e, Ob,
                                H, W);
            }
        }
    }
}

/*
 * As conv_apply with a 3x3 kernel and pad 1; u comes from winograd_transform_weights, and may be of
 * the transposed weights.
 */
KERNEL void winograd_apply(__global const real *x, ulong x0, __global const real *u, ulong u0,
                           __global const real *scale, ulong scale0, __global const real *bias,
                           ulong bias0, __global const real *saved, ulong saved0,
                           __global const real *residual, ulong residual0, __global real *y,
                           ulong y0, __global real *scratch, ulong scratch0, int slot, int N,
                           int Ib, int Ob, int H, int W, int group, int flags)
{
    const int tiles = N * ((H + 3) / 4) * ((W + 3) / 4);
    const int item = (int)get_global_id(0), items = (int)get_global_size(0);
    const int part = (int)get_global_id(1), parts = (int)get_global_size(1);
    const epilogue e = {saved + saved0, residual + residual0, y + y0, flags};
    winograd_tiles(x + x0, u + u0, (realb)(flags & CONV_SCALE ? scale[scale0] : (real)1),
                   bias + bias0, e, scratch + scratch0 + ((ulong)item * parts + part) * slot,
                   (int)((ulong)tiles * item / items), (int)((ulong)tiles * (item + 1) / items),
                   part_start(part, parts, Ob), part_start(part + 1, parts, Ob), Ib, Ob, H, W,
                   group, 1, 1);
}

/* A dy A^T for one block of a tile, laid out and read as in transform_tile, and the sum of dy. */
INLINE realb transform_gradient_tile(__global const real *const *rows, const int *columns,
                                     __global real *v, int stride)
{
    realb sum = (realb)(0);
#pragma unroll
    for (int part = 0; part < 2; part++) {
        realb t[12];
#pragma unroll
        for (int j = 0; j < 4; j++) {
            realb d[4];
#pragma unroll
            for (int k = 0; k < 3; k++)
                t[4 * k + j] = (realb)(0);
            if (columns[j] >= 0) {
#pragma unroll
                for (int k = 0; k < 4; k++)
                    d[k] = load_block(rows[k] + columns[j]);
                winograd_gradient(part, d, 1, t + j, 4);
                if (part == 0)
                    sum += d[0] + d[1] + (d[2] + d[3]);
            }
        }
#pragma unroll
        for (int j = 0; j < 3; j++) {
            realb p[6];
            winograd_gradient(0, t + 4 * j, 1, p, 1);
            winograd_gradient(1, t + 4 * j, 1, p + 3, 1);
#pragma unroll
            for (int k = 0; k < 6; k++) {
                store_block(p[k], v);
                v += stride;
            }
        }
    }
    return sum;
}

/* Transformed output gradients of tiles [first, end) and blocks [from, to): point k of block ob of
 * tile i goes to v + k * stride + ((ob - from) * group + i) * B. Their sums are added to `bias`. */
INLINE void transform_gradients(__global const real *gy, __global const real *zeros,
                                __global real *v, __global real *bias, int first, int end, int from,
                                int to, int stride, int group, int blocks, int H, int W)
{
    for (int i = 0; i < end - first; i++) {
        int n, top, left, columns[4];
        tile_place(first + i, H, W, &n, &top, &left);
#pragma unroll
        for (int j = 0; j < 4; j++)
            columns[j] = left + j < W ? (left + j) * B : -1;
        for (int ob = from; ob < to; ob++) {
            __global const real *map = gy + (ulong)(n * blocks + ob) * (H * W * B);
            __global const real *rows[4];
#pragma unroll
            for (int j = 0; j < 4; j++)
                rows[j] = top + j < H ? map + (top + j) * W * B : zeros;
            const realb sum =
                transform_gradient_tile(rows, columns, v + ((ob - from) * group + i) * B, stride);
            store_block(load_block(bias + ob * B) + sum, bias + ob * B);
        }
    }
}

/* u (=, or += with `add`) sum over tiles of v outer g, for half of the channels of a block of
 * inputs and `blocks` <= OCB blocks of outputs, a constant. */
#define HALF (B / 2)

INLINE void winograd_outer(const int blocks, __global const real *v, __global const real *g,
                           int g_stride, __global real *u, int u_stride, int count, int add)
{
    realb acc[OCB * HALF];
#pragma unroll
    for (int o = 0; o < OCB; o++) {
#pragma unroll
        for (int i = 0; i < HALF; i++) {
            acc[o * HALF + i] = (realb)(0);
            if (o < blocks && add)
                acc[o * HALF + i] = load_block(u + o * u_stride + i * B);
        }
    }
    for (int t = 0; t < count; t++) {
        realb gv[OCB];
#pragma unroll
        for (int o = 0; o < OCB; o++)
            gv[o] = load_block(g + (o < blocks ? o : 0) * g_stride);
#pragma unroll
        for (int i = 0; i < HALF; i++) {
            const realb vv = (realb)(v[i]);
#pragma unroll
            for (int o = 0; o < OCB; o++) {
                if (o < blocks)
                    acc[o * HALF + i] = fma(vv, gv[o], acc[o * HALF + i]);
            }
        }
        v += B;
        g += B;
    }
#pragma unroll
    for (int o = 0; o < OCB; o++) {
#pragma unroll
        for (int i = 0; i < HALF; i++) {
            if (o < blocks)
                store_block(acc[o * HALF + i], u + o * u_stride + i * B);
        }
    }
}

/*
 * Gradients of <gy, W * x> with respect to the transformed weights, and the sum of gy, over a part
 * of the tiles for each of the work-items along dimension 0: scratch begins with `items` times
 * [Ob][Ib][36][B][B] and [Ob][B], and a slot holds the zeros and the transforms of a group of
 * tiles.
 */
KERNEL void winograd_weight_gradient(__global const real *x, ulong x0, __global const real *gy,
                                     ulong gy0, __global real *scratch, ulong scratch0, int slot,
                                     int N, int Ib, int Ob, int H, int W, int group, int flags)
{
    const int tiles = N * ((H + 3) / 4) * ((W + 3) / 4);
    const int item = (int)get_global_id(0), items = (int)get_global_size(0);
    const int part = (int)get_global_id(1), parts = (int)get_global_size(1);
    const int begin = (int)((ulong)tiles * item / items);
    const int end = (int)((ulong)tiles * (item + 1) / items);
    const int from = part_start(part, parts, Ob), to = part_start(part + 1, parts, Ob);
    const int v_stride = INPUT_STRIDE(group, Ib), g_stride = INPUT_STRIDE(group, to - from);
    const int u_stride = Ib * POINTS * B * B, partial = Ob * (u_stride + B);
    __global real *u = scratch + scratch0 + (ulong)item * partial, *bias = u + Ob * u_stride;
    __global real *zeros =
        scratch + scratch0 + (ulong)items * partial + ((ulong)item * parts + part) * slot;
    __global real *v = zeros + W * B, *g = v + POINTS * v_stride;

    for (int i = 0; i < W; i++)
        store_block((realb)(0), zeros + i * B);
    for (int ob = from; ob < to; ob++)
        store_block((realb)(0), bias + ob * B);
    /* Once without tiles too, to store zeros. */
    for (int first = begin; first < end || first == begin; first += group) {
        const int count = min(group, end - first), next = min(group, end - first - count);
        transform_inputs(x + x0, zeros, v, first, first + count, v_stride, group * B, T * B, Ib, H,
                         W, flags & CONV_WRAP);
        transform_gradients(gy + gy0, zeros, g, bias, first, first + count, from, to, g_stride,
                            group, Ob, H, W);
        for (int k = 0; k < POINTS; k++) {
            fetch(0, x + x0, k, first + count, next, 0, Ib, Ib, H, W);
            fetch(0, gy + gy0, k, first + count, next, from, to, Ob, H, W);
            for (int ob = from; ob < to; ob += OCB) {
                __global const real *gp = g + k * g_stride + (ob - from) * group * B;
                for (int c = 0; c < Ib * B; c += HALF) {
                    __global const real *vp = v + k * v_stride + c / B * group * B + c % B;
                    __global real *up =
                        u + ob * u_stride + (c / B * POINTS + k) * B * B + c % B * B;
                    if (ob + OCB <= to)
                        winograd_outer(OCB, vp, gp, group * B, up, u_stride, count, first != begin);
                    else
                        for (int o = 0; o < to - ob; o++)
                            winograd_outer(1, vp, gp + o * group * B, 0, up + o * u_stride, 0,
                                           count, first != begin);
                }
            }
        }
    }
}

/* Adds up what `items` along dimension 0 of winograd_weight_gradient left, and overwrites grad_w,
 * in the layout of direct weights, and, if biases is not 0, grad_b. */
KERNEL void winograd_reduce_gradient(__global const real *scratch, ulong scratch0, int items,
                                     __global real *grad_w, ulong grad_w0, __global real *grad_b,
                                     ulong grad_b0, int Ib, int Ob, int biases)
{
    const int total = Ob * Ib * B, step = (int)get_global_size(0);
    const int partial = total * POINTS * B + Ob * B;
    scratch += scratch0;
    for (int k = (int)get_global_id(0); k < total; k += step) {
        __global const real *from = scratch + ((ulong)(k / B) * POINTS * B + k % B) * B;
        __global real *to = grad_w + grad_w0 + ((ulong)(k / B) * 9 * B + k % B) * B;
        realb u[POINTS], h[18], g[9];
#pragma unroll
        for (int i = 0; i < POINTS; i++) {
            u[i] = load_block(from + i * B * B);
            for (int s = 1; s < items; s++)
                u[i] += load_block(from + i * B * B + (ulong)s * partial);
        }
#pragma unroll
        for (int i = 0; i < 6; i++)
            winograd_taps(u + i, 6, h + i, 6);
#pragma unroll
        for (int i = 0; i < 3; i++)
            winograd_taps(h + 6 * i, 1, g + 3 * i, 1);
#pragma unroll
        for (int i = 0; i < 9; i++)
            store_block(g[i], to + i * B * B);
    }
    scratch += (ulong)total * POINTS * B;
    for (int k = (int)get_global_id(0); k < (biases ? Ob : 0); k += step) {
        realb sum = load_block(scratch + k * B);
        for (int s = 1; s < items; s++)
            sum += load_block(scratch + k * B + (ulong)s * partial);
        store_block(sum, grad_b + grad_b0 + k * B);
    }
}
