/* Extreme singular values of the Jacobian at samples, by power iteration with J^T J and with its
 * inverse. */
#include "flow/conditioning.h"
#include "flow/logit.h"
#include "base/round.h"
#include "flow/jacobian.h"
#include "flow/probe.h"
#include "ops/elementwise.h"

#include <iresnet/conditioning.h>
#include <stdlib.h>

/* ---- what is certified ---- */

/* The scales come from exp() of the C library, which errs by less than a unit in the last place,
 * that is by less than two steps: below a power of two a step is half of it. */
irn_status irn_block_stretch(const irn_model *model, size_t block, double lipschitz,
                             irn_interval *out)
{
    double smallest, largest;
    IRN_TRY(irn_model_block_affine(model, block, &smallest, &largest));
    *out = (irn_interval){0, (double)INFINITY};
    if (!(lipschitz >= 0 && lipschitz < 1))
        return IRN_OK;
    smallest = irn_round_down(irn_round_down(smallest));
    largest = irn_round_up(irn_round_up(largest));
    out->lower = fmax(0, irn_round_down(irn_round_down(1 - lipschitz) * smallest));
    out->upper = irn_round_up(irn_round_up(1 + lipschitz) * largest);
    return IRN_OK;
}

irn_status irn_network_stretch(const irn_model *model, irn_interval *out)
{
    *out = (irn_interval){1, 1};
    for (size_t b = model->block_count; b-- > 0;) {
        irn_interval block;
        if (model->blocks[b].split)
            *out = (irn_interval){fmin(out->lower, 1), fmax(out->upper, 1)};
        IRN_TRY(irn_block_stretch(model, b, model->blocks[b].lipschitz_upper, &block));
        out->lower = fmax(0, irn_round_down(out->lower * block.lower));
        out->upper = irn_round_up(out->upper * block.upper);
    }
    return IRN_OK;
}

/* ---- what is estimated ---- */

typedef enum extreme { LARGEST, SMALLEST } extreme;

/* One sample's estimate on its way. */
typedef struct estimate {
    double best, last; /* of ||J v|| for v of norm 1, so far and at the latest look */
    size_t iterations;
    bool done;
} estimate;

/* Memory for a chunk of samples. */
typedef struct conditioning {
    const irn_conditioning_options *options;
    irn_jacobian jacobian;
    irn_tensor vectors; /* v, at the network's input */
    cl_mem x, squares;
    float *squares_host;
    estimate *estimates;
    irn_model *model;
    const float *x_host;
    size_t batch; /* samples in all */
    irn_conditioning *out;
} conditioning;

static irn_status create(conditioning *c, irn_model *model, size_t images)
{
    irn_context *context = model->context;
    const irn_model_config *m = &model->config;
    IRN_TRY(irn_jacobian_create(&c->jacobian, model, images));
    IRN_TRY(irn_tensor_create(&c->vectors, context, IRN_SINGLE, images, model->channels,
                              model->height, model->width));
    IRN_TRY(irn_memory_create(context, &c->x, images * m->channels * m->height * m->width,
                              sizeof(float), false));
    IRN_TRY(irn_memory_create(context, &c->squares, images, sizeof(float), true));
    IRN_TRY(irn_alloc(&c->squares_host, images, sizeof *c->squares_host));
    return irn_alloc(&c->estimates, images, sizeof *c->estimates);
}

static void release(conditioning *c, irn_context *context)
{
    irn_jacobian_free(&c->jacobian);
    irn_tensor_free(&c->vectors);
    irn_memory_release(context, c->x);
    irn_memory_release(context, c->squares);
    free(c->squares_host);
    free(c->estimates);
    c->x = c->squares = NULL;
    c->squares_host = NULL;
    c->estimates = NULL;
}

/* A look after 0, 1, 2, 4, 8, ... iterations. What is gained from each to the next is about what is
 * still missing where convergence is slowest, as the inverse of the number of iterations (Kuczynski
 * and Wozniakowski 1992), and more elsewhere. */
static bool time_to_look(size_t iteration)
{
    return (iteration & (iteration - 1)) == 0 || iteration == 0;
}

/* Which samples have come far enough. first: in the batch. */
static irn_status judge(conditioning *c, extreme which, size_t first, size_t images,
                        size_t iteration, size_t *finished)
{
    bool comparable = iteration > 0 && time_to_look(iteration);
    *finished = 0;
    for (size_t n = 0; n < images; n++) {
        estimate *e = &c->estimates[n];
        double now = sqrt((double)c->squares_host[n]);
        if (!e->done && !isfinite(now))
            return irn_fail(IRN_ERROR_NUMERIC,
                            "the estimate of the %s singular value at sample %zu is %g after %zu "
                            "iterations; is x finite, and Lip(g) < 1 in every block?",
                            which == LARGEST ? "largest" : "smallest", first + n, now, iteration);
        if (!e->done) {
            bool better = which == LARGEST ? now > e->best : now < e->best;
            e->best = iteration == 0 || better ? now : e->best;
            e->done = comparable && fabs(now - e->last) <= c->options->tolerance * now;
            e->last = now;
            e->iterations = iteration;
        }
        *finished += e->done;
    }
    return IRN_OK;
}

/* J v, at the network's end. */
static irn_status multiply(conditioning *c, const irn_tensor *v)
{
    IRN_TRY(irn_jacobian_load(&c->jacobian, v));
    return irn_jacobian_ascend(&c->jacobian, false);
}

static irn_status read_norms(conditioning *c, size_t images)
{
    irn_context *context = c->jacobian.model->context;
    IRN_TRY(irn_jacobian_squares(&c->jacobian, (irn_place){c->squares, 0}));
    return irn_memory_read(context, c->squares, 0, c->squares_host,
                           images * sizeof *c->squares_host);
}

