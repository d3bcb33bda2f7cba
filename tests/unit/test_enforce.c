/* Models whose layers are too large become certified, and nothing else of them changes. */
#include "devices.h"

#include "flow/model.h"

#include <iresnet/certify.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

static irn_model_config small_config(void)
{
    irn_model_config config = devices_small_config(3, 6, 6);
    config.blocks[0] = 3;
    config.coefficient = 0.8;
    return config;
}

static irn_model *create(irn_context *context, const irn_model_config *config)
{
    irn_model *model;
    testing_ok(irn_model_create(&model, context, config));
    testing_ok(irn_model_power_iterate(model, 200));
    return model;
}

/* Kernel times factor, the scale as it was: what power iteration has not caught up with. */
static void inflate(irn_model *model, size_t index, float factor)
{
    const irn_layer *layer = irn_model_layer_at(model, index);
    const irn_entry *entry = &model->parameters.entries[layer->weight];
    float *kernel = host_floats(irn_entry_count(entry));
    testing_ok(irn_model_layer_weights(model, index, kernel));
    for (size_t i = 0; i < irn_entry_count(entry); i++)
        kernel[i] *= factor;
    testing_ok(irn_arena_write(&model->parameters, model->single.parameters, entry, kernel));
    irn_model_changed(model);
}

/* All entries of an arena, one after the other. */
static float *values_of(const irn_arena *arena, cl_mem buffer, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < arena->count; i++)
        *count += irn_entry_count(&arena->entries[i]);
    float *all = host_floats(*count), *at = all;
    for (size_t i = 0; i < arena->count; at += irn_entry_count(&arena->entries[i]), i++)
        testing_ok(irn_arena_read(arena, buffer, &arena->entries[i], at));
    return all;
}

typedef struct snapshot {
    float *parameters, *state;
    size_t parameter_count, state_count;
} snapshot;

static snapshot take(const irn_model *model)
{
    snapshot s;
    s.parameters = values_of(&model->parameters, model->single.parameters, &s.parameter_count);
    s.state = values_of(&model->state, model->single.state, &s.state_count);
    return s;
}

static bool same_bits(const float *a, const float *b, size_t count)
{
    return memcmp(a, b, count * sizeof *a) == 0;
}

static void check_same(const irn_model *model, const snapshot *before)
{
    snapshot now = take(model);
    ck_assert(same_bits(now.parameters, before->parameters, now.parameter_count));
    ck_assert(same_bits(now.state, before->state, now.state_count));
}

static size_t entry_offset(const irn_arena *arena, size_t entry)
{
    size_t offset = 0;
    for (size_t i = 0; i < entry; i++)
        offset += irn_entry_count(&arena->entries[i]);
    return offset;
}

/* Whether all differences from before are in kernels, sigmas and scales of layers that were said to
 * change; copies the kept values over them, and compares the rest. */
static void check_only_said(const irn_model *model, const snapshot *before,
                            const irn_certificate *certificate)
{
    snapshot now = take(model);
    for (size_t i = 0; i < irn_certificate_layer_count(certificate); i++) {
        irn_layer_bound bound = irn_certificate_layer(certificate, i);
        if (!(bound.upper_before > 0))
            continue;
        ck_assert(bound.bound.upper < bound.upper_before);
        const irn_layer *layer = irn_model_layer_at(model, i);
        size_t count = irn_entry_count(&model->parameters.entries[layer->weight]);
        size_t at = entry_offset(&model->parameters, layer->weight);
        ck_assert(!same_bits(now.parameters + at, before->parameters + at, count));
        memcpy(now.parameters + at, before->parameters + at, count * sizeof(float));
        const size_t numbers[] = {layer->sigma, layer->scale};
        for (size_t n = 0; n < 2; n++) {
            at = entry_offset(&model->state, numbers[n]);
            now.state[at] = before->state[at];
        }
    }
    ck_assert(same_bits(now.parameters, before->parameters, now.parameter_count));
    ck_assert(same_bits(now.state, before->state, now.state_count));
}

static void check_blocks(const irn_certificate *certificate, double most)
{
    ck_assert(irn_certificate_verdict(certificate));
    for (size_t i = 0; i < irn_certificate_block_count(certificate); i++)
        ck_assert(irn_certificate_block(certificate, i).lipschitz_upper <= most);
}

