/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classifier's head along a tangent, and the reverse of that: jvp, and vjp of the jvp. `work`
 * is head.cl's: mean, 1/std = r, scale = gamma r, offset. Batch norm through the batch's statistics
 * is y = gamma x^ + beta with x^ = (x - m(x)) r, m the mean over the M = N H W values of a channel,
 * and its jvp is the self-adjoint y' = gamma r (x' - m(x') - x^ m(x' x^)), which norm_vjp() of
 * head.cl computes. With a the cotangent of y', q = m(x' x^), p = m(a x^) and A = m(a x') - m(a)
 * m(x'), <a, y'> = M gamma r (A - p q). Derivatives along x_i: of r, -r^2 x^_i / M; of p, r (a_i -
 * m(a) - x^_i p) / M; of q the same with x'. So x receives -gamma r^2 (x^ (A - p q) + q (a - m(a) -
 * x^ p) + p (x' - m(x') - x^ q)), gamma M r (A - p q), and x' the operator above applied to a.
 * Epsilon changes nothing: it is in r, and r' = -r^2 q holds with it.
 */

/* pooled_dot[n][c] = mean over the map of relu'(x scale + offset) y_dot. Global size: Cb, N. */
__kernel void relu_pool_jvp(__global const real *x, ulong x0, __global const real *work,
                            ulong work0, __global const real *y_dot, ulong y_dot0,
                            __global real *pooled_dot, ulong pooled_dot0, int pixels)
{
    const size_t cb = get_global_id(0), blocks = get_global_size(0), n = get_global_id(1);
    const realb scale = load_block(work + work0 + (2 * blocks + cb) * B);
    const realb offset = load_block(work + work0 + (3 * blocks + cb) * B);
    const size_t first = (n * blocks + cb) * pixels * B;
    realb sum = 0;
    for (int p = 0; p < pixels; p++) {
        const size_t at = first + (size_t)p * B;
        const realb v = fma(load_block(x + x0 + at), scale, offset);
        sum += v > (realb)(0) ? load_block(y_dot + y_dot0 + at) : (realb)(0);
    }
    store_block(sum / (realb)(pixels), pooled_dot + pooled_dot0 + (n * blocks + cb) * B);
}

/* means: m(a), m(a (x - m(x))), m(x'), m(x' (x - m(x))), A, and for the cotangent g of y: m(g), m(g
 * (x - m(x))), vectors of C values. y_dot_bar holds a and becomes the cotangent of x'; y_bar holds
 * g and becomes that of x: the vjp of g and the second-order part. Global size: channel blocks,
 * rounded up to WG. */
KERNEL void norm_second(__global const real *x, ulong x0, __global const real *work, ulong work0,
                        __global const real *means, ulong means0, __global const real *x_dot,
                        ulong x_dot0, __global real *y_dot_bar, ulong y_dot_bar0,
                        __global real *y_bar, ulong y_bar0, ulong count, int blocks, int pixels)
{
    const size_t i = get_global_id(0);
    if (i >= count)
        return;
    const size_t c = i / pixels % blocks * B, channels = (size_t)blocks * B, at = i * B;
    __global const real *m = means + means0 + c;
    const realb mean = load_block(work + work0 + c), rstd = load_block(work + work0 + channels + c);
    const realb scale = load_block(work + work0 + 2 * channels + c);
    const realb hat = (load_block(x + x0 + at) - mean) * rstd;
    const realb p = load_block(m + channels) * rstd, q = load_block(m + 3 * channels) * rstd;
    const realb a = load_block(y_dot_bar + y_dot_bar0 + at) - load_block(m) - hat * p;
    const realb t = load_block(x_dot + x_dot0 + at) - load_block(m + 2 * channels) - hat * q;
    const realb g = load_block(y_bar + y_bar0 + at) - load_block(m + 5 * channels) -
                    hat * rstd * load_block(m + 6 * channels);
    const realb second = hat * (load_block(m + 4 * channels) - p * q) + q * a + p * t;
    store_block(scale * a, y_dot_bar + y_dot_bar0 + at);
    store_block(scale * (g - rstd * second), y_bar + y_bar0 + at);
}

