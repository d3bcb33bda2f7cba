/* The way back through a block whose activations have parameters. */
#include "flow/model.h"
#include "ops/elementwise.h"

/* *to, the cotangent of layer i's input, becomes that of what its activation saw. */
static irn_status through_activation(const irn_model *model, const irn_block *block, size_t i,
                                     const irn_tensor *inputs, const irn_tensor *gain,
                                     const irn_tensor *rest, const irn_tensor *to, cl_mem gradient,
                                     cl_mem values)
{
    irn_tensor saved = irn_saved_input(model, &inputs[i]);
    irn_activation_gradient what = {.activation = model->config.activation,
                                    .beta =
                                        irn_block_beta(model, model->single.parameters, block, i),
                                    .gradient = irn_block_beta(model, gradient, block, i),
                                    .z = &saved,
                                    .ybar = to,
                                    .gain = gain,
                                    .rest = rest,
                                    .out = to,
                                    .values = values};
    return irn_activation_gradient_run(&what);
}

irn_status irn_block_vjp_betas(const irn_model *model, const irn_block *block,
                               const irn_tensor *inputs, const irn_tensor *t,
                               const irn_tensor *second, const irn_tensor *cotangents,
                               const irn_tensor *residual, const irn_tensor *rest,
                               const irn_tensor *out, cl_mem gradient, cl_mem values)
{
    for (size_t i = model->config.layers; i-- > 0;) {
        const irn_tensor *from = i + 1 == model->config.layers ? t : &cotangents[i + 1];
        const irn_tensor *to = i == 0 ? out : &cotangents[i];
        const irn_tensor *gain = i == 0 ? residual : second ? &second[i] : NULL;
        bool activated = i > 0 || block->first_activation;
        irn_epilogue epilogue = {.residual = activated ? NULL : gain};
        IRN_TRY(irn_layer_backward(model, &block->layers[i], from, epilogue, to));
        if (activated)
            IRN_TRY(through_activation(model, block, i, inputs, gain, i == 0 ? rest : NULL, to,
                                       gradient, values));
    }
    return IRN_OK;
}
