/* Batches of host or device arrays through the network: z, and class scores. */
#include "flow/logit.h"
#include "flow/workspace.h"

/* What a chunk of images becomes. */
typedef enum output { LATENT, SCORES } output;

static irn_status run_chunk(irn_model *model, irn_workspace *workspace, cl_mem x, size_t x_offset,
                            size_t images, output what, cl_mem out, size_t out_offset)
{
    irn_latents z;
    IRN_TRY(irn_flow_forward(model, workspace, x, x_offset, images, &z));
    if (what == LATENT)
        return irn_latents_unpack(&z, model, out, out_offset);
    IRN_TRY(irn_head_forward(model, &workspace->head, &z.parts[model->scale_count - 1], false));
    irn_tensor scores =
        irn_tensor_view(&workspace->head.scores, images, model->config.classes, 1, 1);
    return irn_tensor_unpack(&scores, out, out_offset, model->config.classes);
}

static size_t input_size(const irn_model *model)
{
    return model->config.channels * model->config.height * model->config.width;
}

static size_t output_size(const irn_model *model, output what)
{
    return what == LATENT ? irn_model_latent_size(model) : model->config.classes;
}

/* A batch and what becomes of it, on the device or on the host. */
typedef struct device_batch {
    irn_model *model;
    cl_mem x, out;
    size_t x_offset, out_offset, batch;
    output what;
} device_batch;

typedef struct host_batch {
    irn_model *model;
    const float *x;
    float *out;
    size_t batch;
    output what;
} host_batch;

static irn_status device_pass(void *payload, size_t chunk, size_t *done)
{
    const device_batch *b = payload;
    irn_workspace workspace;
    IRN_TRY(irn_workspace_create(&workspace, b->model, IRN_SINGLE, chunk));
    irn_status status = IRN_OK;
    while (*done < b->batch && status == IRN_OK) {
        size_t images = irn_smaller(chunk, b->batch - *done);
        status = run_chunk(b->model, &workspace, b->x, b->x_offset + *done * input_size(b->model),
                           images, b->what, b->out,
                           b->out_offset + *done * output_size(b->model, b->what));
        if (status == IRN_OK)
            *done += images;
    }
    irn_workspace_free(&workspace);
    return status;
}

/* from, to: room for a chunk. */
static irn_status stage(const host_batch *b, irn_workspace *workspace, cl_mem from, cl_mem to,
                        size_t first, size_t images)
{
    irn_context *context = b->model->context;
    size_t in = input_size(b->model), size = output_size(b->model, b->what);
    IRN_TRY(irn_memory_write(context, from, 0, b->x + first * in, images * in * sizeof(float)));
    IRN_TRY(run_chunk(b->model, workspace, from, 0, images, b->what, to, 0));
    return irn_memory_read(context, to, 0, b->out + first * size, images * size * sizeof(float));
}

static irn_status host_pass(void *payload, size_t chunk, size_t *done)
{
    const host_batch *b = payload;
    irn_context *context = b->model->context;
    irn_workspace workspace;
    cl_mem from = NULL, to = NULL;
    size_t in = input_size(b->model), size = output_size(b->model, b->what);
    IRN_TRY(irn_workspace_create(&workspace, b->model, IRN_SINGLE, chunk));
    irn_status status = irn_memory_create(context, &from, chunk * in, sizeof(float), false);
    if (status == IRN_OK)
        status = irn_memory_create(context, &to, chunk * size, sizeof(float), false);
    while (*done < b->batch && status == IRN_OK) {
        size_t images = irn_smaller(chunk, b->batch - *done);
        status = stage(b, &workspace, from, to, *done, images);
        if (status == IRN_OK)
            *done += images;
    }
    irn_memory_release(context, from);
    irn_memory_release(context, to);
    irn_workspace_free(&workspace);
    return status;
}

static irn_status run_device(irn_model *model, cl_mem x, size_t x_offset, size_t batch, output what,
                             cl_mem out, size_t out_offset)
{
    device_batch b = {model, x, out, x_offset, out_offset, batch, what};
    return irn_in_chunks(model, irn_model_chunk(model, batch), device_pass, &b);
}

static irn_status run_host(irn_model *model, const float *x, size_t batch, output what, float *out)
{
    host_batch b = {model, x, out, batch, what};
    IRN_TRY(irn_logit_check(model, x, batch));
    return irn_in_chunks(model, irn_model_chunk(model, batch), host_pass, &b);
}

static irn_status check_head(const irn_model *model)
{
    if (!model->config.classes)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "the model has no classifier head (classes is 0), so it cannot classify");
    return IRN_OK;
}

irn_status irn_model_encode(irn_model *model, const float *x, size_t batch, float *z)
{
    return run_host(model, x, batch, LATENT, z);
}

irn_status irn_model_encode_cl(irn_model *model, cl_mem x, size_t x_offset, size_t batch, cl_mem z,
                               size_t z_offset)
{
    return run_device(model, x, x_offset, batch, LATENT, z, z_offset);
}

irn_status irn_model_predict(irn_model *model, const float *x, size_t batch, float *logits)
{
    IRN_TRY(check_head(model));
    return run_host(model, x, batch, SCORES, logits);
}

irn_status irn_model_predict_cl(irn_model *model, cl_mem x, size_t x_offset, size_t batch,
                                cl_mem logits, size_t logits_offset)
{
    IRN_TRY(check_head(model));
    return run_device(model, x, x_offset, batch, SCORES, logits, logits_offset);
}
