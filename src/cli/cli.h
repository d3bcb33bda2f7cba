/* What the commands of the program share: the table of commands, exit statuses, and the session
 * that holds a command's device, model and progress bar. */
#ifndef IRN_CLI_H
#define IRN_CLI_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include <iresnet/iresnet.h>

#include "options.h"
#include "progress.h"

enum {
    CLI_DONE = 0,
    CLI_FAILED = 1,   /* data, device or disk */
    CLI_USAGE = 2,    /* the command line */
    CLI_BOUND = 3,    /* a bound does not hold */
    CLI_STOPPED = 130 /* Ctrl-C, as shells count it */
};

/* Every command, in the order of the help. */
#define CLI_COMMANDS(X)                                                                            \
    X(devices)                                                                                     \
    X(train)                                                                                       \
    X(eval)                                                                                        \
    X(predict)                                                                                     \
    X(encode)                                                                                      \
    X(decode)                                                                                      \
    X(sample)                                                                                      \
    X(interpolate)                                                                                 \
    X(density)                                                                                     \
    X(certify)                                                                                     \
    X(verify)                                                                                      \
    X(import)                                                                                      \
    X(bench)                                                                                       \
    X(tune)

#define CLI_DECLARE_COMMAND(name) extern const cli_command cli_command_##name;
CLI_COMMANDS(CLI_DECLARE_COMMAND)
#undef CLI_DECLARE_COMMAND

/* One run of a command. Functions that can fail return an exit status, CLI_DONE for success, and
 * have told the reason on standard error. */
typedef struct cli_session {
    const cli_command *command;
    cli_common common;
    cli_progress progress;
    irn_context *context;
    irn_model *model;
    const char *model_path;
    unsigned parts; /* that the device is checked for, as in irn_check_options; 0: networks and
                       inverses */
    bool checking;  /* it is */
} cli_session;

/* Opens the device; and also checks it, at its first use with this driver and version. */
int cli_session_open(cli_session *session);
int cli_session_context(cli_session *session);
/* Checks it for more, if that was not done before. */
irn_status cli_session_check(cli_session *session, unsigned parts);
int cli_session_model(cli_session *session, const char *path);
void cli_session_close(cli_session *session);

/* Tells the library's last error. cli_fail_option() is for calls that judge what stood on the
 * command line: IRN_ERROR_ARGUMENT is a usage error there. */
int cli_fail(cli_session *session, irn_status status);
int cli_fail_option(cli_session *session, irn_status status);

/* Tells an error of the program's own and returns status; a usage error points to the help. */
int cli_error(cli_session *session, int status, const char *format, ...) CLI_PRINTF(3, 4);

/* A warning on standard error; a note is left out with --quiet. */
void cli_warn(cli_session *session, const char *format, ...) CLI_PRINTF(2, 3);
void cli_note(cli_session *session, const char *format, ...) CLI_PRINTF(2, 3);

/* Samples as the model takes them (x) or gives them (z), float [count, size]; freed by the caller.
 */
typedef struct cli_samples {
    float *values;
    int *labels; /* may be NULL */
    size_t count, size;
    size_t total; /* of the data set that they are from, if they are from one */
} cli_samples;

void cli_samples_free(cli_samples *samples);

/* Reads float32 samples from NPY: images [N,C,H,W], or [N,C] for a model of points. */
int cli_read_inputs(cli_session *session, const char *path, cli_samples *out);
/* Reads float32 latents [N,D]. */
int cli_read_latents(cli_session *session, const char *path, cli_samples *out);
/* Copies the first examples, at most limit (0: all), of a data set that fits the model. */
int cli_read_dataset(cli_session *session, const char *spec, irn_split split, size_t limit,
                     cli_samples *out);
/* The same with examples that the seed draws at random, none twice; all in their order. */
int cli_draw_examples(cli_session *session, const char *spec, irn_split split, size_t limit,
                      cli_samples *out);
/* And of a data set that is open. */
int cli_take_examples(cli_session *session, const irn_dataset *dataset, size_t limit, bool random,
                      cli_samples *out);
/* Opens a data set and checks that it fits the model's input and classes. */
int cli_open_dataset(cli_session *session, const char *spec, irn_split split, irn_dataset **out);
/* Whether the data set's images have the model's shape and its labels fit the head. */
int cli_check_dataset(cli_session *session, const char *spec, const irn_dataset *dataset);

/* Fails where values are none that the model's discrete data can have; path is for the sentence. */
int cli_check_range(cli_session *session, const char *path, const cli_samples *x);

/* Writes an array of which values stay the caller's. */
int cli_write_array(cli_session *session, const char *path, irn_dtype type, size_t rank,
                    const size_t *shape, void *values);
/* Writes samples with the shape of the model's input. */
int cli_write_inputs(cli_session *session, const char *path, float *values, size_t count);

/* z = F(x), in pieces with progress. */
int cli_encode(cli_session *session, const cli_samples *x, float *z);
/* Class scores likewise. */
int cli_predict(cli_session *session, const cli_samples *x, float *scores);

/* x = F^-1(z) likewise, with proven bounds on the Euclidean errors, double [count] of the caller.
 * Where none can be proven, and they are not a must, they do not count and proven is false. */
typedef struct cli_decoding {
    double *bounds;
    bool certify; /* given: if the model has no bounds, prove them first */
    bool proven;
    size_t iterations;
} cli_decoding;
int cli_decode(cli_session *session, const cli_samples *z, const irn_decode_options *how,
               bool must_prove, float *x, cli_decoding *out);
/* The same with back = F^-1(F(x)), and bounds on its distance from x. */
int cli_reconstruct(cli_session *session, const cli_samples *x, float *back, cli_decoding *out);

/* Whether a path ends in a suffix, in any case. */
bool cli_has_suffix(const char *path, const char *suffix);

/* The larger value; NaN if either is. */
double cli_larger(double a, double b);

/* NULL-terminated words of irn_padding, irn_split, irn_roulette_kind and irn_arithmetic, in their
 * order. */
extern const char *const cli_padding_words[];
extern const char *const cli_split_words[];
extern const char *const cli_roulette_words[];
extern const char *const cli_arithmetic_words[];

#define CLI_ARITHMETIC_HELP                                                                        \
    "what is proven in: float64 or float32 on the\n"                                               \
    "device, host: float64 on the host, or auto: float64 on\n"                                     \
    "the device if it can, else on the host (default auto);\n"                                     \
    "on maps small enough auto and host prove the\n"                                               \
    "zero-padded layer itself, the others the torus it is\n"                                       \
    "part of"

#endif
