#include "golden.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *golden_path(const char *name)
{
    static char path[1024];
    const char *folder = getenv("IRN_TEST_DATA");
    snprintf(path, sizeof path, "%s/golden/%s", folder ? folder : "tests", name);
    return path;
}

irn_safetensors *golden_open(const char *name)
{
    irn_safetensors *file;
    testing_ok(irn_safetensors_open(&file, golden_path(name)));
    return file;
}

static double *read_named(const irn_safetensors *file, size_t *count, const char *name)
{
    size_t index = irn_safetensors_find(file, name);
    irn_array view;
    ck_assert_msg(index != SIZE_MAX, "no %s in %s", name, irn_safetensors_name(file));
    testing_ok(irn_safetensors_view(file, index, &view));
    *count = irn_array_count(&view);
    double *values = host_doubles(*count);
    testing_ok(irn_safetensors_read_double(file, name, *count, values));
    return values;
}

double *golden_read(const irn_safetensors *file, size_t *count, const char *name, ...)
{
    char text[128];
    size_t unused;
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(text, sizeof text, name, arguments);
    va_end(arguments);
    return read_named(file, count ? count : &unused, text);
}

double golden_number(const irn_safetensors *file, const char *name, ...)
{
    char text[128];
    size_t count;
    va_list arguments;
    va_start(arguments, name);
    vsnprintf(text, sizeof text, name, arguments);
    va_end(arguments);
    double *values = read_named(file, &count, text);
    ck_assert_uint_eq(count, 1);
    return values[0];
}

int *golden_labels(const irn_safetensors *file, size_t *count)
{
    irn_array view;
    testing_ok(irn_safetensors_view(file, irn_safetensors_find(file, "input.labels"), &view));
    ck_assert_int_eq(view.type, IRN_INT64);
    *count = irn_array_count(&view);
    int *labels = (int *)host_floats(*count); /* of the same size */
    for (size_t i = 0; i < *count; i++) {
        int64_t label;
        memcpy(&label, (const char *)view.data + i * sizeof label, sizeof label);
        labels[i] = (int)label;
    }
    return labels;
}

static size_t add(golden_entry *out, size_t count, bool state, size_t entry, const char *prefix,
                  const char *suffix)
{
    ck_assert_uint_lt(count, GOLDEN_MAX_ENTRIES);
    snprintf(out[count].name, sizeof out[count].name, "%s%s", prefix, suffix);
    out[count].state = state;
    out[count].entry = entry;
    return count + 1;
}

/* "stack.BLOCK", or "stack.SCALE.stack.BLOCK". */
static void block_stem(char *out, size_t size, const irn_model *model, size_t index)
{
    size_t scale = 0, within = index;
    while (within >= model->config.blocks[scale])
        within -= model->config.blocks[scale++];
    if (model->config.multiscale)
        snprintf(out, size, "stack.%zu.stack.%zu", scale, within);
    else
        snprintf(out, size, "stack.%zu", index);
}

size_t golden_entries(const irn_model *model, golden_entry out[GOLDEN_MAX_ENTRIES])
{
    const irn_head *head = &model->head;
    char stem[32], prefix[64];
    size_t n = 0;
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        block_stem(stem, sizeof stem, model, b);
        for (size_t i = 0; i < model->config.layers; i++) {
            const irn_layer *layer = &block->layers[i];
            snprintf(prefix, sizeof prefix, "%s.bottleneck_block.%zu.", stem,
                     2 * i + (block->first_activation ? 1 : 0));
            n = add(out, n, false, layer->weight, prefix, "weight_orig");
            n = add(out, n, false, layer->bias, prefix, "bias");
            n = add(out, n, true, layer->u, prefix, "weight_u");
            n = add(out, n, true, layer->v, prefix, "weight_v");
        }
        snprintf(prefix, sizeof prefix, "%s.actnorm.", stem);
        if (model->config.actnorm) {
            n = add(out, n, false, block->log_scale, prefix, "_log_scale");
            n = add(out, n, false, block->shift, prefix, "_shift");
        }
    }
    if (!model->config.classes)
        return n;
    n = add(out, n, false, head->gamma, "bn1.", "weight");
    n = add(out, n, false, head->beta, "bn1.", "bias");
    n = add(out, n, false, head->weight, "logits.", "weight");
    n = add(out, n, false, head->bias, "logits.", "bias");
    n = add(out, n, true, head->running_mean, "bn1.", "running_mean");
    return add(out, n, true, head->running_variance, "bn1.", "running_var");
}

