/* Data sets: the bundled one, every format from files made here. */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include "data/dataset.h"
#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *spec_of(const char *prefix, const char *first, const char *second)
{
    static char spec[3000];
    snprintf(spec, sizeof spec, "%s%s%s%s", prefix, first, second ? "," : "", second ? second : "");
    return spec;
}

/* An IDX file of the given sizes whose value i is i * factor modulo 256. */
static const char *write_idx(const char *name, size_t rank, const unsigned *sizes, unsigned factor)
{
    uint8_t bytes[4096] = {0, 0, 8, (uint8_t)rank};
    size_t used = 4, count = 1;
    for (size_t i = 0; i < rank; i++) {
        for (int shift = 24; shift >= 0; shift -= 8)
            bytes[used++] = (uint8_t)(sizes[i] >> shift);
        count *= sizes[i];
    }
    for (size_t i = 0; i < count; i++)
        bytes[used++] = (uint8_t)(i * factor);
    return testing_write(name, bytes, used);
}

START_TEST(digits_are_bundled)
{
    irn_dataset *set;
    testing_ok(irn_dataset_open(&set, "digits", IRN_TRAIN));
    irn_dataset_info info = irn_dataset_get_info(set);
    ck_assert(info.count == 1437 && info.classes == 10 && info.levels == 256);
    ck_assert(info.channels == 1 && info.height == 8 && info.width == 8);
    float x[128];
    int labels[2];
    const uint32_t indices[2] = {0, 1};
    testing_ok(irn_dataset_batch(set, indices, 2, NULL, 0, 0, x, labels));
    ck_assert(labels[0] == 0 && labels[1] == 1);
    float low = x[0], high = x[0];
    for (size_t i = 0; i < 128; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
    }
    ck_assert(low == -0.5f && high > 0.3f && high <= 0.5f);
    irn_dataset_free(set);
    testing_ok(irn_dataset_open(&set, "digits", IRN_TEST));
    ck_assert_uint_eq(irn_dataset_get_info(set).count, 360);
    irn_dataset_free(set);
    irn_dataset_free(NULL);
}
END_TEST

START_TEST(idx_pairs_are_read)
{
    char images[1024];
    irn_dataset *set;
    snprintf(images, sizeof images, "%s", write_idx("i", 3, (unsigned[]){4, 2, 3}, 10));
    const char *labels = write_idx("l", 1, (unsigned[]){4}, 5);
    testing_ok(irn_dataset_open(&set, spec_of("idx:", images, labels), IRN_TEST));
    irn_dataset_info info = irn_dataset_get_info(set);
    ck_assert(info.count == 4 && info.height == 2 && info.width == 3 && info.classes == 16);
    float x[6];
    int label;
    testing_ok(irn_dataset_batch(set, (uint32_t[]){2}, 1, NULL, 0, 0, x, &label));
    ck_assert_int_eq(label, 10);
    ck_assert_float_eq(x[5], 170.0f / 255.0f - 0.5f);
    irn_dataset_free(set);

    labels = write_idx("l", 1, (unsigned[]){3}, 5);
    testing_fails(irn_dataset_open(&set, spec_of("idx:", images, labels), IRN_TEST),
                  IRN_ERROR_FORMAT, "3 labels for 4 images");
    ck_assert_ptr_null(set);
    testing_fails(irn_dataset_open(&set, spec_of("idx:", labels, images), IRN_TEST),
                  IRN_ERROR_FORMAT, "3-dimensional");
    testing_ok(irn_dataset_open(&set, spec_of("idx:", images, NULL), IRN_TEST));
    ck_assert(irn_dataset_get_info(set).classes == 0 && irn_dataset_get_info(set).levels == 256);
    irn_dataset_free(set);
    write_idx("i", 3, (unsigned[]){0, 2, 3}, 10);
    testing_fails(irn_dataset_open(&set, spec_of("idx:", images, labels), IRN_TEST),
                  IRN_ERROR_FORMAT, "no size may be 0");
}
END_TEST

START_TEST(idx_sizes_may_lie)
{
    static const uint8_t huge[] = {0,   0,   8,   3,   255, 255, 255, 255, 255,
                                   255, 255, 255, 255, 255, 255, 255, 1};
    irn_dataset set = {0};
    uint8_t *copy = malloc(sizeof huge);
    memcpy(copy, huge, sizeof huge);
    testing_fails(irn_idx_images(&set, copy, sizeof huge, "huge"), IRN_ERROR_FORMAT,
                  "huge: the IDX header announces 4294967295 x");
    copy = malloc(10);
    memcpy(copy, huge, 10);
    testing_fails(irn_idx_images(&set, copy, 10, "cut"), IRN_ERROR_FORMAT, "10 bytes");
}
END_TEST

