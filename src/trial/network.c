/* Checks of a network as a whole: latents, scores, log-determinants, its inverse, and power
 * iteration. */
#include "trial/reference.h"
#include "trial/subject.h"

#include <iresnet/density.h>

#include <math.h>

/* ---- power iteration ---- */

static double normalise(double *x, size_t count)
{
    double norm = sqrt(irn_reference_dot(x, x, count));
    for (size_t i = 0; i < count; i++)
        x[i] /= norm;
    return norm;
}

/* One more iteration of a layer on the device, which has gone before, and here. */
static irn_status compare_layer(irn_subject *s, size_t index)
{
    irn_twin *t = &s->twin;
    irn_trial *c = t->trial;
    const irn_model *m = s->model;
    const irn_layer *layer = irn_model_layer_at(m, index);
    const irn_map map = {1, layer->sigma_height, layer->sigma_width};
    size_t in = layer->conv.inputs * map.height * map.width;
    size_t out = layer->conv.outputs * map.height * map.width;
    double sigma, scale, *u = t->u[index], *v = t->v[index], *w = t->parameters[layer->weight];
    const size_t shape_u[4] = {1, layer->conv.outputs, map.height, map.width};
    const size_t shape_v[4] = {1, layer->conv.inputs, map.height, map.width};
    irn_place at_u = irn_state(m, layer->u), at_v = irn_state(m, layer->v);
    irn_tensor got_u = {c->context, at_u.memory, at_u.offset, IRN_SINGLE,
                        shape_u[0], shape_u[1],  shape_u[2],  shape_u[3]};
    irn_tensor got_v = {c->context, at_v.memory, at_v.offset, IRN_SINGLE,
                        shape_v[0], shape_v[1],  shape_v[2],  shape_v[3]};
    irn_reference_convolve_back(&layer->conv, map, w, u, v);
    normalise(v, in);
    irn_reference_convolve(&layer->conv, map, w, v, u);
    sigma = normalise(u, out);
    scale = 1 / (fmax(1, sigma / m->config.coefficient) +
                 (layer->conv.kernel_height > 1 ? m->config.sigma_epsilon : 0));
    IRN_TRY(irn_trial_is_tensor(c, "power iteration's v", v, &got_v, 1e-5));
    IRN_TRY(irn_trial_is_tensor(c, "power iteration's u", u, &got_u, 1e-5));
    IRN_TRY(irn_trial_is_vector(c, "power iteration's sigma", &sigma, IRN_SINGLE,
                                irn_state(m, layer->sigma), 1, 1e-5));
    return irn_trial_is_vector(c, "a layer's scale", &scale, IRN_SINGLE, irn_state(m, layer->scale),
                               1, 1e-5);
}

static irn_status check_iteration(irn_subject *s)
{
    IRN_TRY(irn_model_power_iterate(s->model, 1));
    for (size_t i = 0; i < irn_model_layer_count(s->model); i++)
        IRN_TRY(compare_layer(s, i));
    return IRN_OK;
}

/* ---- forward ---- */

static irn_status check_latents(irn_subject *s, size_t images, double **latents)
{
    irn_twin *t = &s->twin;
    irn_trial *c = t->trial;
    size_t count = images * t->dimension;
    double *x, *expected;
    float *narrow, *z;
    IRN_TRY(irn_subject_repeat(s, t->x, t->size, images, &x));
    IRN_TRY(irn_subject_repeat(s, t->z, t->dimension, images, &expected));
    IRN_TRY(irn_trial_floats(c, x, images * t->size, &narrow));
    IRN_TRY(irn_trial_memory(c, count, sizeof *z, &z));
    IRN_TRY(irn_model_encode(s->model, narrow, images, z));
    IRN_TRY(irn_trial_widened(c, z, count, latents));
    return irn_trial_values(c, "latents", expected, *latents, count, 2e-5);
}

static irn_status check_scores(irn_subject *s)
{
    irn_twin *t = &s->twin;
    irn_trial *c = t->trial;
    const irn_head *head = &s->model->head;
    size_t channels = head->dense.inputs, count = t->images * s->model->config.classes;
    double *mean, *variance, *got;
    float *narrow, *x, *scores;
    IRN_TRY(irn_trial_normal(c, channels, 0.5, &mean));
    IRN_TRY(irn_trial_normal(c, channels, 0.5, &variance));
    for (size_t i = 0; i < channels; i++)
        variance[i] = 0.25 + fabs(variance[i]);
    irn_arena *state = &s->model->state;
    IRN_TRY(irn_trial_floats(c, mean, channels, &narrow));
    IRN_TRY(irn_arena_write(state, s->model->single.state, &state->entries[head->running_mean],
                            narrow));
    IRN_TRY(irn_trial_floats(c, variance, channels, &narrow));
    IRN_TRY(irn_arena_write(state, s->model->single.state, &state->entries[head->running_variance],
                            narrow));
    IRN_TRY(irn_trial_floats(c, t->x, t->images * t->size, &x));
    IRN_TRY(irn_trial_memory(c, count, sizeof *scores, &scores));
    IRN_TRY(irn_model_predict(s->model, x, t->images, scores));
    IRN_TRY(irn_trial_widened(c, scores, count, &got));
    irn_twin_scores(t, mean, variance);
    return irn_trial_values(c, "scores", t->scores, got, count, 1e-4);
}

