/* Certificates as JSON. */
#include "certify/certificate_json.h"
#include "io/file.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 17 digits bring every double back exactly (cJSON's own printing settles for fewer); JSON has no
 * word for infinity and NaN, which become null, and no decimal comma, which a locale may want.
 * False if memory is short, here and below. */
static bool add_number(cJSON *object, const char *key, double value)
{
    char text[32] = "null";
    if (isfinite(value))
        snprintf(text, sizeof text, "%.17g", value);
    char *comma = strchr(text, ',');
    if (comma)
        *comma = '.';
    return cJSON_AddRawToObject(object, key, text) != NULL;
}

static bool add_sizes(cJSON *object, const char *key, const size_t *values, size_t count)
{
    cJSON *array = cJSON_AddArrayToObject(object, key);
    bool good = array != NULL;
    for (size_t i = 0; good && i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "%zu", values[i]);
        cJSON *item = cJSON_CreateRaw(text);
        good = item && cJSON_AddItemToArray(array, item);
    }
    return good;
}

static bool add_bools(cJSON *object, const char *key, const bool *values, size_t count)
{
    cJSON *array = cJSON_AddArrayToObject(object, key);
    bool good = array != NULL;
    for (size_t i = 0; good && i < count; i++) {
        cJSON *item = cJSON_CreateBool(values[i]);
        good = item && cJSON_AddItemToArray(array, item);
    }
    return good;
}

/* 0 becomes null if that says that there is none. */
static bool add_size(cJSON *object, const char *key, size_t value, bool none)
{
    char text[32] = "null";
    if (value > 0 || !none)
        snprintf(text, sizeof text, "%zu", value);
    return cJSON_AddRawToObject(object, key, text) != NULL;
}

static bool add_text(cJSON *object, const char *key, const char *text)
{
    return cJSON_AddStringToObject(object, key, text) != NULL;
}

static bool add_arithmetic(cJSON *object, bool single, bool on_device)
{
    return add_text(object, "precision", irn_certificate_precisions[single]) &&
           add_text(object, "arithmetic", irn_certificate_arithmetics[on_device]);
}

static bool add_proof(cJSON *layer, const irn_proof *proof)
{
    cJSON *object = cJSON_AddObjectToObject(layer, "proof");
    return object && add_text(object, "method", irn_certificate_methods[proof->method]) &&
           add_arithmetic(object, irn_is_single(proof->arithmetic),
                          irn_is_on_device(proof->arithmetic)) &&
           add_sizes(object, "torus", proof->torus, 2) &&
           add_bools(object, "shifted", proof->shifted, 2);
}

static bool add_layer(cJSON *layers, const irn_layer_bound *layer)
{
    const irn_kernel_shape *s = &layer->shape;
    const size_t kernel[] = {s->outputs, s->inputs / s->groups, s->kernel_height, s->kernel_width};
    cJSON *object = cJSON_CreateObject();
    if (!object || !cJSON_AddItemToArray(layers, object))
        return false;
    return add_text(object, "name", layer->name) && add_sizes(object, "kernel", kernel, 4) &&
           add_size(object, "height", s->height, false) &&
           add_size(object, "width", s->width, false) &&
           add_size(object, "stride", s->stride, false) &&
           add_size(object, "dilation", s->dilation, false) &&
           add_size(object, "groups", s->groups, false) &&
           cJSON_AddBoolToObject(object, "transposed", s->transposed) &&
           add_number(object, "scale", layer->scale) &&
           add_number(object, "lower", layer->bound.lower) &&
           add_number(object, "upper", layer->bound.upper) &&
           add_number(object, "kernel_upper", layer->kernel_upper) &&
           add_proof(object, &layer->proof);
}

