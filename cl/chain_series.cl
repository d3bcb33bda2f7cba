/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pairs of a log-determinant's series (flow/logdet.h), image by image: powers of J^T and of J
 * with what they leave at every layer, and then the combinations, while all of an image's streams
 * are in a thread's cache. Blocks have at most CHAIN_LAYERS layers, and activations whose
 * derivatives come from their outputs.
 */
#define CHAIN_LAYERS 4

#define SERIES_FIRST 1   /* an activation stands before the first layer */
#define SERIES_NEUMANN 2 /* one pair of a weighted sum of powers; else TERMS pairs */
#define SERIES_ADD 4     /* second grows by these pairs */

/* Streams: slots of `N` images each. What is at layer i is what enters it. */
typedef struct series {
    __global real *w, *t, *next, *a, *sum;
    __global real *tangents[CHAIN_LAYERS], *cotangents[CHAIN_LAYERS], *second[CHAIN_LAYERS];
    __global const real *saved[CHAIN_LAYERS];
    __global const real *seed, *probe;
    __global real *values;
    __global const real *state;
    chain_weights weights;
    __global const ulong *table;
    int layers, N, first, wrap, activated;
    chain_place at;
} series;

/* Elements of an image with so many blocks of channels. */
INLINE ulong image_size(const series *s, int blocks)
{
    return (ulong)blocks * s->at.H * s->at.W * B;
}

/* Where the images at hand are in slot `slot` of a stream. */
INLINE __global real *stream_at(const series *s, __global real *stream, int slot, int blocks)
{
    return stream + ((ulong)slot * s->N + s->first) * image_size(s, blocks);
}

/* The streams begin where they are given. */
INLINE void series_begin(const series *s, int slot, int blocks)
{
    const ulong first = s->first * image_size(s, blocks);
    __global real *w = stream_at(s, s->w, 0, blocks), *t = stream_at(s, s->t, slot, blocks);
    for (ulong i = 0; i < s->at.images * image_size(s, blocks); i += B) {
        store_block(load_block(s->seed + first + i), w + i);
        store_block(load_block(s->probe + first + i), t + i);
    }
}

/* The estimate: the products of a and b, from their first image at hand on. */
INLINE void series_values(const series *s, __global const real *a, __global const real *b,
                          int blocks)
{
    const ulong size = image_size(s, blocks);
    for (int i = 0; i < s->at.images; i++)
        s->values[s->first + i] += group_dot(a + i * size, b + i * size, size / B, 0);
}

/* to = J^T w, cotangents in slot `slot`; without `wanted` the first layer is left out. */
INLINE void series_vjp(const series *s, __global const real *w, int slot, __global real *to,
                       int wanted)
{
    __global const real *from = w;
    for (int i = s->layers - 1; i >= (wanted ? 0 : 1); i--) {
        chain_layer l;
        chain_read(&l, s->table + i * CHAIN_WORDS);
        const int derivative = i > 0 || s->activated;
        epilogue e = {0, 0, to,
                      CONV_SCALE | s->wrap | (derivative ? CONV_DERIVATIVE : 0) |
                          l.last_output << CONV_LAST_SHIFT,
                      0};
        if (derivative)
            e.saved = s->saved[i] + s->first * image_size(s, l.inputs);
        if (i > 0)
            e.y = stream_at(s, s->cotangents[i], slot, l.inputs);
        chain_pass(&l, 1, from, &s->weights, s->state[l.scale], 0, e, &s->at, 0, 0);
        from = e.y;
    }
}

