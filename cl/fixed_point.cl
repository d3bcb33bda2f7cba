/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inverse of a block by x <- y - g(x) (Behrmann et al. 2019, algorithm 1), sample by sample: a
 * sample that is done keeps its x while the others go on.
 */

/* One step with g = g(x) given: r = y - x - g, x += r, and progress[n] = (||r||, steps done or,
 * once done, that number made negative less one, ||x||). A sample is done when ||r|| <= limit, when
 * ||r|| is no more than rounding of x, or never if limit < 0. Global size: WG times samples. */
KERNEL void fixed_point_step(__global const real *y, ulong y0, __global const real *g, ulong g0,
                             __global real *x, ulong x0, __global real *progress, ulong progress0,
                             ulong count, real limit, real rounding)
{
    GROUP_SCRATCH(scratch);
    const size_t n = get_group_id(0);
    __global real *state = progress + progress0 + n * 3;
    const real steps = state[1];
    if (steps < 0)
        return;
    realb residual = 0, size = 0;
    for (size_t i = get_local_id(0); i < count; i += WG) {
        const size_t at = (n * count + i) * B;
        const realb old = load_block(x + x0 + at);
        const realb r = load_block(y + y0 + at) - old - load_block(g + g0 + at);
        store_block(old + r, x + x0 + at);
        residual = fma(r, r, residual);
        size = fma(old, old, size);
    }
    const real norm = sqrt(group_sum(block_sum(residual), scratch));
    const real length = sqrt(group_sum(block_sum(size), scratch));
    if (get_local_id(0) == 0) {
        const bool done = limit >= 0 && (norm <= limit || norm <= rounding * length);
        state[0] = norm;
        state[1] = done ? -(steps + 1) - 1 : steps + 1;
        state[2] = length;
    }
}

/* ||y - f||, sample by sample: the residual of a finished inverse. Global size: WG times samples.
 */
KERNEL void sample_distance(__global const real *y, ulong y0, __global const real *f, ulong f0,
                            __global real *out, ulong out0, ulong count)
{
    GROUP_SCRATCH(scratch);
    const size_t n = get_group_id(0);
    realb sum = 0;
    for (size_t i = get_local_id(0); i < count; i += WG) {
        const realb r =
            load_block(y + y0 + (n * count + i) * B) - load_block(f + f0 + (n * count + i) * B);
        sum = fma(r, r, sum);
    }
    const real total = group_sum(block_sum(sum), scratch);
    if (get_local_id(0) == 0)
        out[out0 + n] = sqrt(total);
}
