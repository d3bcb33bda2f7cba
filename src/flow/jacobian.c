#include "flow/jacobian.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

/* A layer's inputs are kept wherever an activation stands before it. */
static size_t first_kept(const irn_block *block)
{
    return block->first_activation ? 0 : 1;
}

static size_t kept_size(const irn_model *model)
{
    size_t size = 0, lanes = model->context->tuning.channel_block;
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        for (size_t i = first_kept(block); i < model->config.layers; i++)
            size += irn_channel_blocks(model->context, block->layers[i].conv.inputs) * lanes *
                    block->height * block->width;
    }
    return size;
}

size_t irn_jacobian_chunk(const irn_model *model, size_t images)
{
    size_t limit = (size_t)256 << 20; /* elements: 1 GiB of floats */
    limit = irn_smaller(limit, (size_t)(model->context->info.global_memory / (4 * sizeof(float))));
    size_t most = limit / irn_larger(1, kept_size(model));
    return irn_smaller(irn_model_chunk(model, images), irn_larger(1, most));
}

static size_t most_channels(const irn_model *model)
{
    size_t most = 0;
    for (size_t b = 0; b < model->block_count; b++)
        most = irn_larger(most, model->blocks[b].channels);
    return most;
}

static irn_status create(irn_jacobian *out)
{
    irn_model *model = out->model;
    irn_context *context = model->context;
    size_t lanes = context->tuning.channel_block;
    IRN_TRY(irn_workspace_create(&out->workspace, model, IRN_SINGLE, out->images));
    IRN_TRY(irn_alloc(&out->inputs, model->block_count, sizeof *out->inputs));
    IRN_TRY(irn_alloc(&out->steps, model->block_count, sizeof *out->steps));
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        for (size_t i = first_kept(block); i < model->config.layers; i++)
            IRN_TRY(irn_tensor_create(&out->inputs[b][i], context, IRN_SINGLE,
                                      irn_input_images(model, out->images),
                                      block->layers[i].conv.inputs, block->height, block->width));
    }
    for (size_t i = 0; i < 2; i++)
        IRN_TRY(irn_flat_create(&out->solve[i], context, IRN_SINGLE, out->images,
                                irn_largest_flow(model)));
    IRN_TRY(irn_memory_create(context, &out->zeros,
                              irn_channel_blocks(context, most_channels(model)) * lanes,
                              sizeof(float), true));
    IRN_TRY(irn_memory_create(context, &out->dots, 3 * out->images, sizeof(float), true));
    return irn_alloc(&out->dots_host, 3 * out->images, sizeof *out->dots_host);
}

irn_status irn_jacobian_create(irn_jacobian *out, irn_model *model, size_t images)
{
    memset(out, 0, sizeof *out);
    out->model = model;
    out->images = images;
    irn_status status = create(out);
    if (status != IRN_OK)
        irn_jacobian_free(out);
    return status;
}

void irn_jacobian_free(irn_jacobian *jacobian)
{
    if (!jacobian->model)
        return;
    irn_workspace_free(&jacobian->workspace);
    for (size_t b = 0; jacobian->inputs && b < jacobian->model->block_count; b++)
        for (size_t i = 0; i < IRN_MAX_LAYERS; i++)
            irn_tensor_free(&jacobian->inputs[b][i]);
    for (size_t i = 0; i < 2; i++)
        irn_tensor_free(&jacobian->solve[i]);
    irn_memory_release(jacobian->model->context, jacobian->zeros);
    irn_memory_release(jacobian->model->context, jacobian->dots);
    free(jacobian->inputs);
    free(jacobian->steps);
    free(jacobian->dots_host);
    memset(jacobian, 0, sizeof *jacobian);
}

/* ---- on the way ---- */

static irn_tensor block_view(const irn_jacobian *j, const irn_tensor *memory,
                             const irn_block *block)
{
    return irn_tensor_view(memory, j->now.images, block->channels, block->height, block->width);
}

/* The flow tensor that the vector is not in. */
static const irn_tensor *other(const irn_jacobian *j)
{
    const irn_tensor *flow = j->workspace.flow;
    return &flow[j->now.memory == flow[0].memory];
}

static irn_status squeeze(irn_jacobian *j, const irn_block *block)
{
    irn_tensor next = block_view(j, other(j), block);
    if (!block->squeeze)
        return IRN_OK;
    IRN_TRY(irn_squeeze(&j->now, &next));
    j->now = next;
    return IRN_OK;
}

static irn_status unsqueeze(irn_jacobian *j, const irn_block *block)
{
    if (!block->squeeze)
        return IRN_OK;
    irn_tensor next = irn_tensor_view(other(j), j->now.images, block->channels / 4,
                                      2 * block->height, 2 * block->width);
    IRN_TRY(irn_unsqueeze(&j->now, &next));
    j->now = next;
    return IRN_OK;
}

