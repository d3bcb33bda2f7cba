/* The checker's proofs of single kernels against the layers' own matrices, written out and put
 * through LAPACK's SVD, and against what the prover proves. */
#include "host.h"
#include "testing.h"

#include "certify/check.h"
#include "certify/proof.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const irn_check_watch nobody = {.total = 1};

/* ---- truth ---- */

static bool reads(const irn_kernel_shape *s, size_t out, size_t tap, size_t taps, size_t map,
                  size_t *in)
{
    long at = (long)(out * s->stride) + (long)s->dilation * ((long)tap - (long)((taps - 1) / 2));
    if (s->padding == IRN_PAD_CIRCULAR)
        at = (at % (long)map + (long)map) % (long)map;
    *in = (size_t)at;
    return at >= 0 && at < (long)map;
}

/* Adds one tap of the convolution, at all places, to its matrix of `columns` columns. */
static void write_tap(double *matrix, size_t columns, const irn_kernel_shape *s, size_t height,
                      size_t width, size_t out, size_t in, size_t p, size_t q, double value)
{
    size_t rows = (height + s->stride - 1) / s->stride,
           across = (width + s->stride - 1) / s->stride;
    for (size_t y = 0; y < rows; y++)
        for (size_t x = 0; x < across; x++) {
            size_t v, u;
            if (reads(s, y, p, s->kernel_height, height, &v) &&
                reads(s, x, q, s->kernel_width, width, &u))
                matrix[((out * rows + y) * across + x) * columns + (in * height + v) * width + u] +=
                    value;
        }
}

/* Of the convolution, or its transpose, on the map that the shape gives. */
static double true_norm(const double *kernel, const irn_kernel_shape *s)
{
    size_t height = s->height * (s->transposed ? s->stride : 1);
    size_t width = s->width * (s->transposed ? s->stride : 1), group = s->inputs / s->groups;
    size_t rows =
        s->outputs * ((height + s->stride - 1) / s->stride) * ((width + s->stride - 1) / s->stride);
    size_t columns = s->inputs * height * width, least = rows < columns ? rows : columns;
    double *matrix = host_doubles(rows * columns), *values = host_doubles(least);
    for (size_t o = 0; o < s->outputs; o++)
        for (size_t i = 0; i < group; i++)
            for (size_t p = 0; p < s->kernel_height; p++)
                for (size_t q = 0; q < s->kernel_width; q++)
                    write_tap(
                        matrix, columns, s, height, width, o,
                        o / (s->outputs / s->groups) * group + i, p, q,
                        kernel[((o * group + i) * s->kernel_height + p) * s->kernel_width + q]);
    int failed = LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', (int)columns, (int)rows, matrix,
                                (int)columns, values, NULL, 1, NULL, 1);
    ck_assert_int_eq(failed, 0);
    return values[0];
}

/* ---- claims ---- */

static size_t kernel_count(const irn_kernel_shape *s)
{
    return s->outputs * (s->inputs / s->groups) * s->kernel_height * s->kernel_width;
}

static irn_status claim(const double *kernel, const irn_kernel_shape *shape, irn_proof proof,
                        double upper)
{
    irn_layer_bound layer = {
        .name = "test", .shape = *shape, .scale = 1, .kernel_upper = upper, .proof = proof};
    double *copy = host_doubles(kernel_count(shape));
    memcpy(copy, kernel, kernel_count(shape) * sizeof *copy);
    return irn_check_kernel(&layer, copy, &nobody);
}

/* Fewest frequencies that contain the layer along an axis. */
static size_t torus_of(const irn_kernel_shape *s, size_t taps, size_t map)
{
    size_t pixels = map * (s->transposed ? s->stride : 1), near = (taps - 1) / 2, far = taps / 2;
    size_t reach = (pixels - 1) / s->dilation;
    if (s->padding == IRN_PAD_CIRCULAR)
        return pixels % s->stride ? pixels : pixels / s->stride;
    near = near < reach ? near : reach;
    far = far < reach ? far : reach;
    reach = (near > far ? near : far) * s->dilation;
    return (pixels + reach + s->stride - 1) / s->stride;
}

static irn_proof symbol_of(const irn_kernel_shape *s)
{
    return (irn_proof){.method = IRN_PROOF_SYMBOL,
                       .arithmetic = IRN_ARITHMETIC_HOST_FLOAT64,
                       .torus = {torus_of(s, s->kernel_height, s->height),
                                 torus_of(s, s->kernel_width, s->width)}};
}

