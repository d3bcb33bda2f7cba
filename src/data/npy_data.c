/* Data sets from NPY files. */
#include "data/dataset.h"

#include "io/npy.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

irn_status irn_npy_images(irn_dataset *set, irn_array *images, const char *name)
{
    const size_t *shape = images->shape;
    char text[IRN_SHAPE_TEXT];
    bool is_points = images->rank == 2, known = images->rank == 4 || is_points;
    if (!known || (images->type != IRN_UINT8 && images->type != IRN_FLOAT32))
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: %s of shape %s; images are uint8 or float32 of shape [N, C, H, W], "
                        "points [N, D]",
                        name, irn_dtype_name(images->type),
                        irn_shape_text(text, images->rank, shape));
    IRN_TRY(irn_dataset_set_shape(set, shape[0], shape[1], is_points ? 1 : shape[2],
                                  is_points ? 1 : shape[3], name));
    const float *values = images->type == IRN_FLOAT32 ? images->data : NULL;
    size_t count = irn_array_count(images);
    for (size_t i = 0; values && i < count; i++)
        if (!isfinite(values[i]))
            return irn_fail(IRN_ERROR_NUMERIC, "%s: value %zu (of example %zu) is %g, not finite",
                            name, i, i / set->size, (double)values[i]);
    set->storage = images->data;
    set->floats = values;
    set->bytes = values ? NULL : images->data;
    memset(images, 0, sizeof *images);
    return IRN_OK;
}

static int64_t label_at(const irn_array *labels, size_t i)
{
    if (labels->type == IRN_UINT8)
        return ((const uint8_t *)labels->data)[i];
    if (labels->type == IRN_INT32)
        return ((const int32_t *)labels->data)[i];
    return ((const int64_t *)labels->data)[i];
}

irn_status irn_npy_labels(irn_dataset *set, const irn_array *labels, const char *name)
{
    char text[IRN_SHAPE_TEXT];
    size_t count = set->info.count;
    bool is_whole =
        labels->type == IRN_UINT8 || labels->type == IRN_INT32 || labels->type == IRN_INT64;
    if (!is_whole || labels->rank != 1 || labels->shape[0] != count)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: %s of shape %s; labels for %zu examples are int32, int64 or uint8 of "
                        "shape [%zu]",
                        name, irn_dtype_name(labels->type),
                        irn_shape_text(text, labels->rank, labels->shape), count, count);
    int largest = 0;
    IRN_TRY(irn_alloc(&set->labels, count, sizeof *set->labels));
    for (size_t i = 0; i < count; i++) {
        int64_t label = label_at(labels, i);
        if (label < 0 || label >= IRN_CLASSES_LIMIT)
            return irn_fail(IRN_ERROR_FORMAT, "%s: label %zu is %lld, the limits are 0 and %d",
                            name, i, (long long)label, IRN_CLASSES_LIMIT - 1);
        set->labels[i] = (int)label;
        largest = set->labels[i] > largest ? set->labels[i] : largest;
    }
    set->info.classes = (size_t)largest + 1;
    return IRN_OK;
}

static irn_status open_images(irn_dataset *set, const char *path)
{
    irn_array images;
    IRN_TRY(irn_npy_read(&images, path));
    irn_status status = irn_npy_images(set, &images, path);
    irn_array_free(&images);
    return status;
}

static irn_status open_labels(irn_dataset *set, const char *path)
{
    irn_array labels;
    IRN_TRY(irn_npy_read(&labels, path));
    irn_status status = irn_npy_labels(set, &labels, path);
    irn_array_free(&labels);
    return status;
}

irn_status irn_open_npy(irn_dataset *set, const char *paths, irn_split split)
{
    (void)split;
    char *images, *labels;
    IRN_TRY(irn_split_paths(&images, &labels, paths));
    irn_status status = open_images(set, images);
    if (status == IRN_OK && labels[0])
        status = open_labels(set, labels);
    free(images);
    return status;
}
