/* The run itself: fitting with its events, certifying, saving, and the result. */
#include "eval_density.h"
#include "output.h"
#include "train.h"

#include <math.h>

/* What is known of the model at the end. */
typedef struct outcome {
    double test_accuracy; /* NaN: no test data, or no classes */
    eval_density test_density;
    irn_certificate *certificate; /* NULL: not asked for */
    size_t changed;               /* layers that were scaled down so that all is certified */
    double block_upper;
} outcome;

static double share_done(const irn_fit_event *event)
{
    double epoch = event->steps > 0 ? (double)event->step / (double)event->steps : 0;
    return ((double)event->epoch - 1 + epoch) / (double)event->epochs;
}

enum { REACHED_TEXT = 120 };

/* The loss, and what else there is to tell of the task. */
static const char *describe(char out[REACHED_TEXT], const irn_fit_event *event)
{
    char loss[CLI_BOUND_TEXT], number[CLI_BOUND_TEXT], bits[48] = "", accuracy[32] = "";
    if (!isnan(event->bits_per_dim))
        snprintf(bits, sizeof bits, "  bits/dim %s", cli_measured(number, event->bits_per_dim));
    if (event->accuracy >= 0)
        snprintf(accuracy, sizeof accuracy, "  acc %.2f %%", 100 * event->accuracy);
    snprintf(out, REACHED_TEXT, "loss %s%s%s", cli_measured(loss, event->loss), bits, accuracy);
    return out;
}

static void draw_event(training *self, const irn_fit_event *event)
{
    char label[64], left[CLI_DURATION], text[REACHED_TEXT + 80];
    double share = share_done(event), gained = share - self->first_share;
    double spent = event->seconds - self->first_seconds;
    cli_duration(left, gained > 0 ? spent * (1 - share) / gained : NAN);
    snprintf(label, sizeof label, "epoch %zu/%zu", event->epoch, event->epochs);
    char reached[REACHED_TEXT];
    snprintf(text, sizeof text, "%s  %.0f img/s  ETA %s", describe(reached, event),
             event->images_per_second, left);
    cli_progress_draw(&self->session.progress, label,
                      event->steps > 0 ? (double)event->step / (double)event->steps : 0, text);
}

static void print_epoch(training *self, const irn_fit_event *event)
{
    char accuracy[32] = "", bits[80] = "", spent[CLI_DURATION], reached[REACHED_TEXT];
    char number[CLI_BOUND_TEXT];
    if (event->test_accuracy >= 0)
        snprintf(accuracy, sizeof accuracy, "  test %.2f %%", 100 * event->test_accuracy);
    if (isfinite(event->test_bits_per_dim))
        snprintf(bits, sizeof bits, "  test %s bits/dim, error %.2g",
                 cli_measured(number, event->test_bits_per_dim), event->test_bits_per_dim_error);
    cli_progress_clear(&self->session.progress);
    if (!self->session.common.quiet)
        fprintf(stderr, "epoch %zu/%zu  %s%s%s  %.0f img/s  %s\n", event->epoch, event->epochs,
                describe(reached, event), accuracy, bits, event->images_per_second,
                cli_duration(spent, event->seconds));
}

static bool on_event(const irn_fit_event *event, void *payload)
{
    training *self = payload;
    if (self->last.epochs == 0) {
        self->first_share = share_done(event);
        self->first_seconds = event->seconds;
    }
    self->last = *event;
    if (!event->epoch_done) {
        draw_event(self, event);
        return !cli_interrupted();
    }
    print_epoch(self, event);
    return train_log_write(&self->session, &self->log, event) && !cli_interrupted();
}

static int stopped(training *self)
{
    cli_session *session = &self->session;
    cli_progress_clear(&session->progress);
    fprintf(stderr,
            "iresnet train: interrupted; the checkpoint is kept, go on with\n"
            "  iresnet train --data %s --out %s --resume %s\n",
            self->files.data, self->files.out, self->checkpoint_path);
    return CLI_STOPPED;
}

/* What a block's L can become: every layer's norm is at most the coefficient, and slopes are at
 * most
 * 1. Of geometric the variance is finite where L^2 < 1 - p; Poisson has no such limit. */
