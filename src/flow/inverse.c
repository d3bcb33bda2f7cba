/* The inverse, block by block from the last. Each is inverted by its fixed point in float32. Where
 * an error is wanted, corrections follow in float64, and the residual of what came out is evaluated
 * there, with actnorm, exactly as the forward map is defined, so that rounding on the way does not
 * matter: for any x, ||x - x*|| <= Lip(F_t^-1) ||y - F_t(x)|| with Lip(F_t^-1) <= exp(-min
 * log_scale) / (1 - L_t), and the error of y itself passes through the same factor. */
#include "flow/exact.h"
#include "flow/fixed_point.h"
#include "flow/logit.h"
#include "flow/rounding.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What the error of a block needs; absent if none is wanted. */
typedef struct block_facts {
    double factor; /* Lip(F_t^-1) */
    double scale;  /* of actnorm, at most */
    double target; /* for its residual, so that all blocks together meet the tolerance */
    double norms;  /* a computed norm times this is no less than the true one */
    irn_rounding rounding;
} block_facts;

typedef struct inverse {
    irn_model *model;
    const irn_decode_options *options;
    bool round_trip; /* from x in float64, not from z */
    irn_workspace workspace;
    irn_fixed_point solver;
    irn_tensor y;      /* single: the block's output */
    irn_latents early; /* what joins on the way; double if errors are wanted */
    irn_exact exact;   /* the following only if errors are wanted */
    block_facts *facts;
    double *errors; /* [images] so far; NULL: not wanted */
    size_t iterations;
    const float *source; /* latents, or on a round trip samples */
    float *x;
    double *error_upper;
    size_t batch;
} inverse;

static irn_tensor view(const irn_tensor *tensor, const irn_block *block, size_t images)
{
    return irn_tensor_view(tensor, images, block->channels, block->height, block->width);
}

/* ---- one block ---- */

/* x before actnorm is undone. */
static irn_status solve(inverse *inv, size_t index, const irn_tensor *y, const irn_tensor *x)
{
    const irn_block *block = &inv->model->blocks[index];
    const irn_decode_options *o = inv->options;
    double lipschitz = isfinite(block->lipschitz_upper) ? block->lipschitz_upper : 0;
    double limit = o->fixed_iterations ? -1 : o->tolerance * (lipschitz < 1 ? 1 - lipschitz : 1);
    IRN_TRY(irn_fixed_point_solve(&inv->solver, index, y, limit, o->max_iterations, x));
    for (size_t n = 0; n < x->images; n++) {
        irn_fixed_point_result result = irn_fixed_point_sample(&inv->solver, n);
        /* With a bound the caller sees how far it came; without, silence would look like success.
         */
        if (!result.converged && !o->fixed_iterations && !inv->errors)
            return irn_fail(IRN_ERROR_NUMERIC,
                            "the inverse of blocks.%zu has a residual of %g for sample %zu of the "
                            "batch after %zu steps, not %g",
                            index, result.residual, n, result.steps, limit);
        inv->iterations = result.steps > inv->iterations ? result.steps : inv->iterations;
    }
    return IRN_OK;
}

static irn_status invert_single(inverse *inv, size_t index, size_t images)
{
    const irn_block *block = &inv->model->blocks[index];
    irn_tensor x = view(&inv->workspace.flow[0], block, images), y = view(&inv->y, block, images);
    IRN_TRY(solve(inv, index, &y, &x));
    IRN_TRY(irn_block_denormalise(inv->model, &inv->model->single, block, &x));
    if (!block->squeeze)
        return irn_tensor_copy(&x, &y);
    y = irn_tensor_view(&inv->y, images, block->channels / 4, block->height * 2, block->width * 2);
    return irn_unsqueeze(&x, &y);
}

/* What rounding of the float64 evaluation may hide of a residual. size: ||z|| as computed. */
static double allowance(const block_facts *facts, double size)
{
    return facts->rounding.slope * size * facts->norms + facts->rounding.offset;
}

static double target(const void *payload, double size)
{
    const block_facts *facts = payload;
    return fmax(facts->target, allowance(facts, size));
}

