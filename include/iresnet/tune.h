/* Tuning: measures the tiles that convolutions can be cut into on a device, and remembers the best
 * for this device and driver. Without it a device has the tiles of its class. Results of training
 * and of networks are as good with any tile, but their last bits may differ: sums are divided
 * in other ways.
 *
 * CLBlast's own parameters are measured, too, in contexts that may set them
 * (irn_context_options.clblast_parameters). They stay in the process, whatever becomes of the
 * context: also where its database's are better, which the next process has again. Contexts that
 * may not set them leave CLBlast out where it was found to be faster with them. */
#ifndef IRESNET_TUNE_H
#define IRESNET_TUNE_H

#include <iresnet/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct irn_tune_options {
    uint32_t version;      /* IRN_TUNE_OPTIONS_VERSION */
    size_t repeats;        /* timed runs of each convolution, of which the best counts; 1 to 1000 */
    irn_progress progress; /* may be NULL; counts tiles */
    void *payload;
} irn_tune_options;

#define IRN_TUNE_OPTIONS_VERSION 1
#define IRN_TUNE_OPTIONS_INIT                                                                      \
    {                                                                                              \
        IRN_TUNE_OPTIONS_VERSION, 5, NULL, NULL                                                    \
    }

/* What was measured of one tile. */
typedef struct irn_tune_entry {
    char use[24];  /* what the tile is for: "apply", "gradient", ...; see the README */
    char tile[48]; /* its sizes: "128x8x2x1" */
    double gflops; /* over the shapes that stand for the use; 0: the device failed on it */
    bool before;   /* was in use before */
    bool best;     /* is in use now */
} irn_tune_entry;

/* Words for the device's class, whose tiles are the defaults; static storage. */
IRN_API const char *irn_tune_class(const irn_context *context);

/* Measures every tile that the device's class may have, and has the context use the best: another
 * than before only if it is at least 3 % faster. *out, of the caller to free(), has *count entries;
 * none where there is nothing to choose. Nothing made from the context may be alive. Errors:
 * IRN_ERROR_ARGUMENT, IRN_ERROR_CANCELLED, and of the device; the context's tiles are as before
 * (CLBlast's parameters may not be). A CLBlast that fails is no error: its entries have failed. */
IRN_API irn_status irn_tune(irn_context *context, const irn_tune_options *options,
                            irn_tune_entry **out, size_t *count);

/* The file that remembers tiles of this device and driver, in the folder of compiled kernels; path
 * of size bytes. Errors: IRN_ERROR_FILE without such a folder. */
IRN_API irn_status irn_tune_path(const irn_context *context, char *path, size_t size);

/* Writes the context's tiles there, whole or not at all, for contexts to come. Errors:
 * IRN_ERROR_FILE. */
IRN_API irn_status irn_tune_remember(const irn_context *context);

/* Removes what was remembered; was there any? The context's tiles become its class's, or what the
 * environment's IRN_TUNING says. Nothing made from the context may be alive. Errors:
 * IRN_ERROR_ARGUMENT, IRN_ERROR_FILE, and of the device. */
IRN_API irn_status irn_tune_forget(irn_context *context, bool *any);

#ifdef __cplusplus
}
#endif

#endif
