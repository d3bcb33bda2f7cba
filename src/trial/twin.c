#include "trial/twin.h"
#include "base/determinant.h"
#include "trial/reference.h"

#include <math.h>
#include <string.h>

/* ---- making one ---- */

static size_t layer_count(const irn_twin *t)
{
    return irn_model_layer_count(t->model);
}

static const irn_layer *layer_at(const irn_twin *t, size_t index)
{
    return irn_model_layer_at(t->model, index);
}

static size_t block_size(const irn_block *block)
{
    return block->channels * block->height * block->width;
}

static irn_status read_entry(irn_twin *t, const irn_arena *arena, cl_mem buffer, size_t entry,
                             double *out)
{
    const irn_entry *e = &arena->entries[entry];
    float *values;
    IRN_TRY(irn_trial_memory(t->trial, irn_entry_count(e), sizeof *values, &values));
    IRN_TRY(irn_arena_read(arena, buffer, e, values));
    for (size_t i = 0; i < irn_entry_count(e); i++)
        out[i] = (double)values[i];
    return IRN_OK;
}

irn_status irn_twin_copy(irn_twin *t)
{
    const irn_model *m = t->model;
    for (size_t e = 0; e < m->parameters.count; e++)
        IRN_TRY(read_entry(t, &m->parameters, m->single.parameters, e, t->parameters[e]));
    for (size_t i = 0; i < layer_count(t); i++) {
        IRN_TRY(read_entry(t, &m->state, m->single.state, layer_at(t, i)->u, t->u[i]));
        IRN_TRY(read_entry(t, &m->state, m->single.state, layer_at(t, i)->v, t->v[i]));
    }
    return IRN_OK;
}

static irn_status make_arrays(irn_twin *t)
{
    const irn_model *m = t->model;
    IRN_TRY(irn_trial_memory(t->trial, m->parameters.count, sizeof *t->parameters, &t->parameters));
    IRN_TRY(irn_trial_memory(t->trial, layer_count(t), sizeof *t->u, &t->u));
    IRN_TRY(irn_trial_memory(t->trial, layer_count(t), sizeof *t->v, &t->v));
    IRN_TRY(irn_trial_memory(t->trial, m->block_count, sizeof *t->probes, &t->probes));
    IRN_TRY(irn_trial_memory(t->trial, m->block_count, sizeof *t->pairs, &t->pairs));
    IRN_TRY(irn_trial_doubles(t->trial, layer_count(t), &t->scales));
    for (size_t e = 0; e < m->parameters.count; e++)
        IRN_TRY(irn_trial_doubles(t->trial, irn_entry_count(&m->parameters.entries[e]),
                                  &t->parameters[e]));
    for (size_t i = 0; i < layer_count(t); i++) {
        const irn_layer *layer = layer_at(t, i);
        IRN_TRY(
            irn_trial_doubles(t->trial, irn_entry_count(&m->state.entries[layer->u]), &t->u[i]));
        IRN_TRY(
            irn_trial_doubles(t->trial, irn_entry_count(&m->state.entries[layer->v]), &t->v[i]));
    }
    return IRN_OK;
}

static irn_status make_scratch(irn_twin *t)
{
    const irn_model *m = t->model;
    size_t flow = t->dimension, hidden = 0;
    for (size_t b = 0; b < m->block_count; b++) {
        size_t pixels = m->blocks[b].height * m->blocks[b].width;
        flow = irn_larger(flow, block_size(&m->blocks[b]));
        for (size_t i = 0; i < m->config.layers; i++) {
            const irn_conv *conv = &m->blocks[b].layers[i].conv;
            hidden = irn_larger(hidden, irn_larger(conv->inputs, conv->outputs) * pixels);
        }
    }
    for (int i = 0; i < 3; i++)
        IRN_TRY(irn_trial_doubles(t->trial, flow, &t->flow[i]));
    for (int i = 0; i < 2; i++)
        IRN_TRY(irn_trial_doubles(t->trial, hidden, &t->hidden[i]));
    for (size_t i = 0; i < m->config.layers; i++)
        IRN_TRY(irn_trial_doubles(t->trial, hidden, &t->saved[i]));
    return irn_trial_doubles(t->trial, flow * flow, &t->jacobian);
}

