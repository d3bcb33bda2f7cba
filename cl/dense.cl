/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between maps in blocks of channels and the plain matrices that CLBlast multiplies: element
 * (channel c, pixel p) of a matrix is at c * channel_step + p * pixel_step, p being the flattened
 * index over N*H*W. One of the steps is 1, so that neighbouring work-items, which have neighbouring
 * pixels, touch neighbouring memory where it is the pixels'.
 *
 * A 1x1 kernel, [Ob][Ib][B in][B out], is such a map, of one image: output channels are its
 * channels and input channels its pixels.
 *
 * Global size: WG * ceil(N*H*W, WG), blocks of channels. `plane` is H*W.
 */

/* Where block `block` of pixel p is in a map. */
INLINE ulong block_place(int p, int block, int blocks, int plane)
{
    const int n = p / plane;
    return ((ulong)(n * blocks + block) * plane + p - n * plane) * B;
}

KERNEL void dense_pack(__global const real *x, ulong x0, __global real *matrix, ulong matrix0,
                       int images, int blocks, int plane, int channel_step, int pixel_step)
{
    const int p = (int)get_global_id(0), block = (int)get_global_id(1);
    if (p >= images * plane)
        return;
    const realb v = load_block(x + x0 + block_place(p, block, blocks, plane));
    __global real *to = matrix + matrix0 + (ulong)block * B * channel_step + (ulong)p * pixel_step;
    UNROLL_CHANNELS
    for (int c = 0; c < B; c++)
        to[(ulong)c * channel_step] = CHANNEL(v, c);
}

/* y = epilogue(matrix): what conv.cl's conv_apply does with W * x. */
KERNEL void dense_finish(__global const real *matrix, ulong matrix0, __global const real *unused,
                         ulong unused0, __global const real *scale, ulong scale0,
                         __global const real *bias, ulong bias0, __global const real *beta,
                         ulong beta0, __global const real *saved, ulong saved0,
                         __global const real *residual, ulong residual0, __global real *y, ulong y0,
                         int images, int blocks, int plane, int channel_step, int pixel_step,
                         int flags)
{
    const int p = (int)get_global_id(0), block = (int)get_global_id(1);
    if (p >= images * plane)
        return;
    __global const real *from =
        matrix + matrix0 + (ulong)block * B * channel_step + (ulong)p * pixel_step;
    const realb scales = (realb)(flags & CONV_SCALE ? scale[scale0] : (real)1);
    const epilogue e = {saved + saved0, residual + residual0, y + y0, flags,
                        epilogue_parameter(beta + beta0, flags)};
    realb v, b = (realb)(0);
#pragma unroll
    for (int c = 0; c < B; c++)
        ((real *)&v)[c] = from[(ulong)c * channel_step];
    if (flags & CONV_BIAS)
        b = load_block(bias + bias0 + block * B);
    conv_finish(e, fma(scales, v, b), block_place(p, block, blocks, plane), block == blocks - 1);
}
