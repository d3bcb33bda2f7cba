/* Bounds of zero-padded layers by their own matrix, against that matrix written down from its
 * definition: its singular values by LAPACK and, if it is small, in Arb's ball arithmetic. */
#include "adversary.h"
#include "dense.h"
#include "exact.h"
#include "golden.h"
#include "host.h"
#include "testing.h"

#include "certify/banded.h"
#include "certify/lanczos.h"
#include "certify/proof.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- truth ---- */

static exact_verdict judge(const dense *d, irn_bound bound)
{
    exact_verdict v = {true, false};
    bool wide = d->rows <= d->columns;
    arb_mat_t m;
    arb_mat_init(m, (slong)(wide ? d->rows : d->columns), (slong)(wide ? d->columns : d->rows));
    for (size_t i = 0; i < d->rows; i++)
        for (size_t j = 0; j < d->columns; j++)
            arb_set_d(arb_mat_entry(m, (slong)(wide ? i : j), (slong)(wide ? j : i)),
                      d->values[i * d->columns + j]);
    exact_judge(&v, m, bound);
    arb_mat_clear(m);
    return v;
}

static const char *text_of(const irn_kernel_shape *s)
{
    static char text[200];
    snprintf(text, sizeof text,
             "%zux%zux%zux%zu on %zux%zu, stride %zu, dilation %zu, %zu groups%s (seed %llu)",
             s->outputs, s->inputs, s->kernel_height, s->kernel_width, s->height, s->width,
             s->stride, s->dilation, s->groups, s->transposed ? ", transposed" : "",
             (unsigned long long)host_seed());
    return text;
}

static irn_bound proven(const double *kernel, const irn_kernel_shape *s)
{
    irn_bound b = {-1, -1};
    bool suits = false;
    testing_ok(irn_prove_operator(&b, &suits, kernel, s, "kernel"));
    ck_assert_msg(suits, "%s", text_of(s));
    return b;
}

/* LAPACK's own error is far below its allowance here. */
static void check_kernel(int kind, const irn_kernel_shape *s)
{
    double *kernel = adversary_kernel(kind, s);
    irn_bound b = proven(kernel, s);
    dense d = dense_operator(kernel, s);
    double norm = dense_norm(&d), allowance = 1e-12 * norm + 4 * DBL_MIN;
    ck_assert_msg(b.lower <= norm + allowance && norm <= b.upper + allowance,
                  "%s kernel %s: %.17g, %.17g, %.17g", adversary_kinds[kind], text_of(s), b.lower,
                  norm, b.upper);
    ck_assert_msg(norm == 0 ? b.upper == 0 : b.upper / b.lower - 1 <= 1e-6,
                  "%s kernel %s: %.17g, %.17g", adversary_kinds[kind], text_of(s), b.lower,
                  b.upper);
    if (norm > 0 && irn_smaller(d.rows, d.columns) <= 36 && irn_larger(d.rows, d.columns) <= 80) {
        exact_verdict v = judge(&d, b);
        ck_assert_msg(v.below_upper && v.above_lower, "%s kernel %s: %.17g, %.17g",
                      adversary_kinds[kind], text_of(s), b.lower, b.upper);
    }
}

/* ---- layers ---- */

static irn_kernel_shape random_shape(size_t most_channels, size_t most_map)
{
    size_t groups = host_below(3) == 0 ? host_between(1, most_channels) : 1;
    irn_kernel_shape s = {groups * host_between(1, most_channels / groups),
                          groups * host_between(1, most_channels / groups),
                          host_between(1, 7),
                          host_between(1, 7),
                          host_between(1, most_map),
                          host_between(1, most_map),
                          IRN_PAD_ZEROS,
                          host_below(4),
                          host_below(3),
                          groups == 1 ? host_below(2) : groups,
                          host_below(3) == 0};
    return s;
}

START_TEST(contained_small)
{
    host_restart();
    for (int i = 0; i < 300; i += host_step(1)) {
        irn_kernel_shape s = random_shape(4, 4);
        check_kernel(_i, &s);
        host_free_all();
    }
}
END_TEST

