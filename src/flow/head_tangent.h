/* The classifier's head along a tangent: Jacobian-vector products, and the vector-Jacobian products
 * of these, which second derivatives are made of. x_dot is a tangent of x, x_bar a cotangent, and
 * x_dot_bar the cotangent of the tangent. Formulas with their derivation: cl/head_tangent.cl. */
#ifndef IRN_HEAD_TANGENT_H
#define IRN_HEAD_TANGENT_H

#include "flow/head.h"

/* Values beside those of the head, at a point where irn_head_forward() was. */
typedef struct irn_head_tangent {
    const irn_model *model;
    const irn_head_memory *primal; /* what irn_head_forward() and irn_head_loss() left */
    bool training;                 /* through the batch's statistics; false: running ones */
    irn_tensor vectors;            /* means, and zeros, of C */
    irn_tensor pooled_dot, pooled_bar, pooled_dot_bar; /* [images, C, 1, 1] */
    irn_tensor scores_dot, scores_bar, scores_dot_bar; /* [images, classes, 1, 1] */
    cl_mem products;                                   /* [images] */
    cl_mem staged, partials;                           /* for the dense layer's gradient */
} irn_head_tangent;

/* Cotangents of the head's four results. The mean loss and its tangent have numbers. */
typedef struct irn_head_cotangents {
    double loss, loss_dot;
    const irn_tensor *scores, *scores_dot; /* added to what the losses give; NULL: zeros */
} irn_head_cotangents;

/* For up to `images`; primal has to outlive it. */
irn_status irn_head_tangent_create(irn_head_tangent *out, const irn_model *model,
                                   const irn_head_memory *primal, size_t images);
void irn_head_tangent_free(irn_head_tangent *tangent);

/* ---- the whole head ---- */

/* After irn_head_forward(training) at z: the tangent of the scores in tangent->scores_dot, and,
 * unless loss_dot is absent, that of the mean loss, one float, which irn_head_loss() has to
 * precede. y_dot is scratch of z's shape; it may be z_dot where that is not needed afterwards. */
irn_status irn_head_jvp(irn_head_tangent *tangent, const irn_tensor *z, const irn_tensor *z_dot,
                        bool training, const irn_tensor *y_dot, irn_place loss_dot);

/* After irn_head_jvp() with the same z and z_dot, and irn_model_prepare(): the cotangents at z_dot
 * and z, and the parameters' gradients, added to a buffer like the parameters. The vjp of the head
 * itself is included: it is what `loss` and `scores` weigh. */
irn_status irn_head_second(irn_head_tangent *tangent, const irn_tensor *z, const irn_tensor *z_dot,
                           const irn_head_cotangents *cotangents, cl_mem gradient,
                           const irn_tensor *z_dot_bar, const irn_tensor *z_bar);

/* ---- its operations: tangent->training and tangent->primal are the point ---- */

/* Batch norm. y_dot may be x_dot. */
irn_status irn_head_norm_jvp(irn_head_tangent *tangent, const irn_tensor *x,
                             const irn_tensor *x_dot, const irn_tensor *y_dot);
/* In place: y_dot_bar becomes x_dot_bar and y_bar becomes x_bar. Gradients of gamma and beta are
 * added. */
irn_status irn_head_norm_second(irn_head_tangent *tangent, const irn_tensor *x,
                                const irn_tensor *x_dot, const irn_tensor *y_dot_bar,
                                const irn_tensor *y_bar, cl_mem gradient);

/* ReLU and the average over the map; x is batch norm's input. Piecewise linear, so that the vjp
 * serves y_bar and y_dot_bar alike and nothing of second order is left. */
irn_status irn_head_pool_jvp(const irn_head_tangent *tangent, const irn_tensor *x,
                             const irn_tensor *y_dot, const irn_tensor *pooled_dot);
irn_status irn_head_pool_vjp(const irn_head_tangent *tangent, const irn_tensor *x,
                             const irn_tensor *pooled_bar, const irn_tensor *y_bar);

/* The dense layer. Gradients of weights and bias are added. */
irn_status irn_head_dense_jvp(const irn_head_tangent *tangent, const irn_tensor *pooled_dot,
                              const irn_tensor *scores_dot);
irn_status irn_head_dense_second(const irn_head_tangent *tangent, const irn_tensor *pooled_dot,
                                 const irn_tensor *scores_dot_bar, const irn_tensor *scores_bar,
                                 cl_mem gradient, const irn_tensor *pooled_dot_bar,
                                 const irn_tensor *pooled_bar);

/* Softmax cross-entropy, mean over the batch. */
irn_status irn_head_loss_jvp(const irn_head_tangent *tangent, const irn_tensor *scores_dot,
                             irn_place loss_dot);
irn_status irn_head_loss_second(const irn_head_tangent *tangent, const irn_tensor *scores_dot,
                                const irn_head_cotangents *cotangents,
                                const irn_tensor *scores_dot_bar, const irn_tensor *scores_bar);

#endif
