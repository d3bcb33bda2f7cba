#include "flow/estimate.h"
#include "base/philox.h"
#include "flow/logdet_exact.h"
#include "flow/powers.h"
#include "flow/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

irn_status irn_estimate_check(const irn_density_options *o)
{
    const irn_roulette roulette = irn_roulette_of(o->roulette, o->roulette_parameter, o->terms);
    bool some = o->method == IRN_LOGDET_SERIES || o->roulette == IRN_ROULETTE_POISSON;
    size_t least = some ? 1 : 0;
    if ((int)o->method < IRN_LOGDET_AUTO || o->method > IRN_LOGDET_ROULETTE)
        return irn_fail(IRN_ERROR_ARGUMENT, "there is no method %d for log-determinants",
                        (int)o->method);
    if (o->terms < least || o->terms > IRN_ROULETTE_MOST_TERMS)
        return irn_fail(IRN_ERROR_ARGUMENT, "terms is %zu; it must be from %zu to %d", o->terms,
                        least, IRN_ROULETTE_MOST_TERMS);
    if (o->probes < 1 || o->probes > IRN_MOST_PROBES)
        return irn_fail(IRN_ERROR_ARGUMENT, "probes is %zu; it must be from 1 to %d", o->probes,
                        IRN_MOST_PROBES);
    return irn_roulette_check(&roulette);
}

/* Up to 64 dimensions the whole Jacobian costs no more than a few probes. */
static irn_logdet_method resolve(const irn_model *model, irn_logdet_method method)
{
    enum { FEW_DIMENSIONS = 64 };
    if (method != IRN_LOGDET_AUTO)
        return method;
    for (size_t b = 0; b < model->block_count; b++) {
        const irn_block *block = &model->blocks[b];
        if (block->channels * block->height * block->width > FEW_DIMENSIONS)
            return IRN_LOGDET_ROULETTE;
    }
    return IRN_LOGDET_EXACT;
}

/* Infinite if any is unknown. */
static double largest_lipschitz(const irn_model *model)
{
    double largest = 0;
    for (size_t b = 0; b < model->block_count; b++) {
        double upper = model->blocks[b].lipschitz_upper;
        largest = fmax(largest, isnan(upper) ? (double)INFINITY : upper);
    }
    return largest;
}

irn_logdet_plan irn_model_plan_logdet(const irn_model *model, const irn_density_options *options)
{
    const irn_density_options defaults = IRN_DENSITY_OPTIONS_INIT;
    const irn_density_options *o = options ? options : &defaults;
    double lipschitz = largest_lipschitz(model), parameter = o->roulette_parameter;
    if (parameter == 0 && o->roulette == IRN_ROULETTE_GEOMETRIC)
        parameter = irn_roulette_fitting_p(lipschitz);
    irn_roulette roulette = irn_roulette_of(o->roulette, parameter, o->terms);
    return (irn_logdet_plan){resolve(model, o->method), roulette.kind, roulette.parameter,
                             irn_roulette_finite(&roulette, lipschitz)};
}

irn_status irn_estimate_create(irn_estimate *out, const irn_model *model,
                               const irn_density_options *options, size_t images)
{
    memset(out, 0, sizeof *out);
    out->model = model;
    out->options = options;
    irn_logdet_plan plan = irn_model_plan_logdet(model, options);
    out->method = plan.method;
    out->roulette = (irn_roulette){plan.roulette, plan.parameter, options->terms};
    irn_status status = irn_alloc(&out->means, images, sizeof *out->means);
    if (status == IRN_OK)
        status = irn_alloc(&out->squares, images, sizeof *out->squares);
    if (status == IRN_OK && out->method != IRN_LOGDET_EXACT)
        status = irn_workspace_create(&out->memory, model, IRN_SINGLE, images);
    if (status == IRN_OK && out->method != IRN_LOGDET_EXACT)
        status = irn_flat_create(&out->probe, model->context, IRN_SINGLE, images,
                                 irn_largest_flow(model));
    if (status != IRN_OK)
        irn_estimate_free(out);
    return status;
}