/* to = J t, tangents in slot `slot`; without `wanted` the last layer is left out. */
INLINE void series_jvp(const series *s, __global const real *t, int slot, __global real *to,
                       int wanted)
{
    __global const real *from = t;
    for (int i = 0; i < s->layers; i++) {
        const int last = i + 1 == s->layers;
        chain_layer l;
        chain_read(&l, s->table + i * CHAIN_WORDS);
        if (i == 0 && s->activated) {
            __global real *tangent = stream_at(s, s->tangents[0], slot, l.inputs);
            __global const real *y = s->saved[0] + s->first * image_size(s, l.inputs);
            for (ulong k = 0; k < s->at.images * image_size(s, l.inputs); k += B)
                store_block(act_d(load_block(y + k), 0) * load_block(t + k), tangent + k);
            from = tangent;
        }
        if (last && !wanted)
            break;
        epilogue e = {0, 0, to,
                      CONV_SCALE | s->wrap | (last ? 0 : CONV_DERIVATIVE) |
                          l.last_input << CONV_LAST_SHIFT,
                      0};
        if (!last) {
            e.saved = s->saved[i + 1] + s->first * image_size(s, l.outputs);
            e.y = stream_at(s, s->tangents[i + 1], slot, l.outputs);
        }
        chain_pass(&l, 0, from, &s->weights, s->state[l.scale], 0, e, &s->at, 0, 0);
        from = e.y;
    }
}

/* The second-order parts at the activations; `below` is what combines at the input. */
INLINE void series_meet(const series *s, int slot, __global const real *below,
                        __global const float *c, int flags)
{
    for (int i = s->activated ? 0 : 1; i < s->layers; i++) {
        chain_layer l;
        chain_read(&l, s->table + i * CHAIN_WORDS);
        const ulong size = image_size(s, l.inputs), count = s->N * size / B;
        const ulong at = s->first * size, blocks = s->at.images * size / B;
        __global real *a = stream_at(s, s->cotangents[i], slot, l.inputs);
        const int store = i > 0 && flags & PAIRS_COMBINE ? PAIRS_STORE : 0;
        for (ulong k = 0; k < blocks; k++)
            combine_block(i == 0 ? below : a, a, stream_at(s, s->tangents[i], slot, l.inputs),
                          s->saved[i] + at, s->second[i] + at, c, k, count, 0,
                          flags | PAIRS_SECOND | store);
    }
}

/* All pairs, from w_0 and t_0 on. */
INLINE void series_exact(const series *s, int slot, int blocks, __global const float *c, int flags)
{
    __global real *w = stream_at(s, s->w, 0, blocks), *t = stream_at(s, s->t, slot, blocks);
    const ulong stride = s->N * image_size(s, blocks);
    const ulong count = s->at.images * image_size(s, blocks) / B;
    for (int k = 0; k < TERMS; k++) {
        const int last = k + 1 == TERMS;
        __global real *t_next = last ? stream_at(s, s->next, 0, blocks) : t + (k + 1) * stride;
        series_vjp(s, w + k * stride, slot + k, w + (k + 1) * stride, !last || s->activated);
        series_jvp(s, t + k * stride, slot + k, t_next, TERMS == 1 || !last);
    }
    for (ulong k = 0; k < count; k++)
        combine_block(w, stream_at(s, s->a, slot, blocks), w, w, w, c, k, stride / B, 0,
                      PAIRS_COMBINE | PAIRS_STORE);
    series_values(s, stream_at(s, s->a, slot, blocks),
                  TERMS == 1 ? stream_at(s, s->next, 0, blocks) : t + stride, blocks);
    series_meet(s, slot, w + stride, c, flags | PAIRS_COMBINE);
}

/* One pair, of the sum of powers with weights; the sum of powers with coefficients goes to `sum`,
 * and J t_0 to w's second slot. c: coefficients, then weights. */
INLINE void series_neumann(const series *s, int slot, int blocks, int terms,
                           __global const float *c, int flags)
{
    __global real *w = stream_at(s, s->w, 0, blocks), *a = stream_at(s, s->a, slot, blocks);
    const ulong stride = s->N * image_size(s, blocks), size = s->at.images * image_size(s, blocks);
    for (int k = 0; k < terms; k++) {
        __global real *power = w + k % 2 * stride;
        for (ulong i = 0; i < size; i += B)
            add_power_block(power, a, stream_at(s, s->sum, 0, blocks), c[terms + k], c[k], i,
                            k == 0);
        if (k + 1 < terms)
            series_vjp(s, power, slot, w + (k + 1) % 2 * stride, 1);
    }
    series_jvp(s, stream_at(s, s->t, slot, blocks), slot, w + stride, 1);
    series_values(s, stream_at(s, s->sum, 0, blocks), w + stride, blocks);
    series_vjp(s, a, slot, w, s->activated);
    series_meet(s, slot, w, c, flags);
}

