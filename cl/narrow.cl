/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions with at most NARROW outputs for CPUs (WG = 1), where a work-item is a thread. A
 * block of outputs would leave most of a vector unused, so here the lanes are channels of the
 * input, and sums over lanes come last. Layouts as in conv.clh, but the weights are those of the
 * adjoint map (conv_transpose_tile): their rows of B are input channels. Maps are NARROW_PIXELS or
 * more wide.
 */
#define NARROW 4
#define NARROW_PIXELS (B / NARROW)

/* Lane i of the result is the sum over the lanes of v[i]; v is overwritten. Halves are assigned:
 * Oclgrind crashes at vectors that are made of vectors. */
INLINE realb sums_of_lanes(realb *v)
{
#pragma unroll
    for (int n = B / 2; n > 0; n /= 2) {
#pragma unroll
        for (int i = 0; i < n; i++) {
            realb even, odd;
            even.lo = v[2 * i].even;
            even.hi = v[2 * i + 1].even;
            odd.lo = v[2 * i].odd;
            odd.hi = v[2 * i + 1].odd;
            v[i] = even + odd;
        }
    }
    return v[0];
}

/* Pixels (y, left), (y, left + 1), ... of image n, moved by (dy, dx), of a block; zero off the map.
 */
INLINE void narrow_load(const conv_shape *s, __global const real *row, int left, realb *pixel)
{
    if (left >= 0 && left + NARROW_PIXELS <= s->W) {
#pragma unroll
        for (int i = 0; i < NARROW_PIXELS; i++)
            pixel[i] = load_block(row + (left + i) * B);
        return;
    }
#pragma unroll
    for (int i = 0; i < NARROW_PIXELS; i++) {
        int x = left + i;
        if (s->wrap)
            x = (x % s->W + s->W) % s->W;
        pixel[i] = (realb)(0);
        if (x >= 0 && x < s->W)
            pixel[i] = load_block(row + x * B);
    }
}

/* NARROW_PIXELS pixels from (y, left) on of image n; stores from pixel `skip` on. */
INLINE void narrow_tile(const conv_shape *s, int n, int y, int left, int skip,
                        __global const real *x, __global const real *w, realb scale, realb bias,
                        const epilogue e)
{
    const int taps = s->kh * s->kw;
    realb acc[B];
#pragma unroll
    for (int i = 0; i < B; i++)
        acc[i] = (realb)(0);
    for (int ib = 0; ib < s->Ib; ib++)
        for (int ky = 0; ky < s->kh; ky++) {
            int sy = y + ky - s->pad_y;
            if (s->wrap)
                sy = (sy % s->H + s->H) % s->H;
            if (sy < 0 || sy >= s->H)
                continue;
            __global const real *row = x + ((ulong)(n * s->Ib + ib) * s->H + sy) * s->W * B;
            for (int kx = 0; kx < s->kw; kx++) {
                __global const real *wp = w + (ib * taps + taps - 1 - ky * s->kw - kx) * B * B;
                realb pixel[NARROW_PIXELS];
                narrow_load(s, row, left + kx - s->pad_x, pixel);
#pragma unroll
                for (int o = 0; o < NARROW; o++) {
                    const realb wv = load_block(wp + o * B);
#pragma unroll
                    for (int i = 0; i < NARROW_PIXELS; i++)
                        acc[i * NARROW + o] = fma(pixel[i], wv, acc[i * NARROW + o]);
                }
            }
        }
    const realb sums = sums_of_lanes(acc);
#pragma unroll
    for (int i = 0; i < NARROW_PIXELS; i++) {
        realb v = (realb)(0);
#pragma unroll
        for (int o = 0; o < NARROW; o++)
            ((real *)&v)[o] = ((const real *)&sums)[i * NARROW + o];
        if (i >= skip)
            conv_finish(e, fma(scale, v, bias), ((ulong)(n * s->H + y) * s->W + left + i) * B, 1);
    }
}

/* Rows [begin, end) of the images' rows. The last tile of a row is moved back to end with it. */
INLINE void narrow_rows(const conv_shape *s, __global const real *x, __global const real *w,
                        realb scale, __global const real *bias, const epilogue e, int begin,
                        int end)
{
    const realb b = e.flags & CONV_BIAS ? load_block(bias) : (realb)(0);
    for (int r = begin; r < end; r++)
        for (int wanted = 0; wanted < s->W; wanted += NARROW_PIXELS) {
            const int left = min(wanted, s->W - NARROW_PIXELS);
            narrow_tile(s, r / s->H, r % s->H, left, wanted - left, x, w, scale, b, e);
        }
}

/* As conv_apply with Ob = 1; the work-items divide the rows. */
KERNEL void narrow_apply(__global const real *x, ulong x0, __global const real *w, ulong w0,
                         __global const real *scale, ulong scale0, __global const real *bias,
                         ulong bias0, __global const real *beta, ulong beta0,
                         __global const real *saved, ulong saved0, __global const real *residual,
                         ulong residual0, __global real *y, ulong y0, int N, int Ib, int H, int W,
                         int kh, int kw, int pad_y, int pad_x, int flags)
{
    const int item = (int)get_global_id(0), items = (int)get_global_size(0), rows = N * H;
    const conv_shape s = {N, Ib, 1, H, W, kh, kw, pad_y, pad_x, (flags & CONV_WRAP) != 0};
    const epilogue e = {saved + saved0, residual + residual0, y + y0, flags,
                        epilogue_parameter(beta + beta0, flags)};
    narrow_rows(&s, x + x0, w + w0, (realb)(flags & CONV_SCALE ? scale[scale0] : (real)1),
                bias + bias0, e, (int)((ulong)rows * item / items),
                (int)((ulong)rows * (item + 1) / items));
}