/* The error of x from that of y and from the residual. On a round trip y is what the block made of
 * the x to come back to, so rounding on the way there counts as well; there ||z|| is larger than
 * here by at most scale times the error itself, for which the inequality is solved. */
static double error_of(const inverse *inv, size_t index, size_t sample)
{
    const block_facts *facts = &inv->facts[index];
    const irn_exact_norms *found = &inv->exact.found[sample];
    double hidden = allowance(facts, found->size);
    double residual = found->residual * facts->norms + hidden, shrunk = 1;
    if (inv->round_trip) {
        residual += hidden;
        shrunk -= facts->factor * facts->rounding.slope * facts->scale;
    }
    double error = (inv->errors[sample] + residual) * facts->factor / shrunk * (1 + 1e-12);
    return shrunk > 0 ? error : INFINITY;
}

/* From exact.y to exact.y, through inv->y and the fixed point. */
static irn_status invert_exactly(inverse *inv, size_t index, size_t images)
{
    enum { CORRECTIONS = 12 };
    const irn_model *model = inv->model;
    const irn_block *block = &model->blocks[index];
    irn_exact *exact = &inv->exact;
    irn_tensor narrow_x = view(&inv->workspace.flow[0], block, images);
    irn_tensor narrow_y = view(&inv->y, block, images);
    irn_tensor x = view(&exact->x, block, images), y = view(&exact->y, block, images);
    IRN_TRY(irn_tensor_copy(&y, &narrow_y));
    IRN_TRY(solve(inv, index, &narrow_y, &narrow_x));
    IRN_TRY(irn_tensor_copy(&narrow_x, &x));
    IRN_TRY(irn_block_denormalise(model, &exact->operands, block, &x));
    IRN_TRY(irn_exact_improve(exact, index, images, target, &inv->facts[index],
                              inv->options->fixed_iterations ? 0 : CORRECTIONS,
                              inv->options->max_iterations));
    for (size_t n = 0; n < images; n++)
        inv->errors[n] = error_of(inv, index, n);
    if (!block->squeeze)
        return irn_tensor_copy(&x, &y);
    y = irn_tensor_view(&exact->y, images, block->channels / 4, block->height * 2,
                        block->width * 2);
    return irn_unsqueeze(&x, &y);
}

/* ---- the whole ---- */

/* At a split the block's output is what has come down so far and the part that left there. exact.x
 * and flow[1] are free between blocks. */
static irn_status join(inverse *inv, size_t scale, const irn_block *block, size_t images)
{
    const irn_tensor *memory = inv->errors ? &inv->exact.y : &inv->y;
    const irn_tensor *free_memory = inv->errors ? &inv->exact.x : &inv->workspace.flow[1];
    irn_tensor part = irn_latent_view(inv->model, &inv->early.parts[scale], scale, images);
    irn_tensor rest =
        irn_tensor_view(memory, images, irn_split_rest(block), block->height, block->width);
    irn_tensor whole = view(free_memory, block, images), y = view(memory, block, images);
    IRN_TRY(irn_part_join(&part, &rest, &whole));
    return irn_tensor_copy(&whole, &y);
}

/* What join() undoes, in double. */
static irn_status leave(inverse *inv, size_t scale, const irn_block *block, size_t images)
{
    irn_tensor part = irn_latent_view(inv->model, &inv->early.parts[scale], scale, images);
    irn_tensor whole = view(&inv->exact.x, block, images), y = view(&inv->exact.y, block, images);
    irn_tensor rest =
        irn_tensor_view(&inv->exact.y, images, irn_split_rest(block), block->height, block->width);
    IRN_TRY(irn_tensor_copy(&y, &whole));
    return irn_part_leave(&whole, &part, &rest);
}

/* z becomes the first block's input before its logit transform in place, in exact.y if errors are
 * wanted, in inv->y then too.
 */