static void warn_of_variance(training *self)
{
    const irn_train_options *o = irn_trainer_get_options(self->trainer);
    const irn_model_config *config = irn_model_get_config(self->session.model);
    double p = o->roulette_parameter > 0 ? o->roulette_parameter : 0.5;
    double lipschitz = pow(config->coefficient, (double)config->layers);
    bool geometric = o->roulette == IRN_ROULETTE_GEOMETRIC;
    if (o->task == IRN_CLASSIFY || o->logdet != IRN_GRADIENT_ROULETTE ||
        (geometric && lipschitz * lipschitz < 1 - p))
        return;
    if (geometric && lipschitz < 1)
        cli_note(&self->session,
                 "the variance of roulette's gradients is not proven finite: blocks may have L up "
                 "to %.3g, and p is %.3g; --roulette-parameter %.2g would do, and take more terms",
                 lipschitz, p, (1 - lipschitz * lipschitz) / 2);
    else
        cli_note(&self->session, "the variance of roulette's gradients is not proven finite");
}

static void announce(training *self)
{
    irn_model *model = self->session.model;
    const irn_train_options *options = irn_trainer_get_options(self->trainer);
    cli_note(&self->session, "%s: blocks %zu, parameters %zu, examples %zu, epochs %zu",
             irn_context_device(self->session.context)->name, irn_model_block_count(model),
             irn_model_parameter_count(model), irn_dataset_get_info(self->train).count,
             options->epochs);
    warn_of_variance(self);
}

static int fit(training *self)
{
    announce(self);
    irn_status status = irn_trainer_fit(self->trainer, self->train, self->test,
                                        self->checkpoint_path, on_event, self);
    cli_progress_clear(&self->session.progress);
    if (self->log.failed) /* after the last epoch the fit is complete all the same */
        return CLI_FAILED;
    if (status == IRN_ERROR_CANCELLED)
        return stopped(self);
    return status == IRN_OK ? CLI_DONE : cli_fail(&self->session, status);
}

/* Proves bounds. Where these leave a block uncertified, because power iteration had not caught up
 * with the weights, layers are scaled down until every block is certified at the coefficient that
 * training aims at. A model that is certified as it was trained is left alone, and so is one that
 * was not meant to be: an ordinary network, or one whose coefficient is not below 1. */
static irn_status prove(training *self, irn_certificate **out)
{
    irn_model *model = self->session.model;
    double coefficient = irn_model_get_config(model)->coefficient;
    irn_certify_options options = IRN_CERTIFY_OPTIONS_INIT;
    options.arithmetic = (irn_arithmetic)self->files.arithmetic;
    options.progress = cli_progress_step;
    options.progress_payload = &self->session.progress;
    irn_status status = irn_certify_model(out, model, &options);
    bool meant = coefficient > 0 && coefficient < 1;
    if (status != IRN_OK || irn_certificate_verdict(*out) || !meant)
        return status;
    irn_certificate_free(*out);
    return irn_certify_enforce(out, model, coefficient, &options, NULL);
}

static int certify(training *self, outcome *out)
{
    cli_session *session = &self->session;
    cli_progress_begin(&session->progress, "certifying");
    irn_status status = prove(self, &out->certificate);
    cli_progress_clear(&session->progress);
    if (status == IRN_ERROR_CANCELLED)
        return stopped(self);
    if (status != IRN_OK)
        return cli_fail(session, status);
    out->changed = cli_changed_layers(out->certificate);
    for (size_t i = 0; i < irn_certificate_block_count(out->certificate); i++)
        out->block_upper = cli_larger(out->block_upper,
                                      irn_certificate_block(out->certificate, i).lipschitz_upper);
    return CLI_DONE;
}

