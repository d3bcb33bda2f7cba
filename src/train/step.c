/* One step: power iteration, forward with batch statistics, backward through sigma, update.
 * Everything is queued; the host waits only for the copy of the batch before last. */
#include "train/trainer.h"
#include "ops/elementwise.h"

#include <math.h>

/* ---- forward ---- */

static irn_tensor shaped(const irn_tensor *memory, size_t images)
{
    return irn_tensor_view(memory, images, memory->channels, memory->height, memory->width);
}

static void tape_inputs(const irn_trainer *trainer, size_t b, size_t images,
                        irn_tensor inputs[IRN_MAX_LAYERS])
{
    for (size_t i = 0; i < trainer->model->config.layers; i++)
        inputs[i] = shaped(&trainer->tape[b].inputs[i], images);
}

/* Where what block b passes on goes: straight to where the next block wants it, or, before a
 * squeeze, to memory that the forward half does not need. */
static irn_tensor block_output(const irn_trainer *trainer, size_t b, size_t images)
{
    const irn_model *model = trainer->model;
    const irn_block *block = &model->blocks[b];
    size_t channels = block->split ? irn_split_rest(block) : block->channels;
    if (b + 1 == model->block_count)
        return shaped(&trainer->top, images);
    if (model->blocks[b + 1].squeeze)
        return irn_tensor_view(&trainer->gradient[0], images, channels, block->height,
                               block->width);
    return shaped(&trainer->tape[b + 1].z, images);
}

/* A block's output with all its channels, where some of them leave. */
static irn_tensor before_split(const irn_trainer *trainer, const irn_block *block, size_t which,
                               size_t images)
{
    return irn_tensor_view(&trainer->gradient[which], images, block->channels, block->height,
                           block->width);
}

/* *scale: of the next part to leave. */
static irn_status forward_block(irn_trainer *trainer, size_t b, size_t images, size_t *scale)
{
    irn_model *model = trainer->model;
    const irn_block *block = &model->blocks[b];
    irn_tensor inputs[IRN_MAX_LAYERS], z = shaped(&trainer->tape[b].z, images);
    irn_tensor rest = block_output(trainer, b, images);
    irn_tensor out = block->split ? before_split(trainer, block, 1, images) : rest;
    if (block->squeeze) {
        irn_tensor from = irn_tensor_view(&trainer->gradient[0], images, block->channels / 4,
                                          block->height * 2, block->width * 2);
        IRN_TRY(irn_squeeze(&from, &z));
    }
    if (!model->actnorm_ready)
        IRN_TRY(irn_block_initialise(model, block, &z));
    IRN_TRY(irn_block_normalise(model, &model->single, block, &z));
    tape_inputs(trainer, b, images, inputs);
    IRN_TRY(irn_block_residual(model, &model->single, block, &z, inputs, &z, &out));
    if (!block->split)
        return IRN_OK;
    irn_tensor part = irn_latent_view(model, &trainer->early.parts[*scale], *scale, images);
    (*scale)++;
    return irn_part_leave(&out, &part, &rest);
}

static irn_status forward_blocks(irn_trainer *trainer, size_t images)
{
    for (size_t b = 0, scale = 0; b < trainer->model->block_count; b++)
        IRN_TRY(forward_block(trainer, b, images, &scale));
    return IRN_OK;
}

static irn_status forward(irn_trainer *trainer, size_t images)
{
    irn_model *model = trainer->model;
    /* Where the first block squeezes, its input waits where block_output() would have put it. */
    irn_tensor first = model->blocks[0].squeeze
                           ? irn_tensor_view(&trainer->gradient[0], images, model->channels,
                                             model->height, model->width)
                           : shaped(&trainer->tape[0].z, images);
    IRN_TRY(irn_flow_input(model, trainer->x, 0, &trainer->gradient[1], &first));
    IRN_TRY(irn_initialisation_end(model, forward_blocks(trainer, images)));
    if (trainer->options.task == IRN_DENSITY)
        return IRN_OK;
    irn_tensor top = shaped(&trainer->top, images);
    IRN_TRY(irn_head_forward(model, &trainer->head, &top, true));
    return irn_head_loss(model, &trainer->head, images, trainer->labels, trainer->metrics);
}