static float *encode(irn_model *model, size_t images)
{
    size_t size = irn_model_latent_size(model);
    float *x = host_floats(images * size), *z = host_floats(images * size);
    for (size_t i = 0; i < images * size; i++)
        x[i] = (float)sin(0.7 * (double)i);
    testing_ok(irn_model_encode(model, x, images, z));
    return z;
}

/* The inverse of F(x) is x, within what is proven of it. */
static void check_inverse(irn_model *model)
{
    enum { IMAGES = 2 };
    size_t size = irn_model_latent_size(model);
    float *z = encode(model, IMAGES), *back = host_floats(IMAGES * size);
    testing_ok(irn_model_decode(model, z, IMAGES, NULL, back, NULL, NULL));
    for (size_t i = 0; i < IMAGES * size; i++)
        ck_assert(fabs((double)back[i] - sin(0.7 * (double)i)) <= 1e-3);
}

/* Two layers of the middle block are far too large, one only a little; the common level leaves the
 * third alone. */
START_TEST(inflated_becomes_certified)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = small_config();
    irn_model *model = create(context, &config), *again;
    irn_certificate *certificate;
    size_t changed = 99;
    const double most = 0.7;
    encode(model, 2); /* actnorm takes its values */
    inflate(model, 3, 5);
    inflate(model, 4, 3);
    inflate(model, 5, 0.5f);
    inflate(model, 8, 1.5f);
    encode(model, 2); /* derives kernels, which must not stay */
    snapshot before = take(model);
    testing_ok(irn_certify_model(&certificate, model, NULL));
    ck_assert(!irn_certificate_verdict(certificate));
    irn_certificate_free(certificate);
    testing_ok(irn_certify_enforce(&certificate, model, most, NULL, &changed));
    check_blocks(certificate, most);
    check_only_said(model, &before, certificate);
    ck_assert_uint_eq(changed, 3);
    double first = irn_certificate_layer(certificate, 3).bound.upper;
    double second = irn_certificate_layer(certificate, 4).bound.upper;
    ck_assert(fabs(first / second - 1) <= 1e-5);
    ck_assert(irn_certificate_block(certificate, 1).lipschitz_upper >= most * (1 - 1e-4));
    ck_assert(irn_certificate_layer(certificate, 8).upper_before > 1);
    check_inverse(model);
    /* The file has the bounds, and they are the model's. */
    testing_ok(irn_model_save(model, testing_path("fixed.safetensors")));
    testing_ok(irn_model_load(&again, context, testing_path("fixed.safetensors")));
    for (size_t i = 0; i < irn_certificate_block_count(certificate); i++)
        ck_assert(again->blocks[i].lipschitz_upper ==
                  irn_certificate_block(certificate, i).lipschitz_upper);
    irn_certificate_free(certificate);
    ck_assert(same_bits(encode(model, 2), encode(again, 2), 2 * irn_model_latent_size(model)));
    testing_ok(irn_certify_enforce(&certificate, again, most, NULL, &changed));
    ck_assert_uint_eq(changed, 0);
    irn_certificate_free(certificate);
    irn_model_free(again);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

START_TEST(certified_stays)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = small_config();
    irn_model *model = create(context, &config);
    irn_certificate *certificate;
    size_t changed = 99;
    snapshot before = take(model);
    testing_ok(irn_certify_enforce(&certificate, model, 0.9, NULL, &changed));
    ck_assert_uint_eq(changed, 0);
    check_blocks(certificate, 0.9);
    check_same(model, &before);
    irn_certificate_free(certificate);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* With eps, as in the official code; a level above the coefficient, in blocks of one layer, and
 * below it; scales from a stale estimate. */
