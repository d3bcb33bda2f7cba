#include "ops/layers.h"
#include "ops/application.h"
#include "ops/winograd.h"

#include <string.h>

irn_status irn_layers_create(irn_layers *out, irn_context *context, const irn_layer_row *rows,
                             size_t count)
{
    *out = (irn_layers){.context = context, .count = count};
    for (size_t i = 0; i < count; i++)
        out->largest = irn_larger(out->largest, rows[i].weight_blocks);
    IRN_TRY(irn_memory_create(context, &out->table, count, sizeof *rows, false));
    irn_status status = irn_memory_write(context, out->table, 0, rows, count * sizeof *rows);
    if (status != IRN_OK)
        irn_layers_free(out);
    return status;
}

void irn_layers_free(irn_layers *layers)
{
    if (layers->context)
        irn_memory_release(layers->context, layers->table);
    memset(layers, 0, sizeof *layers);
}

size_t irn_layers_items(const irn_layers *layers, size_t pieces)
{
    return layers->context->info.is_simt ? pieces : irn_smaller(pieces, 4);
}

/* The activation is not used, but the sources want one. */
static irn_call begin(const irn_layers *layers, const char *sources, const char *kernel)
{
    char options[IRN_APPLICATION_OPTIONS];
    irn_application_options(options, layers->context, IRN_SINGLE, IRN_RELU);
    return irn_call_begin(layers->context, sources, options, kernel);
}

static irn_status run(const irn_layers *layers, irn_call *call, size_t pieces)
{
    return irn_call_run(call, irn_layers_items(layers, pieces), layers->count, 1,
                        layers->context->tuning.work_group);
}

irn_status irn_layers_transpose(const irn_layers *layers, cl_mem weights, cl_mem transposed)
{
    irn_call call =
        begin(layers, "common.clh activation.clh epilogue.clh conv.clh layers.clh layers.cl",
              "transpose_layers");
    irn_call_memory(&call, weights, 0);
    irn_call_memory(&call, transposed, 0);
    irn_call_memory(&call, layers->table, 0);
    return run(layers, &call, layers->largest / layers->context->tuning.channel_block);
}

irn_status irn_layers_transform(const irn_layers *layers, cl_mem weights, cl_mem transformed,
                                bool back)
{
    irn_call call = begin(layers, irn_winograd_sources, "winograd_transform_layers");
    irn_call_memory(&call, weights, 0);
    irn_call_memory(&call, transformed, 0);
    irn_call_memory(&call, layers->table, 0);
    irn_call_int(&call, back);
    return run(layers, &call, layers->largest / 9);
}
