/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The logit transform (Dinh et al. 2017), in place. slope = 1 - 2 alpha. Zeros, and so padding,
 * stay zeros. Global size: any multiple of WG; `count` is the number of blocks.
 */

/* 1 - s is made of 1/2 - x, which is exact where it matters. */
KERNEL void logit(__global real *x, ulong x0, ulong count, real alpha, real slope)
{
    EACH_BLOCK (i, count) {
        const realb v = load_block(x + x0 + i * B), half_way = (realb)((real)0.5f);
        const realb s = (realb)(alpha) + (realb)(slope) * (half_way + v);
        const realb rest = (realb)(alpha) + (realb)(slope) * (half_way - v);
        store_block(log(s / rest), x + x0 + i * B);
    }
}

KERNEL void logit_undo(__global real *x, ulong x0, ulong count, real alpha, real slope)
{
    (void)alpha;
    EACH_BLOCK (i, count) {
        const realb l = load_block(x + x0 + i * B);
        store_block(tanh(l * (realb)((real)0.5f)) / (realb)(2 * slope), x + x0 + i * B);
    }
}
