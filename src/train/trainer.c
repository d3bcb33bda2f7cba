/* Making trainers, and their options. */
#include "train/trainer.h"
#include "flow/roulette.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static irn_status density_preset(irn_train_options *options, const char *preset)
{
    options->task = IRN_DENSITY;
    options->optimizer = IRN_ADAMAX;
    options->weight_decay = 0;
    options->learning_rate = 0.004;
    options->batch = 64;
    options->power_iterations = 1;
    options->average_decay = 0.999;
    options->logdet = IRN_GRADIENT_NEUMANN;
    if (strcmp(preset, "toy") == 0) {
        options->optimizer = IRN_ADAM;
        options->logdet = IRN_GRADIENT_EXACT;
        options->learning_rate = 0.005;
        options->batch = 250;
        options->epochs = 80;
        return IRN_OK;
    }
    if (strcmp(preset, "digits-density") == 0) {
        options->epochs = 100;
        return IRN_OK;
    }
    if (strcmp(preset, "mnist-density") == 0) {
        options->epochs = 20;
        return IRN_OK;
    }
    if (strcmp(preset, "cifar10-density") == 0) {
        options->epochs = 300;
        options->learning_rate = 0.003;
        return IRN_OK;
    }
    return irn_fail(IRN_ERROR_ARGUMENT,
                    "there is no preset '%s'; choose digits, mnist, cifar10, toy, digits-density, "
                    "mnist-density or cifar10-density",
                    preset);
}

irn_status irn_train_options_init(irn_train_options *options, const char *preset)
{
    *options = (irn_train_options){.version = IRN_TRAIN_OPTIONS_VERSION,
                                   .density_weight = 1,
                                   .terms = 5,
                                   .probes = 1,
                                   .accumulate = 1,
                                   .optimizer = IRN_SGD,
                                   .learning_rate = 0.05,
                                   .momentum = 0.9,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .epsilon = 1e-8,
                                   .weight_decay = 5e-4,
                                   .power_iterations = 1,
                                   .warmup_steps = 50,
                                   .milestone_count = 2,
                                   .milestones = {0.6, 0.85},
                                   .milestone_factor = 0.2,
                                   .epochs = 20,
                                   .batch = 128};
    if (!preset)
        return IRN_OK;
    if (strcmp(preset, "digits") == 0) {
        options->epochs = 60;
        options->batch = 64;
        options->learning_rate = 0.1;
        options->augmentation.shift = 1;
        return IRN_OK;
    }
    if (strcmp(preset, "mnist") == 0) {
        options->epochs = 8;
        options->augmentation.shift = 1;
        return IRN_OK;
    }
    if (strcmp(preset, "cifar10") == 0) {
        /* As the official script: 200 epochs, the rate divided by 5 at 60, 120 and 160. */
        options->epochs = 200;
        options->learning_rate = 0.1;
        options->milestone_count = 3;
        memcpy(options->milestones, (double[]){0.3, 0.6, 0.8}, 3 * sizeof(double));
        options->augmentation.shift = 4;
        options->augmentation.flip = true;
        return IRN_OK;
    }
    return density_preset(options, preset);
}

typedef struct number_limit {
    const char *name;
    double value, low, high;
} number_limit;

static irn_status check_options(const irn_train_options *o)
{
    IRN_TRY(irn_check_version("irn_train_options", o->version, IRN_TRAIN_OPTIONS_VERSION));
    const number_limit limits[] = {
        {"task", (double)o->task, IRN_CLASSIFY, IRN_HYBRID},
        {"density_weight", o->density_weight, 1e-6, 1e6},
        {"logdet", (double)o->logdet, IRN_GRADIENT_SERIES, IRN_GRADIENT_EXACT},
        {"terms", (double)o->terms, 1, IRN_MAX_TERMS},
        {"roulette", (double)o->roulette, IRN_ROULETTE_GEOMETRIC, IRN_ROULETTE_POISSON},
        {"probes", (double)o->probes, 1, 1024},
        {"clip_norm", o->clip_norm, 0, 1e30},
        {"average_decay", o->average_decay, 0, 1 - 1e-9},
        {"accumulate", (double)o->accumulate, 1, 1e6},
        {"optimizer", (double)o->optimizer, IRN_SGD, IRN_ADAMAX},
        {"learning_rate", o->learning_rate, 0, 1e3},
        {"momentum", o->momentum, 0, 1},
        {"beta1", o->beta1, 0, 1 - 1e-9},
        {"beta2", o->beta2, 0, 1 - 1e-9},
        {"epsilon", o->epsilon, 1e-30, 1},
        {"weight_decay", o->weight_decay, 0, 1e3},
        {"power_iterations", (double)o->power_iterations, 0, 1e4},
        {"power_tolerance", o->power_tolerance, 0, 1},
        {"warmup_steps", (double)o->warmup_steps, 0, 1e9},
        {"milestone_count", (double)o->milestone_count, 0, IRN_MAX_MILESTONES},
        {"milestone_factor", o->milestone_factor, 0, 1e3},
        {"epochs", (double)o->epochs, 0, 1e6},
        {"batch", (double)o->batch, 1, 1e6},
        {"augmentation.shift", (double)o->augmentation.shift, 0, 4096}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++)
        if (!(limits[i].value >= limits[i].low && limits[i].value <= limits[i].high))
            return irn_fail(IRN_ERROR_ARGUMENT, "%s is %.10g; it must be %.10g to %.10g",
                            limits[i].name, limits[i].value, limits[i].low, limits[i].high);
    for (size_t i = 0; i < o->milestone_count; i++)
        if (!(o->milestones[i] >= 0 && o->milestones[i] <= 1))
            return irn_fail(IRN_ERROR_ARGUMENT, "milestone %zu is %g; it must be 0 to 1", i,
                            o->milestones[i]);
    const irn_roulette roulette = irn_roulette_of(o->roulette, o->roulette_parameter, o->terms);
    return irn_roulette_check(&roulette);
}

