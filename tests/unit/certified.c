#include "certified.h"
#include "host.h"
#include "testing.h"

#include "flow/model.h"
#include "io/file.h"
#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

const char *certified_model(irn_context *context, irn_padding padding, float scale)
{
    irn_model_config config;
    irn_model *model;
    irn_certificate *certificate;
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = 2;
    config.height = 4;
    config.width = 6;
    config.stages = 2;
    config.blocks[0] = 2;
    config.blocks[1] = 1;
    config.widths[0] = config.widths[1] = 5;
    config.strides[0] = 1;
    config.strides[1] = 2;
    config.padding = padding;
    config.coefficient = 0.7;
    config.actnorm = false;
    testing_ok(irn_model_create(&model, context, &config));
    if (scale > 0)
        testing_ok(irn_arena_write(&model->state, model->single.state,
                                   &model->state.entries[model->blocks[0].layers[0].scale],
                                   &scale));
    const char *path = testing_path("model.safetensors");
    testing_ok(irn_model_save(model, path));
    testing_ok(irn_certify_model(&certificate, model, NULL));
    testing_ok(irn_certificate_write(certificate, path, testing_path("model.json")));
    irn_certificate_free(certificate);
    irn_model_free(model);
    return path;
}

const irn_weights_options certified_setting = {
    .version = IRN_WEIGHTS_OPTIONS_VERSION, .height = 4, .width = 5, .below = 100};

static void add_tensor(irn_safetensors_writer *writer, const char *name, irn_dtype type,
                       size_t rank, const size_t *shape)
{
    irn_array array;
    testing_ok(irn_array_create(&array, type, rank, shape));
    size_t count = irn_array_count(&array);
    double *values = host_normal(count);
    for (size_t i = 0; i < count; i++)
        if (type == IRN_FLOAT32)
            ((float *)array.data)[i] = (float)values[i];
        else
            ((double *)array.data)[i] = values[i];
    testing_ok(irn_safetensors_add(writer, name, &array));
    irn_array_free(&array);
}

/* A bias, a matrix and two kernels. */
static const char *weights_file(irn_context *context, irn_padding padding)
{
    static const size_t shapes[][4] = {{7, 1, 1, 1}, {3, 4, 1, 1}, {2, 3, 3, 3}, {4, 2, 5, 2}};
    const char *path = testing_path("weights.safetensors");
    irn_weights_options weights = certified_setting;
    irn_safetensors_writer *writer;
    irn_certificate *certificate;
    testing_ok(irn_safetensors_writer_create(&writer));
    add_tensor(writer, "bias", IRN_FLOAT32, 1, shapes[0]);
    add_tensor(writer, "dense \"0\"", IRN_FLOAT32, 2, shapes[1]);
    add_tensor(writer, "conv", IRN_FLOAT64, 4, shapes[2]);
    add_tensor(writer, "a.b", IRN_FLOAT32, 4, shapes[3]);
    testing_ok(irn_safetensors_write(writer, path));
    irn_safetensors_writer_free(writer);
    weights.padding = padding;
    testing_ok(irn_certify_weights(&certificate, context, path, &weights, NULL));
    testing_ok(irn_certificate_write(certificate, path, testing_path("weights.json")));
    irn_certificate_free(certificate);
    return path;
}

/* A copy of a path that lasts for the test. */
static const char *lasting(const char *path)
{
    char *copy = (char *)host_doubles(strlen(path) / sizeof(double) + 1);
    return strcpy(copy, path);
}

const char *certified_file(irn_context *context, int which, const char **json)
{
    irn_padding padding = (irn_padding)(which & 1);
    const char *path =
        which & 2 ? weights_file(context, padding) : certified_model(context, padding, 0);
    *json = lasting(testing_path(which & 2 ? "weights.json" : "model.json"));
    return lasting(path);
}

char *certified_text(const char *path, size_t *size)
{
    uint8_t *bytes;
    testing_ok(irn_file_read(&bytes, size, path, 1 << 24, false));
    char *text = malloc(*size + 1);
    memcpy(text, bytes, *size + 1);
    free(bytes);
    return text;
}
