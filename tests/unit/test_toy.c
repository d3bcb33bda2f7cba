/* The point sets toy:NAME against what is known of their densities. */
#include "testing.h"

#include <iresnet/data.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { TRAIN_COUNT = 20000, TEST_COUNT = 10000 };

/* All points of a toy set, [count, 2]; the caller frees them. */
static float *toy_points(const char *name, irn_split split, size_t count)
{
    irn_dataset *set;
    float *points = calloc(count, 2 * sizeof *points);
    uint32_t *indices = calloc(count, sizeof *indices);
    for (size_t i = 0; i < count; i++)
        indices[i] = (uint32_t)i;
    char spec[32];
    snprintf(spec, sizeof spec, "toy:%s", name);
    testing_ok(irn_dataset_open(&set, spec, split));
    irn_dataset_info info = irn_dataset_get_info(set);
    ck_assert(info.count == count && info.channels == 2 && info.classes == 0);
    ck_assert(info.height == 1 && info.width == 1);
    testing_ok(irn_dataset_batch(set, indices, count, NULL, 0, 0, points, NULL));
    irn_dataset_free(set);
    free(indices);
    return points;
}

static double mean_of(const float *points, size_t count, double power, double from)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += pow((double)points[2 * i] - from, power);
    return sum / (double)count;
}

/* Integrals of the densities. */
static const struct {
    const char *name;
    double mean[2], variance[2];
} toys[] = {{"8gaussians", {0, 0}, {4.1263, 4.1263}},
            {"2spirals", {0, 0}, {2.5936, 2.5094}},
            {"checkerboard", {0, 0}, {16 / 3.0, 16 / 3.0}},
            {"circles", {0, 0}, {2.8701, 2.8701}},
            {"moons", {0, 0.3}, {3.04, 1.0168}},
            {"pinwheel", {0, 0}, {2.2, 2.2}},
            {"rings", {0, 0}, {2.1158, 2.1158}},
            {"swissroll", {0.4, 0.0424}, {1.7946, 1.9728}}};

START_TEST(toys_have_their_moments)
{
    const char *name = toys[_i].name;
    float *train = toy_points(name, IRN_TRAIN, TRAIN_COUNT);
    float *test = toy_points(name, IRN_TEST, TEST_COUNT);
    for (int axis = 0; axis < 2; axis++) {
        double mean = toys[_i].mean[axis], variance = toys[_i].variance[axis];
        double train_mean = mean_of(train + axis, TRAIN_COUNT, 1, 0);
        double train_variance = mean_of(train + axis, TRAIN_COUNT, 2, mean);
        double test_variance = mean_of(test + axis, TEST_COUNT, 2, mean);
        ck_assert_msg(fabs(train_mean - mean) <= 0.05, "%s: mean %g", name, train_mean);
        ck_assert_msg(fabs(train_variance / variance - 1) <= 0.03, "%s: variance %g", name,
                      train_variance);
        ck_assert_msg(fabs(test_variance / variance - 1) <= 0.04, "%s: test variance %g", name,
                      test_variance);
    }
    for (size_t i = 0; i < 2 * TRAIN_COUNT; i++)
        ck_assert_msg(fabsf(train[i]) <= 5, "%s: %g", name, (double)train[i]);
    free(train);
    free(test);
}
END_TEST

static int by_first(const void *a, const void *b)
{
    float left = *(const float *)a, right = *(const float *)b;
    return (left > right) - (left < right);
}

START_TEST(toys_repeat_and_splits_differ)
{
    const char *name = toys[_i].name;
    float *train = toy_points(name, IRN_TRAIN, TRAIN_COUNT);
    float *again = toy_points(name, IRN_TRAIN, TRAIN_COUNT);
    float *test = toy_points(name, IRN_TEST, TEST_COUNT);
    ck_assert_mem_eq(train, again, 2 * TRAIN_COUNT * sizeof *train);
    qsort(train, TRAIN_COUNT, 2 * sizeof *train, by_first);
    for (size_t i = 0; i < TEST_COUNT; i++) {
        const float *same = bsearch(test + 2 * i, train, TRAIN_COUNT, 2 * sizeof *train, by_first);
        ck_assert_msg(!same || same[1] != test[2 * i + 1], "%s: test point %zu is a training one",
                      name, i);
    }
    free(train);
    free(again);
    free(test);
}
END_TEST

START_TEST(checkerboard_keeps_to_its_squares)
{
    float *points = toy_points("checkerboard", IRN_TRAIN, TRAIN_COUNT);
    size_t counts[4][4] = {{0}};
    for (size_t i = 0; i < TRAIN_COUNT; i++) {
        double column = floor(((double)points[2 * i] + 4) / 2);
        double row = floor(((double)points[2 * i + 1] + 4) / 2);
        ck_assert(column >= 0 && column < 4 && row >= 0 && row < 4);
        counts[(int)column][(int)row]++;
    }
    for (size_t column = 0; column < 4; column++)
        for (size_t row = 0; row < 4; row++) {
            double wanted = (column + row) % 2 ? 0 : TRAIN_COUNT / 8.0;
            ck_assert(fabs((double)counts[column][row] - wanted) <= 0.08 * wanted);
        }
    free(points);
}
END_TEST

