/* Certificates whose hash is right and whose claims are not. */
#include "certified.h"
#include "host.h"
#include "testing.h"

#include "base/round.h"
#include "certify/certificate_json.h"
#include "io/sha256.h"
#include "io/safetensors.h"

#include <math.h>
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

/* ---- forgeries ---- */

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
        testing_ok(irn_certificate_set_weights(c, &certified_setting));
}

static void no_file(irn_certificate *c)
{
    c->model_sha256[0] = '\0';
}

static void no_layers(irn_certificate *c)
{
    while (c->layer_count > 0)
        drop_layer(c);
    testing_ok(irn_certificate_set_weights(c, &certified_setting));
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
    const char *json, *path = certified_file(context, _i, &json);
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
    const char *json, *path = certified_file(context, _i, &json);
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
    const char *json, *path = certified_file(context, _i, &json);
    irn_certificate *certificate;
    irn_safetensors *file;
    irn_array view;
    size_t size;
    char *text = certified_text(path, &size), *copy = certified_text(path, &size);
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
int main(void)
{
    Suite *suite = suite_create("forgery");
    TCase *test = testing_case(suite, "certificates");
    tcase_add_checked_fixture(test, open_context, close_context);
    tcase_set_timeout(test, 300);
    tcase_add_loop_test(test, forgeries, 0, 4);
    tcase_add_loop_test(test, strides, 2, 4);
    tcase_add_loop_test(test, changed_weights, 0, 4);
    return testing_run(suite);
}
