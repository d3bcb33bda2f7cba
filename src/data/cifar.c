/* CIFAR's binary version: records of a label (CIFAR-100: a coarse one, then the fine one) and 32x32
 * pixels, all red, all green, all blue. There is no header: the size is the only check. */
#include "data/dataset.h"

#include "io/file.h"

#include <stdlib.h>
#include <string.h>

#define SIDE 32
#define IMAGE_SIZE ((size_t)3 * SIDE * SIDE)
#define CIFAR_LIMIT ((size_t)1 << 30) /* of one file; the real ones have 31 to 154 MB */

/* Makes room for count more records. */
static irn_status extend(irn_dataset *set, size_t count, const char *name)
{
    size_t old = set->info.count, total = old + count;
    IRN_TRY(irn_dataset_set_shape(set, total, 3, SIDE, SIDE, name));
    /* Until the records are in, the set is no larger. */
    set->info.count = old;
    uint8_t *storage = realloc(set->storage, total * IMAGE_SIZE);
    if (storage)
        set->bytes = set->storage = storage;
    int *labels = storage ? realloc(set->labels, total * sizeof *labels) : NULL;
    if (!labels)
        return irn_fail(IRN_ERROR_MEMORY, "%s: no memory for %zu images", name, total);
    set->labels = labels;
    return IRN_OK;
}

irn_status irn_cifar_append(irn_dataset *set, const uint8_t *bytes, size_t size, size_t classes,
                            const char *name)
{
    size_t skipped = classes == 100 ? 1 : 0, record = skipped + 1 + IMAGE_SIZE;
    size_t count = size / record;
    if (count == 0 || size % record != 0)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: %zu bytes are no whole number of CIFAR-%zu records of %zu bytes", name,
                        size, classes, record);
    IRN_TRY(extend(set, count, name));
    uint8_t *images = (uint8_t *)set->storage + set->info.count * IMAGE_SIZE;
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = bytes + i * record + skipped;
        if (at[0] >= classes)
            return irn_fail(IRN_ERROR_FORMAT, "%s: label %zu is %u, the limit is %zu", name, i,
                            (unsigned)at[0], classes - 1);
        set->labels[set->info.count + i] = at[0];
        memcpy(images + i * IMAGE_SIZE, at + 1, IMAGE_SIZE);
    }
    set->info.count += count;
    set->info.classes = classes;
    return IRN_OK;
}

static irn_status append_file(irn_dataset *set, const char *folder, const char *name,
                              size_t classes)
{
    char *path;
    uint8_t *bytes;
    size_t size;
    IRN_TRY(irn_join_path(&path, folder, name));
    irn_status status = irn_file_read(&bytes, &size, path, CIFAR_LIMIT, false);
    if (status == IRN_OK) {
        status = irn_cifar_append(set, bytes, size, classes, path);
        free(bytes);
    }
    free(path);
    return status;
}

irn_status irn_open_cifar10(irn_dataset *set, const char *folder, irn_split split)
{
    static const char *const batches[] = {"data_batch_1.bin", "data_batch_2.bin",
                                          "data_batch_3.bin", "data_batch_4.bin",
                                          "data_batch_5.bin"};
    if (split == IRN_TEST)
        return append_file(set, folder, "test_batch.bin", 10);
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        IRN_TRY(append_file(set, folder, batches[i], 10));
    return IRN_OK;
}

irn_status irn_open_cifar100(irn_dataset *set, const char *folder, irn_split split)
{
    return append_file(set, folder, split == IRN_TEST ? "test.bin" : "train.bin", 100);
}