/* Samples within what the logit transform is for, labels, and signs as probes. */
static irn_status make_data(irn_twin *t)
{
    const irn_model *m = t->model;
    IRN_TRY(irn_trial_normal(t->trial, t->images * t->size, 0.15, &t->x));
    for (size_t i = 0; i < t->images * t->size; i++)
        t->x[i] = fmin(fmax(t->x[i], -0.4375), 0.4375);
    for (size_t b = 0; b < m->block_count; b++) {
        size_t count = t->images * block_size(&m->blocks[b]);
        IRN_TRY(irn_trial_normal(t->trial, count, 1, &t->probes[b]));
        IRN_TRY(irn_trial_doubles(t->trial, count, &t->pairs[b]));
        for (size_t i = 0; i < count; i++)
            t->probes[b][i] = copysign(1, t->probes[b][i]);
    }
    IRN_TRY(irn_trial_memory(t->trial, t->images, sizeof *t->labels, &t->labels));
    for (size_t n = 0; n < t->images; n++)
        t->labels[n] = (int)(n * 7 % m->config.classes);
    size_t last = block_size(&m->blocks[m->block_count - 1]);
    IRN_TRY(irn_trial_doubles(t->trial, t->images * t->dimension, &t->z));
    IRN_TRY(irn_trial_doubles(t->trial, t->images * last, &t->top));
    IRN_TRY(irn_trial_doubles(t->trial, t->images, &t->logdets));
    IRN_TRY(irn_trial_doubles(t->trial, t->images, &t->priors));
    return irn_trial_doubles(t->trial, t->images * m->config.classes, &t->scores);
}

irn_status irn_twin_create(irn_twin *out, irn_trial *trial, const irn_model *model, size_t images)
{
    const irn_model_config *c = &model->config;
    memset(out, 0, sizeof *out);
    out->trial = trial;
    out->model = model;
    out->images = images;
    out->size = c->channels * c->height * c->width;
    out->dimension = irn_model_latent_size(model);
    IRN_TRY(make_arrays(out));
    IRN_TRY(make_scratch(out));
    IRN_TRY(make_data(out));
    return irn_twin_copy(out);
}

/* ---- layers ---- */

/* 1 / (max(1, sigma / c) + epsilon) with sigma = <u, W v>. */
static double scale_of(const irn_twin *t, size_t index)
{
    const irn_layer *layer = layer_at(t, index);
    const irn_model_config *config = &t->model->config;
    irn_map map = {1, layer->sigma_height, layer->sigma_width};
    irn_reference_convolve(&layer->conv, map, t->parameters[layer->weight], t->v[index],
                           t->hidden[0]);
    double sigma =
        irn_reference_dot(t->u[index], t->hidden[0], layer->conv.outputs * map.height * map.width);
    bool large = layer->conv.kernel_height * layer->conv.kernel_width > 1;
    return 1 / (fmax(1, sigma / config->coefficient) + (large ? config->sigma_epsilon : 0));
}

/* to = scale W from, or scale W^T from; from and to are the two hidden arrays. */
static void apply(irn_twin *t, size_t index, bool back)
{
    const irn_layer *layer = layer_at(t, index);
    irn_map map = {1, layer->height, layer->width};
    size_t count = (back ? layer->conv.inputs : layer->conv.outputs) * map.height * map.width;
    double *from = t->hidden[0], *to = t->hidden[1];
    if (back)
        irn_reference_convolve_back(&layer->conv, map, t->parameters[layer->weight], from, to);
    else
        irn_reference_convolve(&layer->conv, map, t->parameters[layer->weight], from, to);
    for (size_t i = 0; i < count; i++)
        to[i] *= t->scales[index];
    t->hidden[0] = to;
    t->hidden[1] = from;
}

