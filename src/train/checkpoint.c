/* Checkpoints: a model file with the optimiser's moments, the step and the options beside it. */
#include "train/trainer.h"
#include "flow/model_file.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const prefixes[2] = {"optimizer.m.", "optimizer.v."};

/* One table serves writing and reading: numbers as they stand in irn_train_options. */
typedef struct option_field {
    const char *name;
    enum { FIELD_SIZE, FIELD_DOUBLE } type;
    size_t offset;
} option_field;

#define SIZE_FIELD(field)                                                                          \
    {                                                                                              \
#field, FIELD_SIZE, offsetof(irn_train_options, field)                                     \
    }
#define DOUBLE_FIELD(field)                                                                        \
    {                                                                                              \
#field, FIELD_DOUBLE, offsetof(irn_train_options, field)                                   \
    }
static const option_field fields[] = {DOUBLE_FIELD(learning_rate),
                                      DOUBLE_FIELD(momentum),
                                      DOUBLE_FIELD(beta1),
                                      DOUBLE_FIELD(beta2),
                                      DOUBLE_FIELD(epsilon),
                                      DOUBLE_FIELD(weight_decay),
                                      DOUBLE_FIELD(milestone_factor),
                                      SIZE_FIELD(power_iterations),
                                      SIZE_FIELD(warmup_steps),
                                      SIZE_FIELD(epochs),
                                      SIZE_FIELD(batch),
                                      SIZE_FIELD(milestone_count)};
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

static void add_options(cJSON *json, const irn_train_options *o)
{
    const char *base = (const char *)o;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        size_t whole = 0;
        double number = 0;
        if (fields[i].type == FIELD_SIZE) {
            memcpy(&whole, base + fields[i].offset, sizeof whole);
            number = (double)whole;
        } else {
            memcpy(&number, base + fields[i].offset, sizeof number);
        }
        cJSON_AddNumberToObject(json, fields[i].name, number);
    }
    cJSON_AddNumberToObject(json, "optimizer", (double)o->optimizer);
    cJSON_AddNumberToObject(json, "shift", (double)o->augmentation.shift);
    cJSON_AddBoolToObject(json, "flip", o->augmentation.flip);
    cJSON *milestones = cJSON_AddArrayToObject(json, "milestones");
    for (size_t i = 0; i < o->milestone_count; i++)
        cJSON_AddItemToArray(milestones, cJSON_CreateNumber(o->milestones[i]));
}

/* 64-bit numbers as text: JSON's are doubles. */
static void add_counter(cJSON *json, const char *key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    cJSON_AddStringToObject(json, key, text);
}

static irn_status add_training(const irn_trainer *trainer, irn_safetensors_writer *writer)
{
    cJSON *json = cJSON_CreateObject();
    add_options(json, &trainer->options);
    add_counter(json, "step", trainer->step);
    add_counter(json, "seed", trainer->options.seed);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    if (!text)
        return irn_fail(IRN_ERROR_MEMORY, "no memory for the checkpoint's options");
    irn_status status = irn_safetensors_add_metadata(writer, "iresnet_training", text);
    free(text);
    return status;
}

irn_status irn_trainer_save(irn_trainer *trainer, const char *path)
{
    irn_safetensors_writer *writer;
    irn_model *model = trainer->model;
    IRN_TRY(irn_safetensors_writer_create(&writer));
    irn_status status = irn_model_add_to_file(model, writer);
    for (size_t i = 0; i < 2 && status == IRN_OK; i++)
        if (trainer->moments[i])
            status =
                irn_arena_add_to_file(&model->parameters, trainer->moments[i], prefixes[i], writer);
    if (status == IRN_OK)
        status = add_training(trainer, writer);
    if (status == IRN_OK)
        status = irn_safetensors_write(writer, path);
    irn_safetensors_writer_free(writer);
    return status;
}

static irn_status bad_field(const char *file, const char *key)
{
    return irn_fail(IRN_ERROR_FORMAT,
                    "%s: training options: '%s' is missing or not a number in range", file, key);
}

static irn_status get_number(const cJSON *json, const char *file, const char *key, double *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble))
        return bad_field(file, key);
    *out = item->valuedouble;
    return IRN_OK;
}

static irn_status get_counter(const cJSON *json, const char *file, const char *key, uint64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);
    char *end = NULL;
    if (!cJSON_IsString(item) || item->valuestring[0] < '0' || item->valuestring[0] > '9')
        return bad_field(file, key);
    *out = strtoull(item->valuestring, &end, 10);
    return *end ? bad_field(file, key) : IRN_OK;
}

