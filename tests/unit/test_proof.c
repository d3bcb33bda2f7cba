/* Proven bounds against the same operators in Arb's ball arithmetic, where a sign that it states is
 * the sign: ||M|| < t exactly if t^2 I - M M^T has only positive pivots. */
#include "host.h"
#include "testing.h"

#include "certify/proof.h"
#include "certify/roots.h"

#include <arb_mat.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BITS = 192 };

static irn_status prove(irn_bound *out, const double *kernel, const irn_kernel_shape *shape)
{
    irn_proof proof;
    return irn_prove_symbol(out, &proof, NULL, IRN_ARITHMETIC_HOST_FLOAT64, kernel, shape,
                            "kernel");
}

/* ---- truth ---- */

/* A pivot that may be 0: the matrix is indefinite all the same if a 2 x 2 minor with it is
 * negative. */
static int beside(const arb_mat_t a, slong j)
{
    int result = 0;
    arb_t minor;
    arb_init(minor);
    for (slong i = j + 1; i < arb_mat_nrows(a) && result == 0; i++) {
        arb_mul(minor, arb_mat_entry(a, i, i), arb_mat_entry(a, j, j), BITS);
        arb_submul(minor, arb_mat_entry(a, i, j), arb_mat_entry(a, i, j), BITS);
        result = arb_is_negative(minor);
    }
    arb_clear(minor);
    return result;
}

/* How ||M|| compares with t, by the pivots of t^2 I - gram: -1 below, 1 above, 0 undecided. */
static int compare(const arb_mat_t gram, double t)
{
    int result = -1;
    slong order = arb_mat_nrows(gram);
    arb_mat_t a;
    arb_t square, factor;
    arb_mat_init(a, order, order);
    arb_init(square);
    arb_init(factor);
    arb_mat_neg(a, gram);
    arb_set_d(square, t);
    arb_sqr(square, square, BITS);
    for (slong i = 0; i < order; i++)
        arb_add(arb_mat_entry(a, i, i), arb_mat_entry(a, i, i), square, BITS);
    for (slong j = 0; j < order && result == -1; j++) {
        if (!arb_is_positive(arb_mat_entry(a, j, j)))
            result = arb_is_negative(arb_mat_entry(a, j, j)) ? 1 : beside(a, j);
        for (slong i = j + 1; i < order && result == -1; i++) {
            arb_div(factor, arb_mat_entry(a, i, j), arb_mat_entry(a, j, j), BITS);
            for (slong k = j + 1; k <= i; k++)
                arb_submul(arb_mat_entry(a, i, k), factor, arb_mat_entry(a, k, j), BITS);
        }
    }
    arb_mat_clear(a);
    arb_clear(square);
    arb_clear(factor);
    return result;
}

static void gram_of(arb_mat_t gram, const arb_mat_t m)
{
    arb_mat_t turned;
    arb_mat_init(turned, arb_mat_ncols(m), arb_mat_nrows(m));
    arb_mat_transpose(turned, m);
    arb_mat_mul(gram, m, turned, BITS);
    arb_mat_clear(turned);
}

/* Adds value x e^{2 pi i turn} to a complex entry, in the real form [Re, -Im; Im, Re]. */
static void add_root(arb_mat_t m, slong row, slong column, double value, slong numerator,
                     slong denominator)
{
    arb_t s, c;
    fmpq_t turn;
    slong rows = arb_mat_nrows(m) / 2, columns = arb_mat_ncols(m) / 2;
    arb_init(s);
    arb_init(c);
    fmpq_init(turn);
    fmpq_set_si(turn, 2 * numerator, (ulong)denominator);
    arb_sin_cos_pi_fmpq(s, c, turn, BITS);
    arf_t factor;
    arf_init(factor);
    arf_set_d(factor, value);
    arb_mul_arf(s, s, factor, BITS);
    arb_mul_arf(c, c, factor, BITS);
    arb_add(arb_mat_entry(m, row, column), arb_mat_entry(m, row, column), c, BITS);
    arb_add(arb_mat_entry(m, row + rows, column + columns),
            arb_mat_entry(m, row + rows, column + columns), c, BITS);
    arb_add(arb_mat_entry(m, row + rows, column), arb_mat_entry(m, row + rows, column), s, BITS);
    arb_sub(arb_mat_entry(m, row, column + columns), arb_mat_entry(m, row, column + columns), s,
            BITS);
    arf_clear(factor);
    arb_clear(s);
    arb_clear(c);
    fmpq_clear(turn);
}