static int test_accuracy(training *self, double *out)
{
    cli_session *session = &self->session;
    cli_progress_begin(&session->progress, "testing");
    irn_status status =
        irn_model_accuracy(session->model, self->test, cli_progress_step, &session->progress, out);
    cli_progress_clear(&session->progress);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

static int test_density(training *self, eval_density *out)
{
    cli_session *session = &self->session;
    cli_samples x = {.count = 0};
    cli_logdet how;
    cli_logdet_init(&how);
    int result =
        cli_take_examples(session, self->test, eval_density_limit(session->model), true, &x);
    if (result == CLI_DONE)
        result = eval_density_measure(session, &how, &x, out);
    cli_samples_free(&x);
    return result;
}

/* Bounds, the model's file, and how good it is at what it has learned. */
static int finish(training *self, outcome *out)
{
    cli_session *session = &self->session;
    int result = self->files.certify ? certify(self, out) : CLI_DONE;
    if (result != CLI_DONE)
        return result;
    irn_task task = irn_trainer_get_options(self->trainer)->task;
    irn_status status = irn_model_save(session->model, self->model_path);
    if (status != IRN_OK)
        return cli_fail(session, status);
    if (self->test && task != IRN_DENSITY)
        result = test_accuracy(self, &out->test_accuracy);
    if (result == CLI_DONE && self->test && task != IRN_CLASSIFY)
        result = test_density(self, &out->test_density);
    return result;
}

static void add_density(cli_json *json, const eval_density *density)
{
    const double none = (double)NAN;
    const eval_mean unknown = {none, none};
    bool known = density->count > 0;
    eval_mean bits = known ? density->bits : unknown, nats = known ? density->nats : unknown;
    cli_json_number(json, json->root, "test_density_count", known ? (double)density->count : none);
    cli_json_number(json, json->root, "test_density_total", known ? (double)density->total : none);
    cli_json_number(json, json->root, "test_bits_per_dim", bits.value);
    cli_json_number(json, json->root, "test_bits_per_dim_standard_error", bits.error);
    cli_json_number(json, json->root, "test_nll_nats", nats.value);
    cli_json_number(json, json->root, "test_nll_nats_standard_error", nats.error);
}

static void add_bounds(cli_json *json, const outcome *values)
{
    const irn_certificate *certificate = values->certificate;
    if (certificate)
        cli_json_bool(json, json->root, "certified", irn_certificate_verdict(certificate));
    else
        cli_json_null(json, json->root, "certified");
    cli_json_number(json, json->root, "changed_layers",
                    certificate ? (double)values->changed : (double)NAN);
    cli_json_number(json, json->root, "block_lipschitz_upper",
                    certificate ? values->block_upper : (double)NAN);
    cli_json_number(json, json->root, "lipschitz_upper",
                    certificate ? irn_certificate_lipschitz_upper(certificate) : (double)NAN);
    cli_json_number(json, json->root, "inverse_lipschitz_upper",
                    certificate ? irn_certificate_inverse_lipschitz_upper(certificate)
                                : (double)NAN);
}

static int print_json(training *self, const outcome *values)
{
    cli_json json;
    cli_json_begin(&json, false);
    cli_json_text(&json, json.root, "model", self->model_path);
    cli_json_number(&json, json.root, "epochs",
                    (double)irn_trainer_get_options(self->trainer)->epochs);
    cli_json_number(&json, json.root, "test_accuracy", values->test_accuracy);
    add_density(&json, &values->test_density);
    add_bounds(&json, values);
    return cli_json_print(&self->session, &json);
}

static void print_certificate(training *self, const outcome *values)
{
    static const char indent[] = "               ";
    const irn_certificate *certificate = values->certificate;
    char block[CLI_BOUND_TEXT];
    cli_bound_upper(block, values->block_upper);
    if (!irn_certificate_verdict(certificate)) {
        printf("not certified  Lip(g) <= %s is all that is proven of the worst block\n", block);
        return;
    }
    printf("certified      Lip(g) <= %s in every block, ", block);
    char limit[CLI_BOUND_TEXT];
    if (values->changed == 0) {
        puts("with the weights as trained");
        return;
    }
    printf("after %zu layer%s scaled down:\n", values->changed,
           values->changed == 1 ? " was" : "s were");
    printf("%s%-28s  %12s  %12s\n", indent, "layer", "norm from <=", "to <=");
    cli_print_changes(certificate, indent);
    printf("%sso that no block is above the coefficient %s\n", indent,
           cli_exact(limit, irn_model_get_config(self->session.model)->coefficient));
}

static void print_text(training *self, const outcome *values)
{
    if (values->test_accuracy >= 0)
        printf("test accuracy  %.2f %% of %zu\n", 100 * values->test_accuracy,
               irn_dataset_get_info(self->test).count);
    eval_density_print_value("test density   ", &values->test_density);
    if (values->certificate)
        print_certificate(self, values);
    printf("model          %s\n", self->model_path);
}

int train_run(training *self)
{
    outcome values = {.test_accuracy = NAN};
    int result = fit(self);
    if (result == CLI_DONE)
        result = finish(self, &values);
    if (result == CLI_DONE && self->session.common.json)
        result = print_json(self, &values);
    else if (result == CLI_DONE)
        print_text(self, &values);
    irn_certificate_free(values.certificate);
    return result;
}
