#include "flow/head_tangent.h"
#include "ops/elementwise.h"

#include <string.h>

/* What `vectors` holds, in units of its channels; norm_second() reads the first seven. Of a pair,
 * one is the mean of something and the next that of its product with x - mean. */
enum {
    COTANGENT = 0,
    TANGENT = 2,
    COVARIANCE = 4, /* A of cl/head_tangent.cl */
    PRIMAL = 5,
    UNUSED = 7,
    ZEROS = 8, /* never written */
    VECTORS = 9
};

/* ---- memory ---- */

static irn_status create_pair(irn_tensor *bar, irn_tensor *dot_bar, irn_tensor *dot,
                              const irn_model *model, size_t images, size_t channels)
{
    irn_context *context = model->context;
    IRN_TRY(irn_tensor_create(bar, context, IRN_SINGLE, images, channels, 1, 1));
    IRN_TRY(irn_tensor_create(dot_bar, context, IRN_SINGLE, images, channels, 1, 1));
    return irn_tensor_create(dot, context, IRN_SINGLE, images, channels, 1, 1);
}

irn_status irn_head_tangent_create(irn_head_tangent *out, const irn_model *model,
                                   const irn_head_memory *primal, size_t images)
{
    irn_context *context = model->context;
    const irn_head *head = &model->head;
    const irn_entry *entries = model->parameters.entries;
    size_t channels = head->dense.inputs, classes = model->config.classes;
    memset(out, 0, sizeof *out);
    out->model = model;
    out->primal = primal;
    if (!classes)
        return IRN_OK;
    IRN_TRY(irn_tensor_create(&out->vectors, context, IRN_SINGLE, VECTORS, channels, 1, 1));
    IRN_TRY(create_pair(&out->pooled_bar, &out->pooled_dot_bar, &out->pooled_dot, model, images,
                        channels));
    IRN_TRY(create_pair(&out->scores_bar, &out->scores_dot_bar, &out->scores_dot, model, images,
                        classes));
    IRN_TRY(irn_memory_create(context, &out->products, images, sizeof(float), true));
    IRN_TRY(irn_memory_create(context, &out->staged,
                              entries[head->weight].size + entries[head->bias].size, sizeof(float),
                              true));
    return irn_memory_create(context, &out->partials,
                             irn_conv_gradient_scratch(context, &head->dense, images, 1, 1),
                             sizeof(float), true);
}

void irn_head_tangent_free(irn_head_tangent *tangent)
{
    if (!tangent->model)
        return;
    irn_tensor_free(&tangent->vectors);
    irn_tensor_free(&tangent->pooled_bar);
    irn_tensor_free(&tangent->pooled_dot_bar);
    irn_tensor_free(&tangent->pooled_dot);
    irn_tensor_free(&tangent->scores_bar);
    irn_tensor_free(&tangent->scores_dot_bar);
    irn_tensor_free(&tangent->scores_dot);
    irn_memory_release(tangent->model->context, tangent->products);
    irn_memory_release(tangent->model->context, tangent->staged);
    irn_memory_release(tangent->model->context, tangent->partials);
    memset(tangent, 0, sizeof *tangent);
}

/* ---- arguments ---- */

static irn_place vector(const irn_head_tangent *tangent, size_t which)
{
    return (irn_place){tangent->vectors.memory, which * irn_tensor_image_size(&tangent->vectors)};
}

/* Batch norm's mean, 1/std, scale and offset: what the head's own vectors begin with. */
static irn_place work(const irn_head_tangent *tangent)
{
    return (irn_place){tangent->primal->vectors.memory, 0};
}

static void place_argument(irn_call *call, irn_place place)
{
    irn_call_memory(call, place.memory, place.offset);
}

static void tensor_argument(irn_call *call, const irn_tensor *tensor)
{
    irn_call_memory(call, tensor->memory, tensor->offset);
}

static void optional_argument(irn_call *call, const irn_tensor *tensor)
{
    irn_call_memory(call, tensor ? tensor->memory : NULL, tensor ? tensor->offset : 0);
}

static irn_call begin(const irn_head_tangent *tangent, const char *kernel)
{
    return irn_call_begin(tangent->model->context, irn_general_sources,
                          irn_precision_options(IRN_SINGLE), kernel);
}

static size_t blocks_of(const irn_tensor *x)
{
    return irn_channel_blocks(x->context, x->channels);
}

