#include "data/dataset.h"

#include "base/philox.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *prefix;
    irn_status (*open)(irn_dataset *, const char *, irn_split);
} formats[] = {{"digits", irn_open_digits},    {"mnist:", irn_open_mnist},
               {"cifar10:", irn_open_cifar10}, {"cifar100:", irn_open_cifar100},
               {"idx:", irn_open_idx},         {"npy:", irn_open_npy},
               {"toy:", irn_open_toy}};

void irn_dataset_clear(irn_dataset *set)
{
    free(set->storage);
    free(set->labels);
    memset(set, 0, sizeof *set);
}

irn_status irn_dataset_set_shape(irn_dataset *set, size_t count, size_t channels, size_t height,
                                 size_t width, const char *name)
{
    size_t total, sizes[] = {channels, height, width, count};
    bool fits = count <= UINT32_MAX && irn_product(&total, sizes, 4);
    if (!fits || total == 0 || total > SIZE_MAX / sizeof(float))
        return irn_fail(
            IRN_ERROR_FORMAT,
            "%s: %zu examples of shape [%zu, %zu, %zu]; no size may be 0, and the limit "
            "is %lu examples and %zu values",
            name, count, channels, height, width, (unsigned long)UINT32_MAX,
            SIZE_MAX / sizeof(float));
    set->info.count = count;
    set->info.channels = channels;
    set->info.height = height;
    set->info.width = width;
    set->size = channels * height * width;
    return IRN_OK;
}

irn_status irn_join_path(char **out, const char *folder, const char *name)
{
    size_t length = strlen(folder), size = strlen(name) + 1;
    *out = NULL;
    if (length == 0)
        return irn_fail(IRN_ERROR_ARGUMENT, "a folder is missing, as in \"mnist:DIR\"");
    IRN_TRY(irn_alloc(out, length + 1 + size, 1));
    memcpy(*out, folder, length);
    (*out)[length] = '/';
    memcpy(*out + length + 1, name, size);
    return IRN_OK;
}

irn_status irn_split_paths(char **first, char **second, const char *paths)
{
    *first = strdup(paths);
    if (!*first)
        return irn_fail(IRN_ERROR_MEMORY, "no memory for \"%s\"", paths);
    char *comma = strchr(*first, ',');
    *second = comma ? comma + 1 : *first + strlen(*first);
    bool bad = (*first)[0] == '\0' || comma == *first || strchr(*second, ',') ||
               (comma && (*second)[0] == '\0');
    if (bad) {
        free(*first);
        *first = NULL;
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "\"%s\": two file names with one comma between them are expected", paths);
    }
    if (comma)
        *comma = '\0';
    return IRN_OK;
}

static irn_status open_spec(irn_dataset *set, const char *spec, irn_split split)
{
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        size_t length = strlen(formats[i].prefix);
        if (strncmp(spec, formats[i].prefix, length) == 0)
            return formats[i].open(set, spec + length, split);
    }
    return irn_fail(IRN_ERROR_ARGUMENT,
                    "\"%s\" is not a data set; one of: digits, mnist:DIR, cifar10:DIR, "
                    "cifar100:DIR, idx:IMAGES[,LABELS], npy:IMAGES[,LABELS], toy:NAME",
                    spec);
}

irn_status irn_dataset_open(irn_dataset **out, const char *spec, irn_split split)
{
    *out = NULL;
    if (!spec || (split != IRN_TRAIN && split != IRN_TEST))
        return irn_fail(IRN_ERROR_ARGUMENT, "a data set without a specification, or split %d",
                        (int)split);
    irn_dataset *set;
    IRN_TRY(irn_alloc(&set, 1, sizeof *set));
    irn_status status = open_spec(set, spec, split);
    if (status != IRN_OK) {
        irn_dataset_free(set);
        return status;
    }
    *out = set;
    return IRN_OK;
}

void irn_dataset_free(irn_dataset *dataset)
{
    if (!dataset)
        return;
    irn_dataset_clear(dataset);
    free(dataset);
}

irn_dataset_info irn_dataset_get_info(const irn_dataset *dataset)
{
    irn_dataset_info info = dataset->info;
    info.levels = dataset->bytes ? UINT8_MAX + 1 : 0;
    return info;
}

void irn_dataset_shuffle(const irn_dataset *dataset, uint64_t seed, uint64_t epoch, uint32_t *order)
{
    uint32_t count = (uint32_t)dataset->info.count;
    for (uint32_t i = 0; i < count; i++)
        order[i] = i;
    /* Fisher and Yates. The remainder of 64 bits by less than 2^32 is uneven by less than 2^-32. */
    for (uint32_t i = count; i > 1; i--) {
        uint32_t bits[4];
        irn_philox(bits, seed, IRN_STREAM_SHUFFLE, epoch, i);
        uint32_t other = (uint32_t)(((uint64_t)bits[1] << 32 | bits[0]) % i);
        uint32_t last = order[i - 1];
        order[i - 1] = order[other];
        order[other] = last;
    }
}

static irn_status check_batch(const irn_dataset *set, const uint32_t *indices, size_t batch,
                              const irn_augmentation *augmentation, const int *labels)
{
    for (size_t i = 0; i < batch; i++)
        if (indices[i] >= set->info.count)
            return irn_fail(IRN_ERROR_ARGUMENT, "example %lu is asked for, the data set has %zu",
                            (unsigned long)indices[i], set->info.count);
    if (labels && !set->labels)
        return irn_fail(IRN_ERROR_ARGUMENT, "labels are asked for, the data set has none");
    return augmentation ? irn_augmentation_check(set, augmentation) : IRN_OK;
}

irn_status irn_dataset_batch(const irn_dataset *dataset, const uint32_t *indices, size_t batch,
                             const irn_augmentation *augmentation, uint64_t seed, uint64_t epoch,
                             float *x, int *labels)
{
    IRN_TRY(check_batch(dataset, indices, batch, augmentation, labels));
    for (size_t i = 0; i < batch && x; i++) {
        irn_move move = {0, 0, false};
        if (augmentation)
            move = irn_augmentation_draw(augmentation, seed, epoch, indices[i]);
        irn_augmentation_apply(dataset, indices[i], move, x + i * dataset->size);
    }
    for (size_t i = 0; i < batch && labels; i++)
        labels[i] = dataset->labels[indices[i]];
    return IRN_OK;
}
