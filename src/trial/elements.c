/* Checks of layouts, of what is done to elements, and of sums. */
#include "trial/trial.h"
#include "trial/reference.h"
#include "ops/elementwise.h"

#include <math.h>
#include <stdio.h>

static const size_t shape[4] = {3, 21, 5, 7};
enum { IMAGES = 3, CHANNELS = 21, PIXELS = 35, COUNT = IMAGES * CHANNELS * PIXELS };
static const irn_map map = {IMAGES, 5, 7};

/* ---- layouts ---- */

/* From plain memory and back to it, there part of the channels only and from float32 only, as the
 * library does. */
static irn_status check_pack(irn_trial *c, irn_precision precision)
{
    enum { PART = 13 };
    double *x, *back, *expected;
    float *plain, got[COUNT];
    irn_tensor tensor;
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &x));
    IRN_TRY(irn_trial_floats(c, x, COUNT, &plain));
    IRN_TRY(irn_trial_tensor(c, precision, shape, NULL, &tensor));
    IRN_TRY(irn_tensor_write(&tensor, plain, CHANNELS));
    IRN_TRY(irn_trial_is_tensor(c, "pack", x, &tensor, 0));
    if (precision == IRN_DOUBLE)
        return IRN_OK;
    IRN_TRY(irn_tensor_read(&tensor, got, PART));
    IRN_TRY(irn_trial_widened(c, got, (size_t)IMAGES * PART * PIXELS, &back));
    IRN_TRY(irn_trial_doubles(c, COUNT, &expected));
    for (size_t i = 0; i < (size_t)IMAGES * PART * PIXELS; i++)
        expected[i] = x[i / (PART * PIXELS) * CHANNELS * PIXELS + i % (PART * PIXELS)];
    return irn_trial_values(c, "unpack", expected, back, (size_t)IMAGES * PART * PIXELS, 0);
}

/* Between [2, 5, 6, 4] and [2, 20, 3, 2]. */
static irn_status check_squeeze(irn_trial *c, irn_precision precision)
{
    enum { N = 2, C = 5, H = 3, W = 2, ALL = N * C * 4 * H * W };
    double *wide, *narrow;
    irn_tensor x, y, back;
    IRN_TRY(irn_trial_normal(c, ALL, 1, &wide));
    IRN_TRY(irn_trial_doubles(c, ALL, &narrow));
    for (size_t i = 0; i < ALL; i++) {
        size_t column = i % (2 * W), row = i / (2 * W) % (2 * H), plane = i / (4 * H * W);
        size_t channel = (row % 2 * 2 + column % 2) * C + plane % C;
        narrow[((plane / C * 4 * C + channel) * H + row / 2) * W + column / 2] = wide[i];
    }
    IRN_TRY(irn_trial_tensor(c, precision, (size_t[4]){N, C, 2 * H, 2 * W}, wide, &x));
    IRN_TRY(irn_trial_tensor(c, precision, (size_t[4]){N, 4 * C, H, W}, NULL, &y));
    IRN_TRY(irn_trial_tensor(c, precision, (size_t[4]){N, C, 2 * H, 2 * W}, NULL, &back));
    IRN_TRY(irn_squeeze(&x, &y));
    IRN_TRY(irn_trial_is_tensor(c, "squeeze", narrow, &y, 0));
    IRN_TRY(irn_unsqueeze(&y, &back));
    return irn_trial_is_tensor(c, "unsqueeze", wide, &back, 0);
}

static irn_status check_split(irn_trial *c, irn_precision precision)
{
    enum { FIRST = 8, REST = CHANNELS - FIRST };
    double *x, *tail;
    irn_tensor whole, head_part, tail_part, joined;
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &x));
    IRN_TRY(irn_trial_doubles(c, COUNT, &tail));
    for (size_t i = 0; i < (size_t)IMAGES * REST * PIXELS; i++)
        tail[i] = x[(i / (REST * PIXELS) * CHANNELS + FIRST) * PIXELS + i % (REST * PIXELS)];
    IRN_TRY(irn_trial_tensor(c, precision, shape, x, &whole));
    IRN_TRY(irn_trial_tensor(c, precision, (size_t[4]){3, FIRST, 5, 7}, NULL, &head_part));
    IRN_TRY(irn_trial_tensor(c, precision, (size_t[4]){3, REST, 5, 7}, NULL, &tail_part));
    IRN_TRY(irn_trial_tensor(c, precision, shape, NULL, &joined));
    IRN_TRY(irn_take_channels(&whole, FIRST, &tail_part));
    IRN_TRY(irn_trial_is_tensor(c, "take_channels", tail, &tail_part, 0));
    IRN_TRY(irn_take_channels(&whole, 0, &head_part));
    IRN_TRY(irn_join_channels(&head_part, &tail_part, &joined));
    return irn_trial_is_tensor(c, "join_channels", x, &joined, 0);
}