static irn_status run_on_channels(irn_call *call, const irn_tensor *x)
{
    irn_call_ulong(call, irn_tensor_blocks(x));
    irn_call_int(call, blocks_of(x));
    irn_call_int(call, x->height * x->width);
    return irn_call_run(call, irn_tensor_blocks(x), 1, 1, x->context->tuning.work_group);
}

static double values_per_channel(const irn_tensor *x)
{
    return (double)(x->images * x->height * x->width);
}

static irn_tensor first_images(const irn_tensor *tensor, size_t images)
{
    return irn_tensor_view(tensor, images, tensor->channels, tensor->height, tensor->width);
}

/* ---- batch norm ---- */

/* The means of p and of p (x - mean) into a pair of vectors. */
static irn_status pair_of_means(const irn_head_tangent *tangent, const irn_tensor *p,
                                const irn_tensor *x, size_t pair)
{
    irn_channel_sums means = {.p = p,
                              .q = x,
                              .centre = work(tangent),
                              .centre_q = true,
                              .sums = vector(tangent, pair),
                              .products = vector(tangent, pair + 1),
                              .factor = 1 / values_per_channel(x)};
    return irn_channel_sums_run(&means, tangent->primal->sums);
}

/* m(a x') - m(a) m(x') as m(a (x' - m(x'))), which does not cancel; m(x') has to be there already.
 * Running statistics leave m(a x'). */
static irn_status covariance(const irn_head_tangent *tangent, const irn_tensor *x_dot,
                             const irn_tensor *a)
{
    irn_channel_sums means = {.p = x_dot,
                              .q = a,
                              .centre = vector(tangent, TANGENT),
                              .centre_p = tangent->training,
                              .sums = vector(tangent, UNUSED),
                              .products = vector(tangent, COVARIANCE),
                              .factor = 1 / values_per_channel(x_dot)};
    return irn_channel_sums_run(&means, tangent->primal->sums);
}

/* gamma r (t - m(t) - x^ m(t x^)) in place: batch norm's jvp and vjp, which are the same operator;
 * with zeros for the means it is gamma r t, that of running statistics. */
static irn_status apply_norm(const irn_head_tangent *tangent, const irn_tensor *x, size_t sums,
                             size_t products, const irn_tensor *t)
{
    irn_call call = begin(tangent, "norm_vjp");
    tensor_argument(&call, x);
    place_argument(&call, work(tangent));
    place_argument(&call, vector(tangent, sums));
    place_argument(&call, vector(tangent, products));
    tensor_argument(&call, t);
    return run_on_channels(&call, x);
}

irn_status irn_head_norm_jvp(irn_head_tangent *tangent, const irn_tensor *x,
                             const irn_tensor *x_dot, const irn_tensor *y_dot)
{
    if (y_dot->memory != x_dot->memory || y_dot->offset != x_dot->offset)
        IRN_TRY(irn_tensor_copy(x_dot, y_dot));
    if (!tangent->training)
        return apply_norm(tangent, x, ZEROS, ZEROS, y_dot);
    IRN_TRY(pair_of_means(tangent, y_dot, x, TANGENT));
    return apply_norm(tangent, x, TANGENT, TANGENT + 1, y_dot);
}

static irn_status norm_parameters(const irn_head_tangent *tangent, const irn_tensor *x,
                                  cl_mem gradient)
{
    const irn_head *head = &tangent->model->head;
    irn_call call = begin(tangent, "norm_second_parameters");
    place_argument(&call, work(tangent));
    place_argument(&call, vector(tangent, 0));
    irn_call_memory(&call, gradient, irn_parameter(tangent->model, head->gamma).offset);
    irn_call_memory(&call, gradient, irn_parameter(tangent->model, head->beta).offset);
    irn_call_float(&call, (float)values_per_channel(x));
    irn_call_int(&call, tangent->training);
    return irn_call_run(&call, blocks_of(x), 1, 1, 0);
}