START_TEST(mnist_is_found)
{
    irn_dataset *set;
    char folder[1024];
    snprintf(folder, sizeof folder, "%s", testing_path(""));
    testing_fails(irn_dataset_open(&set, spec_of("mnist:", folder, NULL), IRN_TRAIN),
                  IRN_ERROR_FILE, "train-images-idx3-ubyte.gz");
    testing_fails(irn_dataset_open(&set, "mnist:", IRN_TRAIN), IRN_ERROR_ARGUMENT, "folder");
    write_idx("train-images-idx3-ubyte", 3, (unsigned[]){10, 2, 2}, 1);
    write_idx("train-labels-idx1-ubyte.gz", 1, (unsigned[]){10}, 1);
    testing_ok(irn_dataset_open(&set, spec_of("mnist:", folder, NULL), IRN_TRAIN));
    ck_assert_uint_eq(irn_dataset_get_info(set).classes, 10);
    irn_dataset_free(set);
    write_idx("train-labels-idx1-ubyte", 1, (unsigned[]){10}, 2);
    testing_fails(irn_dataset_open(&set, spec_of("mnist:", folder, NULL), IRN_TRAIN),
                  IRN_ERROR_FORMAT, "label 5 is 10, the limit is 9");
}
END_TEST

/* count CIFAR records whose fine labels are first, first + 1, ... */
static void write_cifar(const char *name, size_t count, unsigned first, bool is_100)
{
    size_t skipped = is_100 ? 1 : 0, record = skipped + 1 + 3072;
    uint8_t *bytes = calloc(count, record);
    for (size_t i = 0; i < count; i++) {
        bytes[i * record + skipped] = (uint8_t)(first + i);
        bytes[i * record + skipped + 1 + 1024] = 255; /* the first green value */
    }
    testing_write(name, bytes, count * record);
    free(bytes);
}

START_TEST(cifar_is_read)
{
    irn_dataset *set;
    char folder[1024], name[32];
    float *x = calloc(3072, sizeof *x);
    int label;
    snprintf(folder, sizeof folder, "%s", testing_path(""));
    for (unsigned i = 1; i <= 5; i++) {
        snprintf(name, sizeof name, "data_batch_%u.bin", i);
        write_cifar(name, 2, i, false);
    }
    testing_ok(irn_dataset_open(&set, spec_of("cifar10:", folder, NULL), IRN_TRAIN));
    irn_dataset_info info = irn_dataset_get_info(set);
    ck_assert(info.count == 10 && info.channels == 3 && info.height == 32 && info.classes == 10);
    testing_ok(irn_dataset_batch(set, (uint32_t[]){9}, 1, NULL, 0, 0, x, &label));
    ck_assert_int_eq(label, 6);
    ck_assert(x[1024] == 0.5f && x[0] == -0.5f && x[1025] == -0.5f);
    irn_dataset_free(set);
    write_cifar("data_batch_4.bin", 8, 5, false);
    testing_fails(irn_dataset_open(&set, spec_of("cifar10:", folder, NULL), IRN_TRAIN),
                  IRN_ERROR_FORMAT, "data_batch_4.bin: label 5 is 10, the limit is 9");
    testing_write("test_batch.bin", x, 3072);
    testing_fails(irn_dataset_open(&set, spec_of("cifar10:", folder, NULL), IRN_TEST),
                  IRN_ERROR_FORMAT, "3072 bytes are no whole number");
    write_cifar("test.bin", 3, 97, true);
    testing_ok(irn_dataset_open(&set, spec_of("cifar100:", folder, NULL), IRN_TEST));
    testing_ok(irn_dataset_batch(set, (uint32_t[]){2}, 1, NULL, 0, 0, x, &label));
    ck_assert(label == 99 && x[1024] == 0.5f && irn_dataset_get_info(set).classes == 100);
    irn_dataset_free(set);
    free(x);
}
END_TEST

static const char *write_npy(const char *name, irn_array array)
{
    const char *path = testing_path(name);
    testing_ok(irn_npy_write(&array, path));
    return path;
}

START_TEST(npy_points_are_read)
{
    irn_dataset *set;
    float points[6] = {1, 2, 3, 4, 5, 6}, x[4];
    int64_t labels[3] = {0, 4, 1};
    const char *a = write_npy("a.npy", (irn_array){IRN_FLOAT32, 2, {3, 2}, points});
    const char *b = write_npy("b.npy", (irn_array){IRN_INT64, 1, {3}, labels});
    int got[2];
    testing_ok(irn_dataset_open(&set, spec_of("npy:", a, b), IRN_TRAIN));
    irn_dataset_info info = irn_dataset_get_info(set);
    ck_assert(info.count == 3 && info.channels == 2 && info.height == 1 && info.classes == 5);
    testing_ok(irn_dataset_batch(set, (uint32_t[]){2, 1}, 2, NULL, 0, 0, x, got));
    ck_assert(x[0] == 5 && x[1] == 6 && x[2] == 3 && x[3] == 4 && got[0] == 1 && got[1] == 4);
    const irn_augmentation shift = {.shift = 1};
    testing_fails(irn_dataset_batch(set, (uint32_t[]){0}, 1, &shift, 0, 0, x, NULL),
                  IRN_ERROR_ARGUMENT, "shift");
    testing_fails(irn_dataset_batch(set, (uint32_t[]){3}, 1, NULL, 0, 0, x, NULL),
                  IRN_ERROR_ARGUMENT, "example 3 is asked for, the data set has 3");
    irn_dataset_free(set);
    testing_ok(irn_dataset_open(&set, spec_of("npy:", a, NULL), IRN_TRAIN));
    ck_assert_uint_eq(irn_dataset_get_info(set).classes, 0);
    testing_fails(irn_dataset_batch(set, (uint32_t[]){0}, 1, NULL, 0, 0, x, got),
                  IRN_ERROR_ARGUMENT, "has none");
    irn_dataset_free(set);
}
END_TEST