static irn_status invert_blocks(inverse *inv, size_t images)
{
    irn_model *model = inv->model;
    const irn_decode_options *o = inv->options;
    size_t scale = model->scale_count - 1;
    for (size_t b = model->block_count; b-- > 0;) {
        if (model->blocks[b].split)
            IRN_TRY(join(inv, --scale, &model->blocks[b], images));
        IRN_TRY(inv->errors ? invert_exactly(inv, b, images) : invert_single(inv, b, images));
        if (o->progress && !o->progress(model->block_count - b, model->block_count,
                                        "inverting blocks", o->progress_payload))
            return irn_fail(IRN_ERROR_CANCELLED, "decoding was cancelled");
    }
    irn_tensor x = irn_tensor_view(&inv->y, images, model->channels, model->height, model->width);
    irn_tensor wide =
        irn_tensor_view(&inv->exact.y, images, model->channels, model->height, model->width);
    IRN_TRY(irn_logit_undo(model, inv->errors ? &wide : &x));
    return inv->errors ? irn_tensor_copy(&wide, &x) : IRN_OK;
}

/* The tolerance is shared among the blocks. Half of it is theirs; the rest is for rounding. */
static irn_status gather_facts(inverse *inv)
{
    const irn_model *model = inv->model;
    double amplified = irn_logit_lipschitz(model);
    IRN_TRY(irn_alloc(&inv->facts, model->block_count, sizeof *inv->facts));
    for (size_t b = 0; b < model->block_count; b++) {
        double scale_min, scale_max;
        block_facts *facts = &inv->facts[b];
        IRN_TRY(irn_model_block_affine(model, b, &scale_min, &scale_max));
        IRN_TRY(irn_block_rounding(model, b, &facts->rounding));
        const irn_block *block = &model->blocks[b];
        /* Squares added up one after the other (Higham, chapter 3). */
        facts->norms =
            1 + 0x1p-52 * (double)(block->channels * block->height * block->width + 1024);
        facts->scale = scale_max;
        facts->factor = 1 / ((1 - block->lipschitz_upper) * scale_min) * (1 + 1e-12);
        amplified *= facts->factor;
        facts->target = inv->options->tolerance / (2 * (double)model->block_count * amplified);
    }
    return IRN_OK;
}

static irn_status prepare(inverse *inv, size_t images)
{
    irn_context *context = inv->model->context;
    const irn_tensor *flow = &inv->workspace.flow[0];
    IRN_TRY(irn_workspace_create(&inv->workspace, inv->model, IRN_SINGLE, images));
    IRN_TRY(irn_tensor_create(&inv->y, context, IRN_SINGLE, images, flow->channels, flow->height,
                              flow->width));
    IRN_TRY(
        irn_latents_create(&inv->early, inv->model, inv->errors ? IRN_DOUBLE : IRN_SINGLE, images));
    IRN_TRY(irn_fixed_point_create(&inv->solver, &inv->workspace));
    if (!inv->errors)
        return IRN_OK;
    IRN_TRY(irn_exact_create(&inv->exact, inv->model, images));
    return gather_facts(inv);
}

static void release(inverse *inv)
{
    irn_fixed_point_free(&inv->solver);
    irn_exact_free(&inv->exact);
    irn_workspace_free(&inv->workspace);
    irn_tensor_free(&inv->y);
    irn_latents_free(&inv->early);
    free(inv->facts);
    inv->facts = NULL;
}

/* The error of l becomes that of x. On a round trip l was not exactly that of x; rounding on the
 * way back is relative to an x that is off by the error itself, hence 1e-6. */
static void undo_logit_errors(inverse *inv, size_t images, size_t size)
{
    const irn_model *model = inv->model;
    double there = inv->round_trip ? irn_logit_apply_rounding(model) * sqrt((double)size) : 0;
    for (size_t n = 0; model->config.logit > 0 && n < images; n++)
        inv->errors[n] = (inv->errors[n] * irn_logit_lipschitz(model) + there) * (1 + 1e-6);
}

