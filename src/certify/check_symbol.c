/* A layer's symbol
 *
 *   A(a, b)[o, i] = sum over taps of K[o, i, tap] e^{2 pi i (a y / N1 + b x / N2)}
 *
 * at every frequency of half its torus (A(-w) is the conjugate). Where the first tap lies, and the
 * sign of the exponent, change no norm. Along a shifted axis a + 1/2 stands for a: the waves change
 * their sign once around, so that places count modulo two rounds, and frequencies are the odd ones
 * of those.
 *
 * REAL FORM. With Y = [Re A, Im A] and Z = [Im A, -Re A] the matrix of the rows of Y and of Z has
 * the norm of A, each singular value twice. Its Gram matrix is [S, -T; T, S], S = Y Y^T, T = Z Y^T,
 * and T is antisymmetric: two lower triangles hold all of it. (What is computed of the one triangle
 * of T bounds the errors of the other too.) Its trace is 2 tr S.
 *
 * ENTRIES. Taps at the same place of the torus are added up first; of F numbers that loses less
 * than (F - 1) u sum |K|. The root of unity of a place is found from the angle pi/2 x with 0 <= x
 * <= 1/2 a quotient of whole numbers: wrong by 3 u relatively, so by 3 u pi/4 < 2.4 u. Sine and
 * cosine of the C library are taken to be within 4 units in the last place, of numbers up to 1: 4
 * u, together 5.7 u. So a root is wrong by less than tau = 8.1 u. Each part of an entry, P products
 * added up one after the other, is wrong by g(P) sum |K'| |part of the root|, K' what was added up,
 * both parts by g(P) sum |K'| (1 + tau) (Minkowski), so the entry by less than 1.005 (P + 9) u sum
 * |K'|; eta for each tap for underflow, here and where the kernel was scaled, in each of two parts.
 * The norm of the error is at most the Frobenius norm of these. */
#include "certify/check.h"
#include "certify/bound.h"
#include "io/file.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct symbol {
    const irn_check_layer *layer;
    size_t taps, places, plane; /* plane: values of the matrix, rows the smaller side */
    bool turned;                /* rows are inputs */
    size_t *place;              /* [tap]: number of its place */
    size_t *first, most;        /* [place]: a tap there; most: taps at one place */
    double *terms, *roots;      /* [place][plane], [place][2] */
    irn_check_matrix form;      /* of a plane, without values */
    irn_check_matrix y, z;      /* as above */
    irn_check_matrix gram;
    double error;
} symbol;

static void release(symbol *s)
{
    free(s->place);
    free(s->terms);
    free(s->roots);
    irn_check_matrix_free(&s->y);
    irn_check_matrix_free(&s->z);
    irn_check_matrix_free(&s->gram);
}

/* After so many pixels of the grid waves repeat. */
static uint64_t period_of(const irn_check_axis *axis)
{
    return axis->shifted ? 2 * (uint64_t)axis->torus : axis->torus;
}

/* Where a tap reads, in the grid of the symbol, from the first tap; and the phase within a stride.
 */
static size_t grid_place(const irn_check_axis *axis, size_t tap, size_t *phase)
{
    uint64_t pixel = (uint64_t)tap * axis->dilation;
    *phase = (size_t)(pixel % axis->stride);
    return (size_t)(pixel / axis->stride % period_of(axis));
}

typedef struct tap_place {
    size_t y, x, phase; /* phase: of both dimensions */
} tap_place;

static tap_place place_of(const irn_check_layer *layer, size_t tap)
{
    size_t y, x;
    tap_place place = {.y = grid_place(&layer->y, tap / layer->x.taps, &y),
                       .x = grid_place(&layer->x, tap % layer->x.taps, &x)};
    place.phase = y * layer->x.stride + x;
    return place;
}

/* Numbers the places. Nobody has so many; they would take for ever. */
static irn_status find_places(symbol *s)
{
    enum { MOST_PLACES = 4096 };
    const char *name = s->layer->name;
    char text[IRN_EXCERPT];
    size_t *count;
    IRN_TRY(irn_alloc(&s->place, s->taps, 3 * sizeof *s->place));
    s->first = s->place + s->taps;
    count = s->first + s->taps;
    for (size_t tap = 0; tap < s->taps; tap++) {
        tap_place at = place_of(s->layer, tap);
        size_t i = 0;
        for (; i < s->places; i++) {
            tap_place other = place_of(s->layer, s->first[i]);
            if (at.y == other.y && at.x == other.x)
                break;
        }
        if (i == MOST_PLACES)
            return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                            "layer '%s': has taps at more than %d places of its torus",
                            irn_excerpt(text, name, strlen(name)), MOST_PLACES);
        if (i == s->places)
            s->first[s->places++] = tap;
        s->place[tap] = i;
        s->most = irn_larger(s->most, ++count[i]);
    }
    return IRN_OK;
}

