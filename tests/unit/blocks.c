#include "blocks.h"

#include "oracle/conv.h"
#include "oracle/elementwise.h"

#include <iresnet/certify.h>
#include <string.h>

/* Coefficients leave room for what bounds of zero padding lose on small maps. */
const blocks_shape blocks_shapes[BLOCKS_SHAPES] = {
    {16, 1, 1, 32, 2, {1, 1}, IRN_PAD_ZEROS, IRN_ELU, 0.9, true},
    {64, 1, 1, 48, 3, {1, 1, 1}, IRN_PAD_ZEROS, IRN_TANH, 0.97, false},
    {2, 1, 1, 16, 3, {1, 1, 1}, IRN_PAD_ZEROS, IRN_SOFTPLUS, 0.97, true},
    {24, 1, 1, 24, 1, {1}, IRN_PAD_ZEROS, IRN_ELU, 0.95, true},
    {4, 4, 4, 8, 3, {3, 1, 3}, IRN_PAD_CIRCULAR, IRN_ELU, 0.97, true},
    {3, 4, 5, 10, 2, {3, 3}, IRN_PAD_CIRCULAR, IRN_RELU, 0.9, false},
    {5, 3, 4, 7, 4, {2, 1, 3, 2}, IRN_PAD_CIRCULAR, IRN_SOFTPLUS, 0.8, true},
    {1, 8, 8, 6, 2, {5, 3}, IRN_PAD_ZEROS, IRN_TANH, 0.6, true},
    {4, 4, 4, 8, 3, {3, 1, 3}, IRN_PAD_ZEROS, IRN_SOFTPLUS, 0.5, true},
    {16, 2, 2, 20, 2, {3, 3}, IRN_PAD_ZEROS, IRN_ELU, 0.5, false},
    {6, 3, 3, 8, 3, {3, 1, 3}, IRN_PAD_CIRCULAR, IRN_LIPSWISH, 0.97, false}};

static void enlarge_layer(irn_model *model, const irn_layer *layer, float factor)
{
    const irn_entry *entry = &model->parameters.entries[layer->weight];
    size_t count = irn_entry_count(entry);
    float *values = host_floats(count);
    testing_ok(irn_arena_read(&model->parameters, model->single.parameters, entry, values));
    for (size_t k = 0; k < count; k++)
        values[k] *= factor;
    testing_ok(irn_arena_write(&model->parameters, model->single.parameters, entry, values));
}

void blocks_enlarge(irn_model *model, float factor)
{
    for (size_t b = 0; b < model->block_count; b++)
        for (size_t i = 0; i < model->config.layers; i++)
            enlarge_layer(model, &model->blocks[b].layers[i], factor);
    irn_model_changed(model);
    testing_ok(irn_model_power_iterate(model, 200));
    testing_ok(irn_model_prepare(model));
}

static void set_betas(irn_model *model)
{
    for (size_t i = 1; i < model->config.layers && model->config.activation == IRN_LIPSWISH; i++)
        testing_ok(irn_arena_fill(&model->parameters, model->single.parameters,
                                  model->blocks[0].layers[i].beta, (float)ORACLE_BETA));
}

blocks_subject blocks_begin(irn_context *context, const blocks_shape *shape)
{
    irn_model_config config;
    blocks_subject s;
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = shape->channels;
    config.height = shape->height;
    config.width = shape->width;
    config.widths[0] = shape->hidden;
    config.layers = shape->layers;
    memcpy(config.kernels, shape->kernels, shape->layers * sizeof *config.kernels);
    config.padding = shape->padding;
    config.activation = shape->activation;
    config.coefficient = shape->coefficient;
    config.actnorm = false;
    testing_ok(irn_model_create(&s.model, context, &config));
    s.model->blocks[0].first_activation = shape->first_activation;
    s.block = &s.model->blocks[0];
    set_betas(s.model);
    s.size = irn_model_latent_size(s.model);
    blocks_enlarge(s.model, 4);
    return s;
}

double blocks_certified(irn_model *model)
{
    irn_certificate *certificate;
    testing_ok(irn_certify_model(&certificate, model, NULL));
    double upper = irn_certificate_block(certificate, 0).lipschitz_upper;
    irn_certificate_free(certificate);
    ck_assert_msg(upper < 1, "Lipschitz constant of the block: at most %g", upper);
    return upper;
}

