#include "io/json_reader.h"
#include "io/file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void irn_json_open(irn_json_reader *reader, const char *text, const char *file, const char *what)
{
    /* Nothing but white space may follow. */
    *reader = (irn_json_reader){cJSON_ParseWithOpts(text, NULL, true), file, what, IRN_OK};
    if (!cJSON_IsObject(reader->json))
        reader->status = irn_fail(IRN_ERROR_FORMAT, "%s: the %ss are no JSON object", file, what);
}

irn_status irn_json_close(irn_json_reader *reader)
{
    cJSON_Delete(reader->json);
    reader->json = NULL;
    return reader->status;
}

static const cJSON *field(const irn_json_reader *reader, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(reader->json, key);
}

void irn_json_refuse(irn_json_reader *reader, const char *key, const char *allowed)
{
    if (reader->status != IRN_OK)
        return;
    const cJSON *value = field(reader, key);
    char *text = value ? cJSON_PrintUnformatted(value) : NULL, excerpt[IRN_EXCERPT] = "missing";
    if (text)
        irn_excerpt(excerpt, text, strlen(text));
    cJSON_free(text);
    reader->status = irn_fail(IRN_ERROR_FORMAT, "%s: %s '%s' is %s; it must be %s", reader->file,
                              reader->what, key, excerpt, allowed);
}

void irn_json_only(irn_json_reader *reader, const char *const *keys)
{
    const cJSON *item;
    char excerpt[IRN_EXCERPT];
    if (!cJSON_IsObject(reader->json))
        return;
    cJSON_ArrayForEach(item, reader->json)
    {
        size_t known = 0;
        while (keys[known] && strcmp(keys[known], item->string) != 0)
            known++;
        bool again = field(reader, item->string) != item;
        if (reader->status == IRN_OK && (!keys[known] || again))
            reader->status =
                irn_fail(IRN_ERROR_FORMAT, "%s: %s '%s' %s", reader->file, reader->what,
                         irn_excerpt(excerpt, item->string, strlen(item->string)),
                         keys[known] ? "stands there twice" : "is not known");
    }
}

static bool to_size(const cJSON *item, size_t low, size_t high, size_t *out)
{
    double value = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    if (!(value >= (double)low && value <= (double)high) || value != floor(value))
        return false;
    *out = (size_t)value;
    return true;
}

void irn_json_size(irn_json_reader *reader, const char *key, size_t low, size_t high, size_t *out)
{
    char allowed[96];
    snprintf(allowed, sizeof allowed, "a whole number from %zu to %zu", low, high);
    if (!to_size(field(reader, key), low, high, out))
        irn_json_refuse(reader, key, allowed);
}

void irn_json_number(irn_json_reader *reader, const char *key, double low, double high, double *out)
{
    const cJSON *item = field(reader, key);
    char allowed[96];
    snprintf(allowed, sizeof allowed, "a number from %g to %g", low, high);
    if (cJSON_IsNumber(item) && item->valuedouble >= low && item->valuedouble <= high)
        *out = item->valuedouble;
    else
        irn_json_refuse(reader, key, allowed);
}

void irn_json_number_or_null(irn_json_reader *reader, const char *key, double low, double high,
                             double null, double *out)
{
    if (cJSON_IsNull(field(reader, key)))
        *out = null;
    else
        irn_json_number(reader, key, low, high, out);
}

void irn_json_text(irn_json_reader *reader, const char *key, const char **out)
{
    const cJSON *item = field(reader, key);
    *out = "";
    if (cJSON_IsString(item))
        *out = item->valuestring;
    else
        irn_json_refuse(reader, key, "a text");
}

const cJSON *irn_json_list(irn_json_reader *reader, const char *key)
{
    const cJSON *item = field(reader, key);
    if (cJSON_IsArray(item))
        return item;
    irn_json_refuse(reader, key, "a list");
    return NULL;
}

void irn_json_bool(irn_json_reader *reader, const char *key, bool *out)
{
    const cJSON *item = field(reader, key);
    if (cJSON_IsBool(item))
        *out = cJSON_IsTrue(item);
    else
        irn_json_refuse(reader, key, "true or false");
}

void irn_json_bools(irn_json_reader *reader, const char *key, bool *out, size_t count)
{
    const cJSON *array = field(reader, key), *item = NULL;
    bool good = cJSON_IsArray(array) && (size_t)cJSON_GetArraySize(array) == count;
    char allowed[64];
    if (good)
        cJSON_ArrayForEach(item, array) good = good && cJSON_IsBool(item);
    snprintf(allowed, sizeof allowed, "a list of length %zu of true or false", count);
    if (!good)
        irn_json_refuse(reader, key, allowed);
    else
        cJSON_ArrayForEach(item, array) *out++ = cJSON_IsTrue(item);
}

void irn_json_sizes(irn_json_reader *reader, const char *key, size_t low, size_t high, size_t *out,
                    size_t *count, size_t most)
{
    const cJSON *array = field(reader, key), *item = NULL;
    size_t length = cJSON_IsArray(array) ? (size_t)cJSON_GetArraySize(array) : 0, i = 0;
    size_t least = *count ? *count : 1;
    most = *count ? *count : most;
    bool good = length >= least && length <= most;
    if (good)
        cJSON_ArrayForEach(item, array) good = good && to_size(item, low, high, &out[i++]);
    char allowed[128], lengths[48] = "";
    if (least < most)
        snprintf(lengths, sizeof lengths, "%zu to ", least);
    snprintf(allowed, sizeof allowed, "a list of length %s%zu of whole numbers from %zu to %zu",
             lengths, most, low, high);
    if (good)
        *count = length;
    else
        irn_json_refuse(reader, key, allowed);
}

void irn_json_word(irn_json_reader *reader, const char *key, const char *const *words,
                   size_t *index)
{
    const char *text = cJSON_GetStringValue(field(reader, key));
    char allowed[128] = "one of";
    for (size_t i = 0; words[i]; i++) {
        if (text && strcmp(text, words[i]) == 0) {
            *index = i;
            return;
        }
        size_t used = strlen(allowed);
        snprintf(allowed + used, sizeof allowed - used, "%s %s", i ? "," : "", words[i]);
    }
    irn_json_refuse(reader, key, allowed);
}
