/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the host's order [N][C][H][W] and the blocked order [N][C/B][H][W][B], the squeeze, which
 * is a permutation, and a change of precision. Every work-item writes its own elements, so nothing
 * depends on the order of execution.
 */

/* Blocked from plain, images `row` floats apart; channels from `channels` on become zero (injective
 * padding and the rest of the last block). Global size: pixels, channel blocks of dst, N. */
__kernel void pack(__global const float *src, ulong src0, ulong row, __global real *dst, ulong dst0,
                   int channels, int pixels)
{
    const size_t p = get_global_id(0), cb = get_global_id(1), n = get_global_id(2);
    __global const float *from = src + src0 + n * row + p;
    __global real *to = dst + dst0 + ((n * get_global_size(1) + cb) * pixels + p) * B;
    for (int i = 0; i < B; i++) {
        const int c = (int)cb * B + i;
        to[i] = c < channels ? (real)from[(size_t)c * pixels] : (real)0;
    }
}

/* Plain from blocked, the first channels of it. Global size: pixels, channels, N. */
__kernel void unpack(__global const real *src, ulong src0, __global real *dst, ulong dst0,
                     ulong row, int blocks, int pixels)
{
    const size_t p = get_global_id(0), c = get_global_id(1), n = get_global_id(2);
    dst[dst0 + n * row + c * pixels + p] =
        src[src0 + ((n * blocks + c / B) * pixels + p) * B + c % B];
}

INLINE size_t element(int n, int c, int y, int x, int blocks, int height, int width)
{
    return ((((size_t)n * blocks + c / B) * height + y) * width + x) * B + c % B;
}

/* Squeeze 2x2: out channel (dy*2+dx)*C + c at (y, x) is channel c at (2y+dy, 2x+dx). height and
 * width are of the squeezed map, channels of the unsqueezed; channels of dst beyond 4C become zero.
 * Global size: height*width, channel blocks of dst, N. */
__kernel void squeeze(__global const real *src, ulong src0, __global real *dst, ulong dst0,
                      int channels, int src_blocks, int height, int width)
{
    const int p = get_global_id(0), cb = get_global_id(1), n = get_global_id(2);
    const int y = p / width, x = p % width;
    __global real *to =
        dst + dst0 + (((size_t)n * get_global_size(1) + cb) * height * width + p) * B;
    for (int i = 0; i < B; i++) {
        const int out = cb * B + i, quarter = out / channels, c = out % channels;
        to[i] = quarter < 4 ? src[src0 + element(n, c, 2 * y + quarter / 2, 2 * x + quarter % 2,
                                                 src_blocks, 2 * height, 2 * width)]
                            : (real)0;
    }
}

/* Its inverse and transpose. height and width are of the squeezed map, channels of the unsqueezed.
 * Global size: 4*height*width, channel blocks of dst, N. */
__kernel void unsqueeze(__global const real *src, ulong src0, __global real *dst, ulong dst0,
                        int channels, int src_blocks, int height, int width)
{
    const int p = get_global_id(0), cb = get_global_id(1), n = get_global_id(2);
    const int y = p / (2 * width), x = p % (2 * width), quarter = (y % 2) * 2 + x % 2;
    __global real *to =
        dst + dst0 + (((size_t)n * get_global_size(1) + cb) * 4 * height * width + p) * B;
    for (int i = 0; i < B; i++) {
        const int c = cb * B + i;
        to[i] = c < channels ? src[src0 + element(n, quarter * channels + c, y / 2, x / 2,
                                                  src_blocks, height, width)]
                             : (real)0;
    }
}

/* Channels first, first + 1, ... of src, `channels` of them. Global size: pixels, channel blocks of
 * dst, N. */
__kernel void take_channels(__global const real *src, ulong src0, __global real *dst, ulong dst0,
                            int src_blocks, int first, int channels)
{
    const int p = get_global_id(0), pixels = get_global_size(0), cb = get_global_id(1);
    const size_t n = get_global_id(2);
    __global real *to = dst + dst0 + ((n * get_global_size(1) + cb) * pixels + p) * B;
    for (int i = 0; i < B; i++) {
        const int c = cb * B + i;
        to[i] =
            c < channels ? src[src0 + element(n, first + c, 0, p, src_blocks, 1, pixels)] : (real)0;
    }
}

/* Those of a, `a_channels`, and after them those of b. Global size as above. */
__kernel void join_channels(__global const real *a, ulong a0, __global const real *b, ulong b0,
                            __global real *dst, ulong dst0, int a_channels, int b_channels)
{
    const int p = get_global_id(0), pixels = get_global_size(0), cb = get_global_id(1);
    const int a_blocks = (a_channels + B - 1) / B, b_blocks = (b_channels + B - 1) / B;
    const size_t n = get_global_id(2);
    __global real *to = dst + dst0 + ((n * get_global_size(1) + cb) * pixels + p) * B;
    for (int i = 0; i < B; i++) {
        const int c = cb * B + i, rest = c - a_channels;
        to[i] = c < a_channels      ? a[a0 + element(n, c, 0, p, a_blocks, 1, pixels)]
                : rest < b_channels ? b[b0 + element(n, rest, 0, p, b_blocks, 1, pixels)]
                                    : (real)0;
    }
}

/* Float values in this program's precision. Global size: elements. */
__kernel void widen(__global const float *src, ulong src0, __global real *dst, ulong dst0)
{
    const size_t i = get_global_id(0);
    dst[dst0 + i] = src[src0 + i];
}

/* Values rounded to float. Global size: elements. */
__kernel void narrow(__global const real *src, ulong src0, __global float *dst, ulong dst0)
{
    const size_t i = get_global_id(0);
    dst[dst0 + i] = (float)src[src0 + i];
}
