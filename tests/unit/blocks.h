/* Blocks of many kinds with random weights that certify, and their Jacobians in double precision.
 */
#ifndef BLOCKS_H
#define BLOCKS_H

#include "devices.h"

#include "flow/model.h"

typedef struct blocks_shape {
    size_t channels, height, width, hidden, layers, kernels[4];
    irn_padding padding;
    irn_activation activation;
    double coefficient;
    bool first_activation;
} blocks_shape;

/* Of at most 64 dimensions. */
enum { BLOCKS_SHAPES = 11 };
extern const blocks_shape blocks_shapes[BLOCKS_SHAPES];

typedef struct blocks_subject {
    irn_model *model; /* that blocks_begin() makes has one block, and is to be freed */
    const irn_block *block;
    size_t size; /* d */
} blocks_subject;

blocks_subject blocks_begin(irn_context *context, const blocks_shape *shape);

/* Kernels become the given factor as large and are normalised again: with a large one, all of them
 * are divided, and power iteration has converged. */
void blocks_enlarge(irn_model *model, float factor);

/* The certified Lipschitz constant of the block, which has to be below 1. */
double blocks_certified(irn_model *model);

/* What the layers get where z is, one image after the other. */
void blocks_inputs(const blocks_subject *s, const double *z, size_t images,
                   irn_tensor inputs[IRN_MAX_LAYERS]);
void blocks_free_inputs(irn_tensor inputs[IRN_MAX_LAYERS], size_t layers);

/* g at one image; and J^T of g there: row r is J e_r. */
double *blocks_value(const blocks_subject *s, const double *z);
double *blocks_jacobian(const blocks_subject *s, const double *z);

#endif
