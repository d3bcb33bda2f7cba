/* iresnet certify */
#include "files.h"
#include "output.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct certify_options {
    int padding;
    size_t size[2];
    double below;
    const char *json, *singular_values, *layer, *out;
} certify_options;

static const cli_option certify_table[] = {
    {.name = "padding",
     .kind = CLI_WORD,
     .offset = offsetof(certify_options, padding),
     .argument = "NAME",
     .help = "of the convolutions in a weights file: zeros (default)\n"
             "or circular; a model knows its own",
     .words = cli_padding_words},
    {.name = "size",
     .kind = CLI_MAP,
     .offset = offsetof(certify_options, size),
     .argument = "HxW",
     .help = "map that the layers of a weights file work on (needed\n"
             "for one); a model knows its own",
     .low = 1,
     .high = INT_MAX / 8},
    {.name = "below",
     .kind = CLI_REAL,
     .offset = offsetof(certify_options, below),
     .argument = "X",
     .help = "weights file: what every bound must be below (default 1)",
     .high = 1e300,
     .above = true},
    {.name = "json",
     .kind = CLI_TEXT,
     .offset = offsetof(certify_options, json),
     .argument = "FILE",
     .help = "write the certificate as JSON; - is standard output, in\n"
             "place of the table"},
    {.name = "singular-values",
     .kind = CLI_TEXT,
     .offset = offsetof(certify_options, singular_values),
     .argument = "FILE.npy",
     .help = "write all singular values of one layer with circular\n"
             "padding, float64 [H,W,min(outputs,inputs)]"},
    {.name = "layer",
     .kind = CLI_TEXT,
     .offset = offsetof(certify_options, layer),
     .argument = "NAME",
     .help = "that layer, as the table names it"},
    {.name = "out",
     .kind = CLI_TEXT,
     .offset = offsetof(certify_options, out),
     .argument = "FILE",
     .help = "write the model with its bounds, which may be the same file"},
};

typedef struct certification {
    cli_session session;
    certify_options options;
    cli_group *group;
    const char *path;
    bool is_model;
    irn_certificate *certificate;
} certification;

/* The options must suit the kind of file, and agree with a model. */
static int check_model(certification *self)
{
    const irn_model_config *config = irn_model_get_config(self->session.model);
    const certify_options *options = &self->options;
    if (cli_given(self->group, "below"))
        return cli_error(
            &self->session, CLI_USAGE,
            "--below is for weights files, and %s is a model: its blocks must be below 1",
            self->path);
    if (cli_given(self->group, "padding") && (irn_padding)options->padding != config->padding)
        return cli_error(&self->session, CLI_FAILED, "%s: its padding is %s, not %s", self->path,
                         cli_padding_words[config->padding], cli_padding_words[options->padding]);
    if (cli_given(self->group, "size") &&
        (options->size[0] != config->height || options->size[1] != config->width))
        return cli_error(&self->session, CLI_FAILED, "%s: its input is %zux%zu, not %zux%zu",
                         self->path, config->height, config->width, options->size[0],
                         options->size[1]);
    return CLI_DONE;
}

static int certify_model(certification *self, const irn_certify_options *how)
{
    int result = cli_session_model(&self->session, self->path);
    if (result == CLI_DONE)
        result = check_model(self);
    if (result != CLI_DONE)
        return result;
    irn_status status = irn_certify_model(&self->certificate, self->session.model, how);
    return status == IRN_OK ? CLI_DONE : cli_fail(&self->session, status);
}

static int certify_weights(certification *self, const irn_certify_options *how)
{
    const certify_options *options = &self->options;
    if (options->out)
        return cli_error(&self->session, CLI_USAGE,
                         "--out is for models, and %s has bare weights: see --json", self->path);
    if (!cli_given(self->group, "size"))
        return cli_error(&self->session, CLI_USAGE,
                         "%s is no model but bare weights: --size HxW is needed", self->path);
    irn_status status = irn_certify_weights(&self->certificate, self->session.context, self->path,
                                            (irn_padding)options->padding, options->size[0],
                                            options->size[1], options->below, how);
    return status == IRN_OK ? CLI_DONE : cli_fail(&self->session, status);
}

static int write_singular_values(certification *self)
{
    const certify_options *options = &self->options;
    if (!options->singular_values)
        return CLI_DONE;
    irn_array values = {.rank = 0};
    irn_status status =
        self->is_model
            ? irn_model_singular_values(&values, self->session.model, options->layer)
            : irn_weights_singular_values(&values, self->session.context, self->path,
                                          options->layer, options->size[0], options->size[1]);
    if (status == IRN_OK)
        status = irn_npy_write(&values, options->singular_values);
    irn_array_free(&values);
    return status == IRN_OK ? CLI_DONE : cli_fail_option(&self->session, status);
}

static int write_model(certification *self)
{
    if (!self->options.out)
        return CLI_DONE;
    irn_status status = irn_model_save(self->session.model, self->options.out);
    return status == IRN_OK ? CLI_DONE : cli_fail(&self->session, status);
}

static void print_layers(const irn_certificate *certificate)
{
    printf("%-28s  %-16s  %-9s  %12s  %12s\n", "layer", "kernel", "map", "lower", "upper");
    for (size_t i = 0; i < irn_certificate_layer_count(certificate); i++) {
        irn_layer_bound layer = irn_certificate_layer(certificate, i);
        const irn_kernel_shape *shape = &layer.shape;
        char kernel[96], map[48], lower[CLI_BOUND_TEXT], upper[CLI_BOUND_TEXT];
        snprintf(kernel, sizeof kernel, "%zux%zux%zux%zu", shape->outputs, shape->inputs,
                 shape->kernel_height, shape->kernel_width);
        snprintf(map, sizeof map, "%zux%zu", shape->height, shape->width);
        printf("%-28s  %-16s  %-9s  %12s  %12s\n", layer.name, kernel, map,
               cli_bound_lower(lower, layer.bound.lower),
               cli_bound_upper(upper, layer.bound.upper));
    }
}

