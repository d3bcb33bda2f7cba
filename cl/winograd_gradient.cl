/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gradients of the weights of Winograd's convolution (winograd.clh).
 */

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

/* u (=, or += with `add`) sum over tiles of v outer g, for `rows` <= HALF channels of a block of
 * inputs and `blocks` <= OCB blocks of outputs, both constants. */
#define HALF (B / 2)
#define FEW 4

INLINE void winograd_outer(const int blocks, const int rows, __global const real *v,
                           __global const real *g, int g_stride, __global real *u, int u_stride,
                           int count, int add)
{
    realb acc[OCB * HALF];
#pragma unroll
    for (int o = 0; o < OCB; o++) {
#pragma unroll
        for (int i = 0; i < HALF; i++) {
            acc[o * HALF + i] = (realb)(0);
            if (o < blocks && i < rows && add)
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
                if (o < blocks && i < rows)
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
            if (o < blocks && i < rows)
                store_block(acc[o * HALF + i], u + o * u_stride + i * B);
        }
    }
}

/* The same for `channels` of v, from the first of a block on, and `outputs` blocks of g; blocks of
 * v are v_block apart, and their u u_block. */
INLINE void outer_products(int channels, __global const real *v, int v_block, int outputs,
                           __global const real *g, int g_block, __global real *u, int u_block,
                           int u_stride, int count, int add)
{
    for (int ob = 0; ob < outputs; ob += OCB, g += OCB * g_block, u += OCB * u_stride)
        for (int c = 0; c < channels; c += HALF) {
            __global const real *vp = v + c / B * v_block + c % B;
            __global real *up = u + c / B * u_block + c % B * B;
            const int few = channels - c <= FEW;
            if (ob + OCB <= outputs && !few)
                winograd_outer(OCB, HALF, vp, g, g_block, up, u_stride, count, add);
            else if (ob + OCB <= outputs)
                winograd_outer(OCB, FEW, vp, g, g_block, up, u_stride, count, add);
            else
                for (int o = 0; o < outputs - ob; o++)
                    winograd_outer(1, HALF, vp, g + o * g_block, 0, up + o * u_stride, 0, count,
                                   add);
        }
}

/* Few outputs take the part of the inputs, so that lanes are not idle; blocks of the gradient are
 * then transposed. */
INLINE int transposed_gradient(int inputs, int outputs)
{
    return outputs <= FEW && inputs > FEW;
}

/*
 * Gradients of <gy, W * x> with respect to the transformed weights, and the sum of gy, over a part
 * of the tiles for each of the work-items along dimension 0: scratch begins with `items` times
 * [Ob][Ib][36][B][B] and [Ob][B], and a slot holds the zeros and the transforms of a group of
 * tiles.
 */
KERNEL void winograd_weight_gradient(__global const real *x, ulong x0, __global const real *gy,
                                     ulong gy0, __global real *scratch, ulong scratch0, int slot,
                                     int N, int Ib, int Ob, int H, int W, int group, int inputs,
                                     int outputs, int flags)
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
            __global const real *vp = v + k * v_stride, *gp = g + k * g_stride;
            __global real *up = u + from * u_stride + k * B * B;
            if (transposed_gradient(inputs, outputs))
                outer_products(outputs, gp, 0, Ib, vp, group * B, up, 0, POINTS * B * B, count,
                               first != begin);
            else
                outer_products(inputs, vp, group * B, to - from, gp, group * B, up, POINTS * B * B,
                               u_stride, count, first != begin);
        }
    }
}

/* A row of the block at `to`, or a column. */
INLINE void store_gradient(realb v, __global real *to, int row, int turned)
{
    if (!turned)
        store_block(v, to + row * B);
    else
        for (int c = 0; c < B; c++)
            to[c * B + row] = ((const real *)&v)[c];
}

/* Adds up for the `inputs` channels what `items` along dimension 0 of winograd_weight_gradient
 * left, and overwrites grad_w, in the layout of direct weights, and, if biases is not 0, grad_b. */
KERNEL void winograd_reduce_gradient(__global const real *scratch, ulong scratch0, int items,
                                     __global real *grad_w, ulong grad_w0, __global real *grad_b,
                                     ulong grad_b0, int Ib, int Ob, int inputs, int outputs,
                                     int biases)
{
    const int total = Ob * Ib * B, step = (int)get_global_size(0);
    const int partial = total * POINTS * B + Ob * B, turned = transposed_gradient(inputs, outputs);
    scratch += scratch0;
    for (int k = (int)get_global_id(0); k < total; k += step) {
        __global const real *from = scratch + ((ulong)(k / B) * POINTS * B + k % B) * B;
        __global real *to = grad_w + grad_w0 + (ulong)(k / B) * 9 * B * B;
        realb u[POINTS], h[18], g[9];
        if (turned ? k % B >= outputs : k % (Ib * B) >= inputs) {
            for (int i = 0; i < 9; i++)
                store_gradient((realb)(0), to + i * B * B, k % B, turned);
            continue;
        }
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
            store_gradient(g[i], to + i * B * B, k % B, turned);
    }
    scratch += (ulong)total * POINTS * B;
    for (int k = (int)get_global_id(0); k < (biases ? Ob : 0); k += step) {
        realb sum = load_block(scratch + k * B);
        for (int s = 1; s < items; s++)
            sum += load_block(scratch + k * B + (ulong)s * partial);
        store_block(sum, grad_b + grad_b0 + k * B);
    }
}
