/* Weights of the official PyTorch code (jhjacobsen/invertible-resnet), by their names and options.
 *
 * There, g of the network's first block begins with a convolution, g of the others with an
 * activation, which shifts the layers' numbers by one; kernels are stored raw beside u, v and sigma
 * of the last power iteration; k x k kernels with k > 1 are divided by max(1, sigma/c) + eps, 1 x 1
 * by max(1, sigma/c). */
#include "flow/model_file.h"
#include "io/file.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG = 1 << 20 };

/* ---- options ---- */

static irn_status bad_option(const char *file, const char *key, const char *expected)
{
    return irn_fail(IRN_ERROR_FORMAT, "%s: option '%s' is missing or not %s", file, key, expected);
}

static irn_status get_size(const cJSON *json, const char *file, const char *key, size_t *out)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0 && value->valuedouble <= 1e6))
        return bad_option(file, key, "a number from 0 to 1e6");
    *out = (size_t)value->valuedouble;
    return IRN_OK;
}

static irn_status get_number(const cJSON *json, const char *file, const char *key, double *out)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!cJSON_IsNumber(value) || !isfinite(value->valuedouble))
        return bad_option(file, key, "a finite number");
    *out = value->valuedouble;
    return IRN_OK;
}

static irn_status get_sizes(const cJSON *json, const char *file, const char *key, size_t *out,
                            size_t least, size_t most, size_t *count)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(json, key);
    size_t length = cJSON_IsArray(array) ? (size_t)cJSON_GetArraySize(array) : 0;
    if (length < least || length > most)
        return bad_option(file, key, "a list of numbers of the right length");
    for (size_t i = 0; i < length; i++) {
        const cJSON *value = cJSON_GetArrayItem(array, (int)i);
        if (!cJSON_IsNumber(value) || !(value->valuedouble >= 0 && value->valuedouble <= 1e6))
            return bad_option(file, key, "a list of numbers from 0 to 1e6");
        out[i] = (size_t)value->valuedouble;
    }
    *count = length;
    return IRN_OK;
}

static irn_status get_activation(const cJSON *json, const char *file, irn_activation *out)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, "nonlin");
    const char *const names[] = {"elu", "relu", "tanh", "softplus"};
    const irn_activation activations[] = {IRN_ELU, IRN_RELU, IRN_TANH, IRN_SOFTPLUS};
    for (size_t i = 0; cJSON_IsString(value) && i < 4; i++)
        if (strcmp(value->valuestring, names[i]) == 0) {
            *out = activations[i];
            return IRN_OK;
        }
    return bad_option(file, "nonlin", "elu, relu, tanh or softplus");
}

static irn_status get_shape(const cJSON *json, const char *file, irn_model_config *c)
{
    size_t input[3] = {0}, blocks = 0, widths, strides, squeeze = 0, three;
    IRN_TRY(get_sizes(json, file, "in_shape", input, 3, 3, &three));
    IRN_TRY(get_sizes(json, file, "nBlocks", c->blocks, 1, IRN_MAX_STAGES, &blocks));
    IRN_TRY(get_sizes(json, file, "nChannels", c->widths, blocks, blocks, &widths));
    IRN_TRY(get_sizes(json, file, "nStrides", c->strides, blocks, blocks, &strides));
    IRN_TRY(get_size(json, file, "init_ds", &squeeze));
    IRN_TRY(get_size(json, file, "inj_pad", &c->pad_channels));
    c->channels = input[0];
    c->height = input[1];
    c->width = input[2];
    c->stages = blocks;
    c->init_squeeze = squeeze == 2;
    return IRN_OK;
}

static irn_status read_options(irn_model_config *c, const cJSON *json, const char *file)
{
    const cJSON *actnorm = cJSON_GetObjectItemCaseSensitive(json, "actnorm");
    const cJSON *multiscale = cJSON_GetObjectItemCaseSensitive(json, "multiscale");
    IRN_TRY(irn_model_config_init(c, NULL));
    if (cJSON_IsTrue(multiscale))
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "%s: option 'multiscale' is true; only single-scale networks are known",
                        file);
    IRN_TRY(get_shape(json, file, c));
    IRN_TRY(get_number(json, file, "coeff", &c->coefficient));
    IRN_TRY(get_number(json, file, "eps", &c->sigma_epsilon));
    IRN_TRY(get_activation(json, file, &c->activation));
    IRN_TRY(get_size(json, file, "nClasses", &c->classes));
    if (!cJSON_IsBool(actnorm))
        return bad_option(file, "actnorm", "true or false");
    c->actnorm = cJSON_IsTrue(actnorm);
    c->norm_momentum = 0.9; /* as in the official head; the checkpoint's own behaviour is kept */
    c->sigma_map_before_squeeze = true;
    return IRN_OK;
}

