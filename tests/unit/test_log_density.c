/* Densities of models: golden values, estimates by their standard errors, and what is proven about
 * them. */
#include "blocks.h"
#include "golden.h"

#include "flow/workspace.h"

#include <iresnet/certify.h>
#include <iresnet/density.h>

#include <math.h>

static const char *const files[] = {"model-density.safetensors",
                                    "model-density-multiscale.safetensors"};
enum { FILES = sizeof files / sizeof *files, BATCH = 4 };

typedef struct subject {
    const char *name;
    irn_safetensors *file;
    irn_model *model;
    size_t size; /* values of one sample */
    float *x;    /* [BATCH], as the golden values want it: without noise to be added */
} subject;

static subject open_subject(irn_context *context, size_t index)
{
    subject s = {.name = files[index], .file = golden_open(files[index])};
    size_t count;
    testing_ok(irn_model_import(&s.model, context, golden_path(s.name), NULL));
    double *x = golden_read(s.file, &count, "input.x");
    s.x = host_narrow(x, count);
    s.size = irn_model_latent_size(s.model);
    ck_assert_uint_eq(count, BATCH * s.size);
    return s;
}

static void close_subject(subject *s)
{
    irn_model_free(s->model);
    irn_safetensors_free(s->file);
}

static irn_density_options options_of(irn_logdet_method method)
{
    irn_density_options options = IRN_DENSITY_OPTIONS_INIT;
    options.method = method;
    options.dequantise = false;
    return options;
}

/* Rounds the images to the model's 256 levels. */
static void take_levels(subject *s)
{
    for (size_t i = 0; i < BATCH * s->size; i++)
        s->x[i] = rintf((s->x[i] + 0.5F) * 255) / 255 - 0.5F;
}

static void evaluate(const subject *s, const irn_density_options *options, irn_log_density *out)
{
    testing_ok(irn_model_log_density(s->model, s->x, BATCH, options, out, NULL));
}

static void certify(const subject *s)
{
    irn_certificate *certificate = NULL;
    testing_ok(irn_certify_model(&certificate, s->model, NULL));
    ck_assert(irn_certificate_verdict(certificate));
    irn_certificate_free(certificate);
}

/* ---- values ---- */

static void check_golden(const subject *s, irn_logdet_method method)
{
    const irn_density_options options = options_of(method);
    irn_log_density found[BATCH];
    double priors[BATCH], logdets[BATCH];
    float *z = host_floats(BATCH * s->size), *encoded = host_floats(BATCH * s->size);
    testing_ok(irn_model_log_density(s->model, s->x, BATCH, &options, found, z));
    for (size_t n = 0; n < BATCH; n++) {
        priors[n] = found[n].log_prior;
        logdets[n] = found[n].logdet;
        ck_assert(found[n].standard_error == 0 && found[n].truncation_upper == 0);
        ck_assert(found[n].logdet_lower == -(double)INFINITY);
        ck_assert(found[n].logdet_upper == (double)INFINITY);
    }
    host_check(golden_read(s->file, NULL, "expect.logpz"), priors, BATCH, GOLDEN_OUTPUT,
               "%s: log p(z)", s->name);
    host_check(golden_read(s->file, NULL, "expect.logdet_exact"), logdets, BATCH, GOLDEN_OUTPUT,
               "%s: log-determinant", s->name);
    testing_ok(irn_model_encode(s->model, s->x, BATCH, encoded));
    host_check_float(host_widen(encoded, BATCH * s->size), z, BATCH * s->size, 1e-6, "%s: z",
                     s->name);
}

/* The blocks of the first file have 64 dimensions, those of the second more. */
START_TEST(golden_values)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < FILES; i++) {
        subject s = open_subject(context, i);
        check_golden(&s, IRN_LOGDET_EXACT);
        if (i == 0)
            check_golden(&s, IRN_LOGDET_AUTO);
        close_subject(&s);
    }
    devices_close(context);
}
END_TEST

/* |estimate - exact| within four standard errors and `bias`, and these not so large that anything
 * would be. */
