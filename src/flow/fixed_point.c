/* x <- y - g(x) (Behrmann et al. 2019, algorithm 1). Most steps only leave the activation of the
 * next x, which is all that the first layer sees; the last two before a look leave x itself, and
 * their difference is the residual. */
#include "flow/fixed_point.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* fixed_point.cl */
enum { RESIDUAL, STEPS, BEST, STALLED, PROGRESS };

/* A look costs much of a step, and on a GPU it empties the queue. */
enum { STEPS_BETWEEN_LOOKS = 4 };

irn_status irn_fixed_point_create(irn_fixed_point *out, const irn_workspace *workspace)
{
    irn_context *context = workspace->model->context;
    const irn_tensor *flow = &workspace->flow[0];
    irn_status status = IRN_OK;
    memset(out, 0, sizeof *out);
    out->workspace = workspace;
    irn_tensor *tensors[3] = {&out->x[0], &out->x[1], &out->input};
    for (size_t i = 0; i < 3 && status == IRN_OK; i++)
        status = irn_tensor_create(tensors[i], context, IRN_SINGLE, workspace->images,
                                   flow->channels, flow->height, flow->width);
    if (status == IRN_OK)
        status = irn_memory_create(context, &out->progress, PROGRESS * workspace->images,
                                   sizeof(float), true);
    if (status == IRN_OK)
        status = irn_alloc(&out->progress_host, PROGRESS * workspace->images, sizeof(float));
    if (status != IRN_OK)
        irn_fixed_point_free(out);
    return status;
}

void irn_fixed_point_free(irn_fixed_point *solver)
{
    irn_tensor_free(&solver->x[0]);
    irn_tensor_free(&solver->x[1]);
    irn_tensor_free(&solver->input);
    if (solver->progress)
        irn_memory_release(solver->workspace->model->context, solver->progress);
    free(solver->progress_host);
    memset(solver, 0, sizeof *solver);
}

/* One block on its way. */
typedef struct iteration {
    const irn_model *model;
    const irn_block *block;
    const irn_tensor *y;
    irn_tensor x[2], input, layers[IRN_MAX_LAYERS];
    size_t x_next;                     /* which of the two is written next */
    const irn_tensor *previous, *last; /* the latest iterates that were kept */
    bool activated;                    /* input is the activation of the latest iterate */
} iteration;

static iteration begin(const irn_fixed_point *solver, const irn_block *block, const irn_tensor *y)
{
    iteration it = {.model = solver->workspace->model, .block = block, .y = y, .last = y};
    const irn_tensor *from[3] = {&solver->x[0], &solver->x[1], &solver->input};
    irn_tensor *to[3] = {&it.x[0], &it.x[1], &it.input};
    for (size_t i = 0; i < 3; i++)
        *to[i] = irn_tensor_view(from[i], y->images, y->channels, y->height, y->width);
    irn_workspace_inputs(solver->workspace, block, y->images, it.layers);
    return it;
}

static irn_status activate_last(iteration *it)
{
    if (it->activated || !it->block->first_activation)
        return IRN_OK;
    it->activated = true;
    return irn_activation_forward(
        it->model->config.activation,
        irn_block_beta(it->model, it->model->single.parameters, it->block, 0), it->last,
        &it->input);
}

/* Steps that leave the activation of the next iterate only. */
static irn_status quick_steps(iteration *it, size_t steps)
{
    IRN_TRY(activate_last(it));
    return irn_block_inverse_steps(it->model, it->block, it->y, &it->input, it->layers, true, steps,
                                   &it->input);
}

/* A step that leaves the next iterate. */
static irn_status kept_step(iteration *it)
{
    const irn_tensor *to = &it->x[it->x_next];
    IRN_TRY(activate_last(it));
    IRN_TRY(irn_block_inverse_steps(it->model, it->block, it->y,
                                    it->block->first_activation ? &it->input : it->last, it->layers,
                                    false, 1, to));
    it->previous = it->last;
    it->last = to;
    it->activated = false;
    it->x_next ^= 1;
    return IRN_OK;
}

