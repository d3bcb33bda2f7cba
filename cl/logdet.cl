/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Combinations of the streams that log-determinants and their gradients are made of; see
 * flow/logdet.h. TERMS: pairs of a probe.
 */

#define PAIRS_COMBINE 1 /* a_j = sum_{m < TERMS-j} c[m+j] w_m; else a_j = w_j */
#define PAIRS_STORE 2   /* the a_j are wanted */
#define PAIRS_SECOND 4  /* second = phi''(z) sum_j zdot_j ydot_bar_j is wanted, ... */
#define PAIRS_ADD 8     /* ... added to what is there */

/* a += alpha w and sum += beta w, or = where it is the first. */
KERNEL void add_power(__global const real *w, ulong w0, __global real *a, ulong a0,
                      __global real *sum, ulong sum0, real alpha, real beta, ulong count, int first)
{
    EACH_BLOCK (i, count) {
        const realb v = load_block(w + w0 + i * B);
        const realb old_a = first ? (realb)(0) : load_block(a + a0 + i * B);
        const realb old_sum = first ? (realb)(0) : load_block(sum + sum0 + i * B);
        store_block(fma((realb)(alpha), v, old_a), a + a0 + i * B);
        store_block(fma((realb)(beta), v, old_sum), sum + sum0 + i * B);
    }
}

/*
 * Slots are `count` blocks apart; a may be w. In terms of what the streams hold behind the
 * activation, ydot = phi' zdot and zdot_bar = phi' ydot_bar = a, the second-order part is
 * phi''/phi'^2 sum_j ydot_j a_j.
 */
KERNEL void combine_pairs(__global const real *w, ulong w0, __global real *a, ulong a0,
                          __global const real *tangents, ulong tangents0,
                          __global const real *saved, ulong saved0, __global const real *beta,
                          ulong beta0, __global real *second, ulong second0,
                          __global const float *c, ulong c0, ulong count, int flags)
{
    const real s = flags & PAIRS_SECOND ? act_parameter(beta + beta0) : 0;
    EACH_BLOCK (i, count) {
        realb v[TERMS], sum = (realb)(0);
        for (int m = 0; m < TERMS; m++)
            v[m] = load_block(w + w0 + (m * count + i) * B);
        for (int j = 0; j < TERMS; j++) {
            realb value = v[j];
            if (flags & PAIRS_COMBINE) {
                value = (realb)(0);
                for (int m = 0; m < TERMS - j; m++)
                    value = fma((realb)(c[c0 + m + j]), v[m], value);
            }
            if (flags & PAIRS_STORE)
                store_block(value, a + a0 + (j * count + i) * B);
            if (flags & PAIRS_SECOND)
                sum = fma(value, load_block(tangents + tangents0 + (j * count + i) * B), sum);
        }
        if (flags & PAIRS_SECOND) {
            realb r = act_curvature(load_block(saved + saved0 + i * B), s) * sum;
            if (flags & PAIRS_ADD)
                r += load_block(second + second0 + i * B);
            store_block(r, second + second0 + i * B);
        }
    }
}
