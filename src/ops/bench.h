/* Timings of single convolutions, for bench.h and tune.h of the public interface. */
#ifndef IRN_OPS_BENCH_H
#define IRN_OPS_BENCH_H

#include "tensor/tensor.h"

/* A convolution with zero padding, and what of it is timed. */
typedef struct irn_conv_case {
    size_t batch, inputs, outputs, height, width, kernel;
    irn_precision precision; /* gradients are IRN_SINGLE */
    bool direct;             /* not by Winograd's method, nor by CLBlast */
    bool forward, data_gradient, weight_gradient;
} irn_conv_case;

/* The least of `repeats` times, in seconds, of each that is asked for, and their sum; counted are
 * the operations of sums of products. */
irn_status irn_bench_case(irn_context *context, const irn_conv_case *what, size_t repeats,
                          double *seconds, double *operations);

/* The least of `repeats` times that work(payload) takes to its end on the device, after one that
 * does not count. */
irn_status irn_bench_seconds(irn_context *context, irn_status (*work)(const void *),
                             const void *payload, size_t repeats, double *seconds);

#endif
