/* What layers of a bare weights file are: the options that certify is told by, and verify demands.
 */
#ifndef IRN_CLI_WEIGHTS_H
#define IRN_CLI_WEIGHTS_H

#include "cli.h"

typedef struct cli_weights {
    int padding;
    size_t size[2], stride, dilation, groups;
    bool transposed;
    const char *only;
    double below, coefficient, epsilon;
} cli_weights;

#define CLI_WEIGHTS_INIT                                                                           \
    {                                                                                              \
        .stride = 1, .dilation = 1, .groups = 1, .below = 1, .epsilon = 1e-5                       \
    }

cli_group cli_weights_group(const char *title, cli_weights *values);

/* As the library has them; the pattern stays the option's. */
irn_weights_options cli_weights_options(const cli_weights *values);

/* "any" or "HxW". Returns out. */
enum { CLI_MAP_TEXT = 48 };
const char *cli_map_text(char out[CLI_MAP_TEXT], const size_t size[2]);

/* Whether the certificate's weights are what the options that were given say; out: the first that
 * they are not. --below is left out, which a smaller limit does not contradict, and a normalisation
 * where no layer has one. */
typedef struct cli_disagreement {
    const char *option, *wanted, *found;
    char buffers[2][CLI_MAP_TEXT];
} cli_disagreement;
bool cli_weights_agree(const cli_group *group, const irn_weights_options *found,
                       cli_disagreement *out);

#endif
