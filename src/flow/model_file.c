#include "flow/model_file.h"
#include "flow/config_json.h"
#include "io/sha256.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

irn_status irn_arena_add_to_file(const irn_arena *arena, cl_mem buffer, const char *prefix,
                                 irn_safetensors_writer *writer)
{
    for (size_t i = 0; i < arena->count; i++) {
        const irn_entry *entry = &arena->entries[i];
        irn_array array;
        char name[96];
        snprintf(name, sizeof name, "%s%s", prefix, entry->name);
        IRN_TRY(irn_array_create(&array, IRN_FLOAT32, entry->rank, entry->shape));
        irn_status status = irn_arena_read(arena, buffer, entry, array.data);
        if (status == IRN_OK)
            status = irn_safetensors_add(writer, name, &array);
        irn_array_free(&array);
        if (status != IRN_OK)
            return status;
    }
    return IRN_OK;
}

irn_status irn_arena_read_from_file(const irn_arena *arena, cl_mem buffer, const char *prefix,
                                    const irn_safetensors *file)
{
    for (size_t i = 0; i < arena->count; i++) {
        const irn_entry *entry = &arena->entries[i];
        float *values;
        char name[96];
        snprintf(name, sizeof name, "%s%s", prefix, entry->name);
        IRN_TRY(irn_alloc(&values, irn_entry_count(entry), sizeof *values));
        irn_status status = irn_safetensors_read_float(file, name, irn_entry_count(entry), values);
        if (status == IRN_OK)
            status = irn_arena_write(arena, buffer, entry, values);
        free(values);
        if (status != IRN_OK)
            return status;
    }
    return IRN_OK;
}

/* Certified bounds belong to exact weights: the file keeps them beside a hash of all that the
 * function of the network depends on, and a reader that finds another hash forgets them. */
static irn_status weights_hash(char hex[IRN_SHA256_HEX], const irn_model *model)
{
    size_t count = model->parameters.size + model->state.size;
    float *values;
    IRN_TRY(irn_alloc(&values, count, sizeof *values));
    size_t used = 0;
    irn_status status = IRN_OK;
    const irn_arena *arenas[2] = {&model->parameters, &model->state};
    cl_mem buffers[2] = {model->single.parameters, model->single.state};
    for (size_t a = 0; a < 2; a++)
        for (size_t i = 0; i < arenas[a]->count && status == IRN_OK; i++) {
            const irn_entry *entry = &arenas[a]->entries[i];
            status = irn_arena_read(arenas[a], buffers[a], entry, values + used);
            used += irn_entry_count(entry);
        }
    if (status == IRN_OK)
        irn_sha256_bytes(hex, values, used * sizeof *values);
    free(values);
    return status;
}

static irn_status add_config(irn_model *model, irn_safetensors_writer *writer)
{
    double *lipschitz;
    char *json = NULL, hash[IRN_SHA256_HEX];
    IRN_TRY(irn_alloc(&lipschitz, model->block_count, sizeof *lipschitz));
    for (size_t b = 0; b < model->block_count; b++)
        lipschitz[b] = model->blocks[b].lipschitz_upper;
    irn_status status = irn_config_to_json(&json, &model->config, lipschitz, model->block_count);
    if (status == IRN_OK)
        status = irn_safetensors_add_metadata(writer, "iresnet", json);
    if (status == IRN_OK)
        status = weights_hash(hash, model);
    if (status == IRN_OK)
        status = irn_safetensors_add_metadata(writer, "iresnet_certified_weights", hash);
    free(json);
    free(lipschitz);
    return status;
}

irn_status irn_model_add_to_file(irn_model *model, irn_safetensors_writer *writer)
{
    IRN_TRY(irn_arena_add_to_file(&model->parameters, model->single.parameters, "", writer));
    IRN_TRY(irn_arena_add_to_file(&model->state, model->single.state, "", writer));
    return add_config(model, writer);
}

irn_status irn_model_save(irn_model *model, const char *path)
{
    irn_safetensors_writer *writer;
    IRN_TRY(irn_safetensors_writer_create(&writer));
    irn_status status = irn_model_add_to_file(model, writer);
    if (status == IRN_OK)
        status = irn_safetensors_write(writer, path);
    irn_safetensors_writer_free(writer);
    return status;
}

static irn_status read_bounds(irn_model *model, const irn_safetensors *file, const char *json)
{
    const char *recorded = irn_safetensors_metadata(file, "iresnet_certified_weights");
    char hash[IRN_SHA256_HEX];
    double *lipschitz;
    IRN_TRY(weights_hash(hash, model));
    if (!recorded || strcmp(recorded, hash) != 0)
        return IRN_OK;
    IRN_TRY(irn_alloc(&lipschitz, model->block_count, sizeof *lipschitz));
    irn_status status = irn_lipschitz_from_json(lipschitz, model->block_count, json);
    for (size_t b = 0; status == IRN_OK && b < model->block_count; b++)
        model->blocks[b].lipschitz_upper = lipschitz[b];
    free(lipschitz);
    return status;
}

static irn_status fill_from_file(irn_model *model, const irn_safetensors *file)
{
    float ready = 0;
    IRN_TRY(irn_arena_read_from_file(&model->parameters, model->single.parameters, "", file));
    IRN_TRY(irn_arena_read_from_file(&model->state, model->single.state, "", file));
    IRN_TRY(irn_arena_read(&model->state, model->single.state,
                           &model->state.entries[model->initialised], &ready));
    model->actnorm_ready = !model->config.actnorm || ready > 0;
    return IRN_OK;
}

irn_status irn_model_read_from_file(irn_model **out, irn_context *context,
                                    const irn_safetensors *file)
{
    irn_model_config config;
    const char *name = irn_safetensors_name(file);
    const char *json = irn_safetensors_metadata(file, "iresnet");
    *out = NULL;
    if (!json)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s is no model of this program: its metadata has no key 'iresnet' "
                        "(weights of the official code: see import)",
                        name);
    IRN_TRY(irn_config_from_json(&config, json, name));
    irn_status status = irn_model_create_empty(out, context, &config);
    if (status == IRN_ERROR_ARGUMENT)
        status = irn_fail(IRN_ERROR_FORMAT, "%s: configuration: %s", name, irn_last_error());
    if (status != IRN_OK)
        return status;
    status = fill_from_file(*out, file);
    if (status == IRN_OK)
        status = read_bounds(*out, file, json);
    if (status != IRN_OK) {
        irn_model_free(*out);
        *out = NULL;
    }
    return status;
}

irn_status irn_model_load(irn_model **out, irn_context *context, const char *path)
{
    irn_safetensors *file;
    *out = NULL;
    IRN_TRY(irn_safetensors_open(&file, path));
    irn_status status = irn_model_read_from_file(out, context, file);
    irn_safetensors_free(file);
    return status;
}

irn_status irn_file_is_model(const char *path, bool *is_model)
{
    irn_safetensors *file;
    IRN_TRY(irn_safetensors_open(&file, path));
    *is_model = irn_safetensors_metadata(file, "iresnet") != NULL;
    irn_safetensors_free(file);
    return IRN_OK;
}
