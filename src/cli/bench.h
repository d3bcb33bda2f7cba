/* iresnet bench in parts. */
#ifndef IRN_CLI_BENCH_H
#define IRN_CLI_BENCH_H

#include "output.h"
#include "train.h"

typedef struct bench_options {
    int arithmetic;
    const char *preset;
    size_t batch, repeats;
    const cli_group *model, *schedule; /* changes of the preset */
} bench_options;

/* In the order of the words on the command line. */
enum { BENCH_CONV, BENCH_STEP, BENCH_INVERSE, BENCH_CERTIFY };

/* Times a whole network: step, inverse or certify. Returns an exit status. */
int bench_network(cli_session *session, const bench_options *options, int what, const char *name);

#endif
