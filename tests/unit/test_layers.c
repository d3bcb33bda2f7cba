/* Bounds of layers of every kind by every arithmetic that the prover knows, against the layers' own
 * matrices in Arb's ball arithmetic. */
#include "adversary.h"
#include "devices.h"
#include "exact.h"
#include "host.h"
#include "testing.h"

#include "certify/bound.h"
#include "certify/proof.h"
#include "runtime/runtime.h"
#include "spectral/tap_list.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BITS = EXACT_BITS };

static irn_context *context;

static void open_context(void)
{
    testing_ok(irn_context_create(&context, NULL));
}

static void close_context(void)
{
    ck_assert_uint_eq(irn_context_memory(context), 0);
    irn_context_free(context);
    host_free_all();
}

static const irn_arithmetic arithmetics[] = {
    IRN_ARITHMETIC_HOST_FLOAT64, IRN_ARITHMETIC_DEVICE_FLOAT64, IRN_ARITHMETIC_DEVICE_FLOAT32};
enum { ARITHMETICS = 3 };

static const char *text_of(const irn_kernel_shape *s)
{
    static char text[240];
    snprintf(text, sizeof text,
             "%zux%zux%zux%zu on %zux%zu, padding %d, stride %zu, dilation %zu, %zu groups%s (seed "
             "%llu)",
             s->outputs, s->inputs, s->kernel_height, s->kernel_width, s->height, s->width,
             (int)s->padding, s->stride, s->dilation, s->groups,
             s->transposed ? ", transposed" : "", (unsigned long long)host_seed());
    return text;
}

/* ---- truth ---- */

/* Rows or columns of a map. */
typedef struct side {
    size_t taps, map, results;
} side;

static side side_of(const irn_kernel_shape *s, size_t taps, size_t map)
{
    size_t pixels = s->transposed ? map * s->stride : map;
    return (side){taps, pixels, (pixels + s->stride - 1) / s->stride};
}

/* The pixel that a result's tap reads, or -1. */
static long pixel(const irn_kernel_shape *s, const side *a, size_t result, size_t tap)
{
    long at =
        (long)(result * s->stride) + ((long)tap - (long)((a->taps - 1) / 2)) * (long)s->dilation;
    long map = (long)a->map;
    if (s->padding == IRN_PAD_CIRCULAR)
        return (at % map + map) % map;
    return at >= 0 && at < map ? at : -1;
}

static void add_value(arb_mat_t m, const irn_kernel_shape *s, size_t output, size_t input, size_t p,
                      size_t q, double value)
{
    side y = side_of(s, s->kernel_height, s->height), x = side_of(s, s->kernel_width, s->width);
    arb_t term;
    arb_init(term);
    arb_set_d(term, value);
    for (size_t r = 0; r < y.results; r++)
        for (size_t c = 0; c < x.results; c++) {
            long v = pixel(s, &y, r, p), u = pixel(s, &x, c, q);
            size_t row = (output * y.results + r) * x.results + c;
            size_t column = (input * y.map + (size_t)v) * x.map + (size_t)u;
            if (v >= 0 && u >= 0) {
                arb_ptr entry = arb_mat_entry(m, (slong)row, (slong)column);
                arb_add(entry, entry, term, BITS);
            }
        }
    arb_clear(term);
}

static size_t rows_of(const irn_kernel_shape *s)
{
    return s->outputs * side_of(s, 1, s->height).results * side_of(s, 1, s->width).results;
}

static size_t columns_of(const irn_kernel_shape *s)
{
    return s->inputs * side_of(s, 1, s->height).map * side_of(s, 1, s->width).map;
}

static void layer_matrix(arb_mat_t m, const double *kernel, const irn_kernel_shape *s)
{
    size_t taps = s->kernel_height * s->kernel_width, inputs = s->inputs / s->groups;
    arb_mat_init(m, (slong)rows_of(s), (slong)columns_of(s));
    for (size_t e = 0; e < s->outputs * inputs * taps; e++) {
        size_t output = e / taps / inputs, group = output / (s->outputs / s->groups);
        add_value(m, s, output, group * inputs + e / taps % inputs, e % taps / s->kernel_width,
                  e % s->kernel_width, kernel[e]);
    }
}