static void check_estimate(const subject *s, const irn_density_options *options, double bias)
{
    irn_log_density found[BATCH];
    double *exact = golden_read(s->file, NULL, "expect.logdet_exact");
    evaluate(s, options, found);
    for (size_t n = 0; n < BATCH; n++) {
        double error = found[n].standard_error;
        ck_assert_msg(error > 0 && error < 1, "%s: standard error %g", s->name, error);
        host_check_number(exact[n], found[n].logdet, 4 * error + bias, "%s: sample %zu, method %d",
                          s->name, n, (int)options->method);
    }
}

/* Where a launch takes long, a tenth of the probes have to do. */
static size_t probes(size_t most)
{
    return host_step(1) > 1 ? most / 10 : most;
}

START_TEST(estimates)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < FILES; i++) {
        subject s = open_subject(context, i);
        irn_density_options options = options_of(IRN_LOGDET_SERIES);
        options.probes = probes(200);
        options.terms = 40;
        check_estimate(&s, &options, 1e-3);
        options.gaussian_probes = true;
        check_estimate(&s, &options, 1e-3);
        options = options_of(IRN_LOGDET_ROULETTE);
        options.probes = probes(400);
        options.terms = 1;
        check_estimate(&s, &options, 1e-3);
        close_subject(&s);
    }
    devices_close(context);
}
END_TEST

/* Roulette's standard errors are those of its means: over many seeds, deviations from the exact
 * values have about the size that was announced. */
START_TEST(errors_are_as_announced)
{
    enum { SEEDS = 40 };
    irn_context *context = devices_open(_i);
    subject s = open_subject(context, 0);
    irn_density_options options = options_of(IRN_LOGDET_ROULETTE);
    double *exact = golden_read(s.file, NULL, "expect.logdet_exact"), squares = 0, sum = 0;
    double announced = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        irn_log_density found[BATCH];
        options.seed = seed;
        options.probes = 8;
        options.terms = 2;
        evaluate(&s, &options, found);
        for (size_t n = 0; n < BATCH; n++) {
            double error = found[n].logdet - exact[n];
            sum += error;
            squares += error * error;
            announced += found[n].standard_error * found[n].standard_error;
        }
    }
    ck_assert_msg(squares > 0.6 * announced && squares < 1.6 * announced,
                  "mean square error %g, announced %g", squares, announced);
    /* Independent from sample to sample, so that the mean over all is better than one. */
    ck_assert_msg(sum * sum <= 16 * announced, "sum of errors %g, announced %g", sum,
                  sqrt(announced));
    close_subject(&s);
    devices_close(context);
}
END_TEST

/* A linear network: its log-determinant is the same everywhere, and its Jacobian is as large as it
 * may be. */
static irn_model *linear_model(irn_context *context)
{
    irn_model *model;
    irn_model_config config = devices_small_config(4, 1, 1);
    config.blocks[0] = 3;
    config.layers = 1;
    config.kernels[0] = 1;
    config.activation = IRN_IDENTITY;
    config.actnorm = false;
    config.coefficient = 0.8;
    config.prior = IRN_PRIOR_STANDARD;
    testing_ok(irn_model_create(&model, context, &config));
    blocks_enlarge(model, 10);
    return model;
}

/* Few probes of many samples: the mean over the samples is as near as errors independent from
 * sample to sample let it be, and that is nearer than the series without weights is. */
