#include "flow/probe.h"
#include "base/philox.h"

static void word_argument(irn_call *call, uint64_t value)
{
    irn_call_uint(call, (uint32_t)value);
    irn_call_uint(call, (uint32_t)(value >> 32));
}

/* Counters for a block: one serves four channels. */
static size_t counters_of(const irn_tensor *out)
{
    size_t quarters = 1, wanted = irn_smaller(out->channels, out->context->tuning.channel_block);
    while (4 * quarters < wanted)
        quarters *= 2;
    return quarters;
}

irn_status irn_probe_fill(const irn_probe *probe, const irn_tensor *out)
{
    irn_context *context = out->context;
    size_t blocks = irn_tensor_blocks(out), share = blocks;
    irn_call call =
        irn_call_begin(context, "common.clh random.cl", irn_precision_options(IRN_SINGLE),
                       probe->gaussian ? "normal_probes" : "sign_probes");
    irn_call_memory(&call, out->memory, out->offset);
    irn_call_ulong(&call, blocks);
    irn_call_int(&call, out->channels);
    irn_call_int(&call, out->height * out->width);
    irn_call_int(&call, probe->first_image);
    if (probe->gaussian) {
        size_t counters = counters_of(out);
        irn_call_int(&call, counters);
        share = (blocks * counters + 3) / 4;
    }
    word_argument(&call, probe->seed);
    word_argument(&call, probe->stream << 8 | IRN_STREAM_PROBE);
    return irn_call_run(&call, irn_block_items(context, share), 1, 1, context->tuning.work_group);
}
