/* Data sets in host memory, and the parsers that fill them. The parsers work on bytes in memory, so
 * that they can be fuzzed; `name` is the file's, for sentences. Each may be called on a set that is
 * all zero or that the format's own parsers have filled so far. */
#ifndef IRN_DATASET_H
#define IRN_DATASET_H

#include "base/base.h"

#include <iresnet/array.h>
#include <iresnet/data.h>

#define IRN_CLASSES_LIMIT 1000000

struct irn_dataset {
    irn_dataset_info info;
    size_t size;          /* values of one example: channels x height x width */
    void *storage;        /* what one of the next two points into */
    const uint8_t *bytes; /* [count, size], or NULL */
    const float *floats;  /* [count, size], or NULL */
    int *labels;          /* [count], or NULL */
};

/* Frees what the set owns and zeroes it. */
void irn_dataset_clear(irn_dataset *set);

/* Sets count and shape. Errors: IRN_ERROR_FORMAT if one is 0, count is above UINT32_MAX, or the
 * values' number overflows. */
irn_status irn_dataset_set_shape(irn_dataset *set, size_t count, size_t channels, size_t height,
                                 size_t width, const char *name);

/* Value at a position of [count, size], as the batches have it. */
static inline float irn_dataset_value(const irn_dataset *set, size_t position)
{
    return set->bytes ? (float)set->bytes[position] / 255.0f - 0.5f : set->floats[position];
}

/* IDX: 8-bit images [N, H, W], whose bytes, from malloc(), are taken over also on failure. */
irn_status irn_idx_images(irn_dataset *set, uint8_t *bytes, size_t size, const char *name);
/* IDX: 8-bit labels [N] for the images the set has. classes 0: the largest label + 1. */
irn_status irn_idx_labels(irn_dataset *set, const uint8_t *bytes, size_t size, size_t classes,
                          const char *name);

/* Appends the records of a CIFAR binary file: 10 classes or 100 (fine labels). */
irn_status irn_cifar_append(irn_dataset *set, const uint8_t *bytes, size_t size, size_t classes,
                            const char *name);

/* Images [N, C, H, W] or points [N, D]; the array's data is taken over if all is well. */
irn_status irn_npy_images(irn_dataset *set, irn_array *images, const char *name);
irn_status irn_npy_labels(irn_dataset *set, const irn_array *labels, const char *name);

/* What an augmentation does to one example: out(y, x) = in(y - down, x - right), mirrored before.
 */
typedef struct irn_move {
    ptrdiff_t down, right;
    bool mirror;
} irn_move;

irn_status irn_augmentation_check(const irn_dataset *set, const irn_augmentation *augmentation);
irn_move irn_augmentation_draw(const irn_augmentation *augmentation, uint64_t seed, uint64_t epoch,
                               uint32_t example);
void irn_augmentation_apply(const irn_dataset *set, uint32_t example, irn_move move, float *x);

/* Opens by the text after "digits", "mnist:" and so on. */
irn_status irn_open_digits(irn_dataset *set, const char *text, irn_split split);
irn_status irn_open_mnist(irn_dataset *set, const char *folder, irn_split split);
irn_status irn_open_cifar10(irn_dataset *set, const char *folder, irn_split split);
irn_status irn_open_cifar100(irn_dataset *set, const char *folder, irn_split split);
irn_status irn_open_idx(irn_dataset *set, const char *paths, irn_split split);
irn_status irn_open_npy(irn_dataset *set, const char *paths, irn_split split);
irn_status irn_open_toy(irn_dataset *set, const char *name, irn_split split);

/* FOLDER/NAME; the caller frees *out. */
irn_status irn_join_path(char **out, const char *folder, const char *name);

/* Splits "FIRST,SECOND" (no second: *second is ""); the caller frees *first alone. A second comma
 * is an error: the paths would be ambiguous. */
irn_status irn_split_paths(char **first, char **second, const char *paths);

#endif
