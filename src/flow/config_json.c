/* The architecture as JSON, under the metadata key `iresnet` of a model file. */
#include "flow/config_json.h"
#include "flow/config_limits.h"
#include "io/json_reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT_VERSION = 1 };

static const char *const activations[] = {"identity", "elu",      "relu", "tanh",
                                          "softplus", "lipswish", NULL};
static const char *const paddings[] = {"zeros", "circular", NULL};
static const char *const priors[] = {"none", "standard", "learned", NULL};

static void add_sizes(cJSON *object, const char *key, const size_t *values, size_t count)
{
    cJSON *array = cJSON_AddArrayToObject(object, key);
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber((double)values[i]));
}

/* Every bit of a bound is kept: cJSON's own printing takes 15 digits where they come back to within
 * an ulp, which may be the one below. Not finite: null. */
static cJSON *bound_item(double bound)
{
    char text[32];
    snprintf(text, sizeof text, "%.17g", bound);
    return isfinite(bound) ? cJSON_CreateRaw(text) : cJSON_CreateNull();
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
    cJSON_AddBoolToObject(json, "multiscale", c->multiscale);
    cJSON_AddStringToObject(json, "prior", priors[c->prior]);
    cJSON_AddNumberToObject(json, "levels", (double)c->levels);
    cJSON_AddNumberToObject(json, "logit", c->logit);
    cJSON *bounds = cJSON_AddArrayToObject(json, "lipschitz_upper");
    for (size_t i = 0; i < blocks; i++)
        cJSON_AddItemToArray(bounds, bound_item(lipschitz[i]));
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

static void read_format(irn_json_reader *r)
{
    size_t format = FORMAT_VERSION;
    irn_json_size(r, "format", 0, 1000000000, &format);
    if (r->status == IRN_OK && format != FORMAT_VERSION)
        r->status = irn_fail(IRN_ERROR_FORMAT, "%s has format %zu; this library reads format %d",
                             r->file, format, FORMAT_VERSION);
}

static void read_density_fields(irn_json_reader *r, irn_model_config *c)
{
    size_t prior = 0;
    irn_json_bool(r, "multiscale", &c->multiscale);
    irn_json_word(r, "prior", priors, &prior);
    irn_json_size(r, "levels", 0, IRN_MAX_LEVELS, &c->levels);
    if (cJSON_HasObjectItem(r->json, "logit")) /* newer than densities */
        irn_json_number(r, "logit", 0, IRN_MAX_LOGIT, &c->logit);
    c->prior = (irn_prior)prior;
}

static void read_fields(irn_json_reader *r, irn_model_config *c)
{
    size_t input[3] = {0}, three = 3, padding = 0, activation = 0;
    irn_json_sizes(r, "input", 1, IRN_MAX_CHANNELS, input, &three, 3);
    irn_json_bool(r, "init_squeeze", &c->init_squeeze);
    irn_json_size(r, "pad_channels", 0, IRN_MAX_CHANNELS, &c->pad_channels);
    irn_json_sizes(r, "blocks", 1, IRN_MAX_BLOCKS, c->blocks, &c->stages, IRN_MAX_STAGES);
    irn_json_sizes(r, "channels", 1, IRN_MAX_WIDTH, c->widths, &c->stages, IRN_MAX_STAGES);
    irn_json_sizes(r, "strides", 1, IRN_MAX_STRIDE, c->strides, &c->stages, IRN_MAX_STAGES);
    irn_json_sizes(r, "kernels", 1, IRN_MAX_KERNEL, c->kernels, &c->layers, IRN_MAX_LAYERS);
    irn_json_word(r, "padding", paddings, &padding);
    irn_json_word(r, "activation", activations, &activation);
    irn_json_bool(r, "actnorm", &c->actnorm);
    irn_json_number(r, "coefficient", 0, irn_max_coefficient, &c->coefficient);
    irn_json_size(r, "classes", 0, IRN_MAX_CLASSES, &c->classes);
    irn_json_number(r, "norm_momentum", 0, 1, &c->norm_momentum);
    irn_json_number(r, "sigma_epsilon", 0, irn_max_sigma_epsilon, &c->sigma_epsilon);
    irn_json_bool(r, "sigma_map_before_squeeze", &c->sigma_map_before_squeeze);
    if (cJSON_HasObjectItem(r->json, "prior")) /* first files were of classifiers alone */
        read_density_fields(r, c);
    c->channels = input[0];
    c->height = input[1];
    c->width = input[2];
    c->padding = (irn_padding)padding;
    c->activation = (irn_activation)activation;
}

irn_status irn_config_from_json(irn_model_config *out, const char *json, const char *file)
{
    irn_json_reader r;
    memset(out, 0, sizeof *out);
    out->version = IRN_MODEL_CONFIG_VERSION;
    irn_json_open(&r, json, file, "configuration field");
    read_format(&r);
    read_fields(&r, out);
    return irn_json_close(&r);
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