static irn_status check_widths(irn_trial *c)
{
    double *x;
    irn_tensor single, wide, back;
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &x));
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, x, &single));
    IRN_TRY(irn_trial_tensor(c, IRN_DOUBLE, shape, NULL, &wide));
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, NULL, &back));
    IRN_TRY(irn_tensor_copy(&single, &wide));
    IRN_TRY(irn_trial_is_tensor(c, "widen", x, &wide, 0));
    IRN_TRY(irn_tensor_copy(&wide, &back));
    return irn_trial_is_tensor(c, "narrow", x, &back, 0);
}

static irn_status check_layouts(irn_trial *c, irn_precision precision)
{
    IRN_TRY(check_pack(c, precision));
    IRN_TRY(check_squeeze(c, precision));
    return check_split(c, precision);
}

irn_status irn_trial_layout(irn_trial *c)
{
    return check_layouts(c, IRN_SINGLE);
}

/* ---- activations ---- */

static const double beta = 0.625;

static const char *const activation_names[] = {"identity", "elu",      "relu",
                                               "tanh",     "softplus", "lipswish"};

/* phi(z), phi'(z) t and s + phi''(z) t s. */
static irn_status check_activation(irn_trial *c, irn_precision precision, irn_activation phi)
{
    double *z, *t, *s, *expected[3], limit = irn_trial_limit(precision);
    irn_tensor in, saved, along, other, out, sum;
    irn_place parameter;
    char what[3][48];
    IRN_TRY(irn_trial_normal(c, COUNT, 4, &z));
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &t));
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &s));
    for (int order = 0; order < 3; order++) {
        IRN_TRY(irn_trial_doubles(c, COUNT, &expected[order]));
        snprintf(what[order], sizeof what[order], "%s%.*s", activation_names[phi], order, "''");
        for (size_t i = 0; i < COUNT; i++) {
            double value = irn_reference_activation(phi, beta, z[i], order);
            expected[order][i] = order == 0   ? value
                                 : order == 1 ? value * t[i]
                                              : s[i] + value * t[i] * s[i];
        }
    }
    IRN_TRY(irn_trial_vector(c, precision, 1, &beta, &parameter));
    IRN_TRY(irn_trial_tensor(c, precision, shape, z, &in));
    IRN_TRY(irn_trial_tensor(c, precision, shape, NULL, &out));
    IRN_TRY(irn_trial_tensor(c, precision, shape, NULL, &saved));
    IRN_TRY(irn_trial_tensor(c, precision, shape, t, &along));
    IRN_TRY(irn_trial_tensor(c, precision, shape, s, &other));
    IRN_TRY(irn_trial_tensor(c, precision, shape, s, &sum));
    IRN_TRY(irn_activation_forward(phi, parameter, &in, &saved));
    IRN_TRY(irn_trial_is_tensor(c, what[0], expected[0], &saved, limit));
    const irn_tensor *from = irn_saves_input(phi) ? &in : &saved;
    IRN_TRY(irn_activation_derivative(phi, parameter, from, &along, &out));
    IRN_TRY(irn_trial_is_tensor(c, what[1], expected[1], &out, limit));
    IRN_TRY(irn_activation_second(phi, parameter, from, &along, &other, &sum));
    return irn_trial_is_tensor(c, what[2], expected[2], &sum, limit);
}

/* LipSwish's vjp, with what log-determinants add, and the gradient with respect to beta. */
static irn_status check_parameter(irn_trial *c)
{
    double *z, *bar, *second, *rest, *gain, *expected, gradient = 0;
    irn_tensor in, back, added, others, out;
    irn_place parameter, found, values;
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &z));
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &bar));
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &second));
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &rest));
    IRN_TRY(irn_trial_doubles(c, COUNT, &gain));
    IRN_TRY(irn_trial_doubles(c, COUNT, &expected));
    double s = log1p(exp(beta)), slope = 1 / (1 + exp(-beta));
    for (size_t i = 0; i < COUNT; i++) {
        gain[i] = second[i] + rest[i];
        expected[i] = irn_reference_activation(IRN_LIPSWISH, beta, z[i], 1) * bar[i] + gain[i];
        gradient += irn_reference_lipswish_beta(beta, z[i]) * bar[i] + z[i] * second[i] / s * slope;
    }
    IRN_TRY(irn_trial_vector(c, IRN_SINGLE, 1, &beta, &parameter));
    IRN_TRY(irn_trial_vector(c, IRN_SINGLE, 1, NULL, &found));
    IRN_TRY(irn_trial_room(c, IRN_SINGLE, IMAGES, &values));
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, z, &in));
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, bar, &back));
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, gain, &added));
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, rest, &others));
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, NULL, &out));
    const irn_activation_gradient what = {IRN_LIPSWISH, parameter, found, &in,          &back,
                                          &added,       &others,   &out,  values.memory};
    IRN_TRY(irn_activation_gradient_run(&what));
    IRN_TRY(irn_trial_is_tensor(c, "lipswish's vjp", expected, &out, 1e-5));
    return irn_trial_is_vector(c, "lipswish's gradient", &gradient, IRN_SINGLE, found, 1, 1e-4);
}

