/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random tensors by Philox4x32-10 (Salmon et al. 2011), the same bits on every device and, through
 * Random123, on the host: see base/philox.h. 16 channels of a pixel are a group, however many a
 * block has; groups are numbered pixel by pixel.
 */

/* A counter's four words. */
INLINE uint4 philox(ulong index, uint stream0, uint stream1, uint key0, uint key1)
{
    uint4 x = (uint4)((uint)index, (uint)(index >> 32), stream0, stream1);
    for (int i = 0; i < 10; i++) {
        const uint high0 = mul_hi(0xD2511F53u, x.s0), high1 = mul_hi(0xCD9E8D57u, x.s2);
        x = (uint4)(high1 ^ x.s1 ^ key0, 0xCD9E8D57u * x.s2, high0 ^ x.s3 ^ key1,
                    0xD2511F53u * x.s0);
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    return x;
}

/* Where a thread's blocks of channels are: the blocks of `pixels` pixels after one another. */
typedef struct probe_shape {
    int channels, blocks, groups, pixels, first;
} probe_shape;

/* The first channel of block i, and its group. */
INLINE int probe_place(const probe_shape *s, ulong i, ulong *group)
{
    const ulong pixel = i % s->pixels, image = i / s->pixels / s->blocks + s->first;
    const int c = (int)(i / s->pixels % s->blocks) * B;
    *group = (image * s->groups + c / 16) * s->pixels + pixel;
    return c;
}

/* ---- signs ---- */

/* A bit each: a counter serves 8 groups, so that only the first of a run of blocks on CPUs has to
 * make one. */
typedef struct signs {
    ulong counter;
    uint4 bits;
} signs;

INLINE uint word_of(uint4 bits, uint word)
{
#if WG == 1
    return word == 0 ? bits.s0 : word == 1 ? bits.s1 : word == 2 ? bits.s2 : bits.s3;
#else
    /* For GPUs compilers make of a chain of choices an array in memory. */
    const ulong low = (ulong)bits.s1 << 32 | bits.s0, high = (ulong)bits.s3 << 32 | bits.s2;
    return (uint)((word < 2 ? low : high) >> word % 2 * 32);
#endif
}

INLINE void sign_block(__global real *out, ulong group, int c, signs *last, uint stream0,
                       uint stream1, uint key0, uint key1)
{
    if (last->counter != group / 8) {
        last->counter = group / 8;
        last->bits = philox(group / 8, stream0, stream1, key0, key1);
    }
    const uint word = (uint)(group / 2 % 4), shift = (uint)(group % 2) * 16 + c % 16;
    const uint bits = word_of(last->bits, word);
    for (int k = 0; k < B; k++)
        out[k] = bits >> (shift + k) & 1 ? (real)1 : (real)-1;
}

/* A probe of +1 and -1 (Rademacher) for every image; padded channels are zero. first: the number of
 * the first image. */
KERNEL void sign_probes(__global real *out, ulong out0, ulong count, int channels, int pixels,
                        int first, uint key0, uint key1, uint stream0, uint stream1)
{
    const probe_shape s = {channels, (channels + B - 1) / B, (channels + 15) / 16, pixels, first};
    signs last = {~(ulong)0, (uint4)(0)};
    EACH_BLOCK (i, count) {
        ulong group;
        const int c = probe_place(&s, i, &group);
        __global real *to = out + out0 + i * B;
        sign_block(to, group, c, &last, stream0, stream1, key0, key1);
        for (int k = 0; k < B; k++)
            if (c + k >= channels)
                to[k] = 0;
    }
}

/* ---- normal numbers: a counter for four channels, four counters at a time ---- */

/* Counters, and their words: philox() in four lanes. */
INLINE void philox_lanes(ulong4 index, uint4 *words, uint stream0, uint stream1, uint key0,
                         uint key1)
{
    uint4 a = convert_uint4(index), b = convert_uint4(index >> 32);
    uint4 c = (uint4)(stream0), d = (uint4)(stream1);
    for (int i = 0; i < 10; i++) {
        const uint4 high0 = mul_hi((uint4)(0xD2511F53u), a),
                    high1 = mul_hi((uint4)(0xCD9E8D57u), c);
        const uint4 low0 = 0xD2511F53u * a, low1 = 0xCD9E8D57u * c;
        a = high1 ^ b ^ key0;
        b = low1;
        c = high0 ^ d ^ key1;
        d = low0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
    words[0] = a;
    words[1] = b;
    words[2] = c;
    words[3] = d;
}

/* log u for normal u > 0: u = 2^e m with sqrt(1/2) <= m < sqrt(2), and log m = 2 artanh s with
 * s = (m - 1) / (m + 1), so s^2 < 0.0295. The built-in functions run lane by lane in PoCL. */
INLINE float4 log_normal(float4 u)
{
    const int4 sqrt_half = (int4)(0x3F3504F3);
    const int4 e = (as_int4(u) - sqrt_half) >> 23;
    const float4 m = as_float4(as_int4(u) - (e << 23));
    const float4 s = (m - 1.0f) / (m + 1.0f), w = s * s;
    const float4 q = fma(w, fma(w, fma(w, (float4)(2.0f / 9), (float4)(2.0f / 7)), (float4)(0.4f)),
                         (float4)(2.0f / 3));
    return fma(convert_float4(e), (float4)(0.693147181f), fma(s * w, q, s + s));
}

/* Cosine and sine of 2 pi v for 0 <= v <= 1, by Taylor's series up to an eighth of a turn. */
INLINE void turn(float4 v, float4 *cosine, float4 *sine)
{
    const int4 quarter = convert_int4(fma((float4)(4.0f), v, (float4)(0.5f)));
    const float4 x = 0x1.921fb6p+2f * fma(convert_float4(quarter), (float4)(-0.25f), v), u = x * x;
    const float4 p = fma(
        u, fma(u, fma(u, (float4)(1.0f / 362880), (float4)(-1.0f / 5040)), (float4)(1.0f / 120)),
        (float4)(-1.0f / 6));
    const float4 q = fma(u,
                         fma(u,
                             fma(u, fma(u, (float4)(-1.0f / 3628800), (float4)(1.0f / 40320)),
                                 (float4)(-1.0f / 720)),
                             (float4)(1.0f / 24)),
                         (float4)(-0.5f));
    const float4 s = fma(x * u, p, x), c = fma(u, q, (float4)(1.0f));
    const int4 odd = (quarter & 1) != 0;
    const float4 cosine_sign = ((quarter + 1) & 2) != 0 ? (float4)(-1.0f) : (float4)(1.0f);
    const float4 sine_sign = (quarter & 2) != 0 ? (float4)(-1.0f) : (float4)(1.0f);
    *cosine = cosine_sign * (odd ? s : c);
    *sine = sine_sign * (odd ? c : s);
}

/* Box and Muller: two standard normal numbers of two words. */
INLINE void normal_pair(uint4 a, uint4 b, float4 *first, float4 *second)
{
    const float4 u = (convert_float4(a >> 8) + 1.0f) * 0x1p-24f; /* (0, 1] */
    const float4 radius = sqrt(-2.0f * log_normal(u)), v = convert_float4(b >> 8) * 0x1p-24f;
    float4 cosine, sine;
    turn(v, &cosine, &sine);
    *first = radius * cosine;
    *second = radius * sine;
}

/* Four channels from c on of a block that has them; beyond the last channel there are zeros. */
INLINE void store_normals(__global real *to, float4 v, int c, int channels)
{
    to[0] = c < channels ? (real)v.s0 : (real)0;
    to[1] = c + 1 < channels ? (real)v.s1 : (real)0;
    to[2] = c + 2 < channels ? (real)v.s2 : (real)0;
    to[3] = c + 3 < channels ? (real)v.s3 : (real)0;
}

/*
 * A probe of standard normal numbers for every image. `quarters` (a power of 2) counters are made
 * for each block, of which the rest is zero. Global size: any; the work-items divide the fours of
 * counters.
 */
KERNEL void normal_probes(__global real *out, ulong out0, ulong count, int channels, int pixels,
                          int first, int quarters, uint key0, uint key1, uint stream0, uint stream1)
{
    const probe_shape s = {channels, (channels + B - 1) / B, (channels + 15) / 16, pixels, first};
    quarters = B <= 4 ? 1 : quarters; /* divisions that need not be */
    const ulong counters = count * quarters;
    EACH_BLOCK (four, (counters + 3) / 4) {
        ulong index[4];
        uint4 words[4];
        float4 n[4];
        for (int l = 0; l < 4; l++) {
            const ulong counter = min(four * 4 + l, counters - 1);
            const int c = probe_place(&s, counter / quarters, index + l);
            index[l] = index[l] * 4 + c % 16 / 4 + counter % quarters;
        }
        philox_lanes((ulong4)(index[0], index[1], index[2], index[3]), words, stream0, stream1,
                     key0, key1);
        normal_pair(words[0], words[1], n, n + 1);
        normal_pair(words[2], words[3], n + 2, n + 3);
        const float4 of_lane[4] = {(float4)(n[0].s0, n[1].s0, n[2].s0, n[3].s0),
                                   (float4)(n[0].s1, n[1].s1, n[2].s1, n[3].s1),
                                   (float4)(n[0].s2, n[1].s2, n[2].s2, n[3].s2),
                                   (float4)(n[0].s3, n[1].s3, n[2].s3, n[3].s3)};
        for (int l = 0; l < 4 && four * 4 + l < counters; l++) {
            const ulong i = (four * 4 + l) / quarters;
            const int k = (int)((four * 4 + l) % quarters) * 4,
                      c = (int)(i / pixels % s.blocks) * B;
            __global real *to = out + out0 + i * B;
            store_normals(to + k, of_lane[l], c + k, channels);
            for (int rest = k == 0 ? quarters * 4 : B; rest < B; rest++)
                to[rest] = 0;
        }
    }
}
