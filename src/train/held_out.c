/* A short look at how well a density does on examples that it does not learn from: few of them,
 * always the same, so that epochs can be compared. */
#include "flow/model.h"
#include "train/trainer.h"

#include <iresnet/density.h>

#include <math.h>
#include <stdlib.h>

typedef struct look {
    uint32_t *order; /* of all examples */
    float *x;        /* the first `count` of them, and their densities */
    irn_log_density *densities;
    size_t count;
} look;

/* A sample costs about half of what it does in a training step, which makes the look cheap beside
 * an epoch of so many examples. */
static size_t examples(size_t test, size_t train)
{
    enum { MOST = 256, LEAST = 16, SHARE = 20 };
    return irn_smaller(test, irn_smaller(MOST, irn_larger(LEAST, train / SHARE)));
}

static irn_status evaluate(irn_model *model, const irn_dataset *dataset, const irn_train_options *o,
                           look *l)
{
    irn_density_options how = IRN_DENSITY_OPTIONS_INIT;
    how.terms = o->terms;
    how.probes = 1;
    how.seed = o->seed;
    irn_dataset_shuffle(dataset, o->seed, 0, l->order);
    IRN_TRY(irn_dataset_batch(dataset, l->order, l->count, NULL, 0, 0, l->x, NULL));
    return irn_model_log_density(model, l->x, l->count, &how, l->densities, NULL);
}

static irn_test_density mean(const irn_model *model, const look *l)
{
    double n = (double)l->count, unit = log(2) * (double)irn_model_latent_size(model);
    double sum = 0, squares = 0, levels = (double)model->config.levels;
    for (size_t i = 0; i < l->count; i++)
        sum -= (l->densities[i].log_prior + l->densities[i].logdet) / unit;
    for (size_t i = 0; i < l->count; i++) {
        double bits = -(l->densities[i].log_prior + l->densities[i].logdet) / unit;
        squares += (bits - sum / n) * (bits - sum / n);
    }
    return (irn_test_density){sum / n + (levels > 0 ? log2(levels) : 0),
                              sqrt(squares / (n - 1) / n)};
}

irn_status irn_trainer_test_density(irn_trainer *trainer, const irn_dataset *test, size_t train,
                                    irn_test_density *out)
{
    irn_model *model = trainer->model;
    size_t total = irn_dataset_get_info(test).count;
    look l = {.count = examples(total, train)};
    *out = (irn_test_density){NAN, NAN};
    irn_status status = irn_alloc(&l.order, total, sizeof *l.order);
    if (status == IRN_OK)
        status = irn_alloc(&l.x, l.count * irn_model_latent_size(model), sizeof *l.x);
    if (status == IRN_OK)
        status = irn_alloc(&l.densities, l.count, sizeof *l.densities);
    if (status == IRN_OK)
        status = evaluate(model, test, &trainer->options, &l);
    if (status == IRN_OK)
        *out = mean(model, &l);
    free(l.order);
    free(l.x);
    free(l.densities);
    /* Densities that are no numbers are for training's own checks to judge. */
    return status == IRN_ERROR_NUMERIC ? IRN_OK : status;
}