/* log p(z) and the log-determinant from the whole Jacobian. */
static irn_status check_density(irn_subject *s)
{
    irn_twin *t = &s->twin;
    irn_trial *c = t->trial;
    const double log_two_pi = 1.8378770664093454836;
    irn_density_options options = IRN_DENSITY_OPTIONS_INIT;
    irn_log_density out[IRN_SUBJECT_IMAGES];
    double priors[IRN_SUBJECT_IMAGES], logdets[IRN_SUBJECT_IMAGES], expected[IRN_SUBJECT_IMAGES];
    float *x;
    options.method = IRN_LOGDET_EXACT;
    IRN_TRY(irn_trial_floats(c, t->x, t->images * t->size, &x));
    IRN_TRY(irn_model_log_density(s->model, x, t->images, &options, out, NULL));
    for (size_t n = 0; n < t->images; n++) {
        priors[n] = out[n].log_prior;
        logdets[n] = out[n].logdet;
        expected[n] = t->priors[n] - log_two_pi / 2 * (double)t->dimension;
    }
    IRN_TRY(irn_trial_values(c, "log-density of latents", expected, priors, t->images, 1e-4));
    return irn_trial_values(c, "log-determinants", t->logdets, logdets, t->images, 1e-4);
}

/* ---- inverse ---- */

static irn_status check_inverse(irn_subject *s, size_t images, const double *latents)
{
    irn_twin *t = &s->twin;
    irn_trial *c = t->trial;
    irn_decode_options options = IRN_DECODE_OPTIONS_INIT;
    size_t count = images * t->size;
    double *expected, *got;
    float *z, *x;
    IRN_TRY(irn_subject_repeat(s, t->x, t->size, images, &expected));
    IRN_TRY(irn_trial_floats(c, latents, images * t->dimension, &z));
    IRN_TRY(irn_trial_floats(c, expected, count, &x));
    for (size_t i = 0; i < count; i++)
        x[i] = NAN;
    IRN_TRY(irn_model_decode(s->model, z, images, &options, x, NULL, NULL));
    IRN_TRY(irn_trial_widened(c, x, count, &got));
    return irn_trial_values(c, "inverse", expected, got, count, 1e-4);
}

/* The inverse that is corrected in float64, and its bounds on the error. L is what power iteration
 * has converged to: good enough to see what the device makes of it. */
static irn_status check_corrected(irn_subject *s)
{
    irn_twin *t = &s->twin;
    irn_trial *c = t->trial;
    const double lipschitz = 0.4; /* 0.7^3 = 0.343 */
    irn_decode_options options = IRN_DECODE_OPTIONS_INIT;
    size_t count = t->images * t->size;
    double upper[IRN_SUBJECT_IMAGES], *got;
    float *x, *back;
    for (size_t b = 0; b < s->model->block_count; b++)
        irn_model_set_lipschitz(s->model, b, lipschitz);
    IRN_TRY(irn_trial_floats(c, t->x, count, &x));
    IRN_TRY(irn_trial_floats(c, t->x, count, &back));
    for (size_t i = 0; i < count; i++)
        back[i] = NAN;
    options.tolerance = 1e-9; /* corrections are to do all they can */
    IRN_TRY(irn_model_reconstruct(s->model, x, t->images, &options, back, upper, NULL));
    IRN_TRY(irn_trial_widened(c, back, count, &got));
    IRN_TRY(irn_trial_values(c, "inverse corrected in float64", t->x, got, count, 1e-6));
    for (size_t n = 0; n < t->images; n++) {
        double square = 0;
        for (size_t i = n * t->size; i < (n + 1) * t->size; i++)
            square += (got[i] - t->x[i]) * (got[i] - t->x[i]);
        IRN_TRY(irn_trial_error(c, "error bound of the inverse", upper[n], 2e-7));
        IRN_TRY(irn_trial_error(c, "error of the inverse in units of its bound",
                                sqrt(square) / upper[n], 1));
    }
    return IRN_OK;
}

/* ---- the families ---- */

typedef irn_status on_subject(irn_subject *subject);

static irn_status with_subject(irn_trial *c, on_subject *check)
{
    irn_subject s;
    irn_status status = irn_subject_begin(&s, c);
    if (status == IRN_OK)
        status = check(&s);
    irn_subject_end(&s);
    return status;
}

/* Of the kernels that prepare a model it has seen what transposes layers only. */
irn_status irn_trial_power(irn_trial *c)
{
    size_t passed = c->passed.count;
    IRN_TRY(with_subject(c, check_iteration));
    c->passed.count = passed;
    irn_launches_add(&c->passed, "transpose_layers");
    irn_launches_add(&c->passed, "power_iterate");
    return IRN_OK;
}

static irn_status check_network(irn_subject *s)
{
    double *latents;
    irn_twin_pass(&s->twin);
    IRN_TRY(check_latents(s, irn_subject_few(s), &latents));
    IRN_TRY(check_latents(s, irn_subject_many(s), &latents));
    return check_scores(s);
}

irn_status irn_trial_network(irn_trial *c)
{
    return with_subject(c, check_network);
}

static irn_status check_inverses(irn_subject *s)
{
    double *latents;
    s->twin.method = IRN_TWIN_EXACT;
    irn_twin_pass(&s->twin);
    IRN_TRY(check_density(s));
    IRN_TRY(check_latents(s, irn_subject_many(s), &latents));
    IRN_TRY(check_inverse(s, irn_subject_few(s), latents));
    IRN_TRY(check_inverse(s, irn_subject_many(s), latents));
    return s->model->context->info.has_fp64 ? check_corrected(s) : IRN_OK;
}

irn_status irn_trial_inverse(irn_trial *c)
{
    return with_subject(c, check_inverses);
}
