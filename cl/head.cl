/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The classifier's head: batch norm, ReLU and the average over the map in one pass, and softmax
 * cross-entropy. (The dense layer between them is a 1x1 convolution.) Batch norm (Ioffe and Szegedy
 * 2015) acts as x scale + offset per channel; the four vectors of C values it works with lie one
 * after another in `work`: mean, 1/std, scale, offset.
 */

/* From the batch's mean and variance: work, and the running statistics with the unbiased variance.
 * Global size: Cb. */
__kernel void norm_prepare(__global const real *variance, ulong variance0,
                           __global const real *gamma, ulong gamma0, __global const real *beta,
                           ulong beta0, __global real *running_mean, ulong running_mean0,
                           __global real *running_variance, ulong running_variance0,
                           __global real *work, ulong work0, real momentum, real unbias,
                           real epsilon)
{
    const size_t c = get_global_id(0) * B, channels = get_global_size(0) * B;
    __global real *out = work + work0 + c;
    const realb mean = load_block(out), var = load_block(variance + variance0 + c);
    const realb rstd = (realb)(1) / sqrt(var + (realb)(epsilon));
    const realb scale = load_block(gamma + gamma0 + c) * rstd;
    store_block(rstd, out + channels);
    store_block(scale, out + 2 * channels);
    store_block(load_block(beta + beta0 + c) - mean * scale, out + 3 * channels);
    __global real *m = running_mean + running_mean0 + c,
                  *v = running_variance + running_variance0 + c;
    store_block((realb)(1 - momentum) * load_block(m) + (realb)(momentum)*mean, m);
    store_block((realb)(1 - momentum) * load_block(v) + (realb)(momentum * unbias) * var, v);
}

/* From the running statistics: work. Global size: Cb. */
__kernel void norm_prepare_running(__global const real *gamma, ulong gamma0,
                                   __global const real *beta, ulong beta0,
                                   __global const real *running_mean, ulong running_mean0,
                                   __global const real *running_variance, ulong running_variance0,
                                   __global real *work, ulong work0, real epsilon)
{
    const size_t c = get_global_id(0) * B, channels = get_global_size(0) * B;
    __global real *out = work + work0 + c;
    const realb mean = load_block(running_mean + running_mean0 + c);
    const realb rstd =
        (realb)(1) / sqrt(load_block(running_variance + running_variance0 + c) + (realb)(epsilon));
    const realb scale = load_block(gamma + gamma0 + c) * rstd;
    store_block(mean, out);
    store_block(rstd, out + channels);
    store_block(scale, out + 2 * channels);
    store_block(load_block(beta + beta0 + c) - mean * scale, out + 3 * channels);
}

/* pooled[n][c] = mean over the map of relu(x scale + offset). Global size: Cb, N. */
__kernel void norm_relu_pool(__global const real *x, ulong x0, __global const real *work,
                             ulong work0, __global real *pooled, ulong pooled0, int pixels)
{
    const size_t cb = get_global_id(0), blocks = get_global_size(0), n = get_global_id(1);
    const realb scale = load_block(work + work0 + (2 * blocks + cb) * B);
    const realb offset = load_block(work + work0 + (3 * blocks + cb) * B);
    __global const real *in = x + x0 + (n * blocks + cb) * pixels * B;
    realb sum = 0;
    for (int p = 0; p < pixels; p++) {
        const realb v = fma(load_block(in + (size_t)p * B), scale, offset);
        sum += v <= (realb)(0) ? (realb)(0) : v; /* NaN stays */
    }
    store_block(sum / (realb)(pixels), pooled + pooled0 + (n * blocks + cb) * B);
}

/* The gradient with respect to the batch norm's output, from the pooled gradient. Global size: H*W,
 * Cb, N. */
__kernel void relu_pool_vjp(__global const real *x, ulong x0, __global const real *work,
                            ulong work0, __global const real *pooled_gradient,
                            ulong pooled_gradient0, __global real *gradient, ulong gradient0)
{
    const size_t p = get_global_id(0), pixels = get_global_size(0);
    const size_t cb = get_global_id(1), blocks = get_global_size(1), n = get_global_id(2);
    const size_t at = ((n * blocks + cb) * pixels + p) * B;
    const realb scale = load_block(work + work0 + (2 * blocks + cb) * B);
    const realb offset = load_block(work + work0 + (3 * blocks + cb) * B);
    const realb g = load_block(pooled_gradient + pooled_gradient0 + (n * blocks + cb) * B);
    const realb v = fma(load_block(x + x0 + at), scale, offset);
    store_block(v > (realb)(0) ? g / (realb)(pixels) : (realb)(0), gradient + gradient0 + at);
}

