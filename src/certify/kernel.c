/* The public functions on a single kernel in memory. */
#include "certify/bound.h"
#include "certify/cross_check.h"

#include <math.h>
#include <stdlib.h>

/* The kernel in float64; the caller frees. */
static irn_status widened(double **out, const void *result, const float *kernel,
                          const irn_kernel_shape *shape)
{
    size_t count;
    *out = NULL;
    if (!result || !kernel || !shape)
        return irn_fail(IRN_ERROR_ARGUMENT, "a kernel's result, values or shape is NULL");
    IRN_TRY(irn_shape_check(shape, "kernel", &count));
    IRN_TRY(irn_alloc(out, count, sizeof **out));
    for (size_t i = 0; i < count; i++)
        (*out)[i] = kernel[i];
    return IRN_OK;
}

static irn_status cross_check(irn_context *context, const irn_bound_job *job)
{
    irn_spectrum *spectrum;
    IRN_TRY(irn_spectrum_create(&spectrum, context));
    irn_status status = irn_cross_check(spectrum, job);
    irn_spectrum_free(spectrum);
    return status;
}

irn_status irn_certify_kernel(irn_bound *out, irn_context *context, const float *kernel,
                              const irn_kernel_shape *shape, const irn_certify_options *options)
{
    irn_bound_job job = {.name = "kernel"};
    if (options)
        IRN_TRY(irn_check_version("irn_certify_options", options->version,
                                  IRN_CERTIFY_OPTIONS_VERSION));
    if (!context)
        return irn_fail(IRN_ERROR_ARGUMENT, "a kernel's context is NULL");
    IRN_TRY(widened(&job.kernel, out, kernel, shape));
    job.shape = *shape;
    irn_status status = irn_certify_progress(options, 0, 1, job.name);
    if (status == IRN_OK)
        status = irn_bound_kernel(&job.bound, &job.proof, context, irn_certify_arithmetic(options),
                                  job.kernel, shape, job.name);
    if (status == IRN_OK && options && options->cross_check)
        status = cross_check(context, &job);
    if (status == IRN_OK)
        *out = job.bound;
    free(job.kernel);
    return status;
}

irn_status irn_prove_kernel(irn_bound *out, const float *kernel, const irn_kernel_shape *shape)
{
    double *wide;
    irn_proof proof;
    IRN_TRY(widened(&wide, out, kernel, shape));
    irn_status status =
        irn_bound_kernel(out, &proof, NULL, IRN_ARITHMETIC_HOST_FLOAT64, wide, shape, "kernel");
    free(wide);
    return status;
}

/* Each frequency and its mirror image, on every line of the map along an axis that the symbol
 * ignores. What is beyond `wanted` values stays 0. */
static void spread(const irn_tap_list *list, const int *table, const double *values, size_t wanted,
                   const irn_array *out)
{
    size_t count = irn_frequency_count(list), rows = out->shape[0], columns = out->shape[1];
    size_t height = list->axes[0].torus, width = list->axes[1].torus, depth = out->shape[2];
    double *data = out->data;
    for (size_t f = 0; f < count; f++) {
        size_t row = (size_t)table[f] / width, column = (size_t)table[f] % width;
        size_t mirror_row = (height - row) % height, mirror_column = (width - column) % width;
        for (size_t i = 0; i < wanted; i++) {
            double value = ldexp(values[f * wanted + i], list->exponent);
            data[(row * columns + column) * depth + i] = value;
            data[(mirror_row * columns + mirror_column) * depth + i] = value;
        }
    }
    for (size_t row = 0; row < rows; row++)
        for (size_t column = 0; column < columns; column++) {
            size_t from = row % height * columns + column % width;
            for (size_t i = 0; i < depth; i++)
                data[(row * columns + column) * depth + i] = data[from * depth + i];
        }
}

static irn_status all_values(irn_array *out, irn_context *context, const irn_tap_list *list,
                             size_t wanted)
{
    size_t count = irn_frequency_count(list);
    irn_spectrum *spectrum = NULL;
    double *values = NULL;
    int *table;
    IRN_TRY(irn_alloc(&table, count, sizeof *table));
    irn_frequency_table(list, table);
    irn_status status = irn_alloc(&values, count * wanted, sizeof *values);
    if (status == IRN_OK)
        status = irn_spectrum_create(&spectrum, context);
    if (status == IRN_OK)
        status = irn_spectrum_values(spectrum, list, wanted, values);
    if (status == IRN_OK)
        spread(list, table, values, wanted, out);
    irn_spectrum_free(spectrum);
    free(values);
    free(table);
    return status;
}

/* Those that the symbol of one torus has. */
static irn_status check_circular(const irn_kernel_shape *s, const char *name)
{
    if (s->height == 0)
        return irn_fail(IRN_ERROR_ARGUMENT, "%s: singular values are of layers on one map", name);
    if (s->groups > 1 || (!s->transposed && (s->height % s->stride || s->width % s->stride)))
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "%s: singular values are of one group and of strides that divide the map: "
                        "%zu groups, stride %zu on %zux%zu",
                        name, s->groups, s->stride, s->height, s->width);
    return IRN_OK;
}

irn_status irn_symbol_values(irn_array *out, irn_context *context, const double *kernel,
                             const irn_kernel_shape *shape, const char *name)
{
    irn_tap_list list;
    irn_kernel_shape s = irn_shape_filled(shape);
    *out = (irn_array){0};
    s.padding = IRN_PAD_CIRCULAR;
    IRN_TRY(check_circular(&s, name));
    IRN_TRY(irn_tap_list_create(&list, kernel, &s, name));
    size_t wanted = irn_smaller(list.outputs, list.inputs);
    const size_t sizes[] = {list.axes[0].outputs, list.axes[1].outputs,
                            irn_smaller(s.outputs, s.inputs * s.stride * s.stride)};
    irn_status status = irn_array_create(out, IRN_FLOAT64, 3, sizes);
    if (status == IRN_OK && list.count > 0)
        status = all_values(out, context, &list, wanted);
    if (status != IRN_OK)
        irn_array_free(out);
    irn_tap_list_free(&list);
    return status;
}

irn_status irn_singular_values(irn_array *out, irn_context *context, const float *kernel,
                               const irn_kernel_shape *shape)
{
    double *wide;
    if (!context)
        return irn_fail(IRN_ERROR_ARGUMENT, "a kernel's context is NULL");
    IRN_TRY(widened(&wide, out, kernel, shape));
    irn_status status = irn_symbol_values(out, context, wide, shape, "kernel");
    free(wide);
    return status;
}
