/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layers of a block one after the other, image by image, for CPUs (WG = 1), where a work-item
 * is a thread: what the layers hand on stays in its cache, and a step of the fixed point needs no
 * other thread, so that a launch can take many. Layers are 3x3 (winograd.cl) and 1x1
 * (pointwise.cl).
 */

/* What CHAIN_WORDS words of the table say of a layer, in this order. Offsets are in elements. */
typedef struct chain_layer {
    int winograd; /* 3x3 by winograd_tiles, with weights in `transformed`; or 1x1, in `parameters`
                   */
    ulong weights, scale, bias, beta; /* beta: of the activation behind it */
    int inputs, outputs;              /* blocks of channels */
} chain_layer;

#define CHAIN_WORDS 7

/* Not returned: of returned structs clang makes what Oclgrind does not know. */
INLINE void chain_read(chain_layer *layer, __global const ulong *table)
{
    layer->winograd = (int)table[0];
    layer->weights = table[1];
    layer->scale = table[2];
    layer->bias = table[3];
    layer->inputs = (int)table[4];
    layer->outputs = (int)table[5];
    layer->beta = table[6];
}

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
    const int tiles = ((H + 3) / 4) * ((W + 3) / 4), across = (H * W + T - 1) / T;
    __global real *own = scratch + scratch0 + (ulong)item * slot;

    for (int first = begin; first < end; first += chunk) {
        const int images = min(chunk, end - first);
        for (int k = 0; k < steps * layers; k++) {
            const int i = k % layers, last = i + 1 == layers;
            chain_layer layer;
            chain_read(&layer, table + table0 + i * CHAIN_WORDS);
            const ulong image = (ulong)layer.outputs * H * W * B;
            __global const real *from = i == 0 ? x + x0 + first * ((ulong)layer.inputs * H * W * B)
                                               : own + (i - 1) % 2 * hidden;
            epilogue e = {0, 0, own + i % 2 * hidden,
                          CONV_SCALE | CONV_BIAS | CONV_ACTIVATE | (flags & CONV_WRAP), 0};
            if (last) {
                e.residual = residual + residual0 + first * image;
                e.y = y + y0 + first * image;
                e.flags = flags;
            }
            e.parameter = epilogue_parameter(parameters + parameters0 + layer.beta, e.flags);
            const realb scale = (realb)(state[state0 + layer.scale]);
            __global const real *bias = parameters + parameters0 + layer.bias;
            if (layer.winograd)
                winograd_tiles(from, transformed + transformed0 + layer.weights, scale, bias, e,
                               own + 2 * hidden, 0, images * tiles, 0, layer.outputs, layer.inputs,
                               layer.outputs, H, W, group, i == 0, last);
            else
                pointwise_tiles(from, parameters + parameters0 + layer.weights, scale, bias, e, 0,
                                images * across, layer.inputs, layer.outputs, H * W);
        }
    }
}
