#include "train/density.h"
#include "base/philox.h"
#include "flow/logit.h"
#include "flow/prior.h"
#include "ops/elementwise.h"

#include <math.h>
#include <string.h>

static const double ln2 = 0.69314718055994530942;

/* ---- memory ---- */

/* Each pixel's log_scale counts once. */
static irn_status fill_volume(irn_density *density)
{
    const irn_model *model = density->model;
    const irn_arena *arena = &model->parameters;
    for (size_t b = 0; b < model->block_count && model->config.actnorm; b++) {
        const irn_block *block = &model->blocks[b];
        IRN_TRY(irn_arena_fill(arena, density->volume, block->log_scale,
                               (float)(block->height * block->width)));
    }
    return IRN_OK;
}

irn_status irn_density_create(irn_density *out, irn_model *model, const irn_train_options *options)
{
    memset(out, 0, sizeof *out);
    out->model = model;
    out->options = options;
    IRN_TRY(irn_arena_create_buffer(&model->parameters, &out->volume));
    IRN_TRY(irn_arena_create_buffer(&model->parameters, &out->pair_gradient));
    IRN_TRY(irn_memory_create(model->context, &out->volume_values, 1, sizeof(float), true));
    return fill_volume(out);
}

size_t irn_density_most_dimensions(const irn_model *model)
{
    size_t most = 0;
    for (size_t b = 0; b < model->block_count; b++)
        most = irn_larger(most, irn_block_dimension(&model->blocks[b]));
    return most;
}

/* Of one probe. */
static size_t pairs_of_probe(const irn_model *model, const irn_train_options *options)
{
    if (options->logdet == IRN_GRADIENT_EXACT)
        return irn_density_most_dimensions(model);
    return irn_series_pairs(options->terms, options->logdet != IRN_GRADIENT_SERIES);
}

size_t irn_density_pairs(const irn_model *model, const irn_train_options *options)
{
    size_t probes = options->logdet == IRN_GRADIENT_EXACT ? 1 : options->probes;
    return pairs_of_probe(model, options) * probes;
}

irn_status irn_density_reserve(irn_density *density, size_t images)
{
    irn_model *model = density->model;
    const irn_train_options *o = density->options;
    size_t probes = o->logdet == IRN_GRADIENT_EXACT ? 0 : o->probes;
    IRN_TRY(irn_logdet_create(&density->pairs, model, images, pairs_of_probe(model, o), probes));
    IRN_TRY(irn_flat_create(&density->probe, model->context, IRN_SINGLE, images,
                            irn_largest_flow(model)));
    return irn_memory_create(model->context, &density->values, images, sizeof(float), true);
}

void irn_density_release_batch(irn_density *density)
{
    if (!density->model)
        return;
    irn_logdet_free(&density->pairs);
    irn_tensor_free(&density->probe);
    irn_memory_release(density->model->context, density->values);
    density->values = NULL;
}

void irn_density_free(irn_density *density)
{
    if (!density->model)
        return;
    irn_context *context = density->model->context;
    irn_density_release_batch(density);
    irn_memory_release(context, density->volume);
    irn_memory_release(context, density->volume_values);
    irn_memory_release(context, density->pair_gradient);
    memset(density, 0, sizeof *density);
}

/* ---- the step ---- */

/* After the terms that are always taken, a random number follows. One number serves the whole step:
 * it decides how long the step takes. */
static irn_status begin_series(irn_density *density)
{
    const irn_train_options *o = density->options;
    const irn_roulette roulette = irn_roulette_of(o->roulette, o->roulette_parameter, o->terms);
    irn_series *series = &density->series;
    if (o->logdet != IRN_GRADIENT_ROULETTE)
        return irn_series_init(series, o->terms, o->logdet == IRN_GRADIENT_NEUMANN);
    uint32_t bits[4];
    irn_philox(bits, o->seed, IRN_STREAM_ROULETTE, density->step, 0);
    size_t terms = irn_roulette_draw(&roulette, irn_uniform_double(bits));
    return irn_series_roulette(series, irn_smaller(terms, IRN_MAX_TERMS), &roulette);
}

/* It depends on no parameter, so that the loss alone has it. */
void irn_density_samples(irn_density *density, const float *x, size_t images)
{
    size_t size = irn_model_latent_size(density->model);
    double sum = 0;
    for (size_t n = 0; n < images; n++) {
        irn_interval logdet = irn_logit_logdet(density->model, x + n * size);
        sum += (logdet.lower + logdet.upper) / 2;
    }
    density->transform = sum / (double)images;
}