/* Adds to the gradients of gamma and beta, from the means of norm_second(); total = M. batch 0: the
 * statistics are running ones, which x does not move, so A is m(a x') and p q is not there. Global
 * size: Cb. */
__kernel void norm_second_parameters(__global const real *work, ulong work0,
                                     __global const real *means, ulong means0,
                                     __global real *gamma_gradient, ulong gamma_gradient0,
                                     __global real *beta_gradient, ulong beta_gradient0, real total,
                                     int batch)
{
    const size_t c = get_global_id(0) * B, channels = get_global_size(0) * B;
    __global const real *m = means + means0 + c;
    __global real *gamma = gamma_gradient + gamma_gradient0 + c;
    __global real *beta = beta_gradient + beta_gradient0 + c;
    const realb rstd = load_block(work + work0 + channels + c);
    realb along = load_block(m + 4 * channels);
    if (batch)
        along -= rstd * load_block(m + channels) * rstd * load_block(m + 3 * channels);
    along += load_block(m + 6 * channels);
    store_block(fma(along * rstd, (realb)(total), load_block(gamma)), gamma);
    store_block(fma(load_block(m + 5 * channels), (realb)(total), load_block(beta)), beta);
}

/* out[0] = the sum of values[n]. Global size: 1. */
__kernel void sum_samples(__global const real *values, ulong values0, __global real *out,
                          ulong out0, int samples)
{
    real sum = 0;
    for (int n = 0; n < samples; n++)
        sum += values[values0 + n];
    out[out0] = sum;
}

#define MORE_SCORES 1     /* more_bar is added to scores_bar */
#define MORE_SCORES_DOT 2 /* more_dot_bar to scores_dot_bar */

/* With `gradient` (prob - onehot) / N of cross_entropy(), the mean loss has the tangent <gradient,
 * s'>. Cotangents l of the loss and l' of its tangent give s receives l gradient + l' prob (s' -
 * <prob, s'>) / N,  s' receives l' gradient. All but the numbers: [N][Cb][B]. Global size: N. */
__kernel void cross_entropy_second(__global const real *scores, ulong scores0,
                                   __global const real *gradient, ulong gradient0,
                                   __global const real *scores_dot, ulong scores_dot0,
                                   __global const real *more_bar, ulong more_bar0,
                                   __global const real *more_dot_bar, ulong more_dot_bar0,
                                   __global real *scores_bar, ulong scores_bar0,
                                   __global real *scores_dot_bar, ulong scores_dot_bar0,
                                   real loss_bar, real loss_dot_bar, int classes, int flags)
{
    const size_t n = get_global_id(0), samples = get_global_size(0);
    const size_t stride = (size_t)(classes + B - 1) / B * B, at = n * stride;
    __global const real *z = scores + scores0 + at, *t = scores_dot + scores_dot0 + at;
    __global const real *g = gradient + gradient0 + at;
    int best = 0;
    for (int k = 1; k < classes; k++)
        if (z[k] > z[best])
            best = k;
    real sum = 0, mean = 0;
    for (int k = 0; k < classes; k++) {
        const real weight = exp(z[k] - z[best]);
        sum += weight;
        mean += weight * t[k];
    }
    mean /= sum;
    for (size_t k = 0; k < stride; k++) {
        real bar = 0, dot_bar = 0;
        if ((int)k < classes) {
            const real second = exp(z[k] - z[best]) / sum * (t[k] - mean) / (real)samples;
            bar = fma(loss_bar, g[k], loss_dot_bar * second);
            bar += flags & MORE_SCORES ? more_bar[more_bar0 + at + k] : (real)0;
            dot_bar = loss_dot_bar * g[k];
            dot_bar += flags & MORE_SCORES_DOT ? more_dot_bar[more_dot_bar0 + at + k] : (real)0;
        }
        scores_bar[scores_bar0 + at + k] = bar;
        scores_dot_bar[scores_dot_bar0 + at + k] = dot_bar;
    }
}
