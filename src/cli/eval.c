/* iresnet eval */
#include "eval_conditioning.h"
#include "eval_density.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct eval_options {
    const char *data;
    int split;
    size_t count;
    bool reconstruct, conditioning;
} eval_options;

static const cli_option eval_table[] = {
    {.name = "data",
     .kind = CLI_TEXT,
     .offset = offsetof(eval_options, data),
     .argument = "SPEC",
     .help = "data set (needed; see `iresnet train --help`)"},
    {.name = "split",
     .kind = CLI_WORD,
     .offset = offsetof(eval_options, split),
     .argument = "NAME",
     .help = "its part: train or test (default test)",
     .words = cli_split_words},
    {.name = "count",
     .kind = CLI_COUNT,
     .offset = offsetof(eval_options, count),
     .argument = "N",
     .help = "reconstruct the first N examples, and evaluate the\n"
             "densities of N drawn at random (default 1000; densities of\n"
             "points: all)",
     .low = 1,
     .high = 1e9},
    {.name = "reconstruct",
     .kind = CLI_TOGGLE,
     .offset = offsetof(eval_options, reconstruct),
     .help = "encode and decode examples (default yes)"},
    {.name = "conditioning",
     .kind = CLI_FLAG,
     .offset = offsetof(eval_options, conditioning),
     .help = "extreme singular values of the network's Jacobian at the\n"
             "first N examples; takes a while for many"},
};

/* What encoding and decoding does to the examples. */
typedef struct reconstruction {
    size_t count, iterations;
    double max_abs_error, mean_abs_error, max_error; /* latents in float32; max_error: Euclidean */
    bool certified;                                  /* the rest counts: latents in float64 */
    double max_exact_error, max_bound;
    bool bound_holds; /* for every example */
} reconstruction;

typedef struct evaluation {
    size_t count;
    double accuracy; /* NaN: no labels or no head */
    eval_density density;
    reconstruction inverse;
    eval_conditioning conditioning;
} evaluation;

/* The Euclidean distance of example i from what came back; others are added to *out if wanted. */
static double distance(const cli_samples *x, const float *back, size_t i, reconstruction *out)
{
    double squares = 0;
    for (size_t j = i * x->size; j < (i + 1) * x->size; j++) {
        double error = fabs((double)x->values[j] - (double)back[j]);
        squares += error * error;
        if (!out)
            continue;
        out->max_abs_error = cli_larger(out->max_abs_error, error);
        out->mean_abs_error += error / ((double)x->count * (double)x->size);
    }
    return sqrt(squares);
}

/* Through latents as `encode` and `decode` hand them on. */
static int go_and_return(cli_session *session, const cli_samples *x, float *back,
                         reconstruction *out)
{
    const irn_decode_options how = IRN_DECODE_OPTIONS_INIT;
    cli_decoding decoding = {.bounds = NULL};
    cli_samples z = {.count = x->count, .size = irn_model_latent_size(session->model)};
    z.values = calloc(z.count, z.size * sizeof *z.values);
    int result = z.values ? cli_encode(session, x, z.values)
                          : cli_error(session, CLI_FAILED, "no memory for %zu latents", x->count);
    if (result == CLI_DONE)
        result = cli_decode(session, &z, &how, false, back, &decoding);
    cli_samples_free(&z);
    out->count = x->count;
    out->iterations = decoding.iterations;
    for (size_t i = 0; result == CLI_DONE && i < x->count; i++)
        out->max_error = cli_larger(out->max_error, distance(x, back, i, out));
    return result;
}

/* The same with a bound on the whole way, if the model is certified. */
static int prove(cli_session *session, const cli_samples *x, float *back, reconstruction *out)
{
    cli_decoding decoding = {.bounds = calloc(x->count, sizeof *decoding.bounds)};
    int result = decoding.bounds
                     ? cli_reconstruct(session, x, back, &decoding)
                     : cli_error(session, CLI_FAILED, "no memory for %zu bounds", x->count);
    out->certified = result == CLI_DONE && decoding.proven;
    out->bound_holds = true;
    for (size_t i = 0; out->certified && i < x->count; i++) {
        double error = distance(x, back, i, NULL);
        out->max_exact_error = cli_larger(out->max_exact_error, error);
        out->max_bound = cli_larger(out->max_bound, decoding.bounds[i]);
        out->bound_holds = out->bound_holds && error <= decoding.bounds[i];
    }
    free(decoding.bounds);
    return result;
}