/* ---- backward ---- */

static irn_status backward_actnorm(irn_trainer *trainer, size_t b, const irn_tensor *z,
                                   const irn_tensor *gradient)
{
    const irn_model *model = trainer->model;
    const irn_block *block = &model->blocks[b];
    if (!model->config.actnorm)
        return IRN_OK;
    irn_place log_scale = irn_parameter(model, block->log_scale);
    irn_place shift = irn_parameter(model, block->shift);
    irn_place log_scale_gradient = {trainer->parameter_gradient, log_scale.offset};
    irn_place shift_gradient = {trainer->parameter_gradient, shift.offset};
    IRN_TRY(irn_actnorm_gradient(gradient, z, shift, log_scale_gradient, shift_gradient,
                                 trainer->sums));
    return irn_actnorm_scale(gradient, log_scale, gradient);
}

/* `from` at the block's output becomes `to` at its z. residual is `from` with what pairs add. */
static irn_status backward_layers(irn_trainer *trainer, const irn_block *block,
                                  const irn_tensor *inputs, const irn_tensor *from,
                                  const irn_tensor *second, const irn_tensor *cotangents,
                                  const irn_tensor *residual, const irn_tensor *to)
{
    const irn_model *model = trainer->model;
    if (model->config.activation != IRN_LIPSWISH)
        return irn_block_vjp(model, block, inputs, from, second, cotangents, residual, to);
    return irn_block_vjp_betas(model, block, inputs, from, second, cotangents, residual, from, to,
                               trainer->parameter_gradient, trainer->partials);
}

/* gradient[*at] at the block's output becomes gradient[*at] at its input, before its squeeze. */
static irn_status backward_block(irn_trainer *trainer, size_t b, size_t images, size_t *at)
{
    const irn_model *model = trainer->model;
    const irn_block *block = &model->blocks[b];
    irn_tensor inputs[IRN_MAX_LAYERS], cotangents[IRN_MAX_LAYERS] = {0};
    irn_tensor z = shaped(&trainer->tape[b].z, images);
    irn_tensor from = irn_tensor_view(&trainer->gradient[*at], images, block->channels,
                                      block->height, block->width);
    irn_tensor to = irn_tensor_view(&trainer->gradient[1 - *at], images, block->channels,
                                    block->height, block->width);
    tape_inputs(trainer, b, images, inputs);
    for (size_t i = 1; i < model->config.layers; i++)
        cotangents[i] = irn_layer_input(block, i, &trainer->cotangents[i], images);
    const irn_tensor *residual = &from, *second = NULL;
    if (trainer->options.task != IRN_CLASSIFY) {
        second = trainer->density.pairs.second;
        IRN_TRY(irn_density_block(&trainer->density, b, inputs, &from, &residual));
        IRN_TRY(irn_logdet_weight_gradients(&trainer->density.pairs, trainer->density.pair_gradient,
                                            trainer->partials));
    }
    IRN_TRY(backward_layers(trainer, block, inputs, &from, second, cotangents, residual, &to));
    IRN_TRY(irn_block_weight_gradients(model, block, &z, inputs, cotangents, &from,
                                       trainer->parameter_gradient, trainer->partials));
    IRN_TRY(backward_actnorm(trainer, b, &z, &to));
    *at = 1 - *at;
    if (!block->squeeze)
        return IRN_OK;
    irn_tensor plain = irn_tensor_view(&trainer->gradient[1 - *at], images, block->channels / 4,
                                       block->height * 2, block->width * 2);
    *at = 1 - *at;
    return irn_unsqueeze(&to, &plain);
}

/* The gradient of what passed on and that of the part that left become that of the output. Without
 * a density nothing depends on the part. */
static irn_status backward_split(irn_trainer *trainer, const irn_block *block, size_t scale,
                                 size_t images, size_t *at)
{
    const irn_tensor *memory = &trainer->early.parts[scale];
    irn_tensor part = irn_latent_view(trainer->model, memory, scale, images);
    irn_tensor rest = irn_tensor_view(&trainer->gradient[*at], images, irn_split_rest(block),
                                      block->height, block->width);
    irn_tensor whole = before_split(trainer, block, 1 - *at, images);
    *at = 1 - *at;
    if (trainer->options.task == IRN_CLASSIFY)
        IRN_TRY(
            irn_memory_zero(part.context, part.memory, 0, irn_tensor_size(&part) * sizeof(float)));
    return irn_part_join(&part, &rest, &whole);
}

