/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions with at most NARROW outputs for CPUs (WG = 1), where a work-item is a thread. A
 * block of outputs would leave most of a vector unused, so here lane t * NARROW + o is output o of
 * tap t of a row of the kernel: the products of a pixel's channels with all these, summed over
 * channels and rows of the kernel, are what the pixel gives to each of its neighbours in the row.
 * Then an output adds up what its neighbours give it. Off the map nothing is given, so that no
 * product looks at a border. Layouts as in conv.clh. Maps are NARROW_LEAST or more wide.
 */
#define NARROW 4
#define NARROW_TAPS (B / NARROW) /* taps in a vector */
#define NARROW_LEAST 4
#define NARROW_MOST 8

typedef PASTE(REAL, 4) narrow_outputs;
typedef narrow_outputs narrow_at_rest __attribute__((aligned(sizeof(real))));

INLINE narrow_outputs load_outputs(__global const real *p)
{
    return *(__global const narrow_at_rest *)p;
}

INLINE int narrow_groups(const conv_shape *s)
{
    return (s->kw + NARROW_TAPS - 1) / NARROW_TAPS;
}

/* The weights as above: [groups of taps][Ib][kh][B in][B]. */
INLINE void narrow_weights(const conv_shape *s, __global const real *w, __global real *to)
{
    for (int g = 0; g < narrow_groups(s); g++)
        for (int row = 0; row < s->Ib * s->kh; row++)
            for (int c = 0; c < B; c++, to += B) {
#pragma unroll
                for (int t = 0; t < NARROW_TAPS; t++) {
                    const int kx = g * NARROW_TAPS + t;
                    narrow_outputs v = (narrow_outputs)(0);
                    if (kx < s->kw)
                        v = load_outputs(w + ((row * s->kw + kx) * B + c) * B);
                    *(__global narrow_at_rest *)(to + t * NARROW) = v;
                }
            }
}

/* What `count` <= NARROW_MOST pixels, a constant, from x on, in row y of its map, give. */
INLINE void narrow_products(const int count, const conv_shape *s, int y, int last,
                            __global const real *x, __global const real *w, __global real *gift)
{
    realb acc[NARROW_MOST];
#pragma unroll
    for (int i = 0; i < NARROW_MOST; i++)
        acc[i] = (realb)(0);
    for (int ib = 0; ib < s->Ib; ib++) {
        const int channels = ib + 1 < s->Ib ? B : last;
        for (int ky = 0; ky < s->kh; ky++) {
            int sy = y + ky - s->pad_y;
            if (s->wrap)
                sy = (sy % s->H + s->H) % s->H;
            if (sy < 0 || sy >= s->H)
                continue;
            __global const real *from = x + (ib * s->H + sy) * s->W * B;
            __global const real *wp = w + (ib * s->kh + ky) * B * B;
            for (int four = 0; four < channels; four += 4) {
#pragma unroll
                for (int c = four; c < four + 4; c++) {
                    const realb wv = load_block(wp + c * B);
#pragma unroll
                    for (int i = 0; i < NARROW_MOST; i++) {
                        if (i < count)
                            acc[i] = fma((realb)(from[i * B + c]), wv, acc[i]);
                    }
                }
            }
        }
    }
#pragma unroll
    for (int i = 0; i < NARROW_MOST; i++) {
        if (i < count)
            store_block(acc[i], gift + i * B);
    }
}

/* How many pixels at a time make the fewest for a row. The last are moved back to end with it. */
INLINE int narrow_count(int W)
{
    if (W < 7)
        return NARROW_LEAST;
    return W < 8 || (W + 6) / 7 * 7 < (W + 7) / 8 * 8 ? 7 : 8;
}

/* What the pixels of a row give, and beyond its ends what would be there. */
INLINE void narrow_row(const conv_shape *s, int y, int last, __global const real *x,
                       __global const real *w, __global real *gifts)
{
    const int count = narrow_count(s->W), W = s->W;
    __global real *gift = gifts + s->pad_x * B;
    for (int wanted = 0; wanted < W; wanted += count) {
        const int left = min(wanted, W - count);
        if (count == 8)
            narrow_products(8, s, y, last, x + left * B, w, gift + left * B);
        else if (count == 7)
            narrow_products(7, s, y, last, x + left * B, w, gift + left * B);
        else
            narrow_products(NARROW_LEAST, s, y, last, x + left * B, w, gift + left * B);
    }
    for (int i = 0; i < s->kw - 1; i++) {
        const int p = i < s->pad_x ? i - s->pad_x : W + i - s->pad_x;
        realb v = (realb)(0);
        if (s->wrap)
            v = load_block(gift + (p % W + W) % W * B);
        store_block(v, gift + p * B);
    }
}

/* Rows [begin, end) of the images' rows. slot: [groups of taps][Ib][kh][B][B] and [groups][W + kw -
 * 1][B] of scratch. */
INLINE void narrow_rows(const conv_shape *s, __global const real *x, __global const real *w,
                        realb scale, __global const real *bias, const epilogue e,
                        __global real *slot, int begin, int end)
{
    const realb b = e.flags & CONV_BIAS ? load_block(bias) : (realb)(0);
    const int groups = narrow_groups(s), group = s->Ib * s->kh * B * B;
    const int row = (s->W + s->kw - 1) * B;
    __global real *gifts = slot + groups * group;
    narrow_weights(s, w, slot);
    for (int r = begin; r < end; r++) {
        __global const real *image = x + (ulong)(r / s->H) * s->Ib * s->H * s->W * B;
        for (int g = 0; g < groups; g++)
            narrow_row(s, r % s->H, CONV_LAST(e.flags), image, slot + g * group, gifts + g * row);
        for (int p = 0; p < s->W; p++) {
            narrow_outputs sum = (narrow_outputs)(0);
            for (int kx = 0; kx < s->kw; kx++)
                sum += load_outputs(gifts + kx / NARROW_TAPS * row + (p + kx) * B +
                                    kx % NARROW_TAPS * NARROW);
            realb v = (realb)(0);
            v.s0123 = sum;
            conv_finish(e, fma(scale, v, b), ((ulong)r * s->W + p) * B, 1);
        }
    }
}

/* As conv_apply with Ob = 1; the work-items divide the rows. */
KERNEL void narrow_apply(__global const real *x, ulong x0, __global const real *w, ulong w0,
                         __global const real *scale, ulong scale0, __global const real *bias,
                         ulong bias0, __global const real *beta, ulong beta0,
                         __global const real *saved, ulong saved0, __global const real *residual,
                         ulong residual0, __global real *y, ulong y0, __global real *scratch,
                         ulong scratch0, int slot, int N, int Ib, int H, int W, int kh, int kw,
                         int pad_y, int pad_x, int flags)
{
    const int item = (int)get_global_id(0), items = (int)get_global_size(0), rows = N * H;
    const conv_shape s = {N, Ib, 1, H, W, kh, kw, pad_y, pad_x, (flags & CONV_WRAP) != 0};
    const epilogue e = {saved + saved0, residual + residual0, y + y0, flags,
                        epilogue_parameter(beta + beta0, flags)};
    narrow_rows(&s, x + x0, w + w0, (realb)(flags & CONV_SCALE ? scale[scale0] : (real)1),
                bias + bias0, e, scratch + scratch0 + (ulong)item * slot,
                (int)((ulong)rows * item / items), (int)((ulong)rows * (item + 1) / items));
}
