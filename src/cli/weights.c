#include "weights.h"
#include "output.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *const any_size[] = {"any", NULL};

#define WEIGHTS_COUNT(option, field)                                                               \
    {                                                                                              \
        .name = option, .kind = CLI_COUNT, .offset = offsetof(cli_weights, field),                 \
        .argument = "N", .help = "of the convolutions", .low = 1, .high = INT_MAX / 8              \
    }

static const cli_option table[] = {
    {.name = "size",
     .kind = CLI_MAP,
     .offset = offsetof(cli_weights, size),
     .argument = "HxW|any",
     .help = "map that the layers work on, or any: bounds that hold on\n"
             "maps of every size",
     .words = any_size,
     .low = 1,
     .high = INT_MAX / 8},
    {.name = "padding",
     .kind = CLI_WORD,
     .offset = offsetof(cli_weights, padding),
     .argument = "NAME",
     .help = "of the convolutions: zeros or circular",
     .words = cli_padding_words},
    {.name = "only",
     .kind = CLI_TEXT,
     .offset = offsetof(cli_weights, only),
     .argument = "PATTERN",
     .help = "layers whose names it matches, as the shell matches names\n"
             "of files: 'features.*.weight'"},
    WEIGHTS_COUNT("stride", stride),
    WEIGHTS_COUNT("dilation", dilation),
    WEIGHTS_COUNT("groups", groups),
    {.name = "transposed",
     .kind = CLI_TOGGLE,
     .offset = offsetof(cli_weights, transposed),
     .help = "the convolutions are transposed ones"},
    {.name = "below",
     .kind = CLI_REAL,
     .offset = offsetof(cli_weights, below),
     .argument = "X",
     .help = "what every bound must be below (default 1)",
     .high = 1e300,
     .above = true},
    {.name = "coeff",
     .kind = CLI_REAL,
     .offset = offsetof(cli_weights, coefficient),
     .argument = "C",
     .help = "kernels of the official code, X_orig beside X_sigma, are\n"
             "divided by max(1, X_sigma / C), by default as the file's\n"
             "metadata key config says",
     .high = 1e300,
     .above = true},
    {.name = "eps",
     .kind = CLI_REAL,
     .offset = offsetof(cli_weights, epsilon),
     .argument = "X",
     .help = "with --coeff: added to that of kernels larger than 1x1",
     .high = 1},
};

cli_group cli_weights_group(const char *title, cli_weights *values)
{
    return (cli_group){
        .title = title, .options = table, .count = sizeof table / sizeof *table, .values = values};
}

irn_weights_options cli_weights_options(const cli_weights *values)
{
    irn_weights_options out = IRN_WEIGHTS_OPTIONS_INIT;
    out.padding = (irn_padding)values->padding;
    out.height = values->size[0];
    out.width = values->size[1];
    out.stride = values->stride;
    out.dilation = values->dilation;
    out.groups = values->groups;
    out.transposed = values->transposed;
    out.pattern = values->only;
    out.coefficient = values->coefficient;
    out.epsilon = values->epsilon;
    out.below = values->below;
    return out;
}

const char *cli_map_text(char out[CLI_MAP_TEXT], const size_t size[2])
{
    if (size[0] == 0)
        snprintf(out, CLI_MAP_TEXT, "any");
    else
        snprintf(out, CLI_MAP_TEXT, "%zux%zu", size[0], size[1]);
    return out;
}

/* ---- what is demanded ---- */

/* An option's value as its user writes it, perhaps in the buffer. */
static const char *value_text(char buffer[CLI_MAP_TEXT], const char *option,
                              const irn_weights_options *w)
{
    const struct {
        const char *option;
        double value;
    } numbers[] = {{"stride", (double)w->stride},
                   {"dilation", (double)w->dilation},
                   {"groups", (double)w->groups},
                   {"coeff", w->coefficient},
                   {"eps", w->epsilon}};
    const size_t size[] = {w->height, w->width};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(option, numbers[i].option) == 0)
            return cli_exact(buffer, numbers[i].value);
    if (strcmp(option, "size") == 0)
        return cli_map_text(buffer, size);
    if (strcmp(option, "padding") == 0)
        return cli_padding_words[w->padding];
    if (strcmp(option, "transposed") == 0)
        return w->transposed ? "yes" : "no";
    return w->pattern ? w->pattern : "*";
}

/* Whether the certificate's layers depend on it: a normalisation that none has is of no account. */
static bool matters(const char *option, const irn_weights_options *found)
{
    bool normalisation = strcmp(option, "coeff") == 0 || strcmp(option, "eps") == 0;
    return strcmp(option, "below") != 0 && (!normalisation || found->coefficient > 0);
}

bool cli_weights_agree(const cli_group *group, const irn_weights_options *found,
                       cli_disagreement *out)
{
    const irn_weights_options wanted = cli_weights_options(group->values);
    for (size_t i = 0; i < group->count; i++) {
        out->option = group->options[i].name;
        if (!matters(out->option, found) || !cli_given(group, out->option))
            continue;
        out->wanted = value_text(out->buffers[0], out->option, &wanted);
        out->found = value_text(out->buffers[1], out->option, found);
        if (strcmp(out->wanted, out->found) != 0)
            return false;
    }
    return true;
}