typedef struct verdict {
    bool below_upper, above_lower;
} verdict;

static void judge(verdict *v, const arb_mat_t m, irn_bound bound)
{
    arb_mat_t gram;
    arb_mat_init(gram, arb_mat_nrows(m), arb_mat_nrows(m));
    gram_of(gram, m);
    v->below_upper = v->below_upper && compare(gram, bound.upper) == -1;
    v->above_lower = v->above_lower || bound.lower == 0 || compare(gram, bound.lower) == 1;
    arb_mat_clear(gram);
}

/* All frequencies of the circular layer. */
static verdict judge_symbol(const double *kernel, const irn_kernel_shape *s, irn_bound bound)
{
    verdict v = {true, false};
    slong kh = (slong)s->kernel_height, kw = (slong)s->kernel_width;
    slong h = (slong)s->height, w = (slong)s->width, taps = kh * kw;
    slong outputs = (slong)s->outputs, inputs = (slong)s->inputs;
    for (slong f = 0; f < h * (w / 2 + 1); f++) {
        slong a = f / (w / 2 + 1), b = f % (w / 2 + 1);
        bool wide = outputs <= inputs;
        arb_mat_t m;
        arb_mat_init(m, 2 * (wide ? outputs : inputs), 2 * (wide ? inputs : outputs));
        for (slong e = 0; e < outputs * inputs * taps; e++) {
            slong o = e / taps / inputs, i = e / taps % inputs, p = e % taps / kw, q = e % kw;
            add_root(m, wide ? o : i, wide ? i : o, kernel[e], (a * p * w + b * q * h) % (h * w),
                     h * w);
        }
        judge(&v, m, bound);
        arb_mat_clear(m);
    }
    return v;
}

/* The layer itself, from its definition. */
static verdict judge_dense(const double *kernel, const irn_kernel_shape *s, irn_bound bound)
{
    verdict v = {true, false};
    long h = (long)s->height, w = (long)s->width, kh = (long)s->kernel_height,
         kw = (long)s->kernel_width, outputs = (long)s->outputs, inputs = (long)s->inputs;
    arb_mat_t m;
    arb_mat_init(m, outputs * h * w, inputs * h * w);
    for (long e = 0; e < outputs * inputs * kh * kw; e++)
        for (long place = 0; place < h * w; place++) {
            long o = e / (kh * kw) / inputs, i = e / (kh * kw) % inputs;
            long y = place / w + e / kw % kh - (kh - 1) / 2, x = place % w + e % kw - (kw - 1) / 2;
            if (s->padding == IRN_PAD_CIRCULAR) {
                y = (y % h + h) % h;
                x = (x % w + w) % w;
            }
            arb_t value;
            arb_init(value);
            arb_set_d(value, kernel[e]);
            if (y >= 0 && y < h && x >= 0 && x < w) {
                arb_ptr entry = arb_mat_entry(m, o * h * w + place, i * h * w + y * w + x);
                arb_add(entry, entry, value, BITS);
            }
            arb_clear(value);
        }
    judge(&v, m, bound);
    arb_mat_clear(m);
    return v;
}

/* ---- kernels ---- */

enum {
    RANDOM,
    FLAT,
    RANK_ONE,
    NEARLY_EQUAL,
    ZERO,
    DENORMAL,
    LARGE,
    SMALL,
    ONE_HUGE,
    SUM_ZERO,
    KINDS
};
static const char *const kinds[] = {"random",   "flat", "rank one", "nearly equal", "zero",
                                    "denormal", "1e30", "1e-30",    "one huge",     "sum zero"};

