#include "spectral/padded.h"

#include <math.h>
#include <string.h>

/* Kernel values of one pair along the axis's tap `t`: rows are contiguous, columns are not. */
static void copy_taps(double *to, const irn_taps *from, const double *pair, irn_axis axis, size_t t)
{
    if (axis == IRN_AXIS_ROWS)
        memcpy(to, pair + t * from->tap_columns, from->tap_columns * sizeof *to);
    else
        for (size_t row = 0; row < from->tap_rows; row++)
            to[row] = pair[row * from->tap_columns + t];
}

/* Output o at place y and input i at place v of the axis meet in the tap of offset v - y. The torus
 * is at least the map and the reach, so offsets modulo it are not mixed up. */
static void unroll_pair(irn_taps *out, const irn_taps *in, irn_axis axis, size_t map, size_t o,
                        size_t i)
{
    bool rows = axis == IRN_AXIS_ROWS;
    size_t torus = rows ? in->height : in->width, first = rows ? in->first_row : in->first_column;
    size_t taps = rows ? in->tap_rows : in->tap_columns;
    size_t kept = out->tap_rows * out->tap_columns;
    const double *pair = in->values + (o * in->inputs + i) * in->tap_rows * in->tap_columns;
    for (size_t y = 0; y < map; y++)
        for (size_t v = 0; v < map; v++) {
            size_t t = (2 * torus + v - y - first) % torus;
            size_t place = (o * map + y) * out->inputs + i * map + v;
            if (t < taps)
                copy_taps(out->values + place * kept, in, pair, axis, t);
        }
}

irn_status irn_padded_unroll(irn_taps *out, const irn_taps *taps, irn_axis axis, size_t map)
{
    bool rows = axis == IRN_AXIS_ROWS;
    size_t times = (rows ? taps->height : taps->width) == 1 ? 1 : map, count;
    *out = *taps;
    out->outputs *= times;
    out->inputs *= times;
    if (times > 1) {
        *(rows ? &out->tap_rows : &out->tap_columns) = 1;
        *(rows ? &out->first_row : &out->first_column) = 0;
        *(rows ? &out->height : &out->width) = 1;
    }
    const size_t sizes[] = {out->outputs, out->inputs, out->tap_rows, out->tap_columns};
    irn_product(&count, sizes, 4);
    IRN_TRY(irn_alloc(&out->values, count, sizeof(double)));
    for (size_t o = 0; o < taps->outputs; o++)
        for (size_t i = 0; i < taps->inputs; i++)
            unroll_pair(out, taps, axis, times, o, i);
    /* Each pair's sum of magnitudes is met at most once a place: ||.||_F^2 grows by the places. */
    out->weight = taps->weight * sqrt((double)times);
    return IRN_OK;
}
