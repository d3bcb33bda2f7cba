/* Extreme singular values of networks' Jacobians against an SVD of the whole Jacobian in double
 * precision, and against what is certified about them. */
#include "blocks.h"

#include "flow/latents.h"
#include "oracle/elementwise.h"

#include <iresnet/certify.h>
#include <iresnet/conditioning.h>
#include <lapacke.h>
#include <math.h>
#include <string.h>

/* ---- networks ---- */

static irn_model_config dense(void)
{
    irn_model_config config = devices_small_config(10, 1, 1);
    config.blocks[0] = 3;
    config.layers = 2;
    config.kernels[0] = config.kernels[1] = 1;
    config.coefficient = 0.9;
    return config;
}

/* Channels are padded, and the blocks have a single layer. */
static irn_model_config convolutional(void)
{
    irn_model_config config = devices_small_config(2, 4, 4);
    config.pad_channels = 2;
    config.blocks[0] = 3;
    config.layers = 1;
    config.kernels[0] = 3;
    return config;
}

static irn_model_config multiscale(void)
{
    irn_model_config config = devices_small_config(1, 8, 8);
    config.multiscale = true;
    config.stages = 3;
    for (size_t s = 0; s < 3; s++) {
        config.blocks[s] = s == 0 ? 2 : 1;
        config.widths[s] = 10;
        config.strides[s] = s == 1 ? 1 : 2;
    }
    return config;
}

typedef irn_model_config network(void);
static network *const networks[] = {dense, convolutional, multiscale};
enum { NETWORKS = sizeof networks / sizeof *networks };

static size_t input_size(const irn_model_config *config)
{
    return config->channels * config->height * config->width;
}

/* All kernels are divided by their norms, and actnorm has the values that a batch gave it. */
static irn_model *create(irn_context *context, const irn_model_config *config)
{
    enum { BATCH = 32 };
    irn_model *model;
    size_t size = input_size(config);
    double *x = host_normal(BATCH * size);
    for (size_t i = 0; i < BATCH * size; i++)
        x[i] *= 0.5 + (double)(i % 3);
    testing_ok(irn_model_create(&model, context, config));
    blocks_enlarge(model, 4);
    float *z = host_floats(BATCH * irn_model_latent_size(model));
    testing_ok(irn_model_encode(model, host_narrow(x, BATCH * size), BATCH, z));
    return model;
}

static void certify(irn_model *model)
{
    irn_certificate *certificate;
    testing_ok(irn_certify_model(&certificate, model, NULL));
    ck_assert(irn_certificate_verdict(certificate));
    irn_certificate_free(certificate);
}

/* ---- the whole Jacobian ---- */

/* A vector at the network's input and the derivatives along each of its dimensions, on their way:
 * row 0 is the vector, row 1 + r the derivative along r. */
typedef struct rows {
    const irn_model *model;
    size_t dimensions, size; /* D, and of a row as it is now */
    double *values;
    double *jacobian; /* [D][done] of J^T, the parts that have left; rows are D long */
    size_t done;
} rows;

static void pass_actnorm(rows *r, const irn_block *block)
{
    const irn_arena *arena = &r->model->parameters;
    float *log_scale = host_floats(block->channels), *shift = host_floats(block->channels);
    if (!r->model->config.actnorm)
        return;
    testing_ok(irn_arena_read(arena, r->model->single.parameters, &arena->entries[block->log_scale],
                              log_scale));
    testing_ok(
        irn_arena_read(arena, r->model->single.parameters, &arena->entries[block->shift], shift));
    double *zeros = host_doubles(block->channels), *scales = host_widen(log_scale, block->channels);
    oracle_map one = {1, block->channels, block->height, block->width};
    oracle_map all = {r->dimensions, block->channels, block->height, block->width};
    oracle_actnorm(&one, r->values, scales, host_widen(shift, block->channels), r->values);
    oracle_actnorm(&all, r->values + r->size, scales, zeros, r->values + r->size);
}

