/* Certificates of weights files and models, and their JSON. */
#include "testing.h"

#include "certify/bound.h"
#include "certify/certificate.h"
#include "io/file.h"
#include "io/safetensors.h"

#include <iresnet/certify.h>

#include <cjson/cJSON.h>
#include <fenv.h>
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
    ck_assert_uint_eq(irn_context_memory(context), 0);
    irn_context_free(context);
}

static void add(irn_safetensors_writer *writer, const char *name, irn_dtype type, size_t rank,
                const size_t *shape, double value)
{
    irn_array array;
    testing_ok(irn_array_create(&array, type, rank, shape));
    for (size_t i = 0; i < irn_array_count(&array); i++) {
        if (type == IRN_FLOAT64)
            ((double *)array.data)[i] = value;
        if (type == IRN_FLOAT32)
            ((float *)array.data)[i] = (float)value;
    }
    testing_ok(irn_safetensors_add(writer, name, &array));
    irn_array_free(&array);
}

/* A bias, integers, a 2 x 3 matrix of quarters (norm sqrt(6) / 4) and a 3 x 3 kernel on one channel
 * of `value` (on a large map norm 9 value, circular exactly). */
static const char *weights_file(double value)
{
    const char *path = testing_path("weights.safetensors");
    const size_t bias[] = {4}, matrix[] = {2, 3}, kernel[] = {1, 1, 3, 3};
    irn_safetensors_writer *writer;
    testing_ok(irn_safetensors_writer_create(&writer));
    add(writer, "bias", IRN_FLOAT32, 1, bias, 5);
    add(writer, "index", IRN_INT64, 2, matrix, 0);
    add(writer, "dense", IRN_FLOAT64, 2, matrix, 0.25);
    add(writer, "conv \"0\"", IRN_FLOAT32, 4, kernel, value);
    testing_ok(irn_safetensors_write(writer, path));
    irn_safetensors_writer_free(writer);
    return path;
}

/* Layers on a map of `height` rows and 6 columns (4 x 4 if that is 4); valid until the next call.
 */
static const irn_weights_options *described(irn_padding padding, size_t height, double below)
{
    static irn_weights_options options;
    options = (irn_weights_options)IRN_WEIGHTS_OPTIONS_INIT;
    options.padding = padding;
    options.height = height;
    options.width = height == 4 ? 4 : 6;
    options.below = below;
    return &options;
}

static const irn_weights_options *zeros(size_t height, double below)
{
    return described(IRN_PAD_ZEROS, height, below);
}

static const irn_weights_options *circular(size_t height, double below)
{
    return described(IRN_PAD_CIRCULAR, height, below);
}

static cJSON *read_json(const char *path)
{
    uint8_t *text;
    size_t size;
    testing_ok(irn_file_read(&text, &size, path, 1 << 20, false));
    cJSON *json = cJSON_Parse((const char *)text);
    ck_assert_ptr_nonnull(json);
    free(text);
    return json;
}

static const char *text_of(const cJSON *json, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));
    ck_assert_ptr_nonnull(text);
    return text;
}

static void check_layers(const irn_certificate *certificate, const cJSON *layers)
{
    const double norms[] = {sqrt(6) / 4, 0.5625};
    const char *names[] = {"dense", "conv \"0\""};
    ck_assert_int_eq(cJSON_GetArraySize(layers), 2);
    ck_assert_uint_eq(irn_certificate_layer_count(certificate), 2);
    for (size_t i = 0; i < 2; i++) {
        irn_layer_bound layer = irn_certificate_layer(certificate, i);
        size_t which = strcmp(layer.name, "dense") == 0 ? 0 : 1;
        const cJSON *object = cJSON_GetArrayItem(layers, (int)i);
        ck_assert_str_eq(layer.name, names[which]);
        ck_assert_str_eq(text_of(object, "name"), names[which]);
        ck_assert(layer.bound.lower <= norms[which] && norms[which] <= layer.bound.upper);
        ck_assert(layer.bound.upper <= norms[which] * 1.00000002);
        ck_assert_uint_eq(layer.shape.height, which ? 6 : 1);
        /* Exactly: the text holds every bit. */
        ck_assert(cJSON_GetObjectItem(object, "upper")->valuedouble == layer.bound.upper);
        ck_assert(cJSON_GetObjectItem(object, "lower")->valuedouble == layer.bound.lower);
        const cJSON *kernel = cJSON_GetObjectItem(object, "kernel");
        ck_assert_int_eq(cJSON_GetArraySize(kernel), 4);
        ck_assert_int_eq(cJSON_GetArrayItem(kernel, 1)->valueint, which ? 1 : 3);
    }
}

