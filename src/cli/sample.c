/* iresnet sample */
#include "inverse.h"

#include <float.h>

typedef struct sample_options {
    size_t count; /* 0: enough for a picture */
    double temperature;
} sample_options;

static const cli_option sample_table[] = {
    {.name = "count",
     .kind = CLI_COUNT,
     .offset = offsetof(sample_options, count),
     .argument = "N",
     .help = "how many (default 64 images, or 5000 points of the plane)",
     .low = 1,
     .high = 1e7},
    {.name = "temperature",
     .kind = CLI_REAL,
     .offset = offsetof(sample_options, temperature),
     .argument = "T",
     .help = "times the prior's standard deviations: below 1 more\n"
             "typical, above more varied (default 1)",
     .high = FLT_MAX},
};

static int sample(cli_session *session, const cli_inverse *inverse, const void *payload)
{
    enum { IMAGES = 64, POINTS = 5000 };
    const sample_options *options = payload;
    cli_samples z = {.count = 0};
    size_t enough = cli_is_plane(session) ? POINTS : IMAGES;
    size_t count = options->count > 0 ? options->count : enough;
    int result = cli_check_prior(session);
    if (result == CLI_DONE)
        result = cli_inverse_check_picture(session, inverse, count, 0);
    if (result == CLI_DONE)
        result = cli_draw_latents(session, count, options->temperature, &z);
    if (result == CLI_DONE)
        result = cli_inverse_run(session, inverse, &z, 0);
    cli_samples_free(&z);
    return result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    sample_options options = {.temperature = 1};
    cli_inverse inverse = CLI_INVERSE_INIT;
    cli_group groups[] = {
        {.title = "Samples", .options = sample_table, .count = 2, .values = &options},
        cli_inverse_group(&inverse),
        cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_SEED | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 3, argc, argv, &operands, &result))
        return result;
    if (!inverse.out)
        return cli_usage(self, "--out is needed");
    return cli_inverse_main(&session, operands.values[0], &inverse, sample, &options);
}

const cli_command cli_command_sample = {
    .name = "sample",
    .summary = "draw images from a density, with a proven error",
    .synopsis = "MODEL --out X.png|X.npy [options]",
    .about = "Draws latents from the prior of a model that was trained as a density, and decodes\n"
             "them. Each image comes with a proven bound on its distance from the exact inverse\n"
             "of its latents: by the bounds in the model's file, or if it has none, by such as\n"
             "are proven first. Where they cannot be, no error is claimed, and --errors ends\n"
             "with status 3.\n",
    .examples = "  iresnet sample run/model.safetensors --out samples.png\n"
                "  iresnet sample run/model.safetensors --count 1000 --temperature 0.7 \\\n"
                "      --out x.npy --errors e.npy\n",
    .run = run,
};
