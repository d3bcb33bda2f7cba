#include "flow/logdet.h"
#include "flow/chain.h"
#include "ops/elementwise.h"

#include <stdio.h>
#include <string.h>

/* The flags of logdet.cl. */
enum { COMBINE = 1, STORE = 2, SECOND = 4, ADD = 8 };

irn_status irn_series_init(irn_series *out, size_t terms, bool neumann)
{
    memset(out, 0, sizeof *out);
    if (terms < 1 || terms > IRN_MAX_TERMS)
        return irn_fail(IRN_ERROR_ARGUMENT, "a series of %zu terms; it must have 1 to %d", terms,
                        IRN_MAX_TERMS);
    out->terms = terms;
    out->neumann = neumann;
    for (size_t k = 0; k < terms; k++) {
        out->weights[k] = k % 2 ? -1 : 1;
        out->coefficients[k] = out->weights[k] / (double)(k + 1);
    }
    return IRN_OK;
}

irn_status irn_series_roulette(irn_series *out, size_t terms, const irn_roulette *roulette)
{
    IRN_TRY(irn_series_init(out, terms, true));
    for (size_t k = 0; k < terms; k++) {
        double weight = irn_roulette_weight(roulette, k + 1);
        out->coefficients[k] *= weight;
        out->weights[k] *= weight;
    }
    return IRN_OK;
}

/* ---- memory ---- */

enum { NEUMANN_POWERS = 3 }; /* that are held at a time, whatever the number of terms */

size_t irn_series_pairs(size_t terms, bool neumann)
{
    return neumann ? 1 : terms;
}

static irn_status create(irn_logdet *out, size_t terms)
{
    const irn_model *model = out->model;
    irn_context *context = model->context;
    size_t images = out->images, flow = irn_largest_flow(model);
    size_t powers = terms > 1 ? terms + 1 : NEUMANN_POWERS;
    IRN_TRY(irn_flat_create(&out->w, context, IRN_SINGLE, powers * images, flow));
    IRN_TRY(irn_flat_create(&out->t, context, IRN_SINGLE, out->pairs * images, flow));
    IRN_TRY(irn_flat_create(&out->next, context, IRN_SINGLE, images, flow));
    IRN_TRY(irn_flat_create(&out->a, context, IRN_SINGLE, out->pairs * images, flow));
    for (size_t i = 0; i < model->config.layers; i++) {
        size_t size = irn_largest_input(model, i);
        irn_tensor *stacks[2] = {&out->tangents[i], &out->cotangents[i]};
        for (size_t k = 0; k < 2; k++)
            IRN_TRY(irn_flat_create(stacks[k], context, IRN_SINGLE, out->pairs * images, size));
        IRN_TRY(irn_flat_create(&out->second_memory[i], context, IRN_SINGLE, images, size));
    }
    if (out->exact)
        IRN_TRY(irn_memory_create(context, &out->jacobians, 2 * images * out->pairs * out->pairs,
                                  sizeof(float), false));
    return irn_memory_create(context, &out->coefficients, 2 * IRN_MAX_TERMS, sizeof(float), true);
}

irn_status irn_logdet_create(irn_logdet *out, const irn_model *model, size_t images, size_t pairs,
                             size_t probes)
{
    memset(out, 0, sizeof *out);
    out->model = model;
    out->images = images;
    out->pairs = pairs * probes;
    out->exact = probes == 0;
    if (out->exact)
        out->pairs = pairs;
    irn_status status = create(out, pairs);
    if (status != IRN_OK)
        irn_logdet_free(out);
    return status;
}

void irn_logdet_free(irn_logdet *logdet)
{
    irn_tensor *streams[4] = {&logdet->w, &logdet->t, &logdet->next, &logdet->a};
    if (!logdet->model)
        return;
    for (size_t i = 0; i < 4; i++)
        irn_tensor_free(streams[i]);
    for (size_t i = 0; i < IRN_MAX_LAYERS; i++) {
        irn_tensor_free(&logdet->tangents[i]);
        irn_tensor_free(&logdet->cotangents[i]);
        irn_tensor_free(&logdet->second_memory[i]);
    }
    irn_memory_release(logdet->model->context, logdet->jacobians);
    irn_memory_release(logdet->model->context, logdet->coefficients);
    memset(logdet, 0, sizeof *logdet);
}

