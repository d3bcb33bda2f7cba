/* Proven bounds of many kernels, random ones and such as are hard on bounds, against what is known
 * of the norm without the library (truth.h): no upper bound below it, no lower one above; and how
 * tight they are. Every arithmetic, both paddings.
 *
 * IRN_TEST_EFFORT=full takes 10,000 kernels, some six minutes of one core; else some hundreds.
 * IRN_TEST_SEED takes others. It prints what it did: for each kind of kernel how the truth was
 * found, and the largest upper / lower - 1. */
#include "adversary.h"
#include "devices.h"
#include "truth.h"

#include "certify/bound.h"
#include "runtime/runtime.h"

#include <math.h>
#include <stdio.h>

enum { ARITHMETICS = 3, PADDINGS = 2 };
static const irn_arithmetic arithmetics[] = {
    IRN_ARITHMETIC_DEVICE_FLOAT64, IRN_ARITHMETIC_DEVICE_FLOAT32, IRN_ARITHMETIC_HOST_FLOAT64};
static const char *const arithmetic_names[] = {"float64", "float32", "host"};
static const char *const padding_names[] = {"circular", "zero"};

/* Of bounds: how many, how many that are as near to the norm as the truth is known, how many wrong;
 * and the loosest. */
typedef struct tally {
    int bounds, near, wrong;
    double loosest;
} tally;

typedef struct campaign {
    irn_context *context;
    int kernels[ADVERSARY_KINDS], means[PADDINGS][TRUTH_MEANS], wrong;
    tally tallies[ADVERSARY_KINDS][PADDINGS][ARITHMETICS];
} campaign;

/* ---- shapes ---- */

/* 1 to most, each power of two as often as the next. */
static size_t draw(size_t most)
{
    double turn = (double)host_below(1 << 20) * 0x1p-20;
    return (size_t)exp(turn * log((double)most + 1));
}

static irn_kernel_shape draw_plain(void)
{
    return (irn_kernel_shape){draw(64),         draw(64), draw(7), draw(7), draw(33), draw(17),
                              IRN_PAD_CIRCULAR, 1,        1,       1,       false};
}

/* With a stride, dilation, groups. */
static irn_kernel_shape draw_general(void)
{
    size_t groups = draw(3);
    return (irn_kernel_shape){groups * draw(3), groups * draw(3),   draw(7),
                              draw(7),          host_between(1, 6), host_between(1, 6),
                              IRN_PAD_CIRCULAR, host_between(1, 3), host_between(1, 2),
                              groups,           host_below(3) == 0};
}

static const char *text_of(const irn_kernel_shape *s)
{
    static char text[200];
    snprintf(text, sizeof text,
             "%zux%zux%zux%zu on %zux%zu, stride %zu, dilation %zu, %zu groups%s", s->outputs,
             s->inputs, s->kernel_height, s->kernel_width, s->height, s->width, s->stride,
             s->dilation, s->groups, s->transposed ? ", transposed" : "");
    return text;
}

/* ---- tightness ---- */

static const double torus_limit = 1e-2, operator_limit = 1e-6;
static const double single_limit = 2e-2, double_limit = 1e-8; /* circular */

static double looseness(irn_bound b)
{
    return b.upper == b.lower ? 0 : b.upper / b.lower - 1;
}

/* Whether a circular layer's torus is the layer. */
static bool divides(const irn_kernel_shape *s)
{
    return s->transposed || (s->height % s->stride == 0 && s->width % s->stride == 0);
}

/* What upper / lower - 1 is to be at most; infinite where nothing is promised. Where taps cancel on
 * a small torus, bounds are relative to the taps and not to the norm. */
static double promised(int kind, const irn_kernel_shape *s, const irn_proof *proof)
{
    if (proof->method == IRN_PROOF_OPERATOR)
        return operator_limit;
    if (s->padding == IRN_PAD_ZEROS || !divides(s) || kind == ADVERSARY_SUM_ZERO)
        return (double)INFINITY;
    return proof->arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT32 ? single_limit : double_limit;
}

/* ---- one kernel ---- */

static bool is_wrong(tally *t, const truth *known, irn_bound b)
{
    int lower = truth_of_lower(known, b.lower), upper = truth_of_upper(known, b.upper);
    bool limits = known->means == TRUTH_LIMITS;
    t->near += !limits && (lower == 0 || upper == 0);
    return lower == 1 || upper == -1;
}

static void check_bound(campaign *c, int kind, const double *kernel, const irn_kernel_shape *s,
                        const truth *known, int arithmetic)
{
    tally *t = &c->tallies[kind][s->padding == IRN_PAD_ZEROS][arithmetic];
    irn_bound b = {-1, -1};
    irn_proof proof;
    if (!devices_prove(c->context, arithmetics[arithmetic]))
        return;
    testing_ok(
        irn_bound_kernel(&b, &proof, c->context, arithmetics[arithmetic], kernel, s, "kernel"));
    bool wrong = is_wrong(t, known, b), loose = !(looseness(b) <= promised(kind, s, &proof));
    t->bounds++;
    t->wrong += wrong || loose;
    c->wrong += wrong || loose;
    if (s->padding == IRN_PAD_ZEROS || isfinite(promised(kind, s, &proof)))
        t->loosest = fmax(t->loosest, looseness(b));
    if (wrong || loose)
        printf("%s: %s kernel %s, %s, %s: %.17g to %.17g, the norm being %.17g to %.17g\n",
               wrong ? "WRONG" : "LOOSE", adversary_kinds[kind], text_of(s),
               padding_names[s->padding == IRN_PAD_ZEROS], arithmetic_names[arithmetic], b.lower,
               b.upper, known->least, known->most);
}