static double *make_kernel(int kind, const irn_kernel_shape *s)
{
    size_t taps = s->kernel_height * s->kernel_width, count = s->outputs * s->inputs * taps;
    double *k = host_normal(count), *a = host_normal(s->outputs),
           *b = host_normal(s->inputs * taps);
    for (size_t e = 0; e < count; e++) {
        size_t o = e / taps / s->inputs, i = e / taps % s->inputs;
        double value = k[e];
        if (kind == FLAT)
            value = 0.3;
        if (kind == RANK_ONE)
            value = a[o] * b[e % (s->inputs * taps)];
        if (kind == NEARLY_EQUAL)
            value = (o == i && e % taps == taps / 2 ? 1 : 0) + 1e-7 * value;
        if (kind == ZERO)
            value = 0;
        if (kind == DENORMAL)
            value *= 1e-42;
        if (kind == LARGE || kind == SMALL)
            value *= kind == LARGE ? 1e30 : 1e-30;
        if (kind == ONE_HUGE)
            value *= e == count / 2 ? 1e20 : 1e-20;
        if (kind == SUM_ZERO)
            value = e % 2 ? -k[e - 1] : value;
        k[e] = (double)(float)value;
    }
    return k;
}

static irn_kernel_shape random_shape(size_t most_channels, size_t most_map)
{
    irn_kernel_shape s = {host_between(1, most_channels),
                          host_between(1, most_channels),
                          host_between(1, 7),
                          host_between(1, 7),
                          host_between(1, most_map),
                          host_between(1, most_map / 2 + 1),
                          IRN_PAD_CIRCULAR,
                          1,
                          1,
                          1,
                          false};
    return s;
}

static void check_contained(verdict v, irn_bound b, const irn_kernel_shape *s, const char *kind)
{
    ck_assert_msg(
        v.below_upper && v.above_lower,
        "%s kernel %zux%zux%zux%zu on %zux%zu, padding %d: %.17g, %.17g (%d, %d; seed %llu)", kind,
        s->outputs, s->inputs, s->kernel_height, s->kernel_width, s->height, s->width,
        (int)s->padding, b.lower, b.upper, v.below_upper, v.above_lower,
        (unsigned long long)host_seed());
}

static void check_tight(irn_bound b, double limit)
{
    if (getenv("IRN_TEST_VERBOSE"))
        printf("upper / lower - 1 = %.3g\n", b.upper / b.lower - 1);
    ck_assert_msg(b.upper / b.lower - 1 <= limit, "%.17g, %.17g: loose by %g", b.lower, b.upper,
                  b.upper / b.lower - 1);
}

static void check_kernel(int kind, irn_kernel_shape s)
{
    irn_bound b;
    double *kernel = make_kernel(kind, &s);
    size_t places = s.height * s.width;
    testing_ok(prove(&b, kernel, &s));
    if (kind == ZERO) {
        ck_assert(b.lower == 0 && b.upper == 0);
        return;
    }
    bool dense = places * (s.outputs > s.inputs ? s.outputs : s.inputs) <= 40;
    /* Where taps cancel, on a small map, bounds are relative to the taps and not to the norm. */
    if (s.padding == IRN_PAD_CIRCULAR && kind != SUM_ZERO)
        check_tight(b, kind == DENORMAL ? 1e-2 : 1e-8);
    if (dense)
        check_contained(judge_dense(kernel, &s, b), b, &s, kinds[kind]);
    else if (s.padding == IRN_PAD_CIRCULAR)
        check_contained(judge_symbol(kernel, &s, b), b, &s, kinds[kind]);
}

START_TEST(contained)
{
    host_restart();
    for (int i = 0; i < 60; i += host_step(1))
        check_kernel(_i, random_shape(4, 9));
}
END_TEST

START_TEST(contained_dense)
{
    host_restart();
    for (int i = 0; i < 200; i += host_step(1)) {
        irn_kernel_shape s = random_shape(2, 5);
        s.padding = i % 2 ? IRN_PAD_ZEROS : IRN_PAD_CIRCULAR;
        check_kernel(_i, s);
    }
}
END_TEST

static const irn_kernel_shape wide[] = {{16, 16, 3, 3, 8, 8, IRN_PAD_CIRCULAR, 1, 1, 1, false},
                                        {3, 16, 7, 7, 9, 5, IRN_PAD_CIRCULAR, 1, 1, 1, false},
                                        {16, 2, 1, 1, 4, 4, IRN_PAD_CIRCULAR, 1, 1, 1, false},
                                        {2, 3, 3, 3, 33, 17, IRN_PAD_CIRCULAR, 1, 1, 1, false},
                                        {1, 1, 7, 5, 1, 17, IRN_PAD_CIRCULAR, 1, 1, 1, false},
                                        {1, 1, 2, 2, 33, 1, IRN_PAD_CIRCULAR, 1, 1, 1, false}};

