/* From a layer's shape to what has to be proven of it.
 *
 * A tap at an offset d reads d pixels from where the output stands. Circular padding: the layer is
 * diagonal in the frequencies of its map. Zero padding: taps with |d| of the map's size or more
 * never act, and are left out. On a torus of at least the map and the largest |d| left a place
 * before or behind the map is never taken for a place on it: the layer is a restriction of the
 * torus's, and its norm at most that one's. Taps that are 0 do not count; if all others read at the
 * same place, the symbol is the same at all frequencies, up to a factor of modulus 1.
 *
 * Stride s: of a torus of s N pixels N are outputs, and every s-th input belongs to one of s
 * phases, which become channels: the symbol has N frequencies and s times the inputs for each
 * dimension. Where s does not divide a circular map, outputs are some of those at stride 1, whose
 * norm is a bound.
 *
 * Any size: the supremum over all frequencies, which bounds circular maps as their frequencies are
 * some of them and zero padding as above. With u, v fixed, Re(e^{i phi} u^H A(w) v) is a
 * trigonometric polynomial in either variable, of degree d = floor(taps / 2) after a factor of
 * modulus 1, in the dilated frequency, which takes all values too. On a grid of N > 2d it
 * comes up to its maximum but for the factor cos(pi d / N) (Ehlich, Zeller 1964). */
#include "certify/check.h"
#include "base/round.h"
#include "io/file.h"

#include <math.h>
#include <string.h>

/* Fractions of frequencies are then whole numbers that float64 holds, and so are offsets. */
static const size_t most_pixels = (size_t)1 << 24, most_channels = (size_t)1 << 28;

static irn_status refuse(const char *name, const char *what)
{
    char text[IRN_EXCERPT];
    return irn_fail(IRN_ERROR_NOT_CERTIFIED, "layer '%s': %s",
                    irn_excerpt(text, name, strlen(name)), what);
}

static size_t one_at_least(size_t value)
{
    return value > 0 ? value : 1;
}

/* ---- one dimension ---- */

static irn_check_axis axis_of(size_t taps, size_t map, const irn_kernel_shape *shape)
{
    irn_check_axis axis = {.dilation = one_at_least(shape->dilation),
                           .stride = one_at_least(shape->stride)};
    axis.map = shape->transposed ? map * axis.stride : map;
    axis.outputs = (axis.map + axis.stride - 1) / axis.stride;
    axis.offset = -(int64_t)((taps - 1) / 2 * axis.dilation);
    return axis;
}

/* Tap number `tap` of a kernel of which nothing is known yet. Outputs stand at pixels 0, s, ..., so
 * that with a stride some taps act on the torus, but not on the map. */
static bool acts(const irn_check_axis *axis, size_t tap, const irn_layer_bound *bound)
{
    bool on_map = bound->proof.method == IRN_PROOF_OPERATOR;
    int64_t offset = axis->offset + (int64_t)(tap * axis->dilation), map = (int64_t)axis->map;
    int64_t before = on_map && map > 0 ? (int64_t)((axis->outputs - 1) * axis->stride) : map - 1;
    return map == 0 || bound->shape.padding == IRN_PAD_CIRCULAR ||
           (offset < map && -offset <= before);
}

/* Counts a tap that acts and is not 0; the range is [first, first + taps). */
static void count_tap(irn_check_axis *axis, size_t tap)
{
    size_t end = axis->first + axis->taps;
    if (axis->taps == 0) {
        axis->first = tap;
        axis->taps = 1;
        return;
    }
    size_t a = axis->step, b = tap > axis->first ? tap - axis->first : axis->first - tap;
    while (b > 0) {
        size_t rest = a % b;
        a = b;
        b = rest;
    }
    axis->step = a;
    axis->first = irn_smaller(axis->first, tap);
    axis->taps = irn_larger(end, tap + 1) - axis->first;
}

