#include "eval_density.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static double log_density(const irn_log_density *sample)
{
    return sample->log_prior + sample->logdet;
}

/* The estimates' errors are independent from example to example and unbiased, so that they are part
 * of the deviation between examples, and of the standard error that comes of it. */
static eval_mean mean_nats(const irn_log_density *samples, size_t count)
{
    double n = (double)count, sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++)
        sum -= log_density(&samples[i]);
    for (size_t i = 0; i < count; i++) {
        double difference = -log_density(&samples[i]) - sum / n;
        squares += difference * difference;
    }
    return (eval_mean){sum / n, sqrt(squares / (n - 1) / n)};
}

static eval_mean bits_of(eval_mean nats, const irn_model *model)
{
    double levels = (double)irn_model_get_config(model)->levels;
    double unit = log(2) * (double)irn_model_latent_size(model);
    if (levels == 0)
        return (eval_mean){(double)NAN, (double)NAN};
    return (eval_mean){nats.value / unit + log2(levels), nats.error / unit};
}

static void summarise(const irn_log_density *samples, eval_density *out)
{
    double n = (double)out->count, variance = 0;
    out->lower = (double)INFINITY;
    out->upper = -(double)INFINITY;
    for (size_t i = 0; i < out->count; i++) {
        out->logdet += samples[i].logdet / n;
        variance += samples[i].standard_error * samples[i].standard_error;
        out->lower = fmin(out->lower, samples[i].logdet_lower);
        out->upper = fmax(out->upper, samples[i].logdet_upper);
    }
    out->logdet_error = sqrt(variance) / n;
    out->truncation_upper = samples[0].truncation_upper;
    out->series_error_upper = samples[0].series_error_upper;
}

size_t eval_density_limit(const irn_model *model)
{
    const irn_model_config *config = irn_model_get_config(model);
    return config->height == 1 && config->width == 1 ? 0 : 1000;
}

int eval_density_measure(cli_session *session, const cli_logdet *how, const cli_samples *x,
                         eval_density *out)
{
    irn_log_density *samples = calloc(x->count, sizeof *samples);
    int result = samples ? cli_log_density(session, how, true, x, samples, NULL)
                         : cli_error(session, CLI_FAILED, "no memory for %zu samples", x->count);
    if (result == CLI_DONE) {
        bool shared = !(irn_model_get_config(session->model)->logit > 0);
        *out = (eval_density){.count = x->count, .total = x->total, .shared = shared};
        out->plan = cli_logdet_plan(session, how);
        out->estimated = out->plan.method != IRN_LOGDET_EXACT;
        out->roulette = out->plan.method == IRN_LOGDET_ROULETTE;
        out->terms = how->terms;
        out->probes = how->probes;
        out->nats = mean_nats(samples, x->count);
        out->bits = bits_of(out->nats, session->model);
        summarise(samples, out);
    }
    free(samples);
    return result;
}

void eval_density_add_json(const eval_density *density, cli_json *json)
{
    if (density->count == 0)
        return;
    double none = (double)NAN;
    cli_json_number(json, json->root, "density_count", (double)density->count);
    cli_json_number(json, json->root, "density_total", (double)density->total);
    cli_json_number(json, json->root, "bits_per_dim", density->bits.value);
    cli_json_number(json, json->root, "bits_per_dim_standard_error", density->bits.error);
    cli_json_number(json, json->root, "nll_nats", density->nats.value);
    cli_json_number(json, json->root, "nll_nats_standard_error", density->nats.error);
    cJSON *part = cli_json_object(json, json->root, "logdet");
    cli_json_text(json, part, "method", cli_logdet_words[density->plan.method]);
    cli_json_number(json, part, "terms", density->estimated ? (double)density->terms : none);
    cli_json_number(json, part, "probes", density->estimated ? (double)density->probes : none);
    if (density->roulette) {
        cli_json_text(json, part, "roulette", cli_roulette_words[density->plan.roulette]);
        cli_json_number(json, part, "roulette_parameter", density->plan.parameter);
        cli_json_bool(json, part, "finite_variance", density->plan.finite);
    }
    cli_json_number(json, part, "mean", density->logdet);
    cli_json_number(json, part, "mean_standard_error", density->logdet_error);
    cli_json_number(json, part, "lower", density->lower);
    cli_json_number(json, part, "upper", density->upper);
    cli_json_number(json, part, "truncation_upper", density->truncation_upper);
    cli_json_number(json, part, "series_terms", (double)density->terms);
    cli_json_number(json, part, "series_error_upper", density->series_error_upper);
}

static void print_mean(const char *label, eval_mean mean, const char *unit,
                       const eval_density *density)
{
    char value[CLI_BOUND_TEXT];
    printf("%s%s %s of %zu", label, cli_measured(value, mean.value), unit, density->count);
    if (density->count < density->total)
        printf(" drawn at random from %zu", density->total);
    if (isfinite(mean.error))
        printf(", standard error %.2g", mean.error);
    printf("\n");
}

void eval_density_print_value(const char *label, const eval_density *density)
{
    if (density->count == 0)
        return;
    if (isfinite(density->bits.value))
        print_mean(label, density->bits, "bits per dimension", density);
    else
        print_mean(label, density->nats, "nats an example", density);
}

/* What the method itself leaves out, of roulette the terms behind its cap; and what a series of the
 * terms asked for would, which is the paper's theorem 3. */
static void print_truncation(const eval_density *density)
{
    char upper[CLI_BOUND_TEXT];
    if (!isfinite(density->series_error_upper)) {
        printf("series' error     nothing is proven: the model is not certified\n");
        return;
    }
    if (density->estimated)
        printf("proven bias       %s nats at most, of the terms left out\n",
               cli_bound_upper(upper, density->truncation_upper));
    printf("series' error     %s nats at most is proven of %zu terms\n",
           cli_bound_upper(upper, density->series_error_upper), density->terms);
}

static void print_method(const eval_density *density)
{
    const irn_logdet_plan *plan = &density->plan;
    char mean[CLI_BOUND_TEXT];
    printf("log-determinant   %s on average, %s", cli_measured(mean, density->logdet),
           cli_logdet_words[plan->method]);
    if (density->roulette)
        printf(" (%s, %.3g)", cli_roulette_words[plan->roulette], plan->parameter);
    if (density->estimated)
        printf(" with %zu terms and %zu probes", density->terms, density->probes);
    printf("\n");
}

void eval_density_print(const eval_density *density)
{
    char lower[CLI_BOUND_TEXT], upper[CLI_BOUND_TEXT];
    if (density->count == 0)
        return;
    eval_density_print_value("density           ", density);
    print_method(density);
    if (isfinite(density->lower) && isfinite(density->upper))
        printf("proven interval   %s to %s for every %s\n", cli_bound_lower(lower, density->lower),
               cli_bound_upper(upper, density->upper), density->shared ? "input" : "one of these");
    else
        printf("proven interval   none: the model is not certified\n");
    print_truncation(density);
}
