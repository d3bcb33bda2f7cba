/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work on single blocks of channels: actnorm, the activation with its derivatives, sums. Global
 * size: any multiple of WG. `count` is the number of blocks of the whole tensor, N*Cb*H*W, `pixels`
 * H*W, `blocks` Cb. Outputs may be the same tensor as inputs.
 */

INLINE uint channel_of(size_t i, int blocks, int pixels)
{
    return (uint)i / (uint)pixels % (uint)blocks * B;
}

/* scale = exp(sign log_scale) of the block's channels, unless they are still the ones known: a CPU
 * goes through a map at a time. */
INLINE void find_scale(uint *known, realb *scale, uint channel, real sign,
                       __global const real *log_scale)
{
    if (*known != channel)
        *scale = exp(sign * load_block(log_scale + channel));
    *known = channel;
}

/* Actnorm (Kingma and Dhariwal 2018): z = x exp(log_scale) + shift per channel. */
KERNEL void actnorm(__global const real *x, ulong x0, __global const real *log_scale,
                    ulong log_scale0, __global const real *shift, ulong shift0, __global real *z,
                    ulong z0, ulong count, int blocks, int pixels)
{
    uint known = ~0u;
    realb scale = (realb)(0);
    EACH_BLOCK (i, count) {
        const uint c = channel_of(i, blocks, pixels);
        find_scale(&known, &scale, c, 1, log_scale + log_scale0);
        store_block(fma(load_block(x + x0 + i * B), scale, load_block(shift + shift0 + c)),
                    z + z0 + i * B);
    }
}

KERNEL void actnorm_inverse(__global const real *z, ulong z0, __global const real *log_scale,
                            ulong log_scale0, __global const real *shift, ulong shift0,
                            __global real *x, ulong x0, ulong count, int blocks, int pixels)
{
    uint known = ~0u;
    realb scale = (realb)(0);
    EACH_BLOCK (i, count) {
        const uint c = channel_of(i, blocks, pixels);
        find_scale(&known, &scale, c, -1, log_scale + log_scale0);
        store_block((load_block(z + z0 + i * B) - load_block(shift + shift0 + c)) * scale,
                    x + x0 + i * B);
    }
}

/* The linear part of actnorm, which is its own transpose: vjp and jvp. */
KERNEL void actnorm_scale(__global const real *x, ulong x0, __global const real *log_scale,
                          ulong log_scale0, __global real *y, ulong y0, ulong count, int blocks,
                          int pixels)
{
    uint known = ~0u;
    realb scale = (realb)(0);
    EACH_BLOCK (i, count) {
        const uint c = channel_of(i, blocks, pixels);
        find_scale(&known, &scale, c, 1, log_scale + log_scale0);
        store_block(load_block(x + x0 + i * B) * scale, y + y0 + i * B);
    }
}

/* y = phi(z). */
KERNEL void activation(__global const real *z, ulong z0, __global const real *beta, ulong beta0,
                       __global real *y, ulong y0, ulong count)
{
    const real s = act_parameter(beta + beta0);
    EACH_BLOCK (i, count) {
        store_block(act(load_block(z + z0 + i * B), s), y + y0 + i * B);
    }
}

/* Both vjp and jvp: phi'(z) t, with phi' from the saved y. */
KERNEL void activation_derivative(__global const real *y, ulong y0, __global const real *beta,
                                  ulong beta0, __global const real *t, ulong t0, __global real *out,
                                  ulong out0, ulong count)
{
    const real s = act_parameter(beta + beta0);
    EACH_BLOCK (i, count) {
        store_block(act_d(load_block(y + y0 + i * B), s) * load_block(t + t0 + i * B),
                    out + out0 + i * B);
    }
}

/* The second-order part of the jvp's vjp: out += phi''(z) zdot ydot_bar, which flows to the primal
 * z. */
KERNEL void activation_second(__global const real *y, ulong y0, __global const real *beta,
                              ulong beta0, __global const real *zdot, ulong zdot0,
                              __global const real *ydot_bar, ulong ydot_bar0, __global real *out,
                              ulong out0, ulong count)
{
    const real s = act_parameter(beta + beta0);
    EACH_BLOCK (i, count) {
        const realb second = act_dd(load_block(y + y0 + i * B), s) *
                             load_block(zdot + zdot0 + i * B) *
                             load_block(ydot_bar + ydot_bar0 + i * B);
        store_block(load_block(out + out0 + i * B) + second, out + out0 + i * B);
    }
}

/* y += a x. */
KERNEL void add_scaled(real a, __global const real *x, ulong x0, __global real *y, ulong y0,
                       ulong count)
{
    EACH_BLOCK (i, count) {
        store_block(fma((realb)(a), load_block(x + x0 + i * B), load_block(y + y0 + i * B)),
                    y + y0 + i * B);
    }
}
