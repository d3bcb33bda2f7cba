/* iresnet decode */
#include "cli.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

typedef struct decode_options {
    const char *in, *out, *errors;
    double tolerance;
    size_t max_iterations;
} decode_options;

static const cli_option decode_table[] = {
    {.name = "in",
     .kind = CLI_TEXT,
     .offset = offsetof(decode_options, in),
     .argument = "Z.npy",
     .help = "latents, float32 [N,D] (needed)"},
    {.name = "out",
     .kind = CLI_TEXT,
     .offset = offsetof(decode_options, out),
     .argument = "X.npy|X.png",
     .help = "images, float32 [N,C,H,W], or a picture of them with\n"
             "-0.5 black and 0.5 white (needed; - is standard output,\n"
             "as NPY)"},
    {.name = "tolerance",
     .kind = CLI_REAL,
     .offset = offsetof(decode_options, tolerance),
     .argument = "X",
     .help = "Euclidean error aimed at in each block (default 1e-5)",
     .high = DBL_MAX,
     .above = true},
    {.name = "max-iterations",
     .kind = CLI_COUNT,
     .offset = offsetof(decode_options, max_iterations),
     .argument = "N",
     .help = "fixed-point steps in a block at most (default 1000)",
     .low = 1,
     .high = 1e6},
    {.name = "errors",
     .kind = CLI_TEXT,
     .offset = offsetof(decode_options, errors),
     .argument = "E.npy",
     .help = "proven upper bounds on each image's Euclidean error,\n"
             "float64 [N]; needs a certified model"},
};

/* Tells how good the inverses are. */
static void report(cli_session *session, const decode_options *options,
                   const cli_decoding *decoding, size_t count)
{
    if (!decoding->proven) {
        cli_note(session, "%s is not certified, or the device has no float64: no error is claimed",
                 session->model_path);
        return;
    }
    size_t missed = 0;
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        missed += !(decoding->bounds[i] <= options->tolerance);
        worst = cli_larger(worst, decoding->bounds[i]);
    }
    if (missed > 0)
        cli_note(session,
                 "%zu of %zu samples miss the tolerance %g; the worst proven bound is %.3g (%s)",
                 missed, count, options->tolerance, worst,
                 decoding->iterations >= options->max_iterations ? "--max-iterations was reached"
                                                                 : "rounding allows no better");
    else
        cli_note(session, "%zu samples, proven errors at most %.3g, at most %zu steps a block",
                 count, worst, decoding->iterations);
}

static int write_all(cli_session *session, const decode_options *options, float *x, double *errors,
                     size_t count)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    int result = CLI_DONE;
    if (options->errors)
        result = cli_write_array(session, options->errors, IRN_FLOAT64, 1, &count, errors);
    if (result != CLI_DONE)
        return result;
    if (!cli_has_suffix(options->out, ".png"))
        return cli_write_inputs(session, options->out, x, count);
    irn_status status = irn_png_write_grid(x, count, config->channels, config->height,
                                           config->width, -0.5f, 0.5f, 0, 0, options->out);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

static int decode(cli_session *session, const decode_options *options)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    if (cli_has_suffix(options->out, ".png") && config->channels != 1 && config->channels != 3)
        return cli_error(session, CLI_FAILED, "%s: pictures have 1 or 3 channels, %s has %zu",
                         options->out, session->model_path, config->channels);
    irn_decode_options how = IRN_DECODE_OPTIONS_INIT;
    how.tolerance = options->tolerance;
    how.max_iterations = options->max_iterations;
    cli_samples z = {.count = 0};
    cli_decoding decoding = {.proven = false};
    float *x = NULL;
    int result = cli_read_latents(session, options->in, &z);
    if (result == CLI_DONE) {
        size_t size = config->channels * config->height * config->width;
        x = calloc(z.count, size * sizeof *x);
        decoding.bounds = calloc(z.count, sizeof *decoding.bounds);
        result = x && decoding.bounds
                     ? cli_decode(session, &z, &how, options->errors != NULL, x, &decoding)
                     : cli_error(session, CLI_FAILED, "no memory for %zu samples", z.count);
    }
    if (result == CLI_DONE)
        result = write_all(session, options, x, decoding.bounds, z.count);
    if (result == CLI_DONE)
        report(session, options, &decoding, z.count);
    free(x);
    free(decoding.bounds);
    cli_samples_free(&z);
    return result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    decode_options options = {.tolerance = 1e-5, .max_iterations = 1000};
    cli_group groups[] = {{.title = "Options",
                           .options = decode_table,
                           .count = sizeof decode_table / sizeof *decode_table,
                           .values = &options},
                          cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 2, argc, argv, &operands, &result))
        return result;
    if (!options.in || !options.out)
        return cli_usage(self, "--in and --out are needed");
    if (options.errors && strcmp(options.errors, options.out) == 0)
        return cli_usage(self, "--out and --errors are both '%s'", options.out);
    cli_progress_init(&session.progress, session.common.quiet);
    result = cli_session_model(&session, operands.values[0]);
    if (result == CLI_DONE)
        result = decode(&session, &options);
    cli_session_close(&session);
    return result;
}

const cli_command cli_command_decode = {
    .name = "decode",
    .summary = "images x = F^-1(z) of latents, with a proven error",
    .synopsis = "MODEL --in Z.npy --out X.npy|X.png [options]",
    .about = "Inverts the network by fixed-point iteration in each block, each sample until its\n"
             "proven error meets the tolerance or rounding allows no better. A model that is not\n"
             "certified is inverted as well, but no error is claimed; --errors then ends with\n"
             "status 3.\n",
    .examples = "  iresnet decode run/model.safetensors --in z.npy --out x.npy --errors e.npy\n"
                "  iresnet decode run/model.safetensors --in z.npy --out pictures.png\n",
    .run = run,
};