/* Bit 0: along rows; bit 1: along columns. */
static irn_proof shifted_of(const irn_kernel_shape *s, int shifts)
{
    irn_proof proof = symbol_of(s);
    proof.shifted[0] = shifts & 1;
    proof.shifted[1] = shifts & 2;
    return proof;
}

static const irn_proof operator_proof = {.method = IRN_PROOF_OPERATOR,
                                         .arithmetic = IRN_ARITHMETIC_HOST_FLOAT64};

/* ---- against the layers' matrices ---- */

typedef struct shape_case {
    size_t outputs, inputs, kernel[2], map[2], stride, dilation, groups;
    bool transposed;
} shape_case;

static const shape_case cases[] = {
    {1, 1, {1, 1}, {1, 1}, 1, 1, 1, false}, {3, 2, {3, 3}, {5, 4}, 1, 1, 1, false},
    {2, 5, {3, 3}, {4, 6}, 1, 1, 1, false}, {2, 2, {2, 4}, {5, 6}, 1, 1, 1, false},
    {9, 3, {1, 5}, {3, 7}, 1, 1, 1, false}, {2, 3, {5, 5}, {2, 3}, 1, 1, 1, false},
    {3, 2, {3, 3}, {6, 4}, 2, 1, 1, false}, {3, 2, {3, 3}, {5, 7}, 2, 1, 1, false},
    {2, 4, {4, 4}, {8, 4}, 2, 1, 1, false}, {2, 2, {3, 2}, {9, 6}, 3, 1, 1, false},
    {2, 3, {3, 3}, {7, 6}, 1, 2, 1, false}, {2, 1, {3, 3}, {8, 6}, 2, 3, 1, false},
    {4, 6, {3, 3}, {4, 5}, 1, 1, 2, false}, {6, 6, {3, 3}, {4, 4}, 1, 1, 6, false},
    {4, 2, {3, 3}, {4, 6}, 2, 1, 2, false}, {3, 2, {3, 3}, {3, 2}, 2, 1, 1, true},
    {2, 3, {4, 4}, {2, 3}, 2, 1, 1, true},  {17, 9, {3, 3}, {3, 3}, 1, 1, 1, false},
};
enum { CASES = sizeof cases / sizeof *cases };

static irn_kernel_shape shape_of(const shape_case *c, irn_padding padding)
{
    return (irn_kernel_shape){c->outputs,  c->inputs, c->kernel[0], c->kernel[1],
                              c->map[0],   c->map[1], padding,      c->stride,
                              c->dilation, c->groups, c->transposed};
}

static void refused(const double *kernel, const irn_kernel_shape *shape, irn_proof proof,
                    double upper)
{
    testing_fails(claim(kernel, shape, proof, upper), IRN_ERROR_NOT_CERTIFIED, "layer 'test'");
}

START_TEST(circular)
{
    irn_kernel_shape shape = shape_of(&cases[_i], IRN_PAD_CIRCULAR);
    double *kernel = host_normal(kernel_count(&shape)), norm = true_norm(kernel, &shape);
    bool exact = shape.height % shape.stride == 0 && shape.width % shape.stride == 0;
    refused(kernel, &shape, symbol_of(&shape), norm * (1 - 1e-10));
    testing_ok(claim(kernel, &shape, symbol_of(&shape),
                     norm * (exact || shape.transposed ? 1 + 1e-10 : 3)));
    refused(kernel, &shape, operator_proof, norm * 2);
    for (int shifts = 1; shifts < 4; shifts++)
        refused(kernel, &shape, shifted_of(&shape, shifts), norm * 100);
    host_free_all();
}
END_TEST

START_TEST(zeros)
{
    irn_kernel_shape shape = shape_of(&cases[_i], IRN_PAD_ZEROS);
    double *kernel = host_normal(kernel_count(&shape)), norm = true_norm(kernel, &shape);
    irn_proof proof = symbol_of(&shape);
    refused(kernel, &shape, operator_proof, norm * (1 - 1e-11));
    testing_ok(claim(kernel, &shape, operator_proof, norm * (1 + 1e-11)));
    for (int shifts = 0; shifts < 4; shifts++) {
        proof = shifted_of(&shape, shifts);
        refused(kernel, &shape, proof, norm * (1 - 1e-11));
        if (shifts > 0 && proof.torus[0] * proof.torus[1] == 1) {
            refused(kernel, &shape, proof, norm * 2);
            continue;
        }
        testing_ok(claim(kernel, &shape, proof, norm * 2));
        proof.torus[0] += 3;
        testing_ok(claim(kernel, &shape, proof, norm * 2));
    }
    proof = operator_proof;
    proof.shifted[1] = true;
    refused(kernel, &shape, proof, norm * 2);
    host_free_all();
}
END_TEST

