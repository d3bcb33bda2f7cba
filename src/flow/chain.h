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

#endif
