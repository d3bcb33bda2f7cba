#include "logdet.h"

const char *const cli_logdet_words[] = {"auto", "exact", "series", "roulette", NULL};

static const cli_option logdet_table[] = {
    {.name = "logdet-method",
     .kind = CLI_WORD,
     .offset = offsetof(cli_logdet, method),
     .argument = "NAME",
     .help = "exact (up to 4096 dimensions a block), series (cut off,\n"
             "hence biased), roulette (unbiased), or auto: exact up to 64\n"
             "dimensions, else roulette (default auto)",
     .words = cli_logdet_words},
    {.name = "terms",
     .kind = CLI_COUNT,
     .offset = offsetof(cli_logdet, terms),
     .argument = "N",
     .help = "terms of the series, or those that roulette always takes\n"
             "(default 10)",
     .low = 1,
     .high = 1000},
    {.name = "probes",
     .kind = CLI_COUNT,
     .offset = offsetof(cli_logdet, probes),
     .argument = "N",
     .help = "random vectors for each example and block (default 4)",
     .low = 1,
     .high = 1024},
};

void cli_logdet_init(cli_logdet *logdet)
{
    const irn_density_options defaults = IRN_DENSITY_OPTIONS_INIT;
    *logdet = (cli_logdet){(int)defaults.method, defaults.terms, defaults.probes};
}

cli_group cli_logdet_group(cli_logdet *values)
{
    return (cli_group){.title = "Log-determinants",
                       .options = logdet_table,
                       .count = sizeof logdet_table / sizeof *logdet_table,
                       .values = values};
}

int cli_log_density(cli_session *session, const cli_logdet *how, bool dequantise,
                    const cli_samples *x, irn_log_density *out, float *z)
{
    irn_density_options options = IRN_DENSITY_OPTIONS_INIT;
    options.method = (irn_logdet_method)how->method;
    options.terms = how->terms;
    options.probes = how->probes;
    options.seed = session->common.seed;
    options.dequantise = dequantise;
    options.progress = cli_progress_step;
    options.progress_payload = &session->progress;
    cli_progress_begin(&session->progress, "evaluating");
    irn_status status =
        irn_model_log_density(session->model, x->values, x->count, &options, out, z);
    cli_progress_clear(&session->progress);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}