static void check_kernel(campaign *c, int kind, irn_kernel_shape s)
{
    const double *kernel = adversary_kernel(kind, &s);
    truth known;
    c->kernels[kind]++;
    for (int zeros = 0; zeros < PADDINGS; zeros++) {
        s.padding = zeros ? IRN_PAD_ZEROS : IRN_PAD_CIRCULAR;
        truth_find(&known, kernel, &s);
        c->means[zeros][known.means]++;
        for (int arithmetic = 0; arithmetic < ARITHMETICS; arithmetic++)
            check_bound(c, kind, kernel, &s, &known, arithmetic);
        truth_free(&known);
    }
}

/* ---- many ---- */

static void report(const campaign *c)
{
    printf("truth: by Arb, by LAPACK, by limits\n");
    for (int zeros = 0; zeros < PADDINGS; zeros++)
        printf("  %-8s %6d %6d %6d\n", padding_names[zeros], c->means[zeros][TRUTH_ARB],
               c->means[zeros][TRUTH_LAPACK], c->means[zeros][TRUTH_LIMITS]);
    printf("%-12s %7s %-8s %-8s %7s %6s %6s %s\n", "kind", "kernels", "padding", "in", "bounds",
           "wrong", "near", "upper / lower - 1 at most");
    for (int kind = 0; kind < ADVERSARY_KINDS; kind++)
        for (int i = 0; i < PADDINGS * ARITHMETICS; i++) {
            const tally *t = &c->tallies[kind][i / ARITHMETICS][i % ARITHMETICS];
            printf("%-12s %7d %-8s %-8s %7d %6d %6d %.3g\n", adversary_kinds[kind],
                   c->kernels[kind], padding_names[i / ARITHMETICS],
                   arithmetic_names[i % ARITHMETICS], t->bounds, t->wrong, t->near, t->loosest);
        }
    fflush(stdout);
}

/* One in ten has a stride, dilation or groups. */
START_TEST(contained)
{
    campaign c = {.context = devices_open(_i)};
    int count = host_thorough() ? 10000 : 200;
    for (int i = 0; i < count; i += host_step(1)) {
        bool general = i / ADVERSARY_KINDS % 10 == 9;
        check_kernel(&c, i % ADVERSARY_KINDS, general ? draw_general() : draw_plain());
        host_free_all();
    }
    report(&c);
    ck_assert_msg(c.wrong == 0, "%d bounds are wrong or too loose", c.wrong);
    devices_close(c.context);
}
END_TEST

/* The corners of the ranges, and maps smaller than the stride. */
static const irn_kernel_shape corners[] = {
    {64, 64, 7, 7, 5, 3, IRN_PAD_CIRCULAR, 1, 1, 1, false},
    {64, 1, 7, 1, 33, 1, IRN_PAD_CIRCULAR, 1, 1, 1, false},
    {1, 64, 1, 7, 1, 17, IRN_PAD_CIRCULAR, 1, 1, 1, false},
    {1, 1, 7, 7, 33, 17, IRN_PAD_CIRCULAR, 1, 1, 1, false},
    {1, 1, 1, 1, 1, 1, IRN_PAD_CIRCULAR, 1, 1, 1, false},
    {1, 1, 7, 7, 1, 1, IRN_PAD_CIRCULAR, 1, 1, 1, false},
    {1, 1, 1, 6, 4, 2, IRN_PAD_CIRCULAR, 3, 1, 1, false},
    {2, 3, 3, 4, 3, 2, IRN_PAD_CIRCULAR, 3, 1, 1, false},
    {3, 3, 1, 4, 1, 2, IRN_PAD_CIRCULAR, 3, 1, 3, false},
};

START_TEST(contained_at_corners)
{
    campaign c = {.context = devices_open(_i)};
    for (int i = 0; i < (int)(sizeof corners / sizeof *corners); i++)
        for (int kind = 0; kind < ADVERSARY_KINDS; kind += host_step(1)) {
            check_kernel(&c, kind, corners[i]);
            host_free_all();
        }
    ck_assert_msg(c.wrong == 0, "%d bounds are wrong or too loose", c.wrong);
    devices_close(c.context);
}
END_TEST

/* ---- tightness alone ---- */

static double looseness_of(irn_context *context, irn_arithmetic arithmetic, int kind,
                           const irn_kernel_shape *s)
{
    irn_bound b = {-1, -1};
    irn_proof proof;
    testing_ok(
        irn_bound_kernel(&b, &proof, context, arithmetic, adversary_kernel(kind, s), s, "kernel"));
    return looseness(b);
}