static void pass_residual(rows *r, const irn_block *block)
{
    blocks_subject s = {(irn_model *)r->model, block, r->size};
    size_t size = r->size;
    double *jacobian = blocks_jacobian(&s, r->values), *value = blocks_value(&s, r->values);
    double *next = host_doubles((1 + r->dimensions) * size);
    memcpy(next, r->values, (1 + r->dimensions) * size * sizeof *next);
    for (size_t k = 0; k < size; k++)
        next[k] += value[k];
    for (size_t row = 1; row <= r->dimensions; row++)
        for (size_t i = 0; i < size; i++)
            for (size_t k = 0; k < size; k++)
                next[row * size + k] += r->values[row * size + i] * jacobian[i * size + k];
    r->values = next;
}

/* The first `count` elements of every row leave. */
static void leave(rows *r, size_t count)
{
    size_t rest = r->size - count;
    double *next = host_doubles((1 + r->dimensions) * rest + 1);
    for (size_t row = 0; row <= r->dimensions; row++) {
        const double *from = r->values + row * r->size;
        memcpy(next + row * rest, from + count, rest * sizeof *next);
        if (row > 0)
            memcpy(r->jacobian + (row - 1) * r->dimensions + r->done, from, count * sizeof *from);
    }
    r->values = next;
    r->size = rest;
    r->done += count;
}

static double *whole_jacobian(const irn_model *model, const double *x)
{
    size_t d = irn_model_latent_size(model);
    rows r = {model, d, d, host_doubles((1 + d) * d), host_doubles(d * d), 0};
    memcpy(r.values, x, input_size(&model->config) * sizeof *x);
    for (size_t i = 0; i < d; i++)
        r.values[(1 + i) * d + i] = 1;
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        if (block->squeeze) {
            oracle_map wide = {1 + d, block->channels / 4, 2 * block->height, 2 * block->width};
            double *next = host_doubles((1 + d) * r.size);
            oracle_squeeze(&wide, r.values, next);
            r.values = next;
        }
        pass_actnorm(&r, block);
        pass_residual(&r, block);
        if (block->split)
            leave(&r, (block->channels - irn_split_rest(block)) * block->height * block->width);
    }
    leave(&r, r.size);
    ck_assert_uint_eq(r.done, d);
    return r.jacobian;
}

static double *singular_values(double *matrix, size_t size)
{
    lapack_int n = (lapack_int)size;
    double *values = host_doubles(size), none;
    ck_assert_int_eq(
        LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', n, n, matrix, n, values, &none, 1, &none, 1), 0);
    return values;
}

/* ---- estimates ---- */

static irn_conditioning_options tight(void)
{
    irn_conditioning_options options = IRN_CONDITIONING_OPTIONS_INIT;
    options.tolerance = 1e-5;
    options.max_iterations = 4096;
    return options;
}

/* An estimate lies on its side of the truth, and near it. */
static void check_sample(const irn_conditioning *got, double largest, double smallest)
{
    const double near = 1e-3, rounding = 1e-5;
    ck_assert(got->converged);
    host_check_number(largest, got->largest_estimate, near * largest, "largest");
    host_check_number(smallest, got->smallest_estimate, near * smallest, "smallest");
    ck_assert(got->largest_estimate <= largest * (1 + rounding));
    ck_assert(got->smallest_estimate >= smallest * (1 - rounding));
    ck_assert(got->condition_estimate == got->largest_estimate / got->smallest_estimate);
    ck_assert_msg(got->certified_lower <= smallest && largest <= got->certified_upper,
                  "[%g, %g] is not within [%g, %g]", smallest, largest, got->certified_lower,
                  got->certified_upper);
    ck_assert(got->certified_lower > 0 && isfinite(got->certified_upper));
}

static void check_network(irn_context *context, const irn_model_config *config)
{
    enum { BATCH = 4 };
    irn_model *model = create(context, config);
    irn_conditioning got[BATCH];
    irn_conditioning_options options = tight();
    size_t size = input_size(config), d = irn_model_latent_size(model);
    double *x = host_normal(BATCH * size);
    certify(model);
    testing_ok(irn_model_conditioning(model, host_narrow(x, BATCH * size), BATCH, &options, got));
    for (size_t n = 0; n < BATCH; n++) {
        double *values = singular_values(whole_jacobian(model, x + n * size), d);
        check_sample(&got[n], values[0], values[d - 1]);
    }
    irn_model_free(model);
}

START_TEST(extreme_values)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < NETWORKS; i += (size_t)host_step(1)) {
        irn_model_config config = networks[i]();
        check_network(context, &config);
        host_free_all();
    }
    devices_close(context);
}
END_TEST

