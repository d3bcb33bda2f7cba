/* iresnet decode */
#include "inverse.h"

static const cli_option decode_table[] = {
    {.name = "in",
     .kind = CLI_TEXT,
     .argument = "Z.npy",
     .help = "latents, float32 [N,D] (needed)"},
};

static int decode(cli_session *session, const cli_inverse *options, const void *payload)
{
    const char *const *in = payload;
    cli_samples z = {.count = 0};
    int result = cli_read_latents(session, *in, &z);
    if (result == CLI_DONE)
        result = cli_inverse_check_picture(session, options, z.count, 0);
    if (result == CLI_DONE)
        result = cli_inverse_run(session, options, &z, 0);
    cli_samples_free(&z);
    return result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    const char *in = NULL;
    cli_inverse options = CLI_INVERSE_INIT;
    cli_group groups[] = {{.title = "Latents", .options = decode_table, .count = 1, .values = &in},
                          cli_inverse_group(&options),
                          cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 3, argc, argv, &operands, &result))
        return result;
    if (!in || !options.out)
        return cli_usage(self, "--in and --out are needed");
    return cli_inverse_main(&session, operands.values[0], &options, decode, &in);
}

const cli_command cli_command_decode = {
    .name = "decode",
    .summary = "images x = F^-1(z) of latents, with a proven error",
    .synopsis = "MODEL --in Z.npy --out X.npy|X.png [options]",
    .about = "Inverts the network by fixed-point iteration in each block, each sample until its\n"
             "proven error meets the tolerance or rounding allows no better. A model without\n"
             "bounds is certified first; one that cannot be is inverted as well, but no error is\n"
             "claimed, and --errors then ends with status 3.\n",
    .examples = "  iresnet decode run/model.safetensors --in z.npy --out x.npy --errors e.npy\n"
                "  iresnet decode run/model.safetensors --in z.npy --out pictures.png\n",
    .run = run,
};