START_TEST(contained_wide)
{
    host_restart();
    for (int kind = 0; kind < KINDS; kind += host_step(1))
        check_kernel(kind, wide[_i]);
}
END_TEST

/* ---- matrices ---- */

/* The complex matrix in real form, each entry moved by error in the direction of its own value, or
 * of 1 where `same`. */
static void moved(arb_mat_t m, const double *values, size_t outputs, size_t inputs, double error)
{
    bool wide_matrix = outputs <= inputs;
    arb_t part;
    arb_init(part);
    for (size_t e = 0; e < outputs * inputs; e++) {
        slong o = (slong)(e / inputs), i = (slong)(e % inputs);
        slong row = wide_matrix ? o : i, column = wide_matrix ? i : o;
        arb_set_d(part, error);
        arb_add(arb_mat_entry(m, row, column), arb_mat_entry(m, row, column), part, BITS);
        arb_add(arb_mat_entry(m, row + arb_mat_nrows(m) / 2, column + arb_mat_ncols(m) / 2),
                arb_mat_entry(m, row + arb_mat_nrows(m) / 2, column + arb_mat_ncols(m) / 2), part,
                BITS);
        add_root(m, row, column, values[2 * e], 0, 4);
        add_root(m, row, column, values[2 * e + 1], 1, 4);
    }
    arb_clear(part);
}

static double *make_matrix(size_t outputs, size_t inputs, int kind, double scale)
{
    double *values = host_normal(2 * outputs * inputs);
    for (size_t e = 0; e < outputs * inputs; e++) {
        if (kind == 1) { /* flat: the errors of entries add up in norm */
            values[2 * e] = 1;
            values[2 * e + 1] = 0;
        }
        if (kind == 2) /* a multiple of the identity, nearly */
            for (int c = 0; c < 2; c++)
                values[2 * e + (size_t)c] =
                    1e-9 * values[2 * e + (size_t)c] + (c == 0 && e / inputs == e % inputs ? 1 : 0);
        values[2 * e] *= scale;
        values[2 * e + 1] *= scale;
    }
    return values;
}

static void judge_matrix(verdict *v, const double *values, size_t outputs, size_t inputs,
                         double error, irn_bound b)
{
    arb_mat_t m;
    arb_mat_init(m, 2 * (slong)(outputs < inputs ? outputs : inputs),
                 2 * (slong)(outputs < inputs ? inputs : outputs));
    moved(m, values, outputs, inputs, error);
    *v = (verdict){true, false};
    judge(v, m, b);
    arb_mat_clear(m);
}

START_TEST(matrices)
{
    static const double scales[] = {1, 1e-300, 1e300, 4e-310}, errors[] = {0, 1e-12, 1e-3};
    host_restart();
    for (int i = 0; i < 36; i += host_step(1)) {
        size_t outputs = host_between(1, 17), inputs = host_between(1, 17);
        double scale = scales[i % 4], error = errors[i / 4 % 3] * scale;
        double *values = make_matrix(outputs, inputs, i / 12, scale);
        irn_bound b;
        verdict v;
        testing_ok(irn_prove_matrix(&b.upper, &b.lower, values, outputs, inputs, error, 0));
        judge_matrix(&v, values, outputs, inputs, error, b);
        ck_assert_msg(v.below_upper && v.above_lower, "%zux%zu, case %d: %.17g, %.17g", outputs,
                      inputs, i, b.lower, b.upper);
        if (error == 0 && scale > 1e-305)
            check_tight(b, 1e-9);
    }
}
END_TEST

/* Candidates from clearly too small to clearly large enough, where rounding decides: each is
 * refused or proves a bound that holds. */
