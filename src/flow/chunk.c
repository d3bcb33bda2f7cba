#include "flow/chunk.h"
#include "flow/workspace.h"

#include <stdio.h>

size_t irn_model_chunk(const irn_model *model, size_t images)
{
    enum { TENSORS = 16 }; /* more than a pass holds at a time, in float64 too */
    const irn_device_info *device = &model->context->info;
    size_t limit = (size_t)64 << 20; /* elements a tensor: 256 MiB of floats */
    limit = irn_smaller(limit, (size_t)(device->max_allocation / sizeof(double)));
    limit = irn_smaller(limit, (size_t)(device->global_memory / (TENSORS * sizeof(double))));
    size_t hidden = irn_input_images(model, irn_largest_hidden(model));
    size_t most = limit / irn_larger(irn_largest_flow(model), hidden);
    return irn_smaller(images, irn_larger(1, irn_smaller(most, 256)));
}

/* A command may fail long after it was queued, and whoever waits next is told. Smaller chunks do
 * not help what was queued before a pass; and what failed within one may be what derives kernels
 * from the weights, which are then no good. */
static irn_status settle(irn_model *model)
{
    irn_status status = irn_finish(model->context);
    if (status != IRN_OK)
        model->derived_valid = false;
    return status;
}

irn_status irn_in_chunks(irn_model *model, size_t chunk, irn_chunk_pass *pass, void *payload)
{
    char sentence[1024]; /* of the last failure, which what can be helped is not */
    size_t done = 0;
    snprintf(sentence, sizeof sentence, "%s", irn_last_error());
    IRN_TRY(settle(model));
    irn_status status = pass(payload, chunk, &done);
    while (status == IRN_ERROR_MEMORY && chunk > 1) {
        chunk = (chunk + 1) / 2;
        irn_log(model->context, "%s; going on with %zu images at a time", irn_last_error(), chunk);
        model->derived_valid = false;
        IRN_TRY(settle(model));
        status = pass(payload, chunk, &done);
    }
    if (status == IRN_OK) {
        irn_set_error("%s", sentence);
        return IRN_OK;
    }
    model->derived_valid = false;
    if (status == IRN_ERROR_MEMORY)
        irn_set_error("%s; images went through one at a time", irn_last_error());
    return status;
}
