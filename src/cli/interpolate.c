/* iresnet interpolate */
#include "inverse.h"

#include <stdlib.h>

typedef struct interpolate_options {
    const char *data;
    int split;
    size_t between[2], given, steps;
} interpolate_options;

static const cli_option interpolate_table[] = {
    {.name = "data",
     .kind = CLI_TEXT,
     .offset = offsetof(interpolate_options, data),
     .argument = "SPEC",
     .help = "data set (needed; see `iresnet train --help`)"},
    {.name = "split",
     .kind = CLI_WORD,
     .offset = offsetof(interpolate_options, split),
     .argument = "NAME",
     .help = "its part: train or test (default test)",
     .words = cli_split_words},
    {.name = "between",
     .kind = CLI_COUNTS,
     .offset = offsetof(interpolate_options, between),
     .argument = "I,J",
     .help = "its examples, counted from 0, at the ends (default 0,1)",
     .high = UINT32_MAX,
     .length = 2,
     .count_offset = offsetof(interpolate_options, given)},
    {.name = "steps",
     .kind = CLI_COUNT,
     .offset = offsetof(interpolate_options, steps),
     .argument = "N",
     .help = "images, both ends included (default 10)",
     .low = 2,
     .high = 1e6},
};

static int read_ends(cli_session *session, const interpolate_options *options, cli_samples *ends)
{
    irn_dataset *dataset = NULL;
    int result = cli_open_dataset(session, options->data, (irn_split)options->split, &dataset);
    if (result == CLI_DONE) {
        irn_dataset_info info = irn_dataset_get_info(dataset);
        const uint32_t indices[] = {(uint32_t)options->between[0], (uint32_t)options->between[1]};
        ends->count = 2;
        ends->size = info.channels * info.height * info.width;
        ends->values = calloc(2 * ends->size, sizeof *ends->values);
        irn_status status =
            ends->values ? irn_dataset_batch(dataset, indices, 2, NULL, 0, 0, ends->values, NULL)
                         : IRN_OK;
        if (!ends->values)
            result = cli_error(session, CLI_FAILED, "no memory for two examples");
        else if (status != IRN_OK)
            result = cli_fail_option(session, status);
    }
    irn_dataset_free(dataset);
    return result;
}

/* z [steps, D] on the straight line between two latents [2, D]. */
static void blend(const float *ends, size_t size, size_t steps, float *z)
{
    for (size_t i = 0; i < steps; i++) {
        double share = (double)i / (double)(steps - 1);
        for (size_t j = 0; j < size; j++)
            z[i * size + j] =
                (float)((1 - share) * (double)ends[j] + share * (double)ends[size + j]);
    }
}

static int interpolate(cli_session *session, const cli_inverse *inverse, const void *payload)
{
    const interpolate_options *options = payload;
    cli_samples ends = {.count = 0};
    cli_samples z = {.count = options->steps, .size = irn_model_latent_size(session->model)};
    int result = cli_inverse_check_picture(session, inverse, z.count, z.count);
    if (result == CLI_DONE)
        result = read_ends(session, options, &ends);
    if (result == CLI_DONE)
        result = cli_check_range(session, options->data, &ends);
    float *corners = calloc(2 * z.size, sizeof *corners);
    z.values = calloc(z.count, z.size * sizeof *z.values);
    if (result == CLI_DONE && (!corners || !z.values))
        result = cli_error(session, CLI_FAILED, "no memory for %zu latents", z.count);
    if (result == CLI_DONE)
        result = cli_encode(session, &ends, corners);
    if (result == CLI_DONE) {
        blend(corners, z.size, z.count, z.values);
        result = cli_inverse_run(session, inverse, &z, z.count);
    }
    free(corners);
    cli_samples_free(&ends);
    cli_samples_free(&z);
    return result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    interpolate_options options = {.split = IRN_TEST, .between = {0, 1}, .given = 2, .steps = 10};
    cli_inverse inverse = CLI_INVERSE_INIT;
    cli_group groups[] = {{.title = "Latents",
                           .options = interpolate_table,
                           .count = sizeof interpolate_table / sizeof *interpolate_table,
                           .values = &options},
                          cli_inverse_group(&inverse),
                          cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 3, argc, argv, &operands, &result))
        return result;
    if (!options.data || !inverse.out)
        return cli_usage(self, "--data and --out are needed");
    if (options.given != 2)
        return cli_usage(self, "--between needs two examples: I,J");
    return cli_inverse_main(&session, operands.values[0], &inverse, interpolate, &options);
}

const cli_command cli_command_interpolate = {
    .name = "interpolate",
    .summary = "images between two examples, on a line in z",
    .synopsis = "MODEL --data SPEC --out X.png|X.npy [options]",
    .about = "Encodes two examples and decodes latents on the straight line between theirs, with\n"
             "proven errors as `iresnet decode`. A picture is a strip, from the first to the\n"
             "second. Any model will do, a classifier too: no prior is needed.\n",
    .examples = "  iresnet interpolate run/model.safetensors --data digits --between 3,17 \\\n"
                "      --out strip.png\n",
    .run = run,
};