double *golden_entry_values(const irn_model *model, const golden_entry *entry, cl_mem buffer,
                            size_t *count)
{
    const irn_arena *arena = entry->state ? &model->state : &model->parameters;
    *count = irn_entry_count(&arena->entries[entry->entry]);
    float *values = host_floats(*count);
    testing_ok(irn_arena_read(arena, buffer, &arena->entries[entry->entry], values));
    return host_widen(values, *count);
}

/* ---- a block as a model of one block ---- */

double golden_metadata_number(const irn_safetensors *file, const char *key)
{
    const char *text = irn_safetensors_metadata(file, key);
    ck_assert_msg(text != NULL, "no metadata %s", key);
    return strtod(text, NULL);
}

static void read_kernels(const irn_safetensors *file, irn_model_config *config)
{
    cJSON *kernels = cJSON_Parse(irn_safetensors_metadata(file, "kernels"));
    config->layers = (size_t)cJSON_GetArraySize(kernels);
    for (size_t i = 0; i < config->layers; i++)
        config->kernels[i] = (size_t)cJSON_GetArrayItem(kernels, (int)i)->valuedouble;
    cJSON_Delete(kernels);
}

static irn_activation read_activation(const irn_safetensors *file)
{
    const char *const names[] = {"identity", "elu", "relu", "tanh", "softplus"};
    const char *name = irn_safetensors_metadata(file, "activation");
    for (int i = 0; i < 5; i++)
        if (strcmp(name, names[i]) == 0)
            return (irn_activation)i;
    ck_abort_msg("activation %s", name);
}

static irn_model_config read_config(const irn_safetensors *file)
{
    irn_model_config config;
    size_t count;
    testing_ok(irn_model_config_init(&config, NULL));
    read_kernels(file, &config);
    config.activation = read_activation(file);
    config.coefficient = golden_metadata_number(file, "coeff");
    config.height = (size_t)golden_metadata_number(file, "height");
    config.width = (size_t)golden_metadata_number(file, "width");
    config.actnorm = irn_safetensors_find(file, "actnorm.shift") != SIZE_MAX;
    golden_read(file, &count, "conv0.bias");
    config.widths[0] = count;
    golden_read(file, &count, "conv%zu.bias", config.layers - 1);
    config.channels = count;
    return config;
}

static void write_entry(const irn_arena *arena, cl_mem buffer, size_t entry, const double *values,
                        size_t count)
{
    ck_assert_uint_eq(count, irn_entry_count(&arena->entries[entry]));
    testing_ok(irn_arena_write(arena, buffer, &arena->entries[entry], host_narrow(values, count)));
}

static void write_parameter(const irn_model *model, size_t entry, const irn_safetensors *file,
                            const char *name)
{
    size_t count;
    double *values = golden_read(file, &count, "%s", name);
    write_entry(&model->parameters, model->single.parameters, entry, values, count);
}

static void write_layer(const irn_model *model, const irn_safetensors *file, size_t i)
{
    const irn_layer *layer = &model->blocks[0].layers[i];
    size_t count;
    double *values = golden_read(file, &count, "conv%zu.weight", i);
    write_entry(&model->parameters, model->single.parameters, layer->weight, values, count);
    values = golden_read(file, &count, "conv%zu.bias", i);
    write_entry(&model->parameters, model->single.parameters, layer->bias, values, count);
    values = golden_read(file, &count, "conv%zu.u0", i);
    write_entry(&model->state, model->single.state, layer->u, values, count);
    values = golden_read(file, &count, "conv%zu.v0", i);
    write_entry(&model->state, model->single.state, layer->v, values, count);
}

irn_model *golden_block(irn_context *context, const irn_safetensors *file)
{
    irn_model *model;
    irn_model_config config = read_config(file);
    testing_ok(irn_model_create_empty(&model, context, &config));
    irn_block *block = &model->blocks[0];
    block->first_activation =
        strcmp(irn_safetensors_metadata(file, "first_activation"), "true") == 0;
    for (size_t i = 0; i < config.layers; i++)
        write_layer(model, file, i);
    if (config.actnorm) {
        write_parameter(model, block->log_scale, file, "actnorm.log_scale");
        write_parameter(model, block->shift, file, "actnorm.shift");
        testing_ok(irn_model_initialised(model));
    }
    return model;
}