irn_status irn_head_norm_second(irn_head_tangent *tangent, const irn_tensor *x,
                                const irn_tensor *x_dot, const irn_tensor *y_dot_bar,
                                const irn_tensor *y_bar, cl_mem gradient)
{
    if (tangent->training) {
        IRN_TRY(pair_of_means(tangent, y_dot_bar, x, COTANGENT));
        IRN_TRY(pair_of_means(tangent, x_dot, x, TANGENT));
    }
    IRN_TRY(covariance(tangent, x_dot, y_dot_bar));
    IRN_TRY(pair_of_means(tangent, y_bar, x, PRIMAL));
    IRN_TRY(norm_parameters(tangent, x, gradient));
    if (!tangent->training) {
        IRN_TRY(apply_norm(tangent, x, ZEROS, ZEROS, y_dot_bar));
        return apply_norm(tangent, x, ZEROS, ZEROS, y_bar);
    }
    irn_call call = begin(tangent, "norm_second");
    tensor_argument(&call, x);
    place_argument(&call, work(tangent));
    place_argument(&call, vector(tangent, 0));
    tensor_argument(&call, x_dot);
    tensor_argument(&call, y_dot_bar);
    tensor_argument(&call, y_bar);
    return run_on_channels(&call, x);
}

/* ---- ReLU and the average ---- */

irn_status irn_head_pool_jvp(const irn_head_tangent *tangent, const irn_tensor *x,
                             const irn_tensor *y_dot, const irn_tensor *pooled_dot)
{
    irn_call call = begin(tangent, "relu_pool_jvp");
    tensor_argument(&call, x);
    place_argument(&call, work(tangent));
    tensor_argument(&call, y_dot);
    tensor_argument(&call, pooled_dot);
    irn_call_int(&call, x->height * x->width);
    return irn_call_run(&call, blocks_of(x), x->images, 1, 0);
}

irn_status irn_head_pool_vjp(const irn_head_tangent *tangent, const irn_tensor *x,
                             const irn_tensor *pooled_bar, const irn_tensor *y_bar)
{
    irn_call call = begin(tangent, "relu_pool_vjp");
    tensor_argument(&call, x);
    place_argument(&call, work(tangent));
    tensor_argument(&call, pooled_bar);
    tensor_argument(&call, y_bar);
    return irn_call_run(&call, x->height * x->width, blocks_of(x), x->images, 0);
}

/* ---- the dense layer ---- */

irn_status irn_head_dense_jvp(const irn_head_tangent *tangent, const irn_tensor *pooled_dot,
                              const irn_tensor *scores_dot)
{
    const irn_head *head = &tangent->model->head;
    const irn_epilogue plain = {.activate = false};
    return irn_conv_forward(&head->dense, irn_parameter(tangent->model, head->weight), pooled_dot,
                            &plain, scores_dot);
}

/* Adds `staged` from `offset` on to an entry of the gradient. */
static irn_status add_staged(const irn_head_tangent *tangent, size_t offset, cl_mem gradient,
                             size_t entry)
{
    const irn_entry *e = &tangent->model->parameters.entries[entry];
    irn_tensor from = {
        tangent->model->context, tangent->staged, offset, IRN_SINGLE, 1, e->size, 1, 1};
    irn_tensor to = from;
    to.memory = gradient;
    to.offset = e->offset;
    return irn_add_scaled(1, &from, &to);
}

/* irn_conv_weight_gradient() overwrites, hence the detour. A tangent does not pass the bias. */
static irn_status add_weights(const irn_head_tangent *tangent, const irn_tensor *x,
                              const irn_tensor *y, bool with_bias, cl_mem gradient)
{
    const irn_head *head = &tangent->model->head;
    size_t weights = tangent->model->parameters.entries[head->weight].size;
    irn_place weight = {tangent->staged, 0};
    irn_place bias = {with_bias ? tangent->staged : NULL, with_bias ? weights : 0};
    IRN_TRY(irn_conv_weight_gradient(&head->dense, x, y, weight, bias, tangent->partials));
    if (with_bias)
        IRN_TRY(add_staged(tangent, weights, gradient, head->bias));
    return add_staged(tangent, 0, gradient, head->weight);
}

irn_status irn_head_dense_second(const irn_head_tangent *tangent, const irn_tensor *pooled_dot,
                                 const irn_tensor *scores_dot_bar, const irn_tensor *scores_bar,
                                 cl_mem gradient, const irn_tensor *pooled_dot_bar,
                                 const irn_tensor *pooled_bar)
{
    const irn_model *model = tangent->model;
    const irn_conv *dense = &model->head.dense;
    const irn_epilogue plain = {.activate = false};
    irn_place transposed = {model->transposed, irn_parameter(model, model->head.weight).offset};
    irn_tensor pooled = first_images(&tangent->primal->pooled, pooled_dot->images);
    IRN_TRY(add_weights(tangent, &pooled, scores_bar, true, gradient));
    IRN_TRY(add_weights(tangent, pooled_dot, scores_dot_bar, false, gradient));
    IRN_TRY(irn_conv_backward(dense, transposed, scores_dot_bar, &plain, pooled_dot_bar));
    return irn_conv_backward(dense, transposed, scores_bar, &plain, pooled_bar);
}

