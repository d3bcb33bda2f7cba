/* The classifier's head: batch norm, ReLU, average, dense layer and cross-entropy, forward with
 * both kinds of statistics, and backward. */
#include "guarded.h"

#include "flow/head.h"
#include "oracle/conv.h"
#include "oracle/elementwise.h"
#include "train/trainer.h"

#include <math.h>
#include <string.h>

/* A head on random values. */
typedef struct subject {
    irn_model *model;
    irn_head_memory memory;
    oracle_map map;
    size_t classes;
    oracle_conv dense;
    double *x, *gamma, *beta, *mean, *variance, *weight, *bias;
    irn_tensor z;
} subject;

static void write_values(const irn_arena *arena, cl_mem buffer, size_t entry, const double *values)
{
    const irn_entry *e = &arena->entries[entry];
    testing_ok(irn_arena_write(arena, buffer, e, host_narrow(values, irn_entry_count(e))));
}

static double *read_values(const irn_arena *arena, cl_mem buffer, size_t entry)
{
    const irn_entry *e = &arena->entries[entry];
    float *values = host_floats(irn_entry_count(e));
    testing_ok(irn_arena_read(arena, buffer, e, values));
    return host_widen(values, irn_entry_count(e));
}

static void fill_parameters(subject *s)
{
    const irn_model *model = s->model;
    const irn_head *head = &model->head;
    size_t channels = s->map.channels;
    s->gamma = host_normal(channels);
    s->beta = host_normal(channels);
    s->mean = host_normal(channels);
    s->variance = host_normal(channels);
    for (size_t c = 0; c < channels; c++)
        s->variance[c] = (double)(float)(0.1 + fabs(s->variance[c]));
    s->weight = host_normal(s->classes * channels);
    s->bias = host_normal(s->classes);
    write_values(&model->parameters, model->single.parameters, head->gamma, s->gamma);
    write_values(&model->parameters, model->single.parameters, head->beta, s->beta);
    write_values(&model->parameters, model->single.parameters, head->weight, s->weight);
    write_values(&model->parameters, model->single.parameters, head->bias, s->bias);
    write_values(&model->state, model->single.state, head->running_mean, s->mean);
    write_values(&model->state, model->single.state, head->running_variance, s->variance);
    irn_model_changed(s->model);
}

static subject begin(irn_context *context)
{
    subject s = {
        .map = {host_between(1, 5), host_between(1, 40), host_between(1, 9), host_between(1, 9)},
        .classes = host_between(1, 20)};
    irn_model_config config;
    size_t count = oracle_map_count(&s.map);
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = s.map.channels;
    config.height = s.map.height;
    config.width = s.map.width;
    config.widths[0] = 3;
    config.classes = s.classes;
    config.norm_momentum = 0.3;
    testing_ok(irn_model_create_empty(&s.model, context, &config));
    testing_ok(irn_head_memory_create(&s.memory, s.model, s.map.images));
    fill_parameters(&s);
    s.dense = (oracle_conv){s.map.images, s.map.channels, s.classes, 1, 1, 1, 1, false};
    s.x = host_normal(count);
    for (size_t i = 0; i < count; i++)
        s.x[i] = (double)(float)(2 * s.x[i] + 5); /* a mean that a careless variance stumbles on */
    guarded_begin(context);
    s.z = guarded_tensor(IRN_SINGLE, s.map.images, s.map.channels, s.map.height, s.map.width, s.x);
    return s;
}

static void end(subject *s)
{
    guarded_end();
    irn_head_memory_free(&s->memory);
    irn_model_free(s->model);
    host_free_all();
}

static double *expected_scores(const subject *s, const double *mean, const double *variance,
                               double *pooled)
{
    double *scores = host_doubles(s->map.images * s->classes);
    oracle_pool(&s->map, s->x, mean, variance, s->gamma, s->beta, pooled);
    oracle_conv_forward(&s->dense, s->weight, pooled, scores);
    for (size_t i = 0; i < s->map.images * s->classes; i++)
        scores[i] += s->bias[i % s->classes];
    return scores;
}

