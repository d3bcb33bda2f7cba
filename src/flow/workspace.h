/* Device memory for passing batches through a model, and the pass itself. */
#ifndef IRN_WORKSPACE_H
#define IRN_WORKSPACE_H

#include "flow/chunk.h"
#include "flow/head.h"
#include "flow/latents.h"

/* Room for `images` images at every point of the network. Tensors have the largest shape's memory;
 * what is in them at a point is a view. */
typedef struct irn_workspace {
    const irn_model *model;
    irn_precision precision;
    size_t images;
    irn_tensor flow[2];   /* a block's input and, across a squeeze, output */
    irn_tensor hidden[2]; /* inputs of a block's layers, in turn */
    irn_latents early;    /* what leaves before the end */
    irn_head_memory head; /* single precision only */
} irn_workspace;

irn_status irn_workspace_create(irn_workspace *out, const irn_model *model, irn_precision precision,
                                size_t images);
void irn_workspace_free(irn_workspace *workspace);

/* Elements an image needs at most where the input and the blocks' inputs and outputs stand, before
 * or after a squeeze, and as the input of this layer of any block. */
size_t irn_largest_flow(const irn_model *model);
size_t irn_largest_input(const irn_model *model, size_t layer);
/* Of any layer. */
size_t irn_largest_hidden(const irn_model *model);
/* Memory for any shapes of up to `size` elements an image, which are then views. */
irn_status irn_flat_create(irn_tensor *out, irn_context *context, irn_precision precision,
                           size_t images, size_t size);

/* inputs[i] for irn_block_residual(), alternating between the workspace's hidden tensors. */
void irn_workspace_inputs(const irn_workspace *workspace, const irn_block *block, size_t images,
                          irn_tensor inputs[IRN_MAX_LAYERS]);

/* [images, channels, height, width] floats become the first block's input, but for its logit
 * transform (squeezed and padded as configured), and back without the padding. scratch has room for
 * the unsqueezed images. */
irn_status irn_flow_pack(const irn_model *model, cl_mem x, size_t offset, const irn_tensor *scratch,
                         const irn_tensor *out);
irn_status irn_flow_unpack(const irn_model *model, const irn_tensor *first,
                           const irn_tensor *scratch, cl_mem x, size_t offset);
/* With the transform. */
irn_status irn_flow_input(const irn_model *model, cl_mem x, size_t offset,
                          const irn_tensor *scratch, const irn_tensor *out);

/* x through all blocks; the parts of z are views into the workspace. Initialises actnorm if that is
 * still to be done. */
irn_status irn_flow_forward(irn_model *model, irn_workspace *workspace, cl_mem x, size_t offset,
                            size_t images, irn_latents *z);

/* The same, stopping at every block with the inputs of its layers. */
typedef struct irn_visitor {
    const irn_tensor *memory; /* [config.layers], for what irn_layer_input() makes of it */
    irn_status (*visit)(void *payload, size_t block, const irn_tensor *inputs, size_t images);
    void *payload;
} irn_visitor;
irn_status irn_flow_visit(irn_model *model, irn_workspace *workspace, cl_mem x, size_t offset,
                          size_t images, const irn_visitor *visitor, irn_latents *z);

/* Data-dependent values of a block's actnorm from its input x: zero mean and unit variance per
 * channel afterwards. Channels without variance keep their scale, but in a model with a prior they
 * are IRN_ERROR_NUMERIC. Waits for the device. */
irn_status irn_block_initialise(irn_model *model, const irn_block *block, const irn_tensor *x);
/* After all blocks have had that, or one has failed: `status`, unless remembering the values fails.
 * Where it is not IRN_OK no block keeps any. Without effect once actnorm has its values. */
irn_status irn_initialisation_end(irn_model *model, irn_status status);

#endif