static bool add_block(cJSON *blocks, const irn_block_bound *block)
{
    cJSON *object = cJSON_CreateObject();
    return object && cJSON_AddItemToArray(blocks, object) &&
           add_text(object, "name", block->name) &&
           add_size(object, "dimension", block->dimension, false) &&
           add_number(object, "lipschitz_upper", block->lipschitz_upper) &&
           add_size(object, "steps", block->steps, true) &&
           add_number(object, "logdet_lower", block->logdet_lower) &&
           add_number(object, "logdet_upper", block->logdet_upper);
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

/* Of the layers' arithmetic what is least: a proof in float32, and one on a device, which is named
 * only if there is one. */
static bool add_overall_arithmetic(cJSON *root, const irn_certificate *certificate)
{
    bool single = false, on_device = false;
    for (size_t i = 0; i < certificate->layer_count; i++) {
        irn_arithmetic arithmetic = certificate->layers[i].proof.arithmetic;
        single = single || irn_is_single(arithmetic);
        on_device = on_device || irn_is_on_device(arithmetic);
    }
    return add_arithmetic(root, single, on_device) &&
           add_text(root, "device", on_device ? certificate->device : "host") &&
           add_text(root, "driver", on_device ? certificate->driver : "");
}

static bool add_network(cJSON *root, const irn_certificate *certificate)
{
    if (!certificate->of_model)
        return true;
    return add_number(root, "lipschitz_upper", certificate->lipschitz_upper) &&
           add_number(root, "inverse_lipschitz_upper", certificate->inverse_lipschitz_upper) &&
           add_number(root, "logdet_lower", certificate->logdet.lower) &&
           add_number(root, "logdet_upper", certificate->logdet.upper) &&
           add_number(root, "steps_factor", IRN_STEPS_FACTOR);
}

static bool add_weights(cJSON *root, const irn_certificate *certificate)
{
    const irn_weights_options *w = &certificate->weights;
    cJSON *object;
    if (certificate->of_model)
        return true;
    return (object = cJSON_AddObjectToObject(root, "weights")) &&
           add_size(object, "height", w->height, false) &&
           add_size(object, "width", w->width, false) &&
           add_size(object, "stride", w->stride, false) &&
           add_size(object, "dilation", w->dilation, false) &&
           add_size(object, "groups", w->groups, false) &&
           cJSON_AddBoolToObject(object, "transposed", w->transposed) &&
           (w->pattern ? add_text(object, "pattern", w->pattern)
                       : cJSON_AddNullToObject(object, "pattern") != NULL) &&
           add_number(object, "coefficient", w->coefficient) &&
           add_number(object, "epsilon", w->epsilon);
}

static bool fill(cJSON *root, const irn_certificate *certificate, const char *sha256)
{
    return add_text(root, "verdict", irn_certificate_verdicts[certificate->verdict]) &&
           add_size(root, "format", IRN_CERTIFICATE_FORMAT, false) &&
           add_text(root, "library", certificate->library) &&
           add_text(root, "method", irn_certificate_method) &&
           add_text(root, "kind", irn_certificate_kinds[certificate->of_model]) &&
           add_text(root, "padding", irn_certificate_paddings[certificate->padding]) &&
           add_overall_arithmetic(root, certificate) &&
           (*sha256 ? add_text(root, "model_sha256", sha256)
                    : cJSON_AddNullToObject(root, "model_sha256") != NULL) &&
           add_number(root, "below", certificate->below) && add_network(root, certificate) &&
           add_weights(root, certificate) && add_lists(root, certificate);
}

/* Takes the end off the object's text, "\n}", and puts the hash of all before it there. */
static irn_status add_hash(char **out, const char *body)
{
    static const char begin[] = ",\n", key[] = "\t\"sha256\":\t\"", end[] = "\"\n}\n";
    size_t length = strlen(body) - strlen("\n}"), hashed = length + strlen(begin);
    size_t size = hashed + strlen(key) + IRN_SHA256_HEX + strlen(end);
    char hash[IRN_SHA256_HEX], *text;
    IRN_TRY(irn_alloc(&text, size, 1));
    memcpy(text, body, length);
    memcpy(text + length, begin, strlen(begin));
    irn_sha256_bytes(hash, text, hashed);
    snprintf(text + hashed, size - hashed, "%s%s%s", key, hash, end);
    *out = text;
    return IRN_OK;
}

irn_status irn_certificate_text(char **out, const irn_certificate *certificate, const char *sha256)
{
    *out = NULL;
    cJSON *root = cJSON_CreateObject();
    char *body = root && fill(root, certificate, sha256) ? cJSON_Print(root) : NULL;
    cJSON_Delete(root);
    irn_status status = body ? add_hash(out, body)
                             : irn_fail(IRN_ERROR_MEMORY, "no memory for a certificate's text");
    cJSON_free(body);
    return status;
}

static irn_status write_text(const char *text, const char *path)
{
    irn_writer *writer;
    IRN_TRY(irn_writer_open(&writer, path));
    irn_status status = irn_writer_write(writer, text, strlen(text));
    if (status == IRN_OK)
        return irn_writer_commit(writer);
    irn_writer_discard(writer);
    return status;
}

irn_status irn_certificate_write(const irn_certificate *certificate, const char *model_path,
                                 const char *path)
{
    char sha256[IRN_SHA256_HEX], *text;
    if (!certificate || !path)
        return irn_fail(IRN_ERROR_ARGUMENT, "a certificate or the path to write it to is NULL");
    memcpy(sha256, certificate->model_sha256, sizeof sha256);
    if (model_path)
        IRN_TRY(irn_sha256_file(sha256, model_path));
    IRN_TRY(irn_certificate_text(&text, certificate, sha256));
    irn_status status = write_text(text, path);
    free(text);
    return status;
}