START_TEST(weights)
{
    const char *path = weights_file(0.0625), *json_path = testing_path("certificate.json");
    irn_certificate *certificate;
    testing_ok(irn_certify_weights(&certificate, context, path, circular(6, 1), NULL));
    ck_assert(irn_certificate_verdict(certificate));
    ck_assert_uint_eq(irn_certificate_block_count(certificate), 0);
    ck_assert_ptr_null(irn_certificate_layer(certificate, 2).name);
    testing_ok(irn_certificate_write(certificate, path, json_path));
    cJSON *json = read_json(json_path);
    ck_assert_str_eq(text_of(json, "verdict"), "certified");
    ck_assert_str_eq(text_of(json, "padding"), "circular");
    ck_assert_str_eq(text_of(json, "precision"), "float64");
    ck_assert_uint_eq(strlen(text_of(json, "model_sha256")), 64);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(json, "blocks")), 0);
    check_layers(certificate, cJSON_GetObjectItem(json, "layers"));
    cJSON_Delete(json);
    testing_fails(irn_certificate_write(certificate, testing_path("absent"), json_path),
                  IRN_ERROR_FILE, "absent");
    irn_certificate_free(certificate);
    testing_ok(irn_certify_weights(&certificate, context, path, circular(6, sqrt(6) / 4), NULL));
    ck_assert(!irn_certificate_verdict(certificate)); /* a norm is not proven to be below itself */
    irn_certificate_free(certificate);
}
END_TEST

static irn_bound bound_of(const irn_certificate *certificate, const char *name)
{
    for (size_t i = 0; i < irn_certificate_layer_count(certificate); i++) {
        irn_layer_bound layer = irn_certificate_layer(certificate, i);
        if (strcmp(layer.name, name) == 0)
            return layer.bound;
    }
    ck_abort_msg("no layer %s", name);
    return (irn_bound){0, 0};
}

/* Kernels before the normalisation of the official code: a 2 x 2 matrix of norm 4 whose estimate is
 * 3, a 3 x 3 kernel of circular norm 4.5 with the same, one below the coefficient, and one without
 * an estimate. */
static const char *normalised_file(const char *config)
{
    const char *path = testing_path("official.safetensors");
    const size_t one[] = {1}, matrix[] = {2, 2}, kernel[] = {1, 1, 3, 3};
    irn_safetensors_writer *writer;
    testing_ok(irn_safetensors_writer_create(&writer));
    add(writer, "dense.weight_orig", IRN_FLOAT32, 2, matrix, 2);
    add(writer, "dense.weight_sigma", IRN_FLOAT32, 1, one, 3);
    add(writer, "conv.weight_orig", IRN_FLOAT32, 4, kernel, 0.5);
    add(writer, "conv.weight_sigma", IRN_FLOAT64, 1, one, 3);
    add(writer, "small.weight_orig", IRN_FLOAT32, 4, kernel, 0.5);
    add(writer, "small.weight_sigma", IRN_FLOAT32, 0, one, 0.5);
    add(writer, "bare_orig", IRN_FLOAT32, 2, matrix, 2);
    if (config)
        testing_ok(irn_safetensors_add_metadata(writer, "config", config));
    testing_ok(irn_safetensors_write(writer, path));
    irn_safetensors_writer_free(writer);
    return path;
}

