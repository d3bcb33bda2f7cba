/* What is done to the weights of all layers of a model in one launch. */
#ifndef IRN_LAYERS_H
#define IRN_LAYERS_H

#include "ops/conv.h"

#define IRN_LAYER_NONE CL_ULONG_MAX

/* What the kernels know of each layer (layers.clh); offsets in elements of buffers that the
 * functions name. */
typedef struct irn_layer_row {
    cl_ulong weights, weight_blocks, transposed;
    cl_ulong scale, sigma, u, v; /* u, v: unit vectors [1, outputs, H, W], [1, inputs, H, W] */
    cl_ulong outputs, inputs, kernel_height, kernel_width, height, width;
    cl_ulong winograd; /* IRN_LAYER_NONE: not transformed */
} irn_layer_row;

typedef struct irn_layers {
    irn_context *context;
    cl_mem table;          /* an irn_layer_row each */
    size_t count, largest; /* the most weight_blocks that a layer has */
} irn_layers;

/* The table of these rows; irn_layers_free() allows a zeroed one. */
irn_status irn_layers_create(irn_layers *out, irn_context *context, const irn_layer_row *rows,
                             size_t count);
void irn_layers_free(irn_layers *layers);

/* Work-items in dimension 0 where they divide so many pieces of each layer. */
size_t irn_layers_items(const irn_layers *layers, size_t pieces);

/* The kernels of all W^T (irn_conv_transpose). */
irn_status irn_layers_transpose(const irn_layers *layers, cl_mem weights, cl_mem transposed);

/* irn_winograd_transform() of all layers that want it, or with `back` of their W^T, from the
 * transposed weights. */
irn_status irn_layers_transform(const irn_layers *layers, cl_mem weights, cl_mem transformed,
                                bool back);

#endif
