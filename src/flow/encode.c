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

static irn_status run_device(irn_model *model, cl_mem x, size_t x_offset, size_t batch, output what,
                             cl_mem out, size_t out_offset)
{
    irn_workspace workspace;
    size_t chunk = irn_model_chunk(model, batch);
    IRN_TRY(irn_workspace_create(&workspace, model, IRN_SINGLE, chunk));
    irn_status status = IRN_OK;
    for (size_t done = 0; done < batch && status == IRN_OK; done += chunk)
        status = run_chunk(model, &workspace, x, x_offset + done * input_size(model),
                           batch - done < chunk ? batch - done : chunk, what, out,
                           out_offset + done * output_size(model, what));
    irn_workspace_free(&workspace);
    return status;
}

/* The same for host arrays, staged chunk by chunk. */
static irn_status run_host(irn_model *model, const float *x, size_t batch, output what, float *out)
{
    irn_context *context = model->context;
    irn_workspace workspace;
    size_t chunk = irn_model_chunk(model, batch);
    size_t in = input_size(model), size = output_size(model, what);
    cl_mem from = NULL, to = NULL;
    IRN_TRY(irn_logit_check(model, x, batch));
    IRN_TRY(irn_workspace_create(&workspace, model, IRN_SINGLE, chunk));
    irn_status status = irn_memory_create(context, &from, chunk * in, sizeof(float), false);
    if (status == IRN_OK)
        status = irn_memory_create(context, &to, chunk * size, sizeof(float), false);
    for (size_t done = 0; done < batch && status == IRN_OK; done += chunk) {
        size_t images = batch - done < chunk ? batch - done : chunk;
        status = irn_memory_write(context, from, 0, x + done * in, images * in * sizeof(float));
        if (status == IRN_OK)
            status = run_chunk(model, &workspace, from, 0, images, what, to, 0);
        if (status == IRN_OK)
            status =
                irn_memory_read(context, to, 0, out + done * size, images * size * sizeof(float));
    }
    irn_memory_release(context, from);
    irn_memory_release(context, to);
    irn_workspace_free(&workspace);
    return status;
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
