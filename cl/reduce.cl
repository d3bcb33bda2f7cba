/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums, in an order that depends on the shapes alone, so that equal inputs give equal bits. No
 * atomics.
 */

#define SUMS_CENTRE_P 1 /* p is taken less its channel's centre */
#define SUMS_CENTRE_Q 2 /* q likewise */
#define SUMS_PRODUCT 4  /* also sum p q */

/* Partial sums over images and pixels: partial[split][0][C] = sum p and, with SUMS_PRODUCT,
 * partial[split][1][C] = sum p q. Short runs are summed first, which keeps rounding small. Global
 * size: splits, Cb. */
__kernel void channel_sums(__global const real *p, ulong p0, __global const real *q, ulong q0,
                           __global const real *centre, ulong centre0, __global real *partial,
                           ulong partial0, int images, int blocks, int pixels, int flags)
{
    const int split = get_global_id(0), splits = get_global_size(0), cb = get_global_id(1);
    const long total = (long)images * pixels;
    const long end = total * (split + 1) / splits;
    const realb c = flags & (SUMS_CENTRE_P | SUMS_CENTRE_Q) ? load_block(centre + centre0 + cb * B)
                                                            : (realb)(0);
    const realb cp = flags & SUMS_CENTRE_P ? c : (realb)(0);
    const realb cq = flags & SUMS_CENTRE_Q ? c : (realb)(0);
    realb sum = 0, product = 0;
    for (long m = total * split / splits; m < end;) {
        const long image = m / pixels, pixel = m % pixels;
        const int run = (int)min(min((long)pixels - pixel, end - m), 64L);
        const size_t at = ((image * blocks + cb) * pixels + pixel) * B;
        realb run_sum = 0, run_product = 0;
        for (int i = 0; i < run; i++) {
            const realb v = load_block(p + p0 + at + (size_t)i * B) - cp;
            run_sum += v;
            if (flags & SUMS_PRODUCT)
                run_product = fma(v, load_block(q + q0 + at + (size_t)i * B) - cq, run_product);
        }
        sum += run_sum;
        product += run_product;
        m += run;
    }
    __global real *out = partial + partial0 + (size_t)split * 2 * blocks * B + cb * B;
    store_block(sum, out);
    store_block(product, out + (size_t)blocks * B);
}

/* Adds the splits' sums: sums[C] = factor sum p, products[C] = factor sum p q, which stays where
 * both are one place. Global size: Cb. */
__kernel void channel_finish(__global const real *partial, ulong partial0, __global real *sums,
                             ulong sums0, __global real *products, ulong products0, int splits,
                             int flags, real factor)
{
    const int cb = get_global_id(0), blocks = get_global_size(0);
    realb sum = 0, product = 0;
    for (int s = 0; s < splits; s++) {
        __global const real *in = partial + partial0 + (size_t)s * 2 * blocks * B + cb * B;
        sum += load_block(in);
        product += load_block(in + (size_t)blocks * B);
    }
    store_block(sum * (realb)(factor), sums + sums0 + cb * B);
    if (flags & SUMS_PRODUCT)
        store_block(product * (realb)(factor), products + products0 + cb * B);
}

/* <a, b> of every sample, `count` blocks each, added to what is there if asked. Global size: WG
 * times samples. */
KERNEL void sample_dots(__global const real *a, ulong a0, __global const real *b, ulong b0,
                        __global real *out, ulong out0, ulong count, int add)
{
    GROUP_SCRATCH(scratch);
    const size_t n = get_group_id(0), at = n * count * B;
    const real sum = group_dot(a + a0 + at, b + b0 + at, count, scratch);
    if (get_local_id(0) == 0)
        out[out0 + n] = add ? out[out0 + n] + sum : sum;
}

/* x_n /= ||x_n|| for every sample n. Where the square of the norm is zero or leaves the range, the
 * sample is no longer finite. Global size: WG times samples. */
KERNEL void normalise_samples(__global real *x, ulong x0, ulong count)
{
    GROUP_SCRATCH(scratch);
    __global real *sample = x + x0 + get_group_id(0) * count * B;
    const real square = group_dot(sample, sample, count, scratch);
    const real factor = isinf(square) ? square : 1 / sqrt(square);
    for (size_t i = get_local_id(0); i < count; i += WG)
        store_block((realb)(factor)*load_block(sample + i * B), sample + i * B);
}
