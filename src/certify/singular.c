/* Singular values of layers by name, in models and in weights files. */
#include "certify/bound.h"
#include "certify/weights.h"
#include "flow/model.h"

#include <iresnet/certify.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static irn_status find_layer(const irn_model *model, const char *name, size_t *index,
                             irn_layer_view *view)
{
    for (size_t i = 0; i < irn_model_layer_count(model); i++) {
        IRN_TRY(irn_model_layer(model, i, view));
        if (strcmp(view->name, name) == 0) {
            *index = i;
            return IRN_OK;
        }
    }
    return irn_fail(IRN_ERROR_ARGUMENT,
                    "the model has no layer '%s'; its layers are blocks.N.convI with N below %zu",
                    name, irn_model_block_count(model));
}

static void multiply(const irn_array *values, double scale)
{
    double *data = values->data;
    for (size_t i = 0; i < irn_array_count(values); i++)
        data[i] *= scale;
}

irn_status irn_model_singular_values(irn_array *out, irn_model *model, const char *layer)
{
    size_t index = 0;
    irn_layer_view view;
    float *kernel;
    memset(out, 0, sizeof *out);
    IRN_TRY(find_layer(model, layer, &index, &view));
    irn_kernel_shape shape = {.outputs = view.outputs,
                              .inputs = view.inputs,
                              .kernel_height = view.kernel,
                              .kernel_width = view.kernel,
                              .height = view.height,
                              .width = view.width,
                              .padding = model->config.padding};
    IRN_TRY(
        irn_alloc(&kernel, view.outputs * view.inputs * view.kernel * view.kernel, sizeof *kernel));
    irn_status status = irn_model_layer_weights(model, index, kernel);
    if (status == IRN_OK)
        status = irn_singular_values(out, model->context, kernel, &shape);
    free(kernel);
    if (status == IRN_OK)
        multiply(out, fabs(view.scale));
    return status;
}

static irn_status find_tensor(const irn_safetensors *file, const char *tensor, size_t *index)
{
    bool is_layer;
    *index = irn_safetensors_find(file, tensor);
    if (*index == SIZE_MAX)
        return irn_fail(IRN_ERROR_ARGUMENT, "%s has no tensor '%s'", irn_safetensors_name(file),
                        tensor);
    IRN_TRY(irn_weights_is_layer(&is_layer, file, *index));
    if (!is_layer)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "%s: tensor '%s' is no layer, that is no float32 or float64 tensor with "
                        "2, 3 or 4 dimensions",
                        irn_safetensors_name(file), tensor);
    return IRN_OK;
}

static irn_status from_file(irn_array *out, irn_context *context, const irn_safetensors *file,
                            const char *tensor, const irn_weights_options *weights)
{
    size_t index;
    irn_weights_layer layer;
    IRN_TRY(find_tensor(file, tensor, &index));
    IRN_TRY(irn_weights_layer_read(&layer, file, index, weights));
    irn_status status = irn_symbol_values(out, context, layer.kernel, &layer.shape, tensor);
    irn_weights_layer_free(&layer);
    if (status == IRN_OK)
        multiply(out, layer.scale);
    return status;
}

irn_status irn_weights_singular_values(irn_array *out, irn_context *context, const char *path,
                                       const char *tensor, const irn_weights_options *weights)
{
    irn_safetensors *file;
    memset(out, 0, sizeof *out);
    IRN_TRY(irn_weights_options_check(weights));
    IRN_TRY(irn_safetensors_open(&file, path));
    irn_status status = from_file(out, context, file, tensor, weights);
    irn_safetensors_free(file);
    return status;
}
