/* SPDX-License-Identifier: Apache-2.0 */
/* The weights of every layer's adjoint map. Global size: any multiple of WG, which divide a layer's
 * pieces; layers. */
KERNEL void transpose_layers(__global const real *weights, ulong weights0,
                             __global real *transposed, ulong transposed0,
                             __global const ulong *table, ulong table0)
{
    __global const ulong *row = table + table0 + get_global_id(1) * LAYER_WORDS;
    const int inputs = ((int)row[LAYER_INPUTS] + B - 1) / B;
    const int outputs = ((int)row[LAYER_OUTPUTS] + B - 1) / B;
    const int taps = (int)(row[LAYER_KERNEL_HEIGHT] * row[LAYER_KERNEL_WIDTH]);
    for (int k = (int)get_global_id(0); k < outputs * inputs * taps; k += (int)get_global_size(0))
        conv_transpose_tile(k, outputs, inputs, taps, weights + weights0 + row[LAYER_WEIGHTS],
                            transposed + transposed0 + row[LAYER_TRANSPOSED]);
}
