#include "io/npy.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In the order of irn_dtype. */
static const struct {
    const char *name;
    size_t size;
} types[] = {{"float32", 4}, {"float64", 8}, {"int32", 4}, {"int64", 8}, {"uint8", 1}};

static bool is_known(irn_dtype type)
{
    return (unsigned)type < sizeof types / sizeof *types;
}

size_t irn_dtype_size(irn_dtype type)
{
    return is_known(type) ? types[type].size : 0;
}

const char *irn_dtype_name(irn_dtype type)
{
    return is_known(type) ? types[type].name : "unknown type";
}

size_t irn_array_count(const irn_array *array)
{
    size_t count;
    if (array->rank > IRN_MAX_RANK || !irn_product(&count, array->shape, array->rank))
        return 0;
    return count;
}

const char *irn_shape_text(char out[IRN_SHAPE_TEXT], size_t rank, const size_t *shape)
{
    size_t used = 1;
    out[0] = '[';
    for (size_t i = 0; i < rank && i < IRN_MAX_RANK; i++) {
        int written = snprintf(out + used, IRN_SHAPE_TEXT - used, "%s%zu", i ? ", " : "", shape[i]);
        used += (size_t)(written > 0 ? written : 0);
    }
    memcpy(out + used, "]", 2);
    return out;
}

irn_status irn_array_measure(const irn_array *array, size_t *count, size_t *bytes)
{
    if (!is_known(array->type))
        return irn_fail(IRN_ERROR_ARGUMENT, "%d is not the number of an array type",
                        (int)array->type);
    if (array->rank > IRN_MAX_RANK)
        return irn_fail(IRN_ERROR_ARGUMENT, "an array has rank %zu, the limit is %d", array->rank,
                        IRN_MAX_RANK);
    char text[IRN_SHAPE_TEXT];
    size_t size = types[array->type].size;
    if (!irn_product(count, array->shape, array->rank) || *count > SIZE_MAX / 2 / size)
        return irn_fail(IRN_ERROR_ARGUMENT, "an array of shape %s is larger than memory can be",
                        irn_shape_text(text, array->rank, array->shape));
    *bytes = *count * size;
    if (*bytes > 0 && !array->data)
        return irn_fail(IRN_ERROR_ARGUMENT, "an array of shape %s has no data",
                        irn_shape_text(text, array->rank, array->shape));
    return IRN_OK;
}

irn_status irn_array_create(irn_array *out, irn_dtype type, size_t rank, const size_t *shape)
{
    memset(out, 0, sizeof *out);
    if (!is_known(type) || rank > IRN_MAX_RANK || (rank > 0 && !shape))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "an array of type number %d and rank %zu: types end at %d, ranks at %d",
                        (int)type, rank, (int)IRN_UINT8, IRN_MAX_RANK);
    size_t count;
    char text[IRN_SHAPE_TEXT];
    if (!irn_product(&count, shape, rank) || count > SIZE_MAX / 2 / types[type].size)
        return irn_fail(IRN_ERROR_MEMORY, "no memory for an array of shape %s",
                        irn_shape_text(text, rank, shape));
    void *data;
    IRN_TRY(irn_alloc(&data, count, types[type].size));
    out->type = type;
    out->rank = rank;
    if (rank > 0)
        memcpy(out->shape, shape, rank * sizeof *shape);
    out->data = data;
    return IRN_OK;
}

void irn_array_free(irn_array *array)
{
    if (!array)
        return;
    free(array->data);
    memset(array, 0, sizeof *array);
}
