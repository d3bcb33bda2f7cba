#include "flow/model_file.h"
#include "flow/config_json.h"
#include "io/sha256.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file with such values could not be read back, and would replace one that can. */
static irn_status check_finite(const float *values, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return irn_fail(IRN_ERROR_NUMERIC, "%s is %g at index %zu: not saved", name,
                            (double)values[i], i);
    return IRN_OK;
}

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
            status = check_finite(array.data, irn_entry_count(entry), name);
        if (status == IRN_OK)
            status = irn_safetensors_add(writer, name, &array);
        irn_array_free(&array);
        if (status != IRN_OK)
            return status;
    }
    return IRN_OK;
}

/* The shape in the file must be the entry's own: as many values in another order are another layer.
 */
static irn_status check_shape(const irn_entry *entry, const char *name, const irn_safetensors *file)
{
    irn_array view;
    size_t index = irn_safetensors_find(file, name);
    if (index == SIZE_MAX)
        return irn_fail(IRN_ERROR_FORMAT, "%s has no tensor '%s'", irn_safetensors_name(file),
                        name);
    IRN_TRY(irn_safetensors_view(file, index, &view));
    bool same = view.rank == entry->rank;
    for (size_t i = 0; same && i < view.rank; i++)
        same = view.shape[i] == entry->shape[i];
    if (!same)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s: tensor '%s' does not have the shape that the configuration gives it: "
                        "%zu numbers in %zu dimensions",
                        irn_safetensors_name(file), name, irn_entry_count(entry), entry->rank);
    return IRN_OK;
}

irn_status irn_entry_read_from_file(const irn_arena *arena, cl_mem buffer, const irn_entry *entry,
                                    const char *name, const irn_safetensors *file)
{
    float *values;
    IRN_TRY(check_shape(entry, name, file));
    IRN_TRY(irn_alloc(&values, irn_entry_count(entry), sizeof *values));
    irn_status status = irn_safetensors_read_float(file, name, irn_entry_count(entry), values);
    if (status == IRN_OK)
        status = irn_arena_write(arena, buffer, entry, values);
    free(values);
    return status;
}

irn_status irn_entry_refuse_negative(const irn_arena *arena, cl_mem buffer, const irn_entry *entry,
                                     const char *name, const irn_safetensors *file)
{
    size_t count = irn_entry_count(entry);
    float *values;
    IRN_TRY(irn_alloc(&values, count, sizeof *values));
    irn_status status = irn_arena_read(arena, buffer, entry, values);
    for (size_t i = 0; i < count && status == IRN_OK; i++)
        if (values[i] < 0)
            status = irn_fail(IRN_ERROR_FORMAT, "%s: %s is %g at index %zu; it must be 0 or more",
                              irn_safetensors_name(file), name, (double)values[i], i);
    free(values);
    return status;
}

irn_status irn_arena_read_from_file(const irn_arena *arena, cl_mem buffer, const char *prefix,
                                    const irn_safetensors *file)
{
    for (size_t i = 0; i < arena->count; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s%s", prefix, arena->entries[i].name);
        IRN_TRY(irn_entry_read_from_file(arena, buffer, &arena->entries[i], name, file));
    }
    return IRN_OK;
}

/* Values in both arenas, without the padding, which differs between devices. */
static size_t count_all(const irn_model *model)
{
    size_t count = 0;
    for (size_t i = 0; i < model->parameters.count; i++)
        count += irn_entry_count(&model->parameters.entries[i]);
    for (size_t i = 0; i < model->state.count; i++)
        count += irn_entry_count(&model->state.entries[i]);
    return count;
}

static irn_status read_all(const irn_model *model, float *values)
{
    const irn_arena *arenas[2] = {&model->parameters, &model->state};
    cl_mem buffers[2] = {model->single.parameters, model->single.state};
    for (size_t a = 0; a < 2; a++)
        for (size_t i = 0; i < arenas[a]->count; i++) {
            const irn_entry *entry = &arenas[a]->entries[i];
            IRN_TRY(irn_arena_read(arenas[a], buffers[a], entry, values));
            values += irn_entry_count(entry);
        }
    return IRN_OK;
}

/* Certified bounds belong to exact weights in an exact architecture: the file keeps a hash of the
 * configuration's text, bounds included, and of the weights, and a reader that finds another hash
 * forgets the bounds. Of the text as it stands in the file, so that fields which are added to
 * configurations later change no hash of an older file. */
static const char bounds_key[] = "iresnet_bounds";

static irn_status bounds_hash(char hex[IRN_SHA256_HEX], const irn_model *model, const char *json)
{
    float *values;
    size_t text = strlen(json) / sizeof *values + 1, count = text + count_all(model);
    IRN_TRY(irn_alloc(&values, count, sizeof *values));
    memcpy(values, json, strlen(json));
    irn_status status = read_all(model, values + text);
    if (status == IRN_OK)
        irn_sha256_bytes(hex, values, count * sizeof *values);
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
        status = bounds_hash(hash, model, json);
    if (status == IRN_OK)
        status = irn_safetensors_add_metadata(writer, bounds_key, hash);
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

/* Whether the bounds in the file are of the model; if not, the context's log is told. */
static irn_status check_bounds(const irn_model *model, const irn_safetensors *file,
                               const char *json, bool *good)
{
    const char *recorded = irn_safetensors_metadata(file, bounds_key);
    const char *name = irn_safetensors_name(file);
    char hash[IRN_SHA256_HEX];
    IRN_TRY(bounds_hash(hash, model, json));
    *good = recorded && strcmp(recorded, hash) == 0;
    if (!recorded)
        irn_log(model->context,
                "%s: certified by an older version, so its bounds are not used; `iresnet certify "
                "MODEL --out FILE` stores new ones",
                name);
    else if (!*good)
        irn_log(
            model->context,
            "%s: its bounds were not computed for this configuration and these weights, and are "
            "not used; `iresnet certify MODEL --out FILE` stores new ones",
            name);
    return IRN_OK;
}

static void set_bounds(irn_model *model, const double *lipschitz)
{
    for (size_t b = 0; b < model->block_count; b++)
        model->blocks[b].lipschitz_upper = lipschitz[b];
}

static irn_status read_bounds(irn_model *model, const irn_safetensors *file, const char *json)
{
    double *lipschitz;
    bool any = false, good = false;
    IRN_TRY(irn_alloc(&lipschitz, model->block_count, sizeof *lipschitz));
    irn_status status = irn_lipschitz_from_json(lipschitz, model->block_count, json);
    for (size_t b = 0; status == IRN_OK && b < model->block_count; b++)
        any = any || isfinite(lipschitz[b]);
    if (any)
        status = check_bounds(model, file, json, &good);
    if (good)
        set_bounds(model, lipschitz);
    free(lipschitz);
    return status;
}

static irn_status fill_from_file(irn_model *model, const irn_safetensors *file)
{
    float ready = 0;
    IRN_TRY(irn_arena_read_from_file(&model->parameters, model->single.parameters, "", file));
    IRN_TRY(irn_arena_read_from_file(&model->state, model->single.state, "", file));
    if (model->config.classes) {
        const irn_entry *variance = &model->state.entries[model->head.running_variance];
        IRN_TRY(irn_entry_refuse_negative(&model->state, model->single.state, variance,
                                          variance->name, file));
    }
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
