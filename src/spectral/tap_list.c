#include "spectral/tap_list.h"
#include "spectral/tap_axis.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A kernel on its way: its own sizes, and where its rows and columns go. */
typedef struct layer {
    const double *kernel;
    size_t groups, outputs, inputs, rows, columns; /* outputs, inputs: of one group */
    irn_tap_places y, x;
} layer;

static irn_status check_finite(const double *values, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return irn_fail(IRN_ERROR_NUMERIC, "%s: value %zu of %zu is %f, not a finite number",
                            name, i, count, values[i]);
    return IRN_OK;
}

/* Of the values that act: beside a large one that never does they could vanish. */
static double largest(const layer *l)
{
    const double *value = l->kernel;
    double peak = 0;
    for (size_t pair = 0; pair < l->groups * l->outputs * l->inputs; pair++)
        for (size_t row = 0; row < l->rows; row++)
            for (size_t column = 0; column < l->columns; column++, value++)
                if (l->y.used[row] && l->x.used[column])
                    peak = fmax(peak, fabs(*value));
    return peak;
}

/* One pair's values into the list; sums: of the magnitudes that each of the group's entries gets.
 */
static void place_pair(irn_tap_list *list, const layer *l, size_t output, size_t input,
                       double *sums)
{
    const double *values = l->kernel + (output * l->inputs + input) * l->rows * l->columns;
    size_t group = output / l->outputs, o = output % l->outputs;
    for (size_t row = 0; row < l->rows; row++)
        for (size_t column = 0; column < l->columns; column++) {
            if (!l->y.used[row] || !l->x.used[column])
                continue;
            size_t tap = l->y.slot[row] * l->x.slots + l->x.slot[column];
            size_t phase = l->y.band[row] * l->x.bands + l->x.band[column];
            size_t line = (group * list->count + tap) * l->outputs + o;
            double value = ldexp(values[row * l->columns + column], -list->exponent);
            list->values[line * list->inputs + phase * l->inputs + input] += value;
            sums[(o * l->inputs + input) * list->phases + phase] += fabs(value);
        }
}

/* Adding up numbers loses at most u of the sum of their magnitudes for each of them, scaling what a
 * subnormal number cannot hold. The first is counted as if a frequency's entry were added up from
 * all T taps and their roots of unity, (T + 21) u (proof_symbol.c), so that who checks a bound that
 * way finds it too. Both are summed over the taps, entry by entry, and the Frobenius norm taken. */
static irn_status place_all(irn_tap_list *list, const layer *l, double peak)
{
    size_t pairs = l->outputs * list->inputs;
    double taps = (double)(l->rows * l->columns), *sums, most = 0;
    double roundings = l->y.most * l->x.most > 1 ? (taps + 21) * DBL_EPSILON / 2 : 0;
    IRN_TRY(irn_alloc(&sums, pairs, sizeof *sums));
    for (size_t group = 0; group < l->groups; group++) {
        double squares = 0;
        memset(sums, 0, pairs * sizeof *sums);
        for (size_t output = group * l->outputs; output < (group + 1) * l->outputs; output++)
            for (size_t input = 0; input < l->inputs; input++)
                place_pair(list, l, output, input, sums);
        for (size_t i = 0; i < pairs; i++) {
            double lost = roundings * sums[i];
            squares += lost * lost;
        }
        most = fmax(most, squares);
    }
    double subnormal = sqrt((double)pairs) * taps * DBL_MIN;
    list->error = peak == 0 ? 0 : 1.01 * sqrt(most) + subnormal;
    free(sums);
    return IRN_OK;
}

/* Whether the tap is 0 in all groups. */
static bool is_zero(const irn_tap_list *list, size_t tap)
{
    size_t matrix = list->outputs * list->inputs;
    for (size_t group = 0; group < list->groups; group++)
        for (size_t i = 0; i < matrix; i++)
            if (list->values[(group * list->count + tap) * matrix + i] != 0)
                return false;
    return true;
}

static irn_status drop_zeros(irn_tap_list *list)
{
    size_t matrix = list->outputs * list->inputs, kept = 0, count = list->count;
    bool *dropped;
    IRN_TRY(irn_alloc(&dropped, count, sizeof *dropped));
    for (size_t tap = 0; tap < count; tap++) {
        dropped[tap] = is_zero(list, tap);
        if (!dropped[tap])
            memcpy(list->offsets[kept++], list->offsets[tap], sizeof *list->offsets);
    }
    double *to = list->values;
    for (size_t i = 0; i < list->groups * count; i++)
        if (!dropped[i % count]) {
            memmove(to, list->values + i * matrix, matrix * sizeof *to);
            to += matrix;
        }
    list->count = kept;
    free(dropped);
    return IRN_OK;
}

static irn_status fill(irn_tap_list *list, const layer *l)
{
    size_t places;
    list->groups = l->groups;
    list->outputs = l->outputs;
    list->phases = l->y.bands * l->x.bands;
    list->inputs = l->inputs * list->phases;
    list->count = l->y.slots * l->x.slots;
    const size_t sizes[] = {l->groups, list->count, l->outputs, l->inputs, list->phases, 64};
    if (!irn_product(&places, sizes, 6))
        return irn_fail(IRN_ERROR_ARGUMENT, "%zu taps of %zu phases are beyond what can be counted",
                        list->count, list->phases);
    IRN_TRY(irn_alloc(&list->values, places / 64, sizeof(double)));
    IRN_TRY(irn_alloc(&list->offsets, list->count, sizeof *list->offsets));
    IRN_TRY(irn_alloc(&list->places, list->phases, sizeof *list->places));
    for (size_t tap = 0; tap < list->count; tap++) {
        list->offsets[tap][0] = l->y.offsets[tap / l->x.slots];
        list->offsets[tap][1] = l->x.offsets[tap % l->x.slots];
    }
    for (size_t phase = 0; phase < list->phases; phase++) {
        list->places[phase][0] = l->y.phases[phase / l->x.bands];
        list->places[phase][1] = l->x.phases[phase % l->x.bands];
    }
    double peak = largest(l);
    frexp(peak, &list->exponent);
    IRN_TRY(place_all(list, l, peak));
    return drop_zeros(list);
}

irn_status irn_tap_list_create(irn_tap_list *out, const double *kernel,
                               const irn_kernel_shape *shape, const char *name)
{
    const irn_kernel_shape s = irn_shape_filled(shape);
    size_t count;
    *out = (irn_tap_list){0};
    IRN_TRY(irn_shape_check(shape, name, &count));
    IRN_TRY(check_finite(kernel, count, name));
    layer l = {.kernel = kernel,
               .groups = s.groups,
               .outputs = s.outputs / s.groups,
               .inputs = s.inputs / s.groups,
               .rows = s.kernel_height,
               .columns = s.kernel_width};
    irn_status status = irn_tap_places_create(&l.y, l.rows);
    if (status == IRN_OK)
        status = irn_tap_places_create(&l.x, l.columns);
    if (status == IRN_OK)
        status = irn_tap_places_find(&l.y, &out->axes[0], &s, s.height, name);
    if (status == IRN_OK)
        status = irn_tap_places_find(&l.x, &out->axes[1], &s, s.width, name);
    if (status == IRN_OK)
        status = fill(out, &l);
    irn_tap_places_free(&l.y);
    irn_tap_places_free(&l.x);
    if (status != IRN_OK)
        irn_tap_list_free(out);
    return status;
}

void irn_tap_list_free(irn_tap_list *list)
{
    free(list->values);
    free(list->offsets);
    free(list->places);
    *list = (irn_tap_list){0};
}