/* Random 3x3 kernels with zero padding, from 16x16 on: within 1 % on the torus, the quotient of a
 * few steps of Lanczos being below the layer's norm too; and by the operator wherever it has at
 * most 4,096 rows or columns. */
START_TEST(tight_with_zeros)
{
    irn_context *context = devices_open(_i);
    double torus = 0, own = 0, large = 0;
    int count = host_thorough() ? 400 : 12, done = 0;
    irn_arithmetic wide =
        devices_prove(context, IRN_ARITHMETIC_DEVICE_FLOAT64)   ? IRN_ARITHMETIC_DEVICE_FLOAT64
        : devices_prove(context, IRN_ARITHMETIC_DEVICE_FLOAT32) ? IRN_ARITHMETIC_DEVICE_FLOAT32
                                                                : IRN_ARITHMETIC_HOST_FLOAT64;
    for (int i = 0; i < count; i += host_step(1)) {
        irn_kernel_shape s = {
            draw(64), draw(64), 3, 3,    host_between(16, 33), host_between(16, 33), IRN_PAD_ZEROS,
            1,        1,        1, false};
        double loose = looseness_of(context, wide, ADVERSARY_RANDOM, &s);
        done++;
        torus = fmax(torus, loose);
        ck_assert_msg(loose <= torus_limit, "%s: loose by %g", text_of(&s), loose);
        bool small = s.height * s.width * (s.inputs < s.outputs ? s.inputs : s.outputs) <= 4096;
        loose = looseness_of(context, IRN_ARITHMETIC_AUTO, ADVERSARY_RANDOM, &s);
        *(small ? &own : &large) = fmax(small ? own : large, loose);
        ck_assert_msg(loose <= (small ? operator_limit : torus_limit), "%s: loose by %g",
                      text_of(&s), loose);
        host_free_all();
    }
    printf("3x3, zero padding, 16x16 to 33x33, %d kernels: loose by %.3g on the torus, %.3g by the "
           "operator, %.3g where that is too large\n",
           done, torus, own, large);
    devices_close(context);
}
END_TEST

/* Many frequencies that may have the norm. */
START_TEST(tight_when_nearly_equal)
{
    irn_context *context = devices_open(_i);
    double loosest[ARITHMETICS] = {0};
    int count = host_thorough() ? 3000 : 300;
    for (int i = 0; i < count; i += host_step(1)) {
        irn_kernel_shape s = draw_plain();
        for (int arithmetic = 0; arithmetic < ARITHMETICS; arithmetic++) {
            if (!devices_prove(context, arithmetics[arithmetic]))
                continue;
            double loose =
                looseness_of(context, arithmetics[arithmetic], ADVERSARY_NEARLY_EQUAL, &s);
            loosest[arithmetic] = fmax(loosest[arithmetic], loose);
            ck_assert_msg(loose <= (arithmetic == 1 ? single_limit : double_limit),
                          "%s, %s: loose by %g", text_of(&s), arithmetic_names[arithmetic], loose);
        }
        host_free_all();
    }
    printf("nearly equal, circular: loose by %.3g in float64, %.3g in float32, %.3g on the host\n",
           loosest[0], loosest[1], loosest[2]);
    devices_close(context);
}
END_TEST

/* 128 channels. */
START_TEST(tight_when_wide)
{
    static const int kinds[] = {ADVERSARY_RANDOM, ADVERSARY_FLAT, ADVERSARY_RANK_ONE,
                                ADVERSARY_NEARLY_EQUAL, ADVERSARY_ONE_HUGE};
    irn_context *context = devices_open(_i);
    irn_kernel_shape s = {128, 128, 3, 3, 6, 5, IRN_PAD_CIRCULAR, 1, 1, 1, false};
    for (int i = 0; i < (int)(sizeof kinds / sizeof *kinds); i += host_step(1))
        for (int arithmetic = 0; arithmetic < ARITHMETICS; arithmetic++) {
            bool single = arithmetics[arithmetic] == IRN_ARITHMETIC_DEVICE_FLOAT32;
            if (!devices_prove(context, arithmetics[arithmetic]))
                continue;
            double loose = looseness_of(context, arithmetics[arithmetic], kinds[i], &s);
            printf("128 channels, %s, circular, %s: loose by %.3g\n", adversary_kinds[kinds[i]],
                   arithmetic_names[arithmetic], loose);
            ck_assert_msg(loose <= (single ? single_limit : double_limit), "%s, %s: loose by %g",
                          adversary_kinds[kinds[i]], arithmetic_names[arithmetic], loose);
            host_free_all();
        }
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("containment");
    TCase *bounds = devices_case(suite, "containment"), *tight = devices_case(suite, "tightness");
    const double hours = 3;
    tcase_set_timeout(tight, hours * 3600);
    tcase_set_timeout(bounds, hours * 3600);
    devices_add(bounds, contained);
    devices_add(bounds, contained_at_corners);
    devices_add(tight, tight_with_zeros);
    devices_add(tight, tight_when_nearly_equal);
    devices_add(tight, tight_when_wide);
    return testing_run(suite);
}
