/* The architecture as JSON, under the metadata key `iresnet` of a model file. */
#include "flow/config_json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1 };

static const char *const activations[] = {"identity", "elu", "relu", "tanh", "softplus"};
static const char *const paddings[] = {"zeros", "circular"};

static void add_sizes(cJSON *object, const char *key, const size_t *values, size_t count)
{
    cJSON *array = cJSON_AddArrayToObject(object, key);
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber((double)values[i]));
}

static cJSON *build(const irn_model_config *c, const double *lipschitz, size_t blocks)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "format", FORMAT_VERSION);
    add_sizes(json, "input", (size_t[]){c->channels, c->height, c->width}, 3);
    cJSON_AddBoolToObject(json, "init_squeeze", c->init_squeeze);
    cJSON_AddNumberToObject(json, "pad_channels", (double)c->pad_channels);
    add_sizes(json, "blocks", c->blocks, c->stages);
    add_sizes(json, "channels", c->widths, c->stages);
    add_sizes(json, "strides", c->strides, c->stages);
    add_sizes(json, "kernels", c->kernels, c->layers);
    cJSON_AddStringToObject(json, "padding", paddings[c->padding]);
    cJSON_AddStringToObject(json, "activation", activations[c->activation]);
    cJSON_AddBoolToObject(json, "actnorm", c->actnorm);
    cJSON_AddNumberToObject(json, "coefficient", c->coefficient);
    cJSON_AddNumberToObject(json, "classes", (double)c->classes);
    cJSON_AddNumberToObject(json, "norm_momentum", c->norm_momentum);
    cJSON_AddNumberToObject(json, "sigma_epsilon", c->sigma_epsilon);
    cJSON_AddBoolToObject(json, "sigma_map_before_squeeze", c->sigma_map_before_squeeze);
    cJSON *bounds = cJSON_AddArrayToObject(json, "lipschitz_upper");
    for (size_t i = 0; i < blocks; i++)
        cJSON_AddItemToArray(bounds, isfinite(lipschitz[i]) ? cJSON_CreateNumber(lipschitz[i])
                                                            : cJSON_CreateNull());
    return json;
}

irn_status irn_config_to_json(char **out, const irn_model_config *config, const double *lipschitz,
                              size_t blocks)
{
    cJSON *json = build(config, lipschitz, blocks);
    *out = json ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return *out ? IRN_OK : irn_fail(IRN_ERROR_MEMORY, "no memory for the model's configuration");
}

/* Reading goes on after the first failure, which sticks, so that fields are listed without tests.
 */
typedef struct reader {
    const cJSON *json;
    const char *file;
    irn_status status;
} reader;

static void reject(reader *r, const char *key, const char *expected)
{
    if (r->status == IRN_OK)
        r->status = irn_fail(IRN_ERROR_FORMAT, "%s: configuration: '%s' is missing or not %s",
                             r->file, key, expected);
}

static const cJSON *item(reader *r, const char *key)
{
    return cJSON_GetObjectItemCaseSensitive(r->json, key);
}

static bool to_size(const cJSON *number, size_t *out)
{
    double value = cJSON_IsNumber(number) ? number->valuedouble : -1;
    if (!(value >= 0 && value <= 1e9) || value != floor(value))
        return false;
    *out = (size_t)value;
    return true;
}

static void read_size(reader *r, const char *key, size_t *out)
{
    if (!to_size(item(r, key), out))
        reject(r, key, "a whole number from 0 to 1e9");
}

static void read_number(reader *r, const char *key, double *out)
{
    const cJSON *number = item(r, key);
    if (cJSON_IsNumber(number) && isfinite(number->valuedouble))
        *out = number->valuedouble;
    else
        reject(r, key, "a finite number");
}

static void read_bool(reader *r, const char *key, bool *out)
{
    const cJSON *value = item(r, key);
    if (cJSON_IsBool(value))
        *out = cJSON_IsTrue(value);
    else
        reject(r, key, "true or false");
}

