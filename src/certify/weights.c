/* Certificates of bare weights files. */
#include "certify/weights.h"
#include "certify/bound.h"
#include "certify/certificate.h"
#include "certify/jobs.h"

#include <fnmatch.h>
#include <stdlib.h>

typedef struct reading {
    const irn_safetensors *file;
    irn_certificate *certificate;
    const irn_certify_options *options;
    const irn_weights_options *how;
    irn_weights_layer layers[IRN_JOBS_AT_ONCE]; /* of the tensors under way */
    bool is_layer[IRN_JOBS_AT_ONCE];
    size_t bare;            /* kernels of which no normalisation was found */
    size_t selected, large; /* tensors of the pattern; those of 5 and more dimensions, left out */
    const char *first_large;
} reading;

static irn_status tensor_job(void *payload, size_t index, irn_bound_job *job)
{
    reading *self = payload;
    irn_weights_layer *layer = &self->layers[index % IRN_JOBS_AT_ONCE];
    bool *is_layer = &self->is_layer[index % IRN_JOBS_AT_ONCE];
    irn_array view;
    const char *pattern = self->how->pattern;
    job->name = irn_safetensors_tensor_name(self->file, index);
    *is_layer = false;
    if (pattern && fnmatch(pattern, job->name, 0) != 0)
        return IRN_OK;
    IRN_TRY(irn_weights_is_layer(is_layer, self->file, index));
    IRN_TRY(irn_safetensors_view(self->file, index, &view));
    self->selected++;
    if (view.rank > 4 && self->large++ == 0)
        self->first_large = job->name;
    if (!*is_layer)
        return IRN_OK;
    IRN_TRY(irn_weights_layer_read(layer, self->file, index, self->how));
    self->bare += layer->bare;
    job->shape = layer->shape;
    job->kernel = layer->kernel;
    layer->kernel = NULL;
    return IRN_OK;
}

static irn_status add_layer(irn_certificate *certificate, const irn_weights_layer *layer,
                            const irn_bound_job *job)
{
    if (layer->coefficient > 0) {
        certificate->weights.coefficient = layer->coefficient;
        certificate->weights.epsilon = layer->epsilon;
    }
    irn_layer_bound added = {.name = job->name,
                             .shape = layer->shape,
                             .scale = layer->scale,
                             .bound = irn_weights_layer_bound(layer, job->bound),
                             .kernel_upper = job->bound.upper,
                             .proof = job->proof};
    return irn_certificate_add_layer(certificate, &added);
}

static irn_status add_tensor(void *payload, size_t index, const irn_bound_job *job)
{
    reading *self = payload;
    if (self->is_layer[index % IRN_JOBS_AT_ONCE])
        IRN_TRY(add_layer(self->certificate, &self->layers[index % IRN_JOBS_AT_ONCE], job));
    return irn_certify_progress(self->options, index + 1, irn_safetensors_count(self->file),
                                "tensors");
}

static irn_status no_layers(const reading *self)
{
    const char *pattern = self->how->pattern;
    if (pattern && self->selected == 0)
        return irn_fail(IRN_ERROR_FORMAT, "%s: no name of its %zu tensors matches '%s'",
                        irn_safetensors_name(self->file), irn_safetensors_count(self->file),
                        pattern);
    return irn_fail(IRN_ERROR_FORMAT,
                    "%s: holds no layer%s%s%s, that is no float32 or float64 tensor with 2, 3 or 4 "
                    "dimensions, among its %zu tensors",
                    irn_safetensors_name(self->file), pattern ? " of a name like '" : "",
                    pattern ? pattern : "", pattern ? "'" : "", irn_safetensors_count(self->file));
}

static irn_status certify(reading *self, irn_context *context)
{
    const irn_bound_jobs jobs = {.context = context,
                                 .arithmetic = irn_certify_arithmetic(self->options),
                                 .cross_check = self->options && self->options->cross_check,
                                 .count = irn_safetensors_count(self->file),
                                 .source = tensor_job,
                                 .sink = add_tensor,
                                 .payload = self};
    IRN_TRY(irn_certify_progress(self->options, 0, jobs.count, "tensors"));
    IRN_TRY(irn_bound_jobs_run(&jobs));
    if (self->certificate->layer_count == 0)
        return no_layers(self);
    if (self->bare > 0)
        irn_log(context,
                "%s: %zu kernels are named as if normalised later (_orig) without a norm beside "
                "them (_sigma), and are bounded as they are stored",
                irn_safetensors_name(self->file), self->bare);
    if (self->large > 0)
        irn_log(
            context,
            "%s: %zu tensors of 5 and more dimensions are left out, the first is '%s': nothing is "
            "said of them",
            irn_safetensors_name(self->file), self->large, self->first_large);
    irn_certificate_judge(self->certificate);
    return IRN_OK;
}

static irn_status check_arguments(const void *out, const irn_context *context, const char *path,
                                  const irn_weights_options *weights,
                                  const irn_certify_options *options)
{
    if (!out || !context || !path || !weights)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "a certificate's result, context, path or description is NULL");
    IRN_TRY(irn_weights_options_check(weights));
    if (options)
        IRN_TRY(irn_check_version("irn_certify_options", options->version,
                                  IRN_CERTIFY_OPTIONS_VERSION));
    return IRN_OK;
}

irn_status irn_certify_weights(irn_certificate **out, irn_context *context, const char *path,
                               const irn_weights_options *weights,
                               const irn_certify_options *options)
{
    IRN_TRY(check_arguments(out, context, path, weights, options));
    *out = NULL;
    irn_certificate *certificate = NULL;
    irn_safetensors *file;
    reading self = {.how = weights, .options = options};
    IRN_TRY(irn_safetensors_open(&file, path));
    self.file = file;
    irn_status status =
        irn_certificate_create(&certificate, context, irn_safetensors_count(file), 0);
    if (status == IRN_OK)
        status = irn_certificate_set_weights(certificate, weights);
    self.certificate = certificate;
    if (status == IRN_OK)
        status = certify(&self, context);
    irn_safetensors_free(file);
    if (status == IRN_OK)
        *out = certificate;
    else
        irn_certificate_free(certificate);
    return status;
}