size_t irn_logdet_partials(const irn_model *model, const irn_layer *layer, size_t images,
                           size_t pairs)
{
    return irn_layer_partials(model, layer, images * pairs);
}

/* ---- views ---- */

/* `count` slots from `first` on of a stack of tensors of so many channels. */
static irn_tensor slots(const irn_logdet *l, const irn_tensor *stack, size_t channels, size_t first,
                        size_t count)
{
    irn_tensor view =
        irn_tensor_view(stack, count * l->batch, channels, l->block->height, l->block->width);
    view.offset += first * l->batch * irn_tensor_image_size(&view);
    return view;
}

static irn_tensor flow_slot(const irn_logdet *l, const irn_tensor *stack, size_t index)
{
    return slots(l, stack, l->block->channels, index, 1);
}

static irn_tensor layer_slots(const irn_logdet *l, const irn_tensor *stack, size_t layer,
                              size_t first, size_t count)
{
    return slots(l, stack, l->block->layers[layer].conv.inputs, first, count);
}

static void layer_views(const irn_logdet *l, const irn_tensor stacks[IRN_MAX_LAYERS], size_t slot,
                        irn_tensor out[IRN_MAX_LAYERS])
{
    for (size_t i = 0; i < l->model->config.layers; i++)
        out[i] = layer_slots(l, &stacks[i], i, slot, 1);
}

void irn_logdet_begin(irn_logdet *logdet, const irn_block *block, size_t images)
{
    logdet->block = block;
    logdet->batch = images;
    logdet->used = 0;
    layer_views(logdet, logdet->second_memory, 0, logdet->second);
}

/* ---- combinations ---- */

static void tensor_argument(irn_call *call, const irn_tensor *tensor)
{
    irn_call_memory(call, tensor->memory, tensor->offset);
}

/* One launch of combine_pairs over `terms` slots. Absent tensors are those that the flags turn off.
 */
typedef struct combination {
    irn_tensor w, a, tangents, second;
    irn_tensor saved;
    irn_place beta;
    int flags;
} combination;

static irn_call begin(const irn_logdet *l, size_t terms, const char *kernel)
{
    char options[96];
    snprintf(options, sizeof options, "%s -DACT=%d -DTERMS=%zu", irn_precision_options(IRN_SINGLE),
             (int)l->model->config.activation, terms);
    return irn_call_begin(l->model->context, "common.clh activation.clh logdet.clh logdet.cl",
                          options, kernel);
}

static irn_status combine(const irn_logdet *l, size_t terms, const combination *what)
{
    irn_context *context = l->model->context;
    size_t blocks = irn_tensor_blocks(&what->w);
    irn_call call = begin(l, terms, "combine_pairs");
    tensor_argument(&call, &what->w);
    tensor_argument(&call, &what->a);
    tensor_argument(&call, &what->tangents);
    tensor_argument(&call, &what->saved);
    irn_call_memory(&call, what->beta.memory, what->beta.offset);
    tensor_argument(&call, &what->second);
    irn_call_memory(&call, l->coefficients, 0);
    irn_call_ulong(&call, blocks);
    irn_call_int(&call, (size_t)what->flags);
    return irn_call_run(&call, irn_block_items(context, blocks), 1, 1, context->tuning.work_group);
}

/* The second-order parts at the activations, once the slots from `first` on have their tangents and
 * their cotangents: those of the a_j, or with COMBINE in `flags` what these are combined from. */
static irn_status meet(const irn_logdet *l, const irn_tensor *inputs, const irn_tensor *w,
                       size_t first, size_t terms, int flags)
{
    flags |= SECOND | (first > 0 ? ADD : 0);
    for (size_t i = l->block->first_activation ? 0 : 1; i < l->model->config.layers; i++) {
        combination c = {.tangents = layer_slots(l, &l->tangents[i], i, first, 1),
                         .second = l->second[i],
                         .saved = irn_saved_input(l->model, &inputs[i]),
                         .beta = irn_block_beta(l->model, l->model->single.parameters, l->block, i),
                         .flags = i == 0 ? flags : flags | (flags & COMBINE ? STORE : 0)};
        c.w = i == 0 ? *w : layer_slots(l, &l->cotangents[i], i, first, 1);
        c.a = c.w;
        IRN_TRY(combine(l, terms, &c));
    }
    return IRN_OK;
}