static irn_status load_options(irn_model_config *out, const irn_safetensors *weights,
                               const char *config_path)
{
    const char *name = config_path ? config_path : irn_safetensors_name(weights);
    uint8_t *bytes = NULL;
    cJSON *json;
    if (config_path) {
        size_t size;
        IRN_TRY(irn_file_read(&bytes, &size, config_path, MAX_CONFIG, false));
        json = cJSON_ParseWithLength((const char *)bytes, size);
        free(bytes);
    } else {
        const char *text = irn_safetensors_metadata(weights, "config");
        if (!text)
            return irn_fail(IRN_ERROR_FORMAT,
                            "%s has no metadata key 'config': give the options in a file", name);
        json = cJSON_Parse(text);
    }
    if (!json)
        return irn_fail(IRN_ERROR_FORMAT, "%s: the options are not JSON", name);
    irn_status status = read_options(out, json, name);
    cJSON_Delete(json);
    return status;
}

/* ---- weights ---- */

/* u and v are flat there, and sigma may be a scalar: only the number of values is given. */
static irn_status import_flat(const irn_arena *arena, cl_mem buffer, const irn_entry *entry,
                              const irn_safetensors *file, const char *name)
{
    size_t count = irn_entry_count(entry);
    float *values;
    IRN_TRY(irn_alloc(&values, count, sizeof *values));
    irn_status status = irn_safetensors_read_float(file, name, count, values);
    if (status == IRN_OK)
        status = irn_arena_write(arena, buffer, entry, values);
    free(values);
    return status;
}

static irn_status import_parameter(irn_model *model, size_t entry, const irn_safetensors *file,
                                   const char *prefix, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", prefix, suffix);
    return irn_entry_read_from_file(&model->parameters, model->single.parameters,
                                    &model->parameters.entries[entry], name, file);
}

static irn_status import_state(irn_model *model, size_t entry, const irn_safetensors *file,
                               const char *prefix, const char *suffix)
{
    char name[128];
    snprintf(name, sizeof name, "%s%s", prefix, suffix);
    return import_flat(&model->state, model->single.state, &model->state.entries[entry], file,
                       name);
}

static irn_status import_scale(irn_model *model, const irn_layer *layer)
{
    float sigma;
    irn_power power = irn_layer_power(model, layer);
    IRN_TRY(irn_arena_read(&model->state, model->single.state, &model->state.entries[layer->sigma],
                           &sigma));
    double divisor = fmax(1, (double)sigma / power.coefficient) + power.epsilon;
    float scale = (float)(1 / divisor);
    return irn_arena_write(&model->state, model->single.state, &model->state.entries[layer->scale],
                           &scale);
}

static irn_status import_block(irn_model *model, size_t index, const irn_safetensors *file)
{
    const irn_block *block = &model->blocks[index];
    char prefix[96];
    for (size_t i = 0; i < model->config.layers; i++) {
        const irn_layer *layer = &block->layers[i];
        snprintf(prefix, sizeof prefix, "stack.%zu.bottleneck_block.%zu", index,
                 2 * i + (block->first_activation ? 1 : 0));
        IRN_TRY(import_parameter(model, layer->weight, file, prefix, ".weight_orig"));
        IRN_TRY(import_parameter(model, layer->bias, file, prefix, ".bias"));
        IRN_TRY(import_state(model, layer->u, file, prefix, ".weight_u"));
        IRN_TRY(import_state(model, layer->v, file, prefix, ".weight_v"));
        IRN_TRY(import_state(model, layer->sigma, file, prefix, ".weight_sigma"));
        IRN_TRY(import_scale(model, layer));
    }
    snprintf(prefix, sizeof prefix, "stack.%zu.actnorm.", index);
    if (!model->config.actnorm)
        return IRN_OK;
    IRN_TRY(import_parameter(model, block->log_scale, file, prefix, "_log_scale"));
    return import_parameter(model, block->shift, file, prefix, "_shift");
}

static irn_status import_all(irn_model *model, const irn_safetensors *file)
{
    const irn_head *head = &model->head;
    for (size_t b = 0; b < model->block_count; b++)
        IRN_TRY(import_block(model, b, file));
    if (model->config.classes) {
        IRN_TRY(import_parameter(model, head->gamma, file, "bn1.", "weight"));
        IRN_TRY(import_parameter(model, head->beta, file, "bn1.", "bias"));
        IRN_TRY(import_parameter(model, head->weight, file, "logits.", "weight"));
        IRN_TRY(import_parameter(model, head->bias, file, "logits.", "bias"));
        IRN_TRY(import_state(model, head->running_mean, file, "bn1.", "running_mean"));
        IRN_TRY(import_state(model, head->running_variance, file, "bn1.", "running_var"));
    }
    return model->config.actnorm ? irn_model_initialised(model) : IRN_OK;
}

irn_status irn_model_import(irn_model **out, irn_context *context, const char *weights_path,
                            const char *config_path)
{
    irn_safetensors *file;
    irn_model_config config;
    *out = NULL;
    IRN_TRY(irn_safetensors_open(&file, weights_path));
    irn_status status = load_options(&config, file, config_path);
    if (status == IRN_OK)
        status = irn_model_create_empty(out, context, &config);
    if (status == IRN_OK)
        status = import_all(*out, file);
    irn_safetensors_free(file);
    if (status != IRN_OK) {
        irn_model_free(*out);
        *out = NULL;
    }
    return status;
}
