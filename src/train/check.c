/* Whether the parameters are good as they stand. A step's loss is that of the parameters before its
 * update, so that it says nothing of what a checkpoint would hold. */
#include "train/trainer.h"

#include <iresnet/density.h>

#include <math.h>
#include <stdlib.h>

static irn_status check_scores(irn_model *model, const float *x, size_t images)
{
    size_t classes = model->config.classes;
    float *scores;
    IRN_TRY(irn_alloc(&scores, images * classes, sizeof *scores));
    irn_status status = irn_model_predict(model, x, images, scores);
    for (size_t i = 0; i < images * classes && status == IRN_OK; i++)
        if (!isfinite(scores[i]))
            status = irn_fail(IRN_ERROR_NUMERIC, "after the update, sample %zu has a score of %g",
                              i / classes, (double)scores[i]);
    free(scores);
    return status;
}

static irn_status check_densities(irn_model *model, const irn_train_options *o, const float *x,
                                  size_t images)
{
    irn_density_options how = IRN_DENSITY_OPTIONS_INIT;
    irn_log_density *densities;
    how.method = IRN_LOGDET_SERIES;
    how.terms = o->terms;
    how.probes = 1;
    how.seed = o->seed;
    IRN_TRY(irn_alloc(&densities, images, sizeof *densities));
    irn_status status = irn_model_log_density(model, x, images, &how, densities, NULL);
    free(densities);
    return status == IRN_ERROR_NUMERIC ? irn_fail(status, "after the update, %s", irn_last_error())
                                       : status;
}

irn_status irn_trainer_check(irn_trainer *trainer, const float *x, size_t images)
{
    const irn_train_options *o = &trainer->options;
    if (o->task != IRN_DENSITY)
        IRN_TRY(check_scores(trainer->model, x, images));
    return o->task == IRN_CLASSIFY ? IRN_OK : check_densities(trainer->model, o, x, images);
}