/* ---- shapes ---- */

static irn_kernel_shape random_shape(size_t most_channels, size_t most_map)
{
    size_t groups = host_below(3) == 0 ? host_between(1, most_channels) : 1;
    irn_kernel_shape s = {groups * host_between(1, most_channels / groups),
                          groups * host_between(1, most_channels / groups),
                          host_between(1, 7),
                          host_between(1, 7),
                          host_between(1, most_map),
                          host_between(1, most_map),
                          (irn_padding)host_below(2),
                          host_between(1, 3),
                          host_between(1, 2),
                          groups,
                          host_below(4) == 0};
    return s;
}

/* Where the torus is the layer, so that lower is near upper. */
static bool is_exact(const irn_kernel_shape *s)
{
    return s->padding == IRN_PAD_CIRCULAR &&
           (s->transposed || (s->height % s->stride == 0 && s->width % s->stride == 0));
}

/* Taps that cancel, on a small map, leave bounds that are relative to the taps. */
static void check_tight(const irn_kernel_shape *s, int kind, irn_arithmetic arithmetic, irn_bound b)
{
    if (!is_exact(s) || kind == ADVERSARY_SUM_ZERO || kind == ADVERSARY_ZERO)
        return;
    double share = kind == ADVERSARY_DENORMAL                    ? 1e-2
                   : arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT32 ? 2e-2
                                                                 : 1e-8;
    ck_assert_msg(b.upper <= b.lower * (1 + share), "%s kernel %s, arithmetic %d: %.17g, %.17g",
                  adversary_kinds[kind], text_of(s), (int)arithmetic, b.lower, b.upper);
}

static void check_bound(const double *kernel, const irn_kernel_shape *s, int kind,
                        irn_arithmetic arithmetic, const arb_mat_t *truth)
{
    irn_bound b;
    irn_proof proof;
    testing_ok(irn_prove_symbol(&b, &proof, context, arithmetic, kernel, s, "kernel"));
    ck_assert(proof.method == IRN_PROOF_SYMBOL && proof.arithmetic == arithmetic);
    ck_assert_uint_ge(proof.torus[0] * proof.torus[1], 1);
    ck_assert(s->padding == IRN_PAD_ZEROS || !(proof.shifted[0] || proof.shifted[1]));
    check_tight(s, kind, arithmetic, b);
    if (kind == ADVERSARY_ZERO) {
        ck_assert(b.lower == 0 && b.upper == 0);
    } else if (truth) {
        exact_verdict v = {true, false};
        exact_judge(&v, *truth, b);
        ck_assert_msg(v.below_upper && v.above_lower,
                      "%s kernel %s, arithmetic %d: %.17g, %.17g (%d, %d)", adversary_kinds[kind],
                      text_of(s), (int)arithmetic, b.lower, b.upper, v.below_upper, v.above_lower);
    }
}

static void check_layer(int kind, irn_kernel_shape s)
{
    double *kernel = adversary_kernel(kind, &s);
    size_t rows = rows_of(&s), columns = columns_of(&s);
    bool small = irn_smaller(rows, columns) <= 40 && irn_larger(rows, columns) <= 160;
    arb_mat_t m, turned;
    if (small) {
        layer_matrix(m, kernel, &s);
        arb_mat_init(turned, arb_mat_ncols(m), arb_mat_nrows(m));
        arb_mat_transpose(turned, m);
    }
    for (int i = 0; i < ARITHMETICS; i++)
        if (devices_prove(context, arithmetics[i]))
            check_bound(kernel, &s, kind, arithmetics[i],
                        !small            ? NULL
                        : rows <= columns ? (const arb_mat_t *)&m
                                          : (const arb_mat_t *)&turned);
    if (small) {
        arb_mat_clear(m);
        arb_mat_clear(turned);
    }
    host_free_all();
}

START_TEST(contained)
{
    host_restart();
    for (int i = 0; i < 60; i += host_step(1))
        check_layer(_i, random_shape(4, 5));
}
END_TEST

