/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Soft spectral normalisation (Behrmann et al. 2019, eq. 2): W~ = s W with s = 1 / (max(1, sigma/c)
 * + epsilon) and sigma = <u, W v> from power iteration, and the gradient through sigma with u, v
 * constant. s multiplies the convolution's result, so that W~ itself is never formed.
 *
 * The table has LAYER_WORDS ulongs a layer: offset of the weights in the parameter arena, their
 * count in blocks, offset of the layer's scale and sigma in the state arena, outputs, inputs, taps.
 */
#define LAYER_WORDS 7

/* Squares of a vector whose norm lies between these neither overflow nor lose what counts. */
#define NORM_LOW ((real)1e-12)
#define NORM_HIGH ((real)1e18)

/* Largest |x[i]| of n blocks, NaN ignored, by one work-group. */
INLINE real group_largest(__global const real *x, size_t n, __local real *scratch)
{
    real most = 0;
    for (size_t i = get_local_id(0); i < n; i += WG)
        for (int k = 0; k < B; k++)
            most = fmax(most, fabs(x[i * B + k]));
    return group_max(most, scratch);
}

/* These two and group_dot() give a block to the same work-item, so that no barrier is needed
 * between them. */
INLINE void group_divide(__global real *x, size_t n, real by)
{
    for (size_t i = get_local_id(0); i < n; i += WG)
        store_block(load_block(x + i * B) / (realb)(by), x + i * B);
}

/* Weyl's sequence of the golden ratio: numbers without a pattern that a kernel is likely to map to
 * zero. Padded channels stay zero. */
INLINE void group_refill(__global real *x, size_t n, int channels, int pixels)
{
    for (size_t i = get_local_id(0); i < n; i += WG)
        for (int k = 0; k < B; k++) {
            const uint place = (uint)(i * B) + k;
            const bool padding = (int)(i / pixels) * B + k >= channels;
            x[i * B + k] = padding ? (real)0 : (real)as_int(place * 2654435769u + 1);
        }
}

/* sigma = ||x|| and x /= ||x||, by one work-group. Where squares leave the range of floats x is
 * divided by its largest element first. Zero, from which power iteration would never return,
 * becomes some unit vector, with sigma 0; a vector with NaN or infinity is left alone, with sigma
 * to tell. Global size: WG. */
KERNEL void normalise(__global real *x, ulong x0, __global real *sigma, ulong sigma0, ulong count,
                      int channels, int pixels)
{
    GROUP_SCRATCH(scratch);
    __global real *v = x + x0;
    real norm = sqrt(group_dot(v, v, count, scratch)), unit = 1;
    if (!(norm > NORM_LOW && norm < NORM_HIGH) && !isnan(norm)) {
        unit = group_largest(v, count, scratch);
        if (unit == (real)0)
            group_refill(v, count, channels, pixels);
        else if (!isinf(unit))
            group_divide(v, count, unit);
        norm = sqrt(group_dot(v, v, count, scratch));
    }
    if (get_local_id(0) == 0)
        sigma[sigma0] = unit * norm;
    if (!isnan(norm) && !isinf(norm))
        group_divide(v, count, norm);
}

/* scale = 1 / (max(1, sigma/coefficient) + epsilon). Global size: WG; one value. */
KERNEL void sigma_scale(__global const real *sigma, ulong sigma0, __global real *scale,
                        ulong scale0, real coefficient, real epsilon)
{
    if (get_global_id(0) == 0)
        scale[scale0] = (real)1 / (max((real)1, sigma[sigma0] / coefficient) + epsilon);
}

/* <G, W> of every layer, G the gradient with respect to W~. Global size: WG times layers. */
KERNEL void layer_dots(__global const real *weights, ulong weights0, __global const real *gradient,
                       ulong gradient0, __global const ulong *table, ulong table0,
                       __global real *dots, ulong dots0)
{
    GROUP_SCRATCH(scratch);
    const size_t layer = get_group_id(0);
    __global const ulong *row = table + table0 + layer * LAYER_WORDS;
    const real dot =
        group_dot(weights + weights0 + row[0], gradient + gradient0 + row[0], row[1], scratch);
    if (get_local_id(0) == 0)
        dots[dots0 + layer] = dot;
}

/* In place, G becomes the gradient with respect to W: s G - [sigma > c] <G, W> s^2/c dsigma/dW, and
 * zero where a channel is padding (an activation with phi(0) != 0 leaves traces there). coefficient
 * 0: no normalisation, s = 1. Global size: blocks of the largest layer, layers. */
__kernel void layer_gradients(__global real *gradient, ulong gradient0,
                              __global const real *sigma_gradient, ulong sigma_gradient0,
                              __global const real *state, ulong state0, __global const ulong *table,
                              ulong table0, __global const real *dots, ulong dots0,
                              real coefficient)
{
    const size_t i = get_global_id(0), layer = get_global_id(1);
    __global const ulong *row = table + table0 + layer * LAYER_WORDS;
    if (i >= row[1])
        return;
    /* Weights are [Ob][Ib][taps][B inputs][B outputs]: this block is one input channel. */
    const int taps = row[6], input_blocks = ((int)row[5] + B - 1) / B;
    const int input = (int)(i / B / taps) % input_blocks * B + (int)(i % B);
    const int output = (int)(i / B / taps) / input_blocks * B;
    __global real *g = gradient + gradient0 + row[0] + i * B;
    realb value = load_block(g);
    if (coefficient > (real)0) {
        const real s = state[state0 + row[2]], sigma = state[state0 + row[3]];
        value *= (realb)(s);
        if (sigma > coefficient)
            value -= (realb)(dots[dots0 + layer] * s * s / coefficient) *
                     load_block(sigma_gradient + sigma_gradient0 + row[0] + i * B);
    }
    for (int k = 0; k < B; k++)
        if (output + k >= (int)row[4] || input >= (int)row[5])
            ((real *)&value)[k] = 0;
    store_block(value, g);
}
