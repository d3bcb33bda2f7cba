/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A zero-padded layer as the sum over its taps, y(Y) = sum M_tap x(Y + offset_tap), or with the
 * opposite sign for its transpose. Pixels [height][width] of depth, or stride, channels; behind x's
 * pixels is one more that is 0, which all places off the map are.
 */
/* What registers hold. */
#if WG > 1 || (B == 8 && PASTE(REAL_IS_, REAL))
#define PIXELS 4
#else
#define PIXELS 8
#endif

/* The number of the pixel that a tap reads, or of the one behind all. */
INLINE int source(int pixel, int2 offset, int sign, int height, int width, int2 period)
{
    const int row = (pixel / width + period.x + sign * offset.x) % period.x;
    const int column = (pixel % width + period.y + sign * offset.y) % period.y;
    return pixel < height * width && row < height && column < width ? row * width + column
                                                                    : height * width;
}

/* Global size: blocks of results' channels, runs of PIXELS pixels. taps: [tap][depth][stride]; x:
 * [pixels + 1][depth]; y: [pixels][stride]. */
KERNEL void tap_sum(__global const real *taps, ulong taps0, __global const int2 *offsets,
                    ulong offsets0, __global const real *x, ulong x0, __global real *y, ulong y0,
                    int count, int depth, int stride, int height, int width, int period_rows,
                    int period_columns, int ahead)
{
    const int row = (int)get_global_id(0) * LANES, first = (int)get_global_id(1) * PIXELS;
    const int2 period = (int2)(period_rows, period_columns);
    if (row >= stride)
        return;
    lanes sum[PIXELS];
    __global const real *from[PIXELS];
    for (int j = 0; j < PIXELS; j++)
        sum[j] = 0;
    for (int t = 0; t < count; t++) {
        const int2 offset = offsets[offsets0 + t];
        __global const real *matrix = taps + taps0 + (size_t)t * depth * stride + row;
        for (int j = 0; j < PIXELS; j++)
            from[j] =
                x + x0 +
                (size_t)source(first + j, offset, ahead ? 1 : -1, height, width, period) * depth;
        for (int k = 0; k < depth; k++, matrix += stride) {
            const lanes m = LOAD_LANES(matrix);
#pragma unroll
            for (int j = 0; j < PIXELS; j++)
                sum[j] = fma(m, (lanes)(from[j][k]), sum[j]);
        }
    }
    for (int j = 0; j < PIXELS && first + j < height * width; j++)
        STORE_LANES(sum[j], y + y0 + (size_t)(first + j) * stride + row);
}