/* A torus that changes sign once around contains a layer like another: the largest singular value
 * over its frequencies is above the layer's, and where taps of one sign have their largest norm at
 * frequency 0, it is below that of the torus that has this frequency. */
START_TEST(shifts)
{
    for (size_t stride = 1; stride < 4; stride++) {
        irn_kernel_shape shape = {2, 3, 5, 5, 7, 6, IRN_PAD_ZEROS, stride, 1, 1, false};
        double *kernel = host_normal(kernel_count(&shape));
        for (size_t i = 0; i < kernel_count(&shape); i++)
            kernel[i] = 1 + 0.1 * fabs(kernel[i]);
        irn_bound bound;
        irn_proof proof;
        testing_ok(irn_prove_symbol(&bound, &proof, NULL, IRN_ARITHMETIC_HOST_FLOAT64, kernel,
                                    &shape, "test"));
        ck_assert(proof.shifted[0] && proof.shifted[1]);
        ck_assert(bound.upper >= true_norm(kernel, &shape));
        testing_ok(claim(kernel, &shape, proof, bound.upper));
        for (int shifts = 0; shifts < 3; shifts++)
            refused(kernel, &shape, shifted_of(&shape, shifts), bound.upper * 1.01);
    }
    host_free_all();
}
END_TEST

/* Tori that do not contain the layer, or are not its own, prove nothing however large the bound. */
START_TEST(tori)
{
    irn_kernel_shape shape = {2, 2, 3, 3, 6, 8, (irn_padding)_i, 1, 1, 1, false};
    double *kernel = host_normal(36);
    irn_proof proof = symbol_of(&shape);
    testing_ok(claim(kernel, &shape, proof, 100));
    for (size_t axis = 0; axis < 2; axis++) {
        irn_proof other = proof;
        other.torus[axis]--;
        refused(kernel, &shape, other, 100);
        other.torus[axis] = 0;
        refused(kernel, &shape, other, 100);
        other.torus[axis] = (size_t)1 << 24;
        refused(kernel, &shape, other, 100);
        other.torus[axis] = SIZE_MAX;
        refused(kernel, &shape, other, 100);
    }
    shape.height = 0;
    refused(kernel, &shape, proof, 100);
    shape.height = 6;
    shape.groups = 3;
    refused(kernel, &shape, proof, 100);
    host_free_all();
}
END_TEST

/* Frequencies along an axis when only taps first .. last are not 0. */
static size_t sparse_torus(const irn_kernel_shape *s, size_t taps, size_t map, size_t first,
                           size_t last)
{
    long center = (long)(taps - 1) / 2;
    size_t before = first < (size_t)center ? (size_t)center - first : 0;
    size_t after = last > (size_t)center ? last - (size_t)center : 0;
    if (first == last || map == 1)
        return 1;
    return s->padding == IRN_PAD_CIRCULAR ? map : map + (before > after ? before : after);
}

/* Taps that are 0 all over do not count, and single ones move pixels only. */
START_TEST(sparse)
{
    host_restart();
    for (int trial = 0; trial < 200; trial += host_step(1)) {
        irn_kernel_shape shape = {2, 3, 1, 5,    1, 5 + host_below(4), (irn_padding)host_below(2),
                                  1, 1, 1, false};
        size_t first = host_below(5), last = first + host_below(5 - first);
        double *kernel = host_normal(kernel_count(&shape));
        for (size_t i = 0; i < kernel_count(&shape); i++)
            kernel[i] *= i % 5 >= first && i % 5 <= last;
        double norm = true_norm(kernel, &shape);
        irn_proof proof = {.method = IRN_PROOF_SYMBOL,
                           .arithmetic = IRN_ARITHMETIC_HOST_FLOAT64,
                           .torus = {1, sparse_torus(&shape, 5, shape.width, first, last)}};
        refused(kernel, &shape, proof, norm * (1 - 1e-10));
        testing_ok(
            claim(kernel, &shape, proof,
                  norm * (shape.padding == IRN_PAD_CIRCULAR || first == last ? 1 + 1e-10 : 2)));
        proof.torus[1]--;
        refused(kernel, &shape, proof, norm * 4);
        host_free_all();
    }
}
END_TEST

