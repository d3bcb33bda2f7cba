/* Reading a certificate's file, strictly: fields are read within limits, for sentences that name
 * what is wrong; then the certificate is written again, and must be the file to the byte. So
 * whatever a parser leaves open (spelling, order, white space, digits beyond those of a double) is
 * refused, and every byte is under the hash, or in it, or fixed. */
#include "certify/certificate_json.h"
#include "io/file.h"
#include "io/json_reader.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* cJSON makes 64 bytes of two, and itself limits the depth to 1,000. */
static const size_t file_limit = (size_t)1 << 26, values_limit = (size_t)1 << 22;

static const size_t most_channels = (size_t)1 << 28, most_pixels = (size_t)1 << 24;
static const size_t most_counted = SIZE_MAX >> (sizeof(size_t) > 4 ? 11 : 0); /* as a double */

static const char *const root_keys[] = {"verdict",
                                        "format",
                                        "library",
                                        "method",
                                        "kind",
                                        "padding",
                                        "precision",
                                        "arithmetic",
                                        "device",
                                        "driver",
                                        "model_sha256",
                                        "below",
                                        "lipschitz_upper",
                                        "inverse_lipschitz_upper",
                                        "logdet_lower",
                                        "logdet_upper",
                                        "steps_factor",
                                        "weights",
                                        "blocks",
                                        "layers",
                                        "sha256",
                                        NULL};
static const char *const layer_keys[] = {
    "name",       "kernel", "height", "width", "stride",       "dilation", "groups",
    "transposed", "scale",  "lower",  "upper", "kernel_upper", "proof",    NULL};
static const char *const weights_keys[] = {"height",  "width",      "stride",  "dilation",
                                           "groups",  "transposed", "pattern", "coefficient",
                                           "epsilon", NULL};
static const char *const proof_keys[] = {"method", "precision", "arithmetic",
                                         "torus",  "shifted",   NULL};
static const char *const block_keys[] = {
    "name", "dimension", "lipschitz_upper", "steps", "logdet_lower", "logdet_upper", NULL};

/* A reader of an object within another; the caller gives its status back. */
static irn_json_reader within(const irn_json_reader *outer, const cJSON *item, const char *what)
{
    irn_json_reader inner = {(cJSON *)item, outer->file, what, outer->status};
    if (inner.status == IRN_OK && !cJSON_IsObject(item))
        inner.status = irn_fail(IRN_ERROR_FORMAT, "%s: %s: is no JSON object", outer->file, what);
    return inner;
}

/* ---- layers and blocks ---- */

static void read_kernel(irn_json_reader *r, irn_kernel_shape *shape)
{
    size_t kernel[4] = {1, 1, 1, 1}, four = 4;
    irn_json_sizes(r, "kernel", 1, most_channels, kernel, &four, 4);
    irn_json_size(r, "height", 0, most_pixels, &shape->height);
    irn_json_size(r, "width", 0, most_pixels, &shape->width);
    irn_json_size(r, "stride", 1, most_pixels, &shape->stride);
    irn_json_size(r, "dilation", 1, most_pixels, &shape->dilation);
    irn_json_size(r, "groups", 1, most_channels, &shape->groups);
    irn_json_bool(r, "transposed", &shape->transposed);
    shape->outputs = kernel[0];
    shape->inputs = kernel[1];
    shape->kernel_height = kernel[2];
    shape->kernel_width = kernel[3];
    if (r->status == IRN_OK && shape->groups > most_channels / shape->inputs)
        irn_json_refuse(r, "groups", "fewer, so that all inputs can be counted");
    else
        shape->inputs *= shape->groups;
}

static void read_proof(irn_json_reader *outer, irn_proof *proof)
{
    char what[64];
    size_t method = 0, precision = 0, arithmetic = 0, two = 2;
    snprintf(what, sizeof what, "%s's proof", outer->what);
    irn_json_reader r = within(outer, cJSON_GetObjectItemCaseSensitive(outer->json, "proof"), what);
    irn_json_only(&r, proof_keys);
    irn_json_word(&r, "method", irn_certificate_methods, &method);
    irn_json_word(&r, "precision", irn_certificate_precisions, &precision);
    irn_json_word(&r, "arithmetic", irn_certificate_arithmetics, &arithmetic);
    irn_json_sizes(&r, "torus", 0, most_pixels, proof->torus, &two, 2);
    irn_json_bools(&r, "shifted", proof->shifted, 2);
    proof->method = (irn_proof_method)method;
    proof->arithmetic = precision    ? IRN_ARITHMETIC_DEVICE_FLOAT32
                        : arithmetic ? IRN_ARITHMETIC_DEVICE_FLOAT64
                                     : IRN_ARITHMETIC_HOST_FLOAT64;
    outer->status = r.status;
}

