/* Fuzzing of everything that reads files: LLVMFuzzerTestOneInput for libFuzzer and AFL++, and
 * (unless IRN_LIBFUZZER is defined) a driver of its own, so that any compiler will do:
 *
 *   fuzz_parsers [-n ROUNDS] [-s SEED] [FILE...]
 *
 * Files are replayed once each; without files, ROUNDS mutations of small valid files, made here,
 * are tried. The same seed gives the same inputs. An input is one byte that selects the parser,
 * then the content. Whatever it is, a parser must return, and what it accepts must be readable: run
 * it with -fsanitize=address,undefined. */
#include "certify/certificate_json.h"
#include "data/dataset.h"
#include "io/file.h"
#include "io/npy.h"
#include "io/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAFETENSORS, NPY, NPY_DATA, NPY_LABELS, IDX, CIFAR10, CIFAR100, GZIP, CERTIFICATE, PARSERS };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "fuzz_parsers: %s\n", what);
    abort();
}

/* Touches all bytes, for the address sanitizer to see. */
static unsigned sum(const void *bytes, size_t size)
{
    unsigned total = 0;
    for (size_t i = 0; i < size; i++)
        total += ((const uint8_t *)bytes)[i];
    return total;
}

/* Of exactly that size, so that a read beyond it is seen. */
static uint8_t *copy_of(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);
    require(copy != NULL, "no memory");
    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

static unsigned try_safetensors(const uint8_t *data, size_t size)
{
    irn_safetensors *file;
    unsigned total = 0;
    if (irn_safetensors_parse(&file, copy_of(data, size), size, "fuzz") != IRN_OK)
        return 0;
    for (size_t i = 0; i < irn_safetensors_count(file); i++) {
        irn_array view;
        const char *name = irn_safetensors_tensor_name(file, i);
        require(irn_safetensors_find(file, name) == i, "a tensor is not found by its name");
        if (irn_safetensors_view(file, i, &view) != IRN_OK)
            continue;
        size_t count = irn_array_count(&view);
        require(count <= size, "a tensor is larger than its file");
        total += sum(view.data, count * irn_dtype_size(view.type));
        double *values = calloc(count + 1, sizeof *values);
        (void)irn_safetensors_read_double(file, name, count, values);
        (void)irn_safetensors_read_float(file, name, count, (float *)values);
        free(values);
    }
    (void)irn_safetensors_metadata(file, "format");
    irn_safetensors_free(file);
    return total;
}

/* Reads all examples of a set that was accepted. */
static unsigned try_batch(const irn_dataset *set, size_t size)
{
    const irn_augmentation augmentation = {.shift = 1, .flip = true};
    size_t count = irn_dataset_get_info(set).count;
    require(count * set->size <= size, "a data set is larger than its file");
    float *x = calloc(set->size, sizeof *x);
    unsigned total = 0;
    for (uint32_t i = 0; i < count; i++) {
        int label = 0;
        irn_status status =
            irn_dataset_batch(set, &i, 1, NULL, 1, 2, x, set->labels ? &label : NULL);
        require(status == IRN_OK, "an example cannot be read");
        require(label >= 0 && (set->info.classes == 0 || (size_t)label < set->info.classes),
                "a label is out of range");
        (void)irn_dataset_batch(set, &i, 1, &augmentation, 1, 2, x, NULL);
        total += sum(x, set->size * sizeof *x);
    }
    free(x);
    return total;
}

static unsigned try_npy(const uint8_t *data, size_t size, int what)
{
    irn_array array;
    irn_dataset set = {0};
    irn_status status = irn_npy_parse(&array, copy_of(data, size), size, "fuzz");
    if (status != IRN_OK)
        return 0;
    unsigned total = sum(array.data, irn_array_count(&array) * irn_dtype_size(array.type));
    if (what == NPY_DATA && irn_npy_images(&set, &array, "fuzz") == IRN_OK)
        total += try_batch(&set, size);
    if (what == NPY_LABELS && array.rank == 1 && array.shape[0] > 0) {
        set.info.count = array.shape[0];
        (void)irn_npy_labels(&set, &array, "fuzz");
    }
    irn_array_free(&array);
    irn_dataset_clear(&set);
    return total;
}

/* The same bytes as labels and as images, so that one seed of each kind suffices. */
static unsigned try_idx(const uint8_t *data, size_t size)
{
    irn_dataset set = {0};
    unsigned total = 0;
    if (irn_idx_images(&set, copy_of(data, size), size, "fuzz") == IRN_OK)
        total += try_batch(&set, size);
    else if (size > 8)
        set.info.count = size - 8;
    (void)irn_idx_labels(&set, data, size, size % 2 ? 10 : 0, "fuzz");
    irn_dataset_clear(&set);
    return total;
}

static unsigned try_cifar(const uint8_t *data, size_t size, size_t classes)
{
    irn_dataset set = {0};
    unsigned total = 0;
    irn_status first = irn_cifar_append(&set, data, size, classes, "fuzz");
    irn_status second = irn_cifar_append(&set, data, size, classes, "fuzz again");
    require(first == second, "the second time it is not the same");
    if (first == IRN_OK)
        total = try_batch(&set, 2 * size);
    irn_dataset_clear(&set);
    return total;
}

/* What is accepted is what would be written. */
static unsigned try_certificate(const uint8_t *data, size_t size)
{
    irn_certificate *certificate;
    char *text = calloc(size + 1, 1), *again;
    require(text != NULL, "no memory");
    if (size > 0)
        memcpy(text, data, size);
    irn_status status = irn_certificate_parse(&certificate, text, size, "fuzz");
    require((status == IRN_OK) == (certificate != NULL), "a certificate is half read");
    if (status == IRN_OK) {
        status = irn_certificate_text(&again, certificate, certificate->model_sha256);
        require(status == IRN_OK && strcmp(again, text) == 0, "a certificate is not its text");
        free(again);
    }
    free(text);
    irn_certificate_free(certificate);
    return (unsigned)status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *bytes;
    size_t inflated;
    volatile unsigned total = 0;
    if (size == 0)
        return 0;
    int parser = *data++ % PARSERS;
    size--;
    if (parser == SAFETENSORS)
        total = try_safetensors(data, size);
    else if (parser == IDX)
        total = try_idx(data, size);
    else if (parser == CIFAR10 || parser == CIFAR100)
        total = try_cifar(data, size, parser == CIFAR10 ? 10 : 100);
    else if (parser == CERTIFICATE)
        total = try_certificate(data, size);
    else if (parser != GZIP)
        total = try_npy(data, size, parser);
    else if (irn_gzip_inflate(&bytes, &inflated, data, size, 1 << 16, "fuzz") == IRN_OK) {
        require(inflated <= 1 << 16, "the limit of inflation did not hold");
        total = sum(bytes, inflated);
        free(bytes);
    }
    (void)total;
    return 0;
}

#ifndef IRN_LIBFUZZER
#include "fuzz_driver.h"
#endif
