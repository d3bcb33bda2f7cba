/* Certificates of models: what follows from the bounds of their layers, and what threads have to
 * say. */
#include "devices.h"
#include "testing.h"

#include "flow/model.h"

#include <iresnet/certify.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
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

/* The network's bounds contain exp() of the scales, evaluated with more digits. */
START_TEST(scales)
{
    irn_model_config config;
    irn_model *model;
    irn_certificate *certificate;
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = 2;
    config.widths[0] = 4;
    config.coefficient = 0.5;
    testing_ok(irn_model_create(&model, context, &config));
    const irn_entry *entry = &model->parameters.entries[model->blocks[0].log_scale];
    for (int step = -40; step < 40; step++) {
        float values[2] = {(float)(0.0173 * step), (float)(0.0173 * step)};
        testing_ok(irn_arena_write(&model->parameters, model->single.parameters, entry, values));
        testing_ok(irn_certify_model(&certificate, model, NULL));
        long double lip = irn_certificate_block(certificate, 0).lipschitz_upper;
        long double scale = expl((long double)values[0]);
        ck_assert(irn_certificate_lipschitz_upper(certificate) >= (1 + lip) * scale);
        ck_assert(irn_certificate_inverse_lipschitz_upper(certificate) >= 1 / ((1 - lip) * scale));
        irn_certificate_free(certificate);
    }
    irn_model_free(model);
}
END_TEST

static void check_model(irn_model *model, bool certified)
{
    irn_certificate *certificate;
    testing_ok(irn_certify_model(&certificate, model, NULL));
    double forward = 1, inverse = 1;
    for (size_t i = 0; i < irn_certificate_block_count(certificate); i++) {
        double upper = irn_certificate_block(certificate, i).lipschitz_upper, product = 1;
        char prefix[32];
        snprintf(prefix, sizeof prefix, "blocks.%zu.", i);
        for (size_t l = 0; l < irn_certificate_layer_count(certificate); l++) {
            irn_layer_bound layer = irn_certificate_layer(certificate, l);
            ck_assert(layer.bound.lower <= layer.bound.upper);
            if (strncmp(layer.name, prefix, strlen(prefix)) == 0)
                product *= layer.bound.upper;
        }
        ck_assert(product <= upper && upper <= product * (1 + 1e-12));
        forward *= 1 + upper;
        inverse /= 1 - upper;
    }
    ck_assert(irn_certificate_verdict(certificate) == certified);
    if (certified) {
        ck_assert(irn_certificate_lipschitz_upper(certificate) >= forward * (1 - 1e-12));
        ck_assert(irn_certificate_inverse_lipschitz_upper(certificate) >= inverse * (1 - 1e-12));
    } else {
        ck_assert(isinf(irn_certificate_lipschitz_upper(certificate)));
        ck_assert(isinf(irn_certificate_inverse_lipschitz_upper(certificate)));
    }
    irn_certificate_free(certificate);
}

/* Random weights are normalised at c = 0.7 with room for what power iteration underestimates; an
 * ordinary residual network is not. */
START_TEST(models)
{
    irn_model_config config;
    irn_model *model;
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = 4;
    config.height = config.width = 6;
    config.coefficient = _i ? 0 : 0.7;
    config.widths[0] = 8;
    testing_ok(irn_model_create(&model, context, &config));
    ck_assert_uint_eq(irn_model_block_count(model), 1);
    check_model(model, _i == 0);
    irn_model_free(model);
}
END_TEST

typedef struct heard {
    pthread_t thread;
    int proofs, lost, elsewhere;
} heard;

static void hear(const char *message, void *payload)
{
    heard *h = payload;
    h->elsewhere += !pthread_equal(h->thread, pthread_self());
    h->proofs += strstr(message, "proof.cl") != NULL;
    h->lost += strstr(message, "could not be kept") != NULL;
}

/* What the threads of a certificate have to say, here of a cache that cannot be written, is said,
 * by the caller's thread. */
START_TEST(threads_log)
{
    heard h = {.thread = pthread_self()};
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    irn_certify_options how = IRN_CERTIFY_OPTIONS_INIT;
    irn_certificate *certificate;
    irn_context *own;
    irn_model_config config;
    irn_model *model;
    options.cache_dir = testing_write("file", "", 0);
    options.log = hear;
    options.log_payload = &h;
    how.arithmetic = IRN_ARITHMETIC_DEVICE_FLOAT32;
    if (!devices_prove(context, how.arithmetic))
        return;
    testing_ok(irn_context_create(&own, &options));
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = 4;
    config.height = config.width = 6;
    config.widths[0] = 8;
    testing_ok(irn_model_create(&model, own, &config));
    ck_assert_int_eq(h.proofs, 0);
    int lost = h.lost;
    testing_ok(irn_certify_model(&certificate, model, &how));
    ck_assert_int_ge(h.proofs, 1);
    ck_assert_int_gt(h.lost, lost);
    ck_assert_int_eq(h.elsewhere, 0);
    irn_certificate_free(certificate);
    irn_model_free(model);
    irn_context_free(own);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("certify-model");
    TCase *test = testing_case(suite, "certificates");
    tcase_add_checked_fixture(test, open_context, close_context);
    tcase_set_timeout(test, 300);
    tcase_add_test(test, scales);
    tcase_add_loop_test(test, models, 0, 2);
    tcase_add_test(test, threads_log);
    return testing_run(suite);
}