/* Taps that fall on the same pixel of a circular map, in whatever phase of a stride. */
START_TEST(folded)
{
    irn_kernel_shape shape = {1, 1, 1, 6, 1, 5, IRN_PAD_CIRCULAR, 1, 1, 1, false};
    const double kernel[6] = {1, 0, 0, 0, 0, 1};
    const irn_proof proof = {
        .method = IRN_PROOF_SYMBOL, .arithmetic = IRN_ARITHMETIC_HOST_FLOAT64, .torus = {1, 1}};
    for (shape.stride = 1; shape.stride < 7; shape.stride++) {
        ck_assert(fabs(true_norm(kernel, &shape) - 2) < 1e-12);
        refused(kernel, &shape, proof, 1.999);
        testing_ok(claim(kernel, &shape, proof, 2.001));
    }
    host_free_all();
}
END_TEST

/* ---- against the prover ---- */

static const double scales[] = {1, 1e-30, 1e30, 1e-300, 1e300, 5e-324};

/* What the prover left above the norm is enough for the checker. */
static void agree(const double *kernel, const irn_kernel_shape *shape)
{
    irn_bound bound;
    irn_proof proof;
    testing_ok(
        irn_prove_symbol(&bound, &proof, NULL, IRN_ARITHMETIC_HOST_FLOAT64, kernel, shape, "test"));
    testing_ok(claim(kernel, shape, proof, bound.upper));
    if (bound.lower > 1e-300)
        refused(kernel, shape, symbol_of(shape), bound.lower * (1 - 1e-12));
}

START_TEST(proofs)
{
    host_restart();
    for (int trial = 0; trial < 300; trial += host_step(1)) {
        irn_kernel_shape shape = {host_between(1, 20),
                                  host_between(1, 20),
                                  host_between(1, 5),
                                  host_between(1, 5),
                                  host_between(1, 9),
                                  host_between(1, 9),
                                  (irn_padding)host_below(2),
                                  1,
                                  1,
                                  1,
                                  false};
        double *kernel = host_normal(kernel_count(&shape));
        for (size_t i = 0; i < kernel_count(&shape); i++)
            kernel[i] *= scales[trial % 6] / (trial % 6 == 4 ? 1e3 : 1);
        agree(kernel, &shape);
        host_free_all();
    }
}
END_TEST

/* Kernels whose taps cancel on small maps, so that the norm is of the size of the rounding errors;
 * flat, of rank one, one huge entry, zero. */
START_TEST(adversarial)
{
    enum { CHANNELS = 12 };
    host_restart();
    for (int trial = 0; trial < 120; trial += host_step(1)) {
        irn_kernel_shape shape = {CHANNELS,
                                  CHANNELS,
                                  3,
                                  3,
                                  1 + host_below(3),
                                  1 + host_below(3),
                                  (irn_padding)(trial % 2),
                                  1,
                                  1,
                                  1,
                                  false};
        size_t count = kernel_count(&shape), kind = (size_t)trial / 2 % 6;
        double *kernel = host_normal(count), *factors = host_normal(count);
        for (size_t pair = 0; pair < count / 9; pair++) {
            double sum = 0, *taps = kernel + 9 * pair;
            for (size_t tap = 0; tap < 9; tap++) {
                if (kind == 0)
                    taps[tap] = 1.0 / 3;
                if (kind == 1)
                    taps[tap] = factors[pair / CHANNELS] * factors[pair % CHANNELS];
                if (kind == 2)
                    taps[tap] *= pair == 7 && tap == 4 ? 1e200 : 1e-30;
                if (kind == 3)
                    taps[tap] = tap == 4 && pair / CHANNELS == pair % CHANNELS;
                if (kind == 5)
                    taps[tap] = 0;
                sum += taps[tap];
            }
            if (kind == 4)
                taps[0] -= sum; /* to 0 on a 1 x 1 torus, but for rounding */
        }
        agree(kernel, &shape);
        host_free_all();
    }
}
END_TEST

