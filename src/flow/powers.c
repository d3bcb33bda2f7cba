#include "flow/powers.h"
#include "ops/elementwise.h"

#include <stdlib.h>

static irn_status queue_powers(const irn_workspace *memory, const irn_block *block,
                               const irn_tensor *inputs, const irn_tensor *probe, size_t terms,
                               cl_mem dots)
{
    const irn_tensor *last = probe;
    irn_tensor w[2], cotangents[IRN_MAX_LAYERS];
    irn_workspace_inputs(memory, block, probe->images, cotangents);
    for (size_t i = 0; i < 2; i++)
        w[i] = irn_tensor_view(&memory->flow[i], probe->images, block->channels, block->height,
                               block->width);
    for (size_t k = 0; k < terms; k++) {
        const irn_tensor *next = &w[k % 2];
        IRN_TRY(irn_block_vjp(memory->model, block, inputs, last, NULL, cotangents, NULL, next));
        IRN_TRY(irn_sample_dots_at(next, probe, (irn_place){dots, k * probe->images}));
        last = next;
    }
    return IRN_OK;
}

irn_status irn_block_powers(const irn_workspace *memory, const irn_block *block,
                            const irn_tensor *inputs, const irn_tensor *probe, size_t terms,
                            double *values)
{
    irn_context *context = probe->context;
    size_t count = terms * probe->images;
    cl_mem dots = NULL;
    float *found;
    irn_status status = irn_alloc(&found, count, sizeof *found);
    if (status == IRN_OK)
        status = irn_memory_create(context, &dots, count, sizeof *found, false);
    if (status == IRN_OK)
        status = queue_powers(memory, block, inputs, probe, terms, dots);
    if (status == IRN_OK)
        status = irn_memory_read(context, dots, 0, found, count * sizeof *found);
    for (size_t i = 0; status == IRN_OK && i < count; i++)
        values[i] = (double)found[i];
    irn_memory_release(context, dots);
    free(found);
    return status;
}
