/* The header of a safetensors file. Nothing in it is believed: not its length, not its JSON, not
 * its offsets. cJSON sees only text of bounded size and bounded number of values (it makes 64 bytes
 * of two), and itself limits the depth to 1,000. */
#include "io/safetensors_impl.h"

#include "io/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define VALUES_LIMIT ((size_t)1 << 22)

static const irn_safetensors_type types[] = {
    {"F32", 4, true, IRN_FLOAT32},    {"F64", 8, true, IRN_FLOAT64},
    {"I32", 4, true, IRN_INT32},      {"I64", 8, true, IRN_INT64},
    {"U8", 1, true, IRN_UINT8},       {"BOOL", 1, false, IRN_UINT8},
    {"I8", 1, false, IRN_UINT8},      {"I16", 2, false, IRN_UINT8},
    {"U16", 2, false, IRN_UINT8},     {"F16", 2, false, IRN_UINT8},
    {"BF16", 2, false, IRN_UINT8},    {"U32", 4, false, IRN_UINT8},
    {"U64", 8, false, IRN_UINT8},     {"F8_E5M2", 1, false, IRN_UINT8},
    {"F8_E4M3", 1, false, IRN_UINT8}, {"F8_E8M0", 1, false, IRN_UINT8},
    {"C64", 8, false, IRN_UINT8},
};

const irn_safetensors_type *irn_safetensors_type_find(const char *word)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i].word, word) == 0)
            return &types[i];
    return NULL;
}

const char *irn_safetensors_type_word(irn_dtype type)
{
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].readable && types[i].type == type)
            return types[i].word;
    return "";
}

static irn_status malformed(const irn_safetensors *file, const char *tensor, const char *words)
{
    char text[IRN_EXCERPT];
    return irn_fail(IRN_ERROR_FORMAT, "%s: malformed safetensors header, \"%s\": %s", file->name,
                    irn_excerpt(text, tensor, strlen(tensor)), words);
}

/* A whole number that a double holds exactly. */
static bool to_size(const cJSON *item, size_t *out)
{
    const double limit = 9007199254740992.0;
    if (!cJSON_IsNumber(item))
        return false;
    double value = item->valuedouble;
    if (!(value >= 0.0 && value <= limit) || value != floor(value) || value > (double)SIZE_MAX)
        return false;
    *out = (size_t)value;
    return true;
}

static irn_status read_shape(irn_safetensors_tensor *tensor, const cJSON *item,
                             const irn_safetensors *file)
{
    if (!cJSON_IsArray(item))
        return malformed(file, tensor->name, "the shape is not an array");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, item)
    {
        if (tensor->rank == IRN_MAX_RANK)
            return malformed(file, tensor->name, "more than 8 dimensions");
        if (!to_size(entry, &tensor->shape[tensor->rank]))
            return malformed(file, tensor->name, "a size is not a whole number up to 2^53");
        tensor->rank++;
    }
    return IRN_OK;
}

static irn_status read_type(irn_safetensors_tensor *tensor, const cJSON *item,
                            const irn_safetensors *file)
{
    if (!cJSON_IsString(item))
        return malformed(file, tensor->name, "the dtype is not a string");
    tensor->type = irn_safetensors_type_find(item->valuestring);
    char name[IRN_EXCERPT], word[IRN_EXCERPT];
    if (!tensor->type)
        return irn_fail(IRN_ERROR_FORMAT, "%s: tensor \"%s\" has the unknown dtype \"%s\"",
                        file->name, irn_excerpt(name, tensor->name, strlen(tensor->name)),
                        irn_excerpt(word, item->valuestring, strlen(item->valuestring)));
    return IRN_OK;
}

static irn_status read_offsets(irn_safetensors_tensor *tensor, const cJSON *item,
                               const irn_safetensors *file)
{
    const cJSON *first = cJSON_IsArray(item) ? item->child : NULL;
    const cJSON *second = first ? first->next : NULL;
    if (!second || second->next || !to_size(first, &tensor->begin) ||
        !to_size(second, &tensor->end) || tensor->begin > tensor->end)
        return malformed(file, tensor->name, "data_offsets are not two rising whole numbers");
    return IRN_OK;
}

