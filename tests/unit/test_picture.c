/* The program's pictures of densities and of points in the plane. */
#include "testing.h"

#include "cli/picture.h"

#include <math.h>
#include <string.h>

enum { SIDE = 80, PANELS = 2 };

/* Y of CIE XYZ. */
static double luminance(const uint8_t rgb[3])
{
    const double weights[3] = {0.2126, 0.7152, 0.0722};
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        double value = rgb[i] / 255.0;
        sum += weights[i] * (value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4));
    }
    return sum;
}

static cli_picture create(void)
{
    cli_picture picture;
    ck_assert(cli_picture_create(&picture, PANELS, SIDE));
    return picture;
}

/* Pixel (y, x) of a panel; panels stand at equal distances from each other and from the edges. */
static const uint8_t *pixel(const cli_picture *picture, size_t panel, size_t y, size_t x)
{
    size_t gap = (picture->width - PANELS * SIDE) / (PANELS + 1);
    ck_assert_uint_eq(picture->width, PANELS * SIDE + (PANELS + 1) * gap);
    ck_assert_uint_eq(picture->height, SIDE + 2 * gap);
    return picture->pixels + ((gap + y) * picture->width + gap + panel * (SIDE + gap) + x) * 3;
}

static void check_share(const uint8_t *found, double share)
{
    uint8_t wanted[3];
    cli_colour(share, wanted);
    ck_assert_mem_eq(found, wanted, 3);
}

START_TEST(brightness_rises_evenly)
{
    const int steps = 64;
    uint8_t rgb[3];
    double before = 0;
    for (int i = 0; i <= steps; i++) {
        cli_colour((double)i / steps, rgb);
        double lightness = cbrt(luminance(rgb)), step = (lightness - before) * steps;
        ck_assert_msg(i == 0 || (step > 0.4 && step < 1.4), "step %d: %g", i, step);
        before = lightness;
    }
    ck_assert(before > 0.9);
    cli_colour(0, rgb);
    ck_assert(luminance(rgb) < 0.01);
    check_share(rgb, -3);
    check_share(rgb, NAN);
    cli_colour(1, rgb);
    check_share(rgb, 2);
}
END_TEST

START_TEST(densities_are_shares_of_the_largest)
{
    static double log_density[SIDE * SIDE];
    cli_picture picture = create();
    for (size_t i = 0; i < SIDE * SIDE; i++)
        log_density[i] = -900;
    log_density[3 * SIDE + 5] = -700;
    log_density[SIDE * SIDE - 1] = -701;
    cli_picture_density(&picture, 0, log_density, 0);
    cli_picture_density(&picture, 1, log_density, 4);
    const double exponential[2] = {exp(-1), 0.75};
    for (size_t panel = 0; panel < PANELS; panel++) {
        check_share(pixel(&picture, panel, 3, 5), 1);
        check_share(pixel(&picture, panel, SIDE - 1, SIDE - 1), exponential[panel]);
        check_share(pixel(&picture, panel, 0, 0), 0);
    }
    const uint8_t paper[3] = {255, 255, 255};
    ck_assert_mem_eq(picture.pixels, paper, 3);
    ck_assert_mem_eq(pixel(&picture, 1, 0, 0) - 3, paper, 3);
    cli_picture_free(&picture);
}
END_TEST

START_TEST(points_are_blots)
{
    const double range = 3;
    const float right = (float)cli_pixel_centre(60, SIDE, range), up = (float)range / 2;
    const float points[] = {right, up, -right, up, right, up, NAN, 0, 100, 0, 0, -INFINITY};
    size_t row = SIDE / 4;
    cli_picture picture = create();
    cli_picture_points(&picture, 1, points, 6, range);
    check_share(pixel(&picture, 1, row, 60), 1);
    check_share(pixel(&picture, 1, row, SIDE - 1 - 60), 0.5);
    check_share(pixel(&picture, 1, SIDE - 1 - row, 60), 0);
    check_share(pixel(&picture, 1, row, SIDE - 1), 0);
    cli_picture_points(&picture, 0, points + 6, 3, range);
    check_share(pixel(&picture, 0, SIDE / 2, SIDE / 2), 0);
    cli_picture_free(&picture);
}
END_TEST

START_TEST(pixels_share_the_square)
{
    ck_assert_double_eq_tol(cli_pixel_centre(0, 4, 2), -1.5, 1e-15);
    ck_assert_double_eq_tol(cli_pixel_centre(3, 4, 2), 1.5, 1e-15);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("picture");
    TCase *picture = testing_case(suite, "picture");
    tcase_add_test(picture, brightness_rises_evenly);
    tcase_add_test(picture, densities_are_shares_of_the_largest);
    tcase_add_test(picture, points_are_blots);
    tcase_add_test(picture, pixels_share_the_square);
    return testing_run(suite);
}
