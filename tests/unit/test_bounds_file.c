/* Certified bounds in model files: they come back with exactly what they were computed for, and
 * otherwise not at all, which the context's log tells. */
#include "devices.h"

#include "flow/config_json.h"
#include "flow/model_file.h"

#include <cjson/cJSON.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENTENCE = 512 };

static void record(const char *message, void *payload)
{
    snprintf(payload, SENTENCE, "%s", message);
}

/* Of two blocks, with bounds. */
static irn_model *new_model(irn_context *context)
{
    irn_model_config config = devices_small_config(2, 4, 4);
    irn_model *model;
    config.blocks[0] = 2;
    testing_ok(irn_model_create(&model, context, &config));
    irn_model_set_lipschitz(model, 0, 0.5);
    irn_model_set_lipschitz(model, 1, 0.625);
    return model;
}

/* Loads a file that has these bounds and logs these words; NULL: no word, and otherwise no bound.
 */
static void check_load(irn_context *context, const char *path, const char *words)
{
    irn_model *model;
    char said[SENTENCE] = "";
    context->log = record;
    context->log_payload = said;
    testing_ok(irn_model_load(&model, context, path));
    context->log = NULL;
    for (size_t b = 0; b < 2; b++) {
        double upper = model->blocks[b].lipschitz_upper;
        ck_assert_msg(words ? isnan(upper) : upper == 0.5 + 0.125 * (double)b, "bound %zu is %g", b,
                      upper);
    }
    ck_assert_msg(words ? strstr(said, words) != NULL : !*said, "the log has '%s'", said);
    irn_model_free(model);
}

/* Saves the model with a part of the file changed. */
static void check_edited(irn_model *model, const void *from, const void *to, size_t length)
{
    static unsigned char bytes[1 << 20];
    const char *path = testing_path("edited.safetensors");
    testing_ok(irn_model_save(model, path));
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(bytes, 1, sizeof bytes, file), at = 0;
    fclose(file);
    ck_assert(size < sizeof bytes);
    while (at + length <= size && memcmp(bytes + at, from, length) != 0)
        at++;
    ck_assert_msg(at + length <= size, "the file has no such bytes");
    memcpy(bytes + at, to, length);
    check_load(model->context, testing_write("edited.safetensors", bytes, size),
               "edited.safetensors: its bounds were not computed for");
}

START_TEST(bounds_are_kept)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context);
    testing_ok(irn_model_save(model, testing_path("model.safetensors")));
    check_load(context, testing_path("model.safetensors"), NULL);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

START_TEST(edited_bounds_are_not)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context);
    const irn_arena *arena = &model->parameters;
    const irn_entry *entry = &arena->entries[model->blocks[0].layers[0].weight];
    float *weights = host_floats(irn_entry_count(entry)), from[8], to[8];
    testing_ok(irn_arena_read(arena, model->single.parameters, entry, weights));
    memcpy(from, weights, sizeof from);
    memcpy(to, weights, sizeof to);
    to[3] = nextafterf(to[3], 1);
    check_edited(model, "[0.5,0.625]", "[0.0,0.000]", 11);
    check_edited(model, "coefficient\\\":0.7", "coefficient\\\":0.8", 17);
    check_edited(model, from, to, sizeof from);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* Nothing is said of a model that never had bounds. */
START_TEST(no_bounds)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context), *again;
    char said[SENTENCE] = "";
    irn_model_changed(model);
    testing_ok(irn_model_save(model, testing_path("model.safetensors")));
    context->log = record;
    context->log_payload = said;
    testing_ok(irn_model_load(&again, context, testing_path("model.safetensors")));
    context->log = NULL;
    ck_assert_str_eq(said, "");
    ck_assert(isnan(again->blocks[0].lipschitz_upper));
    irn_model_free(again);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* As the first version wrote files: without the fields of densities, and under another key a hash
 * in which the bounds were not. */
static void write_old(irn_model *model, const char *path)
{
    static const char *const newer[] = {"multiscale", "prior", "levels", "logit"};
    const double bounds[2] = {0.5, 0.625};
    char *json;
    irn_safetensors_writer *writer;
    testing_ok(irn_config_to_json(&json, &model->config, bounds, 2));
    cJSON *config = cJSON_Parse(json);
    free(json);
    for (size_t i = 0; i < sizeof newer / sizeof *newer; i++)
        cJSON_DeleteItemFromObject(config, newer[i]);
    json = cJSON_PrintUnformatted(config);
    cJSON_Delete(config);
    testing_ok(irn_safetensors_writer_create(&writer));
    testing_ok(irn_arena_add_to_file(&model->parameters, model->single.parameters, "", writer));
    testing_ok(irn_arena_add_to_file(&model->state, model->single.state, "", writer));
    testing_ok(irn_safetensors_add_metadata(writer, "iresnet", json));
    testing_ok(irn_safetensors_add_metadata(writer, "iresnet_certified", "8c4a0b52"));
    testing_ok(irn_safetensors_write(writer, path));
    irn_safetensors_writer_free(writer);
    free(json);
}

START_TEST(old_files_load_without)
{
    irn_context *context = devices_open(_i);
    irn_model *model = new_model(context);
    write_old(model, testing_path("old.safetensors"));
    check_load(context, testing_path("old.safetensors"),
               "old.safetensors: certified by an older version");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bounds in model files");
    TCase *files = devices_case(suite, "files");
    devices_add(files, bounds_are_kept);
    devices_add(files, edited_bounds_are_not);
    devices_add(files, no_bounds);
    devices_add(files, old_files_load_without);
    return testing_run(suite);
}
