/* The inverse with a proven error. Each block is inverted by its fixed point in float32; then the
 * residual of what came out is evaluated in float64, with actnorm, exactly as the forward map is
 * defined, so that rounding on the way does not matter: for any x, ||x - x*|| <= Lip(F_t^-1) ||y -
 * F_t(x)|| with Lip(F_t^-1) <= exp(-min log_scale) / (1 - L_t), and the error of y itself passes
 * through the same factor. */
#include "flow/fixed_point.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct inverse {
    irn_model *model;
    const irn_decode_options *options;
    irn_workspace single, exact; /* exact only if errors are wanted */
    irn_operands exact_operands;
    irn_fixed_point solver;
    irn_tensor y;     /* the block's output */
    cl_mem distances; /* [images] doubles */
    double *distance_host;
    double *errors; /* [images] so far; NULL: not wanted */
    size_t iterations;
} inverse;

/* ---- one block ---- */

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

/* ---- its error ---- */

/* distances[n] = ||y - F_t(x)|| in float64, x the block's input before actnorm. */
static irn_status exact_residual(inverse *inv, const irn_block *block, const irn_tensor *x,
                                 const irn_tensor *y)
{
    const irn_model *model = inv->model;
    size_t images = x->images, group = model->context->tuning.work_group;
    irn_tensor inputs[IRN_MAX_LAYERS];
    irn_workspace *w = &inv->exact;
    irn_tensor z = irn_tensor_view(&w->flow[0], images, x->channels, x->height, x->width);
    irn_tensor f = irn_tensor_view(&w->flow[1], images, x->channels, x->height, x->width);
    irn_workspace_inputs(w, block, images, inputs);
    IRN_TRY(irn_tensor_copy(x, &z));
    IRN_TRY(irn_block_normalise(model, &inv->exact_operands, block, &z));
    IRN_TRY(irn_block_residual(model, &inv->exact_operands, block, &z, inputs, &z, &f));
    IRN_TRY(irn_tensor_copy(y, &z));
    irn_call call = irn_call_begin(model->context, irn_general_sources,
                                   irn_precision_options(IRN_DOUBLE), "sample_distance");
    irn_call_memory(&call, z.memory, z.offset);
    irn_call_memory(&call, f.memory, f.offset);
    irn_call_memory(&call, inv->distances, 0);
    irn_call_ulong(&call, irn_tensor_blocks(x) / images);
    return irn_call_run(&call, images * group, 1, 1, group);
}

static irn_status add_error(inverse *inv, size_t index, const irn_tensor *x, const irn_tensor *y)
{
    const irn_block *block = &inv->model->blocks[index];
    double scale_min, scale_max;
    IRN_TRY(exact_residual(inv, block, x, y));
    IRN_TRY(irn_model_block_affine(inv->model, index, &scale_min, &scale_max));
    IRN_TRY(irn_memory_read(inv->model->context, inv->distances, 0, inv->distance_host,
                            x->images * sizeof(double)));
    for (size_t n = 0; n < x->images; n++) {
        /* Far above the rounding of the float64 evaluation, far below that of float32. */
        double allowance = 1e-10 * (1 + irn_fixed_point_sample(&inv->solver, n).size);
        inv->errors[n] = (inv->errors[n] + inv->distance_host[n] + allowance) /
                         ((1 - block->lipschitz_upper) * scale_min) * (1 + 1e-12);
    }
    return IRN_OK;
}

/* ---- the whole ---- */

/* z in inv->y becomes the first block's input in place. */
static irn_status invert_blocks(inverse *inv, size_t images, irn_tensor *first)
{
    irn_model *model = inv->model;
    const irn_block *last = &model->blocks[model->block_count - 1];
    irn_tensor y = irn_tensor_view(&inv->y, images, last->channels, last->height, last->width);
    for (size_t b = model->block_count; b-- > 0;) {
        const irn_block *block = &model->blocks[b];
        irn_tensor x = irn_tensor_view(&inv->single.flow[0], images, block->channels, block->height,
                                       block->width);
        IRN_TRY(solve(inv, b, &y, &x));
        IRN_TRY(irn_block_denormalise(model, block, &x));
        if (inv->errors)
            IRN_TRY(add_error(inv, b, &x, &y));
        if (block->squeeze) {
            y = irn_tensor_view(&inv->y, images, block->channels / 4, block->height * 2,
                                block->width * 2);
            IRN_TRY(irn_unsqueeze(&x, &y));
        } else {
            IRN_TRY(irn_tensor_copy(&x, &y));
        }
        const irn_decode_options *o = inv->options;
        if (o->progress && !o->progress(model->block_count - b, model->block_count,
                                        "inverting blocks", o->progress_payload))
            return irn_fail(IRN_ERROR_CANCELLED, "decoding was cancelled");
    }
    *first = y;
    return IRN_OK;
}