static irn_status backward(irn_trainer *trainer, size_t images, irn_tensor *input_gradient)
{
    irn_model *model = trainer->model;
    const irn_block *last = &model->blocks[model->block_count - 1];
    irn_tensor top = shaped(&trainer->top, images);
    irn_tensor top_gradient =
        irn_tensor_view(&trainer->gradient[0], images, last->channels, last->height, last->width);
    size_t at = 0, scale = model->scale_count - 1;
    irn_task task = trainer->options.task;
    if (task != IRN_DENSITY)
        IRN_TRY(irn_head_backward(model, &trainer->head, &top, trainer->parameter_gradient,
                                  trainer->partials, &top_gradient));
    if (task != IRN_CLASSIFY)
        IRN_TRY(irn_density_top(&trainer->density, &top, &trainer->early, task == IRN_HYBRID,
                                trainer->parameter_gradient, &top_gradient));
    for (size_t b = model->block_count; b-- > 0;) {
        if (model->blocks[b].split)
            IRN_TRY(backward_split(trainer, &model->blocks[b], --scale, images, &at));
        IRN_TRY(backward_block(trainer, b, images, &at));
    }
    if (task != IRN_CLASSIFY)
        IRN_TRY(irn_density_end(&trainer->density, images, trainer->parameter_gradient,
                                (irn_place){trainer->density_metrics, 0}));
    if (input_gradient)
        *input_gradient = irn_tensor_view(&trainer->gradient[at], images, model->channels,
                                          model->height, model->width);
    return IRN_OK;
}

/* ---- the step ---- */

static irn_status normalise_layers(irn_trainer *trainer)
{
    irn_model *model = trainer->model;
    const irn_train_options *o = &trainer->options;
    IRN_TRY(irn_model_prepare(model));
    if (!(model->config.coefficient > 0))
        return IRN_OK;
    irn_power power = irn_model_power(model);
    IRN_TRY(irn_power_iterate(&power, o->power_iterations, o->power_tolerance));
    return irn_power_gradient(&power, trainer->sigma_gradient);
}

/* From the gradients of the normalised kernels to those of the raw ones. */
static irn_status backward_sigma(irn_trainer *trainer)
{
    irn_power power = irn_model_power(trainer->model);
    return irn_power_backward(&power, trainer->parameter_gradient, trainer->sigma_gradient,
                              trainer->dots);
}

/* Of images that have been uploaded. */
static irn_status chunk_gradients(irn_trainer *trainer, size_t images, irn_tensor *input_gradient)
{
    if (trainer->options.task != IRN_CLASSIFY)
        IRN_TRY(irn_density_begin(&trainer->density, trainer->step, trainer->first, images));
    IRN_TRY(forward(trainer, images));
    return backward(trainer, images, input_gradient);
}

irn_status irn_trainer_gradients(irn_trainer *trainer, size_t images, irn_tensor *input_gradient)
{
    IRN_TRY(normalise_layers(trainer));
    IRN_TRY(chunk_gradients(trainer, images, input_gradient));
    return backward_sigma(trainer);
}

/* The gradient of the batch's mean loss from those of its parts. */
static irn_status accumulate(irn_trainer *trainer, const float *x, const int *labels, size_t images)
{
    irn_model *model = trainer->model;
    const irn_model_config *c = &model->config;
    size_t size = c->channels * c->height * c->width;
    size_t chunk = (images + trainer->parts - 1) / trainer->parts;
    irn_tensor sum = irn_arena_row(&model->parameters, trainer->accumulated);
    irn_tensor part = irn_arena_row(&model->parameters, trainer->parameter_gradient);
    IRN_TRY(irn_memory_zero(model->context, trainer->accumulated, 0,
                            model->parameters.size * sizeof(float)));
    for (size_t done = 0; done < images; done += chunk) {
        size_t now = irn_smaller(chunk, images - done);
        trainer->part = done / chunk;
        trainer->first = done;
        IRN_TRY(irn_trainer_upload(trainer, x + done * size, labels ? labels + done : NULL, now));
        IRN_TRY(chunk_gradients(trainer, now, NULL));
        IRN_TRY(irn_add_scaled((double)now / (double)images, &part, &sum));
    }
    trainer->part = trainer->first = 0;
    return irn_tensor_copy(&sum, &part);
}

