#include "flow/model.h"

#include <iresnet/train.h>

#include <stdlib.h>

static size_t count_correct(const float *scores, const int *labels, size_t batch, size_t classes)
{
    size_t correct = 0;
    for (size_t n = 0; n < batch; n++) {
        const float *s = scores + n * classes;
        size_t best = 0;
        for (size_t k = 1; k < classes; k++)
            if (s[k] > s[best])
                best = k;
        correct += (int)best == labels[n];
    }
    return correct;
}

static irn_status run(irn_model *model, const irn_dataset *dataset, size_t count, size_t batch,
                      uint32_t *indices, float *x, float *scores, int *labels,
                      irn_progress progress, void *payload, size_t *correct)
{
    for (size_t done = 0; done < count; done += batch) {
        size_t now = count - done < batch ? count - done : batch;
        for (size_t n = 0; n < now; n++)
            indices[n] = (uint32_t)(done + n);
        IRN_TRY(irn_dataset_batch(dataset, indices, now, NULL, 0, 0, x, labels));
        IRN_TRY(irn_model_predict(model, x, now, scores));
        *correct += count_correct(scores, labels, now, model->config.classes);
        if (progress && !progress(done + now, count, "classifying", payload))
            return irn_fail(IRN_ERROR_CANCELLED, "evaluation was cancelled");
    }
    return IRN_OK;
}

irn_status irn_model_accuracy(irn_model *model, const irn_dataset *dataset, irn_progress progress,
                              void *payload, double *accuracy)
{
    enum { BATCH = 512 };
    const irn_model_config *c = &model->config;
    irn_dataset_info info = irn_dataset_get_info(dataset);
    uint32_t *indices = NULL;
    float *x = NULL, *scores = NULL;
    int *labels = NULL;
    size_t correct = 0;
    if (info.channels != c->channels || info.height != c->height || info.width != c->width)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "the data are %zu x %zu x %zu, the model takes %zu x %zu x %zu",
                        info.channels, info.height, info.width, c->channels, c->height, c->width);
    irn_status status = irn_alloc(&indices, BATCH, sizeof *indices);
    if (status == IRN_OK)
        status = irn_alloc(&x, BATCH * c->channels * c->height * c->width, sizeof *x);
    if (status == IRN_OK)
        status = irn_alloc(&scores, BATCH * c->classes, sizeof *scores);
    if (status == IRN_OK)
        status = irn_alloc(&labels, BATCH, sizeof *labels);
    if (status == IRN_OK)
        status = run(model, dataset, info.count, BATCH, indices, x, scores, labels, progress,
                     payload, &correct);
    if (status == IRN_OK)
        *accuracy = (double)correct / (double)(info.count ? info.count : 1);
    free(indices);
    free(x);
    free(scores);
    free(labels);
    return status;
}
