/* The inside of a model: blocks, their parameters and state on the device, and the operations that
 * the flow, training and certification are made of. */
#ifndef IRN_FLOW_MODEL_H
#define IRN_FLOW_MODEL_H

#include "ops/conv.h"
#include "spectral/power.h"
#include "tensor/arena.h"

#include <iresnet/model.h>

typedef struct irn_layer {
    irn_conv conv;
    size_t height, width;             /* the map it acts on */
    size_t sigma_height, sigma_width; /* the map power iteration acts on */
    size_t weight, bias;              /* entries of parameters */
    size_t beta;                      /* too, of the activation before it, if LipSwish is */
    size_t u, v, sigma, scale;        /* entries of state */
    bool winograd;                    /* computed so, with the transformed kernel at: */
    size_t winograd_offset;           /* in model->winograd and model->winograd_transposed */
} irn_layer;

typedef struct irn_block {
    size_t channels, height, width; /* after its squeeze */
    bool squeeze, first_activation;
    bool split;                       /* afterwards the scale's latents leave */
    size_t log_scale, shift;          /* entries of parameters, if there is actnorm */
    irn_layer layers[IRN_MAX_LAYERS]; /* config.layers of them */
    double lipschitz_upper;           /* of g, certified; NaN: not known */
    bool chained;                     /* chain.c can apply the block */
} irn_block;

typedef struct irn_head {
    size_t gamma, beta, weight, bias;      /* entries of parameters */
    size_t running_mean, running_variance; /* entries of state */
    irn_conv dense;
} irn_head;

/* A part of z: what leaves after a stage, or at the end what is left. */
typedef struct irn_scale {
    size_t channels, height, width;
    size_t offset;        /* in a sample's z on the host */
    size_t mean, log_std; /* entries of parameters, if the prior is learned */
} irn_scale;

/* Parameters and state in one precision; double copies serve the verification of inverses. */
typedef struct irn_operands {
    cl_mem parameters, state;
} irn_operands;

struct irn_model {
    irn_context *context;
    irn_model_config config;
    irn_block *blocks;
    size_t block_count;
    size_t height, width, channels; /* after padding and the initial squeeze */
    irn_scale scales[IRN_MAX_STAGES];
    size_t scale_count;
    irn_head head;
    irn_arena parameters, state;
    irn_operands single;
    cl_mem transposed; /* transposed kernels, at the offsets of the kernels */
    cl_mem winograd, winograd_transposed, layer_scratch; /* NULL if no layer wants them */
    cl_mem chain_table, chain_scratch;                   /* chain.c; NULL if no block is chained */
    bool chain_refused;                                  /* there was no memory for them */
    irn_layers layers;                                   /* blocks after each other */
    bool derived_valid; /* of the kernels derived from the weights; false once these change */
    size_t initialised; /* state entry: 1 once actnorm has its data-dependent values */
    bool actnorm_ready; /* the same on the host */
};

static inline irn_place irn_parameter(const irn_model *model, size_t entry)
{
    return (irn_place){model->single.parameters, model->parameters.entries[entry].offset};
}

static inline irn_place irn_state(const irn_model *model, size_t entry)
{
    return (irn_place){model->single.state, model->state.entries[entry].offset};
}

/* ---- model.c ---- */

/* A model with zeroed parameters and state, to be filled by a reader of files. */
irn_status irn_model_create_empty(irn_model **out, irn_context *context,
                                  const irn_model_config *config);
/* Parameters changed: certified bounds and what was derived from the weights are forgotten. */
void irn_model_changed(irn_model *model);
/* Makes the kernels that are derived from the weights fit them. Everything below that applies a
 * layer needs this first. */
irn_status irn_model_prepare(irn_model *model);
/* All layers, with the parameters and the state that the model has now. */
irn_power irn_model_power(const irn_model *model);
/* Power iteration of every layer. */
irn_status irn_model_power_iterate(irn_model *model, size_t iterations);

