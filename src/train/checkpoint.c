/* Checkpoints: a model file with the optimiser's moments, the step and the options beside it. */
#include "train/trainer.h"
#include "flow/model_file.h"
#include "io/json_reader.h"

#include <float.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const prefixes[2] = {"optimizer.m.", "optimizer.v."};
static const char average_prefix[] = "average.";

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
/* Since there are densities; the first checkpoints do not have them. */
static const option_field density_fields[] = {DOUBLE_FIELD(density_weight), DOUBLE_FIELD(clip_norm),
                                              DOUBLE_FIELD(average_decay),  SIZE_FIELD(terms),
                                              SIZE_FIELD(probes),           SIZE_FIELD(accumulate)};
/* Since then; each may be missing. */
static const option_field later_fields[] = {DOUBLE_FIELD(power_tolerance),
                                            DOUBLE_FIELD(roulette_parameter)};
enum { LATER_FIELD_COUNT = sizeof later_fields / sizeof *later_fields };
enum { DENSITY_FIELD_COUNT = sizeof density_fields / sizeof *density_fields };
enum { FIELD_COUNT = sizeof fields / sizeof *fields };

static void add_table(cJSON *json, const irn_train_options *o, const option_field *table,
                      size_t count)
{
    const char *base = (const char *)o;
    for (size_t i = 0; i < count; i++) {
        size_t whole = 0;
        double number = 0;
        if (table[i].type == FIELD_SIZE) {
            memcpy(&whole, base + table[i].offset, sizeof whole);
            number = (double)whole;
        } else {
            memcpy(&number, base + table[i].offset, sizeof number);
        }
        cJSON_AddNumberToObject(json, table[i].name, number);
    }
}

static void add_options(cJSON *json, const irn_train_options *o)
{
    add_table(json, o, fields, FIELD_COUNT);
    add_table(json, o, density_fields, DENSITY_FIELD_COUNT);
    add_table(json, o, later_fields, LATER_FIELD_COUNT);
    cJSON_AddNumberToObject(json, "task", (double)o->task);
    cJSON_AddNumberToObject(json, "logdet", (double)o->logdet);
    cJSON_AddNumberToObject(json, "roulette", (double)o->roulette);
    cJSON_AddBoolToObject(json, "gaussian_probes", o->gaussian_probes);
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
    if (status == IRN_OK && trainer->average)
        status =
            irn_arena_add_to_file(&model->parameters, trainer->average, average_prefix, writer);
    if (status == IRN_OK)
        status = add_training(trainer, writer);
    if (status == IRN_OK)
        status = irn_safetensors_write(writer, path);
    irn_safetensors_writer_free(writer);
    return status;
}

/* No less than irn_trainer_create() allows of any. */
static const size_t largest_size = 1000000000;

static void read_counter(irn_json_reader *r, const char *key, uint64_t *out)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(r->json, key));
    char *end = NULL;
    uint64_t value = text && text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (end && !*end)
        *out = value;
    else
        irn_json_refuse(r, key, "a whole number in quotes");
}

static void read_table(irn_json_reader *r, irn_train_options *o, const option_field *table,
                       size_t count)
{
    char *base = (char *)o;
    for (size_t i = 0; i < count; i++) {
        size_t whole = 0;
        double number = 0;
        if (table[i].type == FIELD_SIZE) {
            irn_json_size(r, table[i].name, 0, largest_size, &whole);
            memcpy(base + table[i].offset, &whole, sizeof whole);
        } else {
            irn_json_number(r, table[i].name, -DBL_MAX, DBL_MAX, &number);
            memcpy(base + table[i].offset, &number, sizeof number);
        }
    }
}

static void read_density_options(irn_json_reader *r, irn_train_options *o)
{
    size_t task = 0, logdet = 0;
    read_table(r, o, density_fields, DENSITY_FIELD_COUNT);
    irn_json_size(r, "task", IRN_CLASSIFY, IRN_HYBRID, &task);
    irn_json_size(r, "logdet", IRN_GRADIENT_SERIES, IRN_GRADIENT_EXACT, &logdet);
    irn_json_bool(r, "gaussian_probes", &o->gaussian_probes);
    o->task = (irn_task)task;
    o->logdet = (irn_logdet_gradient)logdet;
}