/* The last two iterates are kept. */
static irn_status take_steps(iteration *it, size_t steps)
{
    bool quick = it->block->first_activation && it->model->config.layers > 1;
    if (quick && steps > 2) {
        IRN_TRY(quick_steps(it, steps - 2));
        steps = 2;
    }
    for (; steps > 0; steps--)
        IRN_TRY(kept_step(it));
    return IRN_OK;
}

/* Looks without progress after which a contraction by `lipschitz` is down to rounding: so many that
 * the residual would have halved, for what is a few units in the last place changes in steps. 0 if
 * it is not known to be a contraction. */
static size_t patience(double lipschitz)
{
    const double least = 8, most = 1e9;
    if (!(lipschitz < 1))
        return 0;
    double looks = lipschitz > 0 ? log(0.5) / (STEPS_BETWEEN_LOOKS * log(lipschitz)) : least;
    return (size_t)fmin(fmax(ceil(looks), least), most);
}

static irn_status look(const iteration *it, cl_mem progress, size_t steps, double limit,
                       const irn_tensor *x)
{
    irn_context *context = x->context;
    size_t group = context->tuning.work_group;
    const irn_tensor *tensors[4] = {it->y, it->previous, it->last, x};
    irn_call call = irn_call_begin(context, irn_general_sources, irn_precision_options(IRN_SINGLE),
                                   "fixed_point_look");
    for (size_t i = 0; i < 4; i++)
        irn_call_memory(&call, tensors[i]->memory, tensors[i]->offset);
    irn_call_memory(&call, progress, 0);
    irn_call_ulong(&call, irn_tensor_blocks(x) / x->images);
    irn_call_int(&call, steps);
    irn_call_float(&call, (float)limit);
    irn_call_int(&call, patience(it->block->lipschitz_upper));
    return irn_call_run(&call, x->images * group, 1, 1, group);
}

irn_fixed_point_result irn_fixed_point_sample(const irn_fixed_point *solver, size_t sample)
{
    const float *p = solver->progress_host + PROGRESS * sample;
    float steps = p[STEPS];
    return (irn_fixed_point_result){.residual = (double)p[RESIDUAL],
                                    .steps = (size_t)(steps < 0 ? -steps - 1 : steps),
                                    .converged = steps < 0};
}

/* Reads progress; false while a sample is still under way. */
static irn_status all_done(irn_fixed_point *solver, size_t images, size_t block, bool *done)
{
    IRN_TRY(irn_memory_read(solver->workspace->model->context, solver->progress, 0,
                            solver->progress_host, images * PROGRESS * sizeof(float)));
    *done = true;
    for (size_t n = 0; n < images; n++) {
        irn_fixed_point_result result = irn_fixed_point_sample(solver, n);
        if (!isfinite(result.residual))
            return irn_fail(IRN_ERROR_NUMERIC,
                            "the inverse of blocks.%zu diverges for sample %zu of the batch, or "
                            "leaves float32's range: residual %g after %zu steps; is Lip(g) < 1?",
                            block, n, result.residual, result.steps);
        *done = *done && result.converged;
    }
    return IRN_OK;
}

irn_status irn_fixed_point_solve(irn_fixed_point *solver, size_t block, const irn_tensor *y,
                                 double limit, size_t max_steps, const irn_tensor *x)
{
    const irn_model *model = solver->workspace->model;
    iteration it = begin(solver, &model->blocks[block], y);
    bool done = false;
    IRN_TRY(
        irn_memory_zero(model->context, solver->progress, 0, x->images * PROGRESS * sizeof(float)));
    for (size_t steps = 0; !done && steps < max_steps;) {
        size_t more = max_steps - steps;
        if (limit >= 0 && more > STEPS_BETWEEN_LOOKS)
            more = STEPS_BETWEEN_LOOKS;
        IRN_TRY(take_steps(&it, more));
        steps += more;
        IRN_TRY(look(&it, solver->progress, steps, limit, x));
        IRN_TRY(all_done(solver, x->images, block, &done));
    }
    return IRN_OK;
}
