/* iresnet certify in parts: the command, its tables, its pictures. */
#ifndef IRN_CLI_CERTIFY_H
#define IRN_CLI_CERTIFY_H

#include "weights.h"

typedef struct certify_options {
    int arithmetic;
    bool cross_check;
    double enforce;
    const char *json, *singular_values, *layer, *plot, *out;
    cli_weights weights;
} certify_options;

typedef struct certification {
    cli_session session;
    certify_options options;
    irn_weights_options weights; /* of a weights file, from the options */
    cli_group *group;
    const char *path;
    bool is_model;
    irn_certificate *certificate;
    irn_array values; /* singular values of --layer; rank 0: not asked for */
} certification;

/* What changed, the layers, the blocks and the verdict, for people. */
void certify_print(const certification *self);

/* Draws --plot. Returns an exit status. */
int certify_plot(certification *self);

#endif