static irn_status leave(irn_jacobian *j, const irn_block *block, size_t *scale)
{
    if (!block->split)
        return IRN_OK;
    irn_tensor part =
        irn_latent_view(j->model, &j->workspace.early.parts[*scale], *scale, j->now.images);
    irn_tensor rest = irn_tensor_view(other(j), j->now.images, irn_split_rest(block), block->height,
                                      block->width);
    IRN_TRY(irn_part_leave(&j->now, &part, &rest));
    j->now = rest;
    ++*scale;
    return IRN_OK;
}

static irn_status join(irn_jacobian *j, const irn_block *block, size_t *scale)
{
    if (!block->split)
        return IRN_OK;
    --*scale;
    irn_tensor part =
        irn_latent_view(j->model, &j->workspace.early.parts[*scale], *scale, j->now.images);
    irn_tensor whole = block_view(j, other(j), block);
    IRN_TRY(irn_part_join(&part, &j->now, &whole));
    j->now = whole;
    return IRN_OK;
}

/* Actnorm's scales, or their inverses; either is its own transpose. */
static irn_status rescale(irn_jacobian *j, const irn_block *block, bool inverse)
{
    if (!j->model->config.actnorm)
        return IRN_OK;
    irn_place log_scale = irn_parameter(j->model, block->log_scale);
    if (!inverse)
        return irn_actnorm_scale(&j->now, log_scale, &j->now);
    return irn_actnorm_inverse(&j->now, log_scale, (irn_place){j->zeros, 0}, &j->now);
}

static void input_views(const irn_jacobian *j, size_t b, irn_tensor out[IRN_MAX_LAYERS])
{
    for (size_t i = 0; i < j->model->config.layers; i++)
        out[i] = irn_layer_input(&j->model->blocks[b], i, &j->inputs[b][i], j->now.images);
}

irn_status irn_jacobian_at(irn_jacobian *j, cl_mem x, size_t offset, size_t images)
{
    irn_model *model = j->model;
    irn_tensor *flow = j->workspace.flow;
    size_t scale = 0;
    IRN_TRY(irn_model_prepare(model));
    j->now = irn_jacobian_input(j, &flow[0], images);
    IRN_TRY(irn_flow_input(model, x, offset, &flow[1], &j->now));
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        irn_tensor inputs[IRN_MAX_LAYERS];
        IRN_TRY(squeeze(j, block));
        IRN_TRY(irn_block_normalise(model, &model->single, block, &j->now));
        irn_tensor out = block_view(j, other(j), block);
        input_views(j, b, inputs);
        IRN_TRY(irn_block_residual(model, &model->single, block, &j->now, inputs, &j->now, &out));
        j->now = out;
        IRN_TRY(leave(j, block, &scale));
    }
    return IRN_OK;
}

/* ---- blocks ---- */

/* One block's I + J, or its transpose, and a right-hand side or vector r. */
typedef struct block_operator {
    irn_jacobian *jacobian;
    const irn_block *block;
    size_t index;
    bool transposed;
    irn_tensor inputs[IRN_MAX_LAYERS], tangents[IRN_MAX_LAYERS];
} block_operator;

static block_operator at_block(irn_jacobian *j, size_t b, bool transposed)
{
    block_operator o = {
        .jacobian = j, .block = &j->model->blocks[b], .index = b, .transposed = transposed};
    input_views(j, b, o.inputs);
    irn_workspace_inputs(&j->workspace, o.block, j->now.images, o.tangents);
    return o;
}

static irn_status multiply(const block_operator *o, const irn_tensor *r, const irn_tensor *out)
{
    const irn_model *model = o->jacobian->model;
    if (o->transposed)
        return irn_block_vjp(model, o->block, o->inputs, r, NULL, o->tangents, r, out);
    IRN_TRY(irn_block_jvp(model, o->block, o->inputs, r, o->tangents, out));
    return irn_add_scaled(1, r, out);
}

enum {
    LOOK = 8,         /* steps between looks; even */
    MOST_STEPS = 1024 /* of one solve */
};

/* Whether every sample's ||t' - t||, which is the residual of t, is small beside ||r||, or not
 * above what rounding of t leaves. difference: where t' - t is. Numbers that are not finite end the
 * solve too. */
