/* A residual block: x + g(x), its derivatives along and against the flow, and its gradients. The
 * factor 1 / max(1, sigma/c) of each layer multiplies the convolution's result (see power.cl). */
#include "flow/chain.h"
#include "ops/elementwise.h"

static irn_place in_buffer(cl_mem buffer, const irn_arena *arena, size_t entry)
{
    return (irn_place){buffer, arena->entries[entry].offset};
}

irn_status irn_block_normalise(const irn_model *model, const irn_operands *operands,
                               const irn_block *block, const irn_tensor *x)
{
    if (!model->config.actnorm)
        return IRN_OK;
    return irn_actnorm_forward(
        x, in_buffer(operands->parameters, &model->parameters, block->log_scale),
        in_buffer(operands->parameters, &model->parameters, block->shift), x);
}

irn_status irn_block_denormalise(const irn_model *model, const irn_operands *operands,
                                 const irn_block *block, const irn_tensor *z)
{
    if (!model->config.actnorm)
        return IRN_OK;
    return irn_actnorm_inverse(
        z, in_buffer(operands->parameters, &model->parameters, block->log_scale),
        in_buffer(operands->parameters, &model->parameters, block->shift), z);
}

irn_tensor irn_layer_input(const irn_block *block, size_t layer, const irn_tensor *memory,
                           size_t images)
{
    return irn_tensor_view(memory, images, block->layers[layer].conv.inputs, block->height,
                           block->width);
}

static const irn_tensor *first_input(const irn_block *block, const irn_tensor *z,
                                     const irn_tensor *inputs)
{
    return block->first_activation ? &inputs[0] : z;
}

/* The block's layers, from the input of the first, with an epilogue of the last. */
static irn_status apply_layers(const irn_model *model, const irn_operands *operands,
                               const irn_block *block, const irn_tensor *input,
                               const irn_tensor *inputs, irn_epilogue last, const irn_tensor *out)
{
    size_t layers = model->config.layers;
    for (size_t i = 0; i < layers; i++) {
        const irn_layer *layer = &block->layers[i];
        bool is_last = i + 1 == layers;
        irn_epilogue epilogue = is_last ? last : (irn_epilogue){.activate = true};
        epilogue.bias = in_buffer(operands->parameters, &model->parameters, layer->bias);
        IRN_TRY(irn_layer_forward(model, operands, layer, i == 0 ? input : &inputs[i], epilogue,
                                  is_last ? out : &inputs[i + 1]));
    }
    return IRN_OK;
}

irn_status irn_block_residual(const irn_model *model, const irn_operands *operands,
                              const irn_block *block, const irn_tensor *z, const irn_tensor *inputs,
                              const irn_tensor *residual, const irn_tensor *out)
{
    irn_epilogue last = {.residual = residual};
    if (block->first_activation)
        IRN_TRY(irn_activation_forward(model->config.activation, z, &inputs[0]));
    return apply_layers(model, operands, block, first_input(block, z, inputs), inputs, last, out);
}

irn_status irn_block_apply(const irn_model *model, const irn_block *block, const irn_tensor *z,
                           const irn_tensor *inputs, const irn_tensor *residual,
                           const irn_tensor *out)
{
    irn_epilogue last = {.residual = residual};
    if (!irn_chain_suits(model, block, z->images))
        return irn_block_residual(model, &model->single, block, z, inputs, residual, out);
    if (block->first_activation)
        IRN_TRY(irn_activation_forward(model->config.activation, z, &inputs[0]));
    return irn_chain_apply(model, block, first_input(block, z, inputs), &last, 1, out);
}

irn_status irn_block_inverse_steps(const irn_model *model, const irn_block *block,
                                   const irn_tensor *y, const irn_tensor *input,
                                   const irn_tensor *inputs, bool activate, size_t steps,
                                   const irn_tensor *out)
{
    irn_epilogue last = {.minuend = y, .activate = activate};
    if (irn_chain_suits(model, block, y->images))
        return irn_chain_apply(model, block, input, &last, steps, out);
    for (size_t k = 0; k < steps; k++)
        IRN_TRY(apply_layers(model, &model->single, block, input, inputs, last, out));
    return IRN_OK;
}

/* J t, and what `last` does with it. */
static irn_status apply_tangents(const irn_model *model, const irn_block *block,
                                 const irn_tensor *inputs, const irn_tensor *t,
                                 const irn_tensor *tangents, irn_epilogue last,
                                 const irn_tensor *out)
{
    size_t layers = model->config.layers;
    if (block->first_activation)
        IRN_TRY(irn_activation_derivative(model->config.activation, &inputs[0], t, &tangents[0]));
    for (size_t i = 0; i < layers; i++) {
        bool is_last = i + 1 == layers;
        irn_epilogue epilogue = is_last ? last : (irn_epilogue){.derivative = &inputs[i + 1]};
        if (is_last && !out)
            break;
        IRN_TRY(irn_layer_forward(model, &model->single, &block->layers[i],
                                  i == 0 ? first_input(block, t, tangents) : &tangents[i], epilogue,
                                  is_last ? out : &tangents[i + 1]));
    }
    return IRN_OK;
}

irn_status irn_block_jvp(const irn_model *model, const irn_block *block, const irn_tensor *inputs,
                         const irn_tensor *t, const irn_tensor *tangents, const irn_tensor *out)
{
    return apply_tangents(model, block, inputs, t, tangents, (irn_epilogue){.activate = false},
                          out);
}

irn_status irn_block_neumann_step(const irn_model *model, const irn_block *block,
                                  const irn_tensor *inputs, const irn_tensor *r,
                                  const irn_tensor *t, const irn_tensor *tangents,
                                  const irn_tensor *out)
{
    return apply_tangents(model, block, inputs, t, tangents, (irn_epilogue){.minuend = r}, out);
}

/* The cotangent of layer i's input before its activation, from that of its output. */
static irn_status layer_vjp(const irn_model *model, const irn_block *block, size_t i,
                            const irn_tensor *inputs, const irn_tensor *from,
                            const irn_tensor *residual, const irn_tensor *to)
{
    bool activated = i > 0 || block->first_activation;
    irn_epilogue epilogue = {.derivative = activated ? &inputs[i] : NULL, .residual = residual};
    return irn_layer_backward(model, &block->layers[i], from, epilogue, to);
}

irn_status irn_block_vjp(const irn_model *model, const irn_block *block, const irn_tensor *inputs,
                         const irn_tensor *t, const irn_tensor *second,
                         const irn_tensor *cotangents, const irn_tensor *residual,
                         const irn_tensor *out)
{
    for (size_t i = model->config.layers; i-- > 0;) {
        bool last = i + 1 == model->config.layers;
        const irn_tensor *gain = second ? &second[i] : NULL;
        if (i == 0 && !out)
            break;
        IRN_TRY(layer_vjp(model, block, i, inputs, last ? t : &cotangents[i + 1],
                          i == 0 ? residual : gain, i == 0 ? out : &cotangents[i]));
    }
    return IRN_OK;
}

irn_status irn_block_weight_gradients(const irn_model *model, const irn_block *block,
                                      const irn_tensor *z, const irn_tensor *inputs,
                                      const irn_tensor *cotangents, const irn_tensor *t,
                                      cl_mem gradient, cl_mem partials)
{
    size_t layers = model->config.layers;
    for (size_t i = 0; i < layers; i++)
        IRN_TRY(irn_layer_weight_gradient(
            model, &block->layers[i], i == 0 ? first_input(block, z, inputs) : &inputs[i],
            i + 1 == layers ? t : &cotangents[i + 1], true, gradient, partials));
    return IRN_OK;
}
