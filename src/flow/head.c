#include "flow/head.h"
#include "ops/elementwise.h"

#include <string.h>

static const double norm_epsilon = 1e-5;

/* What `vectors` holds, in units of its channels. */
enum { WORK = 0, VARIANCE = 4, SUMS = 5, PRODUCTS = 6, VECTORS = 7 };

irn_status irn_head_memory_create(irn_head_memory *out, const irn_model *model, size_t images)
{
    irn_context *context = model->context;
    size_t channels = model->blocks[model->block_count - 1].channels;
    size_t classes = model->config.classes;
    memset(out, 0, sizeof *out);
    out->context = context;
    if (!classes)
        return IRN_OK;
    IRN_TRY(irn_tensor_create(&out->vectors, context, IRN_SINGLE, VECTORS, channels, 1, 1));
    IRN_TRY(irn_tensor_create(&out->pooled, context, IRN_SINGLE, images, channels, 1, 1));
    IRN_TRY(irn_tensor_create(&out->pooled_gradient, context, IRN_SINGLE, images, channels, 1, 1));
    IRN_TRY(irn_tensor_create(&out->scores, context, IRN_SINGLE, images, classes, 1, 1));
    IRN_TRY(irn_tensor_create(&out->scores_gradient, context, IRN_SINGLE, images, classes, 1, 1));
    IRN_TRY(irn_memory_create(context, &out->losses, 2 * images, sizeof(float), true));
    return irn_memory_create(context, &out->sums, irn_channel_scratch(context, channels),
                             sizeof(float), true);
}

void irn_head_memory_free(irn_head_memory *memory)
{
    if (!memory->context)
        return;
    irn_tensor_free(&memory->vectors);
    irn_tensor_free(&memory->pooled);
    irn_tensor_free(&memory->pooled_gradient);
    irn_tensor_free(&memory->scores);
    irn_tensor_free(&memory->scores_gradient);
    irn_memory_release(memory->context, memory->losses);
    irn_memory_release(memory->context, memory->sums);
    memset(memory, 0, sizeof *memory);
}

static irn_place vector(const irn_head_memory *memory, size_t which)
{
    return (irn_place){memory->vectors.memory, which * irn_tensor_image_size(&memory->vectors)};
}

static void place_argument(irn_call *call, irn_place place)
{
    irn_call_memory(call, place.memory, place.offset);
}

static void tensor_argument(irn_call *call, const irn_tensor *tensor)
{
    irn_call_memory(call, tensor->memory, tensor->offset);
}

static irn_call begin(const irn_model *model, const char *kernel)
{
    return irn_call_begin(model->context, irn_general_sources, irn_precision_options(IRN_SINGLE),
                          kernel);
}

static size_t blocks_of(const irn_tensor *z)
{
    return irn_channel_blocks(z->context, z->channels);
}

static irn_status prepare_running(irn_model *model, irn_head_memory *memory, const irn_tensor *z)
{
    const irn_head *head = &model->head;
    irn_call call = begin(model, "norm_prepare_running");
    place_argument(&call, irn_parameter(model, head->gamma));
    place_argument(&call, irn_parameter(model, head->beta));
    place_argument(&call, irn_state(model, head->running_mean));
    place_argument(&call, irn_state(model, head->running_variance));
    place_argument(&call, vector(memory, WORK));
    irn_call_float(&call, (float)norm_epsilon);
    return irn_call_run(&call, blocks_of(z), 1, 1, 0);
}

static irn_status prepare_batch(irn_model *model, irn_head_memory *memory, const irn_tensor *z)
{
    const irn_head *head = &model->head;
    double total = (double)(z->images * z->height * z->width);
    IRN_TRY(irn_channel_moments(z, vector(memory, WORK), vector(memory, VARIANCE), memory->sums));
    irn_call call = begin(model, "norm_prepare");
    place_argument(&call, vector(memory, VARIANCE));
    place_argument(&call, irn_parameter(model, head->gamma));
    place_argument(&call, irn_parameter(model, head->beta));
    place_argument(&call, irn_state(model, head->running_mean));
    place_argument(&call, irn_state(model, head->running_variance));
    place_argument(&call, vector(memory, WORK));
    irn_call_float(&call, (float)model->config.norm_momentum);
    irn_call_float(&call, (float)(total > 1 ? total / (total - 1) : 1));
    irn_call_float(&call, (float)norm_epsilon);
    return irn_call_run(&call, blocks_of(z), 1, 1, 0);
}