/* gradient (with respect to the output y) becomes that with respect to x, through the batch's
 * statistics: scale (g - mean(g) - x^ mean(g x^)), x^ = (x - mean) / std. sums and products are the
 * means of g and of g (x - mean). Global size: channel blocks, rounded up to WG. */
KERNEL void norm_vjp(__global const real *x, ulong x0, __global const real *work, ulong work0,
                     __global const real *sums, ulong sums0, __global const real *products,
                     ulong products0, __global real *gradient, ulong gradient0, ulong count,
                     int blocks, int pixels)
{
    const size_t i = get_global_id(0);
    if (i >= count)
        return;
    const size_t c = i / pixels % blocks * B, channels = (size_t)blocks * B;
    const realb mean = load_block(work + work0 + c), rstd = load_block(work + work0 + channels + c);
    const realb scale = load_block(work + work0 + 2 * channels + c);
    const realb centred = load_block(x + x0 + i * B) - mean;
    const realb g = load_block(gradient + gradient0 + i * B) - load_block(sums + sums0 + c) -
                    centred * rstd * rstd * load_block(products + products0 + c);
    store_block(g * scale, gradient + gradient0 + i * B);
}

/* Gradients of gamma and beta from the means of norm_vjp(); total = N H W. Global size: Cb. */
__kernel void norm_parameter_gradients(__global const real *work, ulong work0,
                                       __global const real *sums, ulong sums0,
                                       __global const real *products, ulong products0,
                                       __global real *gamma_gradient, ulong gamma_gradient0,
                                       __global real *beta_gradient, ulong beta_gradient0,
                                       real total)
{
    const size_t c = get_global_id(0) * B, channels = get_global_size(0) * B;
    store_block(load_block(sums + sums0 + c) * (realb)(total), beta_gradient + beta_gradient0 + c);
    store_block(load_block(products + products0 + c) * load_block(work + work0 + channels + c) *
                    (realb)(total),
                gamma_gradient + gamma_gradient0 + c);
}

/* Loss of each sample, whether its largest score is the label's, and the gradient of the batch's
 * mean loss. scores and gradient: [N][Cb][B]. Global size: N. */
__kernel void cross_entropy(__global const real *scores, ulong scores0, __global const int *labels,
                            ulong labels0, __global real *gradient, ulong gradient0,
                            __global real *losses, ulong losses0, int classes)
{
    const size_t n = get_global_id(0), samples = get_global_size(0);
    const size_t stride = (size_t)(classes + B - 1) / B * B;
    __global const real *z = scores + scores0 + n * stride;
    __global real *g = gradient + gradient0 + n * stride;
    const int label = labels[labels0 + n];
    int best = 0;
    for (int k = 1; k < classes; k++)
        if (z[k] > z[best])
            best = k;
    real sum = 0;
    for (int k = 0; k < classes; k++)
        sum += exp(z[k] - z[best]);
    losses[losses0 + n] = log(sum) + z[best] - z[label];
    losses[losses0 + samples + n] = best == label ? 1 : 0;
    for (size_t k = 0; k < stride; k++)
        g[k] = (int)k < classes
                   ? (exp(z[k] - z[best]) / sum - (real)((int)k == label ? 1 : 0)) / (real)samples
                   : (real)0;
}

typedef struct metrics {
    float loss;
    uint correct, samples;
} metrics;

/* Adds (sum of losses, correct ones, samples). Global size: 1. */
__kernel void add_metrics(__global const real *losses, ulong losses0, __global metrics *sums,
                          ulong sums0, int samples)
{
    real loss = 0, correct = 0;
    for (int n = 0; n < samples; n++) {
        loss += losses[losses0 + n];
        correct += losses[losses0 + samples + n];
    }
    sums[sums0].loss += (float)loss;
    sums[sums0].correct += (uint)correct;
    sums[sums0].samples += (uint)samples;
}
