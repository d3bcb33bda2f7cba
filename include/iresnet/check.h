/* Whether a device computes rightly: every family of kernels that training, inversion, densities
 * and certification use, on small odd shapes, against double precision on the host; and clFFT. A
 * driver that miscompiles a kernel is told by nothing else than wrong results. */
#ifndef IRESNET_CHECK_H
#define IRESNET_CHECK_H

#include <iresnet/context.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a device may be needed for; each part is checked, and remembered, by itself. */
enum {
    IRN_CHECK_NETWORKS = 1,      /* latents and scores, in float32 */
    IRN_CHECK_INVERSES = 2,      /* inverses, float64, densities of samples */
    IRN_CHECK_TRAINING = 4,      /* gradients of classifiers, optimisers */
    IRN_CHECK_DENSITIES = 8,     /* gradients of densities */
    IRN_CHECK_CERTIFICATES = 16, /* singular values, proofs */
    IRN_CHECK_ALL = 31
};

typedef enum irn_check_outcome {
    IRN_CHECK_PASSED,
    IRN_CHECK_FAILED,
    IRN_CHECK_REPLACED, /* a library's routine fails, and the library's own takes its place */
    IRN_CHECK_ABSENT    /* the device does not have what it takes: float64, say */
} irn_check_outcome;

/* What came of one family. Texts are valid during the call. */
typedef struct irn_check_result {
    const char *family; /* "convolution" */
    irn_check_outcome outcome;
    const char *worst;    /* what was farthest from its limit: "conv_apply"; "" if none */
    double error, limit;  /* of that: relative to the norm of what it should be, or as said there */
    double seconds;       /* compiling included */
    const char *sentence; /* why it failed, was replaced or is absent; "" */
} irn_check_result;

typedef struct irn_check_options {
    uint32_t version; /* IRN_CHECK_OPTIONS_VERSION */
    unsigned parts;   /* IRN_CHECK_NETWORKS, ... */
    bool thorough;    /* all families with all activations and precisions, and on after a failure;
                         false: what the first use of a device is worth, in seconds but for the
                         compilation of kernels that are kept for later */
    bool remember;    /* nothing is done for a device that has passed before, with this driver and
                         this version of the library, nor if the environment's IRN_CHECK is "off" */
    irn_progress progress; /* may be NULL; counts families */
    void *progress_payload;
    void (*result)(const irn_check_result *result, void *payload); /* may be NULL */
    void *result_payload;
} irn_check_options;

#define IRN_CHECK_OPTIONS_VERSION 1
#define IRN_CHECK_OPTIONS_INIT                                                                     \
    {                                                                                              \
        IRN_CHECK_OPTIONS_VERSION, IRN_CHECK_ALL, false, false, NULL, NULL, NULL, NULL             \
    }

/* Checks the context's device; options NULL: all parts, in seconds, unless they have passed before.
 * Opening a context does not: call this after irn_context_create(), as the program does. That the
 * device has passed is kept in the context's cache folder, until it fails. IRN_ERROR_DEVICE if a
 * kernel computes wrongly, cannot be compiled or does not run: the sentence names it, device and
 * driver, the error and the limit, and nothing that the device computes should be trusted. clFFT
 * failing is no error, for sums over taps take its place, in this context and in later ones that
 * remember; nor is CLBlast failing where the device's tuning has it, for tiles do. Other errors:
 * IRN_ERROR_MEMORY, IRN_ERROR_CANCELLED, IRN_ERROR_ARGUMENT. */
IRN_API irn_status irn_device_check(irn_context *context, const irn_check_options *options);

#ifdef __cplusplus
}
#endif

#endif
