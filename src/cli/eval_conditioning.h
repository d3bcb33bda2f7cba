/* What `iresnet eval --conditioning` tells: extreme singular values of the Jacobian at examples. */
#ifndef IRN_CLI_EVAL_CONDITIONING_H
#define IRN_CLI_EVAL_CONDITIONING_H

#include "output.h"

typedef struct eval_spread {
    double least, median, most;
} eval_spread;

typedef struct eval_conditioning {
    size_t count; /* 0: not wanted */
    size_t converged;
    bool logit;                               /* of the network behind its transform */
    eval_spread largest, smallest, condition; /* estimates, over the examples */
    double certified_lower, certified_upper;  /* at every x */
} eval_conditioning;

/* At the first `count` examples (0: all). Returns an exit status. */
int eval_conditioning_measure(cli_session *session, const char *data, irn_split split, size_t count,
                              eval_conditioning *out);
void eval_conditioning_add_json(const eval_conditioning *conditioning, cli_json *json);
void eval_conditioning_print(const eval_conditioning *conditioning);

#endif
