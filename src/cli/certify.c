/* iresnet certify */
#include "certify.h"
#include "files.h"

#include <math.h>
#include <string.h>

#define CERTIFY_TEXT(option, field, word, text)                                                    \
    {                                                                                              \
        .name = option, .kind = CLI_TEXT, .offset = offsetof(certify_options, field),              \
        .argument = word, .help = text                                                             \
    }
static const cli_option certify_table[] = {
    CERTIFY_TEXT("json", json, "FILE",
                 "write the certificate as JSON; - is standard output, in\n"
                 "place of the table"),
    CERTIFY_TEXT("out", out, "FILE",
                 "write the model with its bounds, which may be the same\n"
                 "file"),
    {.name = "enforce",
     .kind = CLI_REAL,
     .offset = offsetof(certify_options, enforce),
     .argument = "C",
     .help = "in blocks whose bound is above C scale the largest layers\n"
             "down, so that every block is certified at C; with --out",
     .high = 0.999999999,
     .above = true},
    {.name = "arithmetic",
     .kind = CLI_WORD,
     .offset = offsetof(certify_options, arithmetic),
     .argument = "NAME",
     .help = CLI_ARITHMETIC_HELP,
     .words = cli_arithmetic_words},
    {.name = "cross-check",
     .kind = CLI_FLAG,
     .offset = offsetof(certify_options, cross_check),
     .help = "also compute the norm of every layer's torus by clFFT and\n"
             "a singular value decomposition, and fail where that\n"
             "contradicts a bound"},
    CERTIFY_TEXT("plot", plot, "FILE.png",
                 "draw the bounds of all layers, or with --layer the\n"
                 "singular values of one"),
    CERTIFY_TEXT("singular-values", singular_values, "FILE.npy",
                 "write all singular values of one layer with circular\n"
                 "padding, float64 [H,W,min(outputs,inputs)]"),
    CERTIFY_TEXT("layer", layer, "NAME", "that layer, as the table names it"),
};

#define COUNT_OF(table) (sizeof(table) / sizeof *(table))
enum { CERTIFY_GENERAL, CERTIFY_WEIGHTS, CERTIFY_COMMON, CERTIFY_GROUPS };

/* The options must suit the kind of file, and agree with a model. */
static int check_model(certification *self)
{
    const irn_model_config *config = irn_model_get_config(self->session.model);
    const certify_options *options = &self->options;
    const cli_group *weights = &self->group[CERTIFY_WEIGHTS];
    static const char *const foreign[] = {"only",       "stride", "dilation", "groups",
                                          "transposed", "below",  "coeff",    "eps"};
    for (size_t i = 0; i < COUNT_OF(foreign); i++)
        if (cli_given(weights, foreign[i]))
            return cli_error(&self->session, CLI_USAGE,
                             "--%s is for weights files, and %s is a model: its blocks must be "
                             "below 1",
                             foreign[i], self->path);
    const cli_weights *given = &options->weights;
    char wanted[CLI_MAP_TEXT];
    if (cli_given(weights, "padding") && (irn_padding)given->padding != config->padding)
        return cli_error(&self->session, CLI_FAILED, "%s: its padding is %s, not %s", self->path,
                         cli_padding_words[config->padding], cli_padding_words[given->padding]);
    if (cli_given(weights, "size") &&
        (given->size[0] != config->height || given->size[1] != config->width))
        return cli_error(&self->session, CLI_FAILED, "%s: its input is %zux%zu, not %s", self->path,
                         config->height, config->width, cli_map_text(wanted, given->size));
    return CLI_DONE;
}

static int certify_model(certification *self, const irn_certify_options *how)
{
    irn_certificate **certificate = &self->certificate;
    int result = cli_session_model(&self->session, self->path);
    if (result == CLI_DONE)
        result = check_model(self);
    if (result != CLI_DONE)
        return result;
    irn_model *model = self->session.model;
    irn_status status =
        cli_given(&self->group[CERTIFY_GENERAL], "enforce")
            ? irn_certify_enforce(certificate, model, self->options.enforce, how, NULL)
            : irn_certify_model(certificate, model, how);
    return status == IRN_OK ? CLI_DONE : cli_fail(&self->session, status);
}

static int check_weights(certification *self)
{
    const certify_options *options = &self->options;
    if (options->out)
        return cli_error(&self->session, CLI_USAGE,
                         "--out is for models, and %s has bare weights: see --json", self->path);
    if (!cli_given(&self->group[CERTIFY_WEIGHTS], "size"))
        return cli_error(&self->session, CLI_USAGE,
                         "%s is no model but bare weights: --size HxW is needed", self->path);
    if (options->layer && options->weights.size[0] == 0)
        return cli_error(&self->session, CLI_USAGE,
                         "--layer: singular values are those on a map, not on --size any");
    return CLI_DONE;
}

static int certify_weights(certification *self, const irn_certify_options *how)
{
    irn_weights_options *weights = &self->weights;
    int result = check_weights(self);
    if (result != CLI_DONE)
        return result;
    *weights = cli_weights_options(&self->options.weights);
    irn_status status =
        irn_certify_weights(&self->certificate, self->session.context, self->path, weights, how);
    return status == IRN_OK ? CLI_DONE : cli_fail(&self->session, status);
}

static int find_singular_values(certification *self)
{
    const char *layer = self->options.layer;
    cli_session *session = &self->session;
    if (!layer)
        return CLI_DONE;
    irn_status status = self->is_model
                            ? irn_model_singular_values(&self->values, session->model, layer)
                            : irn_weights_singular_values(&self->values, session->context,
                                                          self->path, layer, &self->weights);
    return status == IRN_OK ? CLI_DONE : cli_fail_option(session, status);
}

