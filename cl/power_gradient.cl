/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From gradients with respect to the normalised kernels W~ (power.cl) to those with respect to W,
 * through sigma with u and v constant.
 */

/* <G, W> of every layer, G the gradient with respect to W~. Global size: WG times layers. */
KERNEL void layer_dots(__global const real *weights, ulong weights0, __global const real *gradient,
                       ulong gradient0, __global const ulong *table, ulong table0,
                       __global real *dots, ulong dots0)
{
    GROUP_SCRATCH(scratch);
    const size_t layer = get_group_id(0);
    __global const ulong *row = table + table0 + layer * LAYER_WORDS;
    const real dot =
        group_dot(weights + weights0 + row[LAYER_WEIGHTS],
                  gradient + gradient0 + row[LAYER_WEIGHTS], row[LAYER_BLOCKS], scratch);
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
    if (i >= row[LAYER_BLOCKS])
        return;
    /* Weights are [Ob][Ib][taps][B inputs][B outputs]: this block is one input channel. */
    const int taps = (int)(row[LAYER_KERNEL_HEIGHT] * row[LAYER_KERNEL_WIDTH]),
              input_blocks = ((int)row[LAYER_INPUTS] + B - 1) / B;
    const int input = (int)(i / B / taps) % input_blocks * B + (int)(i % B);
    const int output = (int)(i / B / taps) / input_blocks * B;
    __global real *g = gradient + gradient0 + row[LAYER_WEIGHTS] + i * B;
    realb value = load_block(g);
    if (coefficient > (real)0) {
        const real s = state[state0 + row[LAYER_SCALE]], sigma = state[state0 + row[LAYER_SIGMA]];
        value *= (realb)(s);
        if (sigma > coefficient)
            value -= (realb)(dots[dots0 + layer] * s * s / coefficient) *
                     load_block(sigma_gradient + sigma_gradient0 + row[LAYER_WEIGHTS] + i * B);
    }
    for (int k = 0; k < B; k++)
        if (output + k >= (int)row[LAYER_OUTPUTS] || input >= (int)row[LAYER_INPUTS])
            ((real *)&value)[k] = 0;
    store_block(value, g);
}
