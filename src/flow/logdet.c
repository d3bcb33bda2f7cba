#include "flow/logdet.h"
#include "ops/elementwise.h"

#include <stdlib.h>
#include <string.h>

/* ---- the gradient of a^T J t ---- */

/* Streams through the layers, by layer: what enters layer i (its input before and after the
 * activation) and the cotangents there. Primal values are the caller's `inputs`. */
typedef struct pair_memory {
    irn_tensor tangent[IRN_MAX_LAYERS];     /* before the activation: zdot */
    irn_tensor activated[IRN_MAX_LAYERS];   /* after it: ydot = phi'(z) zdot */
    irn_tensor primal_bar[IRN_MAX_LAYERS];  /* zbar */
    irn_tensor tangent_bar[IRN_MAX_LAYERS]; /* zdotbar */
    cl_mem gradient, partials;
} pair_memory;

static void pair_memory_free(const irn_model *model, pair_memory *m)
{
    for (size_t i = 0; i < IRN_MAX_LAYERS; i++) {
        irn_tensor_free(&m->tangent[i]);
        irn_tensor_free(&m->activated[i]);
        irn_tensor_free(&m->primal_bar[i]);
        irn_tensor_free(&m->tangent_bar[i]);
    }
    irn_memory_release(model->context, m->gradient);
    irn_memory_release(model->context, m->partials);
}

static irn_status pair_memory_create(const irn_model *model, const irn_block *block, size_t images,
                                     pair_memory *m)
{
    size_t partials = 0;
    memset(m, 0, sizeof *m);
    for (size_t i = 0; i < model->config.layers; i++) {
        const irn_layer *layer = &block->layers[i];
        irn_tensor *tensors[4] = {&m->tangent[i], &m->activated[i], &m->primal_bar[i],
                                  &m->tangent_bar[i]};
        for (size_t k = 0; k < 4; k++)
            IRN_TRY(irn_tensor_create(tensors[k], model->context, IRN_SINGLE, images,
                                      layer->conv.inputs, block->height, block->width));
        size_t need = irn_layer_partials(model, layer, images);
        partials = need > partials ? need : partials;
    }
    IRN_TRY(irn_arena_create_buffer(&model->parameters, &m->gradient));
    return irn_memory_create(model->context, &m->partials, partials, sizeof(float), false);
}

static bool activated(const irn_block *block, size_t i)
{
    return i > 0 || block->first_activation;
}

/* Tangents of every layer's input, the last layer's output not being needed. */
static irn_status forward_tangents(const irn_model *model, const irn_block *block,
                                   const irn_tensor *inputs, const irn_tensor *t, pair_memory *m)
{
    for (size_t i = 0; i < model->config.layers; i++) {
        if (i == 0) {
            IRN_TRY(irn_tensor_copy(t, &m->tangent[0]));
        } else {
            const irn_epilogue plain = {.activate = false};
            IRN_TRY(irn_layer_forward(model, &model->single, &block->layers[i - 1],
                                      &m->activated[i - 1], plain, &m->tangent[i]));
        }
        IRN_TRY(activated(block, i)
                    ? irn_activation_derivative(model->config.activation, &inputs[i],
                                                &m->tangent[i], &m->activated[i])
                    : irn_tensor_copy(&m->tangent[i], &m->activated[i]));
    }
    return IRN_OK;
}

/* From the cotangents of layer i's output to those of its input: ydotbar = W^T zdotbar, ybar = W^T
 * zbar, and through y = phi(z), ydot = phi'(z) zdot: zbar = phi' ybar + phi'' zdot ydotbar, zdotbar
 * = phi' ydotbar. */
