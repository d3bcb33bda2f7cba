#include "flow/exact.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static irn_status create_operands(irn_exact *exact)
{
    const irn_model *model = exact->model;
    const irn_arena *arenas[2] = {&model->parameters, &model->state};
    cl_mem from[2] = {model->single.parameters, model->single.state};
    cl_mem *to[2] = {&exact->operands.parameters, &exact->operands.state};
    for (size_t i = 0; i < 2; i++) {
        IRN_TRY(irn_memory_create(model->context, to[i], arenas[i]->size, sizeof(double), false));
        irn_call call = irn_call_begin(model->context, irn_general_sources,
                                       irn_precision_options(IRN_DOUBLE), "widen");
        irn_call_memory(&call, from[i], 0);
        irn_call_memory(&call, *to[i], 0);
        IRN_TRY(irn_call_run(&call, arenas[i]->size, 1, 1, 0));
    }
    return IRN_OK;
}

static irn_status create_like(irn_tensor *out, const irn_tensor *like, irn_precision precision)
{
    return irn_tensor_create(out, like->context, precision, like->images, like->channels,
                             like->height, like->width);
}

static irn_status create(irn_exact *exact, size_t images)
{
    irn_context *context = exact->model->context;
    const irn_workspace *w = &exact->workspace;
    irn_tensor *singles[3] = {&exact->residual, &exact->correction[0], &exact->correction[1]};
    IRN_TRY(create_operands(exact));
    IRN_TRY(irn_workspace_create(&exact->workspace, exact->model, IRN_DOUBLE, images));
    IRN_TRY(create_like(&exact->y, &w->flow[0], IRN_DOUBLE));
    IRN_TRY(create_like(&exact->x, &w->flow[0], IRN_DOUBLE));
    for (size_t i = 0; i < 3; i++)
        IRN_TRY(create_like(singles[i], &w->flow[0], IRN_SINGLE));
    for (size_t i = 0; i < exact->model->config.layers; i++)
        IRN_TRY(create_like(&exact->inputs[i], &w->hidden[0], IRN_SINGLE));
    IRN_TRY(irn_memory_create(context, &exact->norms, images, sizeof *exact->found, true));
    IRN_TRY(irn_memory_create(context, &exact->open, images, sizeof(float), true));
    IRN_TRY(irn_alloc(&exact->found, images, sizeof *exact->found));
    IRN_TRY(irn_alloc(&exact->before, images, sizeof *exact->before));
    return irn_alloc(&exact->open_host, images, sizeof *exact->open_host);
}

irn_status irn_exact_create(irn_exact *out, irn_model *model, size_t images)
{
    memset(out, 0, sizeof *out);
    out->model = model;
    irn_status status = create(out, images);
    if (status != IRN_OK)
        irn_exact_free(out);
    return status;
}

void irn_exact_free(irn_exact *exact)
{
    irn_tensor *tensors[5] = {&exact->y, &exact->x, &exact->residual, &exact->correction[0],
                              &exact->correction[1]};
    if (!exact->model)
        return;
    irn_workspace_free(&exact->workspace);
    for (size_t i = 0; i < 5; i++)
        irn_tensor_free(tensors[i]);
    for (size_t i = 0; i < IRN_MAX_LAYERS; i++)
        irn_tensor_free(&exact->inputs[i]);
    irn_memory_release(exact->model->context, exact->operands.parameters);
    irn_memory_release(exact->model->context, exact->operands.state);
    irn_memory_release(exact->model->context, exact->norms);
    irn_memory_release(exact->model->context, exact->open);
    free(exact->found);
    free(exact->before);
    free(exact->open_host);
    memset(exact, 0, sizeof *exact);
}

/* One block of one batch: views of what irn_exact holds. */
typedef struct problem {
    irn_exact *exact;
    const irn_block *block;
    irn_tensor x, y, z, f; /* double; z = actnorm(x), f = F_t(x) */
    irn_tensor residual, correction[2];
} problem;

static problem view(irn_exact *exact, const irn_block *block, size_t images)
{
    irn_tensor *w = exact->workspace.flow;
    problem p = {.exact = exact, .block = block};
    const irn_tensor *from[7] = {&exact->x,
                                 &exact->y,
                                 &w[0],
                                 &w[1],
                                 &exact->residual,
                                 &exact->correction[0],
                                 &exact->correction[1]};
    irn_tensor *to[7] = {&p.x, &p.y, &p.z, &p.f, &p.residual, &p.correction[0], &p.correction[1]};
    for (size_t i = 0; i < 7; i++)
        *to[i] = irn_tensor_view(from[i], images, block->channels, block->height, block->width);
    return p;
}

/* z and f. */
static irn_status apply(problem *p)
{
    irn_exact *e = p->exact;
    irn_tensor inputs[IRN_MAX_LAYERS];
    irn_workspace_inputs(&e->workspace, p->block, p->x.images, inputs);
    IRN_TRY(irn_tensor_copy(&p->x, &p->z));
    IRN_TRY(irn_block_normalise(e->model, &e->operands, p->block, &p->z));
    return irn_block_residual(e->model, &e->operands, p->block, &p->z, inputs, &p->z, &p->f);
}

irn_status irn_exact_forward(irn_exact *exact, size_t index, size_t images)
{
    const irn_block *block = &exact->model->blocks[index];
    problem p = view(exact, block, images);
    irn_tensor plain = irn_tensor_view(&exact->y, images, block->channels / 4, block->height * 2,
                                       block->width * 2);
    IRN_TRY(block->squeeze ? irn_squeeze(&plain, &p.x) : irn_tensor_copy(&p.y, &p.x));
    IRN_TRY(apply(&p));
    return irn_tensor_copy(&p.f, &p.y);
}

