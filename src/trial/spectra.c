/* Checks of what certification runs: clFFT with the kernels around it, singular values, and the
 * kernels of proofs. */
#include "certify/proof.h"
#include "trial/trial.h"
#include "spectral/spectrum.h"

#include <math.h>
#include <stdio.h>

/* ---- singular values ---- */

static irn_status values_by(irn_trial *c, const irn_tap_list *list, irn_spectrum_route route,
                            size_t wanted, double *values, irn_spectrum_route *taken)
{
    irn_spectrum *spectrum;
    IRN_TRY(irn_spectrum_create(&spectrum, c->context));
    irn_spectrum_force(spectrum, route);
    irn_status status = irn_spectrum_values(spectrum, list, wanted, values);
    *taken = irn_spectrum_taken(spectrum);
    irn_spectrum_free(spectrum);
    return status;
}

/* clFFT, or what brings kernels to it and results from it, is not to be relied on here. */
static void refuse_fft(irn_trial *c)
{
    c->context->fft_refused = true;
    c->result.outcome = IRN_CHECK_REPLACED;
    snprintf(c->sentence, sizeof c->sentence,
             "clFFT is wrong or fails on %s: sums over the taps take its place",
             c->context->info.name);
}

static irn_status compare_routes(irn_trial *c, const irn_tap_list *list)
{
    size_t wanted = irn_smaller(list->outputs, list->inputs);
    size_t count = irn_frequency_count(list) * wanted;
    double *host, *device;
    irn_spectrum_route taken;
    IRN_TRY(irn_trial_doubles(c, count, &host));
    IRN_TRY(irn_trial_doubles(c, count, &device));
    IRN_TRY(values_by(c, list, IRN_ROUTE_HOST, wanted, host, &taken));
    IRN_TRY(values_by(c, list, IRN_ROUTE_TAP_SUM, wanted, device, &taken));
    IRN_TRY(irn_trial_values(c, "singular values", host, device, count, 1e-10));
    if (c->context->fft_refused)
        return IRN_OK;
    IRN_TRY(values_by(c, list, IRN_ROUTE_FFT, wanted, device, &taken));
    double error = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        error += (device[i] - host[i]) * (device[i] - host[i]);
        norm += host[i] * host[i];
    }
    if (taken != IRN_ROUTE_FFT || !(error <= 1e-20 * norm))
        refuse_fft(c);
    else
        IRN_TRY(irn_trial_values(c, "singular values by clFFT", host, device, count, 1e-10));
    c->launched.count = 0;
    return IRN_OK;
}

irn_status irn_trial_spectrum(irn_trial *c)
{
    const irn_kernel_shape shape = {.outputs = 13,
                                    .inputs = 7,
                                    .kernel_height = 3,
                                    .kernel_width = 3,
                                    .height = 6,
                                    .width = 10,
                                    .padding = IRN_PAD_CIRCULAR,
                                    .stride = 1,
                                    .dilation = 1,
                                    .groups = 1};
    double *kernel;
    irn_tap_list list;
    if (!c->context->info.has_fp64)
        return irn_trial_absent(c, "has no float64, so that the host computes them");
    IRN_TRY(irn_trial_normal(c, 13 * 7 * 9, 1, &kernel));
    IRN_TRY(irn_tap_list_create(&list, kernel, &shape, "a check's kernel"));
    irn_status status = compare_routes(c, &list);
    irn_tap_list_free(&list);
    return status;
}

/* ---- proofs ---- */

/* The device's bounds beside the host's. Circular ones are of the same frequencies and hardly
 * differ; with zero padding either may have chosen others. */
static irn_status check_bounds(irn_trial *c, irn_arithmetic arithmetic, irn_padding padding)
{
    const irn_kernel_shape shape = {.outputs = 11,
                                    .inputs = 19,
                                    .kernel_height = 3,
                                    .kernel_width = 3,
                                    .height = 9,
                                    .width = 7,
                                    .padding = padding,
                                    .stride = 1,
                                    .dilation = 1,
                                    .groups = 1};
    bool wide = arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT64;
    const char *what = wide ? "proven bound in float64" : "proven bound in float32";
    double *kernel;
    irn_bound host, device;
    irn_proof proof;
    IRN_TRY(irn_trial_normal(c, 11 * 19 * 9, 0.25, &kernel));
    IRN_TRY(irn_prove_symbol(&host, &proof, NULL, IRN_ARITHMETIC_HOST_FLOAT64, kernel, &shape,
                             "a check's kernel"));
    IRN_TRY(irn_prove_symbol(&device, &proof, c->context, arithmetic, kernel, &shape,
                             "a check's kernel"));
    double limit = padding == IRN_PAD_ZEROS ? 0.05 : wide ? 1e-6 : 0.02;
    IRN_TRY(irn_trial_error(c, what, fabs(device.upper / host.upper - 1), limit));
    IRN_TRY(irn_trial_error(c, what, fabs(device.lower / host.lower - 1), limit));
    return irn_trial_error(c, what, fmax(host.lower / device.upper, device.lower / host.upper), 1);
}

irn_status irn_trial_proofs(irn_trial *c)
{
    bool wide = c->context->info.has_fp64, whole;
    IRN_TRY(irn_context_loops(c->context, &whole));
    if (!whole)
        return irn_trial_absent(c, "ends long loops early, so that the host proves");
    IRN_TRY(irn_trial_error(c, "turns of loops", 0, 0));
    for (irn_padding padding = IRN_PAD_ZEROS; padding <= IRN_PAD_CIRCULAR; padding++) {
        if (wide)
            IRN_TRY(check_bounds(c, IRN_ARITHMETIC_DEVICE_FLOAT64, padding));
        if (!wide || c->thorough)
            IRN_TRY(check_bounds(c, IRN_ARITHMETIC_DEVICE_FLOAT32, padding));
    }
    return IRN_OK;
}
