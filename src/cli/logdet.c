#include "logdet.h"

const char *const cli_logdet_words[] = {"auto", "exact", "series", "roulette", NULL};

static const cli_option logdet_table[] = {
    {.name = "logdet-method",
     .kind = CLI_WORD,
     .offset = offsetof(cli_logdet, method),
     .argument = "NAME",
     .help = "exact (up to 4096 dimensions a block), series (cut off,\n"
             "hence biased), roulette (unbiased, but for terms behind the\n"
             "64th), or auto: exact up to 64 dimensions, else roulette\n"
             "(default auto)",
     .words = cli_logdet_words},
    {.name = "terms",
     .kind = CLI_COUNT,
     .offset = offsetof(cli_logdet, terms),
     .argument = "N",
     .help = "terms of the series, or those that roulette always takes;\n"
             "eval tells theorem 3's bound for them (default 10)",
     .low = 1,
     .high = 1000},
    {.name = "probes",
     .kind = CLI_COUNT,
     .offset = offsetof(cli_logdet, probes),
     .argument = "N",
     .help = "random vectors for each example and block (default 4)",
     .low = 1,
     .high = 1024},
    {.name = "roulette",
     .kind = CLI_WORD,
     .offset = offsetof(cli_logdet, roulette),
     .argument = "NAME",
     .help = "distribution of the number of further terms: geometric or\n"
             "poisson (default geometric)",
     .words = cli_roulette_words},
    {.name = "roulette-parameter",
     .kind = CLI_REAL,
     .offset = offsetof(cli_logdet, roulette_parameter),
     .argument = "X",
     .help = "its p, below 1, or its mean (default: 2 for poisson; p for\n"
             "a finite variance by the largest certified L, (1 - L^2)/2\n"
             "but 0.05 to 0.5)",
     .high = 100,
     .above = true},
};

void cli_logdet_init(cli_logdet *logdet)
{
    const irn_density_options defaults = IRN_DENSITY_OPTIONS_INIT;
    *logdet = (cli_logdet){(int)defaults.method, defaults.terms, defaults.probes,
                           (int)defaults.roulette, defaults.roulette_parameter};
}

cli_group cli_logdet_group(cli_logdet *values)
{
    return (cli_group){.title = "Log-determinants",
                       .options = logdet_table,
                       .count = sizeof logdet_table / sizeof *logdet_table,
                       .values = values};
}

/* An option that exact values leave unused; NULL: none. */
static const char *unused_if_exact(const cli_group *group, bool bounded)
{
    static const char *const names[] = {"probes", "roulette", "roulette-parameter"};
    if (!bounded && cli_given(group, "terms"))
        return "terms";
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cli_given(group, names[i]))
            return names[i];
    return NULL;
}

int cli_logdet_check(const cli_command *command, const cli_group *group, bool bounded)
{
    const cli_logdet *how = group->values;
    const char *unused = NULL;
    if (how->method == IRN_LOGDET_EXACT)
        unused = unused_if_exact(group, bounded);
    else if (how->method == IRN_LOGDET_SERIES && cli_given(group, "roulette"))
        unused = "roulette";
    else if (how->method == IRN_LOGDET_SERIES && cli_given(group, "roulette-parameter"))
        unused = "roulette-parameter";
    if (unused)
        return cli_usage(command, "--%s is of no use with --logdet-method %s", unused,
                         cli_logdet_words[how->method]);
    return cli_roulette_check(command, how->roulette, how->roulette_parameter);
}

int cli_roulette_check(const cli_command *command, int kind, double parameter)
{
    if (kind == IRN_ROULETTE_GEOMETRIC && parameter >= 1)
        return cli_usage(command, "--roulette-parameter: geometric's p is %g; it must be below 1",
                         parameter);
    return CLI_DONE;
}

static irn_density_options options_of(const cli_logdet *how)
{
    irn_density_options options = IRN_DENSITY_OPTIONS_INIT;
    options.method = (irn_logdet_method)how->method;
    options.terms = how->terms;
    options.probes = how->probes;
    options.roulette = (irn_roulette_kind)how->roulette;
    options.roulette_parameter = how->roulette_parameter;
    return options;
}

irn_logdet_plan cli_logdet_plan(const cli_session *session, const cli_logdet *how)
{
    const irn_density_options options = options_of(how);
    return irn_model_plan_logdet(session->model, &options);
}

static void warn_of_variance(cli_session *session, const irn_logdet_plan *plan)
{
    if (plan->method == IRN_LOGDET_ROULETTE && !plan->finite)
        cli_note(
            session,
            "roulette's variance is not proven finite (%s %g): standard errors may be too small",
            cli_roulette_words[plan->roulette], plan->parameter);
}

int cli_log_density(cli_session *session, const cli_logdet *how, bool dequantise,
                    const cli_samples *x, irn_log_density *out, float *z)
{
    irn_density_options options = options_of(how);
    options.seed = session->common.seed;
    options.dequantise = dequantise;
    options.progress = cli_progress_step;
    options.progress_payload = &session->progress;
    cli_progress_begin(&session->progress, "evaluating");
    irn_status status =
        irn_model_log_density(session->model, x->values, x->count, &options, out, z);
    cli_progress_clear(&session->progress);
    if (status != IRN_OK)
        return cli_fail(session, status);
    irn_logdet_plan plan = irn_model_plan_logdet(session->model, &options);
    warn_of_variance(session, &plan);
    return CLI_DONE;
}