/* What leaves after the first stage is not touched by later blocks, however much those shrink or
 * stretch the rest. */
static void check_split(irn_context *context, float log_scale)
{
    irn_model_config config = multiscale();
    irn_model *model = create(context, &config);
    irn_certificate *certificate;
    irn_conditioning got;
    irn_conditioning_options options = IRN_CONDITIONING_OPTIONS_INIT;
    size_t d = irn_model_latent_size(model);
    double *x = host_normal(d);
    for (size_t b = config.blocks[0]; b < model->block_count; b++)
        testing_ok(irn_arena_fill(&model->parameters, model->single.parameters,
                                  model->blocks[b].log_scale, log_scale));
    irn_model_changed(model);
    options.max_iterations = 1;
    testing_ok(irn_certify_model(&certificate, model, NULL));
    testing_ok(irn_model_conditioning(model, host_narrow(x, d), 1, &options, &got));
    double *values = singular_values(whole_jacobian(model, x), d);
    ck_assert(got.certified_lower > 0 && got.certified_lower <= values[d - 1]);
    ck_assert(isfinite(got.certified_upper) && got.certified_upper >= values[0]);
    ck_assert(irn_certificate_lipschitz_upper(certificate) >= values[0]);
    ck_assert(irn_certificate_inverse_lipschitz_upper(certificate) >= 1 / values[d - 1]);
    irn_certificate_free(certificate);
    irn_model_free(model);
    host_free_all();
}

START_TEST(parts_that_leave)
{
    irn_context *context = devices_open(_i);
    check_split(context, -3);
    check_split(context, 3);
    devices_close(context);
}
END_TEST

/* More samples than go through at a time, and some of them alone. All iterate as long as the
 * slowest of them, which takes minutes where each launch takes long, so there the network has one
 * block. */
