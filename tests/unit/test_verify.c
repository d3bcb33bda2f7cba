/* Certificates written, read and verified; and changed in every way that comes to mind. */
#include "host.h"
#include "testing.h"

#include "base/round.h"
#include "certify/certificate_json.h"
#include "flow/model.h"
#include "io/file.h"
#include "io/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static irn_context *context;

static void open_context(void)
{
    testing_ok(irn_context_create(&context, NULL));
}

static void close_context(void)
{
    irn_context_free(context);
}

/* ---- honest certificates ---- */

/* Blocks, the network and the verdict from the layers' bounds; the network's are those of a model
 * without actnorm. */
static void conclude(irn_certificate *c)
{
    double lipschitz = 1, inverse = 1;
    for (size_t b = 0; b < c->block_count; b++) {
        irn_block_bound *block = &c->blocks[b];
        size_t layers = c->layer_count / c->block_count;
        double product = 1;
        for (size_t i = b * layers; i < (b + 1) * layers; i++)
            product = irn_round_up(product * c->layers[i].bound.upper);
        *block = irn_block_bound_of(block->name, product, block->dimension);
        lipschitz *= 1 + product;
        inverse /= 1 - product;
    }
    irn_certificate_judge(c);
    c->lipschitz_upper = c->of_model && c->verdict ? irn_widened_upper(lipschitz) : INFINITY;
    c->inverse_lipschitz_upper = c->of_model && c->verdict ? irn_widened_upper(inverse) : INFINITY;
}

/* scale: of the first layer; 0: as it is. */
static const char *model_file(irn_padding padding, float scale)
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

