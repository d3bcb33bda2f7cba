/* A batch on its way to the device: checked, made continuous, and copied while the host goes on. */
#include "train/trainer.h"
#include "flow/dequantise.h"
#include "flow/logit.h"

#include <string.h>

irn_status irn_trainer_check_labels(const irn_trainer *trainer, const int *labels, size_t images)
{
    size_t classes = trainer->model->config.classes;
    for (size_t n = 0; n < images; n++)
        if (labels[n] < 0 || (size_t)labels[n] >= classes)
            return irn_fail(IRN_ERROR_ARGUMENT, "label %zu of the batch is %d; it must be 0 to %zu",
                            n, labels[n], classes - 1);
    return IRN_OK;
}

/* Discrete values become uniform on the intervals that they stand for (math: uniform
 * dequantisation, Theis et al. 2016), so that a density of them makes sense. */
static irn_status prepare_samples(const irn_trainer *trainer, const float *x, size_t images,
                                  float *out)
{
    const irn_model_config *c = &trainer->model->config;
    size_t size = c->channels * c->height * c->width;
    if (trainer->options.task == IRN_CLASSIFY || c->levels == 0 || trainer->samples_ready) {
        memcpy(out, x, images * size * sizeof *out);
        return irn_logit_check(trainer->model, x, images);
    }
    return irn_dequantise(x, trainer->first, images, size, c->levels, trainer->options.seed,
                          trainer->step, out);
}

irn_status irn_trainer_upload(irn_trainer *trainer, const float *x, const int *labels,
                              size_t images)
{
    const irn_model_config *c = &trainer->model->config;
    cl_command_queue queue = trainer->model->context->queue;
    size_t bytes = images * c->channels * c->height * c->width * sizeof(float);
    irn_upload_slot *slot = &trainer->slots[(trainer->step + trainer->part) % 2];
    if (slot->done) {
        IRN_TRY(irn_cl_check(clWaitForEvents(1, &slot->done), "waiting for a copied batch"));
        clReleaseEvent(slot->done);
        slot->done = NULL;
    }
    IRN_TRY(prepare_samples(trainer, x, images, slot->x));
    if (trainer->options.task != IRN_CLASSIFY)
        irn_density_samples(&trainer->density, slot->x, images);
    if (trainer->options.task != IRN_DENSITY)
        memcpy(slot->labels, labels, images * sizeof *labels);
    cl_int code =
        clEnqueueWriteBuffer(queue, trainer->x, CL_FALSE, 0, bytes, slot->x, 0, NULL, NULL);
    if (code == CL_SUCCESS)
        code = clEnqueueWriteBuffer(queue, trainer->labels, CL_FALSE, 0, images * sizeof *labels,
                                    slot->labels, 0, NULL, &slot->done);
    /* Without its event nobody would know that x is still being copied out of the slot. */
    if (code != CL_SUCCESS)
        clFinish(queue);
    return irn_cl_check(code, "copying a batch to the device");
}
