/* What `iresnet eval` says about the density of a model. */
#ifndef IRN_CLI_EVAL_DENSITY_H
#define IRN_CLI_EVAL_DENSITY_H

#include "logdet.h"
#include "output.h"

/* A mean over examples and its standard error; NaN of a single one. */
typedef struct eval_mean {
    double value, error;
} eval_mean;

typedef struct eval_density {
    size_t count;              /* examples; 0: not evaluated, and the rest does not count */
    size_t total;              /* examples that there are; drawn at random where these are more */
    eval_mean nats;            /* negative log-density */
    eval_mean bits;            /* per dimension; NaN: the data are continuous */
    double logdet;             /* its mean */
    double logdet_error;       /* of that, by the estimates alone; NaN of a single probe */
    double lower, upper;       /* lemma 7's interval, which contains those of all examples */
    bool shared;               /* it is every input's, since there is no logit transform */
    double truncation_upper;   /* theorem 3, of what the method leaves out; 0: exact */
    double series_error_upper; /* theorem 3 for `terms` terms, whatever the method */
    irn_logdet_plan plan;      /* that was used */
    bool estimated;            /* not exact: probes count */
    bool roulette;             /* and so do its distribution and parameter */
    size_t terms, probes;
} eval_density;

/* Of how many examples, where nobody says: points are cheap, so that all of them count (0). */
size_t eval_density_limit(const irn_model *model);
/* x: examples as the data set has them. */
int eval_density_measure(cli_session *session, const cli_logdet *how, const cli_samples *x,
                         eval_density *out);

/* All add nothing if the density was not evaluated; print_value() is the first line of print(). */
void eval_density_add_json(const eval_density *density, cli_json *json);
void eval_density_print_value(const char *label, const eval_density *density);
void eval_density_print(const eval_density *density);

#endif