/*
 * Slot 0 of w begins as the seed, slot `slot` of t as the probe, and the estimates are added to
 * values. The work-items divide the N images along
 * dimension 0 and go through theirs `chunk` at a time. `items` slots of scratch.
 */
KERNEL void chain_series(
    __global real *w, ulong w0, __global real *t, ulong t0, __global real *next, ulong next0,
    __global real *a, ulong a0, __global real *tangents_0, ulong tangents_00,
    __global real *tangents_1, ulong tangents_10, __global real *tangents_2, ulong tangents_20,
    __global real *tangents_3, ulong tangents_30, __global real *cotangents_0, ulong cotangents_00,
    __global real *cotangents_1, ulong cotangents_10, __global real *cotangents_2,
    ulong cotangents_20, __global real *cotangents_3, ulong cotangents_30, __global real *second_0,
    ulong second_00, __global real *second_1, ulong second_10, __global real *second_2,
    ulong second_20, __global real *second_3, ulong second_30, __global const real *saved_0,
    ulong saved_00, __global const real *saved_1, ulong saved_10, __global const real *saved_2,
    ulong saved_20, __global const real *saved_3, ulong saved_30, __global const real *seed,
    ulong seed0, __global const real *probe, ulong probe0, __global real *values, ulong values0,
    __global const real *parameters, ulong parameters0, __global const real *transposed,
    ulong transposed0, __global const real *transformed, ulong transformed0,
    __global const real *back_transformed, ulong back_transformed0, __global const real *state,
    ulong state0, __global const ulong *table, ulong table0, __global const float *c, ulong c0,
    __global real *scratch, ulong scratch0, int scratch_slot, int layers, int N, int H, int W,
    int chunk, int group, int slot, int terms, int wrap, int flags)
{
    const int item = (int)get_global_id(0), items = (int)get_global_size(0);
    const int begin = (int)((ulong)N * item / items), end = (int)((ulong)N * (item + 1) / items);
    series s = {
        w + w0,
        t + t0,
        next + next0,
        a + a0,
        next + next0,
        {tangents_0 + tangents_00, tangents_1 + tangents_10, tangents_2 + tangents_20,
         tangents_3 + tangents_30},
        {cotangents_0 + cotangents_00, cotangents_1 + cotangents_10, cotangents_2 + cotangents_20,
         cotangents_3 + cotangents_30},
        {second_0 + second_00, second_1 + second_10, second_2 + second_20, second_3 + second_30},
        {saved_0 + saved_00, saved_1 + saved_10, saved_2 + saved_20, saved_3 + saved_30},
        seed + seed0,
        probe + probe0,
        values + values0,
        state + state0,
        {parameters + parameters0, transposed + transposed0, transformed + transformed0,
         back_transformed + back_transformed0},
        table + table0,
        layers,
        N,
        0,
        wrap,
        flags & SERIES_FIRST,
        {0, H, W, group, scratch + scratch0 + (ulong)item * scratch_slot}};
    chain_layer bottom;
    chain_read(&bottom, s.table);
    for (int first = begin; first < end; first += chunk) {
        s.first = first;
        s.at.images = min(chunk, end - first);
        series_begin(&s, slot, bottom.inputs);
        const int add = flags & SERIES_ADD ? PAIRS_ADD : 0;
        if (flags & SERIES_NEUMANN)
            series_neumann(&s, slot, bottom.inputs, terms, c + c0, add);
        else
            series_exact(&s, slot, bottom.inputs, c + c0, add);
    }
}
