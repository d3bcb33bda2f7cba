/* Checks of training: losses and gradients against the twin's, and the optimisers. */
#include "base/philox.h"
#include "trial/reference.h"
#include "trial/subject.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- losses and gradients ---- */

/* Half the difference of the twin's losses along `direction` in one entry, by `step`. */
static double slope_along(irn_twin *t, size_t entry, const double *direction)
{
    const double step = 1e-5;
    size_t count = irn_entry_count(&t->model->parameters.entries[entry]);
    double losses[2], *values = t->parameters[entry];
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i < count; i++)
            values[i] += (side ? -2 : 1) * step * direction[i];
        losses[side] = irn_twin_loss(t);
    }
    for (size_t i = 0; i < count; i++)
        values[i] += step * direction[i];
    return (losses[0] - losses[1]) / (2 * step);
}

/* The error of one entry's gradient along a random direction, whose numbers are of order 1, where
 * it shows about in full. Gradients much smaller than the largest are measured by that: they are
 * differences. */
static irn_status entry_error(irn_subject *s, const irn_trainer *trainer, size_t entry,
                              double *error)
{
    irn_twin *t = &s->twin;
    irn_trial *c = t->trial;
    const irn_arena *arena = &s->model->parameters;
    size_t count = irn_entry_count(&arena->entries[entry]);
    double *direction, *gradient;
    float *narrow;
    IRN_TRY(irn_trial_normal(c, count, 1, &direction));
    IRN_TRY(irn_trial_memory(c, count, sizeof *narrow, &narrow));
    IRN_TRY(irn_arena_read(arena, trainer->parameter_gradient, &arena->entries[entry], narrow));
    IRN_TRY(irn_trial_widened(c, narrow, count, &gradient));
    double expected = slope_along(t, entry, direction);
    double got = irn_reference_dot(gradient, direction, count);
    double size = fmax(sqrt(irn_reference_dot(gradient, gradient, count)), 1e-2);
    *error = fabs(got - expected) / size;
    return IRN_OK;
}

/* The worst of all entries. */
static irn_status gradient_error(irn_subject *s, const irn_trainer *trainer, double *error_out,
                                 const char **name)
{
    const irn_arena *arena = &s->model->parameters;
    double worst = 0;
    size_t at = 0;
    for (size_t e = 0; e < arena->count; e++) {
        double error;
        IRN_TRY(entry_error(s, trainer, e, &error));
        if (error <= worst)
            continue;
        worst = error;
        at = e;
        if (isnan(error))
            break;
    }
    *error_out = worst;
    *name = arena->entries[at].name;
    return IRN_OK;
}

static irn_status give_probes(irn_subject *s, size_t images, irn_tensor *probes)
{
    for (size_t b = 0; b < s->model->block_count; b++) {
        const irn_block *block = &s->model->blocks[b];
        size_t size = block->channels * block->height * block->width;
        double *values;
        IRN_TRY(irn_subject_repeat(s, s->twin.probes[b], size, images, &values));
        IRN_TRY(irn_trial_tensor(s->twin.trial, IRN_SINGLE,
                                 (size_t[4]){images, block->channels, block->height, block->width},
                                 values, &probes[b]));
    }
    return IRN_OK;
}

/* A step of so many images but for the update; its loss as reported. */
static irn_status run_step(irn_subject *s, irn_trainer *trainer, size_t images, double *loss)
{
    irn_twin *t = &s->twin;
    irn_trial *c = t->trial;
    irn_tensor probes[IRN_MAX_STAGES];
    irn_step_report report;
    double *x;
    float *narrow;
    int *labels;
    IRN_TRY(irn_subject_repeat(s, t->x, t->size, images, &x));
    IRN_TRY(irn_trial_floats(c, x, images * t->size, &narrow));
    IRN_TRY(irn_trial_memory(c, images, sizeof *labels, &labels));
    for (size_t n = 0; n < images; n++)
        labels[n] = t->labels[n % t->images];
    IRN_TRY(give_probes(s, images, probes));
    trainer->density.given = probes;
    IRN_TRY(irn_trainer_reserve(trainer, images));
    IRN_TRY(irn_trainer_upload(trainer, narrow, labels, images));
    if (trainer->options.task != IRN_CLASSIFY)
        irn_density_samples(&trainer->density, narrow, images);
    IRN_TRY(irn_trainer_gradients(trainer, images, NULL));
    IRN_TRY(irn_trainer_report(trainer, &report));
    trainer->density.given = NULL;
    *loss = report.loss;
    return IRN_OK;
}