/* Distances from `count` circles, whose radii are multiples of a step, in noise deviations. */
static void check_radii(const char *name, double step, int count, double deviation)
{
    float *points = toy_points(name, IRN_TEST, TEST_COUNT);
    size_t found[4] = {0};
    for (size_t i = 0; i < TEST_COUNT; i++) {
        double radius = hypot((double)points[2 * i], (double)points[2 * i + 1]);
        int circle = (int)fmin(fmax(round(radius / step), 1), count);
        ck_assert_msg(fabs(radius - step * circle) <= 5 * deviation, "%s: radius %g", name, radius);
        found[circle - 1]++;
    }
    for (int i = 0; i < count; i++)
        ck_assert(fabs((double)found[i] * count / TEST_COUNT - 1) <= 0.08);
    free(points);
}

START_TEST(circles_have_their_radii)
{
    check_radii("rings", 0.75, 4, 0.08);
    check_radii("circles", 1.5, 2, 0.24);
}
END_TEST

static double spiral_2_turn(double radius)
{
    return -3 * radius;
}

static double pinwheel_turn(double radius)
{
    return -0.25 * exp(radius / 2);
}

static double swissroll_turn(double radius)
{
    return 5 * radius;
}

/* Turned back by what belongs to their distances, points lie at multiples of 1 / arms of a circle
 * up to noise: the mean cosine would be 1 without noise, and is near 0 for another winding. */
static const struct {
    const char *name;
    int arms;
    double (*turn)(double radius);
    double least;
} windings[] = {{"2spirals", 2, spiral_2_turn, 0.6},
                {"pinwheel", 5, pinwheel_turn, 0.8},
                {"swissroll", 1, swissroll_turn, 0.5}};

START_TEST(arms_are_wound)
{
    float *points = toy_points(windings[_i].name, IRN_TRAIN, TRAIN_COUNT);
    double sum = 0;
    for (size_t i = 0; i < TRAIN_COUNT; i++) {
        double x = (double)points[2 * i], y = (double)points[2 * i + 1];
        double rest = atan2(y, x) - windings[_i].turn(hypot(x, y));
        sum += cos(windings[_i].arms * rest) / TRAIN_COUNT;
    }
    ck_assert_msg(sum >= windings[_i].least, "%s: %g", windings[_i].name, sum);
    free(points);
}
END_TEST

/* Of the mixture that toy:8gaussians is drawn from. */
static double log_density(const float *point)
{
    const double pi = 3.14159265358979323846, scale = 1.414, variance = pow(0.5 / scale, 2);
    double sum = 0;
    for (int k = 0; k < 8; k++) {
        double x = (double)point[0] - 4 / scale * cos(k * pi / 4);
        double y = (double)point[1] - 4 / scale * sin(k * pi / 4);
        sum += exp(-(x * x + y * y) / (2 * variance));
    }
    return log(sum / (8 * 2 * pi * variance));
}

START_TEST(the_entropy_of_8gaussians_is_known)
{
    float *points = toy_points("8gaussians", IRN_TRAIN, TRAIN_COUNT);
    double entropy = 0;
    for (size_t i = 0; i < TRAIN_COUNT; i++)
        entropy -= log_density(points + 2 * i) / TRAIN_COUNT;
    ck_assert_msg(fabs(entropy - 2.84) <= 0.02, "%g nats", entropy);
    free(points);
}
END_TEST

START_TEST(unknown_toys_are_told_the_known_ones)
{
    irn_dataset *set;
    testing_fails(irn_dataset_open(&set, "toy:cats", IRN_TRAIN), IRN_ERROR_ARGUMENT,
                  "\"toy:cats\" is not a data set; toy: has 8gaussians, 2spirals, checkerboard, "
                  "circles, moons, pinwheel, rings, swissroll");
    testing_fails(irn_dataset_open(&set, "toy:", IRN_TRAIN), IRN_ERROR_ARGUMENT, "8gaussians");
    testing_fails(irn_dataset_open(&set, "toy:moonss", IRN_TRAIN), IRN_ERROR_ARGUMENT, "moons,");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("toy");
    TCase *toy = testing_case(suite, "toy");
    const int count = sizeof toys / sizeof *toys;
    tcase_add_loop_test(toy, toys_have_their_moments, 0, count);
    tcase_add_loop_test(toy, toys_repeat_and_splits_differ, 0, count);
    tcase_add_test(toy, checkerboard_keeps_to_its_squares);
    tcase_add_test(toy, circles_have_their_radii);
    tcase_add_loop_test(toy, arms_are_wound, 0, sizeof windings / sizeof *windings);
    tcase_add_test(toy, the_entropy_of_8gaussians_is_known);
    tcase_add_test(toy, unknown_toys_are_told_the_known_ones);
    return testing_run(suite);
}