START_TEST(wider)
{
    host_restart();
    for (int i = 0; i < 8; i += host_step(1))
        check_layer(_i, random_shape(40, 12));
}
END_TEST

/* The kernels as GPUs run them; a few work-items are enough to meet at every barrier. */
START_TEST(work_groups)
{
    host_restart();
    context->tuning.work_group = 4;
    for (int kind = 0; kind < ADVERSARY_KINDS; kind += host_step(1)) {
        check_layer(kind, random_shape(4, 5));
        check_layer(kind, random_shape(9, 4));
    }
    irn_kernel_shape s = {18, 21, 3, 3, 6, 5, IRN_PAD_ZEROS, 1, 1, 1, false};
    check_layer(ADVERSARY_RANDOM, s);
}
END_TEST

/* On devices without float64 the host makes the correlations, and is what "auto" means. */
START_TEST(single_only)
{
    host_restart();
    context->info.has_fp64 = false;
    for (int kind = 0; kind < ADVERSARY_KINDS; kind += host_step(1))
        check_layer(kind, random_shape(4, 5));
    irn_kernel_shape s = {2, 2, 3, 3, 4, 4, IRN_PAD_CIRCULAR, 1, 1, 1, false};
    double *kernel = adversary_kernel(ADVERSARY_RANDOM, &s);
    irn_bound b;
    irn_proof proof;
    testing_ok(irn_bound_kernel(&b, &proof, context, IRN_ARITHMETIC_AUTO, kernel, &s, "kernel"));
    ck_assert_int_eq(proof.arithmetic, IRN_ARITHMETIC_HOST_FLOAT64);
    testing_fails(
        irn_bound_kernel(&b, &proof, context, IRN_ARITHMETIC_DEVICE_FLOAT64, kernel, &s, "kernel"),
        IRN_ERROR_UNSUPPORTED, "no float64");
}
END_TEST

/* Taps of one sign have their largest norm at frequency 0, of alternating signs at pi: the grid
 * without that frequency is taken, whether the torus has an even or an odd number of them. Signs of
 * rows alternate for bit 0, of columns for bit 1; bits 2 and 3: sizes. */
START_TEST(shifts)
{
    irn_kernel_shape s = {2, 1, 3, 3,    4 + (_i >> 2 & 1), 5 + (_i >> 3 & 1), IRN_PAD_ZEROS,
                          1, 1, 1, false};
    double *kernel = adversary_kernel(ADVERSARY_RANDOM, &s);
    arb_mat_t m, turned;
    for (int i = 0; i < 18; i++) {
        bool minus = (_i & 1 && i / 3 % 3 == 1) != (_i & 2 && i % 3 == 1);
        kernel[i] = (minus ? -1 : 1) * (1 + 0.1 * fabs(tanh(kernel[i])));
    }
    layer_matrix(m, kernel, &s);
    arb_mat_init(turned, arb_mat_ncols(m), arb_mat_nrows(m));
    arb_mat_transpose(turned, m);
    for (int i = 0; i < ARITHMETICS; i++) {
        irn_bound b;
        irn_proof proof;
        if (!devices_prove(context, arithmetics[i]))
            continue;
        testing_ok(irn_prove_symbol(&b, &proof, context, arithmetics[i], kernel, &s, "kernel"));
        ck_assert(proof.shifted[0] == (!(_i & 1) || proof.torus[0] % 2 == 0));
        ck_assert(proof.shifted[1] == (!(_i & 2) || proof.torus[1] % 2 == 0));
        exact_verdict v = {true, false};
        exact_judge(&v, turned, b);
        ck_assert_msg(v.below_upper && v.above_lower, "arithmetic %d: %.17g, %.17g",
                      (int)arithmetics[i], b.lower, b.upper);
    }
    arb_mat_clear(m);
    arb_mat_clear(turned);
}
END_TEST

/* ---- how tight ---- */

static irn_bound bound_of(const irn_kernel_shape *s, irn_arithmetic arithmetic)
{
    irn_bound b;
    irn_proof proof;
    double *kernel = adversary_kernel(ADVERSARY_RANDOM, s);
    testing_ok(irn_prove_symbol(&b, &proof, context, arithmetic, kernel, s, "kernel"));
    return b;
}

