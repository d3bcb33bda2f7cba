/* A certificate as tables. */
#include "certify.h"
#include "output.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KERNEL_TEXT = 160 };

/* OxIxHxW, and what a convolution has beyond that. */
static const char *describe_kernel(char out[KERNEL_TEXT], const irn_kernel_shape *shape)
{
    size_t groups = shape->groups > 1 ? shape->groups : 1;
    int length = snprintf(out, KERNEL_TEXT, "%zux%zux%zux%zu", shape->outputs,
                          shape->inputs / groups, shape->kernel_height, shape->kernel_width);
    const struct {
        const char *format;
        size_t value;
    } extras[] = {{" stride %zu", shape->stride},
                  {" dilation %zu", shape->dilation},
                  {" groups %zu", shape->groups}};
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++)
        if (extras[i].value > 1)
            length += snprintf(out + length, KERNEL_TEXT - (size_t)length, extras[i].format,
                               extras[i].value);
    if (shape->transposed)
        snprintf(out + length, KERNEL_TEXT - (size_t)length, " transposed");
    return out;
}

static const char *describe_map(char out[48], const irn_kernel_shape *shape)
{
    bool any = shape->height == 0 && shape->width == 0;
    snprintf(out, 48, any ? "any" : "%zux%zu", shape->height, shape->width);
    return out;
}

static int wider(int width, const char *text)
{
    int length = (int)strlen(text);
    return length > width ? length : width;
}

/* Columns as wide as what stands in them. */
static void print_layers(const irn_certificate *certificate)
{
    char kernel[KERNEL_TEXT], map[48], lower[CLI_BOUND_TEXT], upper[CLI_BOUND_TEXT];
    size_t count = irn_certificate_layer_count(certificate);
    int names = 28, kernels = 16;
    for (size_t i = 0; i < count; i++) {
        irn_layer_bound layer = irn_certificate_layer(certificate, i);
        names = wider(names, layer.name);
        kernels = wider(kernels, describe_kernel(kernel, &layer.shape));
    }
    printf("%-*s  %-*s  %-9s  %12s  %12s\n", names, "layer", kernels, "kernel", "map", "lower",
           "upper");
    for (size_t i = 0; i < count; i++) {
        irn_layer_bound layer = irn_certificate_layer(certificate, i);
        printf("%-*s  %-*s  %-9s  %12s  %12s\n", names, layer.name, kernels,
               describe_kernel(kernel, &layer.shape), describe_map(map, &layer.shape),
               cli_bound_lower(lower, layer.bound.lower),
               cli_bound_upper(upper, layer.bound.upper));
    }
}

/* steps: of the inverse, for an error of 1e-6 of the first step. */
static void print_blocks(const irn_certificate *certificate)
{
    char upper[CLI_BOUND_TEXT], steps[CLI_BOUND_TEXT];
    size_t count = irn_certificate_block_count(certificate);
    if (count > 0)
        printf("\n%-28s  %12s  %12s\n", "block", "Lip(g) <=", "steps");
    for (size_t i = 0; i < count; i++) {
        irn_block_bound block = irn_certificate_block(certificate, i);
        snprintf(steps, sizeof steps, block.steps > 0 ? "%zu" : "none", block.steps);
        printf("%-28s  %12s  %12s\n", block.name, cli_bound_upper(upper, block.lipschitz_upper),
               steps);
    }
}

static void print_network(const certification *self)
{
    char upper[CLI_BOUND_TEXT], inverse[CLI_BOUND_TEXT];
    double bound = irn_certificate_lipschitz_upper(self->certificate);
    double inverse_bound = irn_certificate_inverse_lipschitz_upper(self->certificate);
    bool logit = irn_model_get_config(self->session.model)->logit > 0;
    if (isfinite(bound) && isfinite(inverse_bound))
        printf("\nnetwork%s: Lip(F) <= %s, Lip(F^-1) <= %s\n",
               logit ? " behind the logit transform" : "", cli_bound_upper(upper, bound),
               cli_bound_upper(inverse, inverse_bound));
    else
        puts("\nnetwork: no bounds");
}

static void print_verdict(const certification *self)
{
    bool good = irn_certificate_verdict(self->certificate);
    char limit[CLI_BOUND_TEXT];
    if (self->is_model)
        puts(good ? "certified: Lip(g) < 1 in every block; the network is invertible"
                  : "not certified: a block's bound is not below 1");
    else
        printf("\n%s %s\n",
               good ? "certified: every layer's bound is below"
                    : "not certified: a layer's bound is not below",
               cli_exact(limit, self->options.weights.below));
}

/* What --enforce did. */
static void print_changes(const certification *self)
{
    size_t changed = cli_changed_layers(self->certificate);
    char limit[CLI_BOUND_TEXT];
    if (changed == 0)
        printf("nothing was changed: every block's bound is at most %s as it is\n\n",
               cli_exact(limit, self->options.enforce));
    if (changed == 0)
        return;
    printf("%-28s  %12s  %12s\n", "changed layer", "from", "to");
    cli_print_changes(self->certificate, "");
    putchar('\n');
}

void certify_print(const certification *self)
{
    if (self->options.enforce > 0)
        print_changes(self);
    print_layers(self->certificate);
    print_blocks(self->certificate);
    if (self->is_model)
        print_network(self);
    print_verdict(self);
}