static irn_status make_exact_operands(inverse *inv)
{
    const irn_model *model = inv->model;
    irn_context *context = model->context;
    const irn_arena *arenas[2] = {&model->parameters, &model->state};
    cl_mem from[2] = {model->single.parameters, model->single.state};
    cl_mem *to[2] = {&inv->exact_operands.parameters, &inv->exact_operands.state};
    for (size_t i = 0; i < 2; i++) {
        IRN_TRY(irn_memory_create(context, to[i], arenas[i]->size, sizeof(double), false));
        irn_call call = irn_call_begin(context, irn_general_sources,
                                       irn_precision_options(IRN_DOUBLE), "widen");
        irn_call_memory(&call, from[i], 0);
        irn_call_memory(&call, *to[i], 0);
        IRN_TRY(irn_call_run(&call, arenas[i]->size, 1, 1, 0));
    }
    return IRN_OK;
}

static irn_status prepare(inverse *inv, size_t images)
{
    irn_context *context = inv->model->context;
    IRN_TRY(irn_workspace_create(&inv->single, inv->model, IRN_SINGLE, images));
    const irn_tensor *flow = &inv->single.flow[0];
    IRN_TRY(irn_tensor_create(&inv->y, context, IRN_SINGLE, images, flow->channels, flow->height,
                              flow->width));
    IRN_TRY(irn_fixed_point_create(&inv->solver, &inv->single));
    if (!inv->errors)
        return IRN_OK;
    IRN_TRY(irn_workspace_create(&inv->exact, inv->model, IRN_DOUBLE, images));
    IRN_TRY(irn_memory_create(context, &inv->distances, images, sizeof(double), true));
    IRN_TRY(irn_alloc(&inv->distance_host, images, sizeof(double)));
    return make_exact_operands(inv);
}

static void release(inverse *inv)
{
    irn_context *context = inv->model->context;
    irn_fixed_point_free(&inv->solver);
    irn_workspace_free(&inv->single);
    irn_workspace_free(&inv->exact);
    irn_tensor_free(&inv->y);
    irn_memory_release(context, inv->distances);
    irn_memory_release(context, inv->exact_operands.parameters);
    irn_memory_release(context, inv->exact_operands.state);
    free(inv->distance_host);
}

static irn_status decode_chunk(inverse *inv, const float *z, size_t images, float *x,
                               cl_mem staging)
{
    irn_model *model = inv->model;
    const irn_block *last = &model->blocks[model->block_count - 1];
    size_t size = model->config.channels * model->config.height * model->config.width;
    irn_tensor top = irn_tensor_view(&inv->y, images, last->channels, last->height, last->width);
    irn_tensor first;
    for (size_t n = 0; inv->errors && n < images; n++)
        inv->errors[n] = 0;
    IRN_TRY(irn_tensor_write(&top, z, last->channels));
    IRN_TRY(invert_blocks(inv, images, &first));
    IRN_TRY(irn_flow_output(model, &first, &inv->single.flow[1], staging, 0));
    return irn_memory_read(model->context, staging, 0, x, images * size * sizeof(float));
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

irn_status irn_model_decode(irn_model *model, const float *z, size_t batch,
                            const irn_decode_options *options, float *x, double *error_upper,
                            size_t *iterations)
{
    const irn_decode_options defaults = IRN_DECODE_OPTIONS_INIT;
    const irn_model_config *c = &model->config;
    inverse inv = {.model = model, .options = options ? options : &defaults, .errors = error_upper};
    size_t chunk = irn_model_chunk(model, batch), size = c->channels * c->height * c->width;
    cl_mem staging = NULL;
    IRN_TRY(check_options(inv.options));
    if (error_upper)
        IRN_TRY(check_claims(model));
    IRN_TRY(irn_model_prepare(model));
    irn_status status = prepare(&inv, chunk);
    if (status == IRN_OK)
        status = irn_memory_create(model->context, &staging, chunk * size, sizeof(float), false);
    for (size_t done = 0; done < batch && status == IRN_OK; done += chunk) {
        inv.errors = error_upper ? error_upper + done : NULL;
        status =
            decode_chunk(&inv, z + done * irn_model_latent_size(model),
                         batch - done < chunk ? batch - done : chunk, x + done * size, staging);
    }
    irn_memory_release(model->context, staging);
    release(&inv);
    if (iterations)
        *iterations = inv.iterations;
    return status;
}
