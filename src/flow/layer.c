/* A layer of a block: which of the convolution's forms computes it, and the factor 1 / max(1,
 * sigma/c), which multiplies the result (see power.cl). */
#include "flow/model.h"
#include "ops/dense.h"
#include "ops/narrow.h"
#include "ops/winograd.h"

static irn_place layer_scale(const irn_model *model, const irn_operands *operands,
                             const irn_layer *layer)
{
    return (irn_place){operands->state, model->state.entries[layer->scale].offset};
}

irn_status irn_layer_forward(const irn_model *model, const irn_operands *operands,
                             const irn_layer *layer, const irn_tensor *x, irn_epilogue epilogue,
                             const irn_tensor *y)
{
    irn_place weights = {operands->parameters, irn_parameter(model, layer->weight).offset};
    irn_place transformed = {model->winograd, layer->winograd_offset};
    epilogue.scale = layer_scale(model, operands, layer);
    if (x->precision == IRN_SINGLE &&
        irn_narrow_suits(model->context, &layer->conv, layer->conv.outputs, x->width))
        return irn_narrow_forward(&layer->conv, weights, x, &epilogue, y, model->layer_scratch);
    if (layer->winograd && x->precision == IRN_SINGLE)
        return irn_winograd_forward(&layer->conv, transformed, x, &epilogue, y,
                                    model->layer_scratch);
    if (x->precision == IRN_SINGLE && irn_dense_suits(model->context, &layer->conv))
        return irn_dense_apply(&layer->conv, weights, x, &epilogue, y, model->layer_scratch);
    return irn_conv_forward(&layer->conv, weights, x, &epilogue, y);
}

irn_status irn_layer_backward(const irn_model *model, const irn_layer *layer, const irn_tensor *y,
                              irn_epilogue epilogue, const irn_tensor *x)
{
    irn_place transposed = {model->transposed, irn_parameter(model, layer->weight).offset};
    irn_place transformed = {model->winograd_transposed, layer->winograd_offset};
    epilogue.scale = layer_scale(model, &model->single, layer);
    if (irn_narrow_suits(model->context, &layer->conv, layer->conv.inputs, y->width))
        return irn_narrow_backward(&layer->conv, transposed, y, &epilogue, x, model->layer_scratch);
    if (layer->winograd)
        return irn_winograd_backward(&layer->conv, transformed, y, &epilogue, x,
                                     model->layer_scratch);
    if (irn_dense_suits(model->context, &layer->conv))
        return irn_dense_apply(&layer->conv, transposed, y, &epilogue, x, model->layer_scratch);
    return irn_conv_backward(&layer->conv, transposed, y, &epilogue, x);
}

irn_status irn_layer_weight_gradient(const irn_model *model, const irn_layer *layer,
                                     const irn_tensor *x, const irn_tensor *y, bool bias,
                                     cl_mem gradient, cl_mem partials)
{
    irn_place weights = {gradient, irn_parameter(model, layer->weight).offset};
    irn_place biases = {bias ? gradient : NULL, irn_parameter(model, layer->bias).offset};
    if (layer->winograd)
        return irn_winograd_weight_gradient(&layer->conv, x, y, weights, biases, partials);
    if (irn_dense_gradient_suits(model->context, &layer->conv))
        return irn_dense_weight_gradient(&layer->conv, x, y, weights, biases, partials);
    return irn_conv_weight_gradient(&layer->conv, x, y, weights, biases, partials);
}

size_t irn_layer_partials(const irn_model *model, const irn_layer *layer, size_t images)
{
    if (layer->winograd)
        return irn_winograd_gradient_scratch(model->context, &layer->conv, images, layer->height,
                                             layer->width);
    if (irn_dense_gradient_suits(model->context, &layer->conv))
        return irn_dense_gradient_scratch(model->context, &layer->conv, images, layer->height,
                                          layer->width);
    return irn_conv_gradient_scratch(model->context, &layer->conv, images, layer->height,
                                     layer->width);
}
