/* A zero-padded layer's own matrix W, of a map's pixels times channels.
 *
 * Its near side, outputs or inputs, is the one with fewer rows m, the far side the other. A far
 * pixel and a tap make a near pixel, or none, and a block M_tap of channels; so the Gram matrix of
 * the near side has at (p, q) the sum of M_tap M_tap'^T over all far pixels and taps from which
 * both p and q are made. Pixels come in order, so that the matrix is banded.
 *
 * An entry is a sum of products over far channels and then over at most T taps: with r(channels) +
 * T roundings, of terms whose magnitudes Cauchy and Schwarz bound as in check_matrix.c. */
#include "certify/check.h"
#include "certify/bound.h"
#include "io/file.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

typedef struct own_matrix {
    const irn_check_layer *layer;
    irn_check_axis y, x;
    bool near_outputs;
    size_t near, far;     /* channels */
    size_t height, width; /* pixels of the near side */
    size_t taps;
    irn_check_matrix tap, other, product;
    irn_check_matrix gram;
    size_t *first; /* first column of every eight rows */
} own_matrix;

static void release(own_matrix *w)
{
    irn_check_matrix_free(&w->tap);
    irn_check_matrix_free(&w->other);
    irn_check_matrix_free(&w->product);
    irn_check_matrix_free(&w->gram);
    free(w->first);
}

/* Along an axis with a single tap a layer only moves pixels, or loses them: its norm is that
 * without the axis. With a dilation and no stride, pixels that differ modulo it never meet, and
 * those that are multiples of it have the largest map, of which the others' are parts. */
static irn_check_axis reduced(irn_check_axis axis)
{
    if (axis.taps == 1) {
        axis.map = axis.outputs = axis.stride = axis.dilation = 1;
        axis.offset = 0;
    } else if (axis.stride == 1) {
        axis.map = axis.outputs = (axis.map + axis.dilation - 1) / axis.dilation;
        axis.offset /= (int64_t)axis.dilation;
        axis.dilation = 1;
    }
    return axis;
}

/* Whether the sides' rows can be counted, and the smaller of them looked at. */
static irn_status choose_side(own_matrix *w)
{
    const irn_check_layer *l = w->layer;
    const size_t out[] = {l->outputs, w->y.outputs, w->x.outputs};
    const size_t in[] = {l->inputs, w->y.map, w->x.map};
    size_t outputs = SIZE_MAX, inputs = SIZE_MAX;
    char text[IRN_EXCERPT];
    irn_product(&outputs, out, 3);
    irn_product(&inputs, in, 3);
    size_t order = irn_smaller(outputs, inputs);
    if (order > IRN_CHECK_ORDER)
        return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                        "layer '%s': its own matrix has more than %d rows and columns",
                        irn_excerpt(text, l->name, strlen(l->name)), IRN_CHECK_ORDER);
    w->near_outputs = outputs <= inputs;
    w->near = w->near_outputs ? l->outputs : l->inputs;
    w->far = w->near_outputs ? l->inputs : l->outputs;
    w->height = w->near_outputs ? w->y.outputs : w->y.map;
    w->width = w->near_outputs ? w->x.outputs : w->x.map;
    return IRN_OK;
}

static irn_status create(own_matrix *w, const irn_check_layer *layer)
{
    *w = (own_matrix){.layer = layer,
                      .y = reduced(layer->y),
                      .x = reduced(layer->x),
                      .taps = layer->y.taps * layer->x.taps};
    IRN_TRY(choose_side(w));
    size_t order = w->near * w->height * w->width;
    IRN_TRY(irn_check_matrix_create(&w->tap, w->near, w->far));
    IRN_TRY(irn_check_matrix_create(&w->other, w->near, w->far));
    size_t columns = (order + IRN_CHECK_PANEL - 1) / IRN_CHECK_PANEL * IRN_CHECK_PANEL;
    IRN_TRY(irn_check_matrix_create(&w->product, w->near, w->tap.panels * IRN_CHECK_PANEL));
    IRN_TRY(irn_check_matrix_create(&w->gram, order, columns));
    IRN_TRY(irn_alloc(&w->first, w->gram.panels, sizeof *w->first));
    for (size_t i = 0; i < w->gram.panels; i++)
        w->first[i] = i * IRN_CHECK_PANEL;
    return IRN_OK;
}