/* A work-item inverts a Jacobian in about 2 d^3 turns of loops. Drivers that end them early would
 * give wrong gradients in silence: llvmpipe, after 65,535 turns, from 32 dimensions on. */
static irn_status check_loops(const irn_model *model, size_t dimensions)
{
    enum { FEW_DIMENSIONS = 28 };
    bool whole = true;
    if (dimensions > FEW_DIMENSIONS)
        IRN_TRY(irn_context_loops(model->context, &whole));
    if (!whole)
        return irn_fail(
            IRN_ERROR_UNSUPPORTED,
            "a block has %zu dimensions; the driver of %s ends long loops early, so that "
            "exact log-determinants are for at most %d there",
            dimensions, model->context->info.name, FEW_DIMENSIONS);
    return IRN_OK;
}

/* Whether the model has what the task needs. */
static irn_status check_task(const irn_model *model, const irn_train_options *options)
{
    irn_task task = options->task;
    size_t most = irn_density_most_dimensions(model);
    if (task != IRN_DENSITY && !model->config.classes)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "the model has no classifier head (classes is 0), so it cannot learn "
                        "classes");
    if (task != IRN_CLASSIFY && model->config.prior == IRN_PRIOR_NONE)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "the model has no prior, so it cannot learn a density");
    if (task != IRN_CLASSIFY && !(model->config.coefficient > 0 && model->config.coefficient < 1))
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "the model's coefficient is %g; for log-determinants it must be between 0 "
                        "and 1",
                        model->config.coefficient);
    if (task != IRN_CLASSIFY && options->logdet == IRN_GRADIENT_EXACT &&
        most > IRN_EXACT_DIMENSIONS)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "a block has %zu dimensions; exact log-determinants are for at most %d",
                        most, IRN_EXACT_DIMENSIONS);
    bool exact = task != IRN_CLASSIFY && options->logdet == IRN_GRADIENT_EXACT;
    return exact ? check_loops(model, most) : IRN_OK;
}

irn_status irn_trainer_create(irn_trainer **out, irn_model *model, const irn_train_options *options)
{
    irn_train_options defaults;
    irn_trainer *trainer;
    *out = NULL;
    IRN_TRY(irn_train_options_init(&defaults, NULL));
    if (!options)
        options = &defaults;
    IRN_TRY(check_options(options));
    IRN_TRY(check_task(model, options));
    IRN_TRY(irn_alloc(&trainer, 1, sizeof *trainer));
    trainer->model = model;
    trainer->options = *options;
    trainer->parts = options->accumulate;
    trainer->rate = NAN;
    irn_status status = irn_trainer_allocate(trainer);
    if (status != IRN_OK) {
        irn_trainer_free(trainer);
        return status;
    }
    *out = trainer;
    return IRN_OK;
}

void irn_trainer_free(irn_trainer *trainer)
{
    if (!trainer)
        return;
    clFinish(trainer->model->context->queue);
    irn_trainer_release(trainer);
    free(trainer);
}

void irn_trainer_set_learning_rate(irn_trainer *trainer, double rate)
{
    trainer->rate = rate;
}

void irn_trainer_set_epochs(irn_trainer *trainer, size_t epochs)
{
    trainer->options.epochs = epochs;
}

const irn_train_options *irn_trainer_get_options(const irn_trainer *trainer)
{
    return &trainer->options;
}