static int reconstruct(cli_session *session, const eval_options *options, reconstruction *out)
{
    cli_samples x = {.count = 0};
    float *back = NULL;
    int result =
        cli_read_dataset(session, options->data, (irn_split)options->split, options->count, &x);
    if (result == CLI_DONE) {
        back = calloc(x.count, x.size * sizeof *back);
        result = back ? go_and_return(session, &x, back, out)
                      : cli_error(session, CLI_FAILED, "no memory for %zu samples", x.count);
    }
    if (result == CLI_DONE)
        result = prove(session, &x, back, out);
    free(back);
    cli_samples_free(&x);
    return result;
}

static int measure_accuracy(cli_session *session, const eval_options *options, evaluation *out)
{
    irn_dataset *dataset = NULL;
    int result = cli_open_dataset(session, options->data, (irn_split)options->split, &dataset);
    if (result == CLI_DONE) {
        irn_dataset_info info = irn_dataset_get_info(dataset);
        out->count = info.count;
        cli_progress_begin(&session->progress, "predicting");
        irn_status status = IRN_OK;
        if (info.classes > 0 && irn_model_get_config(session->model)->classes > 0)
            status = irn_model_accuracy(session->model, dataset, cli_progress_step,
                                        &session->progress, &out->accuracy);
        cli_progress_clear(&session->progress);
        if (status != IRN_OK)
            result = cli_fail(session, status);
    }
    irn_dataset_free(dataset);
    return result;
}

static int print_json(cli_session *session, const evaluation *values)
{
    const reconstruction *inverse = &values->inverse;
    cli_json json;
    cli_json_begin(&json, false);
    cli_json_number(&json, json.root, "count", (double)values->count);
    cli_json_number(&json, json.root, "accuracy", values->accuracy);
    eval_density_add_json(&values->density, &json);
    if (inverse->count > 0) {
        cJSON *part = cli_json_object(&json, json.root, "reconstruction");
        cli_json_number(&json, part, "count", (double)inverse->count);
        cli_json_number(&json, part, "max_abs_error", inverse->max_abs_error);
        cli_json_number(&json, part, "mean_abs_error", inverse->mean_abs_error);
        cli_json_number(&json, part, "max_error", inverse->max_error);
        cli_json_number(&json, part, "max_exact_error",
                        inverse->certified ? inverse->max_exact_error : NAN);
        cli_json_number(&json, part, "max_bound", inverse->certified ? inverse->max_bound : NAN);
        if (inverse->certified)
            cli_json_bool(&json, part, "bound_holds", inverse->bound_holds);
        else
            cli_json_null(&json, part, "bound_holds");
        cli_json_number(&json, part, "iterations", (double)inverse->iterations);
    }
    eval_conditioning_add_json(&values->conditioning, &json);
    return cli_json_print(session, &json);
}

static void print_text(const evaluation *values)
{
    const reconstruction *inverse = &values->inverse;
    char bound[CLI_BOUND_TEXT];
    if (values->accuracy >= 0)
        printf("accuracy          %.2f %% of %zu\n", 100 * values->accuracy, values->count);
    else if (values->density.count == 0)
        printf("accuracy          none: no labels or no classifier head\n");
    eval_density_print(&values->density);
    eval_conditioning_print(&values->conditioning);
    if (inverse->count == 0)
        return;
    printf("reconstructed     %zu, at most %zu steps a block\n", inverse->count,
           inverse->iterations);
    printf("absolute error    %.3g at most, %.3g on average\n", inverse->max_abs_error,
           inverse->mean_abs_error);
    printf("Euclidean error   %.3g at most, with latents in float32\n", inverse->max_error);
    if (!inverse->certified) {
        printf(
            "proven bound      none: the model is not certified, or the device has no float64\n");
        return;
    }
    printf("                  %.3g at most, with latents in float64\n", inverse->max_exact_error);
    printf("proven bound      %s at most for these; every error is%s below its own\n",
           cli_bound_upper(bound, inverse->max_bound), inverse->bound_holds ? "" : " NOT");
}

