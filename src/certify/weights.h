/* Layers in bare weights files. */
#ifndef IRN_WEIGHTS_H
#define IRN_WEIGHTS_H

#include "io/safetensors.h"

#include <iresnet/certify.h>

/* A tensor as a layer scale x kernel. */
typedef struct irn_weights_layer {
    irn_kernel_shape shape;
    double *kernel; /* owned */
    size_t count;
    double scale;                /* within 4 units of rounding of the exact one */
    double coefficient, epsilon; /* that the scale was made with; 0, 0: with none */
    bool bare; /* named as a kernel before its normalisation, of which there is nothing to see */
} irn_weights_layer;

/* Whether the description can be one. Errors: IRN_ERROR_ARGUMENT. */
irn_status irn_weights_options_check(const irn_weights_options *how);

/* Whether a tensor is a layer, whatever its name. */
irn_status irn_weights_is_layer(bool *out, const irn_safetensors *file, size_t index);

/* Errors: IRN_ERROR_ARGUMENT, IRN_ERROR_NUMERIC, IRN_ERROR_FORMAT, IRN_ERROR_MEMORY. */
irn_status irn_weights_layer_read(irn_weights_layer *out, const irn_safetensors *file, size_t index,
                                  const irn_weights_options *how);
/* Also accepts a zeroed struct. */
void irn_weights_layer_free(irn_weights_layer *layer);

/* Bounds of the layer exact scale x kernel from those of the kernel. */
irn_bound irn_weights_layer_bound(const irn_weights_layer *layer, irn_bound kernel);

#endif
