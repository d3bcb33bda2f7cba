/* The symbol of a prepared kernel by its definition, and which frequencies are needed. */
#include "spectral/taps.h"

#include <limits.h>
#include <math.h>
#include <string.h>

irn_status irn_layout_of(irn_layout *out, const irn_taps *taps)
{
    out->transposed = taps->outputs < taps->inputs;
    out->columns = out->transposed ? taps->outputs : taps->inputs;
    out->rows = out->transposed ? taps->inputs : taps->outputs;
    out->stride = (out->rows + IRN_SVD_LANES - 1) / IRN_SVD_LANES * IRN_SVD_LANES;
    const size_t sizes[] = {out->columns, out->stride, 2};
    if (!irn_product(&out->size, sizes, 3) || out->size > INT_MAX)
        return irn_fail(IRN_ERROR_ARGUMENT, "a symbol of %zux%zu is beyond the limit of %d values",
                        taps->outputs, taps->inputs, INT_MAX);
    return IRN_OK;
}

/* cos and sin of 2 pi (row dy / height + column dx / width) for every tap. The fractions are
 * reduced in integers, so that the error does not grow with the torus. */
static void fill_phases(const irn_taps *taps, size_t row, size_t column, double *phases)
{
    const double turn = 6.283185307179586476925;
    size_t count = taps->tap_rows * taps->tap_columns;
    for (size_t y = 0; y < taps->tap_rows; y++)
        for (size_t x = 0; x < taps->tap_columns; x++) {
            size_t dy = (taps->first_row + y) % taps->height;
            size_t dx = (taps->first_column + x) % taps->width;
            double angle = turn * ((double)(row * dy % taps->height) / (double)taps->height +
                                   (double)(column * dx % taps->width) / (double)taps->width);
            phases[y * taps->tap_columns + x] = cos(angle);
            phases[count + y * taps->tap_columns + x] = sin(angle);
        }
}

void irn_taps_symbol(const irn_taps *taps, const irn_layout *layout, size_t row, size_t column,
                     double *phases, double *matrix)
{
    size_t count = taps->tap_rows * taps->tap_columns;
    fill_phases(taps, row, column, phases);
    memset(matrix, 0, layout->size * sizeof *matrix);
    const double *values = taps->values;
    for (size_t o = 0; o < taps->outputs; o++)
        for (size_t i = 0; i < taps->inputs; i++, values += count) {
            double re = 0, im = 0;
            for (size_t t = 0; t < count; t++) {
                re += values[t] * phases[t];
                im += values[t] * phases[count + t];
            }
            size_t c = layout->transposed ? o : i, r = layout->transposed ? i : o;
            matrix[c * 2 * layout->stride + r] = re;
            matrix[(c * 2 + 1) * layout->stride + r] = im;
        }
}

/* Columns 0 and, of an even width, width / 2 are their own mirror images, row a against -a. */
static bool own_mirror(const irn_taps *taps, size_t column)
{
    return column == 0 || 2 * column == taps->width;
}

size_t irn_frequency_count(const irn_taps *taps)
{
    size_t count = 0;
    for (size_t column = 0; 2 * column <= taps->width; column++)
        count += own_mirror(taps, column) ? taps->height / 2 + 1 : taps->height;
    return count;
}

void irn_frequency_table(const irn_taps *taps, int *table)
{
    for (size_t column = 0; 2 * column <= taps->width; column++) {
        size_t rows = own_mirror(taps, column) ? taps->height / 2 + 1 : taps->height;
        for (size_t row = 0; row < rows; row++)
            *table++ = (int)(row * taps->width + column);
    }
}
