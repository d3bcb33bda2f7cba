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
#include "io/file.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

typedef struct own_matrix {
    const irn_check_layer *layer;
    bool near_outputs;
    size_t near, far;     /* channels */
    size_t height, width; /* pixels of the near side */
    size_t taps, block;   /* block: values of a tap's matrix */
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

/* Whether the sides' rows can be counted, and the smaller of them looked at. */
static irn_status choose_side(own_matrix *w)
{
    const irn_check_layer *l = w->layer;
    const size_t out[] = {l->outputs, l->y.outputs, l->x.outputs};
    const size_t in[] = {l->inputs, l->y.map, l->x.map};
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
    w->height = w->near_outputs ? l->y.outputs : l->y.map;
    w->width = w->near_outputs ? l->x.outputs : l->x.map;
    return IRN_OK;
}

static irn_status create(own_matrix *w, const irn_check_layer *layer)
{
    *w = (own_matrix){.layer = layer, .taps = layer->y.taps * layer->x.taps};
    IRN_TRY(choose_side(w));
    size_t order = w->near * w->height * w->width;
    IRN_TRY(irn_check_matrix_create(&w->tap, w->near, w->far));
    IRN_TRY(irn_check_matrix_create(&w->other, w->near, w->far));
    IRN_TRY(irn_check_matrix_create(&w->product, w->near, w->tap.stride));
    IRN_TRY(irn_check_matrix_create(&w->gram, order, (order + 7) / 8 * 8));
    IRN_TRY(irn_alloc(&w->first, w->gram.stride / 8, sizeof *w->first));
    for (size_t i = 0; i < w->gram.stride / 8; i++)
        w->first[i] = 8 * i;
    return IRN_OK;
}

static void load(irn_check_matrix *out, const own_matrix *w, size_t tap)
{
    for (size_t near = 0; near < w->near; near++)
        for (size_t far = 0; far < w->far; far++)
            out->values[far * out->stride + near] = irn_check_tap(
                w->layer, w->near_outputs ? near : far, w->near_outputs ? far : near, tap);
}

/* The near pixel of a far one and a tap, in one dimension; false if there is none. */
static bool near_pixel(const own_matrix *w, const irn_check_axis *axis, size_t far, size_t tap,
                       size_t *near)
{
    size_t forward = tap * axis->dilation, back = axis->before * axis->dilation;
    if (w->near_outputs) { /* far + back - forward = stride near */
        if (far + back < forward || (far + back - forward) % axis->stride > 0)
            return false;
        *near = (far + back - forward) / axis->stride;
        return *near < axis->outputs;
    }
    if (far * axis->stride + forward < back)
        return false;
    *near = far * axis->stride + forward - back;
    return *near < axis->map;
}

static bool near_place(const own_matrix *w, size_t far_y, size_t far_x, size_t tap, size_t *place)
{
    size_t y, x, columns = w->layer->x.taps;
    if (!near_pixel(w, &w->layer->y, far_y, tap / columns, &y) ||
        !near_pixel(w, &w->layer->x, far_x, tap % columns, &x))
        return false;
    *place = (y * w->width + x) * w->near;
    return true;
}

/* Adds the product to the block at these rows and columns. */
static void add_block(own_matrix *w, size_t row, size_t column)
{
    for (size_t j = 0; j < w->near; j++)
        for (size_t i = 0; i < w->near; i++)
            w->gram.values[(column + j) * w->gram.stride + row + i] +=
                w->product.values[j * w->product.stride + i];
    for (size_t i = row / 8; i <= (row + w->near - 1) / 8; i++)
        w->first[i] = irn_smaller(w->first[i], column / 8 * 8);
}

/* All that two taps contribute. */
static void add_taps(own_matrix *w, size_t tap, size_t other)
{
    const irn_check_layer *l = w->layer;
    size_t height = w->near_outputs ? l->y.map : l->y.outputs;
    size_t width = w->near_outputs ? l->x.map : l->x.outputs;
    bool loaded = false;
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            size_t row, column;
            if (!near_place(w, y, x, tap, &row) || !near_place(w, y, x, other, &column) ||
                row < column)
                continue;
            if (!loaded) {
                load(&w->other, w, other);
                irn_check_product(w->product.values, w->product.stride, &w->tap, &w->other, false);
                loaded = true;
            }
            add_block(w, row, column);
        }
}

static bool holds(own_matrix *w)
{
    size_t order = w->gram.rows;
    irn_check_claim claim = {.upper = w->layer->upper,
                             .error = (double)order * (double)w->far * (double)w->taps * DBL_MIN,
                             .order = order,
                             .depth = w->far * w->taps,
                             .roundings = irn_check_roundings(w->far) + (double)w->taps};
    for (size_t tap = 0; tap < w->taps; tap++) {
        load(&w->tap, w, tap);
        for (size_t other = 0; other < w->taps; other++)
            add_taps(w, tap, other);
    }
    for (size_t i = 0; i < order; i++)
        claim.trace += w->gram.values[i * w->gram.stride + i];
    return irn_check_prove(&claim, &w->gram, w->first);
}

irn_status irn_check_operator(const irn_check_layer *layer)
{
    own_matrix w;
    char text[IRN_EXCERPT];
    irn_status status = create(&w, layer);
    if (status == IRN_OK && !holds(&w))
        status = irn_fail(IRN_ERROR_NOT_CERTIFIED,
                          "layer '%s': its upper bound is not proven of its own matrix",
                          irn_excerpt(text, layer->name, strlen(layer->name)));
    release(&w);
    return status;
}
