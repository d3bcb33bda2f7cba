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

size_t irn_input_images(const irn_model *model, size_t images)
{
    return irn_saves_input(model->config.activation) ? 2 * images : images;
}

irn_tensor irn_saved_input(const irn_model *model, const irn_tensor *input)
{
    irn_tensor saved = *input;
    if (irn_saves_input(model->config.activation))
        saved.offset += irn_tensor_size(input);
    return saved;
}

irn_place irn_block_beta(const irn_model *model, cl_mem parameters, const irn_block *block,
                         size_t layer)
{
    if (model->config.activation != IRN_LIPSWISH || (layer == 0 && !block->first_activation))
        return (irn_place){NULL, 0};
    return in_buffer(parameters, &model->parameters, block->layers[layer].beta);
}

static const irn_tensor *first_input(const irn_block *block, const irn_tensor *z,
                                     const irn_tensor *inputs)
{
    return block->first_activation ? &inputs[0] : z;
}

/* What layer i gives becomes the input of the next; `keep`: and what derivatives need is kept. */
static irn_status hidden_layer(const irn_model *model, const irn_operands *operands,
                               const irn_block *block, size_t i, const irn_tensor *from, bool keep,
                               const irn_tensor *to)
{
    irn_activation phi = model->config.activation;
    bool apart = keep && irn_saves_input(phi);
    irn_tensor saved = irn_saved_input(model, to);
    irn_epilogue epilogue = {
        .bias = in_buffer(operands->parameters, &model->parameters, block->layers[i].bias),
        .beta = irn_block_beta(model, operands->parameters, block, i + 1),
        .activate = !apart};
    IRN_TRY(
        irn_layer_forward(model, operands, &block->layers[i], from, epilogue, apart ? &saved : to));
    return apart ? irn_activation_forward(phi, epilogue.beta, &saved, to) : IRN_OK;
}

/* The block's layers, from the input of the first, with an epilogue of the last. */
static irn_status apply_layers(const irn_model *model, const irn_operands *operands,
                               const irn_block *block, const irn_tensor *input,
                               const irn_tensor *inputs, bool keep, irn_epilogue last,
                               const irn_tensor *out)
{
    size_t end = model->config.layers - 1;
    for (size_t i = 0; i < end; i++)
        IRN_TRY(hidden_layer(model, operands, block, i, i == 0 ? input : &inputs[i], keep,
                             &inputs[i + 1]));
    last.bias = in_buffer(operands->parameters, &model->parameters, block->layers[end].bias);
    last.beta = irn_block_beta(model, operands->parameters, block, 0);
    return irn_layer_forward(model, operands, &block->layers[end], end == 0 ? input : &inputs[end],
                             last, out);
}

/* The activation before the first layer, if there is one. */
static irn_status activate_first(const irn_model *model, const irn_operands *operands,
                                 const irn_block *block, const irn_tensor *z,
                                 const irn_tensor *inputs)
{
    irn_place beta = irn_block_beta(model, operands->parameters, block, 0);
    if (!block->first_activation)
        return IRN_OK;
    return irn_activation_forward(model->config.activation, beta, z, &inputs[0]);
}

irn_status irn_block_residual(const irn_model *model, const irn_operands *operands,
                              const irn_block *block, const irn_tensor *z, const irn_tensor *inputs,
                              const irn_tensor *residual, const irn_tensor *out)
{
    irn_epilogue last = {.residual = residual};
    IRN_TRY(activate_first(model, operands, block, z, inputs));
    if (block->first_activation && irn_saves_input(model->config.activation)) {
        irn_tensor saved = irn_saved_input(model, &inputs[0]);
        IRN_TRY(irn_tensor_copy(z, &saved));
    }
    return apply_layers(model, operands, block, first_input(block, z, inputs), inputs, true, last,
                        out);
}

irn_status irn_block_apply(const irn_model *model, const irn_block *block, const irn_tensor *z,
                           const irn_tensor *inputs, const irn_tensor *residual,
                           const irn_tensor *out)
{
    irn_epilogue last = {.residual = residual};
    const irn_tensor *input = first_input(block, z, inputs);
    IRN_TRY(activate_first(model, &model->single, block, z, inputs));
    if (irn_chain_suits(model, block, z->images))
        return irn_chain_apply(model, block, input, &last, 1, out);
    return apply_layers(model, &model->single, block, input, inputs, false, last, out);
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
        IRN_TRY(apply_layers(model, &model->single, block, input, inputs, false, last, out));
    return IRN_OK;
}

/* J t, and what `last` does with it. */
static irn_status apply_tangents(const irn_model *model, const irn_block *block,
                                 const irn_tensor *inputs, const irn_tensor *t,
                                 const irn_tensor *tangents, irn_epilogue last,
                                 const irn_tensor *out)
{
    size_t layers = model->config.layers;
    cl_mem parameters = model->single.parameters;
    if (block->first_activation) {
        irn_tensor saved = irn_saved_input(model, &inputs[0]);
        IRN_TRY(irn_activation_derivative(model->config.activation,
                                          irn_block_beta(model, parameters, block, 0), &saved, t,
                                          &tangents[0]));
    }
    for (size_t i = 0; i < layers; i++) {
        bool is_last = i + 1 == layers;
        irn_tensor saved;
        irn_epilogue epilogue = last;
        if (is_last && !out)
            break;
        if (!is_last) {
            saved = irn_saved_input(model, &inputs[i + 1]);
            epilogue = (irn_epilogue){.beta = irn_block_beta(model, parameters, block, i + 1),
                                      .derivative = &saved};
        }
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
    irn_tensor saved;
    irn_epilogue epilogue = {.beta = irn_block_beta(model, model->single.parameters, block, i),
                             .residual = residual};
    if (i > 0 || block->first_activation) {
        saved = irn_saved_input(model, &inputs[i]);
        epilogue.derivative = &saved;
    }
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
