/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inverse of a block by x <- y - g(x) (Behrmann et al. 2019, algorithm 1), sample by sample: a
 * sample that is done keeps its x while the others go on.
 */

/* progress[n] of a sample. */
#define PROGRESS_WORDS 4
#define RESIDUAL 0 /* ||new - old|| at the last look */
#define STEPS 1    /* steps until then; once done, that number made negative less one */
#define BEST 2     /* the smallest residual so far */
#define STALLED 3  /* looks since then */

/*
 * A look at the last of `steps` steps, from old to new = y - g(old): copies new to x, and writes
 * progress. A sample is done when the residual is at most limit, or no more than rounding of y - g,
 * which no step improves, or has not become smaller for `patience` looks (0: never so), in which a
 * contraction that is not down to rounding would have come closer. Never if limit < 0. Global size:
 * WG times samples.
 */
KERNEL void fixed_point_look(__global const real *y, ulong y0, __global const real *old, ulong old0,
                             __global const real *new, ulong new0, __global real *x, ulong x0,
                             __global real *progress, ulong progress0, ulong count, int steps,
                             real limit, int patience)
{
    GROUP_SCRATCH(scratch);
    const size_t n = get_group_id(0);
    __global real *state = progress + progress0 + n * PROGRESS_WORDS;
    const bool finished = state[STEPS] < 0;
    GROUP_BARRIER(); /* all have read it before one writes it */
    if (finished)
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
        const bool better = state[STEPS] == 0 || norm < state[BEST];
        const real stalled = better ? 0 : state[STALLED] + 1;
        const bool rounding = norm <= size * 0x1p-23f && !isinf(size);
        const bool done =
            limit >= 0 && (norm <= limit || rounding || (patience > 0 && stalled >= patience));
        state[RESIDUAL] = norm;
        state[STEPS] = done ? -(real)steps - 1 : (real)steps;
        state[BEST] = better ? norm : state[BEST];
        state[STALLED] = stalled;
    }
}

/*
 * The residual r = y - f of a finished inverse, rounded to float, and ||y - f|| and ||z|| for each
 * sample. Global size: WG times samples.
 */
KERNEL void exact_residual(__global const real *y, ulong y0, __global const real *f, ulong f0,
                           __global const real *z, ulong z0, __global float *r, ulong r0,
                           __global real *norms, ulong norms0, ulong count)
{
    GROUP_SCRATCH(scratch);
    const size_t n = get_group_id(0);
    realb sum = 0, size = 0;
    for (size_t i = get_local_id(0); i < count; i += WG) {
        const size_t at = (n * count + i) * B;
        const realb d = load_block(y + y0 + at) - load_block(f + f0 + at);
        const realb value = load_block(z + z0 + at);
        for (int k = 0; k < B; k++)
            r[r0 + at + k] = (float)((const real *)&d)[k];
        sum = fma(d, d, sum);
        size = fma(value, value, size);
    }
    const real distance = sqrt(group_sum(block_sum(sum), scratch));
    const real length = sqrt(group_sum(block_sum(size), scratch));
    if (get_local_id(0) == 0) {
        norms[norms0 + 2 * n] = distance;
        norms[norms0 + 2 * n + 1] = length;
    }
}

/* y += x for the samples that are open. Samples have `count` elements. Global size: elements. */
__kernel void add_correction(__global const float *x, ulong x0, __global real *y, ulong y0,
                             __global const float *open, ulong open0, ulong count)
{
    const size_t i = get_global_id(0);
    if (open[open0 + i / count] > 0)
        y[y0 + i] += x[x0 + i];
}
