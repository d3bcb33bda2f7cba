/* Certificates of bare weights files. */
#include "certify/bound.h"
#include "certify/certificate.h"
#include "io/safetensors.h"

#include <math.h>
#include <stdlib.h>

/* What all layers of a file have in common. */
typedef struct setting {
    const irn_safetensors *file;
    irn_context *context;
    irn_arithmetic arithmetic;
    size_t height, width;
} setting;

/* Whether the tensor is a layer, and its shape. */
static irn_status layer_shape(const setting *s, size_t index, irn_padding padding, bool *is_layer,
                              irn_kernel_shape *shape)
{
    irn_array view;
    IRN_TRY(irn_safetensors_view(s->file, index, &view));
    *is_layer = (view.rank == 2 || view.rank == 4) &&
                (view.type == IRN_FLOAT32 || view.type == IRN_FLOAT64);
    if (!*is_layer)
        return IRN_OK;
    bool map = view.rank == 4;
    *shape = (irn_kernel_shape){.outputs = view.shape[0],
                                .inputs = view.shape[1],
                                .kernel_height = map ? view.shape[2] : 1,
                                .kernel_width = map ? view.shape[3] : 1,
                                .height = map ? s->height : 1,
                                .width = map ? s->width : 1,
                                .padding = padding};
    return IRN_OK;
}

static irn_status certify_tensor(irn_certificate *certificate, const setting *s, size_t index)
{
    const char *name = irn_safetensors_tensor_name(s->file, index);
    irn_kernel_shape shape;
    bool is_layer;
    size_t count;
    double *kernel;
    irn_layer_bound layer = {.name = name, .scale = 1};
    IRN_TRY(layer_shape(s, index, certificate->padding, &is_layer, &shape));
    if (!is_layer)
        return IRN_OK;
    IRN_TRY(irn_shape_check(&shape, name, &count));
    IRN_TRY(irn_alloc(&kernel, count, sizeof *kernel));
    irn_status status = irn_safetensors_read_double(s->file, name, count, kernel);
    if (status == IRN_OK)
        status = irn_bound_kernel(&layer.bound, &layer.proof, s->context, s->arithmetic, kernel,
                                  &shape, name);
    free(kernel);
    IRN_TRY(status);
    layer.shape = shape;
    layer.kernel_upper = layer.bound.upper;
    return irn_certificate_add_layer(certificate, &layer);
}

static irn_status certify(irn_certificate *certificate, const setting *s,
                          const irn_certify_options *options)
{
    size_t tensors = irn_safetensors_count(s->file);
    IRN_TRY(irn_certify_progress(options, 0, tensors, "tensors"));
    for (size_t i = 0; i < tensors; i++) {
        IRN_TRY(certify_tensor(certificate, s, i));
        IRN_TRY(irn_certify_progress(options, i + 1, tensors, "tensors"));
    }
    if (certificate->layer_count == 0)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: holds no layer, that is no float32 or float64 tensor with 2 or 4 "
                        "dimensions, among its %zu tensors",
                        irn_safetensors_name(s->file), tensors);
    irn_certificate_judge(certificate);
    return IRN_OK;
}

static irn_status check_arguments(const void *out, const irn_context *context, const char *path,
                                  double below, const irn_certify_options *options)
{
    if (!out || !context || !path)
        return irn_fail(IRN_ERROR_ARGUMENT, "a certificate's result, context or path is NULL");
    if (!(below > 0))
        return irn_fail(IRN_ERROR_ARGUMENT, "bounds are to be below %g: must be above 0", below);
    if (options)
        IRN_TRY(irn_check_version("irn_certify_options", options->version,
                                  IRN_CERTIFY_OPTIONS_VERSION));
    return IRN_OK;
}

irn_status irn_certify_weights(irn_certificate **out, irn_context *context, const char *path,
                               irn_padding padding, size_t height, size_t width, double below,
                               const irn_certify_options *options)
{
    IRN_TRY(check_arguments(out, context, path, below, options));
    *out = NULL;
    irn_certificate *certificate = NULL;
    irn_safetensors *file;
    setting s = {.context = context,
                 .arithmetic = irn_certify_arithmetic(options),
                 .height = height,
                 .width = width};
    IRN_TRY(irn_safetensors_open(&file, path));
    s.file = file;
    irn_status status =
        irn_certificate_create(&certificate, context, irn_safetensors_count(file), 0);
    if (status == IRN_OK) {
        certificate->padding = padding;
        certificate->below = below;
        status = certify(certificate, &s, options);
    }
    irn_safetensors_free(file);
    if (status == IRN_OK)
        *out = certificate;
    else
        irn_certificate_free(certificate);
    return status;
}