irn_status irn_density_begin(irn_density *density, uint64_t step, size_t first, size_t images)
{
    const irn_model *model = density->model;
    const irn_train_options *o = density->options;
    double share = o->task == IRN_HYBRID ? o->density_weight : 1;
    density->step = step;
    density->first_image = first;
    density->weight = -share / (ln2 * (double)(images * irn_model_latent_size(model)));
    return begin_series(density);
}

irn_status irn_density_top(irn_density *density, const irn_tensor *last, const irn_latents *early,
                           bool add, cl_mem gradient, const irn_tensor *last_gradient)
{
    const irn_model *model = density->model;
    irn_latents z, z_gradient;
    for (size_t s = 0; s + 1 < model->scale_count; s++)
        z.parts[s] = z_gradient.parts[s] =
            irn_latent_view(model, &early->parts[s], s, last->images);
    z.parts[model->scale_count - 1] = *last;
    z_gradient.parts[model->scale_count - 1] = *last_gradient;
    /* Only now has actnorm its first values. */
    irn_tensor volume = irn_arena_row(&model->parameters, density->volume);
    irn_tensor parameters = irn_arena_row(&model->parameters, model->single.parameters);
    IRN_TRY(irn_sample_dots(&volume, &parameters, density->volume_values));
    IRN_TRY(irn_prior_values(model, &z, density->weight, (irn_place){density->values, 0}));
    return irn_prior_gradient(model, &z, density->weight, add, &z_gradient, gradient);
}

static irn_status make_probe(const irn_density *density, size_t block, size_t probe,
                             const irn_tensor *out)
{
    const irn_train_options *o = density->options;
    uint64_t stream = (density->step * density->model->block_count + block) * o->probes + probe;
    irn_probe what = {.seed = o->seed,
                      .stream = stream,
                      .first_image = density->first_image,
                      .gaussian = o->gaussian_probes};
    return density->given ? irn_tensor_copy(&density->given[block], out)
                          : irn_probe_fill(&what, out);
}

irn_status irn_density_block(irn_density *density, size_t block, const irn_tensor *inputs,
                             const irn_tensor *output, const irn_tensor **residual)
{
    const irn_block *b = &density->model->blocks[block];
    irn_logdet *pairs = &density->pairs;
    size_t probes = density->options->probes;
    irn_tensor probe =
        irn_tensor_view(&density->probe, output->images, b->channels, b->height, b->width);
    irn_place values = {density->values, 0};
    irn_logdet_begin(pairs, b, output->images);
    if (pairs->exact)
        IRN_TRY(irn_logdet_exact(pairs, inputs, density->weight, values));
    for (size_t p = 0; p < probes && !pairs->exact; p++) {
        IRN_TRY(make_probe(density, block, p, &probe));
        IRN_TRY(irn_logdet_series(pairs, inputs, &probe, &probe, &density->series,
                                  density->weight / (double)probes, values));
    }
    *residual = output;
    if (!b->first_activation)
        return IRN_OK;
    *residual = &pairs->second[0];
    return irn_add_scaled(1, output, *residual);
}

static irn_status add_loss(const irn_density *density, size_t images, irn_place metrics)
{
    const irn_model *model = density->model;
    double dimension = (double)irn_model_latent_size(model);
    double bits = -(irn_prior_constant(model) + density->transform) / (ln2 * dimension);
    if (model->config.levels > 0)
        bits += log2((double)model->config.levels);
    irn_call call = irn_call_begin(model->context, irn_density_sources,
                                   irn_precision_options(IRN_SINGLE), "add_density");
    irn_call_memory(&call, density->values, 0);
    irn_call_memory(&call, density->volume_values, 0);
    irn_call_memory(&call, metrics.memory, metrics.offset);
    irn_call_int(&call, images);
    irn_call_float(&call, (float)(1 / density->weight));
    irn_call_float(&call, (float)bits);
    irn_call_float(&call, (float)(1 / (ln2 * dimension)));
    return irn_call_run(&call, 1, 1, 1, 0);
}

irn_status irn_density_end(irn_density *density, size_t images, cl_mem gradient, irn_place metrics)
{
    const irn_model *model = density->model;
    irn_tensor all = irn_arena_row(&model->parameters, gradient),
               pairs = irn_arena_row(&model->parameters, density->pair_gradient);
    irn_tensor volume = irn_arena_row(&model->parameters, density->volume);
    IRN_TRY(irn_add_scaled(1, &pairs, &all));
    IRN_TRY(irn_add_scaled(density->weight * (double)images, &volume, &all));
    return add_loss(density, images, metrics);
}