START_TEST(roulette_without_bias)
{
    enum { COUNT = 1000, SIZE = 4 };
    irn_context *context = devices_open(_i);
    irn_model *model = linear_model(context);
    irn_log_density found[COUNT];
    float *x = host_narrow(host_normal(COUNT * SIZE), COUNT * SIZE);
    irn_density_options options = options_of(IRN_LOGDET_EXACT);
    testing_ok(irn_model_log_density(model, x, 1, &options, found, NULL));
    double exact = found[0].logdet;
    for (int kind = IRN_ROULETTE_GEOMETRIC; kind <= IRN_ROULETTE_POISSON; kind++) {
        double mean = 0, variance = 0;
        options = options_of(IRN_LOGDET_ROULETTE);
        options.roulette = (irn_roulette_kind)kind;
        options.terms = kind == IRN_ROULETTE_POISSON;
        options.roulette_parameter = kind == IRN_ROULETTE_POISSON ? 6 : 0.25;
        testing_ok(irn_model_log_density(model, x, COUNT, &options, found, NULL));
        for (size_t n = 0; n < COUNT; n++) {
            mean += found[n].logdet / COUNT;
            variance += found[n].standard_error * found[n].standard_error / COUNT / COUNT;
        }
        host_check_number(exact, mean, 4 * sqrt(variance), "mean of %d estimates, roulette %d",
                          COUNT, kind);
        ck_assert_msg(sqrt(variance) < 0.1, "standard error %g", sqrt(variance));
    }
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* p follows from the certified bounds; Poisson's variance is never proven finite. */
START_TEST(plans)
{
    irn_context *context = devices_open(_i);
    subject s = open_subject(context, 0);
    irn_density_options options = options_of(IRN_LOGDET_ROULETTE);
    options.roulette_parameter = 0;
    irn_logdet_plan plan = irn_model_plan_logdet(s.model, &options);
    ck_assert(plan.parameter == 0.5 && !plan.finite);
    certify(&s);
    double largest = 0;
    for (size_t b = 0; b < s.model->block_count; b++)
        largest = fmax(largest, s.model->blocks[b].lipschitz_upper);
    plan = irn_model_plan_logdet(s.model, &options);
    ck_assert(plan.finite && plan.method == IRN_LOGDET_ROULETTE);
    host_check_number(fmin((1 - largest * largest) / 2, 0.5), plan.parameter, 1e-15, "p");
    options.roulette_parameter = 1 - 0.99 * largest * largest;
    ck_assert(!irn_model_plan_logdet(s.model, &options).finite);
    options.roulette_parameter = 1 - 1.01 * largest * largest;
    ck_assert(irn_model_plan_logdet(s.model, &options).finite);
    options.roulette = IRN_ROULETTE_POISSON;
    options.roulette_parameter = 0;
    plan = irn_model_plan_logdet(s.model, &options);
    ck_assert(plan.parameter == 2 && !plan.finite);
    close_subject(&s);
    devices_close(context);
}
END_TEST

/* ---- what is proven ---- */

START_TEST(bounds)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < FILES; i++) {
        subject s = open_subject(context, i);
        irn_density_options options = options_of(IRN_LOGDET_SERIES);
        irn_log_density exact[BATCH], series[BATCH], longer[BATCH], roulette[BATCH];
        options.terms = 2;
        evaluate(&s, &options, series);
        ck_assert(series[0].truncation_upper == (double)INFINITY);
        certify(&s);
        options.probes = probes(400);
        evaluate(&s, &options, series);
        options.probes = 2;
        options.terms = 60;
        evaluate(&s, &options, longer);
        options = options_of(IRN_LOGDET_EXACT);
        evaluate(&s, &options, exact);
        options = options_of(IRN_LOGDET_ROULETTE);
        evaluate(&s, &options, roulette);
        for (size_t n = 0; n < BATCH; n++) {
            ck_assert(exact[n].logdet_lower <= exact[n].logdet);
            ck_assert(exact[n].logdet <= exact[n].logdet_upper);
            ck_assert(isfinite(exact[n].logdet_lower) && isfinite(exact[n].logdet_upper));
            ck_assert(exact[n].truncation_upper == 0);
            double bias = fabs(series[n].logdet - exact[n].logdet);
            ck_assert(bias <= series[n].truncation_upper + 4 * series[n].standard_error);
            ck_assert(longer[n].truncation_upper < series[n].truncation_upper);
            ck_assert(roulette[n].truncation_upper < 1e-6);
        }
        close_subject(&s);
    }
    devices_close(context);
}
END_TEST

/* ---- chunks ---- */

static void check_same(const irn_log_density *a, const irn_log_density *b, size_t count)
{
    for (size_t n = 0; n < count; n++) {
        host_check_number(a[n].log_prior, b[n].log_prior, 1e-5 * fabs(a[n].log_prior),
                          "log p(z) of sample %zu", n);
        host_check_number(a[n].logdet, b[n].logdet, 1e-5 * fabs(a[n].logdet),
                          "log-determinant of sample %zu", n);
        host_check_number(a[n].standard_error, b[n].standard_error, 1e-4 * a[n].standard_error,
                          "standard error of sample %zu", n);
    }
}

