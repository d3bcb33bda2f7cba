/* iresnet encode */
#include "cli.h"

#include <stdlib.h>

typedef struct encode_options {
    const char *in, *data, *out;
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
};

static int encode(cli_session *session, const encode_options *options)
{
    cli_samples x = {.count = 0};
    int result = options->in ? cli_read_inputs(session, options->in, &x)
                             : cli_read_dataset(session, options->data, (irn_split)options->split,
                                                options->count, &x);
    size_t size = irn_model_latent_size(session->model);
    float *z = NULL;
    if (result == CLI_DONE) {
        z = calloc(x.count, size * sizeof *z);
        result = z ? cli_encode(session, &x, z)
                   : cli_error(session, CLI_FAILED, "no memory for %zu samples", x.count);
    }
    const size_t shape[] = {x.count, size};
    if (result == CLI_DONE)
        result = cli_write_array(session, options->out, IRN_FLOAT32, 2, shape, z);
    free(z);
    cli_samples_free(&x);
    return result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    encode_options options = {.split = IRN_TEST};
    cli_group groups[] = {{.title = "Files",
                           .options = encode_table,
                           .count = sizeof encode_table / sizeof *encode_table,
                           .values = &options},
                          cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 2, argc, argv, &operands, &result))
        return result;
    if (!options.in == !options.data || !options.out)
        return cli_usage(self, "--out and one of --in and --data are needed");
    if (options.in && (cli_given(&groups[0], "split") || cli_given(&groups[0], "count")))
        return cli_usage(self, "--split and --count go with --data, not with --in");
    cli_progress_init(&session.progress, session.common.quiet);
    result = cli_session_model(&session, operands.values[0]);
    if (result == CLI_DONE)
        result = encode(&session, &options);
    cli_session_close(&session);
    return result;
}

const cli_command cli_command_encode = {
    .name = "encode",
    .summary = "latents z = F(x) of images",
    .synopsis = "MODEL (--in X.npy | --data SPEC) --out Z.npy [options]",
    .about = "Sends images through the network and writes their latents, one row an image.\n"
             "`iresnet decode` turns them back into the images.\n",
    .examples = "  iresnet encode run/model.safetensors --in x.npy --out z.npy\n"
                "  iresnet encode run/model.safetensors --data digits --count 25 --out z.npy\n",
    .run = run,
};
