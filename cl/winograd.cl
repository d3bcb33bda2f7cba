/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Winograd's convolution (winograd.clh): the transformed weights, and their application.
 */

/*
 * A slot of winograd_apply: a row of W zeros, the transformed inputs [36][group/T][Ib][T][B], and
 * the products [36][group][OCB][B].
 */
#define PRODUCT_STRIDE(group) ((group)*OCB * B + B)

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

/* u = G w G^T for each pair of channels; the work-items divide the input channels. */
INLINE void transform_weights(__global const real *w, __global real *u, int Ob, int Ib)
{
    const int total = Ob * Ib * B, step = (int)get_global_size(0);
    for (int k = (int)get_global_id(0); k < total; k += step) {
        const int c = k % B, ib = k / B % Ib, ob = k / B / Ib;
        __global const real *from = w + ((ulong)(ob * Ib + ib) * 9 * B + c) * B;
        __global real *to = u + (((ulong)ob * POINTS * Ib + ib) * B + c) * B;
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

KERNEL void winograd_transform_weights(__global const real *w, ulong w0, __global real *u, ulong u0,
                                       int Ob, int Ib)
{
    transform_weights(w + w0, u + u0, Ob, Ib);
}

/* Of all layers that have them, from the weights or, with `back`, from those of W^T. Global size:
 * any; layers. */
KERNEL void winograd_transform_layers(__global const real *w, ulong w0, __global real *u, ulong u0,
                                      __global const ulong *table, ulong table0, int back)
{
    __global const ulong *row = table + table0 + get_global_id(1) * LAYER_WORDS;
    const int inputs = ((int)row[LAYER_INPUTS] + B - 1) / B;
    const int outputs = ((int)row[LAYER_OUTPUTS] + B - 1) / B;
    if (row[LAYER_WINOGRAD] != LAYER_NONE)
        transform_weights(w + w0 + row[back ? LAYER_TRANSPOSED : LAYER_WEIGHTS],
                          u + u0 + row[LAYER_WINOGRAD], back ? inputs : outputs,
                          back ? outputs : inputs);
}

/* The products at one point: T tiles by `blocks` <= OCB blocks of outputs, a constant. */
INLINE void winograd_multiply(const int blocks, __global const real *v, __global const real *u,
                              ulong u_stride, __global real *product, int Ib, int last)
{
    realb acc[OCB * T];
    __global const real *up[OCB];
#pragma unroll
    for (int o = 0; o < OCB; o++)
        up[o] = u + (o < blocks ? o : 0) * u_stride;
    multiply_tile(blocks, v, T * B, up, acc, Ib, last);
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
                           ulong u_stride, __global real *product, int Ib, int last, int count)
{
    for (int i = 0; i < count; i += T) {
        if (blocks == OCB)
            winograd_multiply(OCB, v, u, u_stride, product, Ib, last);
        else
            for (int o = 0; o < blocks; o++)
                winograd_multiply(1, v, u + o * u_stride, u_stride, product + o * B, Ib, last);
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
                multiply_tiles(blocks, v + k * v_stride, up, u_stride, m + k * m_stride, Ib,
                               CONV_LAST(e.flags), count);
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
                           ulong bias0, __global const real *beta, ulong beta0,
                           __global const real *saved, ulong saved0, __global const real *residual,
                           ulong residual0, __global real *y, ulong y0, __global real *scratch,
                           ulong scratch0, int slot, int N, int Ib, int Ob, int H, int W, int group,
                           int flags)
{
    const int tiles = N * ((H + 3) / 4) * ((W + 3) / 4);
    const int item = (int)get_global_id(0), items = (int)get_global_size(0);
    const int part = (int)get_global_id(1), parts = (int)get_global_size(1);
    const epilogue e = {saved + saved0, residual + residual0, y + y0, flags,
                        epilogue_parameter(beta + beta0, flags)};
    winograd_tiles(x + x0, u + u0, (realb)(flags & CONV_SCALE ? scale[scale0] : (real)1),
                   bias + bias0, e, scratch + scratch0 + ((ulong)item * parts + part) * slot,
                   (int)((ulong)tiles * item / items), (int)((ulong)tiles * (item + 1) / items),
                   part_start(part, parts, Ob), part_start(part + 1, parts, Ob), Ib, Ob, H, W,
                   group, 1, 1);
}
