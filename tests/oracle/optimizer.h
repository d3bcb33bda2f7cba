/* The optimisers, one number after another in double precision. */
#ifndef ORACLE_OPTIMIZER_H
#define ORACLE_OPTIMIZER_H

#include <iresnet/train.h>

typedef struct oracle_optimizer {
    irn_optimizer kind;
    double rate, momentum, beta1, beta2, epsilon, decay;
    double *first, *second; /* moments; begin as zeros */
    double step;            /* done so far */
} oracle_optimizer;

void oracle_update(oracle_optimizer *o, double *weights, const double *gradient, size_t count);

#endif
