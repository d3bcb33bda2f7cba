/* A layer's symbol
 *
 *   A(a, b)[o, i] = sum over taps of K[o, i, tap] e^{2 pi i (a y / N1 + b x / N2)}
 *
 * at every frequency of half its torus (A(-w) is the conjugate). Where the first tap lies, and the
 * sign of the exponent, change no norm.
 *
 * REAL FORM. With Y = [Re A, Im A] and Z = [Im A, -Re A] the matrix of the rows of Y and of Z has
 * the norm of A, each singular value twice. Its Gram matrix is [S, -T; T, S], S = Y Y^T, T = Z Y^T,
 * and T is antisymmetric: two lower triangles hold all of it. (What is computed of the one triangle
 * of T bounds the errors of the other too.) Its trace is 2 tr S.
 *
 * ENTRIES. The root of unity of a tap is found from the angle pi/2 x with 0 <= x <= 1/2 a quotient
 * of whole numbers: wrong by 3 u relatively, so by 3 u pi/4 < 2.4 u. Sine and cosine of the C
 * library are taken to be within 4 units in the last place, of numbers up to 1: 4 u, together 5.7
 * u. So a root is wrong by less than tau = 8.1 u. Each part of an entry, T products added up one
 * after the other, is wrong by g(T) sum |K| |part of the root|, both by g(T) sum |K| (1 + tau)
 * (Minkowski), so the entry by less than 1.005 (T + 9) u sum |K|; T eta for underflow, here and
 * where the kernel was scaled, for each of two parts. The norm of the error is at most the
 * Frobenius norm of these.
 */
#include "certify/check.h"
#include "certify/bound.h"
#include "io/file.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct symbol {
    const irn_check_layer *layer;
    size_t taps, plane;    /* plane: values of the matrix, rows the smaller side */
    double *terms, *roots; /* [tap][plane], [tap][2] */
    irn_check_matrix y, z; /* as above */
    irn_check_matrix gram;
    double error;
} symbol;

static void release(symbol *s)
{
    free(s->terms);
    free(s->roots);
    irn_check_matrix_free(&s->y);
    irn_check_matrix_free(&s->z);
    irn_check_matrix_free(&s->gram);
}

/* Pixels from the first tap: those of the symbol's grid, and the phase within a stride. */
static uint64_t pixels(const irn_check_axis *axis, size_t tap, size_t *phase)
{
    uint64_t offset = (uint64_t)tap * axis->dilation;
    *phase = (size_t)(offset % axis->stride);
    return offset / axis->stride;
}

/* Where the tap's weights stand among the channels of its phases. */
static size_t phase_of(const irn_check_layer *layer, size_t tap)
{
    size_t y, x;
    pixels(&layer->y, tap / layer->x.taps, &y);
    pixels(&layer->x, tap % layer->x.taps, &x);
    return y * layer->x.stride + x;
}

/* Lays out the taps, and bounds the errors of entries, phases taken together. */
static void fill(symbol *s, bool turned)
{
    const irn_check_layer *layer = s->layer;
    double squares = 0;
    for (size_t o = 0; o < layer->outputs; o++)
        for (size_t i = 0; i < layer->inputs; i++) {
            double sum = 0;
            for (size_t tap = 0; tap < s->taps; tap++) {
                double value = irn_check_tap(layer, o, i, tap);
                size_t input = phase_of(layer, tap) * layer->inputs + i;
                size_t row = turned ? input : o, column = turned ? o : input;
                s->terms[tap * s->plane + column * s->y.stride + row] = value;
                sum += fabs(value);
            }
            double taps = (double)s->taps;
            double error = (taps + 9) * 0x1p-53 * sum + 4 * taps * DBL_MIN;
            squares += error * error;
        }
    s->error = 1.01 * sqrt(squares);
}

static irn_status create(symbol *s, const irn_check_layer *layer)
{
    size_t inputs, count;
    const size_t phases[] = {layer->inputs, layer->y.stride, layer->x.stride};
    *s = (symbol){.layer = layer, .taps = layer->y.taps * layer->x.taps};
    if (!irn_product(&inputs, phases, 3) || inputs > SIZE_MAX / 4)
        return irn_fail(IRN_ERROR_MEMORY, "%s: its phases are beyond what can be counted",
                        layer->name);
    size_t rows = irn_smaller(layer->outputs, inputs), columns = irn_larger(layer->outputs, inputs);
    IRN_TRY(irn_check_matrix_create(&s->y, rows, 2 * columns));
    IRN_TRY(irn_check_matrix_create(&s->z, rows, 2 * columns));
    IRN_TRY(irn_check_matrix_create(&s->gram, 2 * s->y.stride, 2 * s->y.stride));
    s->plane = s->y.stride * columns;
    const size_t sizes[] = {s->taps, s->plane};
    if (!irn_product(&count, sizes, 2))
        return irn_fail(IRN_ERROR_MEMORY, "%s: its taps are beyond what can be counted",
                        layer->name);
    IRN_TRY(irn_alloc(&s->terms, count, sizeof *s->terms));
    IRN_TRY(irn_alloc(&s->roots, s->taps, 2 * sizeof *s->roots));
    fill(s, rows < layer->outputs);
    return IRN_OK;
}