/* Between 1 and limit sizes; *count is how many, and if it is not 0 before, how many there must be.
 */
static void read_sizes(reader *r, const char *key, size_t *out, size_t *count, size_t limit)
{
    const cJSON *array = item(r, key);
    size_t length = cJSON_IsArray(array) ? (size_t)cJSON_GetArraySize(array) : 0;
    bool good = length >= 1 && length <= limit && (*count == 0 || length == *count);
    for (size_t i = 0; good && i < length; i++)
        good = to_size(cJSON_GetArrayItem(array, (int)i), &out[i]);
    if (good)
        *count = length;
    else
        reject(r, key, "a list of whole numbers of the right length");
}

static void read_name(reader *r, const char *key, const char *const *names, size_t count, int *out)
{
    const cJSON *value = item(r, key);
    for (size_t i = 0; cJSON_IsString(value) && i < count; i++)
        if (strcmp(value->valuestring, names[i]) == 0) {
            *out = (int)i;
            return;
        }
    reject(r, key, "one of the known names");
}

static void read_fields(reader *r, irn_model_config *c)
{
    size_t input[3] = {0}, three = 3, format = 0;
    int padding = 0, activation = 0;
    read_size(r, "format", &format);
    if (r->status == IRN_OK && format != FORMAT_VERSION)
        r->status = irn_fail(IRN_ERROR_FORMAT, "%s has format %zu; this library reads format %d",
                             r->file, format, FORMAT_VERSION);
    read_sizes(r, "input", input, &three, 3);
    read_bool(r, "init_squeeze", &c->init_squeeze);
    read_size(r, "pad_channels", &c->pad_channels);
    read_sizes(r, "blocks", c->blocks, &c->stages, IRN_MAX_STAGES);
    read_sizes(r, "channels", c->widths, &c->stages, IRN_MAX_STAGES);
    read_sizes(r, "strides", c->strides, &c->stages, IRN_MAX_STAGES);
    read_sizes(r, "kernels", c->kernels, &c->layers, IRN_MAX_LAYERS);
    read_name(r, "padding", paddings, 2, &padding);
    read_name(r, "activation", activations, 5, &activation);
    read_bool(r, "actnorm", &c->actnorm);
    read_number(r, "coefficient", &c->coefficient);
    read_size(r, "classes", &c->classes);
    read_number(r, "norm_momentum", &c->norm_momentum);
    read_number(r, "sigma_epsilon", &c->sigma_epsilon);
    read_bool(r, "sigma_map_before_squeeze", &c->sigma_map_before_squeeze);
    c->channels = input[0];
    c->height = input[1];
    c->width = input[2];
    c->padding = (irn_padding)padding;
    c->activation = (irn_activation)activation;
}

irn_status irn_config_from_json(irn_model_config *out, const char *json, const char *file)
{
    memset(out, 0, sizeof *out);
    out->version = IRN_MODEL_CONFIG_VERSION;
    cJSON *parsed = cJSON_Parse(json);
    if (!parsed)
        return irn_fail(IRN_ERROR_FORMAT, "%s: the configuration is not JSON", file);
    reader r = {parsed, file, IRN_OK};
    read_fields(&r, out);
    cJSON_Delete(parsed);
    return r.status;
}

irn_status irn_lipschitz_from_json(double *lipschitz, size_t blocks, const char *json)
{
    cJSON *parsed = cJSON_Parse(json);
    if (!parsed)
        return irn_fail(IRN_ERROR_FORMAT, "the configuration is not JSON");
    const cJSON *bounds = cJSON_GetObjectItemCaseSensitive(parsed, "lipschitz_upper");
    for (size_t i = 0; i < blocks; i++) {
        const cJSON *bound = cJSON_IsArray(bounds) ? cJSON_GetArrayItem(bounds, (int)i) : NULL;
        lipschitz[i] = cJSON_IsNumber(bound) && bound->valuedouble >= 0 ? bound->valuedouble : NAN;
    }
    cJSON_Delete(parsed);
    return IRN_OK;
}
