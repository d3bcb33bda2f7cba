#include "spectral/padded.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Multiply-adds that the power iteration on one layer may cost, the relative gain of a step below
 * which it ends, and steps at most. */
static const double effort = 6e7, stop = 2e-5;
enum { MAX_STEPS = 60, SYMBOL_STEPS = 40 };

typedef struct operator
{
    const irn_taps *taps;
    size_t height, width;
}
operator;

/* y[o] += K[o, i] * x[i] for one pair, or with the roles of x and y exchanged the transpose. Taps
 * that look beyond the border see zero. */
static void apply_pair(const operator* w, const double *values, const double *x, double *y,
                       bool transposed)
{
    const irn_taps *taps = w->taps;
    for (size_t t = 0; t < taps->tap_rows * taps->tap_columns; t++) {
        /* Offsets modulo the torus; a row that the offset leads off the map stays off it, since
         * the torus is larger than the map and the reach together. */
        size_t dy = (taps->first_row + t / taps->tap_columns) % taps->height;
        size_t dx = (taps->first_column + t % taps->tap_columns) % taps->width;
        bool back = 2 * dx > taps->width;
        size_t shift = back ? taps->width - dx : dx;
        if (shift >= w->width)
            continue;
        for (size_t row = 0; row < w->height; row++) {
            size_t from = taps->height == 1 ? row : (row + dy) % taps->height;
            if (from >= w->height)
                continue;
            size_t read = (transposed ? row : from) * w->width;
            size_t write = (transposed ? from : row) * w->width;
            bool right = back == transposed; /* reads lie to the right of writes */
            const double *source = x + read + (right ? shift : 0);
            double *target = y + write + (right ? 0 : shift);
            for (size_t i = 0; i < w->width - shift; i++)
                target[i] += values[t] * source[i];
        }
    }
}

static void apply(const operator* w, const double *x, double *y, bool transposed)
{
    size_t points = w->height * w->width, taps = w->taps->tap_rows * w->taps->tap_columns;
    size_t outputs = w->taps->outputs, inputs = w->taps->inputs;
    memset(y, 0, (transposed ? inputs : outputs) * points * sizeof *y);
    for (size_t o = 0; o < outputs; o++)
        for (size_t i = 0; i < inputs; i++)
            apply_pair(w, w->taps->values + (o * inputs + i) * taps,
                       x + (transposed ? o : i) * points, y + (transposed ? i : o) * points,
                       transposed);
}

/* Summed with compensation (Kahan 1965): a few roundings, however many values. */
static double norm_of(const double *x, size_t count)
{
    double sum = 0, lost = 0;
    for (size_t i = 0; i < count; i++) {
        double term = x[i] * x[i] - lost, next = sum + term;
        lost = (next - sum) - term;
        sum = next;
    }
    return sqrt(sum);
}

/* x / ||x||; false if that is not a number. */
static bool normalise(double *x, size_t count)
{
    double norm = norm_of(x, count);
    for (size_t i = 0; i < count; i++)
        x[i] /= norm;
    return norm > 0 && isfinite(norm);
}

/* One step of power iteration on M^H M, M stored as irn_layout says: r = M c, c = M^H r / |.|.
 * Vectors hold real, then imaginary parts. */
static bool symbol_step(const irn_layout *layout, const double *matrix, double *c, double *r)
{
    size_t n = layout->stride, m = layout->columns;
    memset(r, 0, 2 * n * sizeof *r);
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < n; i++) {
            double re = matrix[2 * n * j + i], im = matrix[2 * n * j + n + i];
            r[i] += re * c[j] - im * c[m + j];
            r[n + i] += re * c[m + j] + im * c[j];
        }
    for (size_t j = 0; j < m; j++) {
        double sr = 0, si = 0;
        for (size_t i = 0; i < n; i++) {
            double re = matrix[2 * n * j + i], im = matrix[2 * n * j + n + i];
            sr += re * r[i] + im * r[n + i];
            si += re * r[n + i] - im * r[i];
        }
        c[j] = sr;
        c[m + j] = si;
    }
    return normalise(c, 2 * m);
}

/* The input-side singular vector of the symbol [2][inputs]: the columns' one, or of a transposed
 * symbol the conjugate of the rows' one (A = M^T, M = U S V^H: A = conj(V) S conj(U)^H). */
