/* The layer is used as the map V from pixels of `columns` channels to pixels of `rows`, rows <=
 * columns: the layer, or its transpose, which has its norm. x is a vector of the device's numbers,
 * and the quotient is of V^T x as the device computes it.
 *
 * ROUNDING. An entry of V^T x sums rows x taps products: wrong by g(rows taps) sum |X||x|, whose
 * norm is at most g(rows taps) ||S||_F ||x||, S the sum of |X_t|; and as many tiny by underflow.
 * Norms are sums of positive numbers in float64, wrong by at most half their count of u. */
#include "certify/krylov.h"
#include "base/round.h"
#include "certify/lanczos.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Multiply-adds that the steps may take, and the share of the upper bound that is good enough;
 * steps until that is looked at, times that they may begin again, and the fewest worth beginning
 * with. */
static const double effort = 1.6e8, enough = 0.994;
enum { STEPS = 4, RESTARTS = 4, LEAST_STEPS = 2 };

typedef struct krylov {
    const irn_symbol *symbol;
    irn_context *context;
    bool is_double;
    size_t size, group, height, width; /* size: of a number on the device */
    size_t side[2], stride[2];         /* channels of rows and columns, and rounded up to blocks */
    cl_mem taps[2], vectors[2];        /* taps[0]: to rows; vectors[0]: of rows */
    cl_mem offsets;
    double *host; /* one vector of either */
    irn_status status;
} krylov;

static size_t pixels(const krylov *k)
{
    return k->height * k->width;
}

/* As the device's numbers, in place. */
static void narrow(const krylov *k, double *values, size_t count)
{
    for (size_t i = 0; !k->is_double && i < count; i++) {
        float value = (float)values[i];
        memcpy((char *)values + i * sizeof value, &value, sizeof value);
    }
}

static void widen(const krylov *k, double *values, size_t count)
{
    for (size_t i = count; !k->is_double && i-- > 0;) {
        float value;
        memcpy(&value, (const char *)values + i * sizeof value, sizeof value);
        values[i] = value;
    }
}

/* The taps as they are (to rows) or transposed: [tap][depth][stride]. */
static irn_status upload_taps(krylov *k, int to)
{
    const irn_symbol *s = k->symbol;
    const irn_planes *x = &s->prover.matrix;
    size_t depth = k->stride[1 - to], stride = k->stride[to], plane = depth * stride;
    const double *from = s->taps + k->group * s->list.count * x->columns * x->stride;
    double *taps;
    IRN_TRY(irn_alloc(&taps, s->list.count * plane, sizeof *taps));
    for (size_t t = 0; t < s->list.count; t++, from += x->columns * x->stride)
        for (size_t column = 0; column < x->columns; column++)
            for (size_t row = 0; row < x->rows; row++) {
                size_t at = to == 0 ? column * stride + row : row * stride + column;
                taps[t * plane + at] = from[column * x->stride + row];
            }
    narrow(k, taps, s->list.count * plane);
    irn_status status =
        irn_memory_create(k->context, &k->taps[to], s->list.count * plane, k->size, false);
    if (status == IRN_OK)
        status =
            irn_memory_write(k->context, k->taps[to], 0, taps, s->list.count * plane * k->size);
    free(taps);
    return status;
}

static irn_status upload_offsets(krylov *k)
{
    const irn_tap_list *list = &k->symbol->list;
    int(*offsets)[2];
    IRN_TRY(irn_alloc(&offsets, list->count, sizeof *offsets));
    for (size_t t = 0; t < list->count; t++)
        for (int axis = 0; axis < 2; axis++)
            offsets[t][axis] = (int)list->offsets[t][axis];
    irn_status status =
        irn_memory_create(k->context, &k->offsets, list->count, sizeof *offsets, false);
    if (status == IRN_OK)
        status =
            irn_memory_write(k->context, k->offsets, 0, offsets, list->count * sizeof *offsets);
    free(offsets);
    return status;
}

