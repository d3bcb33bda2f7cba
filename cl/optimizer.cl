/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates of the whole parameter arena at once. Weight decay is added to the gradient of every
 * parameter. Global size: blocks of the arena, rounded up to WG.
 */

/* g *= min(1, limit / |g|), with |g|^2 given. */
KERNEL void clip(__global real *gradient, ulong gradient0, __global const real *square,
                 ulong square0, ulong count, real limit)
{
    const size_t i = get_global_id(0);
    const real norm = sqrt(square[square0]);
    if (i >= count || norm <= limit)
        return;
    __global real *g = gradient + gradient0 + i * B;
    store_block(load_block(g) * (realb)(limit / norm), g);
}

/* mean += gain (w - mean). */
KERNEL void moving_average(__global real *mean, ulong mean0, __global const real *weights,
                           ulong weights0, ulong count, real gain)
{
    const size_t i = get_global_id(0);
    if (i >= count)
        return;
    const realb old = load_block(mean + mean0 + i * B);
    store_block(fma((realb)(gain), load_block(weights + weights0 + i * B) - old, old),
                mean + mean0 + i * B);
}

/* v = momentum v + g; w -= rate v. */
KERNEL void sgd(__global real *weights, ulong weights0, __global const real *gradient,
                ulong gradient0, __global real *velocity, ulong velocity0, ulong count, real rate,
                real momentum, real decay)
{
    const size_t i = get_global_id(0);
    if (i >= count)
        return;
    __global real *w = weights + weights0 + i * B, *v = velocity + velocity0 + i * B;
    const realb value = load_block(w);
    const realb g = fma((realb)(decay), value, load_block(gradient + gradient0 + i * B));
    const realb next = fma((realb)(momentum), load_block(v), g);
    store_block(next, v);
    store_block(fma((realb)(-rate), next, value), w);
}

/* Kingma and Ba 2015, algorithm 1. gain = 1 - beta, of which floats would lose all near beta = 1;
 * correction1 = 1 - beta1^t, correction2 = sqrt(1 - beta2^t). */
KERNEL void adam(__global real *weights, ulong weights0, __global const real *gradient,
                 ulong gradient0, __global real *mean, ulong mean0, __global real *square,
                 ulong square0, ulong count, real rate, real beta1, real beta2, real gain1,
                 real gain2, real epsilon, real decay, real correction1, real correction2)
{
    const size_t i = get_global_id(0);
    if (i >= count)
        return;
    __global real *w = weights + weights0 + i * B, *m = mean + mean0 + i * B;
    __global real *s = square + square0 + i * B;
    const realb value = load_block(w);
    const realb g = fma((realb)(decay), value, load_block(gradient + gradient0 + i * B));
    const realb m1 = (realb)(beta1)*load_block(m) + (realb)(gain1)*g;
    const realb s1 = (realb)(beta2)*load_block(s) + (realb)(gain2)*g * g;
    store_block(m1, m);
    store_block(s1, s);
    const realb denominator = sqrt(s1) / (realb)(correction2) + (realb)(epsilon);
    store_block(value - (realb)(rate / correction1) * m1 / denominator, w);
}

/* Kingma and Ba 2015, algorithm 2, with epsilon added to |g| so that zero gradients are harmless.
 */
KERNEL void adamax(__global real *weights, ulong weights0, __global const real *gradient,
                   ulong gradient0, __global real *mean, ulong mean0, __global real *largest,
                   ulong largest0, ulong count, real rate, real beta1, real beta2, real gain1,
                   real epsilon, real decay, real correction1)
{
    const size_t i = get_global_id(0);
    if (i >= count)
        return;
    __global real *w = weights + weights0 + i * B, *m = mean + mean0 + i * B;
    __global real *u = largest + largest0 + i * B;
    const realb value = load_block(w);
    const realb g = fma((realb)(decay), value, load_block(gradient + gradient0 + i * B));
    const realb m1 = (realb)(beta1)*load_block(m) + (realb)(gain1)*g;
    const realb u1 = max((realb)(beta2)*load_block(u), fabs(g) + (realb)(epsilon));
    store_block(m1, m);
    store_block(u1, u);
    store_block(value - (realb)(rate / correction1) * m1 / u1, w);
}
