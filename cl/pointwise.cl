/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 1x1 convolutions for CPUs (WG = 1), where a work-item is a thread: products of matrices, for
 * which a pixel's place in its map does not matter. Layouts as in conv.cl, with the map's H*W
 * pixels in one row of `pixels` >= T. Macros besides those of common.clh, activation.clh: T and OCB
 * as in conv.cl. Global size: any in dimension 0; the work-items divide the tiles of T pixels.
 */

/* Tiles that share a slice of the weights while it is in the cache. */
#define POINTWISE_GROUP 8

/*
 * One tile and blocks ob, ob + 1, ... of output channels, of which there are `blocks` <= OCB, a
 * constant. The last tile of a map is moved back to end with it, and stores from pixel `skip` on.
 */
INLINE void pointwise_tile(const int blocks, int n, int first, int skip, int ob,
                           __global const real *x, __global const real *w, realb scale,
                           __global const real *bias, const epilogue e, int Ib, int Ob, int pixels)
{
    const ulong x_block = (ulong)pixels * B;
    realb acc[OCB * T];
    __global const real *xp = x + n * Ib * x_block + first * B;
    __global const real *wp[OCB];
#pragma unroll
    for (int o = 0; o < OCB; o++)
        wp[o] = w + (ulong)(ob + (o < blocks ? o : 0)) * Ib * B * B;
    multiply_tile(blocks, xp, x_block, wp, acc, Ib, CONV_LAST(e.flags));
#pragma unroll
    for (int o = 0; o < OCB; o++) {
        realb b = (realb)(0);
        if (o < blocks && e.flags & CONV_BIAS)
            b = load_block(bias + (ob + o) * B);
#pragma unroll
        for (int i = 0; i < T; i++) {
            const ulong at = ((ulong)(n * Ob + ob + o) * pixels + first + i) * B;
            if (o < blocks && i >= skip)
                conv_finish(e, fma(scale, acc[o * T + i], b), at, ob + o == Ob - 1);
        }
    }
}

/* Tiles [begin, end), of which a map has ceil(pixels, T). */
INLINE void pointwise_tiles(__global const real *x, __global const real *w, realb scale,
                            __global const real *bias, const epilogue e, int begin, int end, int Ib,
                            int Ob, int pixels)
{
    const int across = (pixels + T - 1) / T;
    for (; begin < end; begin += POINTWISE_GROUP) {
        const int until = min(begin + POINTWISE_GROUP, end);
        for (int ob = 0; ob < Ob; ob += OCB) {
            for (int tile = begin; tile < until; tile++) {
                const int n = tile / across, wanted = (tile - n * across) * T;
                const int first = min(wanted, pixels - T);
                if (ob + OCB <= Ob)
                    pointwise_tile(OCB, n, first, wanted - first, ob, x, w, scale, bias, e, Ib, Ob,
                                   pixels);
                else
                    for (int o = ob; o < Ob; o++)
                        pointwise_tile(1, n, first, wanted - first, o, x, w, scale, bias, e, Ib, Ob,
                                       pixels);
            }
        }
    }
}

/* As conv_apply with a 1x1 kernel. */
KERNEL void pointwise_apply(__global const real *x, ulong x0, __global const real *w, ulong w0,
                            __global const real *scale, ulong scale0, __global const real *bias,
                            ulong bias0, __global const real *beta, ulong beta0,
                            __global const real *saved, ulong saved0, __global const real *residual,
                            ulong residual0, __global real *y, ulong y0, int N, int Ib, int Ob,
                            int pixels, int flags)
{
    const int tiles = N * ((pixels + T - 1) / T);
    const int item = (int)get_global_id(0), items = (int)get_global_size(0);
    const epilogue e = {saved + saved0, residual + residual0, y + y0, flags,
                        epilogue_parameter(beta + beta0, flags)};
    pointwise_tiles(x + x0, w + w0, (realb)(flags & CONV_SCALE ? scale[scale0] : (real)1),
                    bias + bias0, e, (int)((ulong)tiles * item / items),
                    (int)((ulong)tiles * (item + 1) / items), Ib, Ob, pixels);
}
