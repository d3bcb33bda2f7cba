/* iresnet encode */
#include "files.h"
#include "logdet.h"

#include <stdlib.h>

typedef struct encode_options {
    const char *in, *data, *out, *logdet;
    int split;
    size_t count;
} encode_options;

static const cli_option encode_table[] = {
    {.name = "in",
     .kind = CLI_TEXT,
     .offset = offsetof(encode_options, in),
     .argument = "X.npy",
     .help = "images, float32 [N,C,H,W]; or:"},
    {.name = "data",
     .kind = CLI_TEXT,
     .offset = offsetof(encode_options, data),
     .argument = "SPEC",
     .help = "a data set (see `iresnet train --help`)"},
    {.name = "split",
     .kind = CLI_WORD,
     .offset = offsetof(encode_options, split),
     .argument = "NAME",
     .help = "its part: train or test (default test)",
     .words = cli_split_words},
    {.name = "count",
     .kind = CLI_COUNT,
     .offset = offsetof(encode_options, count),
     .argument = "N",
     .help = "only its first N examples",
     .low = 1,
     .high = 1e9},
    {.name = "out",
     .kind = CLI_TEXT,
     .offset = offsetof(encode_options, out),
     .argument = "Z.npy",
     .help = "latents, float32 [N,D] (needed; - is standard output)"},
    {.name = "logdet",
     .kind = CLI_TEXT,
     .offset = offsetof(encode_options, logdet),
     .argument = "LD.npy",
     .help = "log|det dF/dx| of each, float64 [N]; needs a model with a\n"
             "prior"},
};

static int write_latents(cli_session *session, const encode_options *options, size_t count,
                         float *z)
{
    const size_t shape[] = {count, irn_model_latent_size(session->model)};
    return cli_write_array(session, options->out, IRN_FLOAT32, 2, shape, z);
}

/* z with the log-determinants of the way there; neither file without the other's values. */
static int encode_with_logdet(cli_session *session, const encode_options *options,
                              const cli_logdet *how, const cli_samples *x, float *z)
{
    irn_log_density *samples = calloc(x->count, sizeof *samples);
    double *logdet = calloc(x->count, sizeof *logdet);
    int result = samples && logdet
                     ? cli_log_density(session, how, false, x, samples, z)
                     : cli_error(session, CLI_FAILED, "no memory for %zu samples", x->count);
    for (size_t i = 0; result == CLI_DONE && i < x->count; i++)
        logdet[i] = samples[i].logdet;
    if (result == CLI_DONE)
        result = write_latents(session, options, x->count, z);
    if (result == CLI_DONE)
        result = cli_write_array(session, options->logdet, IRN_FLOAT64, 1, &x->count, logdet);
    free(samples);
    free(logdet);
    return result;
}

static int encode(cli_session *session, const encode_options *options, const cli_logdet *how)
{
    cli_samples x = {.count = 0};
    int result = options->in ? cli_read_inputs(session, options->in, &x)
                             : cli_read_dataset(session, options->data, (irn_split)options->split,
                                                options->count, &x);
    float *z = NULL;
    if (result == CLI_DONE) {
        z = calloc(x.count, irn_model_latent_size(session->model) * sizeof *z);
        result =
            z ? CLI_DONE : cli_error(session, CLI_FAILED, "no memory for %zu samples", x.count);
    }
    if (result == CLI_DONE)
        result = cli_check_range(session, options->in ? options->in : options->data, &x);
    if (result == CLI_DONE && options->logdet) {
        result = encode_with_logdet(session, options, how, &x, z);
    } else if (result == CLI_DONE) {
        result = cli_encode(session, &x, z);
        if (result == CLI_DONE)
            result = write_latents(session, options, x.count, z);
    }
    free(z);
    cli_samples_free(&x);
    return result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    encode_options options = {.split = IRN_TEST};
    cli_logdet logdet;
    cli_logdet_init(&logdet);
    cli_group groups[] = {
        {.title = "Files",
         .options = encode_table,
         .count = sizeof encode_table / sizeof *encode_table,
         .values = &options},
        cli_logdet_group(&logdet),
        cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_SEED | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 3, argc, argv, &operands, &result))
        return result;
    if (!options.in == !options.data || !options.out)
        return cli_usage(self, "--out and one of --in and --data are needed");
    if (options.in && (cli_given(&groups[0], "split") || cli_given(&groups[0], "count")))
        return cli_usage(self, "--split and --count go with --data, not with --in");
    const char *unused = cli_first_given(&groups[1], NULL);
    if (unused && !options.logdet)
        return cli_usage(self, "--%s goes with --logdet", unused);
    result = cli_logdet_check(self, &groups[1], false);
    if (result != CLI_DONE)
        return result;
    const cli_file files[] = {{"out", options.out, {".npy"}}, {"logdet", options.logdet, {".npy"}}};
    result = cli_check_files(&session, files, 2);
    if (result != CLI_DONE)
        return result;
    cli_progress_init(&session.progress, session.common.quiet);
    result = cli_session_model(&session, operands.values[0]);
    if (result == CLI_DONE)
        result = encode(&session, &options, &logdet);
    cli_session_close(&session);
    return result;
}

const cli_command cli_command_encode = {
    .name = "encode",
    .summary = "latents z = F(x) of images",
    .synopsis = "MODEL (--in X.npy | --data SPEC) --out Z.npy [options]",
    .about = "Sends images through the network and writes their latents, one row an image.\n"
             "`iresnet decode` turns them back into the images. With --logdet also the\n"
             "log-determinants of the network's Jacobian there.\n",
    .examples =
        "  iresnet encode run/model.safetensors --in x.npy --out z.npy\n"
        "  iresnet encode run/model.safetensors --data digits --count 25 --out z.npy\n"
        "  iresnet encode density/model.safetensors --in x.npy --out z.npy --logdet ld.npy\n",
    .run = run,
};