START_TEST(evaluation)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 10; i++) {
        subject s = begin(context);
        double *pooled = host_doubles(s.map.images * s.map.channels);
        double *scores = expected_scores(&s, s.mean, s.variance, pooled);
        testing_ok(irn_head_forward(s.model, &s.memory, &s.z, false));
        host_check(scores, guarded_read_clean(&s.memory.scores), s.map.images * s.classes, 1e-5,
                   "scores");
        double *mean =
            read_values(&s.model->state, s.model->single.state, s.model->head.running_mean);
        host_check(s.mean, mean, s.map.channels, 0, "running mean after evaluation");
        end(&s);
    }
    devices_close(context);
}
END_TEST

/* ---- training ---- */

static void check_running(const subject *s, const double *mean, const double *variance)
{
    const irn_model *model = s->model;
    double total = (double)(s->map.images * s->map.height * s->map.width);
    size_t channels = s->map.channels;
    double *means = host_doubles(channels), *variances = host_doubles(channels);
    for (size_t c = 0; c < channels; c++) {
        double unbiased = variance[c] * (total > 1 ? total / (total - 1) : 1);
        means[c] = 0.7 * s->mean[c] + 0.3 * mean[c];
        variances[c] = 0.7 * s->variance[c] + 0.3 * unbiased;
    }
    host_check(means, read_values(&model->state, model->single.state, model->head.running_mean),
               channels, 1e-5, "running mean");
    host_check(variances,
               read_values(&model->state, model->single.state, model->head.running_variance),
               channels, 1e-5, "running variance");
}

static cl_mem device_floats(irn_context *context, size_t count)
{
    cl_mem memory;
    testing_ok(irn_memory_create(context, &memory, count, sizeof(float), true));
    return memory;
}

static void check_backward(subject *s, const double *scores_gradient, const double *pooled)
{
    irn_model *model = s->model;
    irn_context *context = model->context;
    size_t channels = s->map.channels, count = oracle_map_count(&s->map);
    double *weight = host_doubles(s->classes * channels), *bias = host_doubles(s->classes);
    double *back = host_doubles(s->map.images * channels), *x = host_doubles(count);
    double *gamma = host_doubles(channels), *beta = host_doubles(channels);
    oracle_conv_gradient(&s->dense, pooled, scores_gradient, weight, bias);
    oracle_conv_backward(&s->dense, s->weight, scores_gradient, back);
    oracle_pool_gradient(&s->map, s->x, s->gamma, s->beta, back, gamma, beta, x);
    cl_mem gradient = device_floats(context, model->parameters.size);
    cl_mem partials = device_floats(
        context, irn_conv_gradient_scratch(context, &model->head.dense, s->map.images, 1, 1));
    irn_tensor to =
        guarded_tensor(IRN_SINGLE, s->map.images, channels, s->map.height, s->map.width, NULL);
    testing_ok(irn_model_prepare(model));
    testing_ok(irn_head_backward(model, &s->memory, &s->z, gradient, partials, &to));
    const irn_head *head = &model->head;
    const irn_arena *arena = &model->parameters;
    host_check(weight, read_values(arena, gradient, head->weight), s->classes * channels, 2e-5,
               "gradient of the dense layer");
    host_check(bias, read_values(arena, gradient, head->bias), s->classes, 2e-5,
               "gradient of the dense layer's bias");
    host_check(gamma, read_values(arena, gradient, head->gamma), channels, 1e-4,
               "gradient of gamma");
    host_check(beta, read_values(arena, gradient, head->beta), channels, 2e-5, "gradient of beta");
    /* Of one value a channel, batch norm leaves nothing but beta, and rounding is all there is. */
    if (s->map.images * s->map.height * s->map.width > 2)
        host_check(x, guarded_read_clean(&to), count, 1e-4, "gradient of z");
    irn_memory_release(context, gradient);
    irn_memory_release(context, partials);
}

