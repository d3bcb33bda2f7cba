#include "spectral/tap_axis.h"

#include <stdint.h>
#include <stdlib.h>

enum { MOST = 4096 };

irn_status irn_tap_places_create(irn_tap_places *out, size_t taps)
{
    *out = (irn_tap_places){.taps = taps};
    IRN_TRY(irn_alloc(&out->slot, taps, 5 * sizeof *out->slot));
    out->band = out->slot + taps;
    out->offsets = out->band + taps;
    out->phases = out->offsets + taps;
    out->counts = out->phases + taps;
    irn_status status = irn_alloc(&out->used, taps, sizeof *out->used);
    if (status != IRN_OK) {
        irn_tap_places_free(out);
        return status;
    }
    for (size_t tap = 0; tap < taps; tap++)
        out->used[tap] = true;
    return IRN_OK;
}

void irn_tap_places_free(irn_tap_places *places)
{
    free(places->slot);
    free(places->used);
    *places = (irn_tap_places){0};
}

static int64_t floor_divided(int64_t a, int64_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

/* The number of a value in a list of at most MOST different ones, to which it is added if it is
 * new. */
static size_t number_of(size_t *list, size_t *count, size_t value)
{
    size_t i = 0;
    while (i < *count && list[i] != value)
        i++;
    if (i == *count && i < MOST)
        list[(*count)++] = value;
    return i;
}

/* Pixel s Y + distance is phase distance mod s of pixel Y + floor(distance / s). */
static bool number_tap(irn_tap_places *p, const irn_tap_axis *axis, size_t tap, int64_t distance)
{
    int64_t stride = (int64_t)axis->stride, period = (int64_t)axis->period;
    int64_t whole = floor_divided(distance, stride);
    size_t offset = (size_t)(whole - floor_divided(whole, period) * period);
    p->slot[tap] = number_of(p->offsets, &p->slots, offset);
    p->band[tap] = number_of(p->phases, &p->bands, (size_t)(distance - whole * stride));
    return p->slot[tap] < MOST && p->band[tap] < MOST;
}

/* "Same" padding: (taps - 1) / 2 before. */
static int64_t distance_of(const irn_tap_places *p, size_t tap, size_t dilation)
{
    return ((int64_t)tap - (int64_t)(p->taps - 1) / 2) * (int64_t)dilation;
}

static void find_circular(irn_tap_axis *axis, size_t map, size_t stride)
{
    axis->exact = map % stride == 0;
    axis->stride = axis->exact ? stride : 1;
    axis->torus = axis->period = map / axis->stride;
}

/* A tap acts only if it looks less than the map away. */
static void find_zeros(irn_tap_places *p, irn_tap_axis *axis, size_t map, size_t stride,
                       size_t dilation)
{
    size_t reach = 0;
    for (size_t tap = 0; tap < p->taps; tap++) {
        int64_t d = distance_of(p, tap, dilation);
        size_t size = (size_t)(d < 0 ? -d : d);
        p->used[tap] = size < map;
        reach = p->used[tap] ? irn_larger(reach, size) : reach;
    }
    axis->exact = false;
    axis->stride = stride;
    axis->torus = (map + reach + stride - 1) / stride;
    axis->period = 2 * axis->torus;
}

/* What the grid loses along an axis is near pi^2 d^2 / (2 N^2): 0.12 % for N = 64 d. Large kernels
 * have to do with more. */
enum { GRID = 64, LARGEST_GRID = 256 };

static void find_any(const irn_tap_places *p, irn_tap_axis *axis, size_t stride)
{
    axis->exact = stride == 1;
    axis->stride = 1;
    axis->degree = p->taps / 2;
    size_t grid = irn_smaller(GRID * axis->degree, LARGEST_GRID);
    axis->torus = axis->period = irn_larger(irn_larger(grid, 4 * axis->degree), 1);
}

static irn_status number_all(irn_tap_places *p, const irn_tap_axis *axis, size_t dilation,
                             const char *name)
{
    for (size_t tap = 0; tap < p->taps; tap++) {
        if (!p->used[tap])
            continue;
        if (!number_tap(p, axis, tap, distance_of(p, tap, dilation)))
            return irn_fail(IRN_ERROR_UNSUPPORTED,
                            "%s: its taps are at more than %d places along an axis", name, MOST);
        size_t alike = ++p->counts[p->slot[tap]];
        p->most = irn_larger(p->most, alike);
    }
    return IRN_OK;
}

irn_status irn_tap_places_find(irn_tap_places *p, irn_tap_axis *axis, const irn_kernel_shape *shape,
                               size_t map, const char *name)
{
    /* A transposed layer's map is the result of the convolution. */
    size_t stride = shape->stride, size = shape->transposed ? map * stride : map;
    size_t dilation = map == 0 ? 1 : shape->dilation;
    *axis = (irn_tap_axis){.inputs = size, .outputs = (size + stride - 1) / stride};
    if (map == 0)
        find_any(p, axis, stride);
    else if (shape->padding == IRN_PAD_CIRCULAR)
        find_circular(axis, size, stride);
    else
        find_zeros(p, axis, size, stride, dilation);
    IRN_TRY(number_all(p, axis, dilation, name));
    if (map != 0 && p->slots <= 1 && p->bands <= 1) {
        axis->exact = true;
        axis->torus = axis->period = 1;
        p->offsets[0] = 0;
    }
    return IRN_OK;
}
