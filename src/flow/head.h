/* The classifier's head: batch norm, ReLU, average over the map, dense layer, softmax
 * cross-entropy. */
#ifndef IRN_HEAD_H
#define IRN_HEAD_H

#include "flow/model.h"

/* Values the head works with. Vectors of C values, C the channels of z. */
typedef struct irn_head_memory {
    irn_context *context;
    irn_tensor vectors; /* seven of C: mean, 1/std, scale, offset, variance, two means */
    irn_tensor pooled, pooled_gradient; /* [images, C, 1, 1] */
    irn_tensor scores, scores_gradient; /* [images, classes, 1, 1] */
    cl_mem losses;                      /* [2][images]: loss, correct */
    cl_mem sums;                        /* scratch of channel sums */
} irn_head_memory;

irn_status irn_head_memory_create(irn_head_memory *out, const irn_model *model, size_t images);
void irn_head_memory_free(irn_head_memory *memory);

/* Scores [images, classes, 1, 1] in memory->scores, from running statistics or from the batch's,
 * which then update the running ones. */
irn_status irn_head_forward(irn_model *model, irn_head_memory *memory, const irn_tensor *z,
                            bool training);

/* Adds (sum of losses, correct, samples) to metrics and leaves the scores' gradient of the mean
 * loss. */
irn_status irn_head_loss(irn_model *model, irn_head_memory *memory, size_t images, cl_mem labels,
                         cl_mem metrics);

/* After irn_head_forward(training) and irn_head_loss(): parameters' gradients into the buffer, and
 * the gradient with respect to z. */
irn_status irn_head_backward(irn_model *model, irn_head_memory *memory, const irn_tensor *z,
                             cl_mem gradient, cl_mem partials, const irn_tensor *z_gradient);

#endif