static void check_share(const irn_kernel_shape *s, irn_arithmetic arithmetic, double most)
{
    if (!devices_prove(context, arithmetic))
        return;
    irn_bound b = bound_of(s, arithmetic);
    if (getenv("IRN_TEST_VERBOSE"))
        printf("%s, arithmetic %d: upper / lower - 1 = %.3g\n", text_of(s), (int)arithmetic,
               b.upper / b.lower - 1);
    ck_assert_msg(b.upper <= b.lower * (1 + most), "%s, arithmetic %d: %.17g, %.17g", text_of(s),
                  (int)arithmetic, b.lower, b.upper);
}

START_TEST(tight_circular)
{
    static const irn_kernel_shape shapes[] = {
        {128, 128, 3, 3, 8, 8, IRN_PAD_CIRCULAR, 1, 1, 1, false},
        {64, 96, 5, 5, 10, 6, IRN_PAD_CIRCULAR, 1, 1, 1, false},
        {40, 20, 3, 3, 12, 12, IRN_PAD_CIRCULAR, 2, 1, 1, false},
        {64, 64, 3, 3, 9, 9, IRN_PAD_CIRCULAR, 1, 2, 16, false}};
    host_restart();
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i += (size_t)host_step(1)) {
        check_share(&shapes[i], IRN_ARITHMETIC_DEVICE_FLOAT64, 1e-8);
        check_share(&shapes[i], IRN_ARITHMETIC_DEVICE_FLOAT32, 2e-2);
        check_share(&shapes[i], IRN_ARITHMETIC_HOST_FLOAT64, 1e-8);
        host_free_all();
    }
}
END_TEST

START_TEST(tight_zeros)
{
    host_restart();
    for (size_t channels = 20; channels <= 80; channels += 20 * (size_t)host_step(1)) {
        irn_kernel_shape s = {channels, 100 - channels, 3, 3, 16, 18, IRN_PAD_ZEROS, 1, 1,
                              1,        false};
        check_share(&s, IRN_ARITHMETIC_DEVICE_FLOAT64, 1e-2);
        check_share(&s, IRN_ARITHMETIC_DEVICE_FLOAT32, 1.5e-2);
    }
}
END_TEST

/* Bounds of any size are above those of every size, and not far above the largest. */
START_TEST(any_size)
{
    host_restart();
    for (int i = 0; i < 6; i += host_step(1)) {
        irn_kernel_shape s = random_shape(6, 5);
        s.height = s.width = 0;
        s.stride = (size_t)(i % 3 == 2 ? 2 : 1);
        double *kernel = adversary_kernel(i % 2 ? ADVERSARY_FLAT : ADVERSARY_RANDOM, &s);
        irn_bound any, one;
        irn_proof proof;
        testing_ok(irn_bound_kernel(&any, &proof, context, IRN_ARITHMETIC_AUTO, kernel, &s, "any"));
        ck_assert_uint_ge(proof.torus[0], s.kernel_height > 1 ? 64 : 1);
        ck_assert(s.stride > 1 ? any.lower == 0 : any.upper <= any.lower * 1.02);
        for (size_t map = 1; map <= 30; map += 4)
            for (int padding = 0; padding < 2; padding++) {
                irn_kernel_shape sized = s;
                sized.height = map;
                sized.width = 1 + map * 7 % 23;
                sized.padding = (irn_padding)padding;
                testing_ok(irn_bound_kernel(&one, &proof, context, IRN_ARITHMETIC_AUTO, kernel,
                                            &sized, "one"));
                ck_assert_msg(one.lower <= any.upper, "%s: %.17g, %.17g", text_of(&sized),
                              one.lower, any.upper);
            }
        host_free_all();
    }
}
END_TEST

/* ---- refused ---- */

/* Pixels of the torus are counted in ints: the largest map, and the next. */
START_TEST(largest_maps)
{
    irn_kernel_shape s = {2, 2, 1, 1, 23167, 23167, IRN_PAD_ZEROS, 1, 1, 1, false};
    size_t count;
    testing_ok(irn_shape_check(&s, "k", &count));
    ck_assert_uint_eq(count, 4);
    s.height++;
    s.width++;
    testing_fails(irn_shape_check(&s, "k", &count), IRN_ERROR_ARGUMENT,
                  "on a 23168x23168 map, stride 1, dilation 1, is beyond what can be counted");
}
END_TEST

