/* log det(I + J) of a residual block by Hutchinson's estimator of its power series (iR algorithm
 * 2), and its gradient; J is the Jacobian of g. actnorm's part of a block's log-determinant is not
 * included.
 *
 * All gradients are made of pairs (a, t): the gradient of sum over pairs of a^T J(z; theta) t, a
 * and t constant. For the series they are t_j = J^j probe and a_j = sum_{i < n-j} c_{i+j+1} (J^T)^i
 * seed, which gives the estimator's exact gradient; the Neumann series (Chen et al. 2019,
 * "Residual Flows", eq. 8) makes one pair of all. Neither needs a convolution that the estimator
 * itself does not: cotangents of the a_j at every layer are the same combinations of those met
 * while (J^T)^i seed was computed. */
#ifndef IRN_LOGDET_H
#define IRN_LOGDET_H

#include "flow/roulette.h"
#include "flow/workspace.h"

enum { IRN_MAX_TERMS = 64 };

/* The estimator sum_{k=1..terms} coefficients[k-1] <(J^T)^k seed, probe>. */
typedef struct irn_series {
    size_t terms;
    double coefficients[IRN_MAX_TERMS];
    bool neumann;                  /* the gradient by one pair, a = sum_k weights[k] (J^T)^k seed */
    double weights[IRN_MAX_TERMS]; /* terms of them */
} irn_series;

/* (-1)^{k+1}/k and (-1)^k. */
irn_status irn_series_init(irn_series *out, size_t terms, bool neumann);
/* The Neumann series of a number of terms that roulette has drawn, times its weights. */
irn_status irn_series_roulette(irn_series *out, size_t terms, const irn_roulette *roulette);

/* What one block's pairs leave; memory for any block. */
typedef struct irn_logdet {
    const irn_model *model;
    size_t images, pairs;                  /* room for so many, of all probes */
    irn_tensor w, t, next;                 /* streams at g's two ends, and one tensor more */
    irn_tensor a;                          /* [pairs] */
    irn_tensor tangents[IRN_MAX_LAYERS];   /* [pairs] of layer i's input */
    irn_tensor cotangents[IRN_MAX_LAYERS]; /* [pairs] of layer i's input before its activation */
    irn_tensor second_memory[IRN_MAX_LAYERS];
    irn_tensor second[IRN_MAX_LAYERS]; /* what the cotangent of the primal value gains there */
    bool exact;
    cl_mem jacobians; /* scratch of irn_logdet_exact() */
    cl_mem coefficients;
    float written[2 * IRN_MAX_TERMS]; /* there */
    const irn_block *block;           /* what the pairs are of */
    size_t batch, used;               /* images, and pairs so far */
} irn_logdet;

/* How many pairs a series of so many terms needs for each probe. */
size_t irn_series_pairs(size_t terms, bool neumann);
/* Room for so many pairs of each of so many probes; probes 0: for irn_logdet_exact() in that many
 * dimensions. */
irn_status irn_logdet_create(irn_logdet *out, const irn_model *model, size_t images, size_t pairs,
                             size_t probes);
/* A zeroed one is allowed. */
void irn_logdet_free(irn_logdet *logdet);

/* Forgets all pairs and goes to a block. */
void irn_logdet_begin(irn_logdet *logdet, const irn_block *block, size_t images);

/* Adds the pairs of a series. inputs are what irn_block_residual() kept; `weight` multiplies the
 * estimator, and values[n] grows by weight x the estimator of image n. seed may be the probe. Needs
 * irn_model_prepare(), as what follows. */
irn_status irn_logdet_series(irn_logdet *logdet, const irn_tensor *inputs, const irn_tensor *probe,
                             const irn_tensor *seed, const irn_series *series, double weight,
                             irn_place values);

/* The pairs of log|det(I + J)| itself, from the whole Jacobian: t_j = e_j, a_j = (I + J)^-T e_j.
 * They must be the first. For few dimensions: d^3 / 3 multiply-adds a sample and 3d passes. */
irn_status irn_logdet_exact(irn_logdet *logdet, const irn_tensor *inputs, double weight,
                            irn_place values);
size_t irn_block_dimension(const irn_block *block);

/* Adds one pair. out, if not NULL, receives J t. */
irn_status irn_logdet_pair(irn_logdet *logdet, const irn_tensor *inputs, const irn_tensor *a,
                           const irn_tensor *t, const irn_tensor *out);

/* Gradients of all pairs with respect to the normalised kernels, overwritten in a buffer like the
 * parameters'. Those with respect to biases and z, and the rest of those with respect to kernels,
 * come with irn_block_vjp(), which is given logdet->second. */
irn_status irn_logdet_weight_gradients(const irn_logdet *logdet, cl_mem gradient, cl_mem partials);
size_t irn_logdet_partials(const irn_model *model, const irn_layer *layer, size_t images,
                           size_t pairs);

#endif
