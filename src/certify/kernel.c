/* The public functions on a single kernel in memory. */
#include "certify/bound.h"
#include "spectral/spectrum.h"

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

irn_status irn_certify_kernel(irn_bound *out, irn_context *context, const float *kernel,
                              const irn_kernel_shape *shape, const irn_certify_options *options)
{
    double *wide;
    irn_proof proof;
    if (options)
        IRN_TRY(irn_check_version("irn_certify_options", options->version,
                                  IRN_CERTIFY_OPTIONS_VERSION));
    if (!context)
        return irn_fail(IRN_ERROR_ARGUMENT, "a kernel's context is NULL");
    IRN_TRY(widened(&wide, out, kernel, shape));
    irn_status status = irn_certify_progress(options, 0, 1, "kernel");
    if (status == IRN_OK)
        status = irn_bound_kernel(out, &proof, context, irn_certify_arithmetic(options), wide,
                                  shape, "kernel");
    free(wide);
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
 * ignores. */
static void spread(const irn_taps *taps, const int *table, const double *values, size_t wanted,
                   const irn_array *out)
{
    size_t count = irn_frequency_count(taps), height = out->shape[0], width = out->shape[1];
    double *data = out->data;
    for (size_t f = 0; f < count; f++) {
        size_t row = (size_t)table[f] / taps->width, column = (size_t)table[f] % taps->width;
        size_t mirror_row = (taps->height - row) % taps->height;
        size_t mirror_column = (taps->width - column) % taps->width;
        for (size_t i = 0; i < wanted; i++) {
            double value = ldexp(values[f * wanted + i], taps->exponent);
            data[(row * width + column) * wanted + i] = value;
            data[(mirror_row * width + mirror_column) * wanted + i] = value;
        }
    }
    for (size_t row = 0; row < height; row++)
        for (size_t column = 0; column < width; column++) {
            size_t from = row % taps->height * width + column % taps->width;
            for (size_t i = 0; i < wanted; i++)
                data[(row * width + column) * wanted + i] = data[from * wanted + i];
        }
}

static irn_status all_values(irn_array *out, irn_context *context, const irn_taps *taps,
                             size_t wanted)
{
    size_t count = irn_frequency_count(taps);
    irn_spectrum *spectrum = NULL;
    double *values = NULL;
    int *table;
    IRN_TRY(irn_alloc(&table, count, sizeof *table));
    irn_frequency_table(taps, table);
    irn_status status = irn_alloc(&values, count * wanted, sizeof *values);
    if (status == IRN_OK)
        status = irn_spectrum_create(&spectrum, context);
    if (status == IRN_OK)
        status = irn_spectrum_values(spectrum, taps, wanted, values);
    if (status == IRN_OK)
        spread(taps, table, values, wanted, out);
    irn_spectrum_free(spectrum);
    free(values);
    free(table);
    return status;
}

irn_status irn_symbol_values(irn_array *out, irn_context *context, const double *kernel,
                             const irn_kernel_shape *shape, const char *name)
{
    irn_taps taps = {0};
    *out = (irn_array){0};
    irn_kernel_shape circular = *shape;
    circular.padding = IRN_PAD_CIRCULAR;
    size_t wanted = shape->outputs < shape->inputs ? shape->outputs : shape->inputs;
    const size_t sizes[] = {shape->height, shape->width, wanted};
    irn_status status = irn_taps_create(&taps, kernel, &circular, name);
    if (status == IRN_OK)
        status = irn_array_create(out, IRN_FLOAT64, 3, sizes);
    if (status == IRN_OK && !taps.zero)
        status = all_values(out, context, &taps, wanted);
    if (status != IRN_OK)
        irn_array_free(out);
    irn_taps_free(&taps);
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
