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

static irn_kernel_shape proof_shape(irn_padding padding)
{
    return (irn_kernel_shape){.outputs = 11,
                              .inputs = 19,
                              .kernel_height = 3,
                              .kernel_width = 3,
                              .height = 5,
                              .width = 4,
                              .padding = padding,
                              .stride = 1,
                              .dilation = 1,
                              .groups = 1};
}

/* A Gram matrix in which each work-item has more rows than one, some of them two and some three. */
static irn_kernel_shape tall_shape(const irn_context *context)
{
    irn_kernel_shape shape = proof_shape(IRN_PAD_CIRCULAR);
    shape.outputs = 2 * context->tuning.work_group + 12;
    shape.inputs = shape.outputs + 10;
    shape.kernel_height = shape.height = 1;
    shape.kernel_width = shape.width = 2;
    return shape;
}

static const char kernel_name[] = "a check's kernel";

/* Each one's lower bound is below the other's upper one. */
static irn_status check_order(irn_trial *c, const char *what, const irn_bound *host,
                              const irn_bound *device)
{
    IRN_TRY(irn_trial_error(c, what, host->lower / device->upper, 1));
    return irn_trial_error(c, what, device->lower / host->upper, 1);
}

/* The device's bounds beside the host's: of the same frequencies, so that they hardly differ. */
static irn_status check_circular(irn_trial *c, irn_arithmetic arithmetic, irn_kernel_shape shape)
{
    bool wide = arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT64;
    const double limit = wide ? 1e-6 : 0.02;
    double *kernel;
    irn_bound host, device;
    irn_proof proof;
    size_t count = shape.outputs * shape.inputs * shape.kernel_height * shape.kernel_width;
    IRN_TRY(irn_trial_normal(c, count, 0.25, &kernel));
    IRN_TRY(irn_prove_symbol(&host, &proof, NULL, IRN_ARITHMETIC_HOST_FLOAT64, kernel, &shape,
                             kernel_name));
    IRN_TRY(irn_prove_symbol(&device, &proof, c->context, arithmetic, kernel, &shape, kernel_name));
    IRN_TRY(irn_trial_error(c, "proven upper bound", fabs(device.upper / host.upper - 1), limit));
    return check_order(c, "proven bounds of the norm", &host, &device);
}

/* With zero padding the upper bound is that of a torus, and the lower one, by a few Lanczos steps
 * on the device, 2 % below the layer's norm, of which the host proves the whole matrix; without
 * them it would be 9 %. */
static irn_status check_padded(irn_trial *c, irn_arithmetic arithmetic)
{
    const irn_kernel_shape shape = proof_shape(IRN_PAD_ZEROS);
    double *kernel;
    irn_bound host, device;
    irn_proof proof;
    bool suits;
    IRN_TRY(irn_trial_normal(c, 11 * 19 * 9, 0.25, &kernel));
    IRN_TRY(irn_prove_operator(&host, &suits, kernel, &shape, kernel_name));
    if (!suits)
        return irn_trial_absent(c, "could not be compared with the host's proof of a matrix");
    IRN_TRY(irn_prove_symbol(&device, &proof, c->context, arithmetic, kernel, &shape, kernel_name));
    IRN_TRY(irn_trial_error(c, "proven lower bound", fabs(device.lower / host.lower - 1), 0.04));
    return check_order(c, "proven bounds of a padded layer", &host, &device);
}

static irn_status check_arithmetic(irn_trial *c, irn_arithmetic arithmetic)
{
    IRN_TRY(check_circular(c, arithmetic, proof_shape(IRN_PAD_CIRCULAR)));
    if (c->context->tuning.work_group > 1)
        IRN_TRY(check_circular(c, arithmetic, tall_shape(c->context)));
    return check_padded(c, arithmetic);
}

irn_status irn_trial_proofs(irn_trial *c)
{
    bool wide = c->context->info.has_fp64, whole;
    IRN_TRY(irn_context_loops(c->context, &whole));
    if (!whole)
        return irn_trial_absent(c, "ends long loops early, so that the host proves");
    IRN_TRY(irn_trial_error(c, "turns of loops", 0, 0));
    if (wide)
        IRN_TRY(check_arithmetic(c, IRN_ARITHMETIC_DEVICE_FLOAT64));
    if (!wide || c->thorough)
        IRN_TRY(check_arithmetic(c, IRN_ARITHMETIC_DEVICE_FLOAT32));
    return IRN_OK;
}
