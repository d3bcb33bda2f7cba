/* The Jacobian of a whole network at given samples, and its inverse, times vectors. A block's part
 * is (I + J) S with J the Jacobian of g and S actnorm's scales; squeezes and splits are
 * permutations. */
#ifndef IRN_JACOBIAN_H
#define IRN_JACOBIAN_H

#include "flow/workspace.h"

typedef struct irn_jacobian {
    irn_model *model;
    size_t images; /* there is room for */
    irn_workspace workspace;
    irn_tensor (*inputs)[IRN_MAX_LAYERS]; /* of every block's layers at the samples */
    irn_tensor now;      /* a vector at the network's input, or what stays of one to its end; the
                            other parts there are in workspace.early */
    irn_tensor solve[2]; /* iterates */
    cl_mem zeros;        /* a shift that is none */
    cl_mem dots;         /* [3][images] */
    float *dots_host;
    size_t (*steps)[2]; /* that the latest solves with each block's I + J and its transpose took */
} irn_jacobian;

/* How many images fit: fewer than irn_model_chunk(), as all blocks' inputs are kept. */
size_t irn_jacobian_chunk(const irn_model *model, size_t images);
irn_status irn_jacobian_create(irn_jacobian *out, irn_model *model, size_t images);
/* A zeroed one is allowed. */
void irn_jacobian_free(irn_jacobian *jacobian);

/* Goes to so many samples x, at most `images`. */
irn_status irn_jacobian_at(irn_jacobian *jacobian, cl_mem x, size_t offset, size_t images);

/* The shape of vectors at the network's input, in a tensor's memory. */
irn_tensor irn_jacobian_input(const irn_jacobian *jacobian, const irn_tensor *memory,
                              size_t images);
/* A vector at the input becomes the one to go on with. */
irn_status irn_jacobian_load(irn_jacobian *jacobian, const irn_tensor *vector);

/* From the input to the end: times the Jacobian, or the inverse of its transpose. */
irn_status irn_jacobian_ascend(irn_jacobian *jacobian, bool inverse);
/* From the end to the input: times the Jacobian's transpose, or its inverse. The inverse is as
 * exact as Neumann series in float32 become; one that diverges gives numbers that are not finite.
 */
irn_status irn_jacobian_descend(irn_jacobian *jacobian, bool inverse);

/* The squared norm of each image's vector at the end. */
irn_status irn_jacobian_squares(const irn_jacobian *jacobian, irn_place out);

#endif
