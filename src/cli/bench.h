/* iresnet bench in parts. */
#ifndef IRN_CLI_BENCH_H
#define IRN_CLI_BENCH_H

#include "output.h"
#include "train.h"

typedef struct bench_options {
    int arithmetic, padding;
    const char *preset;
    size_t batch, repeats;
    size_t kernel[4], kernel_sizes; /* outputs, inputs, height, width; sizes given: 0 or 4 */
    size_t size[2];
    const cli_group *model, *schedule; /* changes of the preset */
} bench_options;

/* One run of what is timed. */
typedef irn_status (*bench_call)(void *self);

/* Seconds of `repeats` runs after a warm-up. */
typedef struct bench_seconds {
    double best, median;
} bench_seconds;
int bench_measure(cli_session *session, size_t repeats, bench_call call, void *self,
                  bench_seconds *out);

/* Uniform in -0.5..0.5; or on the levels of discrete data. */
void bench_fill(float *values, size_t count, size_t levels, uint64_t seed);

/* Times irn_certify_kernel() on the options' kernel. Returns an exit status. */
int bench_kernel(cli_session *session, const bench_options *options);

/* Times the kernels beside the convolutions. Returns an exit status. */
int bench_streams(cli_session *session, const bench_options *options);

/* The words on the command line. */
enum { BENCH_CONV, BENCH_KERNELS, BENCH_STEP, BENCH_INVERSE, BENCH_CERTIFY };

/* Times a whole network: step, inverse or certify. Returns an exit status. */
int bench_network(cli_session *session, const bench_options *options, int what, const char *name);

#endif