/* Size against shape; all the rest of the offsets is looked at when they are sorted. */
static irn_status check_size(const irn_safetensors_tensor *tensor, const irn_safetensors *file)
{
    char name[IRN_EXCERPT];
    size_t count, held = tensor->end - tensor->begin, item = tensor->type->size;
    if (!irn_product(&count, tensor->shape, tensor->rank) || count > held / item ||
        count * item != held)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: tensor \"%s\": its shape and dtype do not fit its %zu bytes",
                        file->name, irn_excerpt(name, tensor->name, strlen(tensor->name)), held);
    if (tensor->end > file->data_size)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: tensor \"%s\" ends at byte %zu of the data, the file has %zu",
                        file->name, irn_excerpt(name, tensor->name, strlen(tensor->name)),
                        tensor->end, file->data_size);
    return IRN_OK;
}

static irn_status read_tensor(irn_safetensors_tensor *tensor, const cJSON *item,
                              const irn_safetensors *file)
{
    static const struct {
        const char *key;
        irn_status (*read)(irn_safetensors_tensor *, const cJSON *, const irn_safetensors *);
    } keys[] = {{"dtype", read_type}, {"shape", read_shape}, {"data_offsets", read_offsets}};
    const unsigned all = 7;
    unsigned seen = 0;
    tensor->name = strdup(item->string);
    if (!tensor->name)
        return irn_fail(IRN_ERROR_MEMORY, "%s: no memory for a tensor's name", file->name);
    if (!cJSON_IsObject(item))
        return malformed(file, tensor->name, "is not an object");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, item)
    {
        for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++)
            if (strcmp(entry->string, keys[i].key) == 0) {
                if (seen & 1u << i)
                    return malformed(file, tensor->name, "a key twice");
                seen |= 1u << i;
                IRN_TRY(keys[i].read(tensor, entry, file));
            }
    }
    if (seen != all)
        return malformed(file, tensor->name, "lacks dtype, shape or data_offsets");
    return check_size(tensor, file);
}

