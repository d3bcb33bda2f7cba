/* Data sets: images or points with labels, held in host memory, and batches of them. */
#ifndef IRESNET_DATA_H
#define IRESNET_DATA_H

#include <iresnet/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct irn_dataset irn_dataset;

typedef enum irn_split { IRN_TRAIN, IRN_TEST } irn_split;

typedef struct irn_dataset_info {
    size_t count;                   /* examples */
    size_t channels, height, width; /* of one example; points are channels x 1 x 1 */
    size_t classes;                 /* labels are 0..classes-1; 0: no labels */
    size_t levels;                  /* 256: 8-bit values; 0: float32 values */
} irn_dataset_info;

/* Opens a data set. spec is one of
 *   digits                  1,797 bundled 8x8 handwritten digits (UCI Optical Recognition of
 *                           Handwritten Digits, E. Alpaydin and C. Kaynak, CC BY 4.0), 1,437 for
 *                           training, 360 for testing
 *   mnist:DIR               the four IDX files by their usual names, plain or .gz
 *   cifar10:DIR cifar100:DIR  the binary version's files (data_batch_N.bin, test_batch.bin;
 *                           train.bin, test.bin: fine labels)
 *   idx:IMAGES[,LABELS]     one IDX pair or images alone, plain or .gz; the same for both splits
 *   npy:IMAGES[,LABELS]     images [N,C,H,W] (or points [N,D]) uint8 or float32, labels [N] int32,
 *                           int64 or uint8; the same for both splits
 *   toy:NAME                random points [2, 1, 1] without labels, always the same: 20,000 for
 *                           training, 10,000 others for testing. NAME is 8gaussians (entropy 2.84
 *                           nats), 2spirals, checkerboard (ln 32 nats), circles, moons, pinwheel,
 *                           rings or swissroll, all within about [-4, 4]^2
 * 8-bit values v become v/255 - 0.5; float32 values are taken as they are and must be finite.
 * digits, mnist and cifar10 have 10 classes, cifar100 has 100, idx and npy as many as the largest
 * label + 1 (npy: at most 1,000,000), toy none. IDX and CIFAR files may have up to 1 GiB, inflated,
 * NPY files 16 GiB. Errors: IRN_ERROR_ARGUMENT (spec), IRN_ERROR_FILE, IRN_ERROR_FORMAT,
 * IRN_ERROR_NUMERIC, IRN_ERROR_MEMORY; each sentence names the file, the value and the limit. */
IRN_API irn_status irn_dataset_open(irn_dataset **out, const char *spec, irn_split split);
IRN_API void irn_dataset_free(irn_dataset *dataset);
IRN_API irn_dataset_info irn_dataset_get_info(const irn_dataset *dataset);

typedef struct irn_augmentation {
    unsigned shift; /* random translation by up to this many pixels, edges filled with -0.5; below
                       the images' height and width, so 0 for points */
    bool flip;      /* random horizontal mirror image */
} irn_augmentation;

/* The order of an epoch: order[0..count-1] becomes a permutation that depends on (seed, epoch)
 * only. */
IRN_API void irn_dataset_shuffle(const irn_dataset *dataset, uint64_t seed, uint64_t epoch,
                                 uint32_t *order);

/* Copies the examples indices[0..batch-1] to x [batch, channels, height, width] and their labels to
 * labels [batch] (either may be NULL). With an augmentation (NULL: none) each example is changed in
 * a way that depends on (seed, epoch, its index) only. Errors: IRN_ERROR_ARGUMENT (index out of
 * range, labels asked of a set without, too large a shift); nothing is written then. */
IRN_API irn_status irn_dataset_batch(const irn_dataset *dataset, const uint32_t *indices,
                                     size_t batch, const irn_augmentation *augmentation,
                                     uint64_t seed, uint64_t epoch, float *x, int *labels);

#ifdef __cplusplus
}
#endif

#endif