/* v becomes J^T J v, from what multiply() left, or J^-1 J^-T v, of norm 1. */
static irn_status advance(conditioning *c, extreme which, const irn_tensor *v)
{
    irn_jacobian *j = &c->jacobian;
    bool inverse = which == SMALLEST;
    if (inverse) {
        IRN_TRY(irn_jacobian_load(j, v));
        IRN_TRY(irn_jacobian_ascend(j, true));
    }
    IRN_TRY(irn_jacobian_descend(j, inverse));
    IRN_TRY(irn_tensor_copy(&j->now, v));
    return irn_normalise_samples(v);
}

static irn_status report(const conditioning *c, extreme which, size_t first, size_t images,
                         size_t finished)
{
    const irn_conditioning_options *o = c->options;
    size_t done = 2 * first + (which == SMALLEST ? images : 0) + finished;
    if (o->progress && !o->progress(done, 2 * c->batch, "singular values", o->progress_payload))
        return irn_fail(IRN_ERROR_CANCELLED, "the estimation of singular values was cancelled");
    return IRN_OK;
}

static irn_status iterate(conditioning *c, extreme which, size_t first, size_t images)
{
    irn_probe probe = {.seed = c->options->seed,
                       .stream = (uint64_t)which,
                       .first_image = first,
                       .gaussian = true};
    irn_tensor v = irn_jacobian_input(&c->jacobian, &c->vectors, images);
    IRN_TRY(irn_probe_fill(&probe, &v));
    IRN_TRY(irn_normalise_samples(&v));
    for (size_t n = 0; n < images; n++)
        c->estimates[n] = (estimate){.done = false};
    for (size_t k = 0, finished = 0;; k++) {
        bool last = k == c->options->max_iterations, look = last || time_to_look(k);
        if (look || which == LARGEST)
            IRN_TRY(multiply(c, &v));
        if (look)
            IRN_TRY(read_norms(c, images));
        if (look)
            IRN_TRY(judge(c, which, first, images, k, &finished));
        IRN_TRY(report(c, which, first, images, finished));
        if (finished == images || last)
            return IRN_OK;
        IRN_TRY(advance(c, which, &v));
    }
}

/* out: of the chunk. */
static irn_status run_chunk(conditioning *c, const float *x, size_t first, size_t images,
                            irn_conditioning *out)
{
    irn_model *model = c->jacobian.model;
    size_t size = model->config.channels * model->config.height * model->config.width;
    IRN_TRY(irn_memory_write(model->context, c->x, 0, x, images * size * sizeof *x));
    IRN_TRY(irn_jacobian_at(&c->jacobian, c->x, 0, images));
    IRN_TRY(iterate(c, LARGEST, first, images));
    for (size_t n = 0; n < images; n++) {
        out[n].largest_estimate = c->estimates[n].best;
        out[n].largest_iterations = c->estimates[n].iterations;
        out[n].converged = c->estimates[n].done;
    }
    IRN_TRY(iterate(c, SMALLEST, first, images));
    for (size_t n = 0; n < images; n++) {
        out[n].smallest_estimate = c->estimates[n].best;
        out[n].smallest_iterations = c->estimates[n].iterations;
        out[n].converged = out[n].converged && c->estimates[n].done;
        out[n].condition_estimate = out[n].largest_estimate / out[n].smallest_estimate;
    }
    return IRN_OK;
}

static irn_status check_options(const irn_conditioning_options *options)
{
    IRN_TRY(irn_check_version("irn_conditioning_options", options->version,
                              IRN_CONDITIONING_OPTIONS_VERSION));
    if (!(options->tolerance > 0 && options->tolerance < 1))
        return irn_fail(IRN_ERROR_ARGUMENT, "the tolerance is %g; it must be above 0 and below 1",
                        options->tolerance);
    if (options->max_iterations < 1 || options->max_iterations > 1000000)
        return irn_fail(IRN_ERROR_ARGUMENT, "max_iterations is %zu; it must be 1 to 1000000",
                        options->max_iterations);
    return IRN_OK;
}

static irn_status pass(void *payload, size_t chunk, size_t *done)
{
    conditioning *c = payload;
    const irn_model_config *m = &c->model->config;
    size_t size = m->channels * m->height * m->width;
    irn_status status = create(c, c->model, chunk);
    while (status == IRN_OK && *done < c->batch) {
        size_t images = irn_smaller(chunk, c->batch - *done);
        status = run_chunk(c, c->x_host + *done * size, *done, images, c->out + *done);
        if (status == IRN_OK)
            *done += images;
    }
    release(c, c->model->context);
    return status;
}

irn_status irn_model_conditioning(irn_model *model, const float *x, size_t batch,
                                  const irn_conditioning_options *options, irn_conditioning *out)
{
    const irn_conditioning_options defaults = IRN_CONDITIONING_OPTIONS_INIT;
    conditioning c = {.options = options ? options : &defaults,
                      .model = model,
                      .x_host = x,
                      .batch = batch,
                      .out = out};
    irn_interval interval;
    IRN_TRY(check_options(c.options));
    IRN_TRY(irn_network_stretch(model, &interval));
    IRN_TRY(irn_logit_check(model, x, batch));
    if (batch)
        IRN_TRY(irn_in_chunks(model, irn_jacobian_chunk(model, batch), pass, &c));
    for (size_t n = 0; n < batch; n++) {
        out[n].certified_lower = interval.lower;
        out[n].certified_upper = interval.upper;
    }
    return IRN_OK;
}