/* ---- cross-entropy ---- */

irn_status irn_head_loss_jvp(const irn_head_tangent *tangent, const irn_tensor *scores_dot,
                             irn_place loss_dot)
{
    irn_tensor gradient = first_images(&tangent->primal->scores_gradient, scores_dot->images);
    IRN_TRY(irn_sample_dots(&gradient, scores_dot, tangent->products));
    irn_call call = begin(tangent, "sum_samples");
    irn_call_memory(&call, tangent->products, 0);
    place_argument(&call, loss_dot);
    irn_call_int(&call, scores_dot->images);
    return irn_call_run(&call, 1, 1, 1, 0);
}

enum { MORE_SCORES = 1, MORE_SCORES_DOT = 2 }; /* head_tangent.cl */

irn_status irn_head_loss_second(const irn_head_tangent *tangent, const irn_tensor *scores_dot,
                                const irn_head_cotangents *cotangents,
                                const irn_tensor *scores_dot_bar, const irn_tensor *scores_bar)
{
    size_t flags =
        (cotangents->scores ? MORE_SCORES : 0u) | (cotangents->scores_dot ? MORE_SCORES_DOT : 0u);
    irn_call call = begin(tangent, "cross_entropy_second");
    tensor_argument(&call, &tangent->primal->scores);
    tensor_argument(&call, &tangent->primal->scores_gradient);
    tensor_argument(&call, scores_dot);
    optional_argument(&call, cotangents->scores);
    optional_argument(&call, cotangents->scores_dot);
    tensor_argument(&call, scores_bar);
    tensor_argument(&call, scores_dot_bar);
    irn_call_float(&call, (float)cotangents->loss);
    irn_call_float(&call, (float)cotangents->loss_dot);
    irn_call_int(&call, tangent->model->config.classes);
    irn_call_int(&call, flags);
    return irn_call_run(&call, scores_dot->images, 1, 1, 0);
}

/* ---- the whole head ---- */

irn_status irn_head_jvp(irn_head_tangent *tangent, const irn_tensor *z, const irn_tensor *z_dot,
                        bool training, const irn_tensor *y_dot, irn_place loss_dot)
{
    irn_tensor pooled_dot = first_images(&tangent->pooled_dot, z->images);
    irn_tensor scores_dot = first_images(&tangent->scores_dot, z->images);
    tangent->training = training;
    IRN_TRY(irn_head_norm_jvp(tangent, z, z_dot, y_dot));
    IRN_TRY(irn_head_pool_jvp(tangent, z, y_dot, &pooled_dot));
    IRN_TRY(irn_head_dense_jvp(tangent, &pooled_dot, &scores_dot));
    return loss_dot.memory ? irn_head_loss_jvp(tangent, &scores_dot, loss_dot) : IRN_OK;
}

irn_status irn_head_second(irn_head_tangent *tangent, const irn_tensor *z, const irn_tensor *z_dot,
                           const irn_head_cotangents *cotangents, cl_mem gradient,
                           const irn_tensor *z_dot_bar, const irn_tensor *z_bar)
{
    irn_tensor pooled_dot = first_images(&tangent->pooled_dot, z->images);
    irn_tensor pooled_dot_bar = first_images(&tangent->pooled_dot_bar, z->images);
    irn_tensor pooled_bar = first_images(&tangent->pooled_bar, z->images);
    irn_tensor scores_dot = first_images(&tangent->scores_dot, z->images);
    irn_tensor scores_dot_bar = first_images(&tangent->scores_dot_bar, z->images);
    irn_tensor scores_bar = first_images(&tangent->scores_bar, z->images);
    IRN_TRY(irn_head_loss_second(tangent, &scores_dot, cotangents, &scores_dot_bar, &scores_bar));
    IRN_TRY(irn_head_dense_second(tangent, &pooled_dot, &scores_dot_bar, &scores_bar, gradient,
                                  &pooled_dot_bar, &pooled_bar));
    IRN_TRY(irn_head_pool_vjp(tangent, z, &pooled_dot_bar, z_dot_bar));
    IRN_TRY(irn_head_pool_vjp(tangent, z, &pooled_bar, z_bar));
    return irn_head_norm_second(tangent, z, z_dot, z_dot_bar, z_bar, gradient);
}