static double phi(const irn_twin *t, double z, int order)
{
    return irn_reference_activation(t->model->config.activation, 0, z, order);
}

static bool activates(const irn_block *block, size_t layer)
{
    return layer > 0 || block->first_activation;
}

static size_t layer_inputs(const irn_block *block, size_t layer)
{
    return block->layers[layer].conv.inputs * block->height * block->width;
}

/* hidden[0] = g(z); what activations see is saved. */
static void block_forward(irn_twin *t, size_t b, const double *z)
{
    const irn_block *block = &t->model->blocks[b];
    size_t layers = t->model->config.layers, pixels = block->height * block->width;
    memcpy(t->hidden[0], z, block_size(block) * sizeof *z);
    for (size_t i = 0; i < layers; i++) {
        const irn_layer *layer = &block->layers[i];
        for (size_t k = 0; activates(block, i) && k < layer_inputs(block, i); k++) {
            t->saved[i][k] = t->hidden[0][k];
            t->hidden[0][k] = phi(t, t->hidden[0][k], 0);
        }
        apply(t, b * layers + i, false);
        for (size_t k = 0; k < layer->conv.outputs * pixels; k++)
            t->hidden[0][k] += t->parameters[layer->bias][k / pixels];
    }
}

static void multiply_slopes(irn_twin *t, const irn_block *block, size_t layer)
{
    for (size_t k = 0; activates(block, layer) && k < layer_inputs(block, layer); k++)
        t->hidden[0][k] *= phi(t, t->saved[layer][k], 1);
}

/* out = J tangent, and out = J^T tangent; out may be tangent. */
static void block_jvp(irn_twin *t, size_t b, const double *tangent, double *out)
{
    const irn_block *block = &t->model->blocks[b];
    size_t layers = t->model->config.layers, size = block_size(block);
    memcpy(t->hidden[0], tangent, size * sizeof *tangent);
    for (size_t i = 0; i < layers; i++) {
        multiply_slopes(t, block, i);
        apply(t, b * layers + i, false);
    }
    memcpy(out, t->hidden[0], size * sizeof *out);
}

static void block_vjp(irn_twin *t, size_t b, const double *cotangent, double *out)
{
    const irn_block *block = &t->model->blocks[b];
    size_t layers = t->model->config.layers, size = block_size(block);
    memcpy(t->hidden[0], cotangent, size * sizeof *cotangent);
    for (size_t i = layers; i-- > 0;) {
        apply(t, b * layers + i, true);
        multiply_slopes(t, block, i);
    }
    memcpy(out, t->hidden[0], size * sizeof *out);
}

/* ---- log-determinants ---- */

static double exact_logdet(irn_twin *t, size_t b)
{
    size_t size = block_size(&t->model->blocks[b]);
    double *unit = t->flow[1];
    for (size_t i = 0; i < size; i++) {
        memset(unit, 0, size * sizeof *unit);
        unit[i] = 1;
        block_jvp(t, b, unit, t->jacobian + i * size); /* a row of the transpose */
        t->jacobian[i * size + i] += 1;
    }
    return irn_log_abs_determinant(t->jacobian, size);
}

static double block_logdet(irn_twin *t, size_t b, size_t image)
{
    size_t size = block_size(&t->model->blocks[b]);
    const double *probe = t->probes[b] + image * size;
    double sum = 0, *power = t->flow[1];
    if (t->method == IRN_TWIN_NONE)
        return 0;
    if (t->method == IRN_TWIN_EXACT)
        return exact_logdet(t, b);
    if (t->method == IRN_TWIN_PAIR) {
        block_jvp(t, b, probe, power);
        return irn_reference_dot(t->pairs[b] + image * size, power, size);
    }
    memcpy(power, probe, size * sizeof *power);
    for (size_t k = 1; k <= t->terms; k++) {
        block_jvp(t, b, power, power);
        sum += (k % 2 ? 1 : -1) * irn_reference_dot(power, probe, size) / (double)k;
    }
    return sum;
}

