#include "trial/subject.h"
#include "flow/workspace.h"

#include <string.h>

static irn_status configure(irn_model_config *config)
{
    IRN_TRY(irn_model_config_init(config, NULL));
    config->channels = 2;
    config->height = 4;
    config->width = 6;
    config->stages = 2;
    for (int s = 0; s < 2; s++) {
        config->blocks[s] = 1;
        config->widths[s] = 17;
        config->strides[s] = (size_t)s + 1;
    }
    config->coefficient = 0.7;
    config->classes = 3;
    config->norm_momentum = 0.25;
    config->sigma_epsilon = 1e-5;
    config->multiscale = true;
    config->prior = IRN_PRIOR_LEARNED;
    config->levels = 0;
    config->logit = 0.05;
    return IRN_OK;
}

/* Kernels so large that all are normalised, everything else of moderate size. */
static double spread(const irn_entry *entry)
{
    return entry->kind == IRN_ENTRY_KERNEL ? 0.5 : 0.25;
}

static irn_status fill(irn_subject *s, irn_trial *trial)
{
    irn_model *m = s->model;
    for (size_t e = 0; e < m->parameters.count; e++) {
        const irn_entry *entry = &m->parameters.entries[e];
        size_t count = irn_entry_count(entry);
        double *values;
        float *narrow;
        IRN_TRY(irn_trial_normal(trial, count, spread(entry), &values));
        for (size_t i = 0; i < count && e == m->head.gamma; i++)
            values[i] += 1;
        IRN_TRY(irn_trial_floats(trial, values, count, &narrow));
        IRN_TRY(irn_arena_write(&m->parameters, m->single.parameters, entry, narrow));
    }
    IRN_TRY(irn_model_initialised(m));
    irn_model_changed(m);
    return irn_model_power_iterate(m, 20);
}

irn_status irn_subject_begin(irn_subject *out, irn_trial *trial)
{
    irn_model_config config;
    memset(out, 0, sizeof *out);
    IRN_TRY(configure(&config));
    IRN_TRY(irn_model_create(&out->model, trial->context, &config));
    IRN_TRY(fill(out, trial));
    return irn_twin_create(&out->twin, trial, out->model, IRN_SUBJECT_IMAGES);
}

void irn_subject_end(irn_subject *subject)
{
    irn_model_free(subject->model);
    subject->model = NULL;
}

size_t irn_subject_few(const irn_subject *subject)
{
    return subject->twin.images;
}

size_t irn_subject_many(const irn_subject *subject)
{
    const irn_context *context = subject->model->context;
    size_t one = subject->twin.images, items = context->info.is_simt ? 1 : irn_cpu_items(context);
    return (items + one) / one * one;
}

irn_status irn_subject_repeat(irn_subject *subject, const double *values, size_t size,
                              size_t images, double **out)
{
    size_t period = subject->twin.images * size;
    IRN_TRY(irn_trial_doubles(subject->twin.trial, images * size, out));
    for (size_t i = 0; i < images * size; i++)
        (*out)[i] = values[i % period];
    return IRN_OK;
}
