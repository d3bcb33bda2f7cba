#include "dense.h"
#include "host.h"

#include <check.h>
#include <lapacke.h>

static size_t one_at_least(size_t value)
{
    return value ? value : 1;
}

static size_t result(size_t map, const irn_kernel_shape *s)
{
    size_t stride = one_at_least(s->stride);
    return s->transposed ? map : (map + stride - 1) / stride;
}

static size_t source(size_t map, const irn_kernel_shape *s)
{
    return s->transposed ? map * one_at_least(s->stride) : map;
}

dense dense_size(const irn_kernel_shape *s)
{
    return (dense){s->outputs * result(s->height, s) * result(s->width, s),
                   s->inputs * source(s->height, s) * source(s->width, s), NULL};
}

/* Where a tap looks from a position of the result, on the map or round it; false if beyond. */
static bool look(long *at, size_t position, size_t tap, size_t taps, size_t map,
                 const irn_kernel_shape *s)
{
    long size = (long)source(map, s);
    *at = (long)(one_at_least(s->stride) * position) +
          (long)one_at_least(s->dilation) * ((long)tap - ((long)taps - 1) / 2);
    if (s->padding == IRN_PAD_CIRCULAR)
        *at = (*at % size + size) % size;
    return *at >= 0 && *at < size;
}

void dense_visit(const double *kernel, const irn_kernel_shape *s, dense_add *add, void *payload)
{
    size_t groups = one_at_least(s->groups), inputs = s->inputs / groups;
    size_t outputs = s->outputs / groups, kh = s->kernel_height, kw = s->kernel_width;
    size_t height = result(s->height, s), width = result(s->width, s);
    long y, x;
    for (size_t e = 0; e < s->outputs * inputs * kh * kw; e++) {
        size_t o = e / (kh * kw) / inputs, i = o / outputs * inputs + e / (kh * kw) % inputs;
        for (size_t place = 0; place < height * width; place++)
            if (look(&y, place / width, e / kw % kh, kh, s->height, s) &&
                look(&x, place % width, e % kw, kw, s->width, s))
                add(payload, o * height * width + place,
                    (i * source(s->height, s) + (size_t)y) * source(s->width, s) + (size_t)x,
                    kernel[e]);
    }
}

static void add_value(void *payload, size_t row, size_t column, double value)
{
    dense *d = payload;
    d->values[row * d->columns + column] += value;
}

dense dense_operator(const double *kernel, const irn_kernel_shape *s)
{
    dense d = dense_size(s);
    d.values = host_doubles(d.rows * d.columns);
    dense_visit(kernel, s, add_value, &d);
    return d;
}

double dense_norm(const dense *d)
{
    size_t least = d->rows < d->columns ? d->rows : d->columns;
    double *copy = host_doubles(d->rows * d->columns), *values = host_doubles(least), none;
    for (size_t i = 0; i < d->rows * d->columns; i++)
        copy[i] = d->values[i];
    /* Row-major is the transpose, column-major. */
    int code = LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', (int)d->columns, (int)d->rows, copy,
                              (int)d->columns, values, &none, 1, &none, 1);
    ck_assert_int_eq(code, 0);
    return values[0];
}
