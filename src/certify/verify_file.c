/* The layers that are in a file. Of a model they follow from its configuration, as they do where
 * models are made (flow/model.c), written down once more here: the checker looks for the tensors by
 * name, and takes maps from the configuration alone. */
#include "base/round.h"
#include "certify/verify.h"
#include "flow/config_json.h"
#include "flow/model.h"
#include "io/file.h"
#include "io/safetensors.h"

#include <fnmatch.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct place {
    size_t channels, height, width; /* of z where the block stands, after its squeeze */
    size_t hidden;                  /* channels within g */
    bool split;
} place;

struct irn_subject {
    const irn_certificate *certificate;
    irn_safetensors *file;
    bool is_model;
    irn_model_config config;
    place *blocks;
    size_t block_count;
    size_t *tensors; /* of bare weights, those that are layers */
    size_t layer_count;
};

/* ---- models ---- */

static void squeeze(place *at)
{
    at->channels *= 4;
    at->height /= 2;
    at->width /= 2;
}

static void list_blocks(irn_subject *subject)
{
    const irn_model_config *c = &subject->config;
    place at = {.channels = c->channels, .height = c->height, .width = c->width};
    size_t count = 0;
    if (c->init_squeeze)
        squeeze(&at);
    at.channels += c->pad_channels;
    for (size_t stage = 0; stage < c->stages; stage++) {
        bool leaves = c->multiscale && stage + 1 < c->stages;
        if (c->strides[stage] == 2)
            squeeze(&at);
        at.hidden = c->widths[stage];
        for (size_t i = 0; i < c->blocks[stage]; i++) {
            subject->blocks[count] = at;
            subject->blocks[count++].split = leaves && i + 1 == c->blocks[stage];
        }
        if (leaves)
            at.channels -= at.channels / 2;
    }
}

static irn_status open_model(irn_subject *subject, const char *json)
{
    const char *name = irn_safetensors_name(subject->file);
    const irn_model_config *c = &subject->config;
    IRN_TRY(irn_config_from_json(&subject->config, json, name));
    if (irn_config_check(c) != IRN_OK)
        return irn_fail(IRN_ERROR_FORMAT, "%s: configuration: %s", name, irn_last_error());
    for (size_t stage = 0; stage < c->stages; stage++)
        subject->block_count += c->blocks[stage];
    IRN_TRY(irn_alloc(&subject->blocks, subject->block_count, sizeof *subject->blocks));
    subject->layer_count = subject->block_count * c->layers;
    list_blocks(subject);
    return IRN_OK;
}

static void layer_name(char out[48], const irn_subject *subject, size_t index)
{
    size_t layers = subject->config.layers;
    snprintf(out, 48, "blocks.%zu.conv%zu", index / layers, index % layers);
}

static irn_kernel_shape model_shape(const irn_subject *subject, size_t index)
{
    size_t layers = subject->config.layers, layer = index % layers;
    const place *block = &subject->blocks[index / layers];
    return (irn_kernel_shape){.outputs = layer + 1 == layers ? block->channels : block->hidden,
                              .inputs = layer == 0 ? block->channels : block->hidden,
                              .kernel_height = subject->config.kernels[layer],
                              .kernel_width = subject->config.kernels[layer],
                              .height = block->height,
                              .width = block->width,
                              .padding = subject->config.padding,
                              .stride = 1,
                              .dilation = 1,
                              .groups = 1};
}

/* As models are loaded: in float32. */
static irn_status model_scale(const irn_subject *subject, const char *layer, double *scale)
{
    char name[64];
    float value;
    snprintf(name, sizeof name, "%s.scale", layer);
    IRN_TRY(irn_safetensors_read_float(subject->file, name, 1, &value));
    *scale = (double)value;
    return IRN_OK;
}

static irn_status model_kernel(const irn_subject *subject, size_t index, double *out)
{
    irn_kernel_shape shape = model_shape(subject, index);
    const size_t sizes[] = {shape.outputs, shape.inputs, shape.kernel_height, shape.kernel_width};
    const char *file = irn_safetensors_name(subject->file);
    char layer[48], name[64];
    size_t count = sizes[0] * sizes[1] * sizes[2] * sizes[3], found;
    float *narrow;
    irn_array view;
    layer_name(layer, subject, index);
    snprintf(name, sizeof name, "%s.weight", layer);
    found = irn_safetensors_find(subject->file, name);
    if (found == SIZE_MAX)
        return irn_fail(IRN_ERROR_FORMAT, "%s has no tensor '%s'", file, name);
    IRN_TRY(irn_safetensors_view(subject->file, found, &view));
    if (view.rank != 4 || memcmp(view.shape, sizes, sizeof sizes) != 0)
        return irn_fail(IRN_ERROR_FORMAT, "%s: tensor '%s' is not %zux%zux%zux%zu", file, name,
                        sizes[0], sizes[1], sizes[2], sizes[3]);
    IRN_TRY(irn_alloc(&narrow, count, sizeof *narrow));
    irn_status status = irn_safetensors_read_float(subject->file, name, count, narrow);
    for (size_t i = 0; status == IRN_OK && i < count; i++)
        out[i] = (double)narrow[i];
    free(narrow);
    return status;
}

