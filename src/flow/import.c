/* Weights of the official PyTorch code (jhjacobsen/invertible-resnet), by their names and options.
 *
 * There, g of the network's first block begins with a convolution, g of the others with an
 * activation, which shifts the layers' numbers by one; kernels are stored raw beside u, v and sigma
 * of the last power iteration; k x k kernels with k > 1 are divided by max(1, sigma/c) + eps, 1 x 1
 * by max(1, sigma/c). */
#include "flow/config_limits.h"
#include "flow/model_file.h"
#include "flow/official.h"
#include "io/file.h"
#include "io/json_reader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_CONFIG = 1 << 20 };

/* ---- options ---- */

static void read_shape(irn_json_reader *r, irn_model_config *c)
{
    size_t input[3] = {0}, three = 3, squeeze = 1;
    irn_json_sizes(r, "in_shape", 1, IRN_MAX_CHANNELS, input, &three, 3);
    c->stages = 0; /* as many as the first list has */
    irn_json_sizes(r, "nBlocks", 1, IRN_MAX_BLOCKS, c->blocks, &c->stages, IRN_MAX_STAGES);
    irn_json_sizes(r, "nChannels", 1, IRN_MAX_WIDTH, c->widths, &c->stages, IRN_MAX_STAGES);
    irn_json_sizes(r, "nStrides", 1, IRN_MAX_STRIDE, c->strides, &c->stages, IRN_MAX_STAGES);
    irn_json_size(r, "init_ds", 1, 2, &squeeze);
    irn_json_size(r, "inj_pad", 0, IRN_MAX_CHANNELS, &c->pad_channels);
    c->channels = input[0];
    c->height = input[1];
    c->width = input[2];
    c->init_squeeze = squeeze == 2;
}

/* Weights of the official code are normalised, so a coefficient of 0 would be a division by it. */
static void read_normalisation(irn_json_reader *r, irn_model_config *c)
{
    irn_json_number(r, "coeff", 0, irn_max_coefficient, &c->coefficient);
    if (r->status == IRN_OK && !(c->coefficient > 0))
        irn_json_refuse(r, "coeff", "above 0");
    irn_json_number(r, "eps", 0, irn_max_sigma_epsilon, &c->sigma_epsilon);
}

irn_status irn_official_normalisation(const irn_safetensors *file, double *coefficient,
                                      double *epsilon)
{
    irn_json_reader reader;
    irn_model_config config = {.coefficient = 0};
    const char *name = irn_safetensors_name(file);
    const char *text = irn_safetensors_metadata(file, "config");
    if (!text)
        return irn_fail(IRN_ERROR_FORMAT, "%s has no metadata key 'config'", name);
    irn_json_open(&reader, text, name, "option");
    read_normalisation(&reader, &config);
    IRN_TRY(irn_json_close(&reader));
    *coefficient = config.coefficient;
    *epsilon = config.sigma_epsilon;
    return IRN_OK;
}

/* Density models have a learned prior and no head, whatever nClasses says. */
static void read_task(irn_json_reader *r, irn_model_config *c)
{
    const char *const tasks[] = {"classify", "density", NULL};
    enum { OFFICIAL_LEVELS = 256 };
    size_t task = 0;
    if (cJSON_GetObjectItemCaseSensitive(r->json, "task"))
        irn_json_word(r, "task", tasks, &task);
    if (task == 0)
        return;
    c->classes = 0;
    c->prior = IRN_PRIOR_LEARNED;
    c->levels = OFFICIAL_LEVELS;
}

static void read_options(irn_json_reader *r, irn_model_config *c)
{
    const char *const activations[] = {"elu", "relu", "tanh", "softplus", NULL};
    size_t activation = 0;
    read_shape(r, c);
    read_normalisation(r, c);
    irn_json_word(r, "nonlin", activations, &activation);
    irn_json_size(r, "nClasses", 0, IRN_MAX_CLASSES, &c->classes);
    irn_json_bool(r, "actnorm", &c->actnorm);
    if (cJSON_GetObjectItemCaseSensitive(r->json, "multiscale"))
        irn_json_bool(r, "multiscale", &c->multiscale);
    c->activation = (irn_activation)(IRN_ELU + activation);
    c->norm_momentum = 0.9; /* as in the official head; the checkpoint's own behaviour is kept */
    c->sigma_map_before_squeeze = !c->multiscale; /* there a scale squeezes before its blocks */
    read_task(r, c);
}

/* Options that are each within their limits may still not go together. */
static irn_status parse_options(irn_model_config *out, const char *text, const char *name)
{
    irn_json_reader reader;
    IRN_TRY(irn_model_config_init(out, NULL));
    irn_json_open(&reader, text, name, "option");
    read_options(&reader, out);
    IRN_TRY(irn_json_close(&reader));
    if (irn_config_check(out) != IRN_OK)
        return irn_fail(IRN_ERROR_FORMAT, "%s: %s", name, irn_last_error());
    return IRN_OK;
}