static void load(irn_check_matrix *out, const own_matrix *w, size_t tap)
{
    for (size_t near = 0; near < w->near; near++)
        for (size_t far = 0; far < w->far; far++)
            out->values[irn_check_place(out, near, far)] = irn_check_tap(
                w->layer, w->near_outputs ? near : far, w->near_outputs ? far : near, tap);
}

/* The near pixel of a far one and a tap, in one dimension; false if there is none. An input is read
 * at stride times the output, plus the tap's offset. */
static bool near_pixel(const own_matrix *w, const irn_check_axis *axis, size_t far, size_t tap,
                       size_t *near)
{
    int64_t offset = axis->offset + (int64_t)(tap * axis->dilation);
    int64_t stride = (int64_t)axis->stride;
    int64_t at = w->near_outputs ? (int64_t)far - offset : (int64_t)far * stride + offset;
    int64_t pixels = (int64_t)(w->near_outputs ? axis->outputs : axis->map);
    if (at < 0 || (w->near_outputs && at % stride > 0))
        return false;
    at /= w->near_outputs ? stride : 1;
    *near = (size_t)at;
    return at < pixels;
}

static bool near_place(const own_matrix *w, size_t far_y, size_t far_x, size_t tap, size_t *place)
{
    size_t y, x, columns = w->x.taps;
    if (!near_pixel(w, &w->y, far_y, tap / columns, &y) ||
        !near_pixel(w, &w->x, far_x, tap % columns, &x))
        return false;
    *place = (y * w->width + x) * w->near;
    return true;
}

/* Adds the product to the block at these rows and columns. */
static void add_block(own_matrix *w, size_t row, size_t column)
{
    for (size_t i = 0; i < w->near; i++)
        for (size_t j = 0; j < w->near; j++)
            w->gram.values[irn_check_place(&w->gram, row + i, column + j)] +=
                w->product.values[irn_check_place(&w->product, i, j)];
    for (size_t i = row / IRN_CHECK_PANEL; i <= (row + w->near - 1) / IRN_CHECK_PANEL; i++)
        w->first[i] = irn_smaller(w->first[i], column / IRN_CHECK_PANEL * IRN_CHECK_PANEL);
}

/* All that two taps contribute. */
static void add_taps(own_matrix *w, size_t tap, size_t other)
{
    size_t height = w->near_outputs ? w->y.map : w->y.outputs;
    size_t width = w->near_outputs ? w->x.map : w->x.outputs;
    bool loaded = false;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            size_t row, column;
            if (!near_place(w, y, x, tap, &row) || !near_place(w, y, x, other, &column) ||
                row < column)
                continue;
            if (!loaded) {
                load(&w->other, w, other);
                irn_check_product(&w->product, 0, &w->tap, &w->other, false);
                loaded = true;
            }
            add_block(w, row, column);
        }
}

static irn_status make_gram(own_matrix *w, const irn_check_watch *watch)
{
    for (size_t tap = 0; tap < w->taps; tap++) {
        IRN_TRY(irn_certify_progress(watch->options, watch->done, watch->total, "layers"));
        load(&w->tap, w, tap);
        for (size_t other = 0; other < w->taps; other++)
            add_taps(w, tap, other);
    }
    return IRN_OK;
}

static bool holds(own_matrix *w)
{
    size_t order = w->gram.rows;
    irn_check_claim claim = {.upper = w->layer->upper,
                             .error = (double)order * (double)w->far * (double)w->taps * DBL_MIN,
                             .order = order,
                             .depth = w->far * w->taps,
                             .roundings = irn_check_roundings(w->far) + (double)w->taps};
    for (size_t i = 0; i < order; i++)
        claim.trace += w->gram.values[irn_check_place(&w->gram, i, i)];
    return irn_check_prove(&claim, &w->gram, w->first);
}

irn_status irn_check_operator(const irn_check_layer *layer, const irn_check_watch *watch)
{
    own_matrix w;
    char text[IRN_EXCERPT];
    irn_status status = create(&w, layer);
    if (status == IRN_OK)
        status = make_gram(&w, watch);
    if (status == IRN_OK && !holds(&w))
        status = irn_fail(IRN_ERROR_NOT_CERTIFIED,
                          "layer '%s': its upper bound is not proven of its own matrix",
                          irn_excerpt(text, layer->name, strlen(layer->name)));
    release(&w);
    return status;
}