START_TEST(contained)
{
    host_restart();
    for (int i = 0; i < 60; i += host_step(1)) {
        irn_kernel_shape s = random_shape(8, 9);
        while (s.height * s.width * irn_smaller(s.inputs, s.outputs) > 200)
            s = random_shape(8, 9);
        check_kernel(_i, &s);
        host_free_all();
    }
}
END_TEST

/* Blocks of eight and their ends, bands narrower than the matrix, and either side the smaller. */
static const irn_kernel_shape particular[] = {
    {8, 8, 3, 3, 9, 9, IRN_PAD_ZEROS, 1, 1, 1, false},
    {9, 7, 3, 3, 8, 6, IRN_PAD_ZEROS, 1, 1, 1, false},
    {1, 1, 3, 3, 3, 90, IRN_PAD_ZEROS, 1, 1, 1, false},
    {1, 1, 3, 3, 90, 3, IRN_PAD_ZEROS, 1, 1, 1, false},
    {1, 2, 1, 3, 5, 70, IRN_PAD_ZEROS, 1, 1, 1, false},
    {2, 1, 5, 2, 30, 4, IRN_PAD_ZEROS, 1, 2, 1, false},
    {1, 1, 3, 3, 25, 9, IRN_PAD_ZEROS, 2, 1, 1, false},
    {4, 1, 3, 3, 20, 9, IRN_PAD_ZEROS, 2, 1, 1, false},
    {1, 1, 4, 3, 9, 5, IRN_PAD_ZEROS, 3, 2, 1, true},
    {24, 16, 1, 1, 3, 2, IRN_PAD_ZEROS, 1, 1, 4, false},
    {40, 3, 2, 2, 2, 2, IRN_PAD_ZEROS, 1, 1, 1, false},
    {3, 40, 2, 2, 2, 3, IRN_PAD_ZEROS, 2, 1, 1, false},
};

START_TEST(contained_particular)
{
    host_restart();
    for (int kind = 0; kind < ADVERSARY_KINDS; kind += host_step(1))
        check_kernel(kind, &particular[_i]);
}
END_TEST

/* Bounds are of the layer: they do not change with axes, sides or a factor that is a power of two.
 */
START_TEST(symmetries)
{
    host_restart();
    irn_kernel_shape s = {3, 5, 3, 2, 7, 6, IRN_PAD_ZEROS, 2, 1, 1, false}, turned = s;
    turned.kernel_height = 2;
    turned.kernel_width = 3;
    turned.height = 6;
    turned.width = 7;
    double *kernel = host_normal(90), *other = host_doubles(90), *scaled = host_doubles(90);
    for (size_t e = 0; e < 90; e++) {
        other[e / 6 * 6 + e % 2 * 3 + e % 6 / 2] = kernel[e];
        scaled[e] = ldexp(kernel[e], -700);
    }
    irn_bound b = proven(kernel, &s), c = proven(other, &turned), d = proven(scaled, &s);
    ck_assert(b.lower <= c.upper && c.lower <= b.upper);
    ck_assert(d.upper <= ldexp(b.upper * (1 + 1e-15), -700) &&
              d.upper >= ldexp(b.upper * (1 - 1e-15), -700));
}
END_TEST

/* Far apart as groups are, the smaller ones change nothing; the order does not matter. */
START_TEST(groups)
{
    host_restart();
    irn_kernel_shape one = {1, 1, 3, 3, 6, 5, IRN_PAD_ZEROS, 1, 1, 1, false}, s = one;
    s.outputs = s.inputs = s.groups = 5;
    double *kernel = host_normal(45);
    for (size_t large = 0; large < 5; large++) {
        double *values = host_doubles(45);
        for (size_t e = 0; e < 45; e++)
            values[e] = e / 9 == large ? kernel[e] : kernel[e] * (e % 2 ? 1e-30 : 1e-200);
        irn_bound all = proven(values, &s), b = proven(values + 9 * large, &one);
        ck_assert(all.lower <= b.upper && b.lower <= all.upper);
        ck_assert(all.upper / all.lower - 1 <= 1e-6);
    }
}
END_TEST

