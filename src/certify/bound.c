#include "certify/bound.h"
#include "certify/proof.h"

#include <math.h>

irn_bound irn_bound_scaled(irn_bound bound, double scale)
{
    double size = fabs(scale), lower = bound.lower * size, upper = bound.upper * size;
    return (irn_bound){lower > 0 ? irn_round_down(lower) : 0,
                       bound.upper == 0 || size == 0 ? 0 : irn_round_up(upper)};
}

irn_arithmetic irn_certify_arithmetic(const irn_certify_options *options)
{
    return options ? options->arithmetic : IRN_ARITHMETIC_AUTO;
}

/* The zero-padded layer's own matrix, if it is small enough to be worth it, and if the host may do
 * it. A single tap's symbol is the layer already. */
static irn_status by_operator(irn_bound *out, irn_proof *proof, bool *proven,
                              irn_arithmetic arithmetic, const double *kernel,
                              const irn_kernel_shape *shape, const char *name)
{
    bool device =
        arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT64 || arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT32;
    *proven = false;
    if (device || shape->kernel_height * shape->kernel_width == 1)
        return IRN_OK;
    *proof = (irn_proof){IRN_PROOF_OPERATOR, IRN_ARITHMETIC_HOST_FLOAT64, {0, 0}};
    return irn_prove_operator(out, proven, kernel, shape, name);
}

irn_status irn_bound_kernel(irn_bound *out, irn_proof *proof, irn_context *context,
                            irn_arithmetic arithmetic, const double *kernel,
                            const irn_kernel_shape *shape, const char *name)
{
    irn_bound bound;
    bool proven;
    if ((unsigned)arithmetic > IRN_ARITHMETIC_HOST_FLOAT64)
        return irn_fail(IRN_ERROR_ARGUMENT, "%s: no such arithmetic: %d", name, (int)arithmetic);
    IRN_TRY(irn_check_rounding());
    IRN_TRY(by_operator(&bound, proof, &proven, arithmetic, kernel, shape, name));
    if (!proven)
        IRN_TRY(irn_prove_symbol(&bound, proof, context, arithmetic, kernel, shape, name));
    /* They come from different computations, so this would show a device that computes wrongly. */
    if (!(bound.lower <= bound.upper))
        return irn_fail(IRN_ERROR_DEVICE, "%s: the bounds contradict each other: %.17g, %.17g",
                        name, bound.lower, bound.upper);
    *out = bound;
    return IRN_OK;
}

irn_status irn_certify_progress(const irn_certify_options *options, size_t done, size_t total,
                                const char *what)
{
    if (options && options->progress &&
        !options->progress(done, total, what, options->progress_payload))
        return irn_fail(IRN_ERROR_CANCELLED, "certification was cancelled after %zu of %zu layers",
                        done, total);
    return IRN_OK;
}