irn_status irn_head_forward(irn_model *model, irn_head_memory *memory, const irn_tensor *z,
                            bool training)
{
    IRN_TRY(training ? prepare_batch(model, memory, z) : prepare_running(model, memory, z));
    irn_call call = begin(model, "norm_relu_pool");
    tensor_argument(&call, z);
    place_argument(&call, vector(memory, WORK));
    tensor_argument(&call, &memory->pooled);
    irn_call_int(&call, z->height * z->width);
    IRN_TRY(irn_call_run(&call, blocks_of(z), z->images, 1, 0));
    irn_tensor pooled = irn_tensor_view(&memory->pooled, z->images, z->channels, 1, 1);
    irn_tensor scores = irn_tensor_view(&memory->scores, z->images, model->config.classes, 1, 1);
    irn_epilogue epilogue = {.bias = irn_parameter(model, model->head.bias)};
    return irn_conv_forward(&model->head.dense, irn_parameter(model, model->head.weight), &pooled,
                            &epilogue, &scores);
}

irn_status irn_head_loss(irn_model *model, irn_head_memory *memory, size_t images, cl_mem labels,
                         cl_mem metrics)
{
    irn_call call = begin(model, "cross_entropy");
    tensor_argument(&call, &memory->scores);
    irn_call_memory(&call, labels, 0);
    tensor_argument(&call, &memory->scores_gradient);
    irn_call_memory(&call, memory->losses, 0);
    irn_call_int(&call, model->config.classes);
    IRN_TRY(irn_call_run(&call, images, 1, 1, 0));
    call = begin(model, "add_metrics");
    irn_call_memory(&call, memory->losses, 0);
    irn_call_memory(&call, metrics, 0);
    irn_call_int(&call, images);
    return irn_call_run(&call, 1, 1, 1, 0);
}

static irn_status dense_backward(irn_model *model, irn_head_memory *memory, size_t images,
                                 size_t channels, cl_mem gradient, cl_mem partials)
{
    const irn_head *head = &model->head;
    const irn_epilogue plain = {.activate = false};
    irn_tensor pooled = irn_tensor_view(&memory->pooled, images, channels, 1, 1);
    irn_tensor back = irn_tensor_view(&memory->pooled_gradient, images, channels, 1, 1);
    irn_tensor scores =
        irn_tensor_view(&memory->scores_gradient, images, model->config.classes, 1, 1);
    irn_place weight = {gradient, irn_parameter(model, head->weight).offset};
    irn_place bias = {gradient, irn_parameter(model, head->bias).offset};
    irn_place transposed = {model->transposed, weight.offset};
    IRN_TRY(irn_conv_weight_gradient(&head->dense, &pooled, &scores, weight, bias, partials));
    return irn_conv_backward(&head->dense, transposed, &scores, &plain, &back);
}

/* From the gradient at batch norm's output, in place, to that at z; gamma's and beta's on the way.
 */
static irn_status norm_backward(irn_model *model, irn_head_memory *memory, const irn_tensor *z,
                                cl_mem gradient, const irn_tensor *z_gradient)
{
    const irn_head *head = &model->head;
    double total = (double)(z->images * z->height * z->width);
    irn_channel_sums means = {.p = z_gradient,
                              .q = z,
                              .centre = vector(memory, WORK),
                              .centre_q = true,
                              .sums = vector(memory, SUMS),
                              .products = vector(memory, PRODUCTS),
                              .factor = 1 / total};
    IRN_TRY(irn_channel_sums_run(&means, memory->sums));
    irn_call call = begin(model, "norm_parameter_gradients");
    place_argument(&call, vector(memory, WORK));
    place_argument(&call, vector(memory, SUMS));
    place_argument(&call, vector(memory, PRODUCTS));
    irn_call_memory(&call, gradient, irn_parameter(model, head->gamma).offset);
    irn_call_memory(&call, gradient, irn_parameter(model, head->beta).offset);
    irn_call_float(&call, (float)total);
    IRN_TRY(irn_call_run(&call, blocks_of(z), 1, 1, 0));
    call = begin(model, "norm_vjp");
    tensor_argument(&call, z);
    place_argument(&call, vector(memory, WORK));
    place_argument(&call, vector(memory, SUMS));
    place_argument(&call, vector(memory, PRODUCTS));
    tensor_argument(&call, z_gradient);
    irn_call_ulong(&call, irn_tensor_blocks(z));
    irn_call_int(&call, blocks_of(z));
    irn_call_int(&call, z->height * z->width);
    return irn_call_run(&call, irn_tensor_blocks(z), 1, 1, model->context->tuning.work_group);
}

irn_status irn_head_backward(irn_model *model, irn_head_memory *memory, const irn_tensor *z,
                             cl_mem gradient, cl_mem partials, const irn_tensor *z_gradient)
{
    IRN_TRY(dense_backward(model, memory, z->images, z->channels, gradient, partials));
    irn_call call = begin(model, "relu_pool_vjp");
    tensor_argument(&call, z);
    place_argument(&call, vector(memory, WORK));
    tensor_argument(&call, &memory->pooled_gradient);
    tensor_argument(&call, z_gradient);
    IRN_TRY(irn_call_run(&call, z->height * z->width, blocks_of(z), z->images, 0));
    return norm_backward(model, memory, z, gradient, z_gradient);
}