/* a = sum over k < terms of (-1)^k (J^T)^k probe. */
static void make_pair(irn_twin *t, size_t b, size_t image)
{
    size_t size = block_size(&t->model->blocks[b]);
    double *a = t->pairs[b] + image * size, *power = t->flow[1];
    memcpy(power, t->probes[b] + image * size, size * sizeof *power);
    memcpy(a, power, size * sizeof *a);
    for (size_t k = 1; k < t->terms; k++) {
        block_vjp(t, b, power, power);
        for (size_t i = 0; i < size; i++)
            a[i] += (k % 2 ? -1 : 1) * power[i];
    }
}

/* ---- a pass ---- */

/* x [C, 2H, 2W] becomes [4C, H, W]: flow[0], by way of flow[1]. */
static void squeeze(irn_twin *t, const irn_block *block)
{
    size_t height = block->height, width = block->width, channels = block->channels / 4;
    memcpy(t->flow[1], t->flow[0], block_size(block) * sizeof *t->flow[0]);
    for (size_t i = 0; i < block_size(block); i++) {
        size_t column = i % (2 * width), row = i / (2 * width) % (2 * height);
        size_t channel = (row % 2 * 2 + column % 2) * channels + i / (4 * height * width);
        t->flow[0][(channel * height + row / 2) * width + column / 2] = t->flow[1][i];
    }
}

/* The part of z that is at `part`, with its prior. */
static void leave(irn_twin *t, size_t scale, size_t image, const double *part)
{
    const irn_scale *s = &t->model->scales[scale];
    bool learned = t->model->config.prior == IRN_PRIOR_LEARNED;
    for (size_t i = 0; i < s->channels * s->height * s->width; i++) {
        double mean = learned ? t->parameters[s->mean][i] : 0;
        double log_std = learned ? t->parameters[s->log_std][i] : 0;
        double r = (part[i] - mean) / exp(log_std);
        t->z[image * t->dimension + s->offset + i] = part[i];
        t->priors[image] -= r * r / 2 + log_std;
    }
}

/* The logit transform, and its log-determinant. */
static void enter(irn_twin *t, size_t image)
{
    const double alpha = t->model->config.logit, slope = 1 - 2 * alpha;
    for (size_t i = 0; i < t->size; i++) {
        double x = t->x[image * t->size + i], s = alpha + slope * (x + 0.5);
        t->flow[0][i] = alpha > 0 ? log(s / (1 - s)) : x;
        t->logdets[image] += alpha > 0 ? log(slope / (s * (1 - s))) : 0;
    }
}

static void normalise(irn_twin *t, const irn_block *block, size_t image)
{
    size_t pixels = block->height * block->width;
    for (size_t i = 0; i < block_size(block) && t->model->config.actnorm; i++) {
        double log_scale = t->parameters[block->log_scale][i / pixels];
        t->flow[0][i] = t->flow[0][i] * exp(log_scale) + t->parameters[block->shift][i / pixels];
        t->logdets[image] += log_scale;
    }
}

/* pairs: make them instead of log-determinants of g. */
static void pass_image(irn_twin *t, size_t image, bool pairs)
{
    const irn_model *m = t->model;
    size_t scale = 0;
    t->logdets[image] = t->priors[image] = 0;
    enter(t, image);
    for (size_t b = 0; b < m->block_count; b++) {
        const irn_block *block = &m->blocks[b];
        if (block->squeeze)
            squeeze(t, block);
        normalise(t, block, image);
        block_forward(t, b, t->flow[0]);
        for (size_t i = 0; i < block_size(block); i++)
            t->flow[2][i] = t->flow[0][i] + t->hidden[0][i];
        if (pairs)
            make_pair(t, b, image);
        else
            t->logdets[image] += block_logdet(t, b, image);
        memcpy(t->flow[0], t->flow[2], block_size(block) * sizeof *t->flow[0]);
        if (!block->split)
            continue;
        size_t gone = block->channels / 2 * block->height * block->width;
        leave(t, scale++, image, t->flow[0]);
        memmove(t->flow[0], t->flow[0] + gone, (block_size(block) - gone) * sizeof *t->flow[0]);
    }
    size_t last = block_size(&m->blocks[m->block_count - 1]);
    leave(t, scale, image, t->flow[0]);
    memcpy(t->top + image * last, t->flow[0], last * sizeof *t->top);
}