/* The losses that a step's gradient is compared with. */
static void prepare_twin(irn_twin *t, const irn_train_options *options)
{
    t->method = options->task == IRN_CLASSIFY             ? IRN_TWIN_NONE
                : options->logdet == IRN_GRADIENT_SERIES  ? IRN_TWIN_SERIES
                : options->logdet == IRN_GRADIENT_NEUMANN ? IRN_TWIN_PAIR
                                                          : IRN_TWIN_EXACT;
    if (t->method == IRN_TWIN_PAIR)
        irn_twin_make_pairs(t);
}

/* All comes of the same launches. What passes vouches for them, so what is worse is compared first.
 */
static irn_status compare_step(irn_subject *s, irn_trainer *trainer, size_t images)
{
    const double loss_limit = 1e-4, gradient_limit = 1e-3;
    irn_twin *t = &s->twin;
    double loss, expected, error;
    const char *name;
    char what[96];
    IRN_TRY(run_step(s, trainer, images, &loss));
    IRN_TRY(irn_twin_copy(t)); /* power iteration has moved its vectors */
    t->terms = trainer->options.terms;
    prepare_twin(t, &trainer->options);
    IRN_TRY(gradient_error(s, trainer, &error, &name));
    if (t->method == IRN_TWIN_PAIR)
        t->method = IRN_TWIN_SERIES; /* whose value is the Neumann series' too */
    expected = irn_twin_loss(t);
    double loss_error = fabs(loss - expected) / fabs(expected);
    snprintf(what, sizeof what, "gradient of %s", name);
    if (!(loss_error <= loss_limit) && error <= gradient_limit)
        return irn_trial_error(t->trial, "loss", loss_error, loss_limit);
    IRN_TRY(irn_trial_error(t->trial, what, error, gradient_limit));
    return irn_trial_error(t->trial, "loss", loss_error, loss_limit);
}

static irn_status check_gradients(irn_subject *s, irn_task task, irn_logdet_gradient method,
                                  size_t images)
{
    irn_train_options options;
    irn_trainer *trainer;
    IRN_TRY(irn_train_options_init(&options, NULL));
    options.task = task;
    options.logdet = method;
    IRN_TRY(irn_trainer_create(&trainer, s->model, &options));
    irn_status status = compare_step(s, trainer, images);
    irn_trainer_free(trainer);
    return status;
}

irn_status irn_trial_training(irn_trial *c)
{
    irn_subject s;
    irn_status status = irn_subject_begin(&s, c);
    if (status == IRN_OK)
        status = check_gradients(&s, IRN_CLASSIFY, IRN_GRADIENT_SERIES, irn_subject_few(&s));
    irn_subject_end(&s);
    return status;
}

/* What takes all terms of a series in one launch, with many images on CPUs, is thorough: PoCL takes
 * as long to compile it as all else. */
irn_status irn_trial_densities(irn_trial *c)
{
    static const struct {
        irn_logdet_gradient method;
        bool many, thorough;
    } steps[] = {{IRN_GRADIENT_EXACT, false, false},
                 {IRN_GRADIENT_NEUMANN, false, false},
                 {IRN_GRADIENT_NEUMANN, true, true},
                 {IRN_GRADIENT_SERIES, false, true},
                 {IRN_GRADIENT_SERIES, true, true}};
    irn_subject s;
    bool whole = true;
    IRN_TRY(irn_context_loops(c->context, &whole));
    irn_status status = irn_subject_begin(&s, c);
    for (size_t i = 0; i < sizeof steps / sizeof *steps && status == IRN_OK; i++)
        if ((c->thorough || !steps[i].thorough) && (whole || steps[i].method != IRN_GRADIENT_EXACT))
            status = check_gradients(&s, IRN_HYBRID, steps[i].method,
                                     steps[i].many ? irn_subject_many(&s) : irn_subject_few(&s));
    irn_subject_end(&s);
    return status;
}

/* ---- optimisers ---- */

/* All parameters side by side, padding included. */
typedef struct row {
    size_t count;
    double *weights, *gradient, *first, *second, *average;
} row;