START_TEST(refused)
{
    const irn_kernel_shape good = {2, 2, 3, 3, 4, 4, IRN_PAD_ZEROS, 1, 1, 1, false};
    double kernel[36] = {1, 2, 3};
    irn_kernel_shape s = good;
    irn_bound b;
    irn_proof proof;
    testing_fails(
        irn_bound_kernel(&b, &proof, NULL, IRN_ARITHMETIC_DEVICE_FLOAT32, kernel, &s, "k"),
        IRN_ERROR_UNSUPPORTED, "no device");
    testing_fails(irn_bound_kernel(&b, &proof, context, (irn_arithmetic)7, kernel, &s, "k"),
                  IRN_ERROR_ARGUMENT, "no such arithmetic: 7");
    s.width = 0;
    testing_fails(irn_bound_kernel(&b, &proof, context, IRN_ARITHMETIC_AUTO, kernel, &s, "k"),
                  IRN_ERROR_ARGUMENT, "4x0 map");
    s = good;
    s.groups = 3;
    testing_fails(irn_bound_kernel(&b, &proof, context, IRN_ARITHMETIC_AUTO, kernel, &s, "k"),
                  IRN_ERROR_ARGUMENT, "not 3 groups");
    s = good;
    s.transposed = true;
    s.stride = SIZE_MAX / 8;
    testing_fails(irn_bound_kernel(&b, &proof, context, IRN_ARITHMETIC_AUTO, kernel, &s, "k"),
                  IRN_ERROR_ARGUMENT, "stride");
    s.stride = s.height = s.width = 1 << 20;
    testing_fails(irn_bound_kernel(&b, &proof, context, IRN_ARITHMETIC_AUTO, kernel, &s, "k"),
                  IRN_ERROR_ARGUMENT, "beyond what can be counted");
    kernel[35] = (double)NAN;
    for (int i = 0; i < ARITHMETICS; i++)
        if (devices_prove(context, arithmetics[i]))
            testing_fails(irn_bound_kernel(&b, &proof, context, arithmetics[i], kernel, &good, "k"),
                          IRN_ERROR_NUMERIC, "value 35 of 36 is");
}
END_TEST

/* Kernels of more taps than are correlated, of which few act, or all. */
START_TEST(many_taps)
{
    irn_kernel_shape s = {1, 1, 90, 90, 3, 3, IRN_PAD_ZEROS, 1, 1, 1, false};
    double *kernel = host_normal(8100);
    irn_bound b;
    irn_proof proof;
    for (int padding = 0; padding < 2; padding++) {
        s.padding = (irn_padding)padding;
        testing_ok(irn_prove_symbol(&b, &proof, context, IRN_ARITHMETIC_HOST_FLOAT64, kernel, &s,
                                    "kernel"));
        ck_assert(b.lower > 0 && b.lower <= b.upper);
    }
    s.height = s.width = 90;
    testing_fails(
        irn_prove_symbol(&b, &proof, context, IRN_ARITHMETIC_HOST_FLOAT64, kernel, &s, "kernel"),
        IRN_ERROR_UNSUPPORTED, "8100 taps");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("layers");
    TCase *test = testing_case(suite, "bounds");
    tcase_add_checked_fixture(test, open_context, close_context);
    tcase_set_timeout(test, 300);
    tcase_add_loop_test(test, contained, 0, ADVERSARY_KINDS);
    tcase_add_loop_test(test, wider, 0, ADVERSARY_KINDS);
    tcase_add_test(test, work_groups);
    tcase_add_test(test, single_only);
    tcase_add_loop_test(test, shifts, 0, 16);
    tcase_add_test(test, tight_circular);
    tcase_add_test(test, tight_zeros);
    tcase_add_test(test, any_size);
    tcase_add_test(test, largest_maps);
    tcase_add_test(test, refused);
    tcase_add_test(test, many_taps);
    return testing_run(suite);
}