START_TEST(candidates)
{
    int refused = 0, proven = 0;
    host_restart();
    for (int i = 0; i < 400; i += host_step(1)) {
        size_t outputs = host_between(1, 12), inputs = host_between(1, 12);
        double *values = make_matrix(outputs, inputs, i % 3, 1);
        irn_bound b, at = {0, 0};
        verdict v;
        testing_ok(irn_prove_matrix(&b.upper, &b.lower, values, outputs, inputs, 0, 0));
        double candidate = b.lower * (1 + 1e-16 * (double)host_below(400) - 2e-14);
        testing_ok(irn_prove_matrix(&at.upper, NULL, values, outputs, inputs, 0, candidate));
        refused += isinf(at.upper);
        proven += isfinite(at.upper);
        if (isfinite(at.upper)) {
            judge_matrix(&v, values, outputs, inputs, 0, at);
            ck_assert_msg(v.below_upper, "%zux%zu: %.17g", outputs, inputs, at.upper);
        }
        testing_ok(
            irn_prove_matrix(&at.upper, NULL, values, outputs, inputs, 0, b.lower * (1 - 1e-9)));
        ck_assert(isinf(at.upper));
    }
    ck_assert_int_gt(refused, 0);
    ck_assert_int_gt(proven, 0);
}
END_TEST

/* ---- the same theorem in float32 ---- */

/* Gram matrix and factorisation of a real matrix, all in float; false if a pivot is not positive.
 */
static bool factor_single(const float *x, size_t m, size_t n, float shift, irn_proof_terms *t)
{
    float *b = host_floats(m * m);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j <= i; j++) {
            float sum = 0;
            for (size_t k = 0; k < n; k++)
                sum += x[i * n + k] * x[j * n + k];
            b[i * m + j] = i == j ? shift - sum : -sum;
            t->gram += i == j ? (double)sum : 0;
            t->trace += i == j ? (double)b[i * m + j] : 0;
        }
    for (size_t j = 0; j < m; j++)
        for (size_t i = j; i < m; i++) {
            float value = b[i * m + j];
            for (size_t k = 0; k < j; k++)
                value -= b[i * m + k] * b[j * m + k];
            if (i == j && !(value > 0))
                return false;
            b[i * m + j] = i == j ? sqrtf(value) : value / b[j * m + j];
        }
    return true;
}

START_TEST(single)
{
    int proven = 0;
    host_restart();
    for (int i = 0; i < 200; i += host_step(1)) {
        size_t m = host_between(1, 12), n = host_between(m, 24);
        double *complex_values = make_matrix(m, n, i % 3, 1);
        for (size_t e = 0; e < m * n; e++) {
            complex_values[2 * e] = (double)(float)complex_values[2 * e];
            complex_values[2 * e + 1] = 0;
        }
        float *x = host_floats(m * n);
        for (size_t e = 0; e < m * n; e++)
            x[e] = (float)complex_values[2 * e];
        irn_bound b, at = {0, 0};
        testing_ok(irn_prove_matrix(&b.upper, &b.lower, complex_values, m, n, 0, 0));
        double square = b.lower * b.lower * (1 + 6e-8 * (double)host_below(60) - 12e-7);
        irn_proof_terms t = {.rows = m, .columns = n, .shift = (double)(float)square};
        if (!factor_single(x, m, n, (float)square, &t))
            continue;
        verdict v;
        proven++;
        at.upper = irn_proof_upper(irn_rounding_32(), &t);
        ck_assert_msg(at.upper <= b.lower * 1.01, "%.17g for %.17g", at.upper, b.lower);
        judge_matrix(&v, complex_values, m, n, 0, at);
        ck_assert_msg(v.below_upper, "%zux%zu: %.17g", m, n, at.upper);
    }
    ck_assert_int_gt(proven, 0);
    irn_proof_terms large = {.rows = 20000, .columns = 20000, .shift = 1};
    ck_assert(isinf(irn_proof_upper(irn_rounding_32(), &large)));
}
END_TEST

/* ---- the rest ---- */

