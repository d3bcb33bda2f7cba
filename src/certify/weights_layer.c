#include "certify/weights.h"
#include "certify/bound.h"
#include "flow/official.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

irn_status irn_weights_options_check(const irn_weights_options *how)
{
    IRN_TRY(irn_check_version("irn_weights_options", how->version, IRN_WEIGHTS_OPTIONS_VERSION));
    if (!(how->below > 0 && isfinite(how->below)))
        return irn_fail(IRN_ERROR_ARGUMENT, "bounds are to be below %g: must be above 0 and finite",
                        how->below);
    if (!(how->coefficient >= 0) || !(how->epsilon >= 0))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "a normalisation with coefficient %g and epsilon %g: must be 0 or more",
                        how->coefficient, how->epsilon);
    return IRN_OK;
}

irn_status irn_weights_is_layer(bool *out, const irn_safetensors *file, size_t index)
{
    irn_array view;
    IRN_TRY(irn_safetensors_view(file, index, &view));
    *out =
        view.rank >= 2 && view.rank <= 4 && (view.type == IRN_FLOAT32 || view.type == IRN_FLOAT64);
    return IRN_OK;
}

/* [outputs, inputs / groups, height, width], fewer sizes standing for 1x1 and for a row. */
static irn_status layer_shape(irn_kernel_shape *out, const irn_array *view,
                              const irn_weights_options *how, const char *name)
{
    size_t inputs, groups = how->groups ? how->groups : 1;
    bool dense = view->rank == 2, any = how->height == 0 && how->width == 0;
    *out = (irn_kernel_shape){.outputs = view->shape[0],
                              .inputs = view->shape[1],
                              .kernel_height = view->rank == 4 ? view->shape[2] : 1,
                              .kernel_width = dense ? 1 : view->shape[view->rank - 1],
                              .height = 1,
                              .width = 1,
                              .padding = how->padding,
                              .stride = 1,
                              .dilation = 1,
                              .groups = 1};
    if (dense)
        return IRN_OK;
    if (!irn_product(&inputs, (const size_t[]){view->shape[1], groups}, 2))
        return irn_fail(IRN_ERROR_ARGUMENT, "%s: %zu groups of %zu inputs cannot be counted", name,
                        groups, view->shape[1]);
    out->inputs = inputs;
    out->height = view->rank == 4 || any ? how->height : 1;
    out->width = how->width;
    out->stride = how->stride ? how->stride : 1;
    out->dilation = how->dilation ? how->dilation : 1;
    out->groups = groups;
    out->transposed = how->transposed;
    return IRN_OK;
}

/* PyTorch refuses to wrap around more than once, so that there is no such layer. */
static irn_status check_reach(const irn_kernel_shape *shape, const char *name)
{
    const size_t kernel[] = {shape->kernel_height, shape->kernel_width};
    const size_t map[] = {shape->height, shape->width};
    for (size_t axis = 0; axis < 2 && shape->padding == IRN_PAD_CIRCULAR; axis++) {
        size_t factors[] = {map[axis], shape->transposed ? shape->stride : 1}, size;
        size_t reach = kernel[axis] / 2;
        bool any = shape->height == 0 && shape->width == 0;
        if (!any && reach > 0 && irn_product(&size, factors, 2) && shape->dilation > size / reach)
            return irn_fail(
                IRN_ERROR_ARGUMENT,
                "%s: a kernel of %zux%zu with dilation %zu reaches %zu times %zu pixels "
                "to a side, and the map of %zux%zu has %zu: circular padding wraps "
                "around once at most",
                name, kernel[0], kernel[1], shape->dilation, shape->dilation, reach, map[0], map[1],
                size);
    }
    return IRN_OK;
}

static bool has_suffix(const char *name, const char *suffix)
{
    size_t length = strlen(name), wanted = strlen(suffix);
    return length > wanted && strcmp(name + length - wanted, suffix) == 0;
}

/* The tensor X_sigma of a tensor X_orig, or SIZE_MAX. */
static irn_status find_sigma(size_t *out, const irn_safetensors *file, const char *name)
{
    size_t stem = strlen(name) - strlen("orig"), size = stem + sizeof "sigma";
    char *wanted;
    IRN_TRY(irn_alloc(&wanted, size, 1));
    snprintf(wanted, size, "%.*ssigma", (int)stem, name);
    *out = irn_safetensors_find(file, wanted);
    free(wanted);
    return IRN_OK;
}