static bool count_calls(size_t done, size_t total, const char *what, void *payload)
{
    (void)what;
    ck_assert_uint_le(done, total);
    return ++*(size_t *)payload < 3;
}

/* Five samples at once, and where memory is short two at a time; noise included. */
START_TEST(chunks)
{
    enum { COUNT = 5 };
    irn_context *context = devices_open(_i);
    subject s = open_subject(context, 1);
    irn_log_density whole[COUNT], pieces[COUNT];
    float *x = host_floats(COUNT * s.size);
    size_t calls = 0;
    for (size_t i = 0; i < COUNT * s.size; i++)
        x[i] = (float)host_below(256) / 255 - 0.5F;
    const irn_logdet_method methods[] = {IRN_LOGDET_EXACT, IRN_LOGDET_SERIES, IRN_LOGDET_ROULETTE};
    uint64_t limit = context->info.max_allocation;
    for (size_t i = 0; i < 3; i++) {
        irn_density_options options = options_of(methods[i]);
        options.dequantise = true;
        options.terms = 1; /* so that roulette matters */
        testing_ok(irn_model_log_density(s.model, x, COUNT, &options, whole, NULL));
        /* Two doubles for each value of the largest tensor. */
        context->info.max_allocation = 2 * sizeof(double) * irn_largest_flow(s.model);
        ck_assert_uint_eq(irn_model_chunk(s.model, COUNT), 2);
        testing_ok(irn_model_log_density(s.model, x, COUNT, &options, pieces, NULL));
        check_same(whole, pieces, COUNT);
        options.progress = count_calls;
        options.progress_payload = &calls;
        calls = 0;
        testing_fails(irn_model_log_density(s.model, x, COUNT, &options, pieces, NULL),
                      IRN_ERROR_CANCELLED, "cancelled");
        ck_assert_uint_eq(calls, 3);
        context->info.max_allocation = limit;
    }
    close_subject(&s);
    devices_close(context);
}
END_TEST

/* ---- dequantisation ---- */

START_TEST(noise)
{
    irn_context *context = devices_open(_i);
    subject s = open_subject(context, 0);
    irn_density_options options = options_of(IRN_LOGDET_EXACT);
    irn_log_density plain[BATCH], noisy[BATCH], again[BATCH], other[BATCH];
    take_levels(&s);
    evaluate(&s, &options, plain);
    options.dequantise = true;
    evaluate(&s, &options, noisy);
    evaluate(&s, &options, again);
    options.seed = 1;
    evaluate(&s, &options, other);
    for (size_t n = 0; n < BATCH; n++) {
        ck_assert(noisy[n].log_prior != plain[n].log_prior);
        ck_assert(noisy[n].log_prior == again[n].log_prior);
        ck_assert(noisy[n].log_prior != other[n].log_prior);
        host_check_number(plain[n].log_prior, noisy[n].log_prior, 0.1 * fabs(plain[n].log_prior),
                          "log p(z) with noise of a level");
    }
    s.x[s.size + 3] = 100.25F / 255 - 0.5F;
    testing_fails(irn_model_log_density(s.model, s.x, BATCH, &options, noisy, NULL),
                  IRN_ERROR_ARGUMENT,
                  "value 3 of sample 1 is -0.106863, level 100.25 of 0 to 255; the model is of "
                  "data of 256 levels");
    s.x[s.size + 3] = 0.6F;
    testing_fails(irn_model_log_density(s.model, s.x, BATCH, &options, noisy, NULL),
                  IRN_ERROR_ARGUMENT, "value 3 of sample 1 is 0.6");
    options.dequantise = false;
    evaluate(&s, &options, noisy);
    s.x[s.size + 3] = NAN;
    testing_fails(irn_model_log_density(s.model, s.x, BATCH, &options, noisy, NULL),
                  IRN_ERROR_NUMERIC, "image 1");
    options.method = IRN_LOGDET_SERIES;
    testing_fails(irn_model_log_density(s.model, s.x, BATCH, &options, noisy, NULL),
                  IRN_ERROR_NUMERIC, "sample 1");
    close_subject(&s);
    devices_close(context);
}
END_TEST

/* ---- refusals ---- */