/* ---- pairs ---- */

static irn_status run_vjp(const irn_logdet *l, const irn_tensor *inputs, const irn_tensor *w,
                          size_t slot, const irn_tensor *out)
{
    irn_tensor cotangents[IRN_MAX_LAYERS];
    layer_views(l, l->cotangents, slot, cotangents);
    return irn_block_vjp(l->model, l->block, inputs, w, NULL, cotangents, NULL, out);
}

static irn_status run_jvp(const irn_logdet *l, const irn_tensor *inputs, const irn_tensor *t,
                          size_t slot, const irn_tensor *out)
{
    irn_tensor tangents[IRN_MAX_LAYERS];
    layer_views(l, l->tangents, slot, tangents);
    return irn_block_jvp(l->model, l->block, inputs, t, tangents, out);
}

irn_status irn_logdet_pair(irn_logdet *logdet, const irn_tensor *inputs, const irn_tensor *a,
                           const irn_tensor *t, const irn_tensor *out)
{
    size_t slot = logdet->used++;
    irn_tensor kept_a = flow_slot(logdet, &logdet->a, slot);
    irn_tensor kept_t = flow_slot(logdet, &logdet->t, slot);
    irn_tensor below = flow_slot(logdet, &logdet->w, 0);
    IRN_TRY(irn_tensor_copy(a, &kept_a));
    IRN_TRY(irn_tensor_copy(t, &kept_t));
    IRN_TRY(run_jvp(logdet, inputs, &kept_t, slot, out));
    IRN_TRY(
        run_vjp(logdet, inputs, &kept_a, slot, logdet->block->first_activation ? &below : NULL));
    return meet(logdet, inputs, &below, slot, 1, 0);
}

/* A write waits for the device, so they are written when they change only. */
static irn_status write_coefficients(irn_logdet *l, const irn_series *series, double weight)
{
    float values[2 * IRN_MAX_TERMS] = {0};
    for (size_t k = 0; k < series->terms; k++) {
        values[k] = (float)(weight * series->coefficients[k]);
        values[series->terms + k] = (float)(weight * series->weights[k]);
    }
    if (memcmp(values, l->written, sizeof values) == 0)
        return IRN_OK;
    memcpy(l->written, values, sizeof values);
    return irn_memory_write(l->model->context, l->coefficients, 0, values, sizeof values);
}

/* All powers of both streams, cotangents and tangents at every layer. */
static irn_status run_streams(const irn_logdet *l, const irn_tensor *inputs, size_t first, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        irn_tensor w = flow_slot(l, &l->w, k), w_next = flow_slot(l, &l->w, k + 1);
        irn_tensor t = flow_slot(l, &l->t, first + k), t_next = flow_slot(l, &l->next, 0);
        bool last = k + 1 == n;
        if (!last)
            t_next = flow_slot(l, &l->t, first + k + 1);
        /* The last powers are wanted only at an activation before the first layer, and for the
         * value. */
        bool w_wanted = !last || l->block->first_activation, t_wanted = !last || n == 1;
        IRN_TRY(run_vjp(l, inputs, &w, first + k, w_wanted ? &w_next : NULL));
        IRN_TRY(run_jvp(l, inputs, &t, first + k, t_wanted ? &t_next : NULL));
    }
    return IRN_OK;
}