/* e^{2 pi i numerator / denominator}, numerator < denominator. */
static void root_of_unity(uint64_t numerator, uint64_t denominator, double *root)
{
    const double quarter = 1.5707963267948966;
    uint64_t quadrant = 4 * numerator / denominator, rest = 4 * numerator % denominator;
    bool beyond = 2 * rest > denominator;
    double angle = quarter * ((double)(beyond ? denominator - rest : rest) / (double)denominator);
    double c = beyond ? sin(angle) : cos(angle), s = beyond ? cos(angle) : sin(angle);
    const double turned[4][2] = {{c, s}, {-s, c}, {-c, -s}, {s, -c}};
    root[0] = turned[quadrant][0];
    root[1] = turned[quadrant][1];
}

static void set_roots(symbol *s, size_t a, size_t b)
{
    const irn_check_axis *y = &s->layer->y, *x = &s->layer->x;
    for (size_t tap = 0; tap < s->taps; tap++) {
        size_t phase;
        uint64_t along = a * (pixels(y, tap / x->taps, &phase) % y->torus) % y->torus;
        uint64_t across = b * (pixels(x, tap % x->taps, &phase) % x->torus) % x->torus;
        uint64_t whole = (uint64_t)y->torus * x->torus;
        root_of_unity((along * x->torus + across * y->torus) % whole, whole, &s->roots[2 * tap]);
    }
}

/* The Gram matrix of the real form at one frequency; returns its trace. */
static double make_gram(symbol *s, size_t a, size_t b)
{
    size_t half = s->y.stride, stride = s->gram.stride;
    double *gram = s->gram.values, trace = 0;
    set_roots(s, a, b);
    irn_check_combine(s->y.values, s->y.values + s->plane, s->terms, s->plane, s->roots, s->taps);
    for (size_t i = 0; i < s->plane; i++) {
        s->z.values[i] = s->y.values[s->plane + i];
        s->z.values[s->plane + i] = -s->y.values[i];
    }
    irn_check_product(gram, stride, &s->y, &s->y, true);
    irn_check_product(gram + half, stride, &s->z, &s->y, true);
    for (size_t j = 0; j < half; j++) {
        double *left = gram + j * stride, *right = gram + (half + j) * stride + half;
        left[half + j] = 0;
        for (size_t i = j; i < half; i++) {
            right[i] = left[i];
            gram[i * stride + half + j] = -left[half + i];
        }
        trace += 2 * left[j];
    }
    return trace;
}

static bool holds_at(symbol *s, size_t a, size_t b)
{
    double trace = make_gram(s, a, b);
    const irn_check_claim claim = {.upper = s->layer->upper,
                                   .error = s->error,
                                   .order = 2 * s->y.rows,
                                   .depth = s->y.columns,
                                   .roundings = irn_check_roundings(s->y.columns),
                                   .trace = trace};
    return irn_check_prove(&claim, &s->gram, NULL);
}

static irn_status check_all(symbol *s, const irn_check_watch *watch)
{
    size_t rows = s->layer->y.torus, columns = s->layer->x.torus;
    const char *name = s->layer->name;
    char text[IRN_EXCERPT];
    for (size_t a = 0; a < rows; a++) {
        IRN_TRY(irn_certify_progress(watch->options, watch->done, watch->total, "layers"));
        for (size_t b = 0; b <= columns / 2; b++) {
            bool mirror = (b == 0 || 2 * b == columns) && 2 * a > rows;
            if (!mirror && !holds_at(s, a, b))
                return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                                "layer '%s': its upper bound is not proven at frequency (%zu, %zu) "
                                "of %zu x %zu",
                                irn_excerpt(text, name, strlen(name)), a, b, rows, columns);
        }
    }
    return IRN_OK;
}

irn_status irn_check_symbol(const irn_check_layer *layer, const irn_check_watch *watch)
{
    symbol s;
    irn_status status = create(&s, layer);
    if (status == IRN_OK)
        status = check_all(&s, watch);
    release(&s);
    return status;
}
