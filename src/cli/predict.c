/* iresnet predict */
#include "files.h"

#include <stdlib.h>

typedef struct predict_options {
    const char *in, *out;
} predict_options;

static const cli_option predict_table[] = {
    {.name = "in",
     .kind = CLI_TEXT,
     .offset = offsetof(predict_options, in),
     .argument = "X.npy",
     .help = "images, float32 [N,C,H,W] (needed)"},
    {.name = "out",
     .kind = CLI_TEXT,
     .offset = offsetof(predict_options, out),
     .argument = "LOGITS.npy",
     .help = "class scores, float32 [N,classes] (needed; - is\nstandard output)"},
};

static int predict(cli_session *session, const predict_options *options)
{
    cli_samples x = {.count = 0};
    size_t classes = irn_model_get_config(session->model)->classes;
    if (classes == 0)
        return cli_error(session, CLI_FAILED, "%s: has no classifier head%s", session->model_path,
                         irn_model_get_config(session->model)->prior == IRN_PRIOR_NONE
                             ? ""
                             : "; it is a model of densities, for `iresnet eval`");
    int result = cli_read_inputs(session, options->in, &x);
    float *logits = NULL;
    if (result == CLI_DONE) {
        logits = calloc(x.count, classes * sizeof *logits);
        result = logits ? cli_predict(session, &x, logits)
                        : cli_error(session, CLI_FAILED, "no memory for %zu samples", x.count);
    }
    const size_t shape[] = {x.count, classes};
    if (result == CLI_DONE)
        result = cli_write_array(session, options->out, IRN_FLOAT32, 2, shape, logits);
    free(logits);
    cli_samples_free(&x);
    return result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self, .parts = IRN_CHECK_NETWORKS};
    predict_options options = {NULL, NULL};
    cli_group groups[] = {
        {.title = "Files", .options = predict_table, .count = 2, .values = &options},
        cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 2, argc, argv, &operands, &result))
        return result;
    if (!options.in || !options.out)
        return cli_usage(self, "--in and --out are needed");
    const cli_file file = {"out", options.out, {".npy"}};
    result = cli_check_files(&session, &file, 1);
    if (result != CLI_DONE)
        return result;
    cli_progress_init(&session.progress, session.common.quiet);
    result = cli_session_model(&session, operands.values[0]);
    if (result == CLI_DONE)
        result = predict(&session, &options);
    cli_session_close(&session);
    return result;
}

const cli_command cli_command_predict = {
    .name = "predict",
    .summary = "class scores of images",
    .synopsis = "MODEL --in X.npy --out LOGITS.npy [options]",
    .about = "Writes the scores that the model gives to each class, for each image. The largest\n"
             "score is the prediction.\n",
    .examples = "  iresnet predict run/model.safetensors --in x.npy --out logits.npy\n",
    .run = run,
};