static irn_status chained_series(irn_logdet *l, const irn_tensor *inputs, const irn_tensor *probe,
                                 const irn_tensor *seed, const irn_series *series, irn_place values)
{
    irn_chain_streams s = {.w = flow_slot(l, &l->w, 0),
                           .t = flow_slot(l, &l->t, 0),
                           .next = flow_slot(l, &l->next, 0),
                           .a = flow_slot(l, &l->a, 0),
                           .inputs = inputs,
                           .seed = seed,
                           .probe = probe,
                           .values = values,
                           .coefficients = l->coefficients,
                           .slot = l->used,
                           .terms = series->terms,
                           .neumann = series->neumann,
                           .add = l->used > 0};
    layer_views(l, l->tangents, 0, s.tangents);
    layer_views(l, l->cotangents, 0, s.cotangents);
    memcpy(s.second, l->second, sizeof s.second);
    l->used += irn_series_pairs(series->terms, series->neumann);
    return irn_chain_series(l->model, l->block, &s);
}

/* The estimator is <a_0, J probe>, a_0 = sum c_k (J^T)^{k-1} seed. */
static irn_status exact_series(irn_logdet *l, const irn_tensor *inputs, size_t n, irn_place values)
{
    size_t first = l->used;
    l->used += n;
    IRN_TRY(run_streams(l, inputs, first, n));
    combination top = {
        .w = flow_slot(l, &l->w, 0), .a = flow_slot(l, &l->a, first), .flags = COMBINE | STORE};
    top.tangents = top.second = top.w;
    IRN_TRY(combine(l, n, &top));
    irn_tensor below = flow_slot(l, &l->w, 1);
    IRN_TRY(meet(l, inputs, &below, first, n, COMBINE));
    irn_tensor along = n == 1 ? flow_slot(l, &l->next, 0) : flow_slot(l, &l->t, first + 1);
    return irn_add_sample_dots(&top.a, &along, values);
}

/* a += weights w, sum += coefficients w, both beginning with the first power. */
static irn_status add_power(const irn_logdet *l, const irn_tensor *w, const irn_series *series,
                            size_t power, double weight, const irn_tensor *a, const irn_tensor *sum)
{
    irn_call call = begin(l, 1, "add_power");
    size_t blocks = irn_tensor_blocks(w);
    tensor_argument(&call, w);
    tensor_argument(&call, a);
    tensor_argument(&call, sum);
    irn_call_float(&call, (float)(weight * series->weights[power]));
    irn_call_float(&call, (float)(weight * series->coefficients[power]));
    irn_call_ulong(&call, blocks);
    irn_call_int(&call, power == 0);
    return irn_call_run(&call, irn_block_items(w->context, blocks), 1, 1,
                        w->context->tuning.work_group);
}

/* Powers of the seed, in turn in w[0] and w[1], add up to a and, for the value, to w[2]. */
static irn_status neumann_series(irn_logdet *l, const irn_tensor *inputs, const irn_series *series,
                                 const irn_tensor *probe, double weight, irn_place values)
{
    irn_tensor a = flow_slot(l, &l->next, 0), sum = flow_slot(l, &l->w, 2);
    irn_tensor along = flow_slot(l, &l->w, 1);
    for (size_t k = 0; k < series->terms; k++) {
        irn_tensor w = flow_slot(l, &l->w, k % 2), next = flow_slot(l, &l->w, (k + 1) % 2);
        IRN_TRY(add_power(l, &w, series, k, weight, &a, &sum));
        if (k + 1 < series->terms)
            IRN_TRY(run_vjp(l, inputs, &w, l->used, &next));
    }
    IRN_TRY(irn_logdet_pair(l, inputs, &a, probe, &along));
    return irn_add_sample_dots(&sum, &along, values);
}

irn_status irn_logdet_series(irn_logdet *logdet, const irn_tensor *inputs, const irn_tensor *probe,
                             const irn_tensor *seed, const irn_series *series, double weight,
                             irn_place values)
{
    irn_tensor w = flow_slot(logdet, &logdet->w, 0);
    irn_tensor t = flow_slot(logdet, &logdet->t, logdet->used);
    if (irn_chain_series_suits(logdet->model, logdet->block, logdet->batch)) {
        IRN_TRY(write_coefficients(logdet, series, weight));
        return chained_series(logdet, inputs, probe, seed, series, values);
    }
    IRN_TRY(irn_tensor_copy(seed, &w));
    if (series->neumann)
        return neumann_series(logdet, inputs, series, probe, weight, values);
    IRN_TRY(write_coefficients(logdet, series, weight));
    IRN_TRY(irn_tensor_copy(probe, &t));
    return exact_series(logdet, inputs, series->terms, values);
}