static const irn_weights_options setting = {
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
static const char *weights_file(irn_padding padding)
{
    static const size_t shapes[][4] = {{7, 1, 1, 1}, {3, 4, 1, 1}, {2, 3, 3, 3}, {4, 2, 5, 2}};
    const char *path = testing_path("weights.safetensors");
    irn_weights_options weights = setting;
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

/* Bit 0: the padding; bit 1: weights, not a model. *json: the certificate. */
static const char *some_file(int which, const char **json)
{
    irn_padding padding = (irn_padding)(which & 1);
    const char *path = which & 2 ? weights_file(padding) : model_file(padding, 0);
    *json = lasting(testing_path(which & 2 ? "weights.json" : "model.json"));
    return lasting(path);
}

static char *text_of(const char *path, size_t *size)
{
    uint8_t *bytes;
    testing_ok(irn_file_read(&bytes, size, path, 1 << 24, false));
    char *text = malloc(*size + 1);
    memcpy(text, bytes, *size + 1);
    free(bytes);
    return text;
}

START_TEST(honest)
{
    const char *json, *path = some_file(_i, &json), *copy = testing_path("copy.json");
    irn_certificate *certificate;
    testing_ok(irn_certificate_read(&certificate, json));
    testing_ok(irn_certificate_verify(certificate, path, NULL));
    ck_assert(irn_certificate_verdict(certificate));
    ck_assert(!irn_certificate_weights(certificate) == !(_i & 2));
    ck_assert_uint_eq(irn_certificate_layer_count(certificate), _i & 2 ? 3 : 9);
    testing_ok(irn_certificate_write(certificate, NULL, copy));
    size_t size, copy_size;
    char *text = text_of(json, &size), *again = text_of(copy, &copy_size);
    ck_assert(size == copy_size && memcmp(text, again, size) == 0);
    free(text);
    free(again);
    irn_certificate_free(certificate);
    host_free_all();
}
END_TEST

/* A true certificate may say that its model is not certified. */
START_TEST(honest_no)
{
    irn_certificate *certificate;
    const char *path = model_file(IRN_PAD_ZEROS, 30);
    testing_ok(irn_certificate_read(&certificate, testing_path("model.json")));
    ck_assert(!irn_certificate_verdict(certificate));
    testing_ok(irn_certificate_verify(certificate, path, NULL));
    certificate->verdict = true;
    testing_fails(irn_certificate_verify(certificate, path, NULL), IRN_ERROR_NOT_CERTIFIED,
                  "verdict");
    irn_certificate_free(certificate);
    host_free_all();
}
END_TEST

/* ---- single bytes ---- */

static bool accepted(const char *text, size_t size, const char *path)
{
    irn_certificate *certificate;
    if (irn_certificate_parse(&certificate, text, size, "c.json") != IRN_OK)
        return false;
    irn_status status = irn_certificate_verify(certificate, path, NULL);
    irn_certificate_free(certificate);
    return status == IRN_OK;
}

START_TEST(bytes)
{
    const char *json, *path = some_file(_i, &json), *other = path;
    size_t sizes[2];
    char *texts[2] = {text_of(json, &sizes[0]), text_of(path, &sizes[1])};
    host_restart();
    ck_assert(accepted(texts[0], sizes[0], path));
    for (int trial = 0; trial < 1000; trial += host_step(1)) {
        int which = trial % 4 == 0;
        size_t at = host_below(sizes[which]);
        char before = texts[which][at];
        texts[which][at] = (char)(before ^ (char)host_between(1, 255));
        if (which)
            other = testing_write("other", texts[1], sizes[1]);
        ck_assert_msg(!accepted(texts[0], sizes[0], which ? other : path),
                      "byte %zu of the %s was changed unseen", at, which ? "file" : "certificate");
        texts[which][at] = before;
    }
    /* One less, and one more that a parser does not mind. */
    char last = texts[0][--sizes[0]];
    texts[0][sizes[0]] = '\0';
    ck_assert(!accepted(texts[0], sizes[0], path));
    texts[0] = realloc(texts[0], sizes[0] + 3);
    memcpy(texts[0] + sizes[0], (char[]){last, '\n', '\0'}, 3);
    ck_assert(!accepted(texts[0], sizes[0] + 2, path));
    texts[0][sizes[0] + 1] = '\0';
    ck_assert(accepted(texts[0], sizes[0] + 1, path));
    free(texts[0]);
    free(texts[1]);
    host_free_all();
}
END_TEST

/* ---- forgeries whose hash is right ---- */

static void drop_layer(irn_certificate *c)
{
    free((char *)c->layers[--c->layer_count].name);
}

static void drop_block(irn_certificate *c)
{
    for (int i = 0; i < 3; i++)
        drop_layer(c);
    free((char *)c->blocks[--c->block_count].name);
}

/* Layers 1 and 4 are 5x5x1x1. */
static void swap_layers(irn_certificate *c)
{
    irn_layer_bound layer = c->layers[1];
    c->layers[1] = c->layers[4];
    c->layers[4] = layer;
}

static void swap_bounds(irn_certificate *c)
{
    swap_layers(c);
    const char *name = c->layers[1].name;
    double scale = c->layers[1].scale;
    c->layers[1].name = c->layers[4].name;
    c->layers[4].name = name;
    c->layers[1].scale = c->layers[4].scale;
    c->layers[4].scale = scale;
    for (size_t i = 1; i <= 4; i += 3)
        c->layers[i].bound.upper =
            irn_round_up(fabs(c->layers[i].scale) * c->layers[i].kernel_upper);
    c->layers[1].bound.lower = c->layers[4].bound.lower = 0;
}

static void lower_upper(irn_certificate *c)
{
    irn_layer_bound *layer = &c->layers[3];
    layer->kernel_upper *= 1 - 1e-6;
    layer->bound.upper *= 1 - 1e-6;
    layer->bound.lower = 0;
}

static void lower_scaled(irn_certificate *c)
{
    c->layers[3].bound.upper *= 1 - 1e-9;
    c->layers[3].bound.lower = 0;
}

static void halve_scale(irn_certificate *c)
{
    c->layers[2].scale /= 2;
    c->layers[2].bound.upper /= 2;
    c->layers[2].bound.lower /= 2;
}

static void other_padding(irn_certificate *c)
{
    c->padding = (irn_padding)(1 - c->padding);
    for (size_t i = 0; i < c->layer_count; i++)
        c->layers[i].shape.padding = c->padding;
    c->weights.padding = c->padding;
}

static void other_size(irn_certificate *c)
{
    for (size_t i = 0; i < c->layer_count; i++)
        c->layers[i].shape.width += c->layers[i].shape.width > 1 ? 2 : 0;
    c->weights.width += 2;
}

static void small_torus(irn_certificate *c)
{
    c->layers[0].proof = (irn_proof){
        .method = IRN_PROOF_SYMBOL, .arithmetic = IRN_ARITHMETIC_HOST_FLOAT64, .torus = {3, 3}};
}

static void large_torus(irn_certificate *c)
{
    c->layers[0].proof = (irn_proof){.method = IRN_PROOF_SYMBOL,
                                     .arithmetic = IRN_ARITHMETIC_HOST_FLOAT64,
                                     .torus = {1 << 23, 8}};
}

static void shift(irn_certificate *c)
{
    c->layers[0].proof.shifted[1] = !c->layers[0].proof.shifted[1];
}

static void by_operator(irn_certificate *c)
{
    c->layers[0].proof =
        (irn_proof){.method = IRN_PROOF_OPERATOR, .arithmetic = IRN_ARITHMETIC_HOST_FLOAT64};
    c->layers[0].kernel_upper *= 0.5;
    c->layers[0].bound.upper = irn_round_up(c->layers[0].scale * c->layers[0].kernel_upper);
    c->layers[0].bound.lower = 0;
}

static void lower_above(irn_certificate *c)
{
    c->layers[5].bound.lower = c->layers[5].bound.upper * 2;
}

static void lower_block(irn_certificate *c)
{
    c->blocks[1] = irn_block_bound_of(c->blocks[1].name, c->blocks[1].lipschitz_upper * (1 - 1e-9),
                                      c->blocks[1].dimension);
}

static void other_dimension(irn_certificate *c)
{
    c->blocks[2] = irn_block_bound_of(c->blocks[2].name, c->blocks[2].lipschitz_upper, 1);
}

static void few_steps(irn_certificate *c)
{
    c->blocks[0].steps -= 2;
}

static void narrow_logdet(irn_certificate *c)
{
    c->blocks[0].logdet_lower *= 0.99;
}

static void narrow_sum(irn_certificate *c)
{
    c->logdet.upper *= 1 - 1e-9;
}

static void lower_network(irn_certificate *c)
{
    c->lipschitz_upper *= 1 - 1e-9;
}

static void lower_inverse(irn_certificate *c)
{
    c->inverse_lipschitz_upper *= 1 - 1e-9;
}

static void other_limit(irn_certificate *c)
{
    c->below = 2;
    c->weights.below = 2;
}

static void other_kind(irn_certificate *c)
{
    c->of_model = !c->of_model;
    if (!c->of_model)
        testing_ok(irn_certificate_set_weights(c, &setting));
}

static void no_file(irn_certificate *c)
{
    c->model_sha256[0] = '\0';
}

static void no_layers(irn_certificate *c)
{
    while (c->layer_count > 0)
        drop_layer(c);
    testing_ok(irn_certificate_set_weights(c, &setting));
    c->weights.pattern = strdup("nothing*");
    c->verdict = true;
}

static void stride_of_one(irn_certificate *c)
{
    c->layers[0].shape.stride = 2;
}

static void pattern(irn_certificate *c)
{
    c->weights.pattern = strdup("*o*");
}

static void lower_limit(irn_certificate *c)
{
    c->below = c->weights.below = 0.1;
}

typedef struct forgery {
    void (*forge)(irn_certificate *certificate);
    bool conclude; /* what follows from the layers is made to fit */
    const char *words;
} forgery;

static const forgery model_forgeries[] = {
    {drop_layer, false, "has 8 layers, and the file has 9"},
    {drop_block, true, "has 6 layers"},
    {swap_layers, true, "another stands in its place"},
    {swap_bounds, true, "not proven"},
    {lower_upper, true, "'blocks.1.conv0': its upper bound is not proven"},
    {lower_scaled, true, "upper is"},
    {halve_scale, true, "scale"},
    {other_padding, true, "padding"},
    {other_size, true, "map"},
    {small_torus, true, "torus"},
    {large_torus, true, "torus"},
    {shift, true, "proof"},
    {by_operator, true, "matrix"},
    {lower_above, true, "upper is"},
    {lower_block, false, "blocks.1: lipschitz_upper is"},
    {other_dimension, false, "dimensions"},
    {few_steps, false, "steps do not suffice"},
    {narrow_logdet, false, "logdet_lower is"},
    {narrow_sum, false, "the network: logdet_upper is"},
    {lower_network, false, "the network: lipschitz_upper is"},
    {lower_inverse, false, "the network: inverse_lipschitz_upper is"},
    {other_limit, true, "below 1"},
    {other_kind, true, "bare weights"},
    {no_file, true, "of which file"},
};
static const forgery weights_forgeries[] = {
    {drop_layer, true, "has 2 layers, and the file has 3"},
    {other_padding, true, "layer 'conv'"},
    {other_size, true, "layer 'conv'"},
    {small_torus, true, "torus"},
    {shift, true, "proof"},
    {stride_of_one, true, "stride"},
    {pattern, true, "has 3 layers, and the file has 1"},
    {no_layers, false, "verdict"},
    {lower_limit, false, "verdict"},
    {other_kind, true, "a model"},
    {no_file, true, "of which file"},
};
enum {
    MODEL_FORGERIES = sizeof model_forgeries / sizeof *model_forgeries,
    WEIGHTS_FORGERIES = sizeof weights_forgeries / sizeof *weights_forgeries
};

/* Written with its hash, read back, and refused. */
static void refused(irn_certificate *certificate, const char *path, const char *words)
{
    const char *json = testing_path("forged.json");
    irn_certificate *read;
    testing_ok(irn_certificate_write(certificate, NULL, json));
    irn_certificate_free(certificate);
    testing_ok(irn_certificate_read(&read, json));
    testing_fails(irn_certificate_verify(read, path, NULL), IRN_ERROR_NOT_CERTIFIED, words);
    irn_certificate_free(read);
}

START_TEST(forgeries)
{
    const char *json, *path = some_file(_i, &json);
    const forgery *list = _i & 2 ? weights_forgeries : model_forgeries;
    for (size_t i = 0; i < (_i & 2 ? WEIGHTS_FORGERIES : MODEL_FORGERIES); i++) {
        irn_certificate *certificate;
        testing_ok(irn_certificate_read(&certificate, json));
        list[i].forge(certificate);
        if (list[i].conclude)
            conclude(certificate);
        refused(certificate, path, list[i].words);
    }
    host_free_all();
}
END_TEST

/* The torus of a circular layer at stride 1 is not that at stride 2. With zero padding it is large
 * enough, and the claim true. */
START_TEST(strides)
{
    const char *json, *path = some_file(_i, &json);
    irn_certificate *certificate;
    testing_ok(irn_certificate_read(&certificate, json));
    certificate->weights.stride = 2;
    for (size_t i = 0; i < certificate->layer_count; i++)
        certificate->layers[i].shape.stride = certificate->layers[i].shape.width > 1 ? 2 : 1;
    conclude(certificate);
    if (_i & 1) {
        refused(certificate, path, "torus");
    } else {
        testing_ok(irn_certificate_verify(certificate, path, NULL));
        irn_certificate_free(certificate);
    }
    host_free_all();
}
END_TEST

/* Other weights under the hash of the file that has them. */
START_TEST(changed_weights)
{
    const char *json, *path = some_file(_i, &json);
    irn_certificate *certificate;
    irn_safetensors *file;
    irn_array view;
    size_t size;
    char *text = text_of(path, &size), *copy = text_of(path, &size);
    testing_ok(irn_safetensors_parse(&file, (uint8_t *)copy, size, "copy"));
    const char *tensor = _i & 2 ? "a.b" : "blocks.1.conv2.weight";
    testing_ok(irn_safetensors_view(file, irn_safetensors_find(file, tensor), &view));
    const float large = 30;
    memcpy(text + ((char *)view.data - copy), &large, sizeof large);
    irn_safetensors_free(file);
    const char *other = testing_write("other.safetensors", text, size);
    testing_ok(irn_certificate_read(&certificate, json));
    testing_fails(irn_certificate_verify(certificate, other, NULL), IRN_ERROR_NOT_CERTIFIED,
                  "another file");
    testing_ok(irn_sha256_file(certificate->model_sha256, other));
    refused(certificate, other, "not proven");
    free(text);
    host_free_all();
}
END_TEST

/* ---- the reader ---- */

typedef struct edit {
    const char *from, *to, *words;
} edit;

static const edit edits[] = {
    {"\"below\":", "\"belwo\":", "'belwo' is not known"},
    {"\"below\":\t1,", "\"below\":\t1,\"below\":\t2,", "'below' stands there twice"},
    {"\"below\":\t1", "\"below\":\t\"1\"", "'below' is \"1\"; it must be"},
    {"\"below\":\t1", "\"below\":\t1e999", "'below'"},
    {"\"below\":\t1", "\"below\":\t0", "'below'"},
    {"\"below\":\t1", "\"below\":\t1.0", "line 13 is not as it was written"},
    {"\"format\":\t2", "\"format\":\t3", "'format' is 3"},
    {"\"kind\":\t\"model\"", "\"kind\":\t\"modem\"", "'kind'"},
    {"\"kind\":\t\"model\"", "\"kind\":\t\"weights\"", "weights: is no JSON object"},
    {"\"verdict\":\t\"certified\"", "\"verdict\":\t\"not certified\"", "SHA-256"},
    {"\"height\":\t4", "\"height\":\t-4", "layer 0 'height' is -4"},
    {"\"height\":\t4", "\"height\":\t4.5", "layer 0 'height' is 4.5"},
    {"\"height\":\t4", "\"height\":\t1e300", "layer 0 'height'"},
    {"\"height\":\t4", "\"height\":\t5", "SHA-256"},
    {"\"kernel\":\t[5, 2, 3, 3]", "\"kernel\":\t[5, 2, 3]", "layer 0 'kernel'"},
    {"\"kernel\":\t[5, 2, 3, 3]", "\"kernel\":\t[5, 2, 3, 9999999999]", "layer 0 'kernel'"},
    {"\"groups\":\t1", "\"groups\":\t268435456", "layer 0 'groups'"},
    {"\"transposed\":\tfalse", "\"transposed\":\t0", "layer 0 'transposed'"},
    {"\"method\":\t\"symbol\"", "\"method\":\t\"word\"", "'s proof 'method' is"},
    {"\"torus\":\t[", "\"torus\":\t[3, ", "layer 0's proof 'torus'"},
    {"\"shifted\":\t[", "\"shifted\":\t[true, ", "layer 0's proof 'shifted'"},
    {"\"shifted\":\t[false", "\"shifted\":\t[0", "layer 0's proof 'shifted'"},
    {"\"shifted\":\t[false", "\"shifted\":\t[true", "SHA-256"},
    {"\"name\":\t\"blocks.0\"", "\"name\":\t7", "block 0 'name'"},
    {"\"dimension\":\t48", "\"dimension\":\t0", "block 0 'dimension'"},
    {"\"library\":\t\"", "\"library\":\t\"0123456789012345678901234567890123456789012345678901234",
     "'library'"},
    {"\"blocks\":\t[{", "\"blocks\":\t[7, {", "block 0: is no JSON object"},
    {"\"blocks\":\t[{", "\"blocks\":\t[[{\"name\": 3}], {", "block 0: is no JSON object"},
    {"\"layers\":\t[", "\"layers\":\t7, \"l\":\t[", "'layers' is 7"},
    {"\"method\":\t\"At every", "\"method\":\t\"At some", "'method'"},
    {"\"sha256\":\t\"", "\"sha256\":\t\"0", "SHA-256"},
    {"\t\"verdict\"", "  \"verdict\"", "line 2 is not"},
    {"{\n", "[{\n", "JSON"},
    {"}\n", "}\n}", "JSON"},
};

START_TEST(strictness)
{
    const char *json;
    size_t size;
    irn_certificate *certificate;
    some_file(0, &json);
    char *text = text_of(json, &size);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        const edit *e = &edits[i];
        char *edited = calloc(size + strlen(e->to) + 1, 1), *at = strstr(text, e->from);
        if (strcmp(e->from, "}\n") == 0) /* the last */
            at = text + size - 2;
        ck_assert_msg(at != NULL, "no %s in the certificate", e->from);
        int length =
            sprintf(edited, "%.*s%s%s", (int)(at - text), text, e->to, at + strlen(e->from));
        testing_fails(irn_certificate_parse(&certificate, edited, (size_t)length, "c.json"),
                      IRN_ERROR_FORMAT, e->words);
        testing_fails(irn_certificate_parse(&certificate, edited, (size_t)length, "c.json"),
                      IRN_ERROR_FORMAT, "c.json");
        ck_assert_ptr_null(certificate);
        free(edited);
    }
    free(text);
    host_free_all();
}
END_TEST

START_TEST(masses)
{
    const size_t size = 9000000;
    const char *const pieces[] = {"[", "[],", "{\"layers\":", "\xff", " "};
    irn_certificate *certificate;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        char *text = malloc(size + 1);
        for (size_t at = 0; at < size; at++)
            text[at] = pieces[i][at % strlen(pieces[i])];
        text[size] = '\0';
        testing_fails(irn_certificate_parse(&certificate, text, size, "c.json"), IRN_ERROR_FORMAT,
                      "c.json");
        free(text);
    }
    testing_fails(irn_certificate_parse(&certificate, "", 0, "c.json"), IRN_ERROR_FORMAT, "c.json");
    testing_fails(irn_certificate_parse(&certificate, "{}\0{}", 5, "c.json"), IRN_ERROR_FORMAT,
                  "UTF-8");
    testing_fails(irn_certificate_read(&certificate, testing_path("absent")), IRN_ERROR_FILE,
                  "absent");
}
END_TEST