static double *term(const symbol *s, size_t place, size_t phase, size_t output, size_t input)
{
    size_t channel = phase * s->layer->inputs + input;
    size_t row = s->turned ? channel : output, column = s->turned ? output : channel;
    return s->terms + place * s->plane + irn_check_place(&s->form, row, column);
}

/* Lays out the taps of a pair, and bounds the error of its entry, phases taken together. */
static double fill_pair(symbol *s, size_t output, size_t input)
{
    const irn_check_layer *layer = s->layer;
    size_t phases = layer->y.stride * layer->x.stride;
    double all = 0, added = 0, most = (double)s->most, taps = (double)s->taps;
    for (size_t tap = 0; tap < s->taps; tap++) {
        double value = irn_check_tap(layer, output, input, tap);
        *term(s, s->place[tap], place_of(layer, tap).phase, output, input) += value;
        all += fabs(value);
    }
    for (size_t i = 0; i < s->places * phases; i++)
        added += fabs(*term(s, i / phases, i % phases, output, input));
    return 0x1p-53 * ((most - 1) * all + ((double)s->places + 9) * added) + 4 * taps * DBL_MIN;
}

static void fill(symbol *s)
{
    double squares = 0;
    for (size_t output = 0; output < s->layer->outputs; output++)
        for (size_t input = 0; input < s->layer->inputs; input++) {
            double error = fill_pair(s, output, input);
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
    s->turned = rows < layer->outputs;
    IRN_TRY(find_places(s));
    IRN_TRY(irn_check_matrix_create(&s->y, rows, 2 * columns));
    IRN_TRY(irn_check_matrix_create(&s->z, rows, 2 * columns));
    size_t order = 2 * s->y.panels * IRN_CHECK_PANEL;
    IRN_TRY(irn_check_matrix_create(&s->gram, order, order));
    s->form = (irn_check_matrix){.rows = rows, .columns = columns, .panels = s->y.panels};
    s->plane = s->y.panels * IRN_CHECK_PANEL * columns;
    const size_t sizes[] = {s->places, s->plane};
    if (!irn_product(&count, sizes, 2))
        return irn_fail(IRN_ERROR_MEMORY, "%s: its taps are beyond what can be counted",
                        layer->name);
    IRN_TRY(irn_alloc(&s->terms, count, sizeof *s->terms));
    IRN_TRY(irn_alloc(&s->roots, s->places, 2 * sizeof *s->roots));
    fill(s);
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
    uint64_t height = period_of(y), width = period_of(x), whole = height * width;
    uint64_t row = y->shifted ? 2 * (uint64_t)a + 1 : a;
    uint64_t column = x->shifted ? 2 * (uint64_t)b + 1 : b;
    for (size_t i = 0; i < s->places; i++) {
        tap_place at = place_of(s->layer, s->first[i]);
        uint64_t along = row * at.y % height, across = column * at.x % width;
        root_of_unity((along * width + across * height) % whole, whole, &s->roots[2 * i]);
    }
}

/* Y and Z at one frequency, panel by panel. */
static void evaluate(symbol *s)
{
    size_t half = s->form.columns * IRN_CHECK_PANEL;
    for (size_t panel = 0; panel < s->y.panels; panel++) {
        double *y = s->y.values + 2 * panel * half, *z = s->z.values + 2 * panel * half;
        irn_check_combine(y, y + half, half, s->terms + panel * half, s->plane, s->roots,
                          s->places);
        for (size_t i = 0; i < half; i++) {
            z[i] = y[half + i];
            z[half + i] = -y[i];
        }
    }
}

/* The Gram matrix of the real form at one frequency; returns its trace. */
static double make_gram(symbol *s, size_t a, size_t b)
{
    irn_check_matrix *gram = &s->gram;
    size_t half = s->y.panels * IRN_CHECK_PANEL;
    double trace = 0;
    set_roots(s, a, b);
    evaluate(s);
    irn_check_product(gram, 0, &s->y, &s->y, true);
    irn_check_product(gram, s->y.panels, &s->z, &s->y, true);
    for (size_t j = 0; j < half; j++) {
        gram->values[irn_check_place(gram, half + j, j)] = 0;
        for (size_t i = j; i < half; i++) {
            gram->values[irn_check_place(gram, half + i, half + j)] =
                gram->values[irn_check_place(gram, i, j)];
            gram->values[irn_check_place(gram, half + j, i)] =
                -gram->values[irn_check_place(gram, half + i, j)];
        }
        trace += 2 * gram->values[irn_check_place(gram, j, j)];
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
    const irn_check_axis *y = &s->layer->y, *x = &s->layer->x;
    size_t rows = y->torus, columns = x->torus;
    const char *name = s->layer->name;
    char text[IRN_EXCERPT];
    for (size_t a = 0; a < rows; a++) {
        IRN_TRY(irn_certify_progress(watch->options, watch->done, watch->total, "layers"));
        for (size_t b = 0; 2 * b + x->shifted <= columns; b++) {
            size_t row = 2 * a + y->shifted, column = 2 * b + x->shifted;
            bool mirror = (column == 0 || column == columns) && row > rows;
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