/* Of K[o, i, p, q] = B[o, i] a[p, q] the operator is a Kronecker product, and its norm that of B
 * times that of a: 4,096 rows, of which LAPACK sees 64. */
START_TEST(product)
{
    host_restart();
    irn_kernel_shape s = {64, 64, 3, 3, 8, 8, IRN_PAD_ZEROS, 1, 1, 1, false}, one = s;
    size_t side = host_step(1) == 1 ? 64 : 8;
    s.outputs = s.inputs = side;
    one.outputs = one.inputs = 1;
    double *a = host_normal(9), *kernel = host_doubles(side * side * 9);
    dense b = {side, side, host_normal(side * side)}, map = dense_operator(a, &one);
    for (size_t e = 0; e < side * side * 9; e++)
        kernel[e] = b.values[e / 9] * a[e % 9];
    irn_bound bound = proven(kernel, &s);
    double norm = dense_norm(&b) * dense_norm(&map);
    ck_assert_msg(bound.lower <= norm * (1 + 1e-12) && norm <= bound.upper * (1 + 1e-12) &&
                      bound.upper / bound.lower - 1 <= 1e-6,
                  "%.17g, %.17g, %.17g", bound.lower, norm, bound.upper);
}
END_TEST

/* Norms that NumPy found for zero-padded layers. */
START_TEST(golden)
{
    static const struct {
        const char *name;
        irn_kernel_shape shape;
        double norm;
    } cases[] = {
        {"gauss-3x3-16to8-at-8x8.weight",
         {8, 16, 3, 3, 8, 8, IRN_PAD_ZEROS, 1, 1, 1, false},
         1.5940829647248718},
        {"gauss-5x5-4to6-at-7x9.weight",
         {6, 4, 5, 5, 7, 9, IRN_PAD_ZEROS, 1, 1, 1, false},
         1.995664124301035},
        {"orthogonal-3x3-16to16-at-8x8.weight",
         {16, 16, 3, 3, 8, 8, IRN_PAD_ZEROS, 1, 1, 1, false},
         0.9000000289342478},
    };
    irn_safetensors *file = golden_open("spectral.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t count;
        double *kernel = golden_read(file, &count, "%s", cases[i].name), norm = cases[i].norm;
        irn_bound b = proven(kernel, &cases[i].shape);
        ck_assert_msg(b.lower <= norm * (1 + 1e-12) && norm <= b.upper * (1 + 1e-12),
                      "%s: %.17g, %.17g", cases[i].name, b.lower, b.upper);
        ck_assert(b.upper / b.lower - 1 <= 1e-6);
    }
    irn_safetensors_free(file);
}
END_TEST

/* ---- the known trap ---- */

START_TEST(laplacian)
{
    size_t count;
    irn_safetensors *file = golden_open("spectral.safetensors");
    double *kernel = golden_read(file, &count, "laplace-3x3-1to1-at-7x7.weight");
    irn_safetensors_free(file);
    irn_kernel_shape s = {1, 1, 3, 3, 7, 7, IRN_PAD_CIRCULAR, 1, 1, 1, false};
    irn_bound circular, zeros;
    irn_proof proof;
    ck_assert_uint_eq(count, 9);
    testing_ok(irn_prove_symbol(&circular, &proof, NULL, IRN_ARITHMETIC_HOST_FLOAT64, kernel, &s,
                                "kernel"));
    for (size_t i = 0; i < count; i++)
        kernel[i] *= 0.995 / circular.upper;
    testing_ok(irn_prove_symbol(&circular, &proof, NULL, IRN_ARITHMETIC_HOST_FLOAT64, kernel, &s,
                                "kernel"));
    s.padding = IRN_PAD_ZEROS;
    zeros = proven(kernel, &s);
    ck_assert(circular.upper < 1);
    ck_assert_msg(zeros.lower > 1.006 && zeros.upper < 1.008, "%.17g, %.17g", zeros.lower,
                  zeros.upper);
}
END_TEST