static void check_norm(const irn_certificate *certificate, const char *name, double norm)
{
    irn_bound bound = bound_of(certificate, name);
    const double scale = 1e-9;
    ck_assert_msg(bound.lower <= norm * (1 + scale) && bound.upper >= norm * (1 - scale) &&
                      bound.upper <= norm * (1 + scale),
                  "%s: %.9g to %.9g, not %.9g", name, bound.lower, bound.upper, norm);
}

START_TEST(normalised_kernels)
{
    const char *config = "{\"coeff\": 0.75, \"eps\": 0.25}";
    const char *path = normalised_file(_i ? config : NULL);
    irn_weights_options how = *circular(6, 10);
    irn_certificate *certificate;
    irn_array values;
    if (!_i) {
        testing_fails(irn_certify_weights(&certificate, context, path, &how, NULL),
                      IRN_ERROR_ARGUMENT, "before its normalisation");
        how.coefficient = 0.75;
        how.epsilon = 0.25;
    }
    testing_ok(irn_certify_weights(&certificate, context, path, &how, NULL));
    check_norm(certificate, "dense.weight_orig", 4 / (3 / 0.75));
    check_norm(certificate, "conv.weight_orig", 4.5 / (3 / 0.75 + 0.25));
    check_norm(certificate, "small.weight_orig", 4.5 / 1.25);
    check_norm(certificate, "bare_orig", 4);
    irn_certificate_free(certificate);
    testing_ok(irn_weights_singular_values(&values, context, path, "conv.weight_orig", &how));
    ck_assert(fabs(*(double *)values.data - 4.5 / 4.25) <= 1e-6);
    irn_array_free(&values);
    how.coefficient = 1.5; /* what is given rules */
    how.epsilon = 0;
    testing_ok(irn_certify_weights(&certificate, context, path, &how, NULL));
    check_norm(certificate, "conv.weight_orig", 4.5 / 2);
    irn_certificate_free(certificate);
    testing_fails(irn_certify_weights(&certificate, context,
                                      normalised_file("{\"coeff\": 0, \"eps\": 0}"),
                                      circular(6, 10), NULL),
                  IRN_ERROR_FORMAT, "coeff");
}
END_TEST

/* Bounds are of the quotient itself, not of one that was rounded: to float32 the first two give
 * scales of which the layer's norm is not below. */
START_TEST(exact_normalisation)
{
    const double sigmas[] = {2.958156108856201, 1.7, 3, 0x1.fffffffffffffp0};
    const double kernel = 3.2868402004241943, coefficient = 0.9;
    const size_t one[] = {1, 1};
    for (size_t i = 0; i < sizeof sigmas / sizeof *sigmas; i++) {
        const char *path = testing_path("exact.safetensors");
        irn_weights_options how = *circular(1, 1);
        irn_safetensors_writer *writer;
        irn_certificate *certificate;
        testing_ok(irn_safetensors_writer_create(&writer));
        add(writer, "w_orig", IRN_FLOAT32, 2, one, kernel);
        add(writer, "w_sigma", IRN_FLOAT64, 1, one, sigmas[i]);
        testing_ok(irn_safetensors_write(writer, path));
        irn_safetensors_writer_free(writer);
        how.coefficient = coefficient;
        how.epsilon = 0;
        testing_ok(irn_certify_weights(&certificate, context, path, &how, NULL));
        how.coefficient = 1e-308; /* the quotient overflows, and 0 would be a bound of nothing */
        irn_certificate *none;
        testing_fails(irn_certify_weights(&none, context, path, &how, NULL), IRN_ERROR_NUMERIC,
                      "w_orig: is normalised by sigma");
        irn_layer_bound layer = irn_certificate_layer(certificate, 0);
        long double norm = (long double)(float)kernel / ((long double)sigmas[i] / coefficient);
        ck_assert(layer.bound.lower <= norm && norm <= layer.bound.upper);
        ck_assert(layer.bound.upper >= layer.kernel_upper * layer.scale * (1 + 0x1p-52));
        irn_certificate_free(certificate);
    }
}
END_TEST