static irn_status check_actnorm(irn_trial *c, irn_precision precision)
{
    double *x, *log_scale, *shift, *z, *scaled, limit = 10 * irn_trial_limit(precision);
    irn_tensor in, out;
    irn_place scales, shifts;
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &x));
    IRN_TRY(irn_trial_normal(c, CHANNELS, 1, &log_scale));
    IRN_TRY(irn_trial_normal(c, CHANNELS, 1, &shift));
    IRN_TRY(irn_trial_doubles(c, COUNT, &z));
    IRN_TRY(irn_trial_doubles(c, COUNT, &scaled));
    for (size_t i = 0; i < COUNT; i++) {
        scaled[i] = x[i] * exp(log_scale[i / PIXELS % CHANNELS]);
        z[i] = scaled[i] + shift[i / PIXELS % CHANNELS];
    }
    IRN_TRY(irn_trial_vector(c, precision, CHANNELS, log_scale, &scales));
    IRN_TRY(irn_trial_vector(c, precision, CHANNELS, shift, &shifts));
    IRN_TRY(irn_trial_tensor(c, precision, shape, x, &in));
    IRN_TRY(irn_trial_tensor(c, precision, shape, NULL, &out));
    IRN_TRY(irn_actnorm_scale(&in, scales, &out));
    IRN_TRY(irn_trial_is_tensor(c, "actnorm_scale", scaled, &out, limit));
    IRN_TRY(irn_actnorm_forward(&in, scales, shifts, &out));
    IRN_TRY(irn_trial_is_tensor(c, "actnorm", z, &out, limit));
    IRN_TRY(irn_actnorm_inverse(&out, scales, shifts, &out));
    return irn_trial_is_tensor(c, "actnorm_inverse", x, &out, limit);
}

static irn_status check_addition(irn_trial *c, irn_precision precision)
{
    const double factor = -0.75;
    double *x, *y, *expected;
    irn_tensor from, to;
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &x));
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &y));
    IRN_TRY(irn_trial_doubles(c, COUNT, &expected));
    for (size_t i = 0; i < COUNT; i++)
        expected[i] = y[i] + factor * x[i];
    IRN_TRY(irn_trial_tensor(c, precision, shape, x, &from));
    IRN_TRY(irn_trial_tensor(c, precision, shape, y, &to));
    IRN_TRY(irn_add_scaled(factor, &from, &to));
    return irn_trial_is_tensor(c, "add_scaled", expected, &to, irn_trial_limit(precision));
}

static irn_status check_elements(irn_trial *c, irn_precision precision)
{
    for (irn_activation phi = IRN_IDENTITY; phi <= IRN_LIPSWISH; phi++)
        if (c->thorough || phi == IRN_ELU)
            IRN_TRY(check_activation(c, precision, phi));
    IRN_TRY(check_actnorm(c, precision));
    return check_addition(c, precision);
}

irn_status irn_trial_elements(irn_trial *c)
{
    IRN_TRY(check_elements(c, IRN_SINGLE));
    return c->thorough ? check_parameter(c) : IRN_OK;
}

irn_status irn_trial_float64(irn_trial *c)
{
    if (!c->context->info.has_fp64)
        return irn_trial_absent(c, "has no float64");
    IRN_TRY(check_layouts(c, IRN_DOUBLE));
    IRN_TRY(check_widths(c));
    IRN_TRY(check_elements(c, IRN_DOUBLE));
    return irn_trial_convolutions_in(c, IRN_DOUBLE);
}

/* ---- sums ---- */