static bool has_density(const cli_session *session)
{
    return irn_model_get_config(session->model)->prior != IRN_PRIOR_NONE;
}

static int measure_density(cli_session *session, const eval_options *options, bool counted,
                           const cli_logdet *how, evaluation *out)
{
    size_t limit = counted ? options->count : eval_density_limit(session->model);
    cli_samples x = {.count = 0};
    int result = cli_draw_examples(session, options->data, (irn_split)options->split, limit, &x);
    if (result == CLI_DONE)
        result = eval_density_measure(session, how, &x, &out->density);
    cli_samples_free(&x);
    return result;
}

/* Options for what the model has not. */
static int check_use(cli_session *session, const eval_options *options, const cli_group *groups)
{
    const char *logdet = cli_first_given(&groups[1], NULL);
    if (logdet && !has_density(session))
        return cli_error(session, CLI_USAGE, "--%s is for densities, which %s has not: no prior",
                         logdet, session->model_path);
    bool counts = options->reconstruct || options->conditioning || has_density(session);
    if (!counts && cli_given(&groups[0], "count"))
        return cli_error(session, CLI_USAGE, "--count is of no use with --no-reconstruct");
    return CLI_DONE;
}

static int evaluate(cli_session *session, const eval_options *options, const cli_group *groups,
                    const cli_logdet *how)
{
    evaluation values = {.accuracy = NAN};
    int result = check_use(session, options, groups);
    if (result == CLI_DONE)
        result = measure_accuracy(session, options, &values);
    if (result == CLI_DONE && has_density(session))
        result = measure_density(session, options, cli_given(&groups[0], "count"), how, &values);
    if (result == CLI_DONE && options->reconstruct)
        result = reconstruct(session, options, &values.inverse);
    if (result == CLI_DONE && options->conditioning)
        result = eval_conditioning_measure(session, options->data, (irn_split)options->split,
                                           options->count, &values.conditioning);
    if (result == CLI_DONE && session->common.json)
        result = print_json(session, &values);
    else if (result == CLI_DONE)
        print_text(&values);
    return result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    eval_options options = {.split = IRN_TEST, .count = 1000, .reconstruct = true};
    cli_logdet logdet;
    cli_logdet_init(&logdet);
    cli_group groups[] = {
        {.title = "Options", .options = eval_table, .count = 5, .values = &options},
        cli_logdet_group(&logdet),
        cli_common_group(&session.common,
                         CLI_WITH_DEVICE | CLI_WITH_SEED | CLI_WITH_JSON | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 3, argc, argv, &operands, &result))
        return result;
    if (!options.data)
        return cli_usage(self, "--data is needed");
    result = cli_logdet_check(self, &groups[1], true);
    if (result != CLI_DONE)
        return result;
    cli_progress_init(&session.progress, session.common.quiet);
    result = cli_session_model(&session, operands.values[0]);
    if (result == CLI_DONE)
        result = evaluate(&session, &options, groups, &logdet);
    cli_session_close(&session);
    return result;
}

const cli_command cli_command_eval = {
    .name = "eval",
    .summary = "accuracy, density and reconstruction error on a data set",
    .synopsis = "MODEL --data SPEC [options]",
    .about = "Measures the share of right predictions on all examples, and how exactly examples\n"
             "come back from encoding and decoding: the true errors, and if the model is\n"
             "certified the bounds proven for them, for which latents are kept in float64.\n"
             "\n"
             "A model with a prior has a density: of discrete data, which noise makes\n"
             "continuous, in bits per dimension, of others in nats an example. The seed draws\n"
             "the examples, none twice, where not all of them count. The standard error counts\n"
             "both the choice of examples and the estimates. What is proven of log-determinants\n"
             "comes from the bounds stored in the model.\n"
             "\n"
             "--conditioning adds how much small changes of examples are stretched at most and at\n"
             "least: the extreme singular values, estimated from below and from above, beside\n"
             "the interval that is proven for every input.\n",
    .examples = "  iresnet eval run/model.safetensors --data digits\n"
                "  iresnet eval run/model.safetensors --data mnist:data/mnist --json\n",
    .run = run,
};
