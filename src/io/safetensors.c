#include "io/safetensors.h"

#include "io/file.h"
#include "io/npy.h"
#include "io/safetensors_impl.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are copied from little-endian files as they are"
#endif

irn_status irn_safetensors_open(irn_safetensors **out, const char *path)
{
    *out = NULL;
    uint8_t *bytes;
    size_t size;
    IRN_TRY(irn_file_read(&bytes, &size, path, IRN_FILE_LIMIT, false));
    return irn_safetensors_parse(out, bytes, size, path);
}

irn_status irn_safetensors_parse(irn_safetensors **out, uint8_t *bytes, size_t size,
                                 const char *name)
{
    *out = NULL;
    irn_safetensors *file;
    irn_status status = irn_alloc(&file, 1, sizeof *file);
    if (status != IRN_OK) {
        free(bytes);
        return status;
    }
    file->bytes = bytes;
    file->name = strdup(name);
    status = file->name ? irn_safetensors_read_header(file, size)
                        : irn_fail(IRN_ERROR_MEMORY, "%s: no memory for its name", name);
    if (status != IRN_OK) {
        irn_safetensors_free(file);
        return status;
    }
    *out = file;
    return IRN_OK;
}

void irn_safetensors_free(irn_safetensors *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < file->count; i++)
        free(file->tensors[i].name);
    free(file->tensors);
    free(file->by_name);
    cJSON_Delete(file->metadata);
    free(file->bytes);
    free(file->name);
    free(file);
}

const char *irn_safetensors_name(const irn_safetensors *file)
{
    return file->name;
}

const char *irn_safetensors_metadata(const irn_safetensors *file, const char *key)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(file->metadata, key));
}

size_t irn_safetensors_count(const irn_safetensors *file)
{
    return file->count;
}

const char *irn_safetensors_tensor_name(const irn_safetensors *file, size_t index)
{
    return index < file->count ? file->tensors[index].name : NULL;
}

size_t irn_safetensors_find(const irn_safetensors *file, const char *name)
{
    size_t low = 0, high = file->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, file->by_name[middle]->name);
        if (order == 0)
            return (size_t)(file->by_name[middle] - file->tensors);
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return SIZE_MAX;
}

irn_status irn_safetensors_view(const irn_safetensors *file, size_t index, irn_array *view)
{
    memset(view, 0, sizeof *view);
    if (index >= file->count)
        return irn_fail(IRN_ERROR_ARGUMENT, "%s: tensor %zu is asked for, there are %zu",
                        file->name, index, file->count);
    const irn_safetensors_tensor *tensor = &file->tensors[index];
    char name[IRN_EXCERPT];
    if (!tensor->type->readable)
        return irn_fail(IRN_ERROR_UNSUPPORTED, "%s: tensor \"%s\" is %s, which cannot be read",
                        file->name, irn_excerpt(name, tensor->name, strlen(tensor->name)),
                        tensor->type->word);
    view->type = tensor->type->type;
    view->rank = tensor->rank;
    memcpy(view->shape, tensor->shape, sizeof view->shape);
    view->data = file->bytes + (file->data - file->bytes) + tensor->begin;
    return IRN_OK;
}

/* The tensor of that name if it has count values of a floating type. */
static irn_status find_floats(const irn_safetensors *file, const char *name, size_t count,
                              const irn_safetensors_tensor **out)
{
    size_t index = irn_safetensors_find(file, name);
    if (index == SIZE_MAX)
        return irn_fail(IRN_ERROR_FORMAT, "%s: has no tensor \"%s\" (%zu values expected)",
                        file->name, name, count);
    const irn_safetensors_tensor *tensor = &file->tensors[index];
    const irn_safetensors_type *type = tensor->type;
    bool is_float = type->readable && (type->type == IRN_FLOAT32 || type->type == IRN_FLOAT64);
    size_t held = (tensor->end - tensor->begin) / type->size;
    char shape[IRN_SHAPE_TEXT];
    if (!is_float || held != count)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: tensor \"%s\" is %s %s with %zu values, expected are %zu values of "
                        "F32 or F64",
                        file->name, name, type->word,
                        irn_shape_text(shape, tensor->rank, tensor->shape), held, count);
    *out = tensor;
    return IRN_OK;
}

/* Value i as a double, if its magnitude is at most limit (which no NaN is). */
static irn_status get_value(const irn_safetensors *file, const irn_safetensors_tensor *tensor,
                            size_t i, double limit, double *value)
{
    const uint8_t *at = file->data + tensor->begin + i * tensor->type->size;
    float narrow;
    if (tensor->type->type == IRN_FLOAT32) {
        memcpy(&narrow, at, sizeof narrow);
        *value = (double)narrow;
    } else {
        memcpy(value, at, sizeof *value);
    }
    if (!(fabs(*value) <= limit))
        return irn_fail(IRN_ERROR_NUMERIC, "%s: value %zu of tensor \"%s\" is %g, limit %g",
                        file->name, i, tensor->name, *value, limit);
    return IRN_OK;
}

irn_status irn_safetensors_read_float(const irn_safetensors *file, const char *name, size_t count,
                                      float *out)
{
    const irn_safetensors_tensor *tensor = NULL;
    IRN_TRY(find_floats(file, name, count, &tensor));
    for (size_t i = 0; i < count; i++) {
        double value;
        IRN_TRY(get_value(file, tensor, i, (double)FLT_MAX, &value));
        out[i] = (float)value;
    }
    return IRN_OK;
}

irn_status irn_safetensors_read_double(const irn_safetensors *file, const char *name, size_t count,
                                       double *out)
{
    const irn_safetensors_tensor *tensor = NULL;
    IRN_TRY(find_floats(file, name, count, &tensor));
    for (size_t i = 0; i < count; i++)
        IRN_TRY(get_value(file, tensor, i, DBL_MAX, &out[i]));
    return IRN_OK;
}