START_TEST(batches_and_chunks)
{
    enum { BATCH = 260 };
    irn_context *context = devices_open(_i);
    irn_model_config config = dense();
    config.blocks[0] = host_step(1) > 1 ? 1 : config.blocks[0];
    irn_model *model = create(context, &config);
    irn_conditioning all[BATCH], few[3], one;
    irn_conditioning_options options = tight();
    size_t size = input_size(&config);
    float *x = host_narrow(host_normal(BATCH * size), BATCH * size);
    testing_ok(irn_model_conditioning(model, x, BATCH, &options, all));
    testing_ok(irn_model_conditioning(model, x, 3, &options, few));
    for (size_t n = 0; n < 3; n++) {
        host_check_number(all[n].largest_estimate, few[n].largest_estimate, 1e-5, "largest");
        host_check_number(all[n].smallest_estimate, few[n].smallest_estimate, 1e-5, "smallest");
    }
    for (size_t n = BATCH - 1; n >= 255; n -= (size_t)host_step(1)) {
        testing_ok(irn_model_conditioning(model, x + n * size, 1, &options, &one));
        host_check_number(one.largest_estimate, all[n].largest_estimate,
                          1e-3 * one.largest_estimate, "largest of sample %zu", n);
        host_check_number(one.smallest_estimate, all[n].smallest_estimate,
                          1e-3 * one.smallest_estimate, "smallest of sample %zu", n);
    }
    testing_ok(irn_model_conditioning(model, x, 0, NULL, NULL));
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* However early the iterations stop, the truth lies beyond the estimates. */
START_TEST(early_stops)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = multiscale();
    irn_model *model = create(context, &config);
    size_t d = irn_model_latent_size(model);
    double *x = host_normal(d), *values = singular_values(whole_jacobian(model, x), d);
    irn_conditioning_options options = tight();
    for (options.max_iterations = 1; options.max_iterations < 5; options.max_iterations++) {
        irn_conditioning got;
        testing_ok(irn_model_conditioning(model, host_narrow(x, d), 1, &options, &got));
        ck_assert(!got.converged);
        ck_assert_uint_eq(got.largest_iterations, options.max_iterations);
        ck_assert_uint_eq(got.smallest_iterations, options.max_iterations);
        ck_assert(got.largest_estimate <= values[0] * (1 + 1e-5));
        ck_assert(got.smallest_estimate >= values[d - 1] * (1 - 1e-5));
    }
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* ---- what cannot be had ---- */

START_TEST(uncertified)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = dense();
    irn_model *model = create(context, &config);
    float *x = host_narrow(host_normal(10), 10);
    irn_conditioning got;
    testing_ok(irn_model_conditioning(model, x, 1, NULL, &got));
    ck_assert(got.certified_lower == 0 && isinf(got.certified_upper));
    certify(model);
    irn_model_set_lipschitz(model, 1, 1);
    testing_ok(irn_model_conditioning(model, x, 1, NULL, &got));
    ck_assert(got.certified_lower == 0 && isinf(got.certified_upper));
    x[3] = NAN;
    testing_fails(irn_model_conditioning(model, x, 1, NULL, &got), IRN_ERROR_NUMERIC,
                  "largest singular value at sample 0 is nan");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* x + 2 phi(...): the largest is there, but the Neumann series diverges. */
START_TEST(no_contraction)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = dense();
    irn_model *model;
    irn_conditioning got;
    config.coefficient = 0;
    testing_ok(irn_model_create(&model, context, &config));
    blocks_enlarge(model, 20);
    testing_fails(irn_model_conditioning(model, host_narrow(host_normal(10), 10), 1, NULL, &got),
                  IRN_ERROR_NUMERIC, "smallest singular value at sample 0");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

static bool stop(size_t done, size_t total, const char *what, void *payload)
{
    (void)what;
    ck_assert_uint_eq(total, 2);
    ck_assert_uint_le(done, total);
    return --*(int *)payload > 0;
}

START_TEST(options)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = dense();
    irn_model *model = create(context, &config);
    const irn_conditioning_options good = IRN_CONDITIONING_OPTIONS_INIT;
    irn_conditioning_options o = good;
    irn_conditioning got;
    int calls = 3;
    float *x = host_narrow(host_normal(10), 10);
    o.version = 7;
    testing_fails(irn_model_conditioning(model, x, 1, &o, &got), IRN_ERROR_ARGUMENT, "7");
    o = good;
    o.tolerance = 0;
    testing_fails(irn_model_conditioning(model, x, 1, &o, &got), IRN_ERROR_ARGUMENT,
                  "the tolerance is 0; it must be above 0 and below 1");
    o.tolerance = NAN;
    testing_fails(irn_model_conditioning(model, x, 1, &o, &got), IRN_ERROR_ARGUMENT, "nan");
    o = good;
    o.max_iterations = 0;
    testing_fails(irn_model_conditioning(model, x, 1, &o, &got), IRN_ERROR_ARGUMENT,
                  "max_iterations is 0; it must be 1 to 1000000");
    o = good;
    o.progress = stop;
    o.progress_payload = &calls;
    testing_fails(irn_model_conditioning(model, x, 1, &o, &got), IRN_ERROR_CANCELLED, "cancelled");
    ck_assert_int_eq(calls, 0);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conditioning");
    TCase *test = devices_case(suite, "conditioning");
    devices_add(test, extreme_values);
    devices_add(test, parts_that_leave);
    devices_add(test, batches_and_chunks);
    devices_add(test, early_stops);
    devices_add(test, uncertified);
    devices_add(test, no_contraction);
    devices_add(test, options);
    return testing_run(suite);
}
