/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inverse of a block by x <- y - g(x) (Behrmann et al. 2019, algorithm 1), sample by sample: a
 * sample that is done keeps its x while the others go on.
 */

/*
 * A look at the last of `steps` steps, from old to new = y - g(old): copies new to x, and writes
 * progress[n] = (||new - old||, steps or, once done, that number made negative less one, ||new|| +
 * ||y||). A sample is done when the residual is at most limit, or no more than rounding of y - g,
 * which no step improves, or, if `stalls`, no smaller than at the last look: a contraction that
 * does not come closer is down to rounding. Never if limit < 0. Global size: WG times samples.
 */
KERNEL void fixed_point_look(__global const real *y, ulong y0, __global const real *old, ulong old0,
                             __global const real *new, ulong new0, __global real *x, ulong x0,
                             __global real *progress, ulong progress0, ulong count, int steps,
                             real limit, int stalls)
{
    GROUP_SCRATCH(scratch);
    const size_t n = get_group_id(0);
    __global real *state = progress + progress0 + n * 3;
    const real before = state[0];
    const bool first = state[1] == 0;
    if (state[1] < 0)
        return;
    realb residual = 0, x_size = 0, y_size = 0;
    for (size_t i = get_local_id(0); i < count; i += WG) {
        const size_t at = (n * count + i) * B;
        const realb value = load_block(new + new0 + at), target = load_block(y + y0 + at);
        const realb r = value - load_block(old + old0 + at);
        store_block(value, x + x0 + at);
        residual = fma(r, r, residual);
        x_size = fma(value, value, x_size);
        y_size = fma(target, target, y_size);
    }
    const real norm = sqrt(group_sum(block_sum(residual), scratch));
    const real size =
        sqrt(group_sum(block_sum(x_size), scratch)) + sqrt(group_sum(block_sum(y_size), scratch));
    if (get_local_id(0) == 0) {
        const bool stalled = stalls && !first && norm >= before;
        const bool done = limit >= 0 && (norm <= limit || norm <= size * 0x1p-23f || stalled);
        state[0] = norm;
        state[1] = done ? -(real)steps - 1 : (real)steps;
        state[2] = size;
    }
}

/*
 * The residual r = y - f of a finished inverse, rounded to float, and ||y - f||, sample by sample.
 * Global size: WG times samples.
 */
KERNEL void exact_residual(__global const real *y, ulong y0, __global const real *f, ulong f0,
                           __global float *r, ulong r0, __global real *norms, ulong norms0,
                           ulong count)
{
    GROUP_SCRATCH(scratch);
    const size_t n = get_group_id(0);
    realb sum = 0;
    for (size_t i = get_local_id(0); i < count; i += WG) {
        const size_t at = (n * count + i) * B;
        const realb d = load_block(y + y0 + at) - load_block(f + f0 + at);
        for (int k = 0; k < B; k++)
            r[r0 + at + k] = (float)((const real *)&d)[k];
        sum = fma(d, d, sum);
    }
    const real total = group_sum(block_sum(sum), scratch);
    if (get_local_id(0) == 0)
        norms[norms0 + n] = sqrt(total);
}

/* y += x. Global size: elements. */
__kernel void add_float(__global const float *x, ulong x0, __global real *y, ulong y0)
{
    const size_t i = get_global_id(0);
    y[y0 + i] += x[x0 + i];
}
