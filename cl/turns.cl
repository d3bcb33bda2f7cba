/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A loop of so many turns that no compiler can do without: x <- a x + c modulo 2^32, a step of
 * which depends on the one before. One work-item.
 */
__kernel void count_turns(__global uint *out, ulong out0, int turns)
{
    uint x = 1;
    for (int i = 0; i < turns; i++)
        x = x * 1664525u + 1013904223u;
    out[out0] = x;
}