START_TEST(chosen_layers)
{
    const char *path = weights_file(0.0625);
    irn_weights_options how = *circular(6, 1);
    irn_certificate *certificate;
    how.pattern = "conv*";
    testing_ok(irn_certify_weights(&certificate, context, path, &how, NULL));
    ck_assert_uint_eq(irn_certificate_layer_count(certificate), 1);
    ck_assert_str_eq(irn_certificate_layer(certificate, 0).name, "conv \"0\"");
    irn_certificate_free(certificate);
    how.pattern = "[abi]*";
    testing_fails(irn_certify_weights(&certificate, context, path, &how, NULL), IRN_ERROR_FORMAT,
                  "of a name like '[abi]*'");
    how.pattern = NULL;
    how.version = 7;
    testing_fails(irn_certify_weights(&certificate, context, path, &how, NULL), IRN_ERROR_ARGUMENT,
                  "irn_weights_options");
    how = *circular(6, 1);
    how.coefficient = -1;
    testing_fails(irn_certify_weights(&certificate, context, path, &how, NULL), IRN_ERROR_ARGUMENT,
                  "coefficient -1");
    how = *circular(6, 1);
    how.groups = SIZE_MAX / 2;
    testing_fails(irn_certify_weights(&certificate, context, path, &how, NULL), IRN_ERROR_ARGUMENT,
                  "conv");
}
END_TEST

/* A kernel of rank 3 is one of a row. */
START_TEST(rows)
{
    const char *path = testing_path("rows.safetensors");
    const size_t row[] = {2, 1, 3};
    irn_weights_options how = *circular(6, 10);
    irn_safetensors_writer *writer;
    irn_certificate *certificate;
    testing_ok(irn_safetensors_writer_create(&writer));
    add(writer, "row", IRN_FLOAT32, 3, row, 0.5);
    testing_ok(irn_safetensors_write(writer, path));
    irn_safetensors_writer_free(writer);
    testing_ok(irn_certify_weights(&certificate, context, path, &how, NULL));
    check_norm(certificate, "row", 1.5 * sqrt(2));
    irn_kernel_shape shape = irn_certificate_layer(certificate, 0).shape;
    ck_assert_uint_eq(shape.kernel_height, 1);
    ck_assert_uint_eq(shape.kernel_width, 3);
    ck_assert_uint_eq(shape.height, 1);
    ck_assert_uint_eq(shape.width, 6);
    ck_assert_uint_eq(shape.stride, 1);
    irn_certificate_free(certificate);
}
END_TEST

static bool stop(size_t done, size_t total, const char *what, void *payload)
{
    (void)total;
    (void)what;
    *(size_t *)payload = done;
    return done < 2;
}

START_TEST(weights_refused)
{
    irn_certificate *certificate;
    const char *path = weights_file(NAN);
    size_t done = 0;
    irn_certify_options options = IRN_CERTIFY_OPTIONS_INIT;
    testing_fails(irn_certify_weights(&certificate, context, path, zeros(6, 1), NULL),
                  IRN_ERROR_NUMERIC, "conv");
    ck_assert_ptr_null(certificate);
    path = weights_file(1);
    testing_fails(irn_certify_weights(&certificate, context, path, zeros(0, 1), NULL),
                  IRN_ERROR_ARGUMENT, "0x6 map");
    testing_fails(irn_certify_weights(&certificate, context, path, zeros(6, NAN), NULL),
                  IRN_ERROR_ARGUMENT, "below");
    options.progress = stop;
    options.progress_payload = &done;
    testing_fails(irn_certify_weights(&certificate, context, path, zeros(6, 1), &options),
                  IRN_ERROR_CANCELLED, "2 of 4");
    ck_assert_uint_eq(done, 2);
    options.version = 9;
    testing_fails(irn_certify_weights(&certificate, context, path, zeros(6, 1), &options),
                  IRN_ERROR_ARGUMENT, "version 9");
    ck_assert_uint_eq(testing_count_files(), 1);
}
END_TEST

