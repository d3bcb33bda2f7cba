#include "ops/elementwise.h"
#include "train/trainer.h"

#include <math.h>

static irn_call begin(irn_trainer *trainer, const char *kernel)
{
    irn_model *model = trainer->model;
    irn_call call = irn_call_begin(model->context, irn_general_sources,
                                   irn_precision_options(IRN_SINGLE), kernel);
    irn_call_memory(&call, model->single.parameters, 0);
    irn_call_memory(&call, trainer->parameter_gradient, 0);
    irn_call_memory(&call, trainer->moments[0], 0);
    if (trainer->moments[1])
        irn_call_memory(&call, trainer->moments[1], 0);
    irn_call_ulong(&call, model->parameters.size / model->context->tuning.channel_block);
    return call;
}

static irn_status run(irn_trainer *trainer, irn_call *call)
{
    const irn_context *context = trainer->model->context;
    return irn_call_run(call, trainer->model->parameters.size / context->tuning.channel_block, 1, 1,
                        context->tuning.work_group);
}

static irn_status update(irn_trainer *trainer, double rate)
{
    const irn_train_options *o = &trainer->options;
    if (o->optimizer == IRN_SGD) {
        irn_call call = begin(trainer, "sgd");
        irn_call_float(&call, (float)rate);
        irn_call_float(&call, (float)o->momentum);
        irn_call_float(&call, (float)o->weight_decay);
        return run(trainer, &call);
    }
    double t = (double)trainer->step + 1;
    irn_call call = begin(trainer, o->optimizer == IRN_ADAM ? "adam" : "adamax");
    irn_call_float(&call, (float)rate);
    irn_call_float(&call, (float)o->beta1);
    irn_call_float(&call, (float)o->beta2);
    irn_call_float(&call, (float)(1 - o->beta1));
    if (o->optimizer == IRN_ADAM)
        irn_call_float(&call, (float)(1 - o->beta2));
    irn_call_float(&call, (float)o->epsilon);
    irn_call_float(&call, (float)o->weight_decay);
    irn_call_float(&call, (float)(1 - pow(o->beta1, t)));
    if (o->optimizer == IRN_ADAM)
        irn_call_float(&call, (float)sqrt(1 - pow(o->beta2, t)));
    return run(trainer, &call);
}

static irn_call begin_plain(const irn_trainer *trainer, const char *kernel)
{
    return irn_call_begin(trainer->model->context, irn_general_sources,
                          irn_precision_options(IRN_SINGLE), kernel);
}

static irn_status clip(irn_trainer *trainer)
{
    irn_model *model = trainer->model;
    irn_tensor gradient = irn_arena_row(&model->parameters, trainer->parameter_gradient);
    IRN_TRY(irn_sample_dots(&gradient, &gradient, trainer->dots));
    irn_call call = begin_plain(trainer, "clip");
    irn_call_memory(&call, trainer->parameter_gradient, 0);
    irn_call_memory(&call, trainer->dots, 0);
    irn_call_ulong(&call, irn_tensor_blocks(&gradient));
    irn_call_float(&call, (float)trainer->options.clip_norm);
    return run(trainer, &call);
}

/* The first values are taken as they are, the next few count more than later ones, so that the
 * beginning is soon forgotten. */
static irn_status average(irn_trainer *trainer)
{
    double t = (double)trainer->step, decay = fmin(trainer->options.average_decay, t / (t + 10));
    irn_call call = begin_plain(trainer, "moving_average");
    irn_call_memory(&call, trainer->average, 0);
    irn_call_memory(&call, trainer->model->single.parameters, 0);
    irn_call_ulong(&call,
                   trainer->model->parameters.size / trainer->model->context->tuning.channel_block);
    irn_call_float(&call, (float)(1 - decay));
    return run(trainer, &call);
}

irn_status irn_optimizer_update(irn_trainer *trainer, double rate)
{
    if (trainer->options.clip_norm > 0)
        IRN_TRY(clip(trainer));
    IRN_TRY(update(trainer, rate));
    return trainer->average ? average(trainer) : IRN_OK;
}

double irn_trainer_rate(const irn_trainer *trainer, size_t steps_per_epoch)
{
    const irn_train_options *o = &trainer->options;
    double rate = o->learning_rate;
    if (!isnan(trainer->rate))
        return trainer->rate;
    if (trainer->step < o->warmup_steps)
        rate *= (double)(trainer->step + 1) / (double)o->warmup_steps;
    if (steps_per_epoch) {
        double epoch = (double)(trainer->step / steps_per_epoch);
        for (size_t i = 0; i < o->milestone_count; i++)
            if (epoch >= o->milestones[i] * (double)o->epochs)
                rate *= o->milestone_factor;
    }
    return rate;
}
