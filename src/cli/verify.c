/* iresnet verify */
#include "output.h"
#include "weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

typedef struct verification {
    cli_session session;
    cli_weights expected; /* of bare weights, what was given */
    const cli_group *group;
    const char *path, *model;
    irn_certificate *certificate;
} verification;

/* What is wrong with the certificate, not with reading files, is a refusal. */
static int refuse(verification *self, irn_status status, irn_status wrong)
{
    if (status == wrong)
        return cli_error(&self->session, CLI_BOUND, "refused: %s", irn_last_error());
    return cli_fail(&self->session, status);
}

/* Bare weights do not say what they stand for; whoever asks may know. */
static int check_expectations(verification *self)
{
    const irn_weights_options *weights = irn_certificate_weights(self->certificate);
    const char *given = cli_first_given(self->group, NULL);
    cli_disagreement about;
    char wanted[CLI_BOUND_TEXT], found[CLI_BOUND_TEXT];
    if (!weights && given)
        return cli_error(&self->session, CLI_USAGE,
                         "--%s is for weights files, and %s is of a model", given, self->path);
    if (weights && !(weights->below <= self->expected.below))
        return cli_error(&self->session, CLI_BOUND,
                         "refused: its verdict is about bounds below %s, not below %s; if that is "
                         "what you want to know, say --below %s",
                         cli_exact(found, weights->below), cli_exact(wanted, self->expected.below),
                         found);
    if (weights && !cli_weights_agree(self->group, weights, &about))
        return cli_error(&self->session, CLI_BOUND, "refused: it is of %s %s, not %s", about.option,
                         about.found, about.wanted);
    return CLI_DONE;
}

static int check(verification *self)
{
    irn_certify_options how = IRN_CERTIFY_OPTIONS_INIT;
    how.progress = cli_progress_step;
    how.progress_payload = &self->session.progress;
    cli_interrupt_install();
    irn_status status = irn_certificate_read(&self->certificate, self->path);
    if (status != IRN_OK)
        return refuse(self, status, IRN_ERROR_FORMAT);
    int result = check_expectations(self);
    if (result != CLI_DONE)
        return result;
    cli_progress_begin(&self->session.progress, "proving");
    status = irn_certificate_verify(self->certificate, self->model, &how);
    cli_progress_clear(&self->session.progress);
    return status == IRN_OK ? CLI_DONE : refuse(self, status, IRN_ERROR_NOT_CERTIFIED);
}

/* ---- what was found ---- */

static void print_weights(const irn_weights_options *weights)
{
    const size_t map[] = {weights->height, weights->width};
    char text[CLI_MAP_TEXT], coefficient[CLI_BOUND_TEXT], epsilon[CLI_BOUND_TEXT];
    printf("taken for  convolutions with padding %s on maps of size %s",
           cli_padding_words[weights->padding], cli_map_text(text, map));
    if (weights->stride > 1)
        printf(", stride %zu", weights->stride);
    if (weights->dilation > 1)
        printf(", dilation %zu", weights->dilation);
    if (weights->groups > 1)
        printf(", in %zu groups", weights->groups);
    printf("%s\n", weights->transposed ? ", transposed" : "");
    if (weights->pattern)
        printf("only       tensors named like %s\n", weights->pattern);
    if (weights->coefficient > 0)
        printf("kernels    X_orig / (max(1, X_sigma / %s) + %s)\n",
               cli_exact(coefficient, weights->coefficient), cli_exact(epsilon, weights->epsilon));
}

static void print_network(const irn_certificate *certificate)
{
    size_t blocks = irn_certificate_block_count(certificate);
    double most = 0;
    char upper[CLI_BOUND_TEXT], inverse[CLI_BOUND_TEXT];
    for (size_t i = 0; i < blocks; i++)
        most = cli_larger(most, irn_certificate_block(certificate, i).lipschitz_upper);
    printf("blocks     %zu: Lip(g) <= %s\n", blocks, cli_bound_upper(upper, most));
    double bound = irn_certificate_lipschitz_upper(certificate);
    double inverse_bound = irn_certificate_inverse_lipschitz_upper(certificate);
    if (isfinite(bound) && isfinite(inverse_bound))
        printf("network    Lip(F) <= %s, Lip(F^-1) <= %s\n", cli_bound_upper(upper, bound),
               cli_bound_upper(inverse, inverse_bound));
}