void irn_estimate_free(irn_estimate *estimate)
{
    irn_workspace_free(&estimate->memory);
    irn_tensor_free(&estimate->probe);
    free(estimate->means);
    free(estimate->squares);
    memset(estimate, 0, sizeof *estimate);
}

/* How many terms each image's series has; returns the most. */
static size_t draw_terms(const irn_estimate *e, uint64_t stream, size_t first, size_t images,
                         size_t *terms)
{
    size_t most = 0;
    for (size_t n = 0; n < images; n++) {
        uint32_t bits[4];
        terms[n] = e->options->terms;
        if (e->method == IRN_LOGDET_ROULETTE) {
            irn_philox(bits, e->options->seed, IRN_STREAM_ROULETTE, stream, first + n);
            terms[n] = irn_roulette_draw(&e->roulette, irn_uniform_double(bits));
        }
        most = irn_larger(most, terms[n]);
    }
    return most;
}

/* log det(I + J) = sum over k of (-1)^(k+1)/k tr(J^k). */
static double coefficient(const irn_estimate *e, size_t k)
{
    double weight = e->method == IRN_LOGDET_ROULETTE ? irn_roulette_weight(&e->roulette, k) : 1;
    return (k % 2 ? weight : -weight) / (double)k;
}

/* The estimates of one probe. powers: [most][images], of which image n takes terms[n]. */
static void add_series(const irn_estimate *e, const size_t *terms, size_t most,
                       const double *powers, size_t images, double *sums)
{
    for (size_t k = 1; k <= most; k++) {
        double factor = coefficient(e, k);
        for (size_t n = 0; n < images; n++)
            sums[n] += k <= terms[n] ? factor * powers[(k - 1) * images + n] : 0;
    }
}

/* Means and squares of `count` values an image, the last of which are new (Welford 1962). */
static void add_values(irn_estimate *e, size_t count, const double *values, size_t images)
{
    for (size_t n = 0; n < images; n++) {
        double difference = values[n] - e->means[n];
        e->means[n] += difference / (double)count;
        e->squares[n] += difference * (values[n] - e->means[n]);
    }
}

static irn_status add_probe(irn_estimate *e, size_t block, size_t probe, const irn_tensor *inputs,
                            size_t first, size_t images)
{
    const irn_block *b = &e->model->blocks[block];
    const irn_density_options *o = e->options;
    irn_tensor v = irn_tensor_view(&e->probe, images, b->channels, b->height, b->width);
    irn_probe what = {o->seed, block * o->probes + probe, first, o->gaussian_probes};
    size_t *terms = NULL, most = 0;
    double *powers = NULL, *sums = NULL;
    irn_status status = irn_alloc(&terms, images, sizeof *terms);
    if (status == IRN_OK) {
        most = draw_terms(e, what.stream, first, images, terms);
        status = irn_alloc(&powers, most * images, sizeof *powers);
    }
    if (status == IRN_OK)
        status = irn_alloc(&sums, images, sizeof *sums);
    if (status == IRN_OK)
        status = irn_probe_fill(&what, &v);
    if (status == IRN_OK)
        status = irn_block_powers(&e->memory, b, inputs, &v, most, powers);
    if (status == IRN_OK) {
        add_series(e, terms, most, powers, images, sums);
        add_values(e, probe + 1, sums, images);
    }
    free(terms);
    free(powers);
    free(sums);
    return status;
}

irn_status irn_estimate_block(irn_estimate *e, size_t block, const irn_tensor *inputs, size_t first,
                              size_t images, double *values, double *variances)
{
    bool exact = e->method == IRN_LOGDET_EXACT;
    double probes = (double)e->options->probes;
    memset(e->means, 0, images * sizeof *e->means);
    memset(e->squares, 0, images * sizeof *e->squares);
    if (exact)
        IRN_TRY(
            irn_block_logdet_exact(e->model, &e->model->blocks[block], inputs, images, e->means));
    for (size_t p = 0; p < e->options->probes && !exact; p++)
        IRN_TRY(add_probe(e, block, p, inputs, first, images));
    for (size_t n = 0; n < images; n++) {
        values[n] += e->means[n];
        variances[n] += exact ? 0 : e->squares[n] / (probes - 1) / probes;
    }
    return IRN_OK;
}