static irn_status read_table(irn_train_options *o, const cJSON *json, const char *file)
{
    char *base = (char *)o;
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        double number = 0;
        IRN_TRY(get_number(json, file, fields[i].name, &number));
        if (fields[i].type == FIELD_DOUBLE) {
            memcpy(base + fields[i].offset, &number, sizeof number);
            continue;
        }
        if (!(number >= 0 && number <= 1e12))
            return bad_field(file, fields[i].name);
        size_t whole = (size_t)number;
        memcpy(base + fields[i].offset, &whole, sizeof whole);
    }
    return IRN_OK;
}

static irn_status read_options(irn_train_options *o, const cJSON *json, const char *file)
{
    double optimizer = 0, shift = 0;
    memset(o, 0, sizeof *o);
    o->version = IRN_TRAIN_OPTIONS_VERSION;
    IRN_TRY(read_table(o, json, file));
    IRN_TRY(get_number(json, file, "optimizer", &optimizer));
    IRN_TRY(get_number(json, file, "shift", &shift));
    if (!(optimizer >= IRN_SGD && optimizer <= IRN_ADAMAX))
        return bad_field(file, "optimizer");
    if (!(shift >= 0 && shift <= 4096))
        return bad_field(file, "shift");
    o->optimizer = (irn_optimizer)(int)optimizer;
    o->augmentation.shift = (unsigned)shift;
    o->augmentation.flip = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "flip"));
    const cJSON *milestones = cJSON_GetObjectItemCaseSensitive(json, "milestones");
    if (o->milestone_count > IRN_MAX_MILESTONES || !cJSON_IsArray(milestones) ||
        (size_t)cJSON_GetArraySize(milestones) != o->milestone_count)
        return bad_field(file, "milestones");
    for (size_t i = 0; i < o->milestone_count; i++) {
        const cJSON *item = cJSON_GetArrayItem(milestones, (int)i);
        if (!cJSON_IsNumber(item))
            return bad_field(file, "milestones");
        o->milestones[i] = item->valuedouble;
    }
    return IRN_OK;
}

static irn_status read_training(irn_train_options *options, uint64_t *step,
                                const irn_safetensors *file)
{
    const char *name = irn_safetensors_name(file);
    const char *text = irn_safetensors_metadata(file, "iresnet_training");
    if (!text)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s is no checkpoint: its metadata has no key 'iresnet_training'", name);
    cJSON *json = cJSON_Parse(text);
    if (!json)
        return irn_fail(IRN_ERROR_FORMAT, "%s: the training options are not JSON", name);
    irn_status status = read_options(options, json, name);
    if (status == IRN_OK)
        status = get_counter(json, name, "step", step);
    if (status == IRN_OK)
        status = get_counter(json, name, "seed", &options->seed);
    cJSON_Delete(json);
    return status;
}

/* The second moments are means of squares, or of Adamax largest magnitudes: of a negative one the
 * update would make NaN. */
static irn_status check_second_moments(const irn_trainer *trainer, const irn_safetensors *file)
{
    const irn_arena *arena = &trainer->model->parameters;
    irn_status status = IRN_OK;
    for (size_t i = 0; i < arena->count && status == IRN_OK; i++) {
        const irn_entry *entry = &arena->entries[i];
        size_t count = irn_entry_count(entry);
        float *values;
        IRN_TRY(irn_alloc(&values, count, sizeof *values));
        status = irn_arena_read(arena, trainer->moments[1], entry, values);
        for (size_t k = 0; k < count && status == IRN_OK; k++)
            if (values[k] < 0)
                status = irn_fail(
                    IRN_ERROR_FORMAT, "%s: %s%s is %g at index %zu; it must be 0 or more",
                    irn_safetensors_name(file), prefixes[1], entry->name, (double)values[k], k);
        free(values);
    }
    return status;
}

static irn_status load(irn_trainer **out, irn_model **model, irn_context *context,
                       const irn_safetensors *file)
{
    irn_train_options options;
    uint64_t step;
    IRN_TRY(read_training(&options, &step, file));
    IRN_TRY(irn_model_read_from_file(model, context, file));
    IRN_TRY(irn_trainer_create(out, *model, &options));
    (*out)->step = step;
    for (size_t i = 0; i < 2; i++)
        if ((*out)->moments[i])
            IRN_TRY(irn_arena_read_from_file(&(*model)->parameters, (*out)->moments[i], prefixes[i],
                                             file));
    return (*out)->moments[1] ? check_second_moments(*out, file) : IRN_OK;
}

irn_status irn_trainer_load(irn_trainer **out, irn_model **model, irn_context *context,
                            const char *path)
{
    irn_safetensors *file;
    *out = NULL;
    *model = NULL;
    IRN_TRY(irn_safetensors_open(&file, path));
    irn_status status = load(out, model, context, file);
    irn_safetensors_free(file);
    if (status != IRN_OK) {
        irn_trainer_free(*out);
        irn_model_free(*model);
        *out = NULL;
        *model = NULL;
    }
    return status;
}