START_TEST(power_iteration_does_not_undo)
{
    const struct {
        size_t layers;
        double most, epsilon;
    } cases[] = {{3, 0.4, 0}, {1, 0.95, 0}, {1, 0.3, 0}, {3, 0.4, 1e-3}};
    irn_context *context = devices_open(0);
    irn_model_config config = small_config();
    config.layers = cases[_i].layers;
    config.sigma_epsilon = cases[_i].epsilon;
    irn_model *model = create(context, &config);
    irn_certificate *certificate;
    size_t changed;
    for (size_t i = 0; i < irn_model_layer_count(model); i++)
        inflate(model, i, 6);
    testing_ok(irn_certify_enforce(&certificate, model, cases[_i].most, NULL, &changed));
    check_blocks(certificate, cases[_i].most);
    ck_assert_uint_eq(changed, irn_model_layer_count(model));
    irn_certificate_free(certificate);
    double at_rest = 1 / (1 + config.sigma_epsilon);
    for (size_t i = 0; i < irn_model_layer_count(model); i++) {
        irn_layer_view view;
        testing_ok(irn_model_layer(model, i, &view));
        ck_assert(fabs(view.scale - (view.kernel > 1 ? at_rest : 1)) <= 1e-7);
    }
    testing_ok(irn_model_power_iterate(model, 50));
    testing_ok(irn_certify_model(&certificate, model, NULL));
    check_blocks(certificate, cases[_i].most * (1 + 1e-6));
    irn_certificate_free(certificate);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* Without normalisation, and where one layer of a block is zero. */
START_TEST(ordinary_networks)
{
    irn_context *context = devices_open(0);
    irn_model_config config = small_config();
    config.coefficient = 0;
    irn_model *model = create(context, &config);
    irn_certificate *certificate;
    size_t changed;
    for (size_t i = 0; i < irn_model_layer_count(model); i++)
        inflate(model, i, i == 4 ? 0 : 20);
    testing_ok(irn_certify_enforce(&certificate, model, 0.9, NULL, &changed));
    check_blocks(certificate, 0.9);
    ck_assert_uint_eq(changed, 6); /* the block with the zero layer has g = const */
    irn_certificate_free(certificate);
    check_inverse(model);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

typedef struct countdown {
    size_t calls, last;
} countdown;

static bool stop(size_t done, size_t total, const char *what, void *payload)
{
    countdown *left = payload;
    (void)done;
    (void)total;
    (void)what;
    return ++left->calls <= left->last;
}

/* Cancelled in the certification after the change: the model is as it was, bounds included. */
START_TEST(failure_changes_nothing)
{
    irn_context *context = devices_open(0);
    irn_model_config config = small_config();
    irn_model *model = create(context, &config);
    irn_certificate *certificate;
    irn_certify_options options = IRN_CERTIFY_OPTIONS_INIT;
    size_t changed = 99;
    inflate(model, 1, 4);
    irn_model_set_lipschitz(model, 2, 0.25);
    snapshot before = take(model);
    countdown left = {.last = irn_model_layer_count(model) + 4};
    options.progress = stop;
    options.progress_payload = &left;
    testing_fails(irn_certify_enforce(&certificate, model, 0.5, &options, &changed),
                  IRN_ERROR_CANCELLED, "cancelled");
    ck_assert_uint_eq(changed, 99);
    ck_assert_ptr_null(certificate);
    check_same(model, &before);
    ck_assert(isnan(model->blocks[0].lipschitz_upper));
    ck_assert(model->blocks[2].lipschitz_upper == 0.25);
    const double limits[] = {0, 1, -1, NAN, INFINITY};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        testing_fails(irn_certify_enforce(&certificate, model, limits[i], NULL, NULL),
                      IRN_ERROR_ARGUMENT, "above 0 and below 1");
    testing_fails(irn_certify_enforce(&certificate, NULL, 0.5, NULL, NULL), IRN_ERROR_ARGUMENT,
                  "NULL");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* A kernel that is not finite is no kernel of a large norm. */
START_TEST(not_finite)
{
    irn_context *context = devices_open(0);
    irn_model_config config = small_config();
    irn_model *model = create(context, &config);
    irn_certificate *certificate;
    inflate(model, 2, INFINITY);
    testing_fails(irn_certify_enforce(&certificate, model, 0.5, NULL, NULL), IRN_ERROR_NUMERIC,
                  "blocks.0.conv2");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("enforce");
    TCase *test = devices_case(suite, "enforce");
    tcase_set_timeout(test, 300);
    devices_add(test, inflated_becomes_certified);
    devices_add(test, certified_stays);
    tcase_add_loop_test(test, power_iteration_does_not_undo, 0, 4);
    tcase_add_test(test, ordinary_networks);
    tcase_add_test(test, failure_changes_nothing);
    tcase_add_test(test, not_finite);
    return testing_run(suite);
}
