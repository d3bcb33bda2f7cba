/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions of stride 1 that keep the size of the map, their gradients, and through 1x1 maps
 * dense layers.
 *
 * Layouts, the last index contiguous:
 *   activations  [N][Cb][H][W][B]              Cb = ceil(C / B); padded channels are zero
 *   weights      [Ob][Ib][kh*kw][B in][B out]  zero where either channel is padding
 *   bias         [Ob*B]
 * Offsets are in elements and multiples of B; buffers are aligned to B elements if B <= 4. There is
 * no border in memory. N * max(Ib, Ob) * H * W and Ob * Ib * kh * kw * B * B must be below 2^31.
 * y has the map size of x: there is a zero or circular border of pad_y, pad_x in front and
 * kh-1-pad_y, kw-1-pad_x behind, with 0 <= pad_y < kh and 0 <= pad_x < kw.
 *
 * Macros besides those of common.clh and activation.clh:
 *   T    pixels, and OCB blocks of output channels, per work-item of conv_apply
 *   GIC  input channels, and GOB blocks of output channels, per work-item of conv_weight_gradient
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
#ifndef GIC
#define GIC B
#endif
#ifndef GOB
#define GOB 1
#endif

#define CONV_PARAMETERS                                                                            \
    __global const real *x, ulong x0, __global const real *w, ulong w0,                            \
        __global const real *scale, ulong scale0, __global const real *bias, ulong bias0,          \
        __global const real *beta, ulong beta0, __global const real *saved, ulong saved0,          \
        __global const real *residual, ulong residual0, __global real *y, ulong y0, int N, int Ib, \
        int Ob, int H, int W, int kh, int kw, int pad_y, int pad_x, int flags
#define CONV_ARGUMENTS                                                                             \
    x, x0, w, w0, scale, scale0, bias, bias0, beta, beta0, saved, saved0, residual, residual0, y,  \
        y0, N, Ib, Ob, H, W, kh, kw, pad_y, pad_x, flags

/* A shift along an axis of the given size; a circular one is brought into [0, size). */
INLINE int tap_shift(int tap, int pad, int size, int wrap)
{
    const int d = tap - pad;
    return wrap ? (d % size + size) % size : d;
}

/*
 * One work-item: pixels first, first + WG, ... of the flattened index over N*H*W, which lets a tile
 * cross rows and images, so that small maps fill it too; blocks ob, ob + 1, ... of output channels,
 * of which there are `blocks` <= OCB, a constant. Loops over a tile count to T and OCB themselves:
 * a bound that becomes constant only by inlining comes too late for some compilers to keep the
 * accumulators in registers.
 */