static void print_blocks(const irn_certificate *certificate)
{
    char upper[CLI_BOUND_TEXT];
    size_t count = irn_certificate_block_count(certificate);
    if (count > 0)
        printf("\n%-28s  %12s\n", "block", "Lip(g) <=");
    for (size_t i = 0; i < count; i++) {
        irn_block_bound block = irn_certificate_block(certificate, i);
        printf("%-28s  %12s\n", block.name, cli_bound_upper(upper, block.lipschitz_upper));
    }
}

static void print_verdict(const certification *self)
{
    const irn_certificate *certificate = self->certificate;
    bool good = irn_certificate_verdict(certificate);
    if (self->is_model) {
        char upper[CLI_BOUND_TEXT], inverse[CLI_BOUND_TEXT];
        double bound = irn_certificate_lipschitz_upper(certificate);
        double inverse_bound = irn_certificate_inverse_lipschitz_upper(certificate);
        if (isfinite(bound) && isfinite(inverse_bound))
            printf("\nnetwork%s: Lip(F) <= %s, Lip(F^-1) <= %s\n",
                   irn_model_get_config(self->session.model)->logit > 0
                       ? " behind the logit transform"
                       : "",
                   cli_bound_upper(upper, bound), cli_bound_upper(inverse, inverse_bound));
        else
            puts("\nnetwork: no bounds");
        printf("%s\n", good ? "certified: Lip(g) < 1 in every block; the network is invertible"
                            : "not certified: a block's bound is not below 1");
    } else {
        printf("\n%s %g\n",
               good ? "certified: every layer's bound is below"
                    : "not certified: a layer's bound is not below",
               self->options.below);
    }
}

static int certify(certification *self)
{
    cli_session *session = &self->session;
    irn_certify_options how = IRN_CERTIFY_OPTIONS_INIT;
    how.progress = cli_progress_step;
    how.progress_payload = &session->progress;
    irn_status status = irn_file_is_model(self->path, &self->is_model);
    int result = status == IRN_OK ? cli_session_context(session) : cli_fail(session, status);
    if (result != CLI_DONE)
        return result;
    cli_progress_begin(&session->progress, "certifying");
    result = self->is_model ? certify_model(self, &how) : certify_weights(self, &how);
    cli_progress_clear(&session->progress);
    if (result == CLI_DONE)
        result = write_singular_values(self);
    if (result == CLI_DONE) /* before the certificate, which names the file by its hash */
        result = write_model(self);
    if (result != CLI_DONE)
        return result;
    const char *json = self->options.json;
    if (json) {
        status = irn_certificate_write(self->certificate, self->path, json);
        if (status != IRN_OK)
            return cli_fail(session, status);
    }
    if (!json || strcmp(json, "-") != 0) {
        print_layers(self->certificate);
        print_blocks(self->certificate);
        print_verdict(self);
    }
    return irn_certificate_verdict(self->certificate) ? CLI_DONE : CLI_BOUND;
}

static int run(const cli_command *self, int argc, char **argv)
{
    certification state = {.session = {.command = self}, .options = {.below = 1}};
    certify_options *options = &state.options;
    cli_group groups[] = {
        {.title = "Options", .options = certify_table, .count = 7, .values = options},
        cli_common_group(&state.session.common, CLI_WITH_DEVICE | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL or WEIGHTS", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 2, argc, argv, &operands, &result))
        return result;
    if (!options->singular_values != !options->layer)
        return cli_usage(self, "--singular-values and --layer go together");
    const char *json = options->json, *values = options->singular_values;
    if (json && values && cli_same_file(json, values))
        return cli_usage(self, "--json and --singular-values are both '%s'", json);
    const char *out = options->out;
    if (out && ((json && strcmp(json, out) == 0) || (values && strcmp(values, out) == 0)))
        return cli_usage(self, "--out and another option are both '%s'", out);
    state.group = &groups[0];
    state.path = operands.values[0];
    cli_progress_init(&state.session.progress, state.session.common.quiet);
    result = certify(&state);
    irn_certificate_free(state.certificate);
    cli_session_close(&state.session);
    return result;
}

const cli_command cli_command_certify = {
    .name = "certify",
    .summary = "prove bounds on every layer, block and the network",
    .synopsis = "MODEL|WEIGHTS.safetensors [options]",
    .about = "Bounds the norm of every linear layer from above and below, the Lipschitz constant\n"
             "of every residual block, and that of the network and its inverse. Ends with status\n"
             "3 if a block's bound is not below 1. In a bare weights file every 2-D and 4-D\n"
             "tensor is a layer, and the verdict is about --below.\n",
    .examples = "  iresnet certify run/model.safetensors\n"
                "  iresnet certify run/model.safetensors --json certificate.json\n"
                "  iresnet certify imported.safetensors --out certified.safetensors\n"
                "  iresnet certify weights.safetensors --size 32x32 --padding circular --below 2\n"
                "  iresnet certify run/model.safetensors --singular-values s.npy \\\n"
                "                  --layer blocks.0.conv0\n",
    .run = run,
};