/* vectors[to] = V (to rows) or V^T (to columns) of the other one. A tap of V looks ahead if X is
 * the layer's matrix, and back if it is its transpose. */
static irn_status apply(krylov *k, int to)
{
    const irn_tap_list *list = &k->symbol->list;
    irn_context *context = k->context;
    bool ahead = (to == 0) != k->symbol->correlation.turned, simt = context->tuning.work_group > 1;
    size_t group = context->tuning.work_group, block = context->tuning.channel_block;
    size_t run = simt || (k->is_double && block == 8) ? 4 : 8;
    irn_call call = irn_call_begin(context, "common.clh lanes.clh tap_sum.cl",
                                   k->is_double ? "-DREAL=double" : "-DREAL=float", "tap_sum");
    irn_call_memory(&call, k->taps[to], 0);
    irn_call_memory(&call, k->offsets, 0);
    irn_call_memory(&call, k->vectors[1 - to], 0);
    irn_call_memory(&call, k->vectors[to], 0);
    irn_call_int(&call, list->count);
    irn_call_int(&call, k->stride[1 - to]);
    irn_call_int(&call, k->stride[to]);
    irn_call_int(&call, k->height);
    irn_call_int(&call, k->width);
    irn_call_int(&call, list->axes[0].period);
    irn_call_int(&call, list->axes[1].period);
    irn_call_int(&call, ahead ? 1 : 0);
    size_t blocks = simt ? k->stride[to] : k->stride[to] / block;
    return irn_call_run(&call, blocks, (pixels(k) + run - 1) / run, 1, group);
}

/* The device's number of these values, which become what it is. */
static irn_status write_vector(krylov *k, double *values, size_t count)
{
    narrow(k, values, count);
    IRN_TRY(irn_memory_write(k->context, k->vectors[0], 0, values, count * k->size));
    widen(k, values, count);
    return IRN_OK;
}

static irn_status read_vector(krylov *k, int which, double *values, size_t count)
{
    IRN_TRY(irn_memory_read(k->context, k->vectors[which], 0, values, count * k->size));
    widen(k, values, count);
    return IRN_OK;
}

/* V V^T for Lanczos. */
static void gram_map(double *out, const double *x, void *payload)
{
    krylov *k = payload;
    size_t count = pixels(k) * k->stride[0];
    memcpy(k->host, x, count * sizeof *x);
    if (k->status == IRN_OK)
        k->status = write_vector(k, k->host, count);
    if (k->status == IRN_OK)
        k->status = apply(k, 1);
    if (k->status == IRN_OK)
        k->status = apply(k, 0);
    if (k->status == IRN_OK)
        k->status = read_vector(k, 0, out, count);
    if (k->status != IRN_OK)
        memset(out, 0, count * sizeof *out);
}

/* x(p, r) = Re(v_r e^{i w p}), or its mirror image for the transpose, faded. */
static void start(const krylov *k, double *x)
{
    const double pi = 3.14159265358979323846;
    const irn_symbol *s = k->symbol;
    size_t row = s->peak.row, column = s->peak.column;
    size_t tall = s->list.axes[0].period, wide = s->list.axes[1].period;
    double sign = s->correlation.turned ? -1 : 1;
    for (size_t y = 0; y < k->height; y++)
        for (size_t z = 0; z < k->width; z++) {
            double angle = sign * 2 * pi *
                           ((double)(row * y % tall) / (double)tall +
                            (double)(column * z % wide) / (double)wide);
            double fade = sin(pi * ((double)y + 1) / ((double)k->height + 1)) *
                          sin(pi * ((double)z + 1) / ((double)k->width + 1));
            double *to = x + (y * k->width + z) * k->stride[0];
            for (size_t r = 0; r < k->side[0]; r++)
                to[r] = fade *
                        (s->prover.vector_re[r] * cos(angle) - s->prover.vector_im[r] * sin(angle));
        }
}

static double norm_of(const double *x, size_t count)
{
    double square = 0;
    for (size_t i = 0; i < count; i++)
        square += x[i] * x[i];
    return sqrt(square);
}