static irn_status make_row(irn_trial *c, size_t count, row *r)
{
    r->count = count;
    IRN_TRY(irn_trial_normal(c, count, 1, &r->weights));
    IRN_TRY(irn_trial_normal(c, count, 1, &r->gradient));
    IRN_TRY(irn_trial_doubles(c, count, &r->first));
    IRN_TRY(irn_trial_doubles(c, count, &r->second));
    return irn_trial_doubles(c, count, &r->average);
}

/* Kingma and Ba 2015, algorithms 1 and 2; SGD with momentum as usual. t counts from 1. */
static void update(const irn_train_options *o, double rate, double t, row *r)
{
    double norm = sqrt(irn_reference_dot(r->gradient, r->gradient, r->count));
    double shrink = fmin(1, o->clip_norm / norm), decay = fmin(o->average_decay, (t - 1) / (t + 9));
    for (size_t i = 0; i < r->count; i++) {
        double g = shrink * r->gradient[i] + o->weight_decay * r->weights[i];
        double *m = &r->first[i], *v = &r->second[i];
        *m = o->optimizer == IRN_SGD ? o->momentum * *m + g : o->beta1 * *m + (1 - o->beta1) * g;
        double mean = *m / (1 - pow(o->beta1, t));
        if (o->optimizer == IRN_ADAM)
            *v = o->beta2 * *v + (1 - o->beta2) * g * g;
        else
            *v = fmax(o->beta2 * *v, fabs(g) + o->epsilon);
        double root = sqrt(*v / (1 - pow(o->beta2, t))) + o->epsilon;
        r->weights[i] -= rate * (o->optimizer == IRN_SGD    ? *m
                                 : o->optimizer == IRN_ADAM ? mean / root
                                                            : mean / *v);
        r->average[i] = decay * r->average[i] + (1 - decay) * r->weights[i];
    }
}

static irn_status write_row(irn_trial *c, const double *values, size_t count, cl_mem to)
{
    float *narrow;
    IRN_TRY(irn_trial_floats(c, values, count, &narrow));
    return irn_memory_write(c->context, to, 0, narrow, count * sizeof *narrow);
}

static irn_status is_row(irn_trial *c, const char *what, const double *expected, size_t count,
                         cl_mem got)
{
    double *values;
    float *narrow;
    IRN_TRY(irn_trial_floats(c, expected, count, &narrow));
    IRN_TRY(irn_memory_read(c->context, got, 0, narrow, count * sizeof *narrow));
    IRN_TRY(irn_trial_widened(c, narrow, count, &values));
    return irn_trial_values(c, what, expected, values, count, 1e-5);
}

static irn_status run_updates(irn_trial *c, irn_trainer *trainer, const char *name)
{
    enum { UPDATES = 3 };
    const double rate = 0.01;
    const irn_model *m = trainer->model;
    row r;
    IRN_TRY(make_row(c, m->parameters.size, &r));
    IRN_TRY(write_row(c, r.weights, r.count, m->single.parameters));
    for (int t = 1; t <= UPDATES; t++) {
        IRN_TRY(write_row(c, r.gradient, r.count, trainer->parameter_gradient));
        IRN_TRY(irn_optimizer_update(trainer, rate));
        trainer->step++;
        update(&trainer->options, rate, t, &r);
        IRN_TRY(is_row(c, name, r.weights, r.count, m->single.parameters));
    }
    return is_row(c, "moving average", r.average, r.count, trainer->average);
}

static irn_status check_optimiser(irn_trial *c, irn_model *model, irn_optimizer optimiser)
{
    static const char *const names[] = {"SGD", "Adam", "Adamax"};
    irn_train_options options;
    irn_trainer *trainer;
    IRN_TRY(irn_train_options_init(&options, NULL));
    options.optimizer = optimiser;
    options.weight_decay = 0.125;
    options.clip_norm = 1;
    options.average_decay = 0.9;
    IRN_TRY(irn_trainer_create(&trainer, model, &options));
    irn_status status = run_updates(c, trainer, names[optimiser]);
    irn_trainer_free(trainer);
    return status;
}

irn_status irn_trial_optimisers(irn_trial *c)
{
    irn_subject s;
    irn_status status = irn_subject_begin(&s, c);
    for (irn_optimizer o = IRN_SGD; o <= IRN_ADAMAX && status == IRN_OK; o++)
        status = check_optimiser(c, s.model, o);
    irn_subject_end(&s);
    return status;
}