/* Remembers that the actnorm layers have their data-dependent values (initialise.c). */
irn_status irn_model_initialised(irn_model *model);

/* ---- layer.c ---- */

/* y = epilogue(W x) with the layer's scale, whatever the epilogue's own says; x = epilogue(W^T y)
 * likewise. Operands in double precision are allowed forward. */
irn_status irn_layer_forward(const irn_model *model, const irn_operands *operands,
                             const irn_layer *layer, const irn_tensor *x, irn_epilogue epilogue,
                             const irn_tensor *y);
irn_status irn_layer_backward(const irn_model *model, const irn_layer *layer, const irn_tensor *y,
                              irn_epilogue epilogue, const irn_tensor *x);
/* Gradients of the normalised kernel and, if asked, of the bias, overwritten in a buffer like the
 * parameters. partials: irn_layer_partials() floats. */
irn_status irn_layer_weight_gradient(const irn_model *model, const irn_layer *layer,
                                     const irn_tensor *x, const irn_tensor *y, bool bias,
                                     cl_mem gradient, cl_mem partials);
size_t irn_layer_partials(const irn_model *model, const irn_layer *layer, size_t images);

/* ---- config.c ---- */

irn_status irn_config_check(const irn_model_config *config);

/* ---- block.c ---- */

/* x after the squeeze, in place: x becomes z = actnorm(x). */
irn_status irn_block_normalise(const irn_model *model, const irn_operands *operands,
                               const irn_block *block, const irn_tensor *x);
irn_status irn_block_denormalise(const irn_model *model, const irn_operands *operands,
                                 const irn_block *block, const irn_tensor *z);

/* Memory for the inputs of a block's layers, or for tangents or cotangents of them, comes as an
 * array of tensors: [i] has the shape of layer i's input. [0] is not used where no activation
 * stands first. Tensors that are not next to each other may share memory if the array is not needed
 * afterwards. Behind each input there is room for another, where irn_saves_input(): memory for
 * irn_input_images() images. */
irn_tensor irn_layer_input(const irn_block *block, size_t layer, const irn_tensor *memory,
                           size_t images);

/* As many images as there has to be room for in an input of so many. */
size_t irn_input_images(const irn_model *model, size_t images);

/* What derivatives of the activation that made a layer's input are found from: the input, or the
 * activation's own input, behind it. */
irn_tensor irn_saved_input(const irn_model *model, const irn_tensor *input);

/* beta of the activation before a layer; absent if it has none. */
irn_place irn_block_beta(const irn_model *model, cl_mem parameters, const irn_block *block,
                         size_t layer);

/* out = g(z) + residual (NULL: none); inputs[i] receives the input of layer i. out may be the
 * residual. */
irn_status irn_block_residual(const irn_model *model, const irn_operands *operands,
                              const irn_block *block, const irn_tensor *z, const irn_tensor *inputs,
                              const irn_tensor *residual, const irn_tensor *out);

/* The same, where the inputs of the layers are not wanted: inputs is memory that may be used. out
 * may be z or the residual if the block has more than one layer. */
irn_status irn_block_apply(const irn_model *model, const irn_block *block, const irn_tensor *z,
                           const irn_tensor *inputs, const irn_tensor *residual,
                           const irn_tensor *out);

/* `steps` times out = y - g(z), or with `activate` its activation, which is what the block's first
 * layer sees in the next step. input is what that layer sees of z: its activation, or z itself if
 * none stands first; for more steps than one it is out. inputs[1], ... are memory that may be used.
 * out may be input if the block has more than one layer. */
irn_status irn_block_inverse_steps(const irn_model *model, const irn_block *block,
                                   const irn_tensor *y, const irn_tensor *input,
                                   const irn_tensor *inputs, bool activate, size_t steps,
                                   const irn_tensor *out);

/* out = J t, J the Jacobian of g where `inputs` were made. tangents[i] receives that of layer i's
 * input. out NULL: the last layer is left out. */
