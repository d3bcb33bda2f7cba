/* What is known for certain of a layer's norm, found without the library. */
#ifndef TRUTH_H
#define TRUTH_H

#include <iresnet/certify.h>

#include <arb_mat.h>

typedef enum truth_means {
    TRUTH_ARB,    /* LAPACK's value and an allowance; what falls within is decided by Arb */
    TRUTH_LAPACK, /* LAPACK's value and an allowance, of the layer's matrix */
    TRUTH_LIMITS, /* a quotient ||W x|| / ||x||, and the norm of a torus that contains the layer */
    TRUTH_MEANS
} truth_means;

enum { TRUTH_GRAMS = 16 };

typedef struct truth {
    truth_means means;
    double least, most; /* the norm is between them */
    arb_mat_t grams[TRUTH_GRAMS];
    int count; /* of the Gram matrices that may have the norm */
    bool all;  /* no other has it */
} truth;

/* Layers with a stride, dilation or groups are to be small. */
void truth_find(truth *out, const double *kernel, const irn_kernel_shape *shape);
void truth_free(truth *t);

/* -1: not above the norm, 1: above, 0: too near to say. */
int truth_of_lower(const truth *t, double lower);
/* -1: below the norm, 1: not below, 0: too near to say. */
int truth_of_upper(const truth *t, double upper);

#endif
