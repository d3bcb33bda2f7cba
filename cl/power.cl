/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Soft spectral normalisation (Behrmann et al. 2019, eq. 2): W~ = s W with s = 1 / (max(1, sigma/c)
 * + epsilon) and sigma = <u, W v> from power iteration. s multiplies the convolution's result, so
 * that W~ itself is never formed. A work-group iterates a layer from its beginning to its end:
 * layers are many, and what they act on is one image.
 */

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

/* Returns ||x|| after x /= ||x||, by one work-group. Where squares leave the range of floats x is
 * divided by its largest element first. Zero, from which power iteration would never return,
 * becomes some unit vector, with norm 0; a vector with NaN or infinity is left alone, with the norm
 * to tell. */
INLINE real group_normalise(__global real *v, size_t count, int channels, int pixels,
                            __local real *scratch)
{
    real norm = sqrt(group_dot(v, v, count, scratch)), unit = 1;
    if (!(norm > NORM_LOW && norm < NORM_HIGH) && !isnan(norm)) {
        unit = group_largest(v, count, scratch);
        if (unit == (real)0)
            group_refill(v, count, channels, pixels);
        else if (!isinf(unit))
            group_divide(v, count, unit);
        norm = sqrt(group_dot(v, v, count, scratch));
    }
    if (!isnan(norm) && !isinf(norm))
        group_divide(v, count, norm);
    return unit * norm;
}

/* y = W x or, with the transposed weights, W^T x. */
INLINE void group_convolve(const conv_shape *s, __global const real *x, __global const real *w,
                           __global real *y)
{
    const int all = s->H * s->W;
    const epilogue plain = {0, 0, y, 0, 0};
    for (int ob = 0; ob < s->Ob; ob += OCB)
        for (int first = (int)get_local_id(0); first < all; first += T * WG) {
            if (ob + OCB <= s->Ob)
                conv_tile(OCB, first, ob, s, x, w, (realb)(1), 0, plain);
            else
                for (int o = ob; o < s->Ob; o++)
                    conv_tile(1, first, o, s, x, w, (realb)(1), 0, plain);
        }
}

INLINE void power_shape(conv_shape *s, __global const ulong *row, int wrap, int back)
{
    const int inputs = ((int)row[LAYER_INPUTS] + B - 1) / B;
    const int outputs = ((int)row[LAYER_OUTPUTS] + B - 1) / B;
    s->N = 1;
    s->Ib = back ? outputs : inputs;
    s->Ob = back ? inputs : outputs;
    s->H = (int)row[LAYER_HEIGHT];
    s->W = (int)row[LAYER_WIDTH];
    s->kh = (int)row[LAYER_KERNEL_HEIGHT];
    s->kw = (int)row[LAYER_KERNEL_WIDTH];
    /* W^T's taps are reversed, so what was behind the pixel is in front of it. */
    s->pad_y = back ? s->kh / 2 : (s->kh - 1) / 2;
    s->pad_x = back ? s->kw / 2 : (s->kw - 1) / 2;
    s->wrap = wrap;
}

/* v = W^T u / |.|, then u = W v / |.|, and so on for so many halves of an iteration; returns the
 * last norm. That of W v is sigma = <u, W v>, since u is W v over its length. */
INLINE real power_halves(__global const ulong *row, __global const real *weights,
                         __global const real *transposed, __global real *state, int halves,
                         int wrap, __local real *scratch)
{
    real norm = 0;
    for (int i = 0; i < halves; i++) {
        const int back = i % 2 == 0;
        conv_shape s;
        power_shape(&s, row, wrap, back);
        __global real *u = state + row[LAYER_U], *v = state + row[LAYER_V];
        __global real *y = back ? v : u;
        group_convolve(&s, back ? u : v,
                       back ? transposed + row[LAYER_TRANSPOSED] : weights + row[LAYER_WEIGHTS], y);
        GROUP_BARRIER();
        norm = group_normalise(y, (size_t)s.Ob * s.H * s.W,
                               (int)row[back ? LAYER_INPUTS : LAYER_OUTPUTS], s.H * s.W, scratch);
        GROUP_BARRIER();
    }
    return norm;
}

/*
 * `iterations` of every layer or, with a tolerance, that many again and again, up to `most`, until
 * they change sigma by at most this share of it; then the scale. The first look has nothing to
 * compare with: the state's sigma may be that of other weights. epsilon is of kernels other than
 * 1x1. Global size: any multiple of WG; the work-groups divide the layers.
 */
KERNEL void power_iterate(__global const real *weights, ulong weights0,
                          __global const real *transposed, ulong transposed0, __global real *state,
                          ulong state0, __global const ulong *table, ulong table0, int layers,
                          int iterations, int most, real tolerance, real coefficient, real epsilon,
                          int wrap)
{
    GROUP_SCRATCH(scratch);
    state += state0;
    for (int layer = (int)get_group_id(0); layer < layers; layer += (int)get_num_groups(0)) {
        __global const ulong *row = table + table0 + layer * LAYER_WORDS;
        real sigma = state[row[LAYER_SIGMA]];
        for (int done = 0, close = 0; done < most && !close; done += iterations) {
            const real before = sigma;
            sigma = power_halves(row, weights + weights0, transposed + transposed0, state,
                                 2 * min(iterations, most - done), wrap, scratch);
            close = done > 0 && fabs(sigma - before) <= tolerance * sigma;
        }
        if (get_local_id(0) == 0) {
            const int large = row[LAYER_KERNEL_HEIGHT] * row[LAYER_KERNEL_WIDTH] > 1;
            state[row[LAYER_SIGMA]] = sigma;
            state[row[LAYER_SCALE]] =
                (real)1 / (max((real)1, sigma / coefficient) + (large ? epsilon : (real)0));
        }
    }
}

/* dsigma/dW = u outer v of every layer, u and v constant, at the weights' offsets. Global size: any
 * multiple of WG, which divide a layer's tiles; layers. */
KERNEL void power_gradients(__global const real *state, ulong state0, __global real *gradient,
                            ulong gradient0, __global const ulong *table, ulong table0, int wrap)
{
    __global const ulong *row = table + table0 + get_global_id(1) * LAYER_WORDS;
    conv_shape s;
    power_shape(&s, row, wrap, 0);
    const int tiles = conv_gradient_tiles(&s);
    for (int k = (int)get_global_id(0); k < tiles; k += (int)get_global_size(0))
        conv_gradient_tile(k, 0, s.H * s.W, &s, state + state0 + row[LAYER_V],
                           state + state0 + row[LAYER_U],
                           gradient + gradient0 + row[LAYER_WEIGHTS]);
}
