/* x <- y - g(x) (Behrmann et al. 2019, algorithm 1). Most steps only leave the activation of the
 * next x, which is all that its first layer sees; the last two before a look leave x itself, and
 * their difference is the residual. */
#include "flow/fixed_point.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS = 3 };

/* A look costs much of a step, and on a GPU it empties the queue. */
enum { STEPS_BETWEEN_LOOKS = 4 };

irn_status irn_fixed_point_create(irn_fixed_point *out, const irn_workspace *workspace)
{
    irn_context *context = workspace->model->context;
    const irn_tensor *flow = &workspace->flow[0];
    irn_status status = IRN_OK;
    memset(out, 0, sizeof *out);
    out->workspace = workspace;
    for (size_t i = 0; i < 2 && status == IRN_OK; i++) {
        status = irn_tensor_create(&out->x[i], context, IRN_SINGLE, workspace->images,
                                   flow->channels, flow->height, flow->width);
        if (status == IRN_OK)
            status = irn_tensor_create(&out->inputs[i], context, IRN_SINGLE, workspace->images,
                                       flow->channels, flow->height, flow->width);
    }
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
    for (size_t i = 0; i < 2; i++) {
        irn_tensor_free(&solver->x[i]);
        irn_tensor_free(&solver->inputs[i]);
    }
    if (solver->progress)
        irn_memory_release(solver->workspace->model->context, solver->progress);
    free(solver->progress_host);
    memset(solver, 0, sizeof *solver);
}

/* One block on its way. */
typedef struct iteration {
    const irn_fixed_point *solver;
    const irn_block *block;
    const irn_tensor *y;
    irn_tensor x[2], inputs[2];
    size_t x_next, inputs_next;        /* which of the two is written next */
    const irn_tensor *previous, *last; /* the latest iterates that were kept */
    const irn_tensor *input;           /* the activation of the latest iterate; NULL: not made */
    irn_tensor layers[IRN_MAX_LAYERS];
} iteration;

static iteration begin(const irn_fixed_point *solver, const irn_block *block, const irn_tensor *y)
{
    iteration it = {.solver = solver, .block = block, .y = y, .last = y};
    for (size_t i = 0; i < 2; i++) {
        it.x[i] = irn_tensor_view(&solver->x[i], y->images, y->channels, y->height, y->width);
        it.inputs[i] =
            irn_tensor_view(&solver->inputs[i], y->images, y->channels, y->height, y->width);
    }
    irn_workspace_inputs(solver->workspace, block, y->images, it.layers);
    return it;
}

/* What the first layer sees of the latest iterate. */
static irn_status first_input(iteration *it, const irn_tensor **input)
{
    *input = it->last;
    if (!it->block->first_activation)
        return IRN_OK;
    if (!it->input) {
        const irn_tensor *to = &it->inputs[it->inputs_next];
        IRN_TRY(
            irn_activation_forward(it->solver->workspace->model->config.activation, it->last, to));
        it->inputs_next ^= 1;
        it->input = to;
    }
    *input = it->input;
    return IRN_OK;
}

/* keep: leave the iterate, not only its activation. */
static irn_status step(iteration *it, bool keep)
{
    const irn_tensor *input;
    IRN_TRY(first_input(it, &input));
    bool activate = !keep && it->block->first_activation;
    const irn_tensor *to = activate ? &it->inputs[it->inputs_next] : &it->x[it->x_next];
    IRN_TRY(irn_block_inverse_step(it->solver->workspace->model, it->block, it->y, input,
                                   it->layers, activate, to));
    if (activate) {
        it->inputs_next ^= 1;
        it->input = to;
    } else {
        it->x_next ^= 1;
        it->previous = it->last;
        it->last = to;
        it->input = NULL;
    }
    return IRN_OK;
}

static irn_status look(const iteration *it, size_t steps, double limit, const irn_tensor *x)
{
    irn_context *context = x->context;
    size_t group = context->tuning.work_group;
    const irn_tensor *tensors[4] = {it->y, it->previous, it->last, x};
    irn_call call = irn_call_begin(context, irn_general_sources, irn_precision_options(IRN_SINGLE),
                                   "fixed_point_look");
    for (size_t i = 0; i < 4; i++)
        irn_call_memory(&call, tensors[i]->memory, tensors[i]->offset);
    irn_call_memory(&call, it->solver->progress, 0);
    irn_call_ulong(&call, irn_tensor_blocks(x) / x->images);
    irn_call_int(&call, steps);
    irn_call_float(&call, (float)limit);
    irn_call_int(&call, it->block->lipschitz_upper < 1);
    return irn_call_run(&call, x->images * group, 1, 1, group);
}

irn_fixed_point_result irn_fixed_point_sample(const irn_fixed_point *solver, size_t sample)
{
    const float *p = solver->progress_host + PROGRESS * sample;
    return (irn_fixed_point_result){.residual = (double)p[0],
                                    .size = (double)p[2],
                                    .steps = (size_t)(p[1] < 0 ? -p[1] - 1 : p[1]),
                                    .converged = p[1] < 0};
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
                            "the inverse of blocks.%zu diverges for sample %zu of the batch: "
                            "residual %g after %zu steps; is Lip(g) < 1?",
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
        size_t until = limit < 0 || max_steps - steps < STEPS_BETWEEN_LOOKS
                           ? max_steps
                           : steps + STEPS_BETWEEN_LOOKS;
        for (; steps < until; steps++)
            IRN_TRY(step(&it, until - steps <= 2));
        IRN_TRY(look(&it, steps, limit, x));
        IRN_TRY(all_done(solver, x->images, block, &done));
    }
    return IRN_OK;
}
