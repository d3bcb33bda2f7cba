/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions of stride 1 that keep the size of the map, their gradients, and through 1x1 maps
 * dense layers: conv.clh tells layouts and macros. Offsets are in elements and multiples of B;
 * buffers are aligned to B elements if B <= 4.
 *
 * Global sizes (local size WG, 1; ceil(a, b) is a/b rounded up, P = N*H*W):
 *   conv_apply              WG * ceil(P, T*WG),   ceil(Ob, OCB)
 *   conv_apply_1            WG * ceil(P, T*WG),   Ob
 *   conv_transpose_weights  any multiple of WG; the work is divided over what is launched
 *   conv_weight_gradient    WG * ceil(kh*kw * (B/GIC) * Ib * ceil(Ob, GOB), WG),  splits
 *   conv_reduce_partials    any multiple of WG, as for conv_transpose_weights
 * conv_apply_1 is conv_apply with one block per work-item. When OCB does not divide Ob, launch
 * conv_apply on floor(Ob / OCB) groups and conv_apply_1 on the Ob mod OCB blocks left, with a
 * global offset of as many blocks as are done in dimension 1. Launching conv_apply on the last,
 * partly filled group is right as well, but computes blocks that it throws away.
 */
#define CONV_PARAMETERS                                                                            \
    __global const real *x, ulong x0, __global const real *w, ulong w0,                            \
        __global const real *scale, ulong scale0, __global const real *bias, ulong bias0,          \
        __global const real *beta, ulong beta0, __global const real *saved, ulong saved0,          \
        __global const real *residual, ulong residual0, __global real *y, ulong y0, int N, int Ib, \
        int Ob, int H, int W, int kh, int kw, int pad_y, int pad_x, int flags
#define CONV_ARGUMENTS                                                                             \
    x, x0, w, w0, scale, scale0, bias, bias0, beta, beta0, saved, saved0, residual, residual0, y,  \
        y0, N, Ib, Ob, H, W, kh, kw, pad_y, pad_x, flags

INLINE void conv_item(const int blocks, CONV_PARAMETERS)
{
    const conv_shape shape = {N, Ib, Ob, H, W, kh, kw, pad_y, pad_x, (flags & CONV_WRAP) != 0};
    const epilogue e = {saved + saved0, residual + residual0, y + y0, flags,
                        epilogue_parameter(beta + beta0, flags)};
    conv_tile(blocks, (int)get_group_id(0) * T * WG + (int)get_local_id(0),
              (int)get_global_id(1) * blocks, &shape, x + x0, w + w0,
              (realb)(flags & CONV_SCALE ? scale[scale0] : (real)1), bias + bias0, e);
}

/*
 * y = finish(scale * (W * x) + bias) + residual, or y = finish(residual - scale * (W * x) - bias),
 * where finish is the activation, a product with the activation's derivative at `saved` (what
 * act_d takes), or nothing; the flags say which parts there are, and arguments of absent
 * parts are not read. y may be the same memory as saved or residual, element for element.
 */
KERNEL void conv_apply(CONV_PARAMETERS)
{
    conv_item(OCB, CONV_ARGUMENTS);
}

KERNEL void conv_apply_1(CONV_PARAMETERS)
{
    conv_item(1, CONV_ARGUMENTS);
}

KERNEL void conv_transpose_weights(__global const real *w, ulong w0, __global real *wt, ulong wt0,
                                   int Ob, int Ib, int taps)
{
    for (int k = (int)get_global_id(0); k < Ob * Ib * taps; k += (int)get_global_size(0))
        conv_transpose_tile(k, Ob, Ib, taps, w + w0, wt + wt0);
}

/*
 * conv_gradient_tile over a part of the pixels for each of `splits`, and the sum of gy for the
 * bias: partial holds [splits][Ob][Ib][kh*kw][B][B] and behind all of these [splits][Ob*B].
 */
KERNEL void conv_weight_gradient(__global const real *x, ulong x0, __global const real *gy,
                                 ulong gy0, __global real *partial, ulong partial0, int N, int Ib,
                                 int Ob, int H, int W, int kh, int kw, int pad_y, int pad_x,
                                 int splits, int flags)
{
    const conv_shape s = {N, Ib, Ob, H, W, kh, kw, pad_y, pad_x, (flags & CONV_WRAP) != 0};
    const int k = (int)get_global_id(0), split = (int)get_global_id(1);
    if (k >= conv_gradient_tiles(&s) || split >= splits)
        return;
    const int taps = kh * kw, plane = H * W;
    const int from = (int)((ulong)(N * plane) * split / splits);
    const int to = (int)((ulong)(N * plane) * (split + 1) / splits);
    const ulong weights = (ulong)Ob * Ib * taps * (B * B);
    x += x0;
    gy += gy0;
    partial += partial0;
    conv_gradient_tile(k, from, to, &s, x, gy, partial + split * weights);

    /* The sums for the bias fall to one work-item of each (block of outputs, split). */
    const int first = taps * (B / GIC) * Ib;
    if (k % first != 0)
        return;
    const int ob = k / first * GOB;
    for (int o = ob; o < ob + GOB && o < Ob; o++) {
        realb sum = (realb)(0);
        for (int p = from; p < to; p++)
            sum += load_block(gy + ((ulong)(p / plane * Ob + o) * plane + p % plane) * B);
        store_block(sum, partial + splits * weights + ((ulong)split * Ob + o) * B);
    }
}

/* Adds up what conv_weight_gradient left: weights = Ob*Ib*kh*kw*B*B and biases = Ob*B of each
 * split. Overwrites grad_*. */
KERNEL void conv_reduce_partials(__global const real *partial, ulong partial0,
                                 __global real *grad_w, ulong grad_w0, __global real *grad_b,
                                 ulong grad_b0, int weights, int biases, int splits)
{
    const int total = (weights + biases) / B, step = (int)get_global_size(0);
    partial += partial0;
    for (int k = (int)get_global_id(0); k < total; k += step) {
        const int is_bias = k >= weights / B;
        const int at = is_bias ? k * B - weights : k * B;
        const ulong stride = is_bias ? biases : weights;
        __global const real *p = partial + (is_bias ? (ulong)splits * weights : 0) + at;
        realb sum = load_block(p);
        for (int s = 1; s < splits; s++)
            sum += load_block(p + s * stride);
        if (is_bias)
            store_block(sum, grad_b + grad_b0 + at);
        else
            store_block(sum, grad_w + grad_w0 + at);
    }
}