/* ---- the rest ---- */

static bool stop(size_t done, size_t total, const char *what, void *payload)
{
    (void)what;
    ck_assert(done <= total);
    *(size_t *)payload = done;
    return done < 2;
}

START_TEST(arguments)
{
    const char *json, *path = some_file(0, &json);
    irn_certify_options options = IRN_CERTIFY_OPTIONS_INIT;
    irn_certificate *certificate;
    size_t done = 0;
    testing_ok(irn_certificate_read(&certificate, json));
    testing_fails(irn_certificate_verify(NULL, path, NULL), IRN_ERROR_ARGUMENT, "NULL");
    testing_fails(irn_certificate_verify(certificate, testing_path("absent"), NULL), IRN_ERROR_FILE,
                  "absent");
    testing_fails(irn_certificate_verify(certificate, json, NULL), IRN_ERROR_NOT_CERTIFIED,
                  "another file");
    options.progress = stop;
    options.progress_payload = &done;
    testing_fails(irn_certificate_verify(certificate, path, &options), IRN_ERROR_CANCELLED,
                  "2 of 9");
    ck_assert_uint_eq(done, 2);
    options.arithmetic = IRN_ARITHMETIC_DEVICE_FLOAT32;
    testing_fails(irn_certificate_verify(certificate, path, &options), IRN_ERROR_ARGUMENT, "host");
    irn_certificate_free(certificate);
    host_free_all();
}
END_TEST