static irn_status check_moments(irn_trial *c, const double *x, const irn_tensor *tensor)
{
    double *mean, *variance, *square, total = IMAGES * PIXELS;
    irn_place means, variances, scratch;
    IRN_TRY(irn_trial_doubles(c, CHANNELS, &mean));
    IRN_TRY(irn_trial_doubles(c, CHANNELS, &variance));
    IRN_TRY(irn_trial_doubles(c, COUNT, &square));
    irn_reference_channel_sums(map, CHANNELS, x, mean);
    for (size_t i = 0; i < CHANNELS; i++)
        mean[i] /= total;
    for (size_t i = 0; i < COUNT; i++)
        square[i] = pow(x[i] - mean[i / PIXELS % CHANNELS], 2);
    irn_reference_channel_sums(map, CHANNELS, square, variance);
    for (size_t i = 0; i < CHANNELS; i++)
        variance[i] /= total;
    IRN_TRY(irn_trial_vector(c, IRN_SINGLE, CHANNELS, NULL, &means));
    IRN_TRY(irn_trial_vector(c, IRN_SINGLE, CHANNELS, NULL, &variances));
    IRN_TRY(irn_trial_room(c, IRN_SINGLE, irn_channel_scratch(c->context, CHANNELS), &scratch));
    IRN_TRY(irn_channel_moments(tensor, means, variances, scratch.memory));
    IRN_TRY(irn_trial_is_vector(c, "mean", mean, IRN_SINGLE, means, CHANNELS, 1e-5));
    return irn_trial_is_vector(c, "variance", variance, IRN_SINGLE, variances, CHANNELS, 1e-5);
}

/* Of actnorm: sum of g (z - shift), and of g. */
static irn_status check_channel_gradient(irn_trial *c, const double *z, const irn_tensor *tensor)
{
    double *g, *shift, *product, *expected[2];
    irn_tensor gradient;
    irn_place shifts, found[2], scratch;
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &g));
    IRN_TRY(irn_trial_normal(c, CHANNELS, 1, &shift));
    IRN_TRY(irn_trial_doubles(c, COUNT, &product));
    for (size_t i = 0; i < COUNT; i++)
        product[i] = g[i] * (z[i] - shift[i / PIXELS % CHANNELS]);
    for (int i = 0; i < 2; i++) {
        IRN_TRY(irn_trial_doubles(c, CHANNELS, &expected[i]));
        irn_reference_channel_sums(map, CHANNELS, i ? g : product, expected[i]);
        IRN_TRY(irn_trial_vector(c, IRN_SINGLE, CHANNELS, NULL, &found[i]));
    }
    IRN_TRY(irn_trial_vector(c, IRN_SINGLE, CHANNELS, shift, &shifts));
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, g, &gradient));
    IRN_TRY(irn_trial_room(c, IRN_SINGLE, irn_channel_scratch(c->context, CHANNELS), &scratch));
    IRN_TRY(irn_actnorm_gradient(&gradient, tensor, shifts, found[0], found[1], scratch.memory));
    IRN_TRY(irn_trial_is_vector(c, "sums of products", expected[0], IRN_SINGLE, found[0], CHANNELS,
                                1e-5));
    return irn_trial_is_vector(c, "sums", expected[1], IRN_SINGLE, found[1], CHANNELS, 1e-5);
}

static irn_status check_dots(irn_trial *c, double *x, const irn_tensor *tensor)
{
    enum { SIZE = CHANNELS * PIXELS };
    double *y, expected[IMAGES], *got;
    float found[IMAGES];
    irn_tensor other;
    irn_place dots;
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &y));
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, y, &other));
    IRN_TRY(irn_trial_room(c, IRN_SINGLE, IMAGES, &dots));
    IRN_TRY(irn_sample_dots_at(&other, tensor, dots));
    IRN_TRY(irn_add_sample_dots(&other, &other, dots));
    IRN_TRY(
        irn_memory_read(c->context, dots.memory, dots.offset * sizeof(float), found, sizeof found));
    IRN_TRY(irn_trial_widened(c, found, IMAGES, &got));
    for (size_t n = 0; n < IMAGES; n++)
        expected[n] = irn_reference_dot(y + n * SIZE, x + n * SIZE, SIZE) +
                      irn_reference_dot(y + n * SIZE, y + n * SIZE, SIZE);
    IRN_TRY(irn_trial_values(c, "dot products", expected, got, IMAGES, 1e-5));
    IRN_TRY(irn_normalise_samples(tensor));
    for (size_t n = 0; n < IMAGES; n++) {
        double norm = sqrt(irn_reference_dot(x + n * SIZE, x + n * SIZE, SIZE));
        for (size_t i = n * SIZE; i < (n + 1) * SIZE; i++)
            x[i] /= norm;
    }
    return irn_trial_is_tensor(c, "normalised samples", x, tensor, 1e-5);
}

irn_status irn_trial_sums(irn_trial *c)
{
    double *x;
    irn_tensor tensor;
    IRN_TRY(irn_trial_normal(c, COUNT, 1, &x));
    for (size_t i = 0; i < COUNT; i++)
        x[i] = (double)(float)(x[i] + 3);
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, shape, x, &tensor));
    IRN_TRY(check_moments(c, x, &tensor));
    IRN_TRY(check_channel_gradient(c, x, &tensor));
    return check_dots(c, x, &tensor);
}