static irn_status quotient(krylov *k, double *x, double *lower)
{
    const irn_tap_list *list = &k->symbol->list;
    const irn_rounding rounding = k->is_double ? irn_rounding_64() : irn_rounding_32();
    size_t rows = pixels(k) * k->stride[0], columns = pixels(k) * k->stride[1];
    IRN_TRY(write_vector(k, x, rows));
    IRN_TRY(apply(k, 1));
    IRN_TRY(read_vector(k, 1, k->host, columns));
    double terms = (double)k->stride[0] * (double)list->count;
    double above = norm_of(k->host, columns), below = norm_of(x, rows);
    if (!(below > 0.5 && below < 2 && isfinite(above) && (terms + 4) * rounding.unit <= 1e-3))
        return IRN_OK;
    double value = above / below * (1 - 1.01 * ((double)(rows + columns) + 8) * DBL_EPSILON / 2);
    double error = 1.01 * (terms + 2) * rounding.unit * list->weight + list->error +
                   2 * terms * sqrt((double)columns) * rounding.tiny;
    double found = irn_round_down(value - 1.01 * error);
    *lower = found > *lower ? found : *lower;
    return IRN_OK;
}

static irn_status prepare(krylov *k)
{
    size_t block = k->context->tuning.work_group > 1 ? 1 : k->context->tuning.channel_block;
    k->size = k->is_double ? sizeof(double) : sizeof(float);
    k->side[0] = k->symbol->correlation.rows;
    k->side[1] = k->symbol->correlation.columns;
    for (int i = 0; i < 2; i++)
        k->stride[i] = (k->side[i] + block - 1) / block * block;
    for (int i = 0; i < 2; i++) {
        IRN_TRY(irn_memory_create(k->context, &k->vectors[i], (pixels(k) + 1) * k->stride[i],
                                  k->size, true));
        IRN_TRY(upload_taps(k, i));
    }
    IRN_TRY(upload_offsets(k));
    return irn_alloc(&k->host, pixels(k) * k->stride[1], sizeof *k->host);
}

static irn_status run(krylov *k, size_t steps, double target, double *lower)
{
    double *x;
    size_t count = pixels(k) * k->stride[0];
    IRN_TRY(irn_alloc(&x, count, sizeof *x));
    start(k, x);
    irn_status status = IRN_OK;
    for (int i = 0; i < RESTARTS && steps > 0 && *lower < target && status == IRN_OK; i++) {
        size_t now = irn_smaller(steps, STEPS);
        status = irn_lanczos(x, count, now, gram_map, k);
        if (status == IRN_OK)
            status = k->status;
        if (status == IRN_OK)
            status = quotient(k, x, lower);
        steps -= now;
    }
    free(x);
    return status;
}

static size_t length_of(const irn_tap_axis *axis)
{
    return axis->torus == 1 ? 1 : axis->outputs;
}

irn_status irn_krylov_quotient(double *lower, double upper, const irn_symbol *symbol,
                               irn_context *context, bool is_double)
{
    const irn_tap_list *list = &symbol->list;
    krylov k = {.symbol = symbol,
                .context = context,
                .is_double = is_double,
                .group = symbol->peak.group,
                .height = length_of(&list->axes[0]),
                .width = length_of(&list->axes[1])};
    double cost =
        (double)list->outputs * (double)list->inputs * (double)list->count * (double)pixels(&k);
    double steps = fmin(STEPS * RESTARTS, effort / (2 * cost)), target = enough * upper;
    if (list->axes[0].stride * list->axes[1].stride > 1 || steps < LEAST_STEPS || *lower >= target)
        return IRN_OK;
    irn_status status = prepare(&k);
    if (status == IRN_OK)
        status = run(&k, (size_t)steps, target, lower);
    const cl_mem memory[] = {k.taps[0], k.taps[1], k.vectors[0], k.vectors[1], k.offsets};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        irn_memory_release(context, memory[i]);
    free(k.host);
    return status;
}