/* The verdict and the text of a certificate with an infinite or undefined bound. */
START_TEST(not_a_number)
{
    const double uppers[] = {NAN, INFINITY, 1};
    irn_kernel_shape shape = {1, 1, 1, 1, 1, 1, IRN_PAD_ZEROS, 1, 1, 1, false};
    irn_certificate *certificate;
    testing_ok(irn_certificate_create(&certificate, context, 1, 1));
    certificate->of_model = true;
    irn_layer_bound layer = {.name = "a", .shape = shape, .bound = {0, uppers[_i]}};
    irn_block_bound bound = irn_block_bound_of("b", uppers[_i], 4);
    testing_ok(irn_certificate_add_layer(certificate, &layer));
    testing_ok(irn_certificate_add_block(certificate, &bound));
    irn_certificate_judge(certificate);
    ck_assert(!irn_certificate_verdict(certificate));
    testing_ok(irn_certificate_write(certificate, NULL, testing_path("c.json")));
    cJSON *json = read_json(testing_path("c.json"));
    ck_assert_str_eq(text_of(json, "verdict"), "not certified");
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(json, "model_sha256")));
    const cJSON *block = cJSON_GetArrayItem(cJSON_GetObjectItem(json, "blocks"), 0);
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(block, "lipschitz_upper")) == (_i < 2));
    cJSON_Delete(json);
    irn_certificate_free(certificate);
}
END_TEST

START_TEST(rounding)
{
    ck_assert(irn_round_up(1) > 1 && irn_round_down(1) < 1 && irn_round_up(0) > 0);
    irn_bound scaled = irn_bound_scaled((irn_bound){0.5, 0.75}, -0.5);
    ck_assert(scaled.lower < 0.25 && scaled.lower > 0.2499999);
    ck_assert(scaled.upper > 0.375 && scaled.upper < 0.3750001);
    scaled = irn_bound_scaled((irn_bound){0, 0}, 1e300);
    ck_assert(scaled.lower >= 0 && scaled.upper <= 0);
    scaled = irn_bound_scaled((irn_bound){1e-300, 1e-300}, 1e-300);
    ck_assert(scaled.lower >= 0 && scaled.upper > 0);
}
END_TEST

/* Kernels of float64 files on a 2 x 2 map, where the outer taps of a 5 x 5 kernel never act: those
 * that do keep their bits whatever stands outside, and however small they are. */
START_TEST(wide_range)
{
    const double acting[] = {1e-20, 1e-310, 5e-324, 1e-20, 1e300, DBL_MAX};
    const double idle[] = {1e300, 1, DBL_MAX, 0, 1e-300, DBL_MAX};
    irn_kernel_shape shape = {1, 1, 5, 5, 2, 2, IRN_PAD_ZEROS, 1, 1, 1, false};
    double kernel[25] = {0};
    irn_proof proof;
    irn_bound bound;
    kernel[0] = kernel[4] = kernel[24] = idle[_i];
    kernel[12] = -acting[_i]; /* the layer is this multiple of the identity */
    testing_ok(irn_bound_kernel(&bound, &proof, context, 0, kernel, &shape, "test"));
    ck_assert(bound.lower <= acting[_i] && acting[_i] <= bound.upper);
    ck_assert(bound.upper <= acting[_i] * (1 + 1e-6) + 5e-324 || acting[_i] >= DBL_MAX);
    ck_assert(bound.lower >= acting[_i] * (1 - 1e-6) - 5e-324);
    kernel[12] = 0;
    testing_ok(irn_bound_kernel(&bound, &proof, context, 0, kernel, &shape, "test"));
    ck_assert(bound.lower >= 0 && bound.upper <= 0);
    kernel[4] = INFINITY;
    testing_fails(irn_bound_kernel(&bound, &proof, context, 0, kernel, &shape, "test"),
                  IRN_ERROR_NUMERIC, "value 4 of 25");
}
END_TEST

