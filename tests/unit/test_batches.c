/* Batches: order, shift, mirror. */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include <iresnet/array.h>
#include <iresnet/data.h>

#include <stdio.h>
#include <string.h>

START_TEST(shuffles_are_permutations)
{
    irn_dataset *set;
    testing_ok(irn_dataset_open(&set, "digits", IRN_TEST));
    uint32_t first[360], again[360], next[360];
    irn_dataset_shuffle(set, 7, 0, first);
    irn_dataset_shuffle(set, 7, 0, again);
    irn_dataset_shuffle(set, 7, 1, next);
    ck_assert_mem_eq(first, again, sizeof first);
    ck_assert(memcmp(first, next, sizeof first) != 0);
    bool seen[360] = {false};
    size_t fixed = 0;
    for (size_t i = 0; i < 360; i++) {
        ck_assert(first[i] < 360 && !seen[first[i]]);
        seen[first[i]] = true;
        fixed += first[i] == i;
    }
    ck_assert_uint_lt(fixed, 8); /* one is expected */
    irn_dataset_free(set);
}
END_TEST

/* Whether out is the 4x4 image moved by (down, right), mirrored before. */
static bool is_moved(const float *image, const float *out, int down, int right, bool mirror)
{
    for (int y = 0; y < 4; y++)
        for (int x = 0; x < 4; x++) {
            int from_y = y - down, from_x = x - right;
            bool inside = from_y >= 0 && from_y < 4 && from_x >= 0 && from_x < 4;
            int column = mirror ? 3 - from_x : from_x;
            float wanted = inside ? image[from_y * 4 + column] : -0.5f;
            if (out[y * 4 + x] != wanted)
                return false;
        }
    return true;
}

START_TEST(augmentation_moves_and_mirrors)
{
    irn_dataset *set;
    float image[16], out[16], again[16];
    for (int i = 0; i < 16; i++)
        image[i] = (float)(i + 1);
    const irn_array images = {IRN_FLOAT32, 4, {1, 1, 4, 4}, image};
    char spec[1024];
    snprintf(spec, sizeof spec, "npy:%s", testing_path("a.npy"));
    testing_ok(irn_npy_write(&images, testing_path("a.npy")));
    testing_ok(irn_dataset_open(&set, spec, IRN_TRAIN));
    const irn_augmentation both = {.shift = 1, .flip = true}, too_far = {.shift = 4};
    bool seen[3][3][2] = {{{false}}};
    for (uint64_t epoch = 0; epoch < 400; epoch++) {
        bool found = false;
        testing_ok(irn_dataset_batch(set, (uint32_t[]){0}, 1, &both, 5, epoch, out, NULL));
        testing_ok(irn_dataset_batch(set, (uint32_t[]){0}, 1, &both, 5, epoch, again, NULL));
        ck_assert_mem_eq(out, again, sizeof out);
        for (int k = 0; k < 18; k++)
            if (is_moved(image, out, k / 6 - 1, k / 2 % 3 - 1, k % 2))
                found = seen[k / 6][k / 2 % 3][k % 2] = true;
        ck_assert(found);
    }
    for (int k = 0; k < 18; k++)
        ck_assert(seen[k / 6][k / 2 % 3][k % 2]);
    testing_fails(irn_dataset_batch(set, (uint32_t[]){0}, 1, &too_far, 0, 0, out, NULL),
                  IRN_ERROR_ARGUMENT, "up to 4 pixels; images of 4 x 4 allow up to 3");
    testing_ok(irn_dataset_batch(set, (uint32_t[]){0}, 1, NULL, 0, 0, NULL, NULL));
    irn_dataset_free(set);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("batches");
    TCase *batches = testing_case(suite, "batches");
    tcase_add_test(batches, shuffles_are_permutations);
    tcase_add_test(batches, augmentation_moves_and_mirrors);
    return testing_run(suite);
}