START_TEST(npy_faults_are_named)
{
    irn_dataset *set;
    float points[4] = {1, 2, INFINITY, 4};
    uint8_t pixels[4] = {0, 255, 51, 0};
    int32_t labels[4] = {0, -3, 2, 1000000};
    char a[1024], b[1024];
    snprintf(a, sizeof a, "%s", write_npy("a.npy", (irn_array){IRN_FLOAT32, 2, {2, 2}, points}));
    testing_fails(irn_dataset_open(&set, spec_of("npy:", a, NULL), IRN_TRAIN), IRN_ERROR_NUMERIC,
                  "a.npy: value 2 (of example 1) is inf");
    write_npy("a.npy", (irn_array){IRN_UINT8, 4, {2, 1, 1, 2}, pixels});
    snprintf(b, sizeof b, "%s", write_npy("b.npy", (irn_array){IRN_INT32, 1, {2}, labels}));
    testing_fails(irn_dataset_open(&set, spec_of("npy:", a, b), IRN_TRAIN), IRN_ERROR_FORMAT,
                  "b.npy: label 1 is -3");
    write_npy("b.npy", (irn_array){IRN_INT32, 1, {2}, labels + 2});
    testing_fails(irn_dataset_open(&set, spec_of("npy:", a, b), IRN_TRAIN), IRN_ERROR_FORMAT,
                  "label 1 is 1000000, the limits are 0 and 999999");
    write_npy("b.npy", (irn_array){IRN_INT32, 1, {3}, labels});
    testing_fails(irn_dataset_open(&set, spec_of("npy:", a, b), IRN_TRAIN), IRN_ERROR_FORMAT,
                  "shape [3]; labels for 2");
    write_npy("b.npy", (irn_array){IRN_FLOAT32, 1, {2}, points});
    testing_fails(irn_dataset_open(&set, spec_of("npy:", a, b), IRN_TRAIN), IRN_ERROR_FORMAT,
                  "float32 of shape [2]; labels");
    write_npy("a.npy", (irn_array){IRN_UINT8, 3, {2, 1, 2}, pixels});
    testing_fails(irn_dataset_open(&set, spec_of("npy:", a, NULL), IRN_TRAIN), IRN_ERROR_FORMAT,
                  "[2, 1, 2]; images are");
}
END_TEST

START_TEST(specs_are_checked)
{
    irn_dataset *set;
    testing_fails(irn_dataset_open(&set, "imagenet", IRN_TRAIN), IRN_ERROR_ARGUMENT,
                  "\"imagenet\" is not a data set; one of: digits");
    testing_fails(irn_dataset_open(&set, "digits:x", IRN_TRAIN), IRN_ERROR_ARGUMENT, "digits:x");
    testing_fails(irn_dataset_open(&set, NULL, IRN_TRAIN), IRN_ERROR_ARGUMENT, "specification");
    testing_fails(irn_dataset_open(&set, "digits", (irn_split)5), IRN_ERROR_ARGUMENT, "split 5");
    testing_fails(irn_dataset_open(&set, "npy:", IRN_TRAIN), IRN_ERROR_ARGUMENT, "comma");
    testing_fails(irn_dataset_open(&set, "idx:a,b,c", IRN_TRAIN), IRN_ERROR_ARGUMENT, "a,b,c");
    testing_fails(irn_dataset_open(&set, "idx:a,", IRN_TRAIN), IRN_ERROR_ARGUMENT, "comma");
    testing_fails(irn_dataset_open(&set, "cifar10:/absent", IRN_TEST), IRN_ERROR_FILE,
                  "/absent/test_batch.bin");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("data");
    TCase *formats = testing_case(suite, "formats");
    tcase_add_test(formats, digits_are_bundled);
    tcase_add_test(formats, idx_pairs_are_read);
    tcase_add_test(formats, idx_sizes_may_lie);
    tcase_add_test(formats, mnist_is_found);
    tcase_add_test(formats, cifar_is_read);
    tcase_add_test(formats, npy_points_are_read);
    tcase_add_test(formats, npy_faults_are_named);
    tcase_add_test(formats, specs_are_checked);
    return testing_run(suite);
}
