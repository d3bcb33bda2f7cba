/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backward through an activation that has a parameter: the cotangent of z and the gradient with
 * respect to beta. ACT has act_beta.
 */

/*
 * out = phi'(z) ybar + second + rest for each sample, and values[n] = the derivative with respect
 * to s. second = phi''(z) sum_j zdot_j ydot_bar_j of log-determinants' pairs; since phi'(z) is a
 * function of s z, its derivative with respect to s is phi''(z) z / s, which makes second z / s the
 * pairs' part. out may be ybar. Absent operands are those that the flags turn off. Global size: WG
 * times samples.
 */
#define GRADIENT_SECOND 1 /* gain = second + rest is there, ... */
#define GRADIENT_REST 2   /* ... and so is rest, else 0 */

KERNEL void activation_gradient(__global const real *z, ulong z0, __global const real *beta,
                                ulong beta0, __global const real *ybar, ulong ybar0,
                                __global const real *gain, ulong gain0, __global const real *rest,
                                ulong rest0, __global real *out, ulong out0, __global real *values,
                                ulong values0, ulong count, int flags)
{
    GROUP_SCRATCH(scratch);
    const real s = act_parameter(beta + beta0);
    const size_t n = get_group_id(0);
    realb sum = (realb)(0);
    for (size_t i = get_local_id(0); i < count; i += WG) {
        const size_t at = (n * count + i) * B;
        const realb v = load_block(z + z0 + at), bar = load_block(ybar + ybar0 + at);
        realb added = (realb)(0), second = (realb)(0);
        if (flags & GRADIENT_SECOND)
            second = added = load_block(gain + gain0 + at);
        if (flags & GRADIENT_REST)
            second -= load_block(rest + rest0 + at);
        store_block(fma(act_d(v, s), bar, added), out + out0 + at);
        sum += fma(act_beta(v, s), bar, v * second / fmax(s, (real)1e-30f)); /* s may underflow */
    }
    const real total = group_sum(block_sum(sum), scratch);
    if (get_local_id(0) == 0)
        values[values0 + n] = total;
}

/* gradient = the sum of the values times ds/dbeta = logistic(beta) = 1 - exp(-s). Global size: WG.
 */
KERNEL void beta_gradient(__global const real *values, ulong values0, __global const real *beta,
                          ulong beta0, __global real *gradient, ulong gradient0, int samples)
{
    GROUP_SCRATCH(scratch);
    real sum = 0;
    for (int n = get_local_id(0); n < samples; n += WG)
        sum += values[values0 + n];
    sum = group_sum(sum, scratch);
    if (get_local_id(0) == 0)
        gradient[gradient0] = -sum * expm1_nonpositive((realb)(-act_parameter(beta + beta0))).s0;
}