INLINE void conv_tile(const int blocks, CONV_PARAMETERS)
{
    const int all = N * H * W, plane = H * W, taps = kh * kw;
    const int first = (int)get_group_id(0) * T * WG + (int)get_local_id(0);
    const int ob = (int)get_global_id(1) * blocks;
    const int wrap = (flags & CONV_WRAP) != 0;
    int pn[T], py[T], px[T];
    realb acc[OCB * T], pixel[T];
    __global const real *wp[OCB];
    int top, bottom, left, right; /* the box around the tile's pixels */

    if (first >= all || ob >= Ob)
        return;

    int n = first / plane, r = first % plane;
    int yy = r / W, xx = r % W;
#pragma unroll
    for (int i = 0; i < T; i++) {
        pn[i] = n;
        py[i] = yy;
        px[i] = xx;
        /* Past the end the last pixel stands in; it is not stored. */
        if (first + (i + 1) * WG < all) {
#if WG == 1
            if (++xx == W) {
                xx = 0;
                if (++yy == H) {
                    yy = 0;
                    n++;
                }
            }
#else
            const int p = first + (i + 1) * WG;
            n = p / plane;
            r = p % plane;
            yy = r / W;
            xx = r % W;
#endif
        }
    }

    const int solid = WG == 1 && first + T <= all && pn[0] == pn[T - 1];
    top = py[0];
    bottom = py[T - 1];
    left = top == bottom ? px[0] : 0;
    right = top == bottom ? px[T - 1] : W - 1;

#pragma unroll
    for (int o = 0; o < OCB; o++)
        wp[o] = w + w0 + (ulong)min(ob + o, Ob - 1) * Ib * taps * (B * B);
#pragma unroll
    for (int i = 0; i < OCB * T; i++)
        acc[i] = (realb)(0);

    for (int ib = 0; ib < Ib; ib++) {
        for (int ky = 0; ky < kh; ky++) {
            const int dy = tap_shift(ky, pad_y, H, wrap);
            for (int kx = 0; kx < kw; kx++) {
                const int dx = tap_shift(kx, pad_x, W, wrap);
                int any = 0;
                if (solid && top + dy >= 0 && bottom + dy < H && left + dx >= 0 && right + dx < W) {
                    /* The common case: the tap sees one piece of memory, no tests per pixel. */
                    const int at = (pn[0] * Ib + ib) * plane + (py[0] + dy) * W + px[0] + dx;
                    __global const real *p = x + x0 + (ulong)at * B;
#pragma unroll
                    for (int i = 0; i < T; i++)
                        pixel[i] = load_block(p + i * B);
                    any = 1;
                } else {
#pragma unroll
                    for (int i = 0; i < T; i++) {
                        int sy = py[i] + dy, sx = px[i] + dx;
                        if (wrap) {
                            sy -= sy >= H ? H : 0;
                            sx -= sx >= W ? W : 0;
                        }
                        const int inside = (sy >= 0) & (sy < H) & (sx >= 0) & (sx < W);
                        const int at = (pn[i] * Ib + ib) * plane + sy * W + sx;
                        pixel[i] = (realb)(0);
                        if (inside)
                            pixel[i] = load_block(x + x0 + (ulong)at * B);
                        any |= inside;
                    }
                }
                if (any) {
                    UNROLL_CHANNELS
                    for (int c = 0; c < B; c++) {
                        realb wv[OCB];
#pragma unroll
                        for (int o = 0; o < OCB; o++)
                            wv[o] = load_block(wp[o] + c * B);
#pragma unroll
                        for (int i = 0; i < T; i++) {
                            const realb xv = (realb)(CHANNEL(pixel[i], c));
#pragma unroll
                            for (int o = 0; o < OCB; o++) {
                                if (o < blocks)
                                    acc[o * T + i] = fma(xv, wv[o], acc[o * T + i]);
                            }
                        }
                    }
                }
#pragma unroll
                for (int o = 0; o < OCB; o++)
                    wp[o] += B * B;
            }
        }
    }

    const epilogue e = {saved + saved0, residual + residual0, y + y0, flags,
                        epilogue_parameter(beta + beta0, flags)};
    const realb s = (realb)(flags & CONV_SCALE ? scale[scale0] : (real)1);
#pragma unroll
    for (int o = 0; o < OCB; o++) {
        realb b = (realb)(0);
        if (o < blocks && ob + o < Ob && (flags & CONV_BIAS))
            b = load_block(bias + bias0 + (ulong)(ob + o) * B);
#pragma unroll
        for (int i = 0; i < T; i++) {
            if (o < blocks && ob + o < Ob && first + i * WG < all) {
                const ulong at = (ulong)((pn[i] * Ob + ob + o) * plane + py[i] * W + px[i]) * B;
                conv_finish(e, fma(s, acc[o * T + i], b), at, ob + o == Ob - 1);
            }
        }
    }
}

/*
 * y = finish(scale * (W * x) + bias) + residual, or y = finish(residual - scale * (W * x) - bias),
 * where finish is the activation, a product with the activation's derivative at `saved` (what
 * act_d takes), or nothing; the flags say which parts there are, and arguments of absent
 * parts are not read. y may be the same memory as saved or residual, element for element.
 */
KERNEL void conv_apply(CONV_PARAMETERS)
{
    conv_tile(OCB, CONV_ARGUMENTS);
}

KERNEL void conv_apply_1(CONV_PARAMETERS)
{
    conv_tile(1, CONV_ARGUMENTS);
}

/*
 * The weights of the adjoint map: [Ob][Ib][t][in][out] -> [Ib][Ob][taps-1-t][out][in]. conv_apply
 * with them, Ib and Ob exchanged and pad = k-1-pad is the gradient with respect to x.
 */
KERNEL void conv_transpose_weights(__global const real *w, ulong w0, __global real *wt, ulong wt0,
                                   int Ob, int Ib, int taps)
{
    const int total = Ob * Ib * taps, step = (int)get_global_size(0);
    for (int k = (int)get_global_id(0); k < total; k += step) {
        const int t = k % taps, ib = k / taps % Ib, ob = k / taps / Ib;
        __global const real *from = w + w0 + (ulong)k * (B * B);
        __global real *to = wt + wt0 + (((ulong)ib * Ob + ob) * taps + taps - 1 - t) * (B * B);
        for (int o = 0; o < B; o++)
            for (int i = 0; i < B; i++)
                to[o * B + i] = from[i * B + o];
    }
}

/*
 * Gradient of <gy, W * x> with respect to W, and the sum of gy for the bias, over a part of the
 * pixels for each of `splits`: partial holds [splits][Ob][Ib][kh*kw][B][B] and behind all of these
 * [splits][Ob*B].
 */