/* exp() of the C library errs by less than a unit in the last place: two steps. */
static irn_status affine(const irn_subject *subject, size_t block, irn_interval *scale)
{
    size_t channels = subject->blocks[block].channels;
    char name[64];
    float *values;
    *scale = (irn_interval){1, 1};
    if (!subject->config.actnorm)
        return IRN_OK;
    snprintf(name, sizeof name, "blocks.%zu.actnorm.log_scale", block);
    IRN_TRY(irn_alloc(&values, channels, sizeof *values));
    irn_status status = irn_safetensors_read_float(subject->file, name, channels, values);
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; status == IRN_OK && i < channels; i++) {
        least = fmin(least, (double)values[i]);
        most = fmax(most, (double)values[i]);
    }
    scale->lower = fmax(0, irn_round_down(irn_round_down(exp(least))));
    scale->upper = irn_round_up(irn_round_up(exp(most)));
    free(values);
    return status;
}

/* ---- bare weights ---- */

static irn_status is_layer(const irn_subject *subject, size_t index, bool *out)
{
    const char *pattern = subject->certificate->weights.pattern;
    const char *name = irn_safetensors_tensor_name(subject->file, index);
    irn_array view;
    *out = !pattern || fnmatch(pattern, name, 0) == 0;
    if (!*out)
        return IRN_OK;
    IRN_TRY(irn_safetensors_view(subject->file, index, &view));
    bool real = view.type == IRN_FLOAT32 || view.type == IRN_FLOAT64;
    *out = real && view.rank >= 2 && view.rank <= 4;
    return IRN_OK;
}

static irn_status open_weights(irn_subject *subject)
{
    size_t count = irn_safetensors_count(subject->file);
    IRN_TRY(irn_alloc(&subject->tensors, count, sizeof *subject->tensors));
    for (size_t i = 0; i < count; i++) {
        bool layer;
        IRN_TRY(is_layer(subject, i, &layer));
        if (layer)
            subject->tensors[subject->layer_count++] = i;
    }
    return IRN_OK;
}

/* A tensor with 2 dimensions is a dense layer, with 3 a convolution of a row. */
static irn_status weights_shape(const irn_subject *subject, size_t index, irn_kernel_shape *out)
{
    const irn_weights_options *w = &subject->certificate->weights;
    irn_array view;
    IRN_TRY(irn_safetensors_view(subject->file, subject->tensors[index], &view));
    bool dense = view.rank == 2, row = view.rank == 3;
    *out = (irn_kernel_shape){.outputs = view.shape[0],
                              .kernel_height = view.rank == 4 ? view.shape[2] : 1,
                              .kernel_width = dense ? 1 : view.shape[view.rank - 1],
                              .height = dense || (row && w->height > 0) ? 1 : w->height,
                              .width = dense ? 1 : w->width,
                              .padding = w->padding,
                              .stride = dense ? 1 : w->stride,
                              .dilation = dense ? 1 : w->dilation,
                              .groups = dense ? 1 : w->groups,
                              .transposed = !dense && w->transposed};
    const size_t inputs[] = {view.shape[1], out->groups};
    if (!irn_product(&out->inputs, inputs, 2))
        out->inputs = 0; /* like no claim */
    return IRN_OK;
}

/* 1 / (max(1, sigma / coefficient) + epsilon); NaN, which nothing equals, where that cannot be
 * claimed. Each of its three operations errs by half a unit of its result, less than two units
 * together. */
static double normalisation(const irn_weights_options *w, double sigma, bool large)
{
    const double most = 1e300; /* else results have fewer digits */
    if (!(w->coefficient > 0) || !(sigma / w->coefficient <= most) || !(w->epsilon <= most / 2))
        return NAN;
    double divisor = sigma > w->coefficient ? sigma / w->coefficient : 1;
    return 1 / (large ? divisor + w->epsilon : divisor);
}

/* X_orig beside X_sigma is a kernel of the official code before its normalisation. */
static irn_status weights_scale(const irn_subject *subject, const char *name,
                                const irn_kernel_shape *shape, double *scale, double *upper)
{
    static const char before[] = "_orig", beside[] = "_sigma";
    const irn_weights_options *w = &subject->certificate->weights;
    size_t length = strlen(name), stem = length - irn_smaller(length, strlen(before));
    bool large = shape->kernel_height > 1 || shape->kernel_width > 1;
    char *other;
    double sigma = NAN;
    *scale = *upper = 1;
    if (stem == 0 || strcmp(name + stem, before) != 0)
        return IRN_OK;
    IRN_TRY(irn_alloc(&other, stem + sizeof beside, 1));
    snprintf(other, stem + sizeof beside, "%.*s%s", (int)stem, name, beside);
    irn_status status = IRN_OK;
    if (irn_safetensors_find(subject->file, other) != SIZE_MAX) {
        status = irn_safetensors_read_double(subject->file, other, 1, &sigma);
        if (status == IRN_OK)
            *scale = normalisation(w, sigma, large);
        /* Two units and what this product rounds. */
        *upper = irn_round_up(*scale * (1 + 0x1p-51));
    }
    free(other);
    return status;
}