/* Pixels, if not more than anyone wants, which could take for ever. */
static bool contains(const irn_check_axis *axis, size_t pixels)
{
    int64_t last = axis->offset + (int64_t)((axis->taps - 1) * axis->dilation);
    int64_t reach = last > -axis->offset ? last : -axis->offset;
    size_t least = axis->map + (size_t)(reach > 0 ? reach : 0);
    return pixels >= least && pixels <= 2 * (least + axis->stride);
}

/* Whether so many frequencies prove something of the layer. Shifted, they are those of the layer on
 * maps that go on with the opposite sign beyond the ends of the torus. On a torus that contains a
 * zero-padded layer, what its results read beyond an end is zero, which has no sign, so that the
 * layer is a part of this one, too; circular layers read what is not zero. */
static bool set_torus(irn_check_axis *axis, size_t torus, bool shifted, irn_padding padding)
{
    const size_t most_grid = 4096;
    bool any = axis->map == 0, circular = !any && padding == IRN_PAD_CIRCULAR;
    size_t distance = axis->step * axis->dilation;
    if (any)
        axis->dilation = 1; /* it would skip frequencies of the grid that are others of a map */
    if (any || (circular && axis->map % axis->stride > 0))
        axis->stride = 1; /* whose norm bounds that of all strides */
    axis->torus = torus;
    axis->shifted = shifted;
    if (shifted && (any || circular))
        return false;
    if (torus == 0 || torus > most_pixels)
        return false;
    if (any)
        return torus > axis->taps / 2 * 2 && torus <= most_grid + 4 * axis->taps;
    if (torus == 1 && (distance == 0 || (circular && distance % axis->map == 0)))
        return !shifted;
    return circular ? torus * axis->stride == axis->map : contains(axis, torus * axis->stride);
}

/* cos(pi d / N) from below: the angle is wrong by at most 3 u pi / 2, the C library's cosine by
 * less than 4 units in the last place, 4 u. */
static double grid_cosine(const irn_check_axis *axis)
{
    double angle = 3.141592653589793 * ((double)(axis->taps / 2) / (double)axis->torus);
    return axis->taps <= 1 ? 1 : cos(angle) - 10 * 0x1p-53;
}

/* ---- the layer ---- */

double irn_check_tap(const irn_check_layer *layer, size_t output, size_t input, size_t tap)
{
    size_t row = layer->y.first + tap / layer->x.taps,
           column = layer->x.first + tap % layer->x.taps;
    size_t pair = output * layer->inputs + input;
    return layer->values[(pair * layer->kernel_height + row) * layer->kernel_width + column];
}

static irn_status check_shape(const irn_layer_bound *bound, size_t groups)
{
    const irn_kernel_shape *s = &bound->shape;
    const size_t channels[] = {s->outputs, s->inputs, s->kernel_height, s->kernel_width};
    const size_t pixels[] = {one_at_least(s->height), one_at_least(s->width), s->dilation,
                             s->stride};
    for (size_t i = 0; i < 4; i++) {
        if (channels[i] == 0 || channels[i] > most_channels)
            return refuse(bound->name, "its kernel has an impossible size");
        if (pixels[i] > most_pixels)
            return refuse(bound->name, "its map, stride or dilation has an impossible size");
    }
    if ((s->height == 0) != (s->width == 0))
        return refuse(bound->name, "only one side of its map is of any size");
    if (s->outputs % groups > 0 || s->inputs % groups > 0)
        return refuse(bound->name, "its channels cannot be divided into so many groups");
    return IRN_OK;
}

static irn_check_layer layer_of(const irn_layer_bound *bound, size_t groups)
{
    const irn_kernel_shape *s = &bound->shape;
    return (irn_check_layer){.name = bound->name,
                             .outputs = s->outputs / groups,
                             .inputs = s->inputs / groups,
                             .kernel_height = s->kernel_height,
                             .kernel_width = s->kernel_width,
                             .y = axis_of(s->kernel_height, s->height, s),
                             .x = axis_of(s->kernel_width, s->width, s)};
}