static void check_loss(subject *s, const double *scores, double *gradient)
{
    irn_context *context = s->model->context;
    size_t images = s->map.images;
    int labels[8];
    /* Where floats would no longer count by ones. */
    const irn_metrics before = {.correct = 1 << 25, .samples = 1 << 26};
    irn_metrics metrics;
    cl_mem device_labels = device_floats(context, images), sums = device_floats(context, 3);
    testing_ok(irn_memory_write(context, sums, 0, &before, sizeof before));
    for (size_t n = 0; n < images; n++)
        labels[n] = (int)host_below(s->classes);
    testing_ok(irn_memory_write(context, device_labels, 0, labels, images * sizeof *labels));
    double loss = oracle_cross_entropy(scores, labels, images, s->classes, gradient);
    /* Twice, since it adds up. */
    testing_ok(irn_head_loss(s->model, &s->memory, images, device_labels, sums));
    testing_ok(irn_head_loss(s->model, &s->memory, images, device_labels, sums));
    testing_ok(irn_memory_read(context, sums, 0, &metrics, sizeof metrics));
    host_check_number(2 * loss * (double)images, (double)metrics.loss,
                      2e-5 * (double)images * (1 + loss), "loss");
    ck_assert_uint_eq(metrics.samples, before.samples + 2 * images);
    size_t correct = 0;
    for (size_t n = 0; n < images; n++) {
        bool best = true;
        for (size_t k = 0; k < s->classes; k++)
            best = best && scores[n * s->classes + k] <= scores[n * s->classes + (size_t)labels[n]];
        correct += best;
    }
    ck_assert_uint_eq(metrics.correct, before.correct + 2 * correct);
    /* Away from 1 the gradient is a difference of numbers near 1, so it is measured in those. */
    double *got = guarded_read_clean(&s->memory.scores_gradient);
    for (size_t i = 0; i < images * s->classes; i++)
        host_check_number(gradient[i], got[i], 1e-5 / (double)images, "gradient of score %zu", i);
    irn_memory_release(context, device_labels);
    irn_memory_release(context, sums);
}

START_TEST(training)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 16; i++) {
        subject s = begin(context);
        size_t channels = s.map.channels, images = s.map.images;
        double *mean = host_doubles(channels), *variance = host_doubles(channels);
        double *pooled = host_doubles(images * channels);
        double *gradient = host_doubles(images * s.classes);
        oracle_moments(&s.map, s.x, mean, variance);
        double *scores = expected_scores(&s, mean, variance, pooled);
        testing_ok(irn_head_forward(s.model, &s.memory, &s.z, true));
        host_check(scores, guarded_read_clean(&s.memory.scores), images * s.classes, 2e-5,
                   "scores with the batch's statistics");
        check_running(&s, mean, variance);
        check_loss(&s, scores, gradient);
        check_backward(&s, gradient, pooled);
        end(&s);
    }
    devices_close(context);
}
END_TEST

START_TEST(nan_reaches_the_loss)
{
    irn_context *context = devices_open(_i);
    for (int training = 0; training < 2; training++) {
        subject s = begin(context);
        int labels[8] = {0};
        irn_metrics metrics;
        cl_mem device_labels = device_floats(context, 8), sums = device_floats(context, 3);
        s.x[host_below(oracle_map_count(&s.map))] = NAN;
        testing_ok(
            irn_tensor_write(&s.z, host_narrow(s.x, oracle_map_count(&s.map)), s.map.channels));
        testing_ok(irn_memory_write(context, device_labels, 0, labels, sizeof labels));
        testing_ok(irn_head_forward(s.model, &s.memory, &s.z, training == 1));
        testing_ok(irn_head_loss(s.model, &s.memory, s.map.images, device_labels, sums));
        testing_ok(irn_memory_read(context, sums, 0, &metrics, sizeof metrics));
        ck_assert(isnan(metrics.loss));
        irn_memory_release(context, device_labels);
        irn_memory_release(context, sums);
        end(&s);
    }
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("head");
    TCase *test = devices_case(suite, "head");
    devices_add(test, evaluation);
    devices_add(test, training);
    devices_add(test, nan_reaches_the_loss);
    return testing_run(suite);
}
