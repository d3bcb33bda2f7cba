/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A block's layers forward in one launch: a step of the fixed point needs no other thread, so that
 * a launch can take many.
 */

/* Slots of scratch hold the hidden activations of `chunk` images twice, `hidden` elements each, and
 * then a slot of winograd_tiles. */

/*
 * `steps` times y = finish(...), see conv_apply, with the flags of the last layer; the others have
 * a scale, a bias and an activation. For more steps than one x is y and there are two layers or
 * more. The work-items divide the images along dimension 0, and go through theirs `chunk` at a
 * time.
 */
KERNEL void chain_apply(__global const real *x, ulong x0, __global const real *parameters,
                        ulong parameters0, __global const real *transformed, ulong transformed0,
                        __global const real *state, ulong state0, __global const ulong *table,
                        ulong table0, __global const real *residual, ulong residual0,
                        __global real *y, ulong y0, __global real *scratch, ulong scratch0,
                        int slot, int hidden, int layers, int N, int H, int W, int chunk, int group,
                        int steps, int flags)
{
    const int item = (int)get_global_id(0), items = (int)get_global_size(0);
    const int begin = (int)((ulong)N * item / items), end = (int)((ulong)N * (item + 1) / items);
    const chain_weights weights = {parameters + parameters0, 0, transformed + transformed0, 0};
    __global real *own = scratch + scratch0 + (ulong)item * slot;

    for (int first = begin; first < end; first += chunk) {
        const chain_place at = {min(chunk, end - first), H, W, group, own + 2 * hidden};
        for (int k = 0; k < steps * layers; k++) {
            const int i = k % layers, last = i + 1 == layers;
            chain_layer layer;
            chain_read(&layer, table + table0 + i * CHAIN_WORDS);
            const ulong image = (ulong)layer.outputs * H * W * B;
            __global const real *from = i == 0 ? x + x0 + first * ((ulong)layer.inputs * H * W * B)
                                               : own + (i - 1) % 2 * hidden;
            epilogue e = {0, 0, own + i % 2 * hidden,
                          CONV_SCALE | CONV_BIAS | CONV_ACTIVATE | (flags & CONV_WRAP) |
                              layer.last_input << CONV_LAST_SHIFT,
                          0};
            if (last) {
                e.residual = residual + residual0 + first * image;
                e.y = y + y0 + first * image;
                e.flags = flags;
            }
            e.parameter = epilogue_parameter(parameters + parameters0 + layer.beta, e.flags);
            chain_pass(&layer, 0, from, &weights, state[state0 + layer.scale],
                       parameters + parameters0 + layer.bias, e, &at, i == 0, last);
        }
    }
}