/* As many as milestone_count says. */
static void read_milestones(irn_json_reader *r, irn_train_options *o)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(r->json, "milestones"), *item = NULL;
    bool good = cJSON_IsArray(list) && o->milestone_count <= IRN_MAX_MILESTONES &&
                (size_t)cJSON_GetArraySize(list) == o->milestone_count;
    size_t i = 0;
    if (good)
        cJSON_ArrayForEach(item, list)
        {
            good = good && cJSON_IsNumber(item);
            o->milestones[i++] = item->valuedouble;
        }
    if (!good)
        irn_json_refuse(r, "milestones", "a list of as many numbers as 'milestone_count' says");
}

static void read_options(irn_json_reader *r, irn_train_options *o)
{
    size_t optimizer = 0, shift = 0, roulette = IRN_ROULETTE_GEOMETRIC;
    if (irn_train_options_init(o, NULL) != IRN_OK)
        return;
    read_table(r, o, fields, FIELD_COUNT);
    if (cJSON_HasObjectItem(r->json, "task"))
        read_density_options(r, o);
    for (size_t i = 0; i < LATER_FIELD_COUNT; i++)
        if (cJSON_HasObjectItem(r->json, later_fields[i].name))
            read_table(r, o, &later_fields[i], 1);
    if (cJSON_HasObjectItem(r->json, "roulette"))
        irn_json_size(r, "roulette", IRN_ROULETTE_GEOMETRIC, IRN_ROULETTE_POISSON, &roulette);
    read_milestones(r, o);
    irn_json_size(r, "optimizer", IRN_SGD, IRN_ADAMAX, &optimizer);
    irn_json_size(r, "shift", 0, 4096, &shift);
    irn_json_bool(r, "flip", &o->augmentation.flip);
    o->optimizer = (irn_optimizer)optimizer;
    o->roulette = (irn_roulette_kind)roulette;
    o->augmentation.shift = (unsigned)shift;
}

static irn_status read_training(irn_train_options *options, uint64_t *step,
                                const irn_safetensors *file)
{
    const char *name = irn_safetensors_name(file);
    const char *text = irn_safetensors_metadata(file, "iresnet_training");
    irn_json_reader reader;
    if (!text)
        return irn_fail(IRN_ERROR_FORMAT,
                        "%s is no checkpoint: its metadata has no key 'iresnet_training'", name);
    irn_json_open(&reader, text, name, "training option");
    read_options(&reader, options);
    read_counter(&reader, "step", step);
    read_counter(&reader, "seed", &options->seed);
    return irn_json_close(&reader);
}

/* The second moments are means of squares, or of Adamax largest magnitudes: of a negative one the
 * update would make NaN. */
static irn_status check_second_moments(const irn_trainer *trainer, const irn_safetensors *file)
{
    const irn_arena *arena = &trainer->model->parameters;
    for (size_t i = 0; i < arena->count; i++) {
        const irn_entry *entry = &arena->entries[i];
        char name[96];
        snprintf(name, sizeof name, "%s%s", prefixes[1], entry->name);
        IRN_TRY(irn_entry_refuse_negative(arena, trainer->moments[1], entry, name, file));
    }
    return IRN_OK;
}

static irn_status load(irn_trainer **out, irn_model **model, irn_context *context,
                       const irn_safetensors *file)
{
    irn_train_options options;
    uint64_t step = 0;
    IRN_TRY(read_training(&options, &step, file));
    IRN_TRY(irn_model_read_from_file(model, context, file));
    IRN_TRY(irn_trainer_create(out, *model, &options));
    (*out)->step = step;
    for (size_t i = 0; i < 2; i++)
        if ((*out)->moments[i])
            IRN_TRY(irn_arena_read_from_file(&(*model)->parameters, (*out)->moments[i], prefixes[i],
                                             file));
    if ((*out)->average)
        IRN_TRY(
            irn_arena_read_from_file(&(*model)->parameters, (*out)->average, average_prefix, file));
    IRN_TRY(irn_finish(context)); /* all has arrived */
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