static irn_status reverse_layer(const irn_model *model, const irn_block *block, size_t i,
                                const irn_tensor *inputs, const irn_tensor *primal_bar,
                                const irn_tensor *tangent_bar, pair_memory *m)
{
    const irn_layer *layer = &block->layers[i];
    irn_activation phi = model->config.activation;
    const irn_epilogue plain = {.activate = false};
    IRN_TRY(irn_layer_backward(model, layer, tangent_bar, plain, &m->tangent_bar[i]));
    if (primal_bar)
        IRN_TRY(irn_layer_backward(model, layer, primal_bar, plain, &m->primal_bar[i]));
    else
        IRN_TRY(irn_memory_zero(model->context, m->primal_bar[i].memory, 0,
                                irn_tensor_size(&m->primal_bar[i]) * sizeof(float)));
    if (!activated(block, i))
        return IRN_OK;
    IRN_TRY(irn_activation_derivative(phi, &inputs[i], &m->primal_bar[i], &m->primal_bar[i]));
    IRN_TRY(irn_activation_second(phi, &inputs[i], &m->tangent[i], &m->tangent_bar[i],
                                  &m->primal_bar[i]));
    return irn_activation_derivative(phi, &inputs[i], &m->tangent_bar[i], &m->tangent_bar[i]);
}

/* An entry of a buffer like the parameters' as blocks in a row. */
static irn_tensor entry_row(const irn_model *model, cl_mem buffer, size_t entry)
{
    const irn_entry *e = &model->parameters.entries[entry];
    size_t unit = model->context->tuning.channel_block;
    return (irn_tensor){model->context, buffer, e->offset, IRN_SINGLE, 1, unit, 1, e->size / unit};
}

/* Adds x outer y to the layer's kernel gradient and, if asked, the sum of y to its bias gradient.
 */
static irn_status add_outer(const irn_model *model, const irn_layer *layer, const irn_tensor *x,
                            const irn_tensor *y, bool bias, cl_mem gradient, const pair_memory *m)
{
    irn_tensor from = entry_row(model, m->gradient, layer->weight);
    irn_tensor to = entry_row(model, gradient, layer->weight);
    irn_tensor bias_from = entry_row(model, m->gradient, layer->bias);
    irn_tensor bias_to = entry_row(model, gradient, layer->bias);
    IRN_TRY(irn_layer_weight_gradient(model, layer, x, y, bias, m->gradient, m->partials));
    IRN_TRY(irn_add_scaled(1, &from, &to));
    return bias ? irn_add_scaled(1, &bias_from, &bias_to) : IRN_OK;
}

static irn_status reverse(const irn_model *model, const irn_block *block, const irn_tensor *z,
                          const irn_tensor *inputs, const irn_tensor *a, cl_mem gradient,
                          const irn_tensor *z_gradient, pair_memory *m)
{
    for (size_t i = model->config.layers; i-- > 0;) {
        bool last = i + 1 == model->config.layers;
        const irn_layer *layer = &block->layers[i];
        const irn_tensor *tangent_bar = last ? a : &m->tangent_bar[i + 1];
        const irn_tensor *primal_bar = last ? NULL : &m->primal_bar[i + 1];
        IRN_TRY(add_outer(model, layer, &m->activated[i], tangent_bar, false, gradient, m));
        if (primal_bar)
            IRN_TRY(add_outer(model, layer, activated(block, i) ? &inputs[i] : z, primal_bar, true,
                              gradient, m));
        IRN_TRY(reverse_layer(model, block, i, inputs, primal_bar, tangent_bar, m));
    }
    return irn_add_scaled(1, &m->primal_bar[0], z_gradient);
}

irn_status irn_block_pair_gradient(const irn_model *model, const irn_block *block,
                                   const irn_tensor *z, const irn_tensor *inputs,
                                   const irn_tensor *a, const irn_tensor *t, cl_mem gradient,
                                   const irn_tensor *z_gradient)
{
    pair_memory m;
    irn_status status = pair_memory_create(model, block, z->images, &m);
    if (status == IRN_OK)
        status = forward_tangents(model, block, inputs, t, &m);
    if (status == IRN_OK)
        status = reverse(model, block, z, inputs, a, gradient, z_gradient, &m);
    pair_memory_free(model, &m);
    return status;
}

/* ---- the power series ---- */

typedef struct series {
    const irn_model *model;
    const irn_block *block;
    const irn_tensor *z, *inputs;
    size_t terms;
    irn_tensor *w, *t;                       /* [terms + 1] and [terms] powers applied */
    irn_tensor scratch[IRN_MAX_LAYERS], sum; /* sum: a_j */
    cl_mem dots;
} series;

static double coefficient(size_t k)
{
    return (k % 2 ? 1.0 : -1.0) / (double)k;
}

