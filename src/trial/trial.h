/* The inside of irn_device_check(): one run of it, what families of kernels are checked with, and
 * the families themselves. */
#ifndef IRN_TRIAL_TRIAL_H
#define IRN_TRIAL_TRIAL_H

#include "ops/conv.h"

#include <iresnet/check.h>

/* A run. What a family makes with the functions below is freed after it, so that it may return at
 * any failure. */
typedef struct irn_trial {
    irn_context *context;
    bool thorough;
    uint64_t drawn; /* random arrays so far */
    void **hosts;
    cl_mem *memories;
    size_t host_count, memory_count;
    irn_launches launched; /* since the last comparison */
    irn_launches compared; /* before it, which several comparisons may be of */
    irn_launches passed;   /* what comparisons that passed have vouched for */
    irn_check_result result;
    char worst[64], sentence[1024];
} irn_trial;

/* Frees all that was made. */
void irn_trial_clear(irn_trial *trial);

/* ---- fixture.c: numbers on the host and on the device ---- */

/* Zeroed memory, to a pointer of any type. */
irn_status irn_trial_memory(irn_trial *trial, size_t count, size_t size, void *out);

/* Zeros; standard normal numbers that are exact in float, times `spread`. */
irn_status irn_trial_doubles(irn_trial *trial, size_t count, double **out);
irn_status irn_trial_normal(irn_trial *trial, size_t count, double spread, double **out);
irn_status irn_trial_floats(irn_trial *trial, const double *values, size_t count, float **out);
irn_status irn_trial_widened(irn_trial *trial, const float *values, size_t count, double **out);

/* Device memory full of NaN. */
irn_status irn_trial_room(irn_trial *trial, irn_precision precision, size_t count, irn_place *out);

/* The same with values in the device's order, padding zero; values NULL: NaN. Arrays are as
 * everywhere: [images, channels, height, width], [outputs, inputs, kernel height and width]. They
 * are laid out and read on the host, which a wrong pack() or unpack() cannot reach. */
irn_status irn_trial_tensor(irn_trial *trial, irn_precision precision, const size_t shape[4],
                            const double *values, irn_tensor *out);
irn_status irn_trial_vector(irn_trial *trial, irn_precision precision, size_t channels,
                            const double *values, irn_place *out);
irn_status irn_trial_kernel(irn_trial *trial, irn_precision precision, const irn_conv *conv,
                            const double *values, irn_place *out);

irn_status irn_trial_read_tensor(irn_trial *trial, const irn_tensor *tensor, double **out);
irn_status irn_trial_read_vector(irn_trial *trial, irn_precision precision, irn_place place,
                                 size_t channels, double **out);
irn_status irn_trial_read_kernel(irn_trial *trial, irn_precision precision, irn_place place,
                                 const irn_conv *conv, double **out);

/* ---- fixture.c: comparisons ---- */

/* IRN_ERROR_DEVICE unless error <= limit, with the kernels that may be to blame: those launched
 * since the last comparison that none has vouched for yet. `what` is what was computed. */
irn_status irn_trial_error(irn_trial *trial, const char *what, double error, double limit);
/* These kernels: "kernel conv_apply sample_dots", cut where there is no more room. */
void irn_trial_suspects(irn_trial *trial, char *text, size_t size);
/* The error in norm, relative to what is expected (absolute where that is 0). */
irn_status irn_trial_values(irn_trial *trial, const char *what, const double *expected,
                            const double *got, size_t count, double limit);
irn_status irn_trial_is_tensor(irn_trial *trial, const char *what, const double *expected,
                               const irn_tensor *got, double limit);
irn_status irn_trial_is_vector(irn_trial *trial, const char *what, const double *expected,
                               irn_precision precision, irn_place got, size_t channels,
                               double limit);

/* In a precision, of sums and functions of numbers of order 1. */
double irn_trial_limit(irn_precision precision);
/* The family needs what the device does not have: `why`, "has no float64". */
irn_status irn_trial_absent(irn_trial *trial, const char *why);

/* ---- the families ---- */

irn_status irn_trial_layout(irn_trial *trial);
irn_status irn_trial_elements(irn_trial *trial);
irn_status irn_trial_sums(irn_trial *trial);
irn_status irn_trial_convolutions(irn_trial *trial);
/* The same as far as there is float64 in them. */
irn_status irn_trial_float64(irn_trial *trial);
irn_status irn_trial_convolutions_in(irn_trial *trial, irn_precision precision);
irn_status irn_trial_random(irn_trial *trial);
irn_status irn_trial_power(irn_trial *trial);
irn_status irn_trial_network(irn_trial *trial);
irn_status irn_trial_inverse(irn_trial *trial);
irn_status irn_trial_training(irn_trial *trial);
irn_status irn_trial_densities(irn_trial *trial);
irn_status irn_trial_optimisers(irn_trial *trial);
irn_status irn_trial_spectrum(irn_trial *trial);
irn_status irn_trial_proofs(irn_trial *trial);

/* ---- remember.c ---- */

/* Those of the parts that the device has passed before; what was found then goes to the context. */
unsigned irn_trial_remembered(irn_context *context, unsigned parts);
/* Keeps that it has passed them, or drops it; failures are only logged. */
void irn_trial_remember(irn_context *context, unsigned parts);
void irn_trial_forget(irn_context *context, unsigned parts);

#endif
