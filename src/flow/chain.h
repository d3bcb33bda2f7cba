/* A block's layers in one launch, see chain.cl: on devices whose work-items are threads, for blocks
 * of 3x3 and 1x1 layers, in single precision, where nothing but the end is wanted. */
#ifndef IRN_CHAIN_H
#define IRN_CHAIN_H

#include "flow/model.h"

/* Finds the blocks that can be chained, and makes what their launches need; nothing the second
 * time. Where it was not called, or memory holds too few images at a time, no block is chained. */
irn_status irn_chain_prepare(irn_model *model);
void irn_chain_free(irn_model *model);

/* Whether so many images are enough to keep the device busy with a thread an image. */
bool irn_chain_suits(const irn_model *model, const irn_block *block, size_t images);

/* `steps` times out = epilogue(last layer(...)) from the input of the first layer; of the epilogue,
 * minuend, residual and activate count. For more steps than one, input is out, and the block has
 * more than one layer. */
irn_status irn_chain_apply(const irn_model *model, const irn_block *block, const irn_tensor *input,
                           const irn_epilogue *last, size_t steps, const irn_tensor *out);

/* The streams of logdet.h, shaped as their first slot, for the images at hand. */
typedef struct irn_chain_streams {
    irn_tensor w, t, next, a;
    irn_tensor tangents[IRN_MAX_LAYERS], cotangents[IRN_MAX_LAYERS], second[IRN_MAX_LAYERS];
    const irn_tensor *inputs, *seed, *probe;
    irn_place values;    /* of each image, to which the estimate is added */
    cl_mem coefficients; /* terms of them, and with neumann as many weights */
    size_t slot, terms;  /* the first slot of these pairs, and their series */
    bool neumann, add;   /* add: second grows */
} irn_chain_streams;

/* All pairs of a series in one launch, and the estimate. Afterwards all slots are as logdet.c's own
 * steps leave them, but with neumann next holds the sum of the powers with coefficients and w's
 * second slot J probe. */
irn_status irn_chain_series(const irn_model *model, const irn_block *block,
                            const irn_chain_streams *streams);
bool irn_chain_series_suits(const irn_model *model, const irn_block *block, size_t images);

#endif