/* The model goes before the certificate, which names a file by its hash: the one just written, if
 * there is one. */
static int write_files(certification *self)
{
    const certify_options *options = &self->options;
    irn_status status = IRN_OK;
    if (options->singular_values)
        status = irn_npy_write(&self->values, options->singular_values);
    if (status == IRN_OK && options->out)
        status = irn_model_save(self->session.model, options->out);
    if (status == IRN_OK && options->json)
        status = irn_certificate_write(self->certificate, options->out ? options->out : self->path,
                                       options->json);
    if (status != IRN_OK)
        return cli_fail(&self->session, status);
    return options->plot ? certify_plot(self) : CLI_DONE;
}

static int certify(certification *self)
{
    cli_session *session = &self->session;
    irn_certify_options how = IRN_CERTIFY_OPTIONS_INIT;
    how.arithmetic = (irn_arithmetic)self->options.arithmetic;
    how.cross_check = self->options.cross_check;
    how.progress = cli_progress_step;
    how.progress_payload = &session->progress;
    session->parts = IRN_CHECK_CERTIFICATES;
    irn_status status = irn_file_is_model(self->path, &self->is_model);
    int result = status == IRN_OK ? cli_session_context(session) : cli_fail(session, status);
    if (result == CLI_DONE && !self->is_model && self->options.enforce > 0)
        result = cli_error(session, CLI_USAGE, "--enforce is for models, and %s has bare weights",
                           self->path);
    if (result != CLI_DONE)
        return result;
    cli_progress_begin(&session->progress, "certifying");
    result = self->is_model ? certify_model(self, &how) : certify_weights(self, &how);
    cli_progress_clear(&session->progress);
    if (result == CLI_DONE)
        result = find_singular_values(self);
    if (result == CLI_DONE)
        result = write_files(self);
    if (result != CLI_DONE)
        return result;
    const char *json = self->options.json;
    if (!json || strcmp(json, "-") != 0)
        certify_print(self);
    return irn_certificate_verdict(self->certificate) ? CLI_DONE : CLI_BOUND;
}

static int check_usage(certification *self)
{
    const certify_options *options = &self->options;
    cli_session *session = &self->session;
    if (options->layer && !options->singular_values && !options->plot)
        return cli_error(session, CLI_USAGE, "--layer and --singular-values or --plot go together");
    if (options->singular_values && !options->layer)
        return cli_error(session, CLI_USAGE, "--singular-values and --layer go together");
    if (options->enforce > 0 && !options->out)
        return cli_error(session, CLI_USAGE,
                         "--enforce and --out go together: the model that is certified is another "
                         "one");
    if (cli_given(&self->group[CERTIFY_WEIGHTS], "eps") && !(options->weights.coefficient > 0))
        return cli_error(session, CLI_USAGE, "--eps goes with --coeff");
    const char *const taken[][2] = {{"out", options->out}, {"plot", options->plot}};
    for (size_t i = 0; i < COUNT_OF(taken); i++)
        if (taken[i][1] && strcmp(taken[i][1], "-") == 0)
            return cli_error(session, CLI_USAGE, "--%s: standard output is taken by the table",
                             taken[i][0]);
    const cli_file files[] = {{"json", options->json, {NULL}},
                              {"singular-values", options->singular_values, {".npy"}},
                              {"plot", options->plot, {".png"}},
                              {"out", options->out, {NULL}}};
    return cli_check_files(session, files, COUNT_OF(files));
}

static int run(const cli_command *self, int argc, char **argv)
{
    certification state = {.session = {.command = self}, .options = {.weights = CLI_WEIGHTS_INIT}};
    cli_group groups[CERTIFY_GROUPS] = {
        {.title = "Options",
         .options = certify_table,
         .count = COUNT_OF(certify_table),
         .values = &state.options},
        cli_weights_group("What layers of a weights file are (--size is needed)",
                          &state.options.weights),
        cli_common_group(&state.session.common, CLI_WITH_DEVICE | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL or WEIGHTS", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, CERTIFY_GROUPS, argc, argv, &operands, &result))
        return result;
    state.group = groups;
    state.path = operands.values[0];
    result = check_usage(&state);
    if (result != CLI_DONE)
        return result;
    cli_progress_init(&state.session.progress, state.session.common.quiet);
    result = certify(&state);
    irn_array_free(&state.values);
    irn_certificate_free(state.certificate);
    cli_session_close(&state.session);
    return result;
}

const cli_command cli_command_certify = {
    .name = "certify",
    .summary = "prove bounds on every layer, block and the network",
    .synopsis = "MODEL|WEIGHTS.safetensors [options]",
    .about =
        "Bounds the norm of every linear layer from above and below, the Lipschitz constant\n"
        "of every residual block, and that of the network and its inverse; steps are those\n"
        "of a block's inverse for an error of 1e-6 of the first step. Ends with status 3 if\n"
        "a block's bound is not below 1. In a bare weights file every tensor with 2, 3 or 4\n"
        "dimensions is a layer, and the verdict is about --below; layers of different kinds\n"
        "are certified one after the other, with --only. What is not said of them: padding is\n"
        "zeros, stride, dilation and groups are 1, --eps is 1e-5.\n",
    .examples = "  iresnet certify run/model.safetensors --json certificate.json\n"
                "  iresnet certify plain.safetensors --enforce 0.9 --out fixed.safetensors\n"
                "  iresnet certify run/model.safetensors --plot bounds.png\n"
                "  iresnet certify run/model.safetensors --plot values.png --layer blocks.0.conv0\n"
                "  iresnet certify weights.safetensors --size 32x32 --padding circular --below 2\n"
                "  iresnet certify weights.safetensors --size any --only 'features.*.weight'\n",
    .run = run,
};
