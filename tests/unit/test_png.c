/* Pictures. */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <iresnet/image.h>

#include <math.h>
#include <png.h>
#include <stdlib.h>

/* Reads a PNG as RGB; the caller frees. */
static uint8_t *read_png(const char *path, unsigned *width, unsigned *height)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    ck_assert(png_image_begin_read_from_file(&image, path));
    image.format = PNG_FORMAT_RGB;
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
    ck_assert(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    *width = image.width;
    *height = image.height;
    return pixels;
}

START_TEST(draws_a_grid)
{
    /* Two images of 1x2: black, white; beyond, NaN. */
    const float images[4] = {0.0f, 1.0f, 7.0f, NAN};
    const uint8_t wanted[5][3] = {
        {0, 0, 0}, {255, 255, 255}, {128, 128, 128}, {255, 255, 255}, {255, 0, 0}};
    unsigned width, height;
    const char *path = testing_path("grid.png");
    testing_ok(irn_png_write_grid(images, 2, 1, 1, 2, 0.0f, 1.0f, 0, 1, path));
    uint8_t *pixels = read_png(path, &width, &height);
    ck_assert(width == 5 && height == 1);
    ck_assert_mem_eq(pixels, wanted, sizeof wanted);
    free(pixels);
    testing_ok(irn_png_write_grid(images, 2, 1, 1, 2, 0.0f, 1.0f, 1, 0, path));
    pixels = read_png(path, &width, &height);
    ck_assert(width == 56 && height == 57);
    free(pixels);
}
END_TEST

START_TEST(refuses_odd_pictures)
{
    const float images[8] = {0};
    const uint8_t pixels[8] = {0};
    const char *path = testing_path("x.png");
    testing_fails(irn_png_write(pixels, 2, 2, 2, path), IRN_ERROR_ARGUMENT, "2 channels");
    testing_fails(irn_png_write(pixels, 0, 2, 1, path), IRN_ERROR_ARGUMENT, "2 x 0");
    testing_fails(irn_png_write(pixels, SIZE_MAX, 2, 1, path), IRN_ERROR_ARGUMENT, "sides");
    testing_fails(irn_png_write(NULL, 2, 2, 1, path), IRN_ERROR_ARGUMENT, "no pixels");
    testing_fails(irn_png_write(pixels, 2, 2, 1, "/dev/full"), IRN_ERROR_FILE, "/dev/full");
    testing_fails(irn_png_write_grid(images, 0, 1, 2, 2, 0, 1, 0, 0, path), IRN_ERROR_ARGUMENT,
                  "0");
    testing_fails(irn_png_write_grid(images, 2, 1, 2, 2, 1, 1, 0, 0, path), IRN_ERROR_ARGUMENT,
                  "low < high");
    testing_fails(irn_png_write_grid(images, 2, 1, 2, 2, 0, 1, 0, 600000, path), IRN_ERROR_ARGUMENT,
                  "limit");
    testing_fails(irn_png_write_grid(images, 2, 1, 2, 2, 0, 1, 0, SIZE_MAX, path),
                  IRN_ERROR_ARGUMENT, "limit");
    testing_fails(irn_png_write_grid(images, SIZE_MAX, 1, 2, 2, 0, 1, 0, 1, path),
                  IRN_ERROR_ARGUMENT, "grid");
    ck_assert_uint_eq(testing_count_files(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("png");
    TCase *png = testing_case(suite, "png");
    tcase_add_test(png, draws_a_grid);
    tcase_add_test(png, refuses_odd_pictures);
    return testing_run(suite);
}