static double largest_layer(const irn_certificate *certificate)
{
    double most = 0;
    for (size_t i = 0; i < irn_certificate_layer_count(certificate); i++)
        most = cli_larger(most, irn_certificate_layer(certificate, i).bound.upper);
    return most;
}

static void print_verdict(const irn_certificate *certificate)
{
    const irn_weights_options *weights = irn_certificate_weights(certificate);
    bool good = irn_certificate_verdict(certificate);
    char limit[CLI_BOUND_TEXT];
    if (weights)
        printf("true: %s %s\n",
               good ? "certified, every layer's bound is below"
                    : "not certified, a layer's bound is not below",
               cli_exact(limit, weights->below));
    else
        printf("true: %s\n", good
                                 ? "certified, Lip(g) < 1 in every block; the network is invertible"
                                 : "not certified, a block's bound is not below 1");
}

static void print(const verification *self)
{
    const irn_certificate *certificate = self->certificate;
    const irn_weights_options *weights = irn_certificate_weights(certificate);
    char upper[CLI_BOUND_TEXT];
    printf("file       %s is the one that was certified\n", self->model);
    if (weights)
        print_weights(weights);
    printf("layers     %zu: as in the file, their norms proven again to be at most %s\n",
           irn_certificate_layer_count(certificate),
           cli_bound_upper(upper, largest_layer(certificate)));
    if (!weights)
        print_network(certificate);
    print_verdict(certificate);
}

static int run(const cli_command *command, int argc, char **argv)
{
    verification self = {.session = {.command = command}, .expected = CLI_WEIGHTS_INIT};
    cli_group groups[] = {
        cli_weights_group("Refuse a certificate of weights unless its layers are", &self.expected),
        cli_common_group(&self.session.common, CLI_WITH_QUIET)};
    cli_operands operands = {.names = "CERTIFICATE.json or MODEL", .least = 2, .most = 2};
    int result = CLI_DONE;
    if (!cli_parse(command, groups, 2, argc, argv, &operands, &result))
        return result;
    self.group = &groups[0];
    self.path = operands.values[0];
    self.model = operands.values[1];
    if (strcmp(self.path, "-") == 0 && strcmp(self.model, "-") == 0)
        return cli_usage(command, "the certificate and the model cannot both be standard input");
    cli_progress_init(&self.session.progress, self.session.common.quiet);
    result = check(&self);
    if (result == CLI_DONE) {
        print(&self);
        result = irn_certificate_verdict(self.certificate) ? CLI_DONE : CLI_BOUND;
    }
    irn_certificate_free(self.certificate);
    cli_session_close(&self.session);
    return result;
}

const cli_command cli_command_verify = {
    .name = "verify",
    .summary = "check a certificate without trusting who made it",
    .synopsis = "CERTIFICATE.json MODEL|WEIGHTS.safetensors [options]",
    .about =
        "Checks that the file is the one that was certified and that its layers are those of\n"
        "the certificate, proves every upper bound again by code of its own, on the host,\n"
        "and computes again what follows from them. What layers of bare weights are taken for\n"
        "is printed: options demand it, as they were given to certify, and what they do not say\n"
        "may be anything, but for --below. Needs no device. Ends with status 0 if the\n"
        "certificate is true and says certified, 3 if it is refused or says that something\n"
        "is not certified.\n",
    .examples = "  iresnet certify run/model.safetensors --json certificate.json\n"
                "  iresnet verify certificate.json run/model.safetensors\n"
                "  iresnet verify weights.json weights.safetensors --padding zeros --size 32x32\n",
    .run = run,
};