START_TEST(refused_options)
{
    irn_context *context = devices_open(_i);
    subject s = open_subject(context, 0);
    irn_log_density found[BATCH];
    const struct {
        irn_density_options options;
        const char *words;
    } cases[] = {
        {{1, IRN_LOGDET_SERIES, 0, 4, false, IRN_ROULETTE_GEOMETRIC, 0.5, 0, false, NULL, NULL},
         "terms is 0; it must be from 1 to 1000"},
        {{1, IRN_LOGDET_ROULETTE, 1001, 4, false, IRN_ROULETTE_GEOMETRIC, 0.5, 0, false, NULL,
          NULL},
         "terms is 1001; it must be from 0 to 1000"},
        {{1, IRN_LOGDET_AUTO, 4, 0, false, IRN_ROULETTE_GEOMETRIC, 0.5, 0, false, NULL, NULL},
         "probes is 0; it must be from 1 to 1024"},
        {{1, IRN_LOGDET_AUTO, 4, 1025, false, IRN_ROULETTE_GEOMETRIC, 0.5, 0, false, NULL, NULL},
         "probes is 1025; it must be from 1 to 1024"},
        {{1, IRN_LOGDET_AUTO, 4, 4, false, IRN_ROULETTE_GEOMETRIC, 1, 0, false, NULL, NULL},
         "the geometric distribution's p is 1, not between 0 and 1"},
        {{1, IRN_LOGDET_AUTO, 4, 4, false, IRN_ROULETTE_GEOMETRIC, (double)NAN, 0, false, NULL,
          NULL},
         "p is nan, not"},
        {{1, (irn_logdet_method)4, 4, 4, false, IRN_ROULETTE_GEOMETRIC, 0.5, 0, false, NULL, NULL},
         "no method 4"},
        {{7, IRN_LOGDET_AUTO, 4, 4, false, IRN_ROULETTE_GEOMETRIC, 0.5, 0, false, NULL, NULL},
         "version"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        testing_fails(irn_model_log_density(s.model, s.x, BATCH, &cases[i].options, found, NULL),
                      IRN_ERROR_ARGUMENT, cases[i].words);
    irn_density_options options = options_of(IRN_LOGDET_ROULETTE);
    options.probes = 1;
    options.terms = 0;
    evaluate(&s, &options, found);
    ck_assert(isnan(found[0].standard_error) && isfinite(found[0].logdet));
    take_levels(&s);
    testing_ok(irn_model_log_density(s.model, s.x, BATCH, NULL, found, NULL));
    testing_ok(irn_model_log_density(s.model, s.x, 0, NULL, NULL, NULL));
    close_subject(&s);
    devices_close(context);
}
END_TEST

static void refuse_model(irn_context *context, const irn_model_config *config, const char *words)
{
    irn_model *model;
    irn_log_density found;
    float *x = host_floats(config->channels * config->height * config->width);
    const irn_density_options options = options_of(IRN_LOGDET_EXACT);
    testing_ok(irn_model_create(&model, context, config));
    testing_fails(irn_model_log_density(model, x, 1, &options, &found, NULL), IRN_ERROR_UNSUPPORTED,
                  words);
    irn_model_free(model);
}

START_TEST(refused_models)
{
    irn_context *context = devices_open(_i);
    irn_model_config config = devices_small_config(2, 4, 4);
    refuse_model(context, &config, "no prior");
    config.prior = IRN_PRIOR_STANDARD;
    config.coefficient = 0;
    refuse_model(context, &config, "coefficient is 0");
    config = devices_small_config(5, 32, 32);
    config.prior = IRN_PRIOR_STANDARD;
    config.actnorm = false;
    refuse_model(context, &config, "5120 dimensions");
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("densities");
    TCase *values = devices_case(suite, "values");
    devices_add(values, golden_values);
    devices_add(values, estimates);
    devices_add(values, errors_are_as_announced);
    devices_add(values, roulette_without_bias);
    devices_add(values, plans);
    devices_add(values, bounds);
    devices_add(values, chunks);
    devices_add(values, noise);
    TCase *refusals = devices_case(suite, "refusals");
    devices_add(refusals, refused_options);
    devices_add(refusals, refused_models);
    return testing_run(suite);
}
