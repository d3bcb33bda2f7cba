/* How log-determinants are evaluated, as eval and encode are told. */
#ifndef IRN_CLI_LOGDET_H
#define IRN_CLI_LOGDET_H

#include "cli.h"

typedef struct cli_logdet {
    int method; /* irn_logdet_method */
    size_t terms, probes;
    int roulette; /* irn_roulette_kind */
    double roulette_parameter;
} cli_logdet;

/* NULL-terminated words of irn_logdet_method, in their order. */
extern const char *const cli_logdet_words[];

/* The defaults of the library. */
void cli_logdet_init(cli_logdet *logdet);
cli_group cli_logdet_group(cli_logdet *values);

/* Refuses options that the method leaves unused, and parameters that roulette cannot have. bounded:
 * what a series of --terms is off by is told whatever the method. */
int cli_logdet_check(const cli_command *command, const cli_group *group, bool bounded);
int cli_roulette_check(const cli_command *command, int kind, double parameter);

/* What the model makes of it. */
irn_logdet_plan cli_logdet_plan(const cli_session *session, const cli_logdet *how);

/* Densities [x->count] with progress; z may be NULL. A discrete model's x becomes continuous by
 * random noise if asked, else it is taken as it is. */
int cli_log_density(cli_session *session, const cli_logdet *how, bool dequantise,
                    const cli_samples *x, irn_log_density *out, float *z);

#endif