/* x is rounded to float32 at last. */
static void add_rounding(inverse *inv, const float *x, size_t images, size_t size)
{
    double share = 0x1p-24 + irn_logit_undo_rounding(inv->model);
    for (size_t n = 0; n < images; n++) {
        double sum = 0;
        for (size_t i = 0; i < size; i++)
            sum += (double)x[n * size + i] * (double)x[n * size + i];
        /* Devices may flush denormals. */
        inv->errors[n] += (sqrt(sum) * share + (double)size * 0x1p-126) * (1 + 1e-6);
    }
}

/* Views of inv->early, and of where the last block's output belongs. */
static irn_latents view_latents(const inverse *inv, size_t images)
{
    irn_latents z;
    size_t last = inv->model->scale_count - 1;
    for (size_t s = 0; s < last; s++)
        z.parts[s] = irn_latent_view(inv->model, &inv->early.parts[s], s, images);
    z.parts[last] =
        irn_latent_view(inv->model, inv->errors ? &inv->exact.y : &inv->y, last, images);
    return z;
}

static irn_status read_latents(inverse *inv, const float *z, size_t images)
{
    irn_context *context = inv->model->context;
    size_t count = images * irn_model_latent_size(inv->model);
    irn_latents parts = view_latents(inv, images);
    cl_mem staging;
    IRN_TRY(irn_memory_create(context, &staging, count, sizeof(float), false));
    irn_status status = irn_memory_write(context, staging, 0, z, count * sizeof(float));
    if (status == IRN_OK)
        status = irn_latents_pack(&parts, inv->model, staging, 0);
    irn_memory_release(context, staging);
    return status;
}

/* z = F(x) in inv->early and exact.y. */
static irn_status encode(inverse *inv, const float *x, size_t images, cl_mem staging)
{
    irn_model *model = inv->model;
    size_t size = model->config.channels * model->config.height * model->config.width;
    irn_tensor first =
        irn_tensor_view(&inv->y, images, model->channels, model->height, model->width);
    irn_tensor wide =
        irn_tensor_view(&inv->exact.y, images, model->channels, model->height, model->width);
    IRN_TRY(irn_memory_write(model->context, staging, 0, x, images * size * sizeof(float)));
    IRN_TRY(irn_flow_pack(model, staging, 0, &inv->workspace.flow[1], &first));
    IRN_TRY(irn_tensor_copy(&first, &wide));
    IRN_TRY(irn_logit_apply(model, &wide));
    for (size_t b = 0, scale = 0; b < model->block_count; b++) {
        IRN_TRY(irn_exact_forward(&inv->exact, b, images));
        if (model->blocks[b].split)
            IRN_TRY(leave(inv, scale++, &model->blocks[b], images));
    }
    return IRN_OK;
}

static irn_status invert_chunk(inverse *inv, const float *source, size_t images, float *x,
                               cl_mem staging)
{
    irn_model *model = inv->model;
    size_t size = model->config.channels * model->config.height * model->config.width;
    irn_tensor first =
        irn_tensor_view(&inv->y, images, model->channels, model->height, model->width);
    for (size_t n = 0; inv->errors && n < images; n++)
        inv->errors[n] = 0;
    IRN_TRY(inv->round_trip ? encode(inv, source, images, staging)
                            : read_latents(inv, source, images));
    IRN_TRY(invert_blocks(inv, images));
    IRN_TRY(irn_flow_unpack(model, &first, &inv->workspace.flow[1], staging, 0));
    IRN_TRY(irn_memory_read(model->context, staging, 0, x, images * size * sizeof(float)));
    if (!inv->errors)
        return IRN_OK;
    undo_logit_errors(inv, images, size);
    add_rounding(inv, x, images, size);
    return IRN_OK;
}

/* Errors can be claimed only where every block is certified and residuals can be evaluated exactly.
 */
static irn_status check_claims(const irn_model *model)
{
    for (size_t b = 0; b < model->block_count; b++) {
        double upper = model->blocks[b].lipschitz_upper;
        if (isnan(upper))
            return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                            "no certified bound of blocks.%zu is known, so no error can be "
                            "claimed: certify the model first",
                            b);
        if (!(upper < 1))
            return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                            "blocks.%zu has Lip(g) <= %g, which is not < 1, so no error can be "
                            "claimed",
                            b, upper);
    }
    if (!model->context->info.has_fp64)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "%s has no float64, in which residuals are evaluated, so no error can be "
                        "claimed",
                        model->context->info.name);
    return IRN_OK;
}

