#include "eval_conditioning.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

/* Values are sorted. */
static eval_spread spread_of(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare);
    double median = (values[(count - 1) / 2] + values[count / 2]) / 2;
    return (eval_spread){values[0], median, values[count - 1]};
}

/* values: memory for a number each. */
static void summarise(const irn_conditioning *samples, size_t count, double *values,
                      eval_conditioning *out)
{
    *out = (eval_conditioning){.count = count,
                               .certified_lower = samples[0].certified_lower,
                               .certified_upper = samples[0].certified_upper};
    for (size_t i = 0; i < count; i++)
        values[i] = samples[i].largest_estimate;
    out->largest = spread_of(values, count);
    for (size_t i = 0; i < count; i++)
        values[i] = samples[i].smallest_estimate;
    out->smallest = spread_of(values, count);
    for (size_t i = 0; i < count; i++)
        values[i] = samples[i].condition_estimate;
    out->condition = spread_of(values, count);
    for (size_t i = 0; i < count; i++)
        out->converged += samples[i].converged;
}

static int measure(cli_session *session, const cli_samples *x, eval_conditioning *out)
{
    irn_conditioning_options how = IRN_CONDITIONING_OPTIONS_INIT;
    irn_conditioning *samples = calloc(x->count, sizeof *samples);
    double *values = calloc(x->count, sizeof *values);
    int result = samples && values
                     ? CLI_DONE
                     : cli_error(session, CLI_FAILED, "no memory for %zu samples", x->count);
    how.seed = session->common.seed;
    how.progress = cli_progress_step;
    how.progress_payload = &session->progress;
    if (result == CLI_DONE) {
        cli_progress_begin(&session->progress, "conditioning");
        irn_status status =
            irn_model_conditioning(session->model, x->values, x->count, &how, samples);
        cli_progress_clear(&session->progress);
        result = status == IRN_OK ? CLI_DONE : cli_fail(session, status);
    }
    if (result == CLI_DONE)
        summarise(samples, x->count, values, out);
    if (result == CLI_DONE)
        out->logit = irn_model_get_config(session->model)->logit > 0;
    free(samples);
    free(values);
    return result;
}

int eval_conditioning_measure(cli_session *session, const char *data, irn_split split, size_t count,
                              eval_conditioning *out)
{
    cli_samples x = {.count = 0};
    int result = cli_read_dataset(session, data, split, count, &x);
    if (result == CLI_DONE)
        result = measure(session, &x, out);
    cli_samples_free(&x);
    return result;
}

static void add_spread(cli_json *json, cJSON *parent, const char *key, eval_spread spread)
{
    cJSON *part = cli_json_object(json, parent, key);
    cli_json_number(json, part, "min", spread.least);
    cli_json_number(json, part, "median", spread.median);
    cli_json_number(json, part, "max", spread.most);
}

static bool certified(const eval_conditioning *c)
{
    return isfinite(c->certified_upper);
}

void eval_conditioning_add_json(const eval_conditioning *c, cli_json *json)
{
    if (c->count == 0)
        return;
    cJSON *part = cli_json_object(json, json->root, "conditioning");
    cli_json_number(json, part, "count", (double)c->count);
    cli_json_number(json, part, "converged", (double)c->converged);
    add_spread(json, part, "largest_estimate", c->largest);
    add_spread(json, part, "smallest_estimate", c->smallest);
    add_spread(json, part, "condition_estimate", c->condition);
    cli_json_number(json, part, "certified_lower", certified(c) ? c->certified_lower : NAN);
    cli_json_number(json, part, "certified_upper", c->certified_upper);
}

static void print_spread(const char *label, eval_spread spread)
{
    printf("  %-15s %.4g, from %.4g to %.4g\n", label, spread.median, spread.least, spread.most);
}

void eval_conditioning_print(const eval_conditioning *c)
{
    char lower[CLI_BOUND_TEXT], upper[CLI_BOUND_TEXT];
    if (c->count == 0)
        return;
    printf("singular values   estimates of the extreme ones at %zu%s: median and range\n", c->count,
           c->logit ? ", behind the logit transform" : "");
    print_spread("largest", c->largest);
    print_spread("smallest", c->smallest);
    print_spread("condition", c->condition);
    if (c->converged < c->count)
        printf("  not converged   %zu, which may be further from the truth\n",
               c->count - c->converged);
    if (certified(c))
        printf("proven range      %s to %s for every input\n",
               cli_bound_lower(lower, c->certified_lower),
               cli_bound_upper(upper, c->certified_upper));
    else
        printf("proven range      none: the model is not certified\n");
}