/* ---- the factorisation ---- */

/* X of m x n, n >= m, whose row i has entries from i to i + n - m at most, so that the Gram matrix
 * is banded, and that matrix. */
static irn_banded banded_gram(double *x, size_t m, size_t n, size_t width)
{
    irn_banded gram;
    double *block = host_doubles(m * m);
    for (size_t i = 0; i < m; i++)
        for (size_t k = 0; k < n; k++)
            if (k < i || k >= i + width)
                x[i * n + k] = 0;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < m; j++)
            for (size_t k = 0; k < n; k++)
                block[j * m + i] += x[i * n + k] * x[j * n + k];
    testing_ok(irn_banded_create(&gram, m, width - 1));
    irn_banded_add(&gram, 0, 0, block, m);
    return gram;
}

/* Shifts from clearly too small to clearly large enough, where rounding decides: each is refused or
 * proves a bound that holds. */
START_TEST(edge)
{
    int refused = 0, held = 0;
    host_restart();
    for (int i = 0; i < 300; i += host_step(1)) {
        size_t m = host_between(1, 20), n = m + host_below(6);
        size_t width = host_between(1, n - m + 1);
        dense d = {m, n, host_normal(m * n)};
        if (i % 3 == 1) /* leading values nearly equal */
            for (size_t e = 0; e < m * n; e++)
                d.values[e] = (e / n == e % n ? 1 : 0) + 1e-9 * d.values[e];
        irn_banded gram = banded_gram(d.values, m, n, width), factor;
        testing_ok(irn_banded_create(&factor, m, width - 1));
        double norm = dense_norm(&d);
        irn_proof_terms t = {.rows = m, .columns = n, .gram = irn_banded_trace(&gram)};
        t.shift = norm * norm * (1 + 1e-16 * (double)host_below(100) - 5e-15);
        if (irn_banded_cholesky(&factor, &gram, t.shift, &t.trace)) {
            irn_bound b = {0, irn_proof_upper(irn_rounding_64(), &t)};
            ck_assert_msg(judge(&d, b).below_upper, "%zux%zu: %.17g", m, n, b.upper);
            held++;
        } else {
            refused++;
        }
        ck_assert(!irn_banded_cholesky(&factor, &gram, norm * norm * (1 - 1e-9), &t.trace));
        ck_assert(irn_banded_cholesky(&factor, &gram, norm * norm * (1 + 1e-9), &t.trace));
        irn_banded_free(&gram);
        irn_banded_free(&factor);
    }
    ck_assert_int_gt(refused, 0);
    ck_assert_int_gt(held, 0);
}
END_TEST

static void times(double *y, const double *x, void *payload)
{
    irn_banded_times(payload, y, x);
}

/* (shift I - G) x is solved for x again, and Lanczos's method finds the norm. */
START_TEST(solutions)
{
    host_restart();
    for (int i = 0; i < 60; i += host_step(1)) {
        size_t m = host_between(1, 50), n = m + host_below(20), padded = (m + 7) / 8 * 8;
        size_t width = host_between(1, n - m + 1);
        dense d = {m, n, host_normal(m * n)};
        irn_banded gram = banded_gram(d.values, m, n, width), factor;
        testing_ok(irn_banded_create(&factor, m, width - 1));
        double norm = dense_norm(&d), trace, shift = 1.5 * norm * norm;
        double *x = host_normal(padded), *y = host_doubles(padded);
        for (size_t e = m; e < padded; e++)
            x[e] = 0;
        ck_assert(irn_banded_cholesky(&factor, &gram, shift, &trace));
        ck_assert_double_eq_tol(trace, (double)m * shift - irn_banded_trace(&gram), 1e-9 * trace);
        irn_banded_times(&gram, y, x);
        for (size_t e = 0; e < padded; e++)
            y[e] = shift * x[e] - y[e];
        irn_banded_solve(&factor, y);
        host_check(x, y, padded, 1e-12, "solution of %zu, width %zu", m, width);
        testing_ok(irn_lanczos(x, padded, IRN_LANCZOS_STEPS, times, &gram));
        irn_banded_times(&gram, y, x);
        host_check_number(1, host_norm(x, padded), 1e-12, "length");
        host_check_number(norm * norm, host_dot(x, y, padded), 1e-7 * norm * norm, "leading value");
        irn_banded_free(&gram);
        irn_banded_free(&factor);
    }
}
END_TEST