static void read_layer(irn_json_reader *outer, const cJSON *item, irn_certificate *certificate)
{
    irn_layer_bound layer = {.shape = {.padding = certificate->padding}};
    char what[48];
    snprintf(what, sizeof what, "layer %zu", certificate->layer_count);
    irn_json_reader r = within(outer, item, what);
    irn_json_only(&r, layer_keys);
    irn_json_text(&r, "name", &layer.name);
    read_kernel(&r, &layer.shape);
    irn_json_number(&r, "scale", -DBL_MAX, DBL_MAX, &layer.scale);
    irn_json_number(&r, "lower", 0, DBL_MAX, &layer.bound.lower);
    irn_json_number_or_null(&r, "upper", 0, DBL_MAX, INFINITY, &layer.bound.upper);
    irn_json_number_or_null(&r, "kernel_upper", 0, DBL_MAX, INFINITY, &layer.kernel_upper);
    read_proof(&r, &layer.proof);
    if (r.status == IRN_OK)
        r.status = irn_certificate_add_layer(certificate, &layer);
    outer->status = r.status;
}

static void read_block(irn_json_reader *outer, const cJSON *item, irn_certificate *certificate)
{
    irn_block_bound block = {.name = ""};
    double steps = 0;
    char what[48];
    snprintf(what, sizeof what, "block %zu", certificate->block_count);
    irn_json_reader r = within(outer, item, what);
    irn_json_only(&r, block_keys);
    irn_json_text(&r, "name", &block.name);
    irn_json_size(&r, "dimension", 1, most_counted, &block.dimension);
    irn_json_number_or_null(&r, "lipschitz_upper", 0, DBL_MAX, INFINITY, &block.lipschitz_upper);
    irn_json_number_or_null(&r, "steps", 1, (double)most_counted, 0, &steps);
    irn_json_number_or_null(&r, "logdet_lower", -DBL_MAX, 0, -INFINITY, &block.logdet_lower);
    irn_json_number_or_null(&r, "logdet_upper", 0, DBL_MAX, INFINITY, &block.logdet_upper);
    block.steps = (size_t)steps;
    if (r.status == IRN_OK)
        r.status = irn_certificate_add_block(certificate, &block);
    outer->status = r.status;
}

/* ---- the whole ---- */

static void copy_text(irn_json_reader *r, const char *key, char *out, size_t size)
{
    const char *text;
    irn_json_text(r, key, &text);
    if (strlen(text) < size)
        memcpy(out, text, strlen(text) + 1);
    else
        irn_json_refuse(r, key, "shorter");
}

static void read_head(irn_json_reader *r, irn_certificate *c)
{
    size_t verdict = 0, kind = 0, padding = 0, format = 0;
    const char *method;
    irn_json_size(r, "format", IRN_CERTIFICATE_FORMAT, IRN_CERTIFICATE_FORMAT, &format);
    irn_json_text(r, "method", &method);
    if (strcmp(method, irn_certificate_method) != 0)
        irn_json_refuse(r, "method", "that of this format");
    irn_json_word(r, "verdict", irn_certificate_verdicts, &verdict);
    irn_json_word(r, "kind", irn_certificate_kinds, &kind);
    irn_json_word(r, "padding", irn_certificate_paddings, &padding);
    copy_text(r, "library", c->library, sizeof c->library);
    copy_text(r, "device", c->device, sizeof c->device);
    copy_text(r, "driver", c->driver, sizeof c->driver);
    if (!cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(r->json, "model_sha256")))
        copy_text(r, "model_sha256", c->model_sha256, sizeof c->model_sha256);
    irn_json_number(r, "below", DBL_TRUE_MIN, DBL_MAX, &c->below);
    c->verdict = verdict > 0;
    c->of_model = kind > 0;
    c->padding = (irn_padding)padding;
}

static void read_network(irn_json_reader *r, irn_certificate *c)
{
    if (!c->of_model)
        return;
    irn_json_number_or_null(r, "lipschitz_upper", 0, DBL_MAX, INFINITY, &c->lipschitz_upper);
    irn_json_number_or_null(r, "inverse_lipschitz_upper", 0, DBL_MAX, INFINITY,
                            &c->inverse_lipschitz_upper);
    irn_json_number_or_null(r, "logdet_lower", -DBL_MAX, 0, -INFINITY, &c->logdet.lower);
    irn_json_number_or_null(r, "logdet_upper", 0, DBL_MAX, INFINITY, &c->logdet.upper);
}

