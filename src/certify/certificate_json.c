/* Certificates as JSON. */
#include "certify/certificate.h"
#include "io/file.h"
#include "io/sha256.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char method[] =
    "singular values computed in float64 with an allowance for rounding, not verified";

/* 17 digits bring every double back exactly (cJSON's own printing settles for fewer); JSON has no
 * word for infinity and NaN, which become null. False if memory is short, here and below. */
static bool add_number(cJSON *object, const char *key, double value)
{
    char text[32] = "null";
    if (isfinite(value))
        snprintf(text, sizeof text, "%.17g", value);
    return cJSON_AddRawToObject(object, key, text) != NULL;
}

static bool add_size(cJSON *array, size_t value)
{
    char text[32];
    snprintf(text, sizeof text, "%zu", value);
    cJSON *item = cJSON_CreateRaw(text);
    return item && cJSON_AddItemToArray(array, item);
}

static bool add_layer(cJSON *layers, const irn_layer_bound *layer)
{
    const irn_kernel_shape *shape = &layer->shape;
    cJSON *object = cJSON_CreateObject();
    if (!object || !cJSON_AddItemToArray(layers, object))
        return false;
    cJSON *kernel;
    return cJSON_AddStringToObject(object, "name", layer->name) &&
           (kernel = cJSON_AddArrayToObject(object, "kernel")) &&
           add_size(kernel, shape->outputs) && add_size(kernel, shape->inputs) &&
           add_size(kernel, shape->kernel_height) && add_size(kernel, shape->kernel_width) &&
           add_number(object, "height", (double)shape->height) &&
           add_number(object, "width", (double)shape->width) &&
           add_number(object, "scale", layer->scale) &&
           add_number(object, "lower", layer->bound.lower) &&
           add_number(object, "upper", layer->bound.upper);
}

static bool add_block(cJSON *blocks, const irn_block_bound *block)
{
    cJSON *object = cJSON_CreateObject();
    return object && cJSON_AddItemToArray(blocks, object) &&
           cJSON_AddStringToObject(object, "name", block->name) &&
           add_number(object, "lipschitz_upper", block->lipschitz_upper);
}

static bool add_lists(cJSON *root, const irn_certificate *certificate)
{
    cJSON *blocks = cJSON_AddArrayToObject(root, "blocks");
    cJSON *layers = cJSON_AddArrayToObject(root, "layers");
    bool good = blocks && layers;
    for (size_t i = 0; good && i < certificate->block_count; i++)
        good = add_block(blocks, &certificate->blocks[i]);
    for (size_t i = 0; good && i < certificate->layer_count; i++)
        good = add_layer(layers, &certificate->layers[i]);
    return good;
}

/* sha256: "" for none. */
static bool fill(cJSON *root, const irn_certificate *certificate, const char *sha256)
{
    bool circular = certificate->padding == IRN_PAD_CIRCULAR;
    bool good = cJSON_AddStringToObject(root, "verdict",
                                        certificate->verdict ? "certified" : "not certified") &&
                add_number(root, "format", 1) &&
                cJSON_AddStringToObject(root, "library", "libiresnet " IRN_VERSION_STRING) &&
                cJSON_AddStringToObject(root, "method", method) &&
                cJSON_AddStringToObject(root, "padding", circular ? "circular" : "zeros") &&
                cJSON_AddStringToObject(root, "precision", "float64") &&
                cJSON_AddStringToObject(root, "device", certificate->device) &&
                (*sha256 ? cJSON_AddStringToObject(root, "model_sha256", sha256)
                         : cJSON_AddNullToObject(root, "model_sha256")) &&
                add_number(root, "below", certificate->below);
    if (good && certificate->of_model)
        good = add_number(root, "lipschitz_upper", certificate->lipschitz_upper) &&
               add_number(root, "inverse_lipschitz_upper", certificate->inverse_lipschitz_upper);
    return good && add_lists(root, certificate);
}

static irn_status write_text(const char *text, const char *path)
{
    irn_writer *writer;
    IRN_TRY(irn_writer_open(&writer, path));
    irn_status status = irn_writer_write(writer, text, strlen(text));
    if (status == IRN_OK)
        status = irn_writer_write(writer, "\n", 1);
    if (status == IRN_OK)
        return irn_writer_commit(writer);
    irn_writer_discard(writer);
    return status;
}

irn_status irn_certificate_write(const irn_certificate *certificate, const char *model_path,
                                 const char *path)
{
    char sha256[IRN_SHA256_HEX] = "";
    if (!certificate || !path)
        return irn_fail(IRN_ERROR_ARGUMENT, "a certificate or the path to write it to is NULL");
    if (model_path)
        IRN_TRY(irn_sha256_file(sha256, model_path));
    cJSON *root = cJSON_CreateObject();
    char *text = root && fill(root, certificate, sha256) ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    irn_status status =
        text ? write_text(text, path)
             : irn_fail(IRN_ERROR_MEMORY, "%s: no memory for the certificate's text", path);
    cJSON_free(text);
    return status;
}
