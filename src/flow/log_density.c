/* The density of a model: the prior's at z, and the log-determinants on the way there. */
#include "base/round.h"
#include "flow/dequantise.h"
#include "flow/estimate.h"
#include "flow/logit.h"
#include "flow/prior.h"
#include "flow/roulette.h"

#include <stdlib.h>
#include <string.h>

typedef struct evaluation {
    irn_model *model;
    const irn_density_options *options;
    const float *x;
    size_t batch;
    irn_log_density *out;
    float *z;           /* NULL: not wanted */
    size_t chunk, size; /* images at a time, and values of each */
    size_t first;       /* of the chunk at hand */
    irn_log_density shared;
    irn_workspace workspace;
    irn_tensor inputs[IRN_MAX_LAYERS];
    irn_estimate estimate;
    cl_mem x_memory, z_memory, priors; /* of a chunk */
    float *prior_values;               /* likewise, on the host */
    double *values, *variances;        /* [chunk]: of log-determinants without actnorm's */
} evaluation;

static irn_status check_model(const irn_model *model)
{
    double coefficient = model->config.coefficient;
    if (model->config.prior == IRN_PRIOR_NONE)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "the model has no prior, so it has no density; it was not trained for one");
    if (!(coefficient > 0 && coefficient < 1))
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "the model's coefficient is %g; for a density it must be between 0 and 1, "
                        "so that every block can be inverted",
                        coefficient);
    return IRN_OK;
}

/* ---- what all samples share ---- */

static void add_interval(irn_interval *sum, irn_interval more)
{
    sum->lower = irn_round_down(sum->lower + more.lower);
    sum->upper = irn_round_up(sum->upper + more.upper);
}

/* Of actnorm: every pixel is multiplied by exp(log_scale). The products are exact, the sum is not.
 */
static irn_status add_volume(const irn_model *model, const irn_block *block, irn_interval *bounds,
                             double *volume)
{
    const irn_arena *arena = &model->parameters;
    double pixels = (double)(block->height * block->width);
    float *log_scale;
    if (!model->config.actnorm)
        return IRN_OK;
    IRN_TRY(irn_alloc(&log_scale, block->channels, sizeof *log_scale));
    irn_status status = irn_arena_read(arena, model->single.parameters,
                                       &arena->entries[block->log_scale], log_scale);
    for (size_t c = 0; c < block->channels && status == IRN_OK; c++) {
        double part = pixels * (double)log_scale[c];
        *volume += part;
        add_interval(bounds, (irn_interval){part, part});
    }
    free(log_scale);
    return status;
}

/* Theorem 3 for one block. */
static void add_series_error(const irn_block *block, size_t terms, double *sum)
{
    size_t dimension = block->channels * block->height * block->width;
    *sum =
        irn_round_up(*sum + irn_logdet_truncation_upper(dimension, block->lipschitz_upper, terms));
}

/* actnorm's log-determinant, lemma 7's interval and theorem 3's bounds in *shared. */
static irn_status find_shared(const evaluation *e, irn_log_density *shared)
{
    irn_logdet_method method = e->estimate.method;
    size_t terms = method == IRN_LOGDET_ROULETTE ? IRN_ROULETTE_MOST_TERMS : e->options->terms;
    irn_interval bounds = {0, 0};
    *shared = (irn_log_density){.logdet = 0};
    for (size_t b = 0; b < e->model->block_count; b++) {
        const irn_block *block = &e->model->blocks[b];
        size_t dimension = block->channels * block->height * block->width;
        add_interval(&bounds, irn_logdet_interval(dimension, block->lipschitz_upper));
        IRN_TRY(add_volume(e->model, block, &bounds, &shared->logdet));
        add_series_error(block, e->options->terms, &shared->series_error_upper);
        if (method != IRN_LOGDET_EXACT)
            add_series_error(block, terms, &shared->truncation_upper);
    }
    shared->logdet_lower = bounds.lower;
    shared->logdet_upper = bounds.upper;
    return IRN_OK;
}

/* ---- chunks ---- */

static irn_status visit(void *payload, size_t block, const irn_tensor *inputs, size_t images)
{
    evaluation *e = payload;
    return irn_estimate_block(&e->estimate, block, inputs, e->first, images, e->values,
                              e->variances);
}

static irn_status take_results(const evaluation *e, size_t images, irn_log_density *out)
{
    double constant = irn_prior_constant(e->model);
    for (size_t n = 0; n < images; n++) {
        out[n].log_prior = (double)e->prior_values[n] + constant;
        out[n].logdet = e->values[n];
        out[n].standard_error = sqrt(e->variances[n]);
        if (!isfinite(out[n].log_prior) || !isfinite(out[n].logdet))
            return irn_fail(IRN_ERROR_NUMERIC,
                            "sample %zu has log p(z) = %g and a log-determinant of %g",
                            e->first + n, out[n].log_prior, out[n].logdet);
    }
    return IRN_OK;
}

/* x on the host; z may be NULL. */
static irn_status run_chunk(evaluation *e, const float *x, size_t images, irn_log_density *out,
                            float *z)
{
    irn_context *context = e->model->context;
    const irn_visitor visitor = {e->inputs, visit, e};
    size_t bytes = images * e->size * sizeof *x;
    irn_latents latents;
    memset(e->values, 0, images * sizeof *e->values);
    memset(e->variances, 0, images * sizeof *e->variances);
    IRN_TRY(irn_memory_write(context, e->x_memory, 0, x, bytes));
    IRN_TRY(irn_flow_visit(e->model, &e->workspace, e->x_memory, 0, images, &visitor, &latents));
    IRN_TRY(irn_prior_values(e->model, &latents, 1, (irn_place){e->priors, 0}));
    IRN_TRY(
        irn_memory_read(context, e->priors, 0, e->prior_values, images * sizeof *e->prior_values));
    IRN_TRY(take_results(e, images, out));
    if (!z)
        return IRN_OK;
    IRN_TRY(irn_latents_unpack(&latents, e->model, e->z_memory, 0));
    return irn_memory_read(context, e->z_memory, 0, z, bytes);
}