static irn_status symbol_vector(const irn_taps *taps, size_t frequency, double *vector)
{
    irn_layout layout;
    double *memory;
    IRN_TRY(irn_layout_of(&layout, taps));
    size_t n = layout.stride, m = layout.columns;
    IRN_TRY(irn_alloc(&memory, layout.size + 2 * n + 2 * m + 2 * taps->tap_rows * taps->tap_columns,
                      sizeof(double)));
    double *c = memory + layout.size, *r = c + 2 * m, *phases = r + 2 * n;
    irn_taps_symbol(taps, &layout, frequency / taps->width, frequency % taps->width, phases,
                    memory);
    /* Any start will do that is not special. */
    for (size_t j = 0; j < 2 * m; j++)
        c[j] = cos(1.7 * (double)j * (double)j + 0.3);
    for (int step = 0; step < SYMBOL_STEPS && symbol_step(&layout, memory, c, r); step++)
        continue;
    for (size_t i = 0; i < taps->inputs; i++) {
        vector[i] = layout.transposed ? r[i] : c[i];
        vector[taps->inputs + i] = layout.transposed ? -r[n + i] : c[m + i];
    }
    free(memory);
    return IRN_OK;
}

/* x[i] = Re(vector[i] e^{i w p}) times half a sine period over the map in each direction. */
static void start(const operator* w, const double *vector, size_t frequency, double *x)
{
    const double pi = 3.14159265358979323846;
    const irn_taps *taps = w->taps;
    size_t a = frequency / taps->width, b = frequency % taps->width;
    for (size_t row = 0; row < w->height; row++)
        for (size_t column = 0; column < w->width; column++) {
            double angle = 2 * pi *
                           ((double)(a * row % taps->height) / (double)taps->height +
                            (double)(b * column % taps->width) / (double)taps->width);
            double fade = sin(pi * ((double)row + 1) / ((double)w->height + 1)) *
                          sin(pi * ((double)column + 1) / ((double)w->width + 1));
            for (size_t i = 0; i < taps->inputs; i++)
                x[(i * w->height + row) * w->width + column] =
                    fade * (vector[i] * cos(angle) - vector[taps->inputs + i] * sin(angle));
        }
}

/* The quotient less what rounding can have added: every y has a sum of inputs x taps products,
 * wrong by at most that many u times the sum of their magnitudes, in norm weight ||x||; the two
 * norms and the division by a few u. Twice that, for the terms of second order. */
static double rounded_down(const irn_taps *taps, double quotient)
{
    double sums = (double)taps->inputs * (double)(taps->tap_rows * taps->tap_columns);
    double lower = quotient - DBL_EPSILON * (16 * quotient + (sums + 1) * taps->weight);
    return lower > 0 ? lower : 0;
}

irn_status irn_padded_quotient(const irn_taps *taps, size_t height, size_t width, size_t frequency,
                               double *quotient)
{
    const operator w = {taps, height, width};
    size_t points = height * width, inputs = taps->inputs * points,
           outputs = taps->outputs * points;
    double cost =
        (double)outputs * (double)taps->inputs * (double)(taps->tap_rows * taps->tap_columns);
    double *vector, *x = NULL, *y = NULL;
    *quotient = 0;
    IRN_TRY(irn_alloc(&vector, 2 * taps->inputs, sizeof(double)));
    irn_status status = symbol_vector(taps, frequency, vector);
    if (status == IRN_OK)
        status = irn_alloc(&x, inputs, sizeof(double));
    if (status == IRN_OK)
        status = irn_alloc(&y, outputs, sizeof(double));
    if (status == IRN_OK) {
        start(&w, vector, frequency, x);
        for (int step = 0; step < MAX_STEPS && normalise(x, inputs); step++) {
            apply(&w, x, y, false);
            double now = norm_of(y, outputs) / norm_of(x, inputs), gain = now - *quotient;
            *quotient = gain > 0 ? now : *quotient;
            if (!(gain > stop * now) || (2 * step + 3) * cost > effort)
                break;
            apply(&w, y, x, true);
        }
        *quotient = rounded_down(taps, *quotient);
    }
    free(vector);
    free(x);
    free(y);
    return status;
}