START_TEST(roots)
{
    arb_t s, c, value, limit;
    fmpq_t turn;
    arb_init(s);
    arb_init(c);
    arb_init(value);
    arb_init(limit);
    fmpq_init(turn);
    host_restart();
    for (int i = 0; i < 20000; i += host_step(1)) {
        size_t denominator = i < 2000 ? (size_t)i / 40 + 1 : host_between(1, 1 << 20);
        size_t numerator = host_below(denominator);
        double re, im;
        irn_root(numerator, denominator, &re, &im);
        fmpq_set_si(turn, 2 * (slong)numerator, denominator);
        arb_sin_cos_pi_fmpq(s, c, turn, BITS);
        arb_set_d(value, re);
        arb_sub(c, c, value, BITS);
        arb_set_d(value, im);
        arb_sub(s, s, value, BITS);
        arb_sqr(c, c, BITS);
        arb_addmul(c, s, s, BITS);
        arb_set_d(limit, IRN_ROOT_ERROR * IRN_UNIT_64 * IRN_ROOT_ERROR * IRN_UNIT_64);
        ck_assert_msg(arb_lt(c, limit), "%zu / %zu: %.17g, %.17g", numerator, denominator, re, im);
    }
    arb_clear(s);
    arb_clear(c);
    arb_clear(value);
    arb_clear(limit);
    fmpq_clear(turn);
}
END_TEST

/* Any-size bounds are above those of all sizes with either padding, and not far from the largest.
 */
START_TEST(any_size)
{
    host_restart();
    for (int i = 0; i < 12; i += host_step(1)) {
        irn_kernel_shape s = random_shape(3, 5), grid = s;
        double *kernel = make_kernel(i % 2 ? FLAT : RANDOM, &s), largest = 0;
        irn_bound any, one;
        grid.height = grid.width = 0;
        testing_ok(prove(&any, kernel, &grid));
        for (size_t map = 1; map <= 40; map += 3)
            for (int padding = 0; padding < 2; padding++) {
                s.height = map;
                s.width = 1 + map * 7 % 23;
                s.padding = padding ? IRN_PAD_ZEROS : IRN_PAD_CIRCULAR;
                testing_ok(prove(&one, kernel, &s));
                ck_assert(one.lower <= any.upper);
                largest = fmax(largest, one.lower);
            }
        ck_assert(any.lower <= any.upper && any.upper <= any.lower * 1.02);
        ck_assert(largest <= any.upper);
        if (i % 2) /* the sum of the taps, at frequency 0 of every map */
            ck_assert(largest * (1 + 1e-8) >= any.lower);
    }
}
END_TEST

START_TEST(refused)
{
    irn_kernel_shape s = {1, 1, 2, 1, 4, 4, IRN_PAD_CIRCULAR, 1, 1, 1, false};
    irn_bound b;
    double upper;
    testing_fails(prove(&b, (double[]){1, (double)NAN}, &s), IRN_ERROR_NUMERIC,
                  "kernel: value 1 of 2 is");
    testing_fails(prove(&b, (double[]){(double)INFINITY, 1}, &s), IRN_ERROR_NUMERIC,
                  "kernel: value 0 of 2 is inf");
    testing_fails(irn_prove_matrix(&upper, NULL, (double[]){1, (double)NAN}, 1, 1, 0, 0),
                  IRN_ERROR_NUMERIC, "not finite");
    testing_fails(irn_prove_matrix(&upper, NULL, (double[]){1, 1}, 1, 1, -1, 0), IRN_ERROR_NUMERIC,
                  "not a bound");
    testing_fails(irn_prove_matrix(&upper, NULL, NULL, 0, 1, 0, 0), IRN_ERROR_ARGUMENT, "0 x 1");
    s.height = 0;
    testing_fails(prove(&b, (double[]){1, 1}, &s), IRN_ERROR_ARGUMENT, "0x4 map");
    s.height = 2;
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("proof");
    TCase *bounds = testing_case(suite, "bounds");
    tcase_add_checked_fixture(bounds, NULL, host_free_all);
    tcase_set_timeout(bounds, 300);
    tcase_add_loop_test(bounds, contained, 0, KINDS);
    tcase_add_loop_test(bounds, contained_dense, 0, KINDS);
    tcase_add_loop_test(bounds, contained_wide, 0, (int)(sizeof wide / sizeof *wide));
    tcase_add_test(bounds, matrices);
    tcase_add_test(bounds, candidates);
    tcase_add_test(bounds, single);
    tcase_add_test(bounds, roots);
    tcase_add_test(bounds, any_size);
    tcase_add_test(bounds, refused);
    return testing_run(suite);
}