static void series_free(series *s)
{
    for (size_t k = 0; k <= s->terms; k++) {
        if (s->w)
            irn_tensor_free(&s->w[k]);
        if (s->t)
            irn_tensor_free(&s->t[k]);
    }
    for (size_t i = 0; i < IRN_MAX_LAYERS; i++)
        irn_tensor_free(&s->scratch[i]);
    irn_tensor_free(&s->sum);
    irn_memory_release(s->model->context, s->dots);
    free(s->w);
    free(s->t);
}

static irn_status like(irn_tensor *out, const irn_tensor *z)
{
    return irn_tensor_create(out, z->context, IRN_SINGLE, z->images, z->channels, z->height,
                             z->width);
}

static irn_status series_create(series *s)
{
    IRN_TRY(irn_alloc(&s->w, s->terms + 1, sizeof *s->w));
    IRN_TRY(irn_alloc(&s->t, s->terms + 1, sizeof *s->t));
    for (size_t k = 0; k <= s->terms; k++) {
        IRN_TRY(like(&s->w[k], s->z));
        IRN_TRY(like(&s->t[k], s->z));
    }
    for (size_t i = 0; i < s->model->config.layers; i++)
        IRN_TRY(irn_tensor_create(&s->scratch[i], s->model->context, IRN_SINGLE, s->z->images,
                                  s->block->layers[i].conv.inputs, s->block->height,
                                  s->block->width));
    IRN_TRY(like(&s->sum, s->z));
    return irn_memory_create(s->model->context, &s->dots, s->z->images, sizeof(float), false);
}

static irn_status add_values(series *s, const irn_tensor *probe, double *values)
{
    size_t images = s->z->images;
    float *dots;
    irn_status status = irn_alloc(&dots, images, sizeof *dots);
    for (size_t k = 1; k <= s->terms && status == IRN_OK; k++) {
        status = irn_sample_dots(&s->w[k], probe, s->dots);
        if (status == IRN_OK)
            status = irn_memory_read(s->model->context, s->dots, 0, dots, images * sizeof *dots);
        for (size_t n = 0; n < images && status == IRN_OK; n++)
            values[n] = (k == 1 ? 0 : values[n]) + coefficient(k) * (double)dots[n];
    }
    free(dots);
    return status;
}

static irn_status add_gradient(series *s, cl_mem gradient, const irn_tensor *z_gradient)
{
    for (size_t j = 0; j < s->terms; j++) {
        IRN_TRY(irn_memory_zero(s->model->context, s->sum.memory, 0,
                                irn_tensor_size(&s->sum) * sizeof(float)));
        for (size_t i = 0; i + j < s->terms; i++)
            IRN_TRY(irn_add_scaled(coefficient(i + j + 1), &s->w[i], &s->sum));
        IRN_TRY(irn_block_pair_gradient(s->model, s->block, s->z, s->inputs, &s->sum, &s->t[j],
                                        gradient, z_gradient));
    }
    return IRN_OK;
}

static irn_status run_series(series *s, const irn_tensor *probe, const irn_tensor *seed,
                             double *values, cl_mem gradient, const irn_tensor *z_gradient)
{
    IRN_TRY(series_create(s));
    IRN_TRY(irn_tensor_copy(seed, &s->w[0]));
    IRN_TRY(irn_tensor_copy(probe, &s->t[0]));
    for (size_t k = 1; k <= s->terms; k++) {
        IRN_TRY(
            irn_block_vjp(s->model, s->block, s->inputs, &s->w[k - 1], s->scratch, NULL, &s->w[k]));
        if (gradient)
            IRN_TRY(
                irn_block_jvp(s->model, s->block, s->inputs, &s->t[k - 1], s->scratch, &s->t[k]));
    }
    IRN_TRY(add_values(s, probe, values));
    return gradient ? add_gradient(s, gradient, z_gradient) : IRN_OK;
}

irn_status irn_block_logdet_series(const irn_model *model, const irn_block *block,
                                   const irn_tensor *z, const irn_tensor *inputs,
                                   const irn_tensor *probe, const irn_tensor *seed, size_t terms,
                                   double *values, cl_mem gradient, const irn_tensor *z_gradient)
{
    series s = {.model = model, .block = block, .z = z, .inputs = inputs, .terms = terms};
    irn_status status = run_series(&s, probe, seed, values, gradient, z_gradient);
    series_free(&s);
    return status;
}