static irn_status look(const irn_jacobian *j, const irn_tensor *difference, const irn_tensor *r,
                       const irn_tensor *t, bool *done)
{
    const double small = 1e-5, rounding = 1e-6;
    const irn_tensor *tensors[3] = {difference, r, t};
    size_t images = t->images;
    for (size_t i = 0; i < 3; i++)
        IRN_TRY(irn_sample_dots_at(tensors[i], tensors[i], (irn_place){j->dots, i * images}));
    IRN_TRY(
        irn_memory_read(t->context, j->dots, 0, j->dots_host, 3 * images * sizeof *j->dots_host));
    *done = true;
    for (size_t n = 0; n < images; n++) {
        double norms[3];
        for (size_t i = 0; i < 3; i++)
            norms[i] = sqrt((double)j->dots_host[i * images + n]);
        *done = *done && !(norms[0] > small * norms[1] + rounding * norms[2]);
    }
    return IRN_OK;
}

/* t <- r - J t. The transposed product can only be added to something, so there t changes its sign
 * with every step, and so does r. */
static irn_status step(const block_operator *o, size_t k, const irn_tensor *r,
                       const irn_tensor *minus_r, const irn_tensor *t, const irn_tensor *out)
{
    const irn_model *model = o->jacobian->model;
    if (!o->transposed)
        return irn_block_neumann_step(model, o->block, o->inputs, r, t, o->tangents, out);
    return irn_block_vjp(model, o->block, o->inputs, t, NULL, o->tangents, k % 2 ? r : minus_r,
                         out);
}

/* out = (I + J)^-1 r. The first look comes shortly before the latest solve was done. */
static irn_status solve(const block_operator *o, const irn_tensor *r, const irn_tensor *out)
{
    irn_jacobian *j = o->jacobian;
    irn_tensor t[2];
    size_t *latest = &j->steps[o->index][o->transposed], k = 0;
    size_t next = *latest > LOOK ? *latest - LOOK : LOOK;
    bool done = false;
    for (size_t i = 0; i < 2; i++)
        t[i] = block_view(j, &j->solve[i], o->block);
    IRN_TRY(irn_tensor_copy(r, &t[0]));
    IRN_TRY(irn_tensor_copy(r, out));
    IRN_TRY(irn_add_scaled(-2, r, out)); /* -r, until it is the result */
    while (!done && k < MOST_STEPS) {
        for (; k < next; k++)
            IRN_TRY(step(o, k, r, out, &t[k % 2], &t[(k + 1) % 2]));
        IRN_TRY(irn_add_scaled(o->transposed ? 1 : -1, &t[0], &t[1]));
        IRN_TRY(look(j, &t[1], r, &t[0], &done));
        next = k + LOOK;
    }
    *latest = k;
    return irn_tensor_copy(&t[0], out);
}

static irn_status apply(irn_jacobian *j, size_t b, bool transposed, bool inverse)
{
    block_operator o = at_block(j, b, transposed);
    irn_tensor out = block_view(j, other(j), o.block);
    IRN_TRY(inverse ? solve(&o, &j->now, &out) : multiply(&o, &j->now, &out));
    j->now = out;
    return IRN_OK;
}

/* ---- the network ---- */

irn_tensor irn_jacobian_input(const irn_jacobian *jacobian, const irn_tensor *memory, size_t images)
{
    const irn_model *model = jacobian->model;
    return irn_tensor_view(memory, images, model->channels, model->height, model->width);
}

irn_status irn_jacobian_load(irn_jacobian *jacobian, const irn_tensor *vector)
{
    jacobian->now = irn_jacobian_input(jacobian, &jacobian->workspace.flow[0], vector->images);
    return irn_tensor_copy(vector, &jacobian->now);
}

irn_status irn_jacobian_ascend(irn_jacobian *j, bool inverse)
{
    size_t scale = 0;
    for (size_t b = 0; b < j->model->block_count; b++) {
        const irn_block *block = &j->model->blocks[b];
        IRN_TRY(squeeze(j, block));
        IRN_TRY(rescale(j, block, inverse));
        IRN_TRY(apply(j, b, inverse, inverse));
        IRN_TRY(leave(j, block, &scale));
    }
    return IRN_OK;
}

irn_status irn_jacobian_descend(irn_jacobian *j, bool inverse)
{
    size_t scale = j->model->scale_count - 1;
    for (size_t b = j->model->block_count; b-- > 0;) {
        const irn_block *block = &j->model->blocks[b];
        IRN_TRY(join(j, block, &scale));
        IRN_TRY(apply(j, b, !inverse, inverse));
        IRN_TRY(rescale(j, block, inverse));
        IRN_TRY(unsqueeze(j, block));
    }
    return IRN_OK;
}

irn_status irn_jacobian_squares(const irn_jacobian *j, irn_place out)
{
    IRN_TRY(irn_sample_dots_at(&j->now, &j->now, out));
    for (size_t s = 0; s + 1 < j->model->scale_count; s++) {
        irn_tensor part = irn_latent_view(j->model, &j->workspace.early.parts[s], s, j->now.images);
        IRN_TRY(irn_add_sample_dots(&part, &part, out));
    }
    return IRN_OK;
}