static irn_status load_options(irn_model_config *out, const irn_safetensors *weights,
                               const char *config_path)
{
    if (!config_path) {
        const char *name = irn_safetensors_name(weights);
        const char *text = irn_safetensors_metadata(weights, "config");
        if (!text)
            return irn_fail(IRN_ERROR_FORMAT,
                            "%s has no metadata key 'config': give the options in a file", name);
        return parse_options(out, text, name);
    }
    uint8_t *bytes;
    size_t size;
    IRN_TRY(irn_file_read(&bytes, &size, config_path, MAX_CONFIG, false));
    irn_status status = parse_options(out, (const char *)bytes, config_path);
    free(bytes);
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

float irn_official_scale(double sigma, double coefficient, double epsilon, bool large)
{
    double divisor = fmax(1, sigma / coefficient) + (large ? epsilon : 0);
    return (float)(1 / divisor);
}

static irn_status import_scale(irn_model *model, const irn_layer *layer)
{
    float sigma;
    const irn_conv *conv = &layer->conv;
    bool large = conv->kernel_height > 1 || conv->kernel_width > 1;
    IRN_TRY(irn_arena_read(&model->state, model->single.state, &model->state.entries[layer->sigma],
                           &sigma));
    float scale = irn_official_scale((double)sigma, model->config.coefficient,
                                     model->config.sigma_epsilon, large);
    return irn_arena_write(&model->state, model->single.state, &model->state.entries[layer->scale],
                           &scale);
}

/* "stack.<block>", or in multi-scale networks "stack.<scale>.stack.<block of the scale>". */
static void block_prefix(char *out, size_t size, const irn_model *model, size_t index)
{
    size_t stage = 0, within = index;
    for (; within >= model->config.blocks[stage]; stage++)
        within -= model->config.blocks[stage];
    if (model->config.multiscale)
        snprintf(out, size, "stack.%zu.stack.%zu", stage, within);
    else
        snprintf(out, size, "stack.%zu", index);
}

static irn_status import_block(irn_model *model, size_t index, const irn_safetensors *file)
{
    const irn_block *block = &model->blocks[index];
    char stem[48], prefix[96];
    block_prefix(stem, sizeof stem, model, index);
    for (size_t i = 0; i < model->config.layers; i++) {
        const irn_layer *layer = &block->layers[i];
        snprintf(prefix, sizeof prefix, "%s.bottleneck_block.%zu", stem,
                 2 * i + (block->first_activation ? 1 : 0));
        IRN_TRY(import_parameter(model, layer->weight, file, prefix, ".weight_orig"));
        IRN_TRY(import_parameter(model, layer->bias, file, prefix, ".bias"));
        IRN_TRY(import_state(model, layer->u, file, prefix, ".weight_u"));
        IRN_TRY(import_state(model, layer->v, file, prefix, ".weight_v"));
        IRN_TRY(import_state(model, layer->sigma, file, prefix, ".weight_sigma"));
        IRN_TRY(import_scale(model, layer));
    }
    snprintf(prefix, sizeof prefix, "%s.actnorm.", stem);
    if (!model->config.actnorm)
        return IRN_OK;
    IRN_TRY(import_parameter(model, block->log_scale, file, prefix, "_log_scale"));
    return import_parameter(model, block->shift, file, prefix, "_shift");
}

/* One vector of the whole z there, one entry for each part here. */
static irn_status import_prior(irn_model *model, const irn_safetensors *file, const char *name,
                               bool log_std)
{
    float *values;
    IRN_TRY(irn_alloc(&values, irn_model_latent_size(model), sizeof *values));
    irn_status status =
        irn_safetensors_read_float(file, name, irn_model_latent_size(model), values);
    for (size_t s = 0; s < model->scale_count && status == IRN_OK; s++) {
        const irn_scale *scale = &model->scales[s];
        size_t entry = log_std ? scale->log_std : scale->mean;
        status = irn_arena_write(&model->parameters, model->single.parameters,
                                 &model->parameters.entries[entry], values + scale->offset);
    }
    free(values);
    return status;
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
        IRN_TRY(irn_entry_refuse_negative(&model->state, model->single.state,
                                          &model->state.entries[head->running_variance],
                                          "bn1.running_var", file));
    }
    if (model->config.prior == IRN_PRIOR_LEARNED) {
        IRN_TRY(import_prior(model, file, "prior_mu", false));
        IRN_TRY(import_prior(model, file, "prior_logstd", true));
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
