/* iresnet import */
#include "cli.h"

typedef struct import_options {
    const char *config, *out;
    int arithmetic;
    bool certify;
} import_options;

static const cli_option import_table[] = {
    {.name = "config",
     .kind = CLI_TEXT,
     .offset = offsetof(import_options, config),
     .argument = "CONFIG.json",
     .help = "the official code's options: in_shape, nBlocks,\n"
             "nStrides, nChannels, init_ds, inj_pad, coeff, nonlin,\n"
             "actnorm, nClasses, eps; of a density also \"task\":\n"
             "\"density\", and \"multiscale\": true where scales leave\n"
             "(default: the file's metadata key config)"},
    {.name = "out",
     .kind = CLI_TEXT,
     .offset = offsetof(import_options, out),
     .argument = "MODEL",
     .help = "model file to write (needed)"},
    {.name = "certify",
     .kind = CLI_TOGGLE,
     .offset = offsetof(import_options, certify),
     .help = "prove bounds and store them in the model (default yes)"},
    {.name = "arithmetic",
     .kind = CLI_WORD,
     .offset = offsetof(import_options, arithmetic),
     .argument = "NAME",
     .help = CLI_ARITHMETIC_HELP,
     .words = cli_arithmetic_words},
};

/* *certified: whether every block's bound is below 1. */
static irn_status certify(cli_session *session, int arithmetic, bool *certified)
{
    irn_certify_options how = IRN_CERTIFY_OPTIONS_INIT;
    irn_certificate *certificate = NULL;
    how.arithmetic = (irn_arithmetic)arithmetic;
    how.progress = cli_progress_step;
    how.progress_payload = &session->progress;
    cli_progress_begin(&session->progress, "certifying");
    irn_status status = irn_certify_model(&certificate, session->model, &how);
    cli_progress_clear(&session->progress);
    if (status == IRN_OK)
        *certified = irn_certificate_verdict(certificate);
    irn_certificate_free(certificate);
    return status;
}

static int import(cli_session *session, const char *weights, const import_options *options)
{
    session->parts = IRN_CHECK_NETWORKS | (options->certify ? IRN_CHECK_CERTIFICATES : 0u);
    int result = cli_session_context(session);
    if (result != CLI_DONE)
        return result;
    irn_status status =
        irn_model_import(&session->model, session->context, weights, options->config);
    bool certified = false;
    if (status == IRN_OK && options->certify)
        status = certify(session, options->arithmetic, &certified);
    if (status == IRN_OK)
        status = irn_model_save(session->model, options->out);
    if (status != IRN_OK)
        return cli_fail(session, status);
    const irn_model_config *config = irn_model_get_config(session->model);
    cli_note(session, "%s: input %zux%zux%zu, blocks %zu, parameters %zu, classes %zu, %s",
             options->out, config->channels, config->height, config->width,
             irn_model_block_count(session->model), irn_model_parameter_count(session->model),
             config->classes, certified ? "certified" : "not certified");
    return CLI_DONE;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    import_options options = {.certify = true};
    cli_group groups[] = {{.title = "Options",
                           .options = import_table,
                           .count = sizeof import_table / sizeof *import_table,
                           .values = &options},
                          cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "WEIGHTS", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 2, argc, argv, &operands, &result))
        return result;
    if (!options.out)
        return cli_usage(self, "--out is needed");
    if (!options.certify && cli_given(&groups[0], "arithmetic"))
        return cli_usage(self, "--arithmetic is of no use with --no-certify");
    cli_progress_init(&session.progress, session.common.quiet);
    result = import(&session, operands.values[0], &options);
    cli_session_close(&session);
    return result;
}

const cli_command cli_command_import = {
    .name = "import",
    .summary = "turn weights of the official PyTorch code into a model",
    .synopsis = "WEIGHTS.safetensors [--config CONFIG.json] --out MODEL",
    .about = "Reads a state dictionary of the official i-ResNet code, saved as safetensors with\n"
             "its parameter names (stack.0.bottleneck_block.1.weight_orig, ...), and writes a\n"
             "model file, with the bounds that can be proven of it.\n",
    .examples =
        "  iresnet import weights.safetensors --config config.json --out model.safetensors\n",
    .run = run,
};
