#include "spectral/symbol.h"

#include <limits.h>
#include <math.h>
#include <string.h>

irn_status irn_layout_of(irn_layout *out, const irn_tap_list *list)
{
    out->transposed = list->outputs < list->inputs;
    out->columns = out->transposed ? list->outputs : list->inputs;
    out->rows = out->transposed ? list->inputs : list->outputs;
    out->stride = (out->rows + IRN_SVD_LANES - 1) / IRN_SVD_LANES * IRN_SVD_LANES;
    const size_t sizes[] = {out->columns, out->stride, 2};
    if (!irn_product(&out->size, sizes, 3) || out->size > INT_MAX)
        return irn_fail(IRN_ERROR_ARGUMENT, "a symbol of %zux%zu is beyond the limit of %d values",
                        list->outputs, list->inputs, INT_MAX);
    return IRN_OK;
}

/* cos and sin of 2 pi (row dy / height + column dx / width), height and width of periods, for every
 * tap. The fractions are reduced in integers, so that the error does not grow with the torus. */
static void fill_phases(const irn_tap_list *list, size_t row, size_t column, double *phases)
{
    const double turn = 6.283185307179586476925;
    size_t height = list->axes[0].period, width = list->axes[1].period;
    row = irn_axis_frequency(&list->axes[0], row);
    column = irn_axis_frequency(&list->axes[1], column);
    for (size_t t = 0; t < list->count; t++) {
        size_t dy = list->offsets[t][0], dx = list->offsets[t][1];
        double angle = turn * ((double)(row * dy % height) / (double)height +
                               (double)(column * dx % width) / (double)width);
        phases[t] = cos(angle);
        phases[list->count + t] = sin(angle);
    }
}

void irn_symbol_at(const irn_tap_list *list, const irn_layout *layout, size_t row, size_t column,
                   double *phases, double *matrix)
{
    const double *value = list->values;
    fill_phases(list, row, column, phases);
    memset(matrix, 0, layout->size * sizeof *matrix);
    for (size_t t = 0; t < list->count; t++)
        for (size_t o = 0; o < list->outputs; o++)
            for (size_t i = 0; i < list->inputs; i++, value++) {
                size_t c = layout->transposed ? o : i, r = layout->transposed ? i : o;
                double *entry = matrix + c * 2 * layout->stride + r;
                entry[0] += *value * phases[t];
                entry[layout->stride] += *value * phases[list->count + t];
            }
}

static bool is_mirror_of_itself(const irn_tap_axis *axis, size_t number)
{
    size_t frequency = irn_axis_frequency(axis, number);
    return frequency == 0 || 2 * frequency == axis->period;
}

/* Frequencies up to half a period, the others being their mirror images. */
static size_t half(const irn_tap_axis *axis)
{
    return (axis->period / 2 - axis->shift) / (axis->period / axis->torus) + 1;
}

/* A column that is its own mirror image has row a against -a. */
static size_t rows_of(const irn_tap_list *list, size_t column)
{
    const irn_tap_axis *rows = &list->axes[0];
    return is_mirror_of_itself(&list->axes[1], column) ? half(rows) : rows->torus;
}

size_t irn_frequency_count(const irn_tap_list *list)
{
    size_t count = 0;
    for (size_t column = 0; column < half(&list->axes[1]); column++)
        count += rows_of(list, column);
    return count;
}

void irn_frequency_table(const irn_tap_list *list, int *table)
{
    for (size_t column = 0; column < half(&list->axes[1]); column++)
        for (size_t row = 0; row < rows_of(list, column); row++)
            *table++ = (int)(row * list->axes[1].torus + column);
}