static void pass_all(irn_twin *t, bool pairs)
{
    for (size_t i = 0; i < layer_count(t); i++)
        t->scales[i] = scale_of(t, i);
    for (size_t n = 0; n < t->images; n++)
        pass_image(t, n, pairs);
}

void irn_twin_pass(irn_twin *twin)
{
    pass_all(twin, false);
}

void irn_twin_make_pairs(irn_twin *twin)
{
    pass_all(twin, true);
}

/* ---- the head and the losses ---- */

typedef struct moments {
    double mean, variance;
} moments;

static moments batch_moments(const irn_twin *t, const irn_block *last, size_t channel)
{
    size_t pixels = last->height * last->width, row = last->channels * pixels;
    double total = (double)(t->images * pixels);
    moments m = {0, 0};
    for (int second = 0; second < 2; second++)
        for (size_t k = 0; k < t->images * pixels; k++) {
            double value = t->top[k / pixels * row + channel * pixels + k % pixels];
            if (second)
                m.variance += (value - m.mean) * (value - m.mean) / total;
            else
                m.mean += value / total;
        }
    return m;
}

void irn_twin_scores(irn_twin *t, const double *mean, const double *variance)
{
    const irn_head *head = &t->model->head;
    const irn_block *last = &t->model->blocks[t->model->block_count - 1];
    const double epsilon = 1e-5, *weight = t->parameters[head->weight];
    size_t pixels = last->height * last->width, classes = t->model->config.classes;
    for (size_t i = 0; i < t->images * classes; i++)
        t->scores[i] = t->parameters[head->bias][i % classes];
    for (size_t c = 0; c < last->channels; c++) {
        moments m = mean ? (moments){mean[c], variance[c]} : batch_moments(t, last, c);
        double scale = t->parameters[head->gamma][c] / sqrt(m.variance + epsilon);
        for (size_t n = 0; n < t->images; n++) {
            double pooled = 0;
            for (size_t p = 0; p < pixels; p++) {
                double x = t->top[(n * last->channels + c) * pixels + p] - m.mean;
                pooled += fmax(scale * x + t->parameters[head->beta][c], 0) / (double)pixels;
            }
            for (size_t k = 0; k < classes; k++)
                t->scores[n * classes + k] += weight[k * last->channels + c] * pooled;
        }
    }
}

double irn_twin_cross_entropy(irn_twin *t)
{
    size_t classes = t->model->config.classes;
    double loss = 0;
    irn_twin_scores(t, NULL, NULL);
    for (size_t n = 0; n < t->images; n++) {
        double sum = 0;
        for (size_t k = 0; k < classes; k++)
            sum += exp(t->scores[n * classes + k]);
        loss += log(sum) - t->scores[n * classes + (size_t)t->labels[n]];
    }
    return loss / (double)t->images;
}

double irn_twin_bits(const irn_twin *t)
{
    const double log_two_pi = 1.8378770664093454836, ln2 = 0.69314718055994530942;
    double dimension = (double)t->dimension, nats = dimension * log_two_pi / 2;
    for (size_t n = 0; n < t->images; n++)
        nats -= (t->logdets[n] + t->priors[n]) / (double)t->images;
    return nats / (ln2 * dimension);
}

double irn_twin_loss(irn_twin *t)
{
    irn_twin_pass(t);
    double loss = irn_twin_cross_entropy(t);
    return t->method == IRN_TWIN_NONE ? loss : loss + irn_twin_bits(t);
}