static irn_status check_options(const irn_decode_options *options)
{
    IRN_TRY(irn_check_version("irn_decode_options", options->version, IRN_DECODE_OPTIONS_VERSION));
    if (!(options->tolerance > 0))
        return irn_fail(IRN_ERROR_ARGUMENT, "the tolerance is %g; it must be above 0",
                        options->tolerance);
    if (options->max_iterations < 1 || options->max_iterations > 1000000)
        return irn_fail(IRN_ERROR_ARGUMENT, "max_iterations is %zu; it must be 1 to 1000000",
                        options->max_iterations);
    return IRN_OK;
}

static irn_status pass(void *payload, size_t chunk, size_t *done)
{
    inverse *inv = payload;
    irn_context *context = inv->model->context;
    const irn_model_config *c = &inv->model->config;
    size_t size = c->channels * c->height * c->width;
    size_t source_size = inv->round_trip ? size : irn_model_latent_size(inv->model);
    cl_mem staging = NULL;
    inv->errors = inv->error_upper;
    irn_status status = prepare(inv, chunk);
    if (status == IRN_OK)
        status = irn_memory_create(context, &staging, chunk * size, sizeof(float), false);
    while (*done < inv->batch && status == IRN_OK) {
        size_t images = irn_smaller(chunk, inv->batch - *done);
        inv->errors = inv->error_upper ? inv->error_upper + *done : NULL;
        status = invert_chunk(inv, inv->source + *done * source_size, images, inv->x + *done * size,
                              staging);
        if (status == IRN_OK)
            *done += images;
    }
    irn_memory_release(context, staging);
    release(inv);
    return status;
}

static irn_status invert(inverse *inv)
{
    irn_model *model = inv->model;
    IRN_TRY(check_options(inv->options));
    if (inv->error_upper)
        IRN_TRY(check_claims(model));
    if (inv->round_trip)
        IRN_TRY(irn_logit_check(model, inv->source, inv->batch));
    IRN_TRY(irn_model_prepare(model));
    return irn_in_chunks(model, irn_model_chunk(model, inv->batch), pass, inv);
}

irn_status irn_model_decode(irn_model *model, const float *z, size_t batch,
                            const irn_decode_options *options, float *x, double *error_upper,
                            size_t *iterations)
{
    const irn_decode_options defaults = IRN_DECODE_OPTIONS_INIT;
    inverse inv = {.model = model,
                   .options = options ? options : &defaults,
                   .source = z,
                   .x = x,
                   .error_upper = error_upper,
                   .batch = batch};
    irn_status status = invert(&inv);
    if (iterations)
        *iterations = inv.iterations;
    return status;
}

static irn_status there_and_back(irn_model *model, const float *x, size_t batch,
                                 const irn_decode_options *options, float *back, size_t *iterations)
{
    float *z;
    IRN_TRY(irn_alloc(&z, batch, irn_model_latent_size(model) * sizeof *z));
    irn_status status = irn_model_encode(model, x, batch, z);
    if (status == IRN_OK)
        status = irn_model_decode(model, z, batch, options, back, NULL, iterations);
    free(z);
    return status;
}

irn_status irn_model_reconstruct(irn_model *model, const float *x, size_t batch,
                                 const irn_decode_options *options, float *back,
                                 double *error_upper, size_t *iterations)
{
    const irn_decode_options defaults = IRN_DECODE_OPTIONS_INIT;
    inverse inv = {.model = model,
                   .options = options ? options : &defaults,
                   .round_trip = true,
                   .source = x,
                   .x = back,
                   .error_upper = error_upper,
                   .batch = batch};
    if (!error_upper)
        return there_and_back(model, x, batch, options, back, iterations);
    irn_status status = invert(&inv);
    if (iterations)
        *iterations = inv.iterations;
    return status;
}
