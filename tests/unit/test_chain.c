/* A block's layers in one launch against the same layers in launches of their own. */
#include "guarded.h"

#include "flow/chain.h"
#include "flow/workspace.h"
#include "ops/application.h"

#include <limits.h>
#include <stdio.h>

static const double tolerance = 1e-5;

typedef struct subject {
    irn_model *model;
    irn_block *block;
    size_t images, count; /* values in a batch */
    irn_tensor inputs[IRN_MAX_LAYERS];
} subject;

/* 3x3 and 1x1 layers in turn, on maps that no tile fits. */
static irn_model_config random_config(size_t index)
{
    const size_t maps[4][2] = {{3, 3}, {7, 5}, {5, 4}, {9, 11}};
    const irn_activation activations[4] = {IRN_SOFTPLUS, IRN_ELU, IRN_TANH, IRN_LIPSWISH};
    size_t pointwise = host_below(2);
    irn_model_config config;
    testing_ok(irn_model_config_init(&config, NULL));
    config.blocks[0] = 2;
    config.layers = 3 - index % 3;
    config.height = maps[index / 3 % 4][0];
    config.width = maps[index / 3 % 4][1];
    config.padding = index / 12 % 2 ? IRN_PAD_CIRCULAR : IRN_PAD_ZEROS;
    config.activation = activations[host_below(4)];
    config.channels = host_between(1, 20);
    config.widths[0] = host_between(1, 40);
    config.actnorm = false;
    for (size_t i = 0; i < config.layers; i++)
        config.kernels[i] = i % 2 == pointwise ? 1 : 3;
    return config;
}

static irn_tensor shaped(const subject *s, const double *values)
{
    const irn_block *b = s->block;
    return guarded_tensor(IRN_SINGLE, s->images, b->channels, b->height, b->width, values);
}

/* Different ones, so that none may stand for another. */
static void set_betas(const subject *s)
{
    for (size_t i = 0; i < s->model->config.layers; i++) {
        irn_place beta = irn_block_beta(s->model, s->model->single.parameters, s->block, i);
        if (beta.memory)
            testing_ok(irn_arena_fill(&s->model->parameters, beta.memory, s->block->layers[i].beta,
                                      (float)i - 1));
    }
}

/* So many images that work-items go through theirs in several rounds, the last one partial. */
static subject begin(irn_context *context, size_t index)
{
    irn_model_config config = random_config(index);
    subject s = {.images = 4 * host_between(1, 6) + 3};
    testing_ok(irn_model_create(&s.model, context, &config));
    s.block = &s.model->blocks[index / 24 % 2]; /* the second one begins with an activation */
    set_betas(&s);
    s.count = s.images * irn_model_latent_size(s.model);
    testing_ok(irn_model_prepare(s.model));
    guarded_begin(context);
    for (size_t i = 0; i < config.layers; i++)
        s.inputs[i] = guarded_tensor(IRN_SINGLE, s.images, s.block->layers[i].conv.inputs,
                                     config.height, config.width, NULL);
    return s;
}

static void end(subject *s)
{
    guarded_end();
    irn_model_free(s->model);
    host_free_all();
}

/* Which of the two ways a block is applied, from here on. */
static void set_chained(subject *s, bool chained)
{
    s->block->chained = chained;
    ck_assert_int_eq(irn_chain_suits(s->model, s->block, s->images), chained);
}

static const char *describe(const subject *s, char text[96])
{
    const irn_model_config *c = &s->model->config;
    snprintf(text, 96, "%zu images %zu channels %zux%zu, %zu layers of %zu, first %zux%zu",
             s->images, s->block->channels, c->height, c->width, c->layers, c->widths[0],
             c->kernels[0], c->kernels[0]);
    return text;
}

/* out = g(z) + residual, in place where the block allows it. */
static double *apply(subject *s, const double *values, bool residual, bool chained)
{
    irn_tensor z = shaped(s, values);
    irn_tensor out = residual && s->model->config.layers > 1 ? z : shaped(s, NULL);
    set_chained(s, chained);
    testing_ok(irn_block_apply(s->model, s->block, &z, s->inputs, residual ? &z : NULL, &out));
    return guarded_read_clean(&out);
}

static void check_apply(subject *s)
{
    double *z = host_normal(s->count);
    char text[96];
    for (int residual = 0; residual < 2; residual++)
        host_check(apply(s, z, residual, false), apply(s, z, residual, true), s->count, tolerance,
                   "residual %d, %s", residual, describe(s, text));
}

/* Steps that leave what the first layer sees next, in place, then one that leaves the iterate. */
static double *invert(subject *s, const double *values, const double *start, size_t steps,
                      bool chained)
{
    irn_tensor y = shaped(s, values), input = shaped(s, start), out = shaped(s, NULL);
    set_chained(s, chained);
    if (steps > 0)
        testing_ok(irn_block_inverse_steps(s->model, s->block, &y, &input, s->inputs,
                                           s->block->first_activation, steps, &input));
    testing_ok(irn_block_inverse_steps(s->model, s->block, &y, &input, s->inputs, false, 1, &out));
    return guarded_read_clean(&out);
}

static void check_steps(subject *s)
{
    double *y = host_normal(s->count), *start = host_normal(s->count);
    size_t most = s->model->config.layers > 1 ? 5 : 0;
    char text[96];
    for (size_t steps = 0; steps <= most; steps += 1 + steps)
        host_check(invert(s, y, start, steps, false), invert(s, y, start, steps, true), s->count,
                   tolerance, "%zu steps, %s", steps + 1, describe(s, text));
}

START_TEST(chained_blocks)
{
    irn_context *context = devices_open(_i);
    const size_t cases = 48;
    context->info.compute_units = 1; /* or it would take more images on larger devices */
    for (size_t i = 0; context->tuning.work_group == 1 && i < cases; i += (size_t)host_step(1)) {
        subject s = begin(context, i);
        check_apply(&s);
        check_steps(&s);
        end(&s);
    }
    devices_close(context);
}
END_TEST

/* Where no batch can be large enough for a device, no memory is spent on it. */
START_TEST(too_large_devices)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = random_config(0);
    irn_model *model;
    context->info.compute_units = 65; /* batches have at most 256 images */
    testing_ok(irn_model_create(&model, context, &config));
    ck_assert(!irn_chain_suits(model, &model->blocks[0], irn_model_chunk(model, SIZE_MAX)));
    ck_assert_ptr_null(model->chain_scratch);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* Kernels count in ints: here the input would do, but what the first layer makes of it has more
 * channels. There is no memory behind it. */
START_TEST(too_many_hidden_values)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(1, 3, 3);
    const irn_epilogue plain = {.activate = false};
    size_t block = context->tuning.channel_block;
    irn_model *model;
    config.widths[0] = 2 * block;
    testing_ok(irn_model_create(&model, context, &config));
    irn_tensor input = {.context = context, .channels = 1, .height = 3, .width = 3};
    input.images = INT_MAX / (block * 3 * 3);
    testing_ok(irn_application_check(&input, &input));
    testing_fails(irn_chain_apply(model, &model->blocks[0], &input, &plain, 1, &input),
                  IRN_ERROR_UNSUPPORTED, "use smaller batches");
    irn_chain_streams streams = {.w = input, .terms = 1};
    testing_fails(irn_chain_series(model, &model->blocks[0], &streams), IRN_ERROR_UNSUPPORTED,
                  "use smaller batches");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chains");
    TCase *test = devices_case(suite, "chains");
    devices_add(test, chained_blocks);
    devices_add(test, too_large_devices);
    devices_add(test, too_many_hidden_values);
    return testing_run(suite);
}
