#include "io/file.h"
#include "io/npy.h"
#include "io/safetensors_impl.h"

#include <stdlib.h>
#include <string.h>

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are copied to little-endian files as they are"
#endif

typedef struct entry {
    char *name;
    irn_array array;
    size_t bytes;
} entry;

struct irn_safetensors_writer {
    entry *entries;
    size_t count, capacity;
    cJSON *metadata;
};

static irn_status no_memory(void)
{
    return irn_fail(IRN_ERROR_MEMORY, "no memory for a safetensors header");
}

irn_status irn_safetensors_writer_create(irn_safetensors_writer **out)
{
    IRN_TRY(irn_alloc(out, 1, sizeof **out));
    (*out)->metadata = cJSON_CreateObject();
    if ((*out)->metadata)
        return IRN_OK;
    free(*out);
    *out = NULL;
    return no_memory();
}

void irn_safetensors_writer_free(irn_safetensors_writer *writer)
{
    if (!writer)
        return;
    for (size_t i = 0; i < writer->count; i++) {
        free(writer->entries[i].name);
        irn_array_free(&writer->entries[i].array);
    }
    free(writer->entries);
    cJSON_Delete(writer->metadata);
    free(writer);
}

static irn_status check_word(const char *what, const char *word, bool may_be_empty)
{
    if (!word || (!may_be_empty && word[0] == '\0') || !irn_is_text(word, strlen(word)))
        return irn_fail(IRN_ERROR_ARGUMENT, "a %s for a safetensors file is not UTF-8, or empty",
                        what);
    return IRN_OK;
}

static irn_status reserve(irn_safetensors_writer *writer)
{
    if (writer->count < writer->capacity)
        return IRN_OK;
    size_t capacity = writer->capacity ? 2 * writer->capacity : 16;
    entry *larger = realloc(writer->entries, capacity * sizeof *larger);
    if (!larger)
        return no_memory();
    writer->entries = larger;
    writer->capacity = capacity;
    return IRN_OK;
}

irn_status irn_safetensors_add(irn_safetensors_writer *writer, const char *name,
                               const irn_array *array)
{
    IRN_TRY(check_word("tensor name", name, false));
    bool taken = strcmp(name, IRN_SAFETENSORS_METADATA) == 0;
    for (size_t i = 0; i < writer->count; i++)
        taken = taken || strcmp(name, writer->entries[i].name) == 0;
    if (taken)
        return irn_fail(IRN_ERROR_ARGUMENT, "two tensors \"%s\" in one safetensors file", name);
    size_t count, bytes;
    IRN_TRY(irn_array_measure(array, &count, &bytes));
    IRN_TRY(reserve(writer));
    entry added = {.name = strdup(name), .bytes = bytes};
    if (!added.name)
        return no_memory();
    irn_status status = irn_array_create(&added.array, array->type, array->rank, array->shape);
    if (status != IRN_OK) {
        free(added.name);
        return status;
    }
    if (bytes > 0)
        memcpy(added.array.data, array->data, bytes);
    writer->entries[writer->count++] = added;
    return IRN_OK;
}

irn_status irn_safetensors_add_metadata(irn_safetensors_writer *writer, const char *key,
                                        const char *value)
{
    IRN_TRY(check_word("metadata key", key, false));
    IRN_TRY(check_word("metadata value", value, true));
    if (cJSON_GetObjectItemCaseSensitive(writer->metadata, key))
        return irn_fail(IRN_ERROR_ARGUMENT, "the metadata key \"%s\" twice in one safetensors file",
                        key);
    return cJSON_AddStringToObject(writer->metadata, key, value) ? IRN_OK : no_memory();
}

/* Adds one tensor to the JSON. Numbers go in as text: cJSON's are doubles. */
static irn_status describe(cJSON *root, const entry *tensor, size_t offset)
{
    char shape[IRN_SHAPE_TEXT], offsets[IRN_SHAPE_TEXT];
    const irn_array *array = &tensor->array;
    irn_shape_text(shape, array->rank, array->shape);
    irn_shape_text(offsets, 2, (size_t[]){offset, offset + tensor->bytes});
    cJSON *item = cJSON_AddObjectToObject(root, tensor->name);
    if (!item || !cJSON_AddStringToObject(item, "dtype", irn_safetensors_type_word(array->type)) ||
        !cJSON_AddRawToObject(item, "shape", shape) ||
        !cJSON_AddRawToObject(item, "data_offsets", offsets))
        return no_memory();
    return IRN_OK;
}

/* The tensors in the order of the file: wide types first, so that each starts aligned. */
static const entry **order_entries(const irn_safetensors_writer *writer)
{
    const entry **order = malloc((writer->count + 1) * sizeof(const entry *));
    if (!order)
        return NULL;
    size_t used = 0;
    for (size_t size = 8; size > 0; size /= 2)
        for (size_t i = 0; i < writer->count; i++)
            if (irn_dtype_size(writer->entries[i].array.type) == size)
                order[used++] = &writer->entries[i];
    return order;
}

static irn_status make_json(const irn_safetensors_writer *writer, const entry *const *order,
                            cJSON *root)
{
    size_t offset = 0;
    if (writer->metadata->child) {
        cJSON *copy = cJSON_Duplicate(writer->metadata, true);
        if (!copy || !cJSON_AddItemToObject(root, IRN_SAFETENSORS_METADATA, copy)) {
            cJSON_Delete(copy);
            return no_memory();
        }
    }
    for (size_t i = 0; i < writer->count; i++) {
        if (order[i]->bytes > SIZE_MAX - offset)
            return irn_fail(IRN_ERROR_MEMORY, "a safetensors file is larger than memory can be");
        IRN_TRY(describe(root, order[i], offset));
        offset += order[i]->bytes;
    }
    return IRN_OK;
}

static irn_status write_header(irn_writer *file, const char *json)
{
    const char spaces[IRN_SAFETENSORS_PREFIX + 1] = "        ";
    size_t size = strlen(json), padding = (size_t)-size % IRN_SAFETENSORS_PREFIX;
    uint8_t prefix[IRN_SAFETENSORS_PREFIX];
    for (size_t i = 0; i < sizeof prefix; i++)
        prefix[i] = (uint8_t)((uint64_t)(size + padding) >> (8 * i));
    IRN_TRY(irn_writer_write(file, prefix, sizeof prefix));
    IRN_TRY(irn_writer_write(file, json, size));
    return irn_writer_write(file, spaces, padding);
}

static irn_status write_file(const char *json, const entry *const *order, size_t count,
                             const char *path)
{
    irn_writer *file;
    IRN_TRY(irn_writer_open(&file, path));
    irn_status status = write_header(file, json);
    for (size_t i = 0; i < count && status == IRN_OK; i++)
        status = irn_writer_write(file, order[i]->array.data, order[i]->bytes);
    if (status == IRN_OK)
        return irn_writer_commit(file);
    irn_writer_discard(file);
    return status;
}

irn_status irn_safetensors_write(const irn_safetensors_writer *writer, const char *path)
{
    const entry **order = order_entries(writer);
    cJSON *root = cJSON_CreateObject();
    irn_status status = order && root ? make_json(writer, order, root) : no_memory();
    char *json = status == IRN_OK ? cJSON_PrintUnformatted(root) : NULL;
    if (status == IRN_OK)
        status = json ? write_file(json, order, writer->count, path) : no_memory();
    cJSON_free(json);
    cJSON_Delete(root);
    free(order);
    return status;
}