/* There is room for it, and its labels are good. */
static irn_status run_step(irn_trainer *trainer, const float *x, const int *labels, size_t images,
                           double rate)
{
    size_t parts = trainer->parts;
    if (parts == 1)
        IRN_TRY(irn_trainer_upload(trainer, x, labels, images));
    irn_model_changed(trainer->model); /* from power iteration on, should the step fail there */
    IRN_TRY(normalise_layers(trainer));
    IRN_TRY(parts == 1 ? chunk_gradients(trainer, images, NULL)
                       : accumulate(trainer, x, labels, images));
    IRN_TRY(backward_sigma(trainer));
    IRN_TRY(irn_optimizer_update(trainer, rate));
    irn_model_changed(trainer->model);
    trainer->step++;
    /* Without a flush some drivers hold commands back until somebody waits. */
    return irn_cl_check(clFlush(trainer->model->context->queue), "starting a step");
}

irn_status irn_trainer_queue_step(irn_trainer *trainer, const float *x, const int *labels,
                                  size_t images, double rate)
{
    if (trainer->options.task != IRN_DENSITY)
        IRN_TRY(irn_trainer_check_labels(trainer, labels, images));
    IRN_TRY(irn_trainer_make_room(trainer, images));
    irn_status status = run_step(trainer, x, labels, images, rate);
    if (status == IRN_ERROR_MEMORY)
        irn_trainer_explain_memory(trainer);
    return status;
}

irn_status irn_trainer_step(irn_trainer *trainer, const float *x, const int *labels, size_t batch,
                            irn_step_report *report)
{
    if (batch < 1)
        return irn_fail(IRN_ERROR_ARGUMENT, "a batch of %zu images; at least 1 is needed", batch);
    IRN_TRY(irn_trainer_queue_step(trainer, x, labels, batch, irn_trainer_rate(trainer, 0)));
    return report ? irn_trainer_report(trainer, report) : IRN_OK;
}

/* Reads a sum of metrics and begins it again. */
static irn_status take_metrics(irn_context *context, cl_mem memory, void *out, size_t size)
{
    IRN_TRY(irn_memory_read(context, memory, 0, out, size));
    return irn_memory_zero(context, memory, 0, size);
}

irn_status irn_trainer_report(irn_trainer *trainer, irn_step_report *report)
{
    irn_context *context = trainer->model->context;
    const irn_train_options *o = &trainer->options;
    irn_metrics metrics;
    irn_density_metrics density;
    IRN_TRY(take_metrics(context, trainer->metrics, &metrics, sizeof metrics));
    IRN_TRY(take_metrics(context, trainer->density_metrics, &density, sizeof density));
    double samples = metrics.samples > 0 ? (double)metrics.samples : 1;
    double density_samples = density.samples > 0 ? (double)density.samples : 1;
    double cross_entropy = (double)metrics.loss / samples;
    double bits = (double)density.bits / density_samples;
    *report = (irn_step_report){.step = trainer->step, .accuracy = NAN, .bits_per_dim = NAN};
    if (o->task != IRN_DENSITY)
        report->accuracy = (double)metrics.correct / samples;
    if (o->task != IRN_CLASSIFY)
        report->bits_per_dim = bits;
    report->loss = o->task == IRN_CLASSIFY  ? cross_entropy
                   : o->task == IRN_DENSITY ? bits
                                            : cross_entropy + o->density_weight * bits;
    if (!isfinite(report->loss))
        return irn_fail(
            IRN_ERROR_NUMERIC, "the loss is %g at step %llu; a smaller learning rate may help",
            isnan(report->loss) ? (double)NAN : report->loss, (unsigned long long)trainer->step);
    return IRN_OK;
}
