/* Singular values of layers by name, in models and in weights files. */
#include "certify/bound.h"
#include "flow/model.h"
#include "io/safetensors.h"

#include <iresnet/certify.h>

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
    double *values = out->data;
    for (size_t i = 0; status == IRN_OK && i < irn_array_count(out); i++)
        values[i] *= view.scale;
    free(kernel);
    return status;
}

static irn_status tensor_shape(const irn_safetensors *file, const char *tensor, size_t height,
                               size_t width, irn_kernel_shape *shape)
{
    irn_array view;
    size_t index = irn_safetensors_find(file, tensor);
    if (index == SIZE_MAX)
        return irn_fail(IRN_ERROR_ARGUMENT, "%s has no tensor '%s'", irn_safetensors_name(file),
                        tensor);
    IRN_TRY(irn_safetensors_view(file, index, &view));
    if (view.rank != 2 && view.rank != 4)
        return irn_fail(IRN_ERROR_ARGUMENT, "%s: tensor '%s' has rank %zu; a layer has 2 or 4",
                        irn_safetensors_name(file), tensor, view.rank);
    bool map = view.rank == 4;
    *shape = (irn_kernel_shape){.outputs = view.shape[0],
                                .inputs = view.shape[1],
                                .kernel_height = map ? view.shape[2] : 1,
                                .kernel_width = map ? view.shape[3] : 1,
                                .height = map ? height : 1,
                                .width = map ? width : 1,
                                .padding = IRN_PAD_CIRCULAR};
    return IRN_OK;
}

static irn_status from_file(irn_array *out, irn_context *context, const irn_safetensors *file,
                            const char *tensor, size_t height, size_t width)
{
    irn_kernel_shape shape;
    size_t count = 0;
    double *kernel;
    IRN_TRY(tensor_shape(file, tensor, height, width, &shape));
    IRN_TRY(irn_shape_check(&shape, tensor, &count));
    IRN_TRY(irn_alloc(&kernel, count, sizeof *kernel));
    irn_status status = irn_safetensors_read_double(file, tensor, count, kernel);
    if (status == IRN_OK)
        status = irn_symbol_values(out, context, kernel, &shape, tensor);
    free(kernel);
    return status;
}

irn_status irn_weights_singular_values(irn_array *out, irn_context *context, const char *path,
                                       const char *tensor, size_t height, size_t width)
{
    irn_safetensors *file;
    memset(out, 0, sizeof *out);
    IRN_TRY(irn_safetensors_open(&file, path));
    irn_status status = from_file(out, context, file, tensor, height, width);
    irn_safetensors_free(file);
    return status;
}
