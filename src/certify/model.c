/* Certificates of models: layers, blocks and the whole network. */
#include "certify/bound.h"
#include "certify/certificate.h"
#include "certify/jobs.h"
#include "flow/conditioning.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The raw kernel in float64; the caller frees. */
static irn_status layer_kernel(double **out, const irn_model *model, size_t index, size_t count)
{
    float *narrow;
    *out = NULL;
    IRN_TRY(irn_alloc(&narrow, count, sizeof *narrow));
    irn_status status = irn_alloc(out, count, sizeof **out);
    if (status == IRN_OK)
        status = irn_model_layer_weights(model, index, narrow);
    for (size_t i = 0; status == IRN_OK && i < count; i++)
        (*out)[i] = narrow[i];
    free(narrow);
    return status;
}

/* What certifying a model's layers needs. */
typedef struct layers {
    irn_certificate *certificate;
    const irn_model *model;
    const irn_certify_options *options;
    double *block_uppers;
    irn_layer_view views[IRN_JOBS_AT_ONCE]; /* of those under way */
} layers;

static irn_status layer_job(void *payload, size_t index, irn_bound_job *job)
{
    layers *self = payload;
    irn_layer_view *view = &self->views[index % IRN_JOBS_AT_ONCE];
    size_t count;
    IRN_TRY(irn_model_layer(self->model, index, view));
    job->name = view->name;
    job->shape = (irn_kernel_shape){.outputs = view->outputs,
                                    .inputs = view->inputs,
                                    .kernel_height = view->kernel,
                                    .kernel_width = view->kernel,
                                    .height = view->height,
                                    .width = view->width,
                                    .padding = self->certificate->padding};
    if (!isfinite(view->scale))
        return irn_fail(IRN_ERROR_NUMERIC, "%s: its normalisation is %f, not a finite number",
                        view->name, view->scale);
    IRN_TRY(irn_shape_check(&job->shape, view->name, &count));
    return layer_kernel(&job->kernel, self->model, index, count);
}

/* Adds a layer to the certificate, and its bound to its block's product. */
static irn_status add_layer(void *payload, size_t index, const irn_bound_job *job)
{
    const layers *self = payload;
    const irn_layer_view *view = &self->views[index % IRN_JOBS_AT_ONCE];
    const irn_layer_bound layer = {.name = view->name,
                                   .shape = job->shape,
                                   .scale = view->scale,
                                   .bound = irn_bound_scaled(job->bound, view->scale),
                                   .kernel_upper = job->bound.upper,
                                   .proof = job->proof};
    /* Activations have Lipschitz constant 1. */
    double *block = &self->block_uppers[view->block];
    *block = irn_round_up(*block * layer.bound.upper);
    IRN_TRY(irn_certificate_add_layer(self->certificate, &layer));
    return irn_certify_progress(self->options, index + 1, irn_model_layer_count(self->model),
                                "layers");
}

static irn_status certify_layers(irn_certificate *certificate, const irn_model *model,
                                 const irn_certify_options *options, double *block_uppers)
{
    layers self = {.certificate = certificate,
                   .model = model,
                   .options = options,
                   .block_uppers = block_uppers};
    const irn_bound_jobs jobs = {.context = irn_model_context(model),
                                 .arithmetic = irn_certify_arithmetic(options),
                                 .cross_check = options && options->cross_check,
                                 .count = irn_model_layer_count(model),
                                 .source = layer_job,
                                 .sink = add_layer,
                                 .payload = &self};
    IRN_TRY(irn_certify_progress(options, 0, jobs.count, "layers"));
    return irn_bound_jobs_run(&jobs);
}

/* Behrmann et al. 2019, lemma 2. A later factor below 1 must not hide that a block is not
 * certified.
 */
static irn_status certify_network(irn_certificate *certificate, const irn_model *model)
{
    irn_interval stretch;
    IRN_TRY(irn_network_stretch(model, &stretch));
    bool proven = certificate->verdict && stretch.lower > 0;
    certificate->lipschitz_upper = proven ? irn_widened_upper(stretch.upper) : INFINITY;
    certificate->inverse_lipschitz_upper =
        proven ? irn_widened_upper(irn_round_up(1 / stretch.lower)) : INFINITY;
    return IRN_OK;
}

static irn_status certify_blocks(irn_certificate *certificate, irn_model *model,
                                 const double *block_uppers, size_t blocks)
{
    for (size_t block = 0; block < blocks; block++) {
        char name[48];
        snprintf(name, sizeof name, "blocks.%zu", block);
        const irn_block *at = &model->blocks[block];
        size_t dimension = at->channels * at->height * at->width;
        irn_block_bound bound = irn_block_bound_of(name, block_uppers[block], dimension);
        IRN_TRY(irn_certificate_add_block(certificate, &bound));
    }
    for (size_t block = 0; block < blocks; block++)
        irn_model_set_lipschitz(model, block, block_uppers[block]);
    irn_certificate_judge(certificate);
    return certify_network(certificate, model);
}

static irn_status certify(irn_certificate *certificate, irn_model *model,
                          const irn_certify_options *options)
{
    size_t blocks = irn_model_block_count(model);
    double *uppers;
    certificate->of_model = true;
    certificate->padding = irn_model_get_config(model)->padding;
    IRN_TRY(irn_alloc(&uppers, blocks, sizeof *uppers));
    for (size_t block = 0; block < blocks; block++)
        uppers[block] = 1;
    irn_status status = certify_layers(certificate, model, options, uppers);
    if (status == IRN_OK)
        status = certify_blocks(certificate, model, uppers, blocks);
    free(uppers);
    return status;
}

irn_status irn_certify_model(irn_certificate **out, irn_model *model,
                             const irn_certify_options *options)
{
    if (!out || !model)
        return irn_fail(IRN_ERROR_ARGUMENT, "a certificate's result or model is NULL");
    *out = NULL;
    if (options)
        IRN_TRY(irn_check_version("irn_certify_options", options->version,
                                  IRN_CERTIFY_OPTIONS_VERSION));
    irn_certificate *certificate;
    IRN_TRY(irn_certificate_create(&certificate, irn_model_context(model),
                                   irn_model_layer_count(model), irn_model_block_count(model)));
    irn_status status = certify(certificate, model, options);
    if (status == IRN_OK)
        *out = certificate;
    else
        irn_certificate_free(certificate);
    return status;
}