/* ---- what it is not for ---- */

START_TEST(unsuited)
{
    double kernel[9] = {1};
    irn_bound b = {-1, -1};
    bool suits;
    irn_kernel_shape s = {1, 1, 3, 3, 64, 64, IRN_PAD_CIRCULAR, 1, 1, 1, false}, other;
    testing_ok(irn_prove_operator(&b, &suits, kernel, &s, "kernel"));
    ck_assert(!suits);
    s.padding = IRN_PAD_ZEROS;
    testing_ok(irn_prove_operator(&b, &suits, kernel, &s, "kernel"));
    ck_assert(suits && b.upper >= 1);
    b = (irn_bound){-1, -1};
    other = s;
    other.width = 65; /* 4,160 rows */
    testing_ok(irn_prove_operator(&b, &suits, kernel, &other, "kernel"));
    ck_assert(!suits && b.upper == -1);
    other = s;
    other.height = other.width = 0;
    testing_ok(irn_prove_operator(&b, &suits, kernel, &other, "kernel"));
    ck_assert(!suits);
    other = s;
    other.height = other.width = 1 << 14; /* few rows, but columns beyond memory */
    other.stride = 1 << 13;
    testing_ok(irn_prove_operator(&b, &suits, kernel, &other, "kernel"));
    ck_assert(!suits && b.upper == -1);
}
END_TEST

START_TEST(refused)
{
    double kernel[9] = {1, 2, (double)NAN};
    irn_bound b;
    bool suits;
    irn_kernel_shape s = {1, 1, 3, 3, 4, 4, IRN_PAD_ZEROS, 1, 1, 1, false}, other = s;
    testing_fails(irn_prove_operator(&b, &suits, kernel, &s, "weights"), IRN_ERROR_NUMERIC,
                  "weights: value 2 of 9 is");
    kernel[2] = (double)INFINITY;
    testing_fails(irn_prove_operator(&b, &suits, kernel, &s, "weights"), IRN_ERROR_NUMERIC,
                  "weights: value 2 of 9 is inf");
    kernel[2] = 0;
    other.groups = 2;
    testing_fails(irn_prove_operator(&b, &suits, kernel, &other, "weights"), IRN_ERROR_ARGUMENT,
                  "are not 2 groups");
    other = s;
    other.kernel_width = 0;
    testing_fails(irn_prove_operator(&b, &suits, kernel, &other, "weights"), IRN_ERROR_ARGUMENT,
                  "weights");
    other = s;
    other.stride = SIZE_MAX;
    testing_fails(irn_prove_operator(&b, &suits, kernel, &other, "weights"), IRN_ERROR_ARGUMENT,
                  "a stride of");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("operator");
    TCase *bounds = testing_case(suite, "bounds");
    tcase_add_checked_fixture(bounds, NULL, host_free_all);
    tcase_set_timeout(bounds, 300);
    tcase_add_loop_test(bounds, contained_small, 0, ADVERSARY_KINDS);
    tcase_add_loop_test(bounds, contained, 0, ADVERSARY_KINDS);
    tcase_add_loop_test(bounds, contained_particular, 0,
                        (int)(sizeof particular / sizeof *particular));
    tcase_add_test(bounds, symmetries);
    tcase_add_test(bounds, groups);
    tcase_add_test(bounds, product);
    tcase_add_test(bounds, golden);
    tcase_add_test(bounds, laplacian);
    tcase_add_test(bounds, edge);
    tcase_add_test(bounds, solutions);
    tcase_add_test(bounds, unsuited);
    tcase_add_test(bounds, refused);
    return testing_run(suite);
}