irn_status irn_block_jvp(const irn_model *model, const irn_block *block, const irn_tensor *inputs,
                         const irn_tensor *t, const irn_tensor *tangents, const irn_tensor *out);

/* out = r - J t: a step towards (I + J)^-1 r. */
irn_status irn_block_neumann_step(const irn_model *model, const irn_block *block,
                                  const irn_tensor *inputs, const irn_tensor *r,
                                  const irn_tensor *t, const irn_tensor *tangents,
                                  const irn_tensor *out);

/* out = J^T t + residual (NULL: none). cotangents[i] receives that of layer i's input before its
 * activation, for i > 0, to which second[i] is added (second NULL: nothing). out may be t or the
 * residual if the block has more than one layer; NULL: the first layer is left out. Needs
 * irn_model_prepare(). */
irn_status irn_block_vjp(const irn_model *model, const irn_block *block, const irn_tensor *inputs,
                         const irn_tensor *t, const irn_tensor *second,
                         const irn_tensor *cotangents, const irn_tensor *residual,
                         const irn_tensor *out);

/* irn_block_vjp() with second[0] in the residual (rest: what else is in it; NULL: nothing), and
 * gradients with respect to betas, overwritten in a buffer like the parameters'. out is none of the
 * others. values: a float for each image. */
irn_status irn_block_vjp_betas(const irn_model *model, const irn_block *block,
                               const irn_tensor *inputs, const irn_tensor *t,
                               const irn_tensor *second, const irn_tensor *cotangents,
                               const irn_tensor *residual, const irn_tensor *rest,
                               const irn_tensor *out, cl_mem gradient, cl_mem values);

/* Gradients with respect to normalised kernels (see irn_power_backward) and biases, overwritten in
 * a buffer like the parameters', from what irn_block_vjp() kept. z is the block's input after
 * actnorm. */
irn_status irn_block_weight_gradients(const irn_model *model, const irn_block *block,
                                      const irn_tensor *z, const irn_tensor *inputs,
                                      const irn_tensor *cotangents, const irn_tensor *t,
                                      cl_mem gradient, cl_mem partials);

/* ---- for certify ---- */

typedef struct irn_layer_view {
    char name[48]; /* "blocks.3.conv0" */
    size_t block, outputs, inputs, kernel, height, width;
    double scale; /* the layer is scale x kernel; a float32 value */
} irn_layer_view;

irn_context *irn_model_context(const irn_model *model);
size_t irn_model_layer_count(const irn_model *model);
irn_status irn_model_layer(const irn_model *model, size_t index, irn_layer_view *out);
/* The raw kernel [O,I,k,k]. */
irn_status irn_model_layer_weights(const irn_model *model, size_t index, float *out);
/* Smallest and largest factor exp(log_scale) of the block's actnorm; 1, 1 without. */
irn_status irn_model_block_affine(const irn_model *model, size_t block, double *scale_min,
                                  double *scale_max);
void irn_model_set_lipschitz(irn_model *model, size_t block, double upper);
const irn_layer *irn_model_layer_at(const irn_model *model, size_t index);

/* ---- fold.c ---- */

/* What irn_layer_fold() changes of a layer. */
typedef struct irn_layer_copy {
    float *kernel; /* [O,I,k,k], as in irn_model_layer_weights() */
    size_t count;
    float sigma, scale;
} irn_layer_copy;

irn_status irn_layer_copy_make(irn_layer_copy *out, const irn_model *model, size_t index);
/* Also accepts a zeroed struct. */
void irn_layer_copy_free(irn_layer_copy *copy);
irn_status irn_layer_restore(irn_model *model, size_t index, const irn_layer_copy *copy);

/* The layer becomes factor (above 0, below 1) times itself, up to the rounding of its weights, in a
 * way that power iteration does not undo. */
irn_status irn_layer_fold(irn_model *model, size_t index, double factor);

#endif
