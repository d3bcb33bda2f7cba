/* From a layer's shape to what has to be proven of it.
 *
 * A tap at an offset of so many pixels reads there. Circular padding: the layer is diagonal in the
 * frequencies of its map. Zero padding: an output at one end of the map reads less than the map
 * away, taps beyond never act. On a torus of the map's size and the reach of those that do, a place
 * before or behind the map is never a place on it, so that the layer is a restriction of the
 * torus's and its norm at most that one's.
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
    irn_check_axis axis = {.taps = taps,
                           .before = (taps - 1) / 2,
                           .dilation = one_at_least(shape->dilation),
                           .stride = one_at_least(shape->stride)};
    axis.map = shape->transposed ? map * axis.stride : map;
    axis.outputs = (axis.map + axis.stride - 1) / axis.stride;
    if (map > 0 && shape->padding == IRN_PAD_ZEROS) {
        size_t reach = (axis.map - 1) / axis.dilation;
        size_t near = irn_smaller(axis.before, reach);
        size_t far = irn_smaller(taps - 1 - axis.before, reach);
        axis.first = axis.before - near;
        axis.before = near;
        axis.taps = near + 1 + far;
    }
    return axis;
}

/* Whether so many frequencies prove something of the layer. A single tap's symbol is the same at
 * all of them. */
static bool set_torus(irn_check_axis *axis, size_t torus, irn_padding padding)
{
    size_t reach = irn_larger(axis->before, axis->taps - 1 - axis->before) * axis->dilation;
    size_t pixels = torus * axis->stride;
    axis->torus = torus;
    if (torus == 0 || torus > most_pixels || pixels / torus != axis->stride)
        return false;
    if (axis->map == 0) {
        axis->stride = 1;   /* a bound of all strides */
        axis->dilation = 1; /* dilated frequencies are all frequencies too, but not on a grid */
        return torus > axis->taps / 2 * 2;
    }
    if (axis->taps == 1) {
        axis->torus = 1;
        return pixels <= 2 * (axis->map + axis->stride);
    }
    if (padding == IRN_PAD_ZEROS) /* not larger than anyone wants it, which could take for ever */
        return pixels >= axis->map + reach && pixels <= 2 * (axis->map + reach + axis->stride);
    if (axis->map % axis->stride > 0) {
        axis->stride = 1;
        return torus == axis->map;
    }
    return pixels == axis->map;
}

/* cos(pi d / N) from below: the angle is wrong by at most 3 u pi / 2, the C library's cosine by
 * less than 4 units in the last place, 4 u. */
static double grid_cosine(const irn_check_axis *axis)
{
    double angle = 3.141592653589793 * ((double)(axis->taps / 2) / (double)axis->torus);
    return axis->taps == 1 ? 1 : cos(angle) - 10 * 0x1p-53;
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

static irn_status prepare(irn_check_layer *layer, const irn_layer_bound *bound, size_t groups)
{
    const irn_kernel_shape *s = &bound->shape;
    const irn_proof *proof = &bound->proof;
    IRN_TRY(check_shape(bound, groups));
    *layer = (irn_check_layer){.name = bound->name,
                               .outputs = s->outputs / groups,
                               .inputs = s->inputs / groups,
                               .kernel_height = s->kernel_height,
                               .kernel_width = s->kernel_width,
                               .y = axis_of(s->kernel_height, s->height, s),
                               .x = axis_of(s->kernel_width, s->width, s)};
    if (proof->method == IRN_PROOF_OPERATOR) {
        bool zeros = s->height > 0 && s->padding == IRN_PAD_ZEROS;
        if (!zeros || proof->torus[0] > 0 || proof->torus[1] > 0)
            return refuse(bound->name, "the proof by its own matrix is of zero padding on one map");
    } else if (!set_torus(&layer->y, proof->torus[0], s->padding) ||
               !set_torus(&layer->x, proof->torus[1], s->padding)) {
        return refuse(bound->name, "the torus of its proof is not one that contains the layer");
    }
    return IRN_OK;
}

/* Scales by a power of two: exact, but where it underflows. Taps that never act keep out of it, and
 * are then not looked at. exponent: of the largest that acts; *any: whether one is not 0. */
static irn_status scale(const irn_check_layer *layer, double *kernel, size_t pairs, int *exponent,
                        bool *any)
{
    size_t count = pairs * layer->kernel_height * layer->kernel_width;
    irn_check_layer view = *layer;
    double peak = 0;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(kernel[i]))
            return irn_fail(IRN_ERROR_NUMERIC, "%s: value %zu of %zu is %f, not a finite number",
                            layer->name, i, count, kernel[i]);
    view.values = kernel;
    view.inputs = 1; /* pairs count like outputs */
    for (size_t pair = 0; pair < pairs; pair++)
        for (size_t tap = 0; tap < layer->y.taps * layer->x.taps; tap++)
            peak = fmax(peak, fabs(irn_check_tap(&view, pair, 0, tap)));
    *any = peak > 0;
    frexp(peak, exponent);
    for (size_t i = 0; i < count; i++)
        kernel[i] = ldexp(kernel[i], -*exponent);
    return IRN_OK;
}

irn_status irn_check_kernel(const irn_layer_bound *bound, double *kernel,
                            const irn_check_watch *watch)
{
    irn_check_layer layer;
    size_t groups = one_at_least(bound->shape.groups);
    int exponent;
    bool any;
    IRN_TRY(prepare(&layer, bound, groups));
    size_t group = layer.outputs * layer.inputs * layer.kernel_height * layer.kernel_width;
    IRN_TRY(scale(&layer, kernel, groups * layer.outputs * layer.inputs, &exponent, &any));
    if (!any || isinf(bound->kernel_upper))
        return bound->kernel_upper >= 0 ? IRN_OK : refuse(bound->name, "its bound is negative");
    if (!(bound->kernel_upper > 0))
        return refuse(bound->name, "it is not zero, as its bound claims");
    layer.upper = irn_round_down(ldexp(bound->kernel_upper, -exponent));
    if (layer.y.map == 0) {
        layer.upper = irn_round_down(layer.upper * grid_cosine(&layer.y));
        layer.upper = irn_round_down(layer.upper * grid_cosine(&layer.x));
    }
    for (size_t i = 0; i < groups; i++) {
        layer.values = kernel + i * group;
        IRN_TRY(bound->proof.method == IRN_PROOF_OPERATOR ? irn_check_operator(&layer)
                                                          : irn_check_symbol(&layer, watch));
    }
    return IRN_OK;
}
