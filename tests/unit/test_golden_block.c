/* Single residual blocks against the golden files: power iteration, normalised kernels, forward and
 * inverse. */
#include "golden.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const char *const files[] = {
    "block-elu-17ch-3conv3.safetensors", "block-elu-c09.safetensors",
    "block-elu-first-no-actnorm.safetensors", "block-relu-wide.safetensors",
    "block-softplus-c05-rect.safetensors", "block-tanh-dense-2d.safetensors"};
enum { FILES = sizeof files / sizeof *files };

/* ---- the block as a model of one block ---- */

static double json_number(const irn_safetensors *file, const char *key)
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
    config.coefficient = json_number(file, "coeff");
    config.height = (size_t)json_number(file, "height");
    config.width = (size_t)json_number(file, "width");
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
    testing_ok(
        irn_arena_write(arena, buffer, &arena->entries[entry], host_narrow(values, count)));
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

static irn_model *read_block(irn_context *context, const irn_safetensors *file)
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

/* ---- checks ---- */

static float state_number(const irn_model *model, size_t entry)
{
    float value;
    testing_ok(irn_arena_read(&model->state, model->single.state, &model->state.entries[entry],
                              &value));
    return value;
}

static double *values_of(const irn_arena *arena, cl_mem buffer, size_t entry)
{
    size_t count = irn_entry_count(&arena->entries[entry]);
    float *values = host_floats(count);
    testing_ok(irn_arena_read(arena, buffer, &arena->entries[entry], values));
    return host_widen(values, count);
}

static void check_sigma(const irn_model *model, const irn_safetensors *file, const char *when)
{
    for (size_t i = 0; i < model->config.layers; i++) {
        double sigma = golden_number(file, "expect.conv%zu.sigma_after_%s", i, when);
        double got = (double)state_number(model, model->blocks[0].layers[i].sigma);
        host_check_number(sigma, got, GOLDEN_OUTPUT * sigma, "sigma of conv%zu after %s", i, when);
    }
}

static void check_state(const irn_model *model, const irn_safetensors *file, const char *name)
{
    for (size_t i = 0; i < model->config.layers; i++) {
        const irn_layer *layer = &model->blocks[0].layers[i];
        size_t count;
        double *u = golden_read(file, &count, "expect.conv%zu.u5", i);
        host_check(u, values_of(&model->state, model->single.state, layer->u), count,
                   GOLDEN_OUTPUT, "%s: u of conv%zu", name, i);
        double *v = golden_read(file, &count, "expect.conv%zu.v5", i);
        host_check(v, values_of(&model->state, model->single.state, layer->v), count,
                   GOLDEN_OUTPUT, "%s: v of conv%zu", name, i);
        double *weights = golden_read(file, &count, "expect.conv%zu.weight_normalised", i);
        double *raw = values_of(&model->parameters, model->single.parameters, layer->weight);
        double scale = (double)state_number(model, layer->scale);
        for (size_t k = 0; k < count; k++)
            raw[k] *= scale;
        host_check(weights, raw, count, GOLDEN_OUTPUT, "%s: normalised conv%zu", name, i);
    }
}

static void check_maps(irn_model *model, const irn_safetensors *file, const char *name)
{
    irn_decode_options options = IRN_DECODE_OPTIONS_INIT;
    size_t count;
    double *x = golden_read(file, &count, "input.x"), *y = golden_read(file, NULL, "expect.y");
    double *back = golden_read(file, NULL, "expect.x_from_y_20_iterations");
    size_t batch = count / irn_model_latent_size(model);
    float *out = host_floats(count);
    testing_ok(irn_model_encode(model, host_narrow(x, count), batch, out));
    host_check_float(y, out, count, GOLDEN_OUTPUT, "%s: y", name);
    options.fixed_iterations = true;
    options.max_iterations = 20;
    testing_ok(irn_model_decode(model, host_narrow(y, count), batch, &options, out, NULL, NULL));
    host_check_float(back, out, count, GOLDEN_OUTPUT, "%s: x from y", name);
}

static void check_block(irn_context *context, const char *name)
{
    irn_safetensors *file = golden_open(name);
    irn_model *model = read_block(context, file);
    testing_ok(irn_model_power_iterate(model, 1));
    check_sigma(model, file, "1");
    testing_ok(irn_model_power_iterate(model, 4));
    check_sigma(model, file, "5");
    check_state(model, file, name);
    check_maps(model, file, name);
    irn_model_free(model);
    irn_safetensors_free(file);
}

START_TEST(golden_blocks)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < FILES; i++)
        check_block(context, files[i]);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden blocks");
    devices_add(devices_case(suite, "golden"), golden_blocks);
    return testing_run(suite);
}
