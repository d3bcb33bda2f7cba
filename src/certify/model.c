/* Certificates of models: layers, blocks and the whole network. */
#include "certify/bound.h"
#include "certify/certificate.h"
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

/* Adds a layer to the certificate, and its bound to its block's product. */
static irn_status certify_layer(irn_certificate *certificate, const irn_model *model, size_t index,
                                irn_arithmetic arithmetic, double *block_uppers)
{
    irn_layer_view view;
    size_t count;
    double *kernel;
    irn_bound bound = {0, 0};
    irn_proof proof = {0};
    IRN_TRY(irn_model_layer(model, index, &view));
    irn_kernel_shape shape = {.outputs = view.outputs,
                              .inputs = view.inputs,
                              .kernel_height = view.kernel,
                              .kernel_width = view.kernel,
                              .height = view.height,
                              .width = view.width,
                              .padding = certificate->padding};
    if (!isfinite(view.scale))
        return irn_fail(IRN_ERROR_NUMERIC, "%s: its normalisation is %f, not a finite number",
                        view.name, view.scale);
    IRN_TRY(irn_shape_check(&shape, view.name, &count));
    irn_status status = layer_kernel(&kernel, model, index, count);
    if (status == IRN_OK)
        status = irn_bound_kernel(&bound, &proof, irn_model_context(model), arithmetic, kernel,
                                  &shape, view.name);
    free(kernel);
    IRN_TRY(status);
    const irn_layer_bound layer = {.name = view.name,
                                   .shape = shape,
                                   .scale = view.scale,
                                   .bound = irn_bound_scaled(bound, view.scale),
                                   .kernel_upper = bound.upper,
                                   .proof = proof};
    /* Activations have Lipschitz constant 1. */
    block_uppers[view.block] = irn_round_up(block_uppers[view.block] * layer.bound.upper);
    return irn_certificate_add_layer(certificate, &layer);
}

static irn_status certify_layers(irn_certificate *certificate, const irn_model *model,
                                 const irn_certify_options *options, double *block_uppers)
{
    size_t layers = irn_model_layer_count(model);
    IRN_TRY(irn_certify_progress(options, 0, layers, "layers"));
    for (size_t i = 0; i < layers; i++) {
        IRN_TRY(
            certify_layer(certificate, model, i, irn_certify_arithmetic(options), block_uppers));
        IRN_TRY(irn_certify_progress(options, i + 1, layers, "layers"));
    }
    return IRN_OK;
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