KERNEL void conv_weight_gradient(__global const real *x, ulong x0, __global const real *gy,
                                 ulong gy0, __global real *partial, ulong partial0, int N, int Ib,
                                 int Ob, int H, int W, int kh, int kw, int pad_y, int pad_x,
                                 int splits, int flags)
{
    const int taps = kh * kw, wrap = (flags & CONV_WRAP) != 0;
    const int split = (int)get_global_id(1);
    int k = (int)get_global_id(0);
    const int tap = k % taps;
    k /= taps;
    const int ic = k % (B / GIC) * GIC;
    k /= B / GIC;
    const int ib = k % Ib;
    const int ob = k / Ib * GOB;
    if (ob >= Ob || split >= splits)
        return;

    const int plane = H * W;
    const int from = (int)((ulong)(N * plane) * split / splits);
    const int to = (int)((ulong)(N * plane) * (split + 1) / splits);
    const int dy = tap_shift(tap / kw, pad_y, H, wrap);
    const int dx = tap_shift(tap % kw, pad_x, W, wrap);
    const int unmoved = dy == 0 && dx == 0;

    /* Pixel (n, y, x) is at n * image + (y * W + x) * stride. */
    ulong x_image = (ulong)Ib * plane * B, g_image = (ulong)Ob * plane * B;
    ulong x_stride = B, g_stride = B;
    const ulong g_block = (ulong)plane * B;
    x += x0 + (ulong)ib * plane * B + ic;
    gy += gy0 + (ulong)ob * plane * B;

    /* Without a shift, longer rows: a whole image, or for 1x1 maps, where images are what there is
     * much of, the batch. */
    if (unmoved) {
        W = plane;
        H = 1;
        if (plane == 1) {
            W = N;
            x_stride = x_image;
            g_stride = g_image;
        }
    }

    realb acc[GOB * GIC];
#pragma unroll
    for (int i = 0; i < GOB * GIC; i++)
        acc[i] = (realb)(0);

    int row = from / W;
    int px = from % W, py = row % H, n = row / H;
    for (int p = from; p < to;) {
        const int end = min(W, px + to - p);
        int sy = py + dy;
        if (wrap && sy >= H)
            sy -= H;
        if (sy >= 0 && sy < H) {
            __global const real *x_row = x + n * x_image + (ulong)(sy * W) * x_stride;
            __global const real *g_row = gy + n * g_image + (ulong)(py * W) * g_stride;
            /* The pixels that a shift by dx keeps in the row, then, when it is circular, those that
             * it takes around. */
            for (int around = 0; around <= wrap; around++) {
                const int shift = around ? dx - W : dx;
                const int stop = min(end, W - shift);
                int q = max(px, -shift);
                __global const real *xp = x_row + (long)(q + shift) * (long)x_stride;
                __global const real *gp = g_row + (ulong)q * g_stride;
                for (; q < stop; q++) {
                    realb g[GOB];
#if B <= 4
                    const realb pixel = load_block(xp);
#endif
#pragma unroll
                    for (int o = 0; o < GOB; o++)
                        g[o] = load_block(gp + (ulong)min(o, Ob - 1 - ob) * g_block);
#pragma unroll
                    for (int i = 0; i < GIC; i++) {
#if B <= 4
                        const realb xv = (realb)(CHANNEL(pixel, i));
#else
                        const realb xv = (realb)(xp[i]);
#endif
#pragma unroll
                        for (int o = 0; o < GOB; o++)
                            acc[o * GIC + i] = fma(xv, g[o], acc[o * GIC + i]);
                    }
                    xp += x_stride;
                    gp += g_stride;
                }
            }
        }
        p += end - px;
        px = 0;
        if (++py == H) {
            py = 0;
            n++;
        }
    }

    const ulong weights = (ulong)Ob * Ib * taps * (B * B);
    partial += partial0;
#pragma unroll
    for (int o = 0; o < GOB; o++) {
        if (ob + o < Ob) {
            __global real *out =
                partial + split * weights + (((ulong)(ob + o) * Ib + ib) * taps + tap) * (B * B);
#pragma unroll
            for (int i = 0; i < GIC; i++)
                store_block(acc[o * GIC + i], out + (ic + i) * B);
        }
    }

    /* The sums for the bias fall to one work-item of each (block of outputs, split): the tap that
     * moves nothing. */
    if (tap != pad_y * kw + pad_x || ib != 0 || ic != 0)
        return;
    for (int o = 0; o < GOB && ob + o < Ob; o++) {
        realb sum = (realb)(0);
        for (int p = from; p < to; p++)
            sum += load_block(gy + o * g_block + p / W * g_image + (ulong)(p % W) * g_stride);
        store_block(sum, partial + splits * weights + ((ulong)split * Ob + ob + o) * B);
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
