/* Whether a device takes all turns of a kernel's loops. */
#include "runtime/runtime.h"

/* llvmpipe ends loops after 65,535 turns, all loops of a work-item together, and says nothing. A
 * factorisation of order 512 takes 300,000, one of order 1,024 two million. */
enum { TURNS = 1 << 22 };

static irn_status count(irn_context *context, uint32_t *result)
{
    cl_mem memory;
    IRN_TRY(irn_memory_create(context, &memory, 1, sizeof *result, true));
    irn_call call = irn_call_begin(context, "turns.cl", "", "count_turns");
    irn_call_memory(&call, memory, 0);
    irn_call_int(&call, TURNS);
    irn_status status = irn_call_run(&call, 1, 1, 1, 1);
    if (status == IRN_OK)
        status = irn_memory_read(context, memory, 0, result, sizeof *result);
    irn_memory_release(context, memory);
    return status;
}

irn_status irn_context_loops(irn_context *context, bool *whole)
{
    uint32_t expected = 1, result = 0;
    if (context->loops == IRN_LOOPS_UNKNOWN) {
        for (int i = 0; i < TURNS; i++)
            expected = expected * UINT32_C(1664525) + UINT32_C(1013904223);
        IRN_TRY(count(context, &result));
        context->loops = result == expected ? IRN_LOOPS_WHOLE : IRN_LOOPS_CUT;
    }
    *whole = context->loops == IRN_LOOPS_WHOLE;
    return IRN_OK;
}
