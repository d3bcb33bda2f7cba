/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logdet.clh over whole tensors, and log-determinants in few dimensions.
 */

KERNEL void add_power(__global const real *w, ulong w0, __global real *a, ulong a0,
                      __global real *sum, ulong sum0, real alpha, real beta, ulong count, int first)
{
    EACH_BLOCK (i, count) {
        add_power_block(w + w0, a + a0, sum + sum0, alpha, beta, i * B, first);
    }
}

KERNEL void combine_pairs(__global const real *w, ulong w0, __global real *a, ulong a0,
                          __global const real *tangents, ulong tangents0,
                          __global const real *saved, ulong saved0, __global const real *beta,
                          ulong beta0, __global real *second, ulong second0,
                          __global const float *c, ulong c0, ulong count, int flags)
{
    const real s = flags & PAIRS_SECOND ? act_parameter(beta + beta0) : 0;
    EACH_BLOCK (i, count) {
        combine_block(w + w0, a + a0, tangents + tangents0, saved + saved0, second + second0,
                      c + c0, i, count, s, flags);
    }
}

/* ---- few dimensions: the whole Jacobian ---- */

/* Where element e of a sample stands, e counting channels and pixels without padding. */
INLINE size_t place_of(int e, int pixels)
{
    const int c = e / pixels, p = e % pixels;
    return ((size_t)(c / B) * pixels + p) * B + c % B;
}

/* t_j = e_j for every sample: slots of `count` blocks. Global size: blocks of all slots, WG. */
KERNEL void basis(__global real *t, ulong t0, ulong total, ulong count, int size, int pixels)
{
    EACH_BLOCK (i, total) {
        const int j = (int)(i / count);
        const size_t in_sample = i % count % (size / B) * B, at = place_of(j, pixels);
        realb v;
#pragma unroll
        for (int c = 0; c < B; c++)
            ((real *)&v)[c] = at == in_sample + c ? 1 : 0;
        store_block(v, t + t0 + i * B);
    }
}

/* Gauss and Jordan with partial pivoting on [M | I], d rows of 2d; log|det M|. */
INLINE real invert(__global real *m, int d)
{
    real log_det = 0;
    for (int k = 0; k < d; k++) {
        int pivot = k;
        for (int r = k + 1; r < d; r++)
            if (fabs(m[r * 2 * d + k]) > fabs(m[pivot * 2 * d + k]))
                pivot = r;
        for (int c = 0; c < 2 * d && pivot != k; c++) {
            const real swap = m[k * 2 * d + c];
            m[k * 2 * d + c] = m[pivot * 2 * d + c];
            m[pivot * 2 * d + c] = swap;
        }
        const real head = m[k * 2 * d + k];
        log_det += log(fabs(head));
        for (int c = 0; c < 2 * d; c++)
            m[k * 2 * d + c] /= head;
        for (int r = 0; r < d; r++) {
            const real factor = r == k ? (real)0 : m[r * 2 * d + k];
            for (int c = 0; c < 2 * d && r != k; c++)
                m[r * 2 * d + c] = fma(-factor, m[k * 2 * d + c], m[r * 2 * d + c]);
        }
    }
    return log_det;
}

/* From w_j = J^T e_j: a_j = weight (I + J)^-T e_j, and values += weight log|det(I + J)|. scratch:
 * 2 d^2 a sample. Global size: any multiple of WG; the work-items divide the samples. */
KERNEL void invert_jacobians(__global const real *w, ulong w0, __global real *a, ulong a0,
                             __global real *scratch, ulong scratch0, __global real *values,
                             ulong values0, ulong samples, int d, int size, int pixels, real weight)
{
    EACH_BLOCK (n, samples) {
        __global real *m = scratch + scratch0 + n * 2 * d * d;
        for (int j = 0; j < d; j++)
            for (int k = 0; k < d; k++) {
                const real one = j == k ? 1 : 0;
                m[j * 2 * d + k] = one + w[w0 + (j * samples + n) * size + place_of(k, pixels)];
                m[j * 2 * d + d + k] = one;
            }
        values[values0 + n] += weight * invert(m, d);
        for (int j = 0; j < d; j++)
            for (int k = 0; k < d; k++)
                a[a0 + (j * samples + n) * size + place_of(k, pixels)] =
                    weight * m[j * 2 * d + d + k];
    }
}