/* ---- few dimensions ---- */

size_t irn_block_dimension(const irn_block *block)
{
    return block->channels * block->height * block->width;
}

static irn_status fill_basis(const irn_logdet *l, const irn_tensor *t, size_t d)
{
    irn_context *context = t->context;
    size_t blocks = irn_tensor_blocks(t);
    irn_call call = begin(l, 1, "basis");
    tensor_argument(&call, t);
    irn_call_ulong(&call, blocks);
    irn_call_ulong(&call, blocks / d);
    irn_call_int(&call, irn_tensor_image_size(t));
    irn_call_int(&call, t->height * t->width);
    return irn_call_run(&call, irn_block_items(context, blocks), 1, 1, context->tuning.work_group);
}

static irn_status invert_jacobians(const irn_logdet *l, const irn_tensor *w, const irn_tensor *a,
                                   size_t d, double weight, irn_place values)
{
    irn_call call = begin(l, 1, "invert_jacobians");
    tensor_argument(&call, w);
    tensor_argument(&call, a);
    irn_call_memory(&call, l->jacobians, 0);
    irn_call_memory(&call, values.memory, values.offset);
    irn_call_ulong(&call, l->batch);
    irn_call_int(&call, d);
    irn_call_int(&call, irn_tensor_image_size(w));
    irn_call_int(&call, w->height * w->width);
    irn_call_float(&call, (float)weight);
    irn_context *context = l->model->context;
    return irn_call_run(&call, irn_block_items(context, l->batch), 1, 1,
                        context->tuning.work_group);
}

irn_status irn_logdet_exact(irn_logdet *logdet, const irn_tensor *inputs, double weight,
                            irn_place values)
{
    size_t channels = logdet->block->channels, d = irn_block_dimension(logdet->block);
    irn_tensor w = slots(logdet, &logdet->w, channels, 0, d);
    irn_tensor t = slots(logdet, &logdet->t, channels, 0, d);
    irn_tensor a = slots(logdet, &logdet->a, channels, 0, d);
    logdet->used = d;
    IRN_TRY(fill_basis(logdet, &t, d));
    for (size_t j = 0; j < d; j++) {
        irn_tensor t_j = flow_slot(logdet, &logdet->t, j), w_j = flow_slot(logdet, &logdet->w, j);
        IRN_TRY(run_jvp(logdet, inputs, &t_j, j, NULL));
        IRN_TRY(run_vjp(logdet, inputs, &t_j, j, &w_j));
    }
    IRN_TRY(invert_jacobians(logdet, &w, &a, d, weight, values));
    for (size_t j = 0; j < d; j++) {
        irn_tensor a_j = flow_slot(logdet, &logdet->a, j), w_j = flow_slot(logdet, &logdet->w, j);
        IRN_TRY(run_vjp(logdet, inputs, &a_j, j, &w_j));
    }
    irn_tensor below = flow_slot(logdet, &logdet->w, 0);
    return meet(logdet, inputs, &below, 0, d, 0);
}

/* ---- gradients ---- */

irn_status irn_logdet_weight_gradients(const irn_logdet *logdet, cl_mem gradient, cl_mem partials)
{
    const irn_block *block = logdet->block;
    size_t layers = logdet->model->config.layers, pairs = logdet->used;
    for (size_t i = 0; i < layers; i++) {
        bool plain = i == 0 && !block->first_activation;
        irn_tensor x = layer_slots(logdet, plain ? &logdet->t : &logdet->tangents[i], i, 0, pairs);
        irn_tensor y = i + 1 == layers
                           ? slots(logdet, &logdet->a, block->channels, 0, pairs)
                           : layer_slots(logdet, &logdet->cotangents[i + 1], i + 1, 0, pairs);
        IRN_TRY(irn_layer_weight_gradient(logdet->model, &block->layers[i], &x, &y, false, gradient,
                                          partials));
    }
    return IRN_OK;
}