static int by_offset(const void *a, const void *b)
{
    const irn_safetensors_tensor *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    const irn_safetensors_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static irn_status sort_tensors(irn_safetensors *file)
{
    qsort(file->tensors, file->count, sizeof *file->tensors, by_offset);
    size_t end = 0;
    for (size_t i = 0; i < file->count; i++) {
        if (file->tensors[i].begin != end)
            return malformed(file, file->tensors[i].name, "a gap or an overlap before its data");
        end = file->tensors[i].end;
    }
    if (end != file->data_size)
        return irn_fail(IRN_ERROR_FORMAT, "%s: its tensors have %zu bytes, the file %zu",
                        file->name, end, file->data_size);
    IRN_TRY(irn_alloc(&file->by_name, file->count, sizeof *file->by_name));
    for (size_t i = 0; i < file->count; i++)
        file->by_name[i] = &file->tensors[i];
    qsort(file->by_name, file->count, sizeof *file->by_name, by_name);
    for (size_t i = 1; i < file->count; i++)
        if (by_name(&file->by_name[i - 1], &file->by_name[i]) == 0)
            return malformed(file, file->by_name[i]->name, "two tensors of this name");
    return IRN_OK;
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static irn_status check_metadata(const irn_safetensors *file)
{
    const cJSON *entry;
    size_t count = 0;
    if (!cJSON_IsObject(file->metadata))
        return malformed(file, IRN_SAFETENSORS_METADATA, "is not an object");
    cJSON_ArrayForEach(entry, file->metadata)
    {
        if (!cJSON_IsString(entry))
            return malformed(file, entry->string, "is metadata, but not a string");
        count++;
    }
    const char **keys;
    IRN_TRY(irn_alloc(&keys, count, sizeof *keys));
    count = 0;
    cJSON_ArrayForEach(entry, file->metadata) keys[count++] = entry->string;
    qsort(keys, count, sizeof *keys, by_text);
    irn_status status = IRN_OK;
    for (size_t i = 1; i < count && status == IRN_OK; i++)
        if (strcmp(keys[i - 1], keys[i]) == 0)
            status = malformed(file, keys[i], "is a metadata key twice");
    free(keys);
    return status;
}

static irn_status read_entries(irn_safetensors *file, cJSON *root)
{
    file->metadata = cJSON_DetachItemFromObjectCaseSensitive(root, IRN_SAFETENSORS_METADATA);
    if (file->metadata)
        IRN_TRY(check_metadata(file));
    const cJSON *entry;
    size_t count = 0;
    cJSON_ArrayForEach(entry, root) count++;
    IRN_TRY(irn_alloc(&file->tensors, count, sizeof *file->tensors));
    cJSON_ArrayForEach(entry, root)
    {
        if (strcmp(entry->string, IRN_SAFETENSORS_METADATA) == 0)
            return malformed(file, IRN_SAFETENSORS_METADATA, "is there twice");
        file->count++; /* first, so that a failing one is freed too */
        IRN_TRY(read_tensor(&file->tensors[file->count - 1], entry, file));
    }
    return sort_tensors(file);
}

/* What cJSON would swallow: zero characters, which cut its strings short, and masses of values. */
static irn_status check_text(const irn_safetensors *file, const char *text, size_t size)
{
    size_t values = 1;
    if (text[0] != '{' || !irn_is_text(text, size))
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: the safetensors header does not begin with {, or is not UTF-8",
                        file->name);
    for (size_t i = 0; i < size; i++) {
        values += text[i] == ',' || text[i] == '[' || text[i] == '{';
        if (text[i] != '\\')
            continue;
        i++;
        if (size - i >= 5 && memcmp(text + i, "u0000", 5) == 0)
            return irn_fail(IRN_ERROR_FORMAT, "%s: a zero character in the safetensors header",
                            file->name);
    }
    if (values > VALUES_LIMIT)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: up to %zu values in the safetensors header, the limit is %zu",
                        file->name, values, VALUES_LIMIT);
    return IRN_OK;
}

static bool begins_as_json(const irn_safetensors *file, size_t size)
{
    size_t at = 0;
    while (at < size && file->bytes[at] && strchr(" \t\r\n", file->bytes[at]))
        at++;
    return at < size && file->bytes[at] == '{';
}

irn_status irn_safetensors_read_header(irn_safetensors *file, size_t size)
{
    const size_t prefix = IRN_SAFETENSORS_PREFIX;
    uint64_t length = 0;
    if (size < prefix)
        return irn_fail(IRN_ERROR_FORMAT, "%s: is not a safetensors file (%zu bytes)", file->name,
                        size);
    for (size_t i = prefix; i-- > 0;)
        length = length << 8 | file->bytes[i];
    bool fits = length >= 2 && length <= IRN_SAFETENSORS_HEADER_LIMIT && length <= size - prefix;
    if (!fits && begins_as_json(file, size))
        return irn_fail(
            IRN_ERROR_FORMAT,
            "%s: is JSON, not a safetensors file; of a certificate: see `iresnet verify`",
            file->name);
    if (!fits)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: is not a safetensors file: a header of %llu bytes; %zu follow, and "
                        "the limit is %d",
                        file->name, (unsigned long long)length, size - prefix,
                        IRN_SAFETENSORS_HEADER_LIMIT);
    const char *text = (const char *)file->bytes + prefix, *end = NULL;
    IRN_TRY(check_text(file, text, (size_t)length));
    file->data = file->bytes + prefix + length;
    file->data_size = size - prefix - (size_t)length;
    cJSON *root = cJSON_ParseWithLengthOpts(text, (size_t)length, &end, false);
    size_t used = end ? (size_t)(end - text) : 0;
    while (root && used < length && strchr(" \t\r\n", text[used]))
        used++;
    irn_status status = root && used == length
                            ? read_entries(file, root)
                            : irn_fail(IRN_ERROR_FORMAT,
                                       "%s: the safetensors header is not JSON, near its byte %zu",
                                       file->name, used);
    cJSON_Delete(root);
    return status;
}
