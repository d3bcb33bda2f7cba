/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The prior: log p(z) of a diagonal Gaussian, its gradients, and the loss that comes of it. Padded
 * channels have mean, log_std and z 0, so they add nothing to values.
 */

#define PRIOR_LEARNED 1 /* else standard normal */
#define PRIOR_ADD 2     /* to what is there: of values, or of the gradient at z */

/* weight x sum of -((z - mean) / std)^2 / 2 - log_std for each sample, `count` blocks each; the
 * rest of log p(z) is a constant. Global size: WG times samples. */
KERNEL void prior_values(__global const real *z, ulong z0, __global const real *mean, ulong mean0,
                         __global const real *log_std, ulong log_std0, __global real *values,
                         ulong values0, ulong count, real weight, int flags)
{
    GROUP_SCRATCH(scratch);
    const size_t n = get_group_id(0);
    __global const real *from = z + z0 + n * count * B;
    realb sum = 0;
    for (size_t i = get_local_id(0); i < count; i += WG) {
        realb r = load_block(from + i * B);
        if (flags & PRIOR_LEARNED) {
            const realb s = load_block(log_std + log_std0 + i * B);
            r = (r - load_block(mean + mean0 + i * B)) * exp(-s);
            sum -= s;
        }
        sum -= (realb)(0.5f) * r * r;
    }
    const real total = group_sum(block_sum(sum), scratch);
    if (get_local_id(0) == 0)
        values[values0 + n] = (flags & PRIOR_ADD ? values[values0 + n] : (real)0) + weight * total;
}

/* Gradients of weight x sum over samples of log p(z): at z, which may be z itself, and of mean and
 * log_std, which are overwritten. Global size: blocks of one sample, rounded up to WG. */
KERNEL void prior_gradient(__global const real *z, ulong z0, __global const real *mean, ulong mean0,
                           __global const real *log_std, ulong log_std0, __global real *z_gradient,
                           ulong z_gradient0, __global real *mean_gradient, ulong mean_gradient0,
                           __global real *log_std_gradient, ulong log_std_gradient0, ulong count,
                           int samples, int channels, int pixels, real weight, int flags)
{
    const size_t i = get_global_id(0);
    if (i >= count)
        return;
    realb m = 0, scale = 1, mean_sum = 0, log_std_sum = 0;
    if (flags & PRIOR_LEARNED) {
        m = load_block(mean + mean0 + i * B);
        scale = exp(-load_block(log_std + log_std0 + i * B));
    }
    for (int n = 0; n < samples; n++) {
        const size_t at = (n * count + i) * B;
        const realb r = (load_block(z + z0 + at) - m) * scale, g = (realb)(-weight) * r * scale;
        mean_sum -= g;
        log_std_sum += r * r;
        store_block(flags & PRIOR_ADD ? load_block(z_gradient + z_gradient0 + at) + g : g,
                    z_gradient + z_gradient0 + at);
    }
    if (flags & PRIOR_LEARNED) {
        store_block(mean_sum, mean_gradient + mean_gradient0 + i * B);
        log_std_sum = (realb)(weight) * (log_std_sum - (realb)((real)samples));
        for (int k = 0; k < B; k++)
            log_std_gradient[log_std_gradient0 + i * B + k] =
                (int)(i / pixels) * B + k < channels ? ((const real *)&log_std_sum)[k] : (real)0;
    }
}

typedef struct density_metrics {
    float bits;
    uint samples;
} density_metrics;

/* Adds the samples' bits per dimension: factor x values are log-densities but for a constant and
 * for `volume`, which all samples share. Global size: 1. */
__kernel void add_density(__global const real *values, ulong values0, __global const real *volume,
                          ulong volume0, __global density_metrics *sums, ulong sums0, int samples,
                          real factor, real constant_bits, real bits_per_nat)
{
    real sum = 0;
    for (int n = 0; n < samples; n++)
        sum += constant_bits - (factor * values[values0 + n] + volume[volume0]) * bits_per_nat;
    sums[sums0].bits += (float)sum;
    sums[sums0].samples += (uint)samples;
}