/* A float64 file's singular values do not pass through float32. */
START_TEST(small_singular_values)
{
    const char *path = testing_path("tiny.safetensors");
    const size_t kernel[] = {1, 1, 3, 3};
    irn_safetensors_writer *writer;
    irn_array values;
    testing_ok(irn_safetensors_writer_create(&writer));
    add(writer, "tiny", IRN_FLOAT64, 4, kernel, 1e-60);
    testing_ok(irn_safetensors_write(writer, path));
    irn_safetensors_writer_free(writer);
    testing_ok(irn_weights_singular_values(&values, context, path, "tiny", circular(4, 1)));
    ck_assert_uint_eq(irn_array_count(&values), 16);
    ck_assert(fabs(*(double *)values.data - 9e-60) <= 1e-70);
    irn_array_free(&values);
    testing_fails(irn_weights_singular_values(&values, context, path, "tiny", zeros(0, 1)),
                  IRN_ERROR_ARGUMENT, "0x6 map");
}
END_TEST

/* A driver that ends loops early proves nothing, and without being told so nothing rests on it. */
START_TEST(loops)
{
    const irn_kernel_shape shape = {2, 2, 3, 3, 90, 90, IRN_PAD_CIRCULAR, 1, 1, 1, false};
    double kernel[36] = {1};
    irn_proof proof;
    irn_bound bound;
    bool whole;
    testing_ok(irn_context_loops(context, &whole));
    irn_loops found = context->loops;
    ck_assert(found == (whole ? IRN_LOOPS_WHOLE : IRN_LOOPS_CUT));
    context->loops = IRN_LOOPS_CUT;
    testing_fails(irn_bound_kernel(&bound, &proof, context, IRN_ARITHMETIC_DEVICE_FLOAT32, kernel,
                                   &shape, "kernel"),
                  IRN_ERROR_UNSUPPORTED, "ends long loops early");
    testing_ok(
        irn_bound_kernel(&bound, &proof, context, IRN_ARITHMETIC_AUTO, kernel, &shape, "kernel"));
    ck_assert(proof.arithmetic == IRN_ARITHMETIC_HOST_FLOAT64);
    context->loops = found;
}
END_TEST

START_TEST(modes)
{
    const irn_kernel_shape shape = {1, 1, 1, 1, 1, 1, IRN_PAD_CIRCULAR, 1, 1, 1, false};
    const float kernel[1] = {1};
    irn_bound bound;
    ck_assert(fesetround(FE_DOWNWARD) == 0);
    irn_status status = irn_prove_kernel(&bound, kernel, &shape);
    ck_assert(fesetround(FE_TONEAREST) == 0);
    ck_assert(status == IRN_ERROR_UNSUPPORTED);
    testing_ok(irn_prove_kernel(&bound, kernel, &shape));
}
END_TEST

START_TEST(large_maps)
{
    const irn_kernel_shape shape = {4, 4, 3, 3, 20000, 20000, IRN_PAD_ZEROS, 1, 1, 1, false};
    float kernel[144] = {1};
    irn_bound bound;
    testing_fails(irn_prove_kernel(&bound, kernel, &shape), IRN_ERROR_ARGUMENT, "--size any");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("certify");
    TCase *test = testing_case(suite, "certificates");
    tcase_add_checked_fixture(test, open_context, close_context);
    tcase_set_timeout(test, 300);
    tcase_add_test(test, weights);
    tcase_add_test(test, weights_refused);
    tcase_add_loop_test(test, normalised_kernels, 0, 2);
    tcase_add_test(test, exact_normalisation);
    tcase_add_test(test, chosen_layers);
    tcase_add_test(test, rows);
    tcase_add_loop_test(test, not_a_number, 0, 3);
    tcase_add_test(test, rounding);
    tcase_add_loop_test(test, wide_range, 0, 6);
    tcase_add_test(test, small_singular_values);
    tcase_add_test(test, loops);
    tcase_add_test(test, modes);
    tcase_add_test(test, large_maps);
    return testing_run(suite);
}