/* Finds the taps that act and are not 0, and the largest magnitude among them. */
static irn_status find_taps(irn_check_layer *layer, const double *kernel, size_t pairs,
                            const irn_layer_bound *bound, double *peak)
{
    size_t rows = layer->kernel_height, columns = layer->kernel_width;
    irn_check_axis *y = &layer->y, *x = &layer->x;
    *peak = 0;
    for (size_t i = 0; i < pairs * rows * columns; i++) {
        size_t row = i / columns % rows, column = i % columns;
        if (!isfinite(kernel[i]))
            return irn_fail(IRN_ERROR_NUMERIC, "%s: value %zu of %zu is %f, not a finite number",
                            layer->name, i, pairs * rows * columns, kernel[i]);
        if (kernel[i] == 0 || !acts(y, row, bound) || !acts(x, column, bound))
            continue;
        count_tap(y, row);
        count_tap(x, column);
        *peak = fmax(*peak, fabs(kernel[i]));
    }
    y->offset += (int64_t)(y->first * y->dilation);
    x->offset += (int64_t)(x->first * x->dilation);
    return IRN_OK;
}

static irn_status check_proof(irn_check_layer *layer, const irn_layer_bound *bound)
{
    const irn_kernel_shape *s = &bound->shape;
    const irn_proof *proof = &bound->proof;
    if (proof->method == IRN_PROOF_OPERATOR) {
        bool zeros = s->height > 0 && s->padding == IRN_PAD_ZEROS;
        if (!zeros || proof->torus[0] > 0 || proof->torus[1] > 0 || proof->shifted[0] ||
            proof->shifted[1])
            return refuse(bound->name, "the proof by its own matrix is of zero padding on one map");
    } else if (!set_torus(&layer->y, proof->torus[0], proof->shifted[0], s->padding) ||
               !set_torus(&layer->x, proof->torus[1], proof->shifted[1], s->padding)) {
        return refuse(bound->name, "the torus of its proof is not one that contains the layer");
    }
    return IRN_OK;
}

irn_status irn_check_kernel(const irn_layer_bound *bound, double *kernel,
                            const irn_check_watch *watch)
{
    const irn_kernel_shape *s = &bound->shape;
    size_t groups = one_at_least(s->groups);
    double peak, upper = bound->kernel_upper;
    int exponent;
    IRN_TRY(check_shape(bound, groups));
    irn_check_layer layer = layer_of(bound, groups);
    size_t group = layer.outputs * layer.inputs * s->kernel_height * s->kernel_width;
    IRN_TRY(find_taps(&layer, kernel, groups * layer.outputs * layer.inputs, bound, &peak));
    if (!(upper > 0 || (upper == 0 && peak == 0)))
        return refuse(bound->name, "its norm is larger than the bound");
    if (peak == 0 || isinf(upper))
        return IRN_OK;
    IRN_TRY(check_proof(&layer, bound));
    /* By a power of two: exact, but where it underflows. Taps that never act are not looked at. */
    frexp(peak, &exponent);
    for (size_t i = 0; i < groups * group; i++)
        kernel[i] = ldexp(kernel[i], -exponent);
    layer.upper = irn_round_down(ldexp(upper, -exponent));
    if (layer.y.map == 0) {
        layer.upper = irn_round_down(layer.upper * grid_cosine(&layer.y));
        layer.upper = irn_round_down(layer.upper * grid_cosine(&layer.x));
    }
    for (size_t i = 0; i < groups; i++) {
        layer.values = kernel + i * group;
        IRN_TRY(bound->proof.method == IRN_PROOF_OPERATOR ? irn_check_operator(&layer, watch)
                                                          : irn_check_symbol(&layer, watch));
    }
    return IRN_OK;
}
