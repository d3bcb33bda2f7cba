#include "flow/probe.h"
#include "base/philox.h"

static void word_argument(irn_call *call, uint64_t value)
{
    irn_call_uint(call, (uint32_t)value);
    irn_call_uint(call, (uint32_t)(value >> 32));
}

irn_status irn_probe_fill(const irn_probe *probe, const irn_tensor *out)
{
    irn_context *context = out->context;
    size_t blocks = irn_tensor_blocks(out);
    irn_call call = irn_call_begin(context, "common.clh random.cl",
                                   irn_precision_options(IRN_SINGLE), "probes");
    irn_call_memory(&call, out->memory, out->offset);
    irn_call_ulong(&call, blocks);
    irn_call_int(&call, out->channels);
    irn_call_int(&call, out->height * out->width);
    irn_call_int(&call, probe->first_image);
    irn_call_int(&call, probe->gaussian);
    word_argument(&call, probe->seed);
    word_argument(&call, probe->stream << 8 | IRN_STREAM_PROBE);
    return irn_call_run(&call, irn_block_items(context, blocks), 1, 1, context->tuning.work_group);
}
