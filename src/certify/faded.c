/* The layer at a faded wave. With x(p, i) = f(p) v_i at pixel p, f a complex number and v a complex
 * vector, the result at pixel Y is
 *
 *   y(Y) = sum over taps and phases of f(s (Y + offset) + place) M_tap[phase] v[phase],
 *
 * so that the products with v are made once and not at every pixel. f is a product of a function of
 * the row and one of the column; off the map it is 0.
 *
 * ROUNDING. x is what f's and v's floating-point numbers say; no error of theirs matters. An entry
 * of w = M v is a sum of products, of `inputs` terms for each part: wrong by g(inputs) sum |M||v|.
 * y sums 2 taps x phases real products f w for each part, and f itself is one of two complex
 * numbers (4 roundings). So y is wrong by at most
 *     sqrt(2) (inputs + 2 taps phases + 8) u sum |f| |M| |v|,
 * whose norm is at most that of the layer with magnitudes for taps, times ||x||: below ||S||_F
 * ||x||, S the sum of |M| over the taps. Norms are sums of positive numbers, wrong by at most half
 * their count of u relatively. */
#include "certify/faded.h"
#include "base/round.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* f along one axis: [phase place][torus] complex; 0 where the map has no pixel. */
typedef struct wave {
    size_t torus, stride, results;
    double *values;
} wave;

/* Half a sine period over the map, the shape in which a wave with a simple maximum of the symbol's
 * norm meets the border. */
static irn_status wave_create(wave *out, const irn_tap_axis *axis, size_t frequency)
{
    const double pi = 3.14159265358979323846;
    *out = (wave){axis->torus, axis->stride, axis->torus == 1 ? 1 : axis->outputs, NULL};
    IRN_TRY(irn_alloc(&out->values, axis->torus * axis->stride, 2 * sizeof(double)));
    for (size_t place = 0; place < axis->stride; place++)
        for (size_t i = 0; i < axis->torus; i++) {
            size_t pixel = i * axis->stride + place;
            double turn = (double)(frequency * i % axis->period) / (double)axis->period;
            double fade = sin(pi * ((double)pixel + 1) / ((double)axis->inputs + 1));
            fade = pixel >= axis->inputs ? 0 : axis->torus == 1 ? 1 : fade;
            double *to = out->values + 2 * (place * axis->torus + i);
            to[0] = fade * cos(2 * pi * turn);
            to[1] = fade * sin(2 * pi * turn);
        }
    return IRN_OK;
}

typedef struct quotient {
    const irn_tap_list *list;
    const double *values, *vector;
    wave y, x;
    double *products; /* [tap][phase][re, im][outputs] */
    double *sum;      /* [re, im][outputs] */
} quotient;

static void multiply(quotient *q)
{
    const irn_tap_list *list = q->list;
    size_t width = list->inputs / list->phases, outputs = list->outputs;
    const double *re = q->vector, *im = q->vector + list->inputs, *matrix = q->values;
    for (size_t tap = 0; tap < list->count; tap++)
        for (size_t o = 0; o < outputs; o++)
            for (size_t phase = 0; phase < list->phases; phase++, matrix += width) {
                double *to = q->products + (tap * list->phases + phase) * 2 * outputs;
                double a = 0, b = 0;
                for (size_t i = 0; i < width; i++) {
                    a += matrix[i] * re[phase * width + i];
                    b += matrix[i] * im[phase * width + i];
                }
                to[o] = a;
                to[outputs + o] = b;
            }
}

/* The squared length of the result at one pixel. */
static double result_at(quotient *q, size_t row, size_t column)
{
    const irn_tap_list *list = q->list;
    size_t outputs = list->outputs;
    double *re = q->sum, *im = q->sum + outputs, square = 0;
    for (size_t o = 0; o < 2 * outputs; o++)
        re[o] = 0;
    for (size_t i = 0; i < list->count * list->phases; i++) {
        const size_t *offset = list->offsets[i / list->phases],
                     *place = list->places[i % list->phases];
        size_t y = (row + offset[0]) % q->y.torus, x = (column + offset[1]) % q->x.torus;
        const double *a = q->y.values + 2 * (place[0] * q->y.torus + y);
        const double *b = q->x.values + 2 * (place[1] * q->x.torus + x);
        double fr = a[0] * b[0] - a[1] * b[1], fi = a[0] * b[1] + a[1] * b[0];
        const double *w = q->products + 2 * i * outputs;
        if (fr == 0 && fi == 0)
            continue;
        for (size_t o = 0; o < outputs; o++) {
            re[o] += w[o] * fr - w[outputs + o] * fi;
            im[o] += w[o] * fi + w[outputs + o] * fr;
        }
    }
    for (size_t o = 0; o < 2 * outputs; o++)
        square += re[o] * re[o];
    return square;
}

/* Of the phase's pixels along an axis. */
static double wave_square(const wave *w, size_t place)
{
    double square = 0;
    for (size_t i = 0; i < 2 * w->torus; i++)
        square += w->values[2 * place * w->torus + i] * w->values[2 * place * w->torus + i];
    return square;
}

static double input_square(const quotient *q)
{
    const irn_tap_list *list = q->list;
    size_t width = list->inputs / list->phases;
    double square = 0;
    for (size_t phase = 0; phase < list->phases; phase++) {
        double v = 0;
        for (size_t i = phase * width; i < (phase + 1) * width; i++)
            v += q->vector[i] * q->vector[i] +
                 q->vector[list->inputs + i] * q->vector[list->inputs + i];
        square += v * wave_square(&q->y, list->places[phase][0]) *
                  wave_square(&q->x, list->places[phase][1]);
    }
    return square;
}

static double evaluate(quotient *q)
{
    const irn_tap_list *list = q->list;
    double square = 0, input = input_square(q), count = 0;
    multiply(q);
    for (size_t row = 0; row < q->y.results; row++)
        for (size_t column = 0; column < q->x.results; column++)
            square += result_at(q, row, column);
    if (!(input > 1e-200 && isfinite(square)))
        return 0;
    count += (double)(q->y.results + q->y.torus * q->y.stride);
    count *= (double)(q->x.results + q->x.torus * q->x.stride);
    count *= (double)(list->outputs + list->inputs);
    double terms = (double)list->inputs + 2 * (double)(list->count * list->phases) + 8;
    double value = sqrt(square) / sqrt(input) * (1 - 1.01 * (count + 16) * DBL_EPSILON / 2);
    double error = 1.01 * sqrt(2) * terms * DBL_EPSILON / 2 * list->weight + list->error;
    double lower = irn_round_down(value - 1.01 * error - 1e-290);
    return lower > 0 ? lower : 0;
}

irn_status irn_faded_quotient(double *lower, const irn_tap_list *list, size_t group, size_t row,
                              size_t column, const double *vector)
{
    size_t matrix = list->outputs * list->inputs;
    quotient q = {
        .list = list, .values = list->values + group * list->count * matrix, .vector = vector};
    *lower = 0;
    irn_status status = wave_create(&q.y, &list->axes[0], row);
    if (status == IRN_OK)
        status = wave_create(&q.x, &list->axes[1], column);
    if (status == IRN_OK)
        status = irn_alloc(&q.products, 2 * list->count * list->phases + 2,
                           list->outputs * sizeof(double));
    if (status == IRN_OK) {
        q.sum = q.products + 2 * list->count * list->phases * list->outputs;
        *lower = evaluate(&q);
    }
    free(q.y.values);
    free(q.x.values);
    free(q.products);
    return status;
}
