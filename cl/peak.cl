/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing but multiply-adds, to find out how many of them a device can do: CHAINS independent
 * chains a work-item, enough to hide the latency of one. Global size: any. Two operations a
 * multiply-add.
 */
#define CHAINS 12

KERNEL void peak(__global real *out, ulong out0, int rounds, real a, real b)
{
    realb chain[CHAINS];
#pragma unroll
    for (int i = 0; i < CHAINS; i++)
        chain[i] = (realb)((real)(get_global_id(0) + i));
    for (int r = 0; r < rounds; r++) {
#pragma unroll
        for (int i = 0; i < CHAINS; i++)
            chain[i] = fma(chain[i], (realb)(a), (realb)(b));
    }
    realb sum = 0;
#pragma unroll
    for (int i = 0; i < CHAINS; i++)
        sum += chain[i];
    store_block(sum, out + out0 + get_global_id(0) * B);
}
