/* Measurements of the device at hand: what it can do at most, and what the kernels reach. Timings
 * are the best of several runs. */
#ifndef IRESNET_BENCH_H
#define IRESNET_BENCH_H

#include <iresnet/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Multiply-adds the device can do at most, in GFLOP/s (two a multiply-add), by a kernel of nothing
 * else. */
IRN_API irn_status irn_bench_peak(irn_context *context, double *gflops);

typedef struct irn_conv_rates {
    double forward, data_gradient, weight_gradient; /* GFLOP/s, counted as sums of products */
    bool
        winograd; /* computed by Winograd's method, which needs fewer operations than are counted */
    bool tiled;   /* or by tiles in local memory */
    bool blas;    /* or 1x1 kernels, either way or their gradient, by CLBlast */
} irn_conv_rates;

/* A k x k convolution, zero padding, of a random batch: in the form that models use on this device,
 * or, if direct is set, as sums of products whatever models use. */
IRN_API irn_status irn_bench_conv(irn_context *context, size_t batch, size_t inputs, size_t outputs,
                                  size_t height, size_t width, size_t kernel, bool direct,
                                  size_t repeats, irn_conv_rates *rates);

/* What a kernel beside the convolutions takes. */
typedef struct irn_kernel_time {
    char name[32];
    double seconds;
    double operations; /* sums, products and the like, one each */
    double bytes;      /* that come from memory and go there, each value once */
} irn_kernel_time;

/* The other kernels that much of the time goes to, on maps of 128 images of 32 x 32 pixels with 32
 * channels, and the optimiser's on the parameters of cifar10's classifier; a convolution in float64
 * where the device has that. *out, of the caller to free(), has *count entries. Errors:
 * IRN_ERROR_CANCELLED, and of the device. */
IRN_API irn_status irn_bench_kernels(irn_context *context, size_t repeats, irn_progress progress,
                                     void *payload, irn_kernel_time **out, size_t *count);

#ifdef __cplusplus
}
#endif

#endif