static irn_status run_chunks(evaluation *e)
{
    const irn_density_options *o = e->options;
    for (size_t images; e->first < e->batch; e->first += images) {
        size_t at = e->first * e->size;
        images = irn_smaller(e->chunk, e->batch - e->first);
        IRN_TRY(run_chunk(e, e->x + at, images, e->out + e->first, e->z ? e->z + at : NULL));
        if (o->progress &&
            !o->progress(e->first + images, e->batch, "evaluating densities", o->progress_payload))
            return irn_fail(IRN_ERROR_CANCELLED, "evaluation was cancelled");
    }
    return IRN_OK;
}

/* ---- the whole ---- */

static irn_status create(evaluation *e)
{
    const irn_model *model = e->model;
    irn_context *context = model->context;
    IRN_TRY(irn_workspace_create(&e->workspace, model, IRN_SINGLE, e->chunk));
    for (size_t i = 0; i < model->config.layers; i++)
        IRN_TRY(irn_flat_create(&e->inputs[i], context, IRN_SINGLE,
                                irn_input_images(model, e->chunk), irn_largest_input(model, i)));
    IRN_TRY(irn_estimate_create(&e->estimate, model, e->options, e->chunk));
    IRN_TRY(irn_memory_create(context, &e->x_memory, e->chunk * e->size, sizeof(float), false));
    IRN_TRY(irn_memory_create(context, &e->z_memory, e->chunk * e->size, sizeof(float), false));
    IRN_TRY(irn_memory_create(context, &e->priors, e->chunk, sizeof(float), false));
    IRN_TRY(irn_alloc(&e->prior_values, e->chunk, sizeof *e->prior_values));
    IRN_TRY(irn_alloc(&e->values, e->chunk, sizeof *e->values));
    return irn_alloc(&e->variances, e->chunk, sizeof *e->variances);
}

static void destroy(evaluation *e)
{
    irn_context *context = e->model->context;
    irn_workspace_free(&e->workspace);
    for (size_t i = 0; i < IRN_MAX_LAYERS; i++)
        irn_tensor_free(&e->inputs[i]);
    irn_estimate_free(&e->estimate);
    irn_memory_release(context, e->x_memory);
    irn_memory_release(context, e->z_memory);
    irn_memory_release(context, e->priors);
    free(e->prior_values);
    free(e->values);
    free(e->variances);
    e->x_memory = e->z_memory = e->priors = NULL;
    e->prior_values = NULL;
    e->values = e->variances = NULL;
}

/* What all samples share, and the sample's own transform. */
static void complete(const irn_model *model, const irn_log_density *shared, const float *x,
                     irn_log_density *out)
{
    irn_interval bounds = {shared->logdet_lower, shared->logdet_upper};
    out->logdet += shared->logdet;
    out->truncation_upper = shared->truncation_upper;
    out->series_error_upper = shared->series_error_upper;
    if (model->config.logit > 0) {
        irn_interval transform = irn_logit_logdet(model, x);
        out->logdet += (transform.lower + transform.upper) / 2;
        add_interval(&bounds, transform);
    }
    out->logdet_lower = bounds.lower;
    out->logdet_upper = bounds.upper;
}

/* What all samples share is found last, because the first chunk may have given actnorm its values.
 */
static irn_status pass(void *payload, size_t chunk, size_t *done)
{
    evaluation *e = payload;
    e->chunk = chunk;
    irn_status status = create(e);
    if (status == IRN_OK)
        status = run_chunks(e);
    *done = e->first;
    if (status == IRN_OK)
        status = find_shared(e, &e->shared);
    destroy(e);
    return status;
}

static irn_status evaluate(evaluation *e)
{
    IRN_TRY(irn_in_chunks(e->model, irn_model_chunk(e->model, e->batch), pass, e));
    for (size_t n = 0; n < e->batch; n++)
        complete(e->model, &e->shared, e->x + n * e->size, &e->out[n]);
    return IRN_OK;
}

irn_status irn_model_log_density(irn_model *model, const float *x, size_t batch,
                                 const irn_density_options *options, irn_log_density *out, float *z)
{
    const irn_density_options defaults = IRN_DENSITY_OPTIONS_INIT;
    const irn_density_options *o = options ? options : &defaults;
    evaluation e = {.model = model,
                    .options = o,
                    .x = x,
                    .batch = batch,
                    .out = out,
                    .z = z,
                    .size = irn_model_latent_size(model)};
    float *noisy = NULL;
    IRN_TRY(irn_check_version("irn_density_options", o->version, IRN_DENSITY_OPTIONS_VERSION));
    IRN_TRY(irn_estimate_check(o));
    IRN_TRY(check_model(model));
    if (batch == 0)
        return IRN_OK;
    irn_status status = IRN_OK;
    /* All at once: the noise of a sample depends on its place in the batch. */
    if (o->dequantise && model->config.levels > 0) {
        IRN_TRY(irn_alloc(&noisy, batch, e.size * sizeof *noisy));
        status = irn_dequantise(x, 0, batch, e.size, model->config.levels, o->seed, 0, noisy);
        e.x = noisy;
    }
    if (status == IRN_OK)
        status = irn_logit_check(model, e.x, batch);
    if (status == IRN_OK)
        status = evaluate(&e);
    free(noisy);
    return status;
}