/* Steps are enough, by long double, and hardly more than needed. */
START_TEST(steps)
{
    const double bounds[] = {0, 1e-300, 0.3, 0.9, 0.99, 0.999, 1 - 1e-6, 1 - 1e-9};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        size_t count = irn_inverse_steps(bounds[i], 1e-6);
        long double l = bounds[i], k = (long double)count;
        ck_assert(count > 0 && irn_inverse_steps_suffice(bounds[i], 1e-6, count));
        ck_assert(powl(l, k) / (1 - l) <= 1e-6L * (1 + 1e-9L));
        ck_assert(count == 1 || powl(l, 0.9999L * k - 2) / (1 - l) > 1e-6L);
        ck_assert(count == 1 ||
                  !irn_inverse_steps_suffice(bounds[i], 1e-6, count - count / 1000 - 2));
    }
    const double none[] = {1, 2, INFINITY, NAN, -1};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert(irn_inverse_steps(none[i], 1e-6) == 0 &&
                  !irn_inverse_steps_suffice(none[i], 1e-6, 1 << 20));
    ck_assert(irn_inverse_steps(0.5, 0) == 0 && irn_inverse_steps(0.5, NAN) == 0);
    ck_assert(irn_inverse_steps(0.5, 0.25) == 3 || irn_inverse_steps(0.5, 0.25) == 4);
    ck_assert_uint_eq(irn_inverse_steps(0.5, 8), 1);
    ck_assert_uint_eq(irn_inverse_steps(0.5, INFINITY), 1);
    ck_assert(irn_inverse_steps(0.5, 1e-12) > irn_inverse_steps(0.5, 1e-6));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("verify");
    TCase *test = testing_case(suite, "certificates");
    tcase_add_checked_fixture(test, open_context, close_context);
    tcase_set_timeout(test, 300);
    tcase_add_loop_test(test, honest, 0, 4);
    tcase_add_test(test, honest_no);
    tcase_add_loop_test(test, bytes, 0, 4);
    tcase_add_loop_test(test, forgeries, 0, 4);
    tcase_add_loop_test(test, strides, 2, 4);
    tcase_add_loop_test(test, changed_weights, 0, 4);
    tcase_add_test(test, strictness);
    tcase_add_test(test, masses);
    tcase_add_test(test, arguments);
    tcase_add_test(test, steps);
    return testing_run(suite);
}
