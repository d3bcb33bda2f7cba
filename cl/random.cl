/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random tensors by Philox4x32-10 (Salmon et al. 2011), the same bits on every device and, through
 * Random123, on the host: see base/philox.h. 16 channels of a pixel are a group, however many a
 * block has; groups are numbered pixel by pixel.
 */

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

/* Box and Muller: two standard normal numbers of two words. */
INLINE float2 normal_pair(uint a, uint b)
{
    const float u = ((float)(a >> 8) + 1.0f) * 0x1p-24f;
    const float radius = sqrt(-2.0f * log(u)),
                angle = 0x1.921fb6p+2f * ((float)(b >> 8) * 0x1p-24f);
    return (float2)(radius * cos(angle), radius * sin(angle));
}

/* A block's channels from c on, `count` and up to three more of normal numbers: four of each
 * counter. */
INLINE void normal_block(__global real *out, ulong group, int c, int count, uint stream0,
                         uint stream1, uint key0, uint key1)
{
    for (int k = 0; k < B && k < count; k += 4) {
        const uint4 bits = philox(group * 4 + (c + k) % 16 / 4, stream0, stream1, key0, key1);
        const float2 first = normal_pair(bits.s0, bits.s1), second = normal_pair(bits.s2, bits.s3);
        out[k] = first.s0;
        out[k + 1] = first.s1;
        out[k + 2] = second.s0;
        out[k + 3] = second.s1;
    }
}

/* Of signs, a bit each: a counter serves 8 groups, so that only the first of a run of blocks on
 * CPUs has to make one. */
typedef struct signs {
    ulong counter;
    uint4 bits;
} signs;

INLINE void sign_block(__global real *out, ulong group, int c, signs *last, uint stream0,
                       uint stream1, uint key0, uint key1)
{
    if (last->counter != group / 8) {
        last->counter = group / 8;
        last->bits = philox(group / 8, stream0, stream1, key0, key1);
    }
    const uint word = (uint)(group / 2 % 4), shift = (uint)(group % 2) * 16 + c % 16;
    const uint bits = word == 0   ? last->bits.s0
                      : word == 1 ? last->bits.s1
                      : word == 2 ? last->bits.s2
                                  : last->bits.s3;
    for (int k = 0; k < B; k++)
        out[k] = bits >> (shift + k) & 1 ? (real)1 : (real)-1;
}

/* A probe for every image: +1 and -1 (Rademacher), or standard normal numbers; padded channels are
 * zero. first: the number of the first image. */
KERNEL void probes(__global real *out, ulong out0, ulong count, int channels, int pixels, int first,
                   int gaussian, uint key0, uint key1, uint stream0, uint stream1)
{
    const int blocks = (channels + B - 1) / B, groups = (channels + 15) / 16;
    signs last = {~(ulong)0, (uint4)(0)};
    EACH_BLOCK (i, count) {
        const ulong pixel = i % pixels, image = i / pixels / blocks + first;
        const int c = (int)(i / pixels % blocks) * B;
        const ulong group = (image * groups + c / 16) * pixels + pixel;
        __global real *to = out + out0 + i * B;
        if (gaussian)
            normal_block(to, group, c, channels - c, stream0, stream1, key0, key1);
        else
            sign_block(to, group, c, &last, stream0, stream1, key0, key1);
        for (int k = 0; k < B; k++)
            if (c + k >= channels)
                to[k] = 0;
    }
}