/* z, f, the residual y - f, and norms. */
static irn_status evaluate(problem *p)
{
    irn_exact *e = p->exact;
    size_t images = p->x.images, group = e->model->context->tuning.work_group;
    const irn_tensor *tensors[4] = {&p->y, &p->f, &p->z, &p->residual};
    IRN_TRY(apply(p));
    irn_call call = irn_call_begin(e->model->context, irn_general_sources,
                                   irn_precision_options(IRN_DOUBLE), "exact_residual");
    for (size_t i = 0; i < 4; i++)
        irn_call_memory(&call, tensors[i]->memory, tensors[i]->offset);
    irn_call_memory(&call, e->norms, 0);
    irn_call_ulong(&call, irn_tensor_blocks(&p->x) / images);
    IRN_TRY(irn_call_run(&call, images * group, 1, 1, group));
    return irn_memory_read(e->model->context, e->norms, 0, e->found, images * sizeof *e->found);
}

/* So many terms of the Neumann series reduce the error to a twentieth, as far as float32 goes. */
static size_t terms_for(double lipschitz, size_t most)
{
    const double least = 8;
    double terms = lipschitz > 0 ? log(0.05) / log(lipschitz) : least;
    return (size_t)fmin(fmax(ceil(terms), least), (double)most);
}

/* The Neumann series of (I + J)^-1 r: t <- r - J t, in float32, J at z. What is left is for the
 * next correction. most: terms; *which of p->correction has it. */
static irn_status neumann(problem *p, size_t most, size_t *which)
{
    irn_exact *e = p->exact;
    const irn_model *model = e->model;
    irn_tensor inputs[IRN_MAX_LAYERS], tangents[IRN_MAX_LAYERS];
    irn_tensor *t = p->correction;
    size_t terms = terms_for(p->block->lipschitz_upper, most);
    for (size_t i = 0; i < model->config.layers; i++)
        inputs[i] = irn_layer_input(p->block, i, &e->inputs[i], p->x.images);
    /* The double workspace's hidden tensors are free now, and more than large enough. */
    irn_workspace_inputs(&e->workspace, p->block, p->x.images, tangents);
    for (size_t i = 0; i < model->config.layers; i++)
        tangents[i].precision = IRN_SINGLE;
    IRN_TRY(irn_tensor_copy(&p->z, &t[0]));
    IRN_TRY(irn_block_residual(model, &model->single, p->block, &t[0], inputs, NULL, &t[1]));
    IRN_TRY(irn_tensor_copy(&p->residual, &t[0]));
    for (size_t k = 0; k < terms; k++)
        IRN_TRY(irn_block_neumann_step(model, p->block, inputs, &p->residual, &t[k % 2], tangents,
                                       &t[(k + 1) % 2]));
    *which = terms % 2;
    return IRN_OK;
}

/* x += (I + J)^-1 r for the samples that are open; `most` as above. */
static irn_status correct(problem *p, size_t most)
{
    irn_exact *e = p->exact;
    irn_context *context = e->model->context;
    size_t which = 0;
    IRN_TRY(neumann(p, most, &which));
    IRN_TRY(irn_memory_write(context, e->open, 0, e->open_host, p->x.images * sizeof(float)));
    irn_call call = irn_call_begin(context, irn_general_sources, irn_precision_options(IRN_DOUBLE),
                                   "add_correction");
    irn_call_memory(&call, p->correction[which].memory, p->correction[which].offset);
    irn_call_memory(&call, p->z.memory, p->z.offset);
    irn_call_memory(&call, e->open, 0);
    irn_call_ulong(&call, irn_tensor_image_size(&p->z));
    IRN_TRY(irn_call_run(&call, irn_tensor_size(&p->z), 1, 1, 0));
    IRN_TRY(irn_tensor_copy(&p->z, &p->x));
    return irn_block_denormalise(e->model, &e->operands, p->block, &p->x);
}

/* Which samples want another correction: those that miss their targets, and that the last one
 * brought at least half the way. */
static irn_status find_open(irn_exact *e, size_t block, size_t images, irn_exact_target *target,
                            const void *payload, bool first, size_t *count)
{
    *count = 0;
    for (size_t n = 0; n < images; n++) {
        double residual = e->found[n].residual;
        if (!isfinite(residual))
            return irn_fail(IRN_ERROR_NUMERIC,
                            "the residual of blocks.%zu is %g for sample %zu of the batch", block,
                            residual, n);
        bool helps = first || (e->open_host[n] > 0 && residual < e->before[n] / 2);
        bool open = helps && residual > target(payload, e->found[n].size);
        e->open_host[n] = open;
        e->before[n] = residual;
        *count += open;
    }
    return IRN_OK;
}

irn_status irn_exact_improve(irn_exact *exact, size_t block, size_t images,
                             irn_exact_target *target, const void *payload, size_t corrections,
                             size_t terms)
{
    problem p = view(exact, &exact->model->blocks[block], images);
    for (size_t k = 0;; k++) {
        size_t open;
        IRN_TRY(evaluate(&p));
        IRN_TRY(find_open(exact, block, images, target, payload, k == 0, &open));
        if (open == 0 || k == corrections)
            return IRN_OK;
        IRN_TRY(correct(&p, terms));
    }
}