void blocks_inputs(const blocks_subject *s, const double *z, size_t images,
                   irn_tensor inputs[IRN_MAX_LAYERS])
{
    const irn_block *b = s->block;
    irn_context *context = s->model->context;
    irn_tensor at, out;
    testing_ok(
        irn_tensor_create(&at, context, IRN_SINGLE, images, b->channels, b->height, b->width));
    testing_ok(
        irn_tensor_create(&out, context, IRN_SINGLE, images, b->channels, b->height, b->width));
    for (size_t i = 0; i < s->model->config.layers; i++)
        testing_ok(irn_tensor_create(&inputs[i], context, IRN_SINGLE,
                                     irn_input_images(s->model, images), b->layers[i].conv.inputs,
                                     b->height, b->width));
    testing_ok(irn_tensor_write(&at, host_narrow(z, images * s->size), b->channels));
    for (size_t i = 0; i < s->model->config.layers; i++)
        inputs[i].images = images;
    testing_ok(irn_block_residual(s->model, &s->model->single, b, &at, inputs, NULL, &out));
    irn_tensor_free(&at);
    irn_tensor_free(&out);
}

void blocks_free_inputs(irn_tensor inputs[IRN_MAX_LAYERS], size_t layers)
{
    for (size_t i = 0; i < layers; i++)
        irn_tensor_free(&inputs[i]);
}

/* ---- the Jacobian in double ---- */

/* y[n] = scale W x[n] + bias. */
static double *apply(const blocks_subject *s, size_t index, const double *x, size_t images,
                     bool biased)
{
    irn_layer_view view;
    size_t first = (size_t)(s->block - s->model->blocks) * s->model->config.layers;
    testing_ok(irn_model_layer(s->model, first + index, &view));
    oracle_conv c = {images,     view.inputs, view.outputs, view.height,
                     view.width, view.kernel, view.kernel,  s->model->config.padding};
    size_t pixels = view.height * view.width;
    float *kernel = host_floats(oracle_conv_weights(&c)), *bias = host_floats(view.outputs);
    const irn_entry *entry = &s->model->parameters.entries[s->block->layers[index].bias];
    testing_ok(irn_model_layer_weights(s->model, first + index, kernel));
    testing_ok(irn_arena_read(&s->model->parameters, s->model->single.parameters, entry, bias));
    double *y = host_doubles(oracle_conv_outputs(&c));
    oracle_conv_forward(&c, host_widen(kernel, oracle_conv_weights(&c)), x, y);
    for (size_t i = 0; i < oracle_conv_outputs(&c); i++)
        y[i] = view.scale * y[i] + (biased ? (double)bias[i / pixels % view.outputs] : 0);
    return y;
}

double *blocks_value(const blocks_subject *s, const double *z)
{
    size_t size = s->size;
    double *x = host_doubles(size);
    memcpy(x, z, size * sizeof *x);
    for (size_t i = 0; i < s->model->config.layers; i++) {
        for (size_t k = 0; k < size && (i > 0 || s->block->first_activation); k++)
            x[k] = oracle_activation(s->model->config.activation, x[k]);
        x = apply(s, i, x, 1, true);
        size = s->block->layers[i].conv.outputs * s->block->height * s->block->width;
    }
    return x;
}

double *blocks_jacobian(const blocks_subject *s, const double *z)
{
    irn_activation phi = s->model->config.activation;
    size_t size = s->size;
    double *x = host_doubles(size), *tangents = host_doubles(size * size);
    memcpy(x, z, size * sizeof *x);
    for (size_t r = 0; r < s->size; r++)
        tangents[r * size + r] = 1;
    for (size_t i = 0; i < s->model->config.layers; i++) {
        if (i > 0 || s->block->first_activation) {
            for (size_t k = 0; k < size * s->size; k++)
                tangents[k] *= oracle_derivative(phi, x[k % size]);
            for (size_t k = 0; k < size; k++)
                x[k] = oracle_activation(phi, x[k]);
        }
        x = apply(s, i, x, 1, true);
        tangents = apply(s, i, tangents, s->size, false);
        size = s->block->layers[i].conv.outputs * s->block->height * s->block->width;
    }
    return tangents;
}