/* ---- both ---- */

irn_status irn_subject_open(irn_subject **out, const irn_certificate *certificate, uint8_t *bytes,
                            size_t size, const char *path)
{
    irn_safetensors *file;
    irn_subject *subject;
    *out = NULL;
    IRN_TRY(irn_safetensors_parse(&file, bytes, size, path));
    irn_status status = irn_alloc(&subject, 1, sizeof *subject);
    if (status != IRN_OK) {
        irn_safetensors_free(file);
        return status;
    }
    const char *json = irn_safetensors_metadata(file, "iresnet");
    subject->certificate = certificate;
    subject->file = file;
    subject->is_model = json != NULL;
    status = json ? open_model(subject, json) : open_weights(subject);
    if (status == IRN_OK)
        *out = subject;
    else
        irn_subject_free(subject);
    return status;
}

void irn_subject_free(irn_subject *subject)
{
    if (!subject)
        return;
    irn_safetensors_free(subject->file);
    free(subject->blocks);
    free(subject->tensors);
    free(subject);
}

bool irn_subject_is_model(const irn_subject *subject)
{
    return subject->is_model;
}

size_t irn_subject_layer_count(const irn_subject *subject)
{
    return subject->layer_count;
}

static bool same_shape(const irn_kernel_shape *a, const irn_kernel_shape *b)
{
    return a->outputs == b->outputs && a->inputs == b->inputs &&
           a->kernel_height == b->kernel_height && a->kernel_width == b->kernel_width &&
           a->height == b->height && a->width == b->width && a->padding == b->padding &&
           a->stride == b->stride && a->dilation == b->dilation && a->groups == b->groups &&
           a->transposed == b->transposed;
}

static irn_status mismatch(size_t index, const char *name, const char *what)
{
    char text[IRN_EXCERPT];
    return irn_fail(IRN_ERROR_NOT_CERTIFIED, "layer %zu of the file is '%s', and %s", index,
                    irn_excerpt(text, name, strlen(name)), what);
}

irn_status irn_subject_compare(const irn_subject *subject, size_t index,
                               const irn_layer_bound *layer, double *scale_upper)
{
    irn_kernel_shape shape;
    char buffer[48];
    const char *name = buffer;
    double scale = 1;
    if (subject->is_model) {
        layer_name(buffer, subject, index);
        shape = model_shape(subject, index);
        IRN_TRY(model_scale(subject, name, &scale));
        *scale_upper = fabs(scale);
    } else {
        name = irn_safetensors_tensor_name(subject->file, subject->tensors[index]);
        IRN_TRY(weights_shape(subject, index, &shape));
        IRN_TRY(weights_scale(subject, name, &shape, &scale, scale_upper));
    }
    if (strcmp(name, layer->name) != 0)
        return mismatch(index, name, "another stands in its place in the certificate");
    if (!same_shape(&shape, &layer->shape))
        return mismatch(index, name,
                        "its kernel, map, padding or stride is not what the certificate says");
    if (!(scale == layer->scale))
        return mismatch(index, name, "its scale is not what the certificate says");
    return IRN_OK;
}

irn_status irn_subject_kernel(const irn_subject *subject, size_t index, double **out)
{
    irn_array view;
    size_t count;
    *out = NULL;
    if (subject->is_model) {
        irn_kernel_shape s = model_shape(subject, index);
        count = s.outputs * s.inputs * s.kernel_height * s.kernel_width;
    } else {
        IRN_TRY(irn_safetensors_view(subject->file, subject->tensors[index], &view));
        count = irn_array_count(&view);
    }
    IRN_TRY(irn_alloc(out, count, sizeof **out));
    irn_status status =
        subject->is_model
            ? model_kernel(subject, index, *out)
            : irn_safetensors_read_double(
                  subject->file,
                  irn_safetensors_tensor_name(subject->file, subject->tensors[index]), count, *out);
    if (status == IRN_OK)
        return IRN_OK;
    free(*out);
    *out = NULL;
    return status;
}

size_t irn_subject_block_count(const irn_subject *subject)
{
    return subject->block_count;
}

irn_status irn_subject_block_at(const irn_subject *subject, size_t index, irn_subject_block *out)
{
    const place *at = &subject->blocks[index];
    *out = (irn_subject_block){.first_layer = index * subject->config.layers,
                               .layers = subject->config.layers,
                               .dimension = at->channels * at->height * at->width,
                               .split = at->split};
    snprintf(out->name, sizeof out->name, "blocks.%zu", index);
    return affine(subject, index, &out->scale);
}