static irn_status normalisation_of(const irn_safetensors *file, const irn_weights_options *how,
                                   const char *name, double *coefficient, double *epsilon)
{
    *coefficient = how->coefficient;
    *epsilon = how->epsilon;
    if (*coefficient > 0)
        return IRN_OK;
    if (!irn_safetensors_metadata(file, "config"))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "%s: '%s' is a kernel before its normalisation, and neither the file nor "
                        "an option says the coefficient (coeff) it is normalised with",
                        irn_safetensors_name(file), name);
    return irn_official_normalisation(file, coefficient, epsilon);
}

/* A quotient, a sum and a quotient, each rounded once (the maximum is exact): the scale is within 4
 * u = 2^-51 of 1 / (max(1, sigma / coefficient) + epsilon), as long as nothing leaves the range in
 * which a rounding is relative. Not ">": NaN must not pass. */
static irn_status scale_of(irn_weights_layer *layer, double sigma, const char *name)
{
    bool large = layer->shape.kernel_height * layer->shape.kernel_width > 1;
    double ratio = sigma / layer->coefficient;
    double divisor = fmax(1, ratio) + (large ? layer->epsilon : 0);
    if (!(ratio <= 1e300 && divisor <= 1e300))
        return irn_fail(IRN_ERROR_NUMERIC,
                        "%s: is normalised by sigma %g / %g and epsilon %g: above 1e300, or no "
                        "number",
                        name, sigma, layer->coefficient, layer->epsilon);
    layer->scale = 1 / divisor;
    return IRN_OK;
}

irn_bound irn_weights_layer_bound(const irn_weights_layer *layer, irn_bound kernel)
{
    const double error = 0x1p-51; /* scale_of() */
    if (!(layer->coefficient > 0))
        return kernel;
    double least = irn_round_down(layer->scale * (1 - error));
    double most = irn_round_up(layer->scale * (1 + error));
    return (irn_bound){irn_bound_scaled(kernel, least).lower, irn_bound_scaled(kernel, most).upper};
}

/* The scale of a kernel before its normalisation; 1 of others. */
static irn_status read_scale(irn_weights_layer *layer, const irn_safetensors *file,
                             const char *name, const irn_weights_options *how)
{
    size_t index = SIZE_MAX;
    double sigma;
    layer->scale = 1;
    if (!has_suffix(name, "_orig"))
        return IRN_OK;
    IRN_TRY(find_sigma(&index, file, name));
    layer->bare = index == SIZE_MAX;
    if (layer->bare)
        return IRN_OK;
    IRN_TRY(irn_safetensors_read_double(file, irn_safetensors_tensor_name(file, index), 1, &sigma));
    IRN_TRY(normalisation_of(file, how, name, &layer->coefficient, &layer->epsilon));
    return scale_of(layer, sigma, name);
}

irn_status irn_weights_layer_read(irn_weights_layer *out, const irn_safetensors *file, size_t index,
                                  const irn_weights_options *how)
{
    const char *name = irn_safetensors_tensor_name(file, index);
    irn_weights_layer layer = {.kernel = NULL};
    irn_array view;
    size_t unused;
    IRN_TRY(irn_safetensors_view(file, index, &view));
    IRN_TRY(layer_shape(&layer.shape, &view, how, name));
    IRN_TRY(irn_shape_check(&layer.shape, name, &unused));
    IRN_TRY(check_reach(&layer.shape, name));
    IRN_TRY(read_scale(&layer, file, name, how));
    layer.count = irn_array_count(&view);
    IRN_TRY(irn_alloc(&layer.kernel, layer.count, sizeof *layer.kernel));
    irn_status status = irn_safetensors_read_double(file, name, layer.count, layer.kernel);
    if (status == IRN_OK)
        *out = layer;
    else
        irn_weights_layer_free(&layer);
    return status;
}

void irn_weights_layer_free(irn_weights_layer *layer)
{
    free(layer->kernel);
    layer->kernel = NULL;
}