static void read_weights(irn_json_reader *outer, irn_certificate *c)
{
    irn_weights_options w = IRN_WEIGHTS_OPTIONS_INIT;
    if (c->of_model || outer->status != IRN_OK)
        return;
    irn_json_reader r =
        within(outer, cJSON_GetObjectItemCaseSensitive(outer->json, "weights"), "weights");
    w.padding = c->padding;
    w.below = c->below;
    irn_json_only(&r, weights_keys);
    irn_json_size(&r, "height", 0, most_pixels, &w.height);
    irn_json_size(&r, "width", 0, most_pixels, &w.width);
    irn_json_size(&r, "stride", 1, most_pixels, &w.stride);
    irn_json_size(&r, "dilation", 1, most_pixels, &w.dilation);
    irn_json_size(&r, "groups", 1, most_channels, &w.groups);
    irn_json_bool(&r, "transposed", &w.transposed);
    if (!cJSON_IsNull(cJSON_GetObjectItemCaseSensitive(r.json, "pattern")))
        irn_json_text(&r, "pattern", &w.pattern);
    irn_json_number(&r, "coefficient", 0, DBL_MAX, &w.coefficient);
    irn_json_number(&r, "epsilon", 0, DBL_MAX, &w.epsilon);
    if (r.status == IRN_OK)
        r.status = irn_certificate_set_weights(c, &w);
    c->weights.coefficient = w.coefficient;
    c->weights.epsilon = w.epsilon;
    outer->status = r.status;
}

static size_t length_of(const cJSON *list)
{
    return list ? (size_t)cJSON_GetArraySize(list) : 0;
}

static irn_status read_all(irn_certificate **out, irn_json_reader *r)
{
    const cJSON *blocks = irn_json_list(r, "blocks"), *layers = irn_json_list(r, "layers"), *item;
    irn_json_only(r, root_keys);
    IRN_TRY(r->status);
    IRN_TRY(irn_certificate_create(out, NULL, length_of(layers), length_of(blocks)));
    read_head(r, *out);
    read_network(r, *out);
    read_weights(r, *out);
    cJSON_ArrayForEach(item, blocks) if (r->status == IRN_OK) read_block(r, item, *out);
    cJSON_ArrayForEach(item, layers) if (r->status == IRN_OK) read_layer(r, item, *out);
    return r->status;
}

/* What cJSON would swallow: zero characters, which cut its strings short, and masses of values. */
static irn_status check_text(const char *text, size_t size, const char *name)
{
    size_t values = 1;
    if (!irn_is_text(text, size))
        return irn_fail(IRN_ERROR_FORMAT, "%s: is no certificate: no text in UTF-8", name);
    for (size_t i = 0; i < size; i++)
        values += text[i] == ',' || text[i] == '[' || text[i] == '{';
    if (values > values_limit)
        return irn_fail(IRN_ERROR_FORMAT, "%s: up to %zu values, the limit is %zu", name, values,
                        values_limit);
    return IRN_OK;
}

/* Where the certificate written again is not the file. */
static irn_status compare(const irn_certificate *certificate, const char *text, size_t size,
                          const char *name)
{
    char *again;
    size_t at = 0, line = 1;
    IRN_TRY(irn_certificate_text(&again, certificate, certificate->model_sha256));
    for (; at < size && again[at] == text[at]; at++)
        line += text[at] == '\n';
    bool same = at == size && again[at] == '\0';
    const char *last = strstr(again, "\n\t\"sha256\"") + 1, *end = strchr(last, '\n');
    bool hash = again + at >= last && again + at < end;
    free(again);
    if (same)
        return IRN_OK;
    return irn_fail(IRN_ERROR_FORMAT, "%s: line %zu is not as it was written%s", name, line,
                    hash ? ": the text does not have this SHA-256" : "");
}

irn_status irn_certificate_parse(irn_certificate **out, const char *text, size_t size,
                                 const char *name)
{
    irn_json_reader reader;
    *out = NULL;
    IRN_TRY(check_text(text, size, name));
    irn_json_open(&reader, text, name, "certificate field");
    if (reader.status == IRN_OK)
        reader.status = read_all(out, &reader);
    if (reader.status == IRN_OK)
        reader.status = compare(*out, text, size, name);
    irn_status status = irn_json_close(&reader);
    if (status != IRN_OK) {
        irn_certificate_free(*out);
        *out = NULL;
    }
    return status;
}

irn_status irn_certificate_read(irn_certificate **out, const char *path)
{
    uint8_t *bytes;
    size_t size;
    if (!out || !path)
        return irn_fail(IRN_ERROR_ARGUMENT, "a certificate's result or path is NULL");
    *out = NULL;
    IRN_TRY(irn_file_read(&bytes, &size, path, file_limit, false));
    irn_status status = irn_certificate_parse(out, (const char *)bytes, size, path);
    free(bytes);
    return status;
}