/* A value that never acts, as no output stands where it would, is not in the matrix's units. */
START_TEST(idle)
{
    irn_kernel_shape shape = {1, 1, 1, 3, 1, 3, IRN_PAD_ZEROS, 3, 1, 1, false};
    const double kernel[3] = {1e300, 1, 1e-300};
    testing_ok(claim(kernel, &shape, operator_proof, 1 + 1e-10));
    refused(kernel, &shape, operator_proof, 1 - 1e-10);
    refused(kernel, &shape, symbol_of(&shape), 2);
    testing_ok(claim(kernel, &shape, symbol_of(&shape), 2e300));
    host_free_all();
}
END_TEST

START_TEST(any_size)
{
    const size_t kernels[][2] = {{3, 3}, {5, 4}, {1, 7}, {2, 1}, {1, 1}};
    irn_kernel_shape any = {5, 4, kernels[_i][0], kernels[_i][1], 0, 0, IRN_PAD_ZEROS, 1,
                            1, 1, false};
    double *kernel = host_normal(kernel_count(&any));
    irn_proof proof;
    irn_bound bound;
    testing_ok(
        irn_prove_symbol(&bound, &proof, NULL, IRN_ARITHMETIC_HOST_FLOAT64, kernel, &any, "test"));
    testing_ok(claim(kernel, &any, proof, bound.upper));
    refused(kernel, &any, proof, bound.lower);
    any.padding = IRN_PAD_CIRCULAR;
    any.dilation = 4; /* of which 32 and 40 are multiples */
    testing_ok(claim(kernel, &any, proof, bound.upper));
    refused(kernel, &any, proof, bound.lower);
    refused(kernel, &any, operator_proof, bound.upper * 2);
    proof.torus[1] = any.kernel_width / 2 * 2;
    refused(kernel, &any, proof, bound.upper * 2);
    host_free_all();
}
END_TEST

static bool stop(size_t done, size_t total, const char *what, void *payload)
{
    (void)done, (void)total, (void)what;
    return --*(int *)payload > 0;
}

START_TEST(refusals)
{
    irn_kernel_shape shape = {1, 1, 3, 3, 4, 4, IRN_PAD_CIRCULAR, 1, 1, 1, false};
    double kernel[9] = {0};
    irn_proof proof = symbol_of(&shape);
    testing_ok(claim(kernel, &shape, proof, 0));
    kernel[4] = 1;
    refused(kernel, &shape, proof, 0);
    refused(kernel, &shape, proof, NAN);
    testing_ok(claim(kernel, &shape, proof, INFINITY));
    kernel[0] = NAN;
    testing_fails(claim(kernel, &shape, proof, 3), IRN_ERROR_NUMERIC, "value 0 of 9");
    kernel[0] = 0;
    int calls = 3;
    irn_certify_options options = IRN_CERTIFY_OPTIONS_INIT;
    options.progress = stop;
    options.progress_payload = &calls;
    irn_check_watch watch = {.options = &options, .total = 1};
    irn_layer_bound layer = {.name = "test", .shape = shape, .kernel_upper = 2, .proof = proof};
    testing_fails(irn_check_kernel(&layer, kernel, &watch), IRN_ERROR_CANCELLED, "0 of 1");
    shape = (irn_kernel_shape){65, 65, 3, 3, 8, 8, IRN_PAD_ZEROS, 1, 1, 1, false};
    double *large = host_doubles(65 * 65 * 9);
    large[0] = large[8] = 1;
    testing_fails(claim(large, &shape, operator_proof, 3), IRN_ERROR_NOT_CERTIFIED, "4096");
    /* Pixels that do not meet do not count. */
    shape.dilation = 3;
    testing_ok(claim(large, &shape, operator_proof, 1.4143));
    shape.dilation = shape.kernel_height = shape.kernel_width = 1;
    shape.height = shape.width = 1000;
    testing_ok(claim(large, &shape, operator_proof, 1.4143));
    refused(large, &shape, operator_proof, 1.4142);
    host_free_all();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("check");
    TCase *test = testing_case(suite, "kernels");
    tcase_set_timeout(test, 120);
    tcase_add_loop_test(test, circular, 0, CASES);
    tcase_add_loop_test(test, zeros, 0, CASES);
    tcase_add_test(test, shifts);
    tcase_add_loop_test(test, tori, 0, 2);
    tcase_add_test(test, sparse);
    tcase_add_test(test, folded);
    tcase_add_test(test, proofs);
    tcase_add_test(test, adversarial);
    tcase_add_test(test, idle);
    tcase_add_loop_test(test, any_size, 0, 5);
    tcase_add_test(test, refusals);
    return testing_run(suite);
}
