/* The classifier's head along a tangent, and the reverse of that, against differences of a
 * double-precision head that carries a tangent; that the second derivative is symmetric. */
#include "guarded.h"

#include "flow/head_tangent.h"

#include <math.h>
#include <string.h>

enum { MAX_CHANNELS = 20, MAX_CLASSES = 12, MAX_IMAGES = 4 };

typedef struct shape {
    size_t images, channels, height, width, classes;
} shape;

/* Everything the head's results depend on and that gets a gradient, in one array: z, z_dot, gamma,
 * beta, weight, bias from these places on. */
typedef struct layout {
    size_t count, z_dot, gamma, beta, weight, bias, end;
} layout;

static layout layout_of(const shape *s)
{
    layout l = {.count = s->images * s->channels * s->height * s->width};
    l.z_dot = l.count;
    l.gamma = 2 * l.count;
    l.beta = l.gamma + s->channels;
    l.weight = l.beta + s->channels;
    l.bias = l.weight + s->classes * s->channels;
    l.end = l.bias + s->classes;
    return l;
}

/* ---- the head in double, every value with its tangent ---- */

typedef struct dual {
    double value, dot;
} dual;

typedef struct reference {
    shape s;
    bool training;
    int labels[MAX_IMAGES];
    double mean[MAX_CHANNELS], variance[MAX_CHANNELS]; /* running */
    double margin; /* of what was seen last: how far ReLU's inputs stay from 0 */
} reference;

static size_t index_of(const shape *s, size_t c, size_t k)
{
    size_t pixels = s->height * s->width;
    return (k / pixels * s->channels + c) * pixels + k % pixels;
}

/* mean and 1/std of a channel */
static void statistics(const reference *r, const double *v, size_t c, dual *mean, dual *rstd)
{
    layout l = layout_of(&r->s);
    size_t total = r->s.images * r->s.height * r->s.width;
    dual variance = {r->variance[c], 0};
    *mean = (dual){r->mean[c], 0};
    if (r->training) {
        variance = *mean = (dual){0, 0};
        for (size_t k = 0; k < total; k++) {
            mean->value += v[index_of(&r->s, c, k)] / (double)total;
            mean->dot += v[l.z_dot + index_of(&r->s, c, k)] / (double)total;
        }
        for (size_t k = 0; k < total; k++) {
            double d = v[index_of(&r->s, c, k)] - mean->value;
            variance.value += d * d / (double)total;
            variance.dot +=
                2 * d * (v[l.z_dot + index_of(&r->s, c, k)] - mean->dot) / (double)total;
        }
    }
    rstd->value = 1 / sqrt(variance.value + 1e-5);
    rstd->dot = -0.5 * variance.dot * rstd->value / (variance.value + 1e-5);
}

static void pool(reference *r, const double *v, dual *pooled)
{
    layout l = layout_of(&r->s);
    size_t pixels = r->s.height * r->s.width;
    r->margin = INFINITY;
    for (size_t c = 0; c < r->s.channels; c++) {
        dual mean, rstd;
        statistics(r, v, c, &mean, &rstd);
        for (size_t n = 0; n < r->s.images; n++)
            pooled[n * r->s.channels + c] = (dual){0, 0};
        for (size_t k = 0; k < r->s.images * pixels; k++) {
            size_t i = index_of(&r->s, c, k);
            dual *to = &pooled[k / pixels * r->s.channels + c];
            double d = v[i] - mean.value, gamma = v[l.gamma + c];
            double y = gamma * d * rstd.value + v[l.beta + c];
            r->margin = fmin(r->margin, fabs(y));
            if (!(y > 0))
                continue;
            to->value += y / (double)pixels;
            to->dot +=
                gamma * ((v[l.z_dot + i] - mean.dot) * rstd.value + d * rstd.dot) / (double)pixels;
        }
    }
}

/* Also the mean loss. */
static dual scores_of(reference *r, const double *v, dual *scores)
{
    dual pooled[MAX_IMAGES * MAX_CHANNELS], loss = {0, 0};
    layout l = layout_of(&r->s);
    pool(r, v, pooled);
    for (size_t n = 0; n < r->s.images; n++) {
        dual *s = &scores[n * r->s.classes], sum = {0, 0};
        for (size_t k = 0; k < r->s.classes; k++) {
            s[k] = (dual){v[l.bias + k], 0};
            for (size_t c = 0; c < r->s.channels; c++) {
                double w = v[l.weight + k * r->s.channels + c];
                s[k].value += w * pooled[n * r->s.channels + c].value;
                s[k].dot += w * pooled[n * r->s.channels + c].dot;
            }
            sum.value += exp(s[k].value);
            sum.dot += exp(s[k].value) * s[k].dot;
        }
        const dual *own = &s[r->labels[n]];
        loss.value += (log(sum.value) - own->value) / (double)r->s.images;
        loss.dot += (sum.dot / sum.value - own->dot) / (double)r->s.images;
    }
    return loss;
}

/* Cotangents of all four results. */
typedef struct seeds {
    double loss, loss_dot, *scores, *scores_dot; /* NULL: zeros */
} seeds;

static double weighed(reference *r, const double *v, const seeds *w)
{
    dual scores[MAX_IMAGES * MAX_CLASSES], loss = scores_of(r, v, scores);
    double sum = w->loss * loss.value + w->loss_dot * loss.dot;
    for (size_t i = 0; i < r->s.images * r->s.classes; i++)
        sum += (w->scores ? w->scores[i] * scores[i].value : 0) +
               (w->scores_dot ? w->scores_dot[i] * scores[i].dot : 0);
    return sum;
}

static double *gradient_of(reference *r, double *v, const seeds *w)
{
    const double h = 0x1p-17;
    layout l = layout_of(&r->s);
    double *gradient = host_doubles(l.end);
    for (size_t i = 0; i < l.end; i++) {
        double at = v[i];
        v[i] = at + h;
        double plus = weighed(r, v, w);
        v[i] = at - h;
        gradient[i] = (plus - weighed(r, v, w)) / (2 * h);
        v[i] = at;
    }
    return gradient;
}

/* ---- the same on the device ---- */

typedef struct subject {
    reference r;
    layout l;
    double *v;
    irn_model *model;
    irn_head_memory memory;
    irn_head_tangent tangent;
    irn_tensor z, z_dot;
    cl_mem labels, metrics;
} subject;

/* Away from ReLU's corner, which differences must not step over nor rounding decide, and with a
 * spread in each channel of more than one value, without which batch norm is all cancellation. */
static double *random_point(reference *r)
{
    layout l = layout_of(&r->s);
    dual pooled[MAX_IMAGES * MAX_CHANNELS];
    double *v;
    do {
        v = host_normal(l.end);
        for (size_t i = l.weight; i < l.bias; i++)
            v[i] *= 0.5; /* lest softmax saturates */
        for (size_t c = 0; c < r->s.channels; c++)
            for (size_t k = 0; k < l.count / r->s.channels; k++) {
                double *z = &v[index_of(&r->s, c, k)];
                *z = (double)(float)(fmax(-1, fmin(*z, 1)) + (k % 2 ? 1.5 : -1.1));
            }
        pool(r, v, pooled);
    } while (r->margin < 5e-4);
    return v;
}

static void write_entry(const irn_arena *arena, cl_mem buffer, size_t entry, const double *values)
{
    const irn_entry *e = &arena->entries[entry];
    testing_ok(irn_arena_write(arena, buffer, e, host_narrow(values, irn_entry_count(e))));
}

static void read_entry(const irn_arena *arena, cl_mem buffer, size_t entry, double *values)
{
    const irn_entry *e = &arena->entries[entry];
    size_t count = irn_entry_count(e);
    float *narrow = host_floats(count);
    testing_ok(irn_arena_read(arena, buffer, e, narrow));
    memcpy(values, host_widen(narrow, count), count * sizeof *values);
}

static irn_model *make_model(irn_context *context, const reference *r, const double *v)
{
    irn_model_config config;
    irn_model *model;
    layout l = layout_of(&r->s);
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = r->s.channels;
    config.height = r->s.height;
    config.width = r->s.width;
    config.widths[0] = 3;
    config.classes = r->s.classes;
    testing_ok(irn_model_create_empty(&model, context, &config));
    const irn_head *head = &model->head;
    write_entry(&model->parameters, model->single.parameters, head->gamma, v + l.gamma);
    write_entry(&model->parameters, model->single.parameters, head->beta, v + l.beta);
    write_entry(&model->parameters, model->single.parameters, head->weight, v + l.weight);
    write_entry(&model->parameters, model->single.parameters, head->bias, v + l.bias);
    write_entry(&model->state, model->single.state, head->running_mean, r->mean);
    write_entry(&model->state, model->single.state, head->running_variance, r->variance);
    irn_model_changed(model);
    testing_ok(irn_model_prepare(model));
    return model;
}

static irn_tensor like_z(const subject *s, const double *values)
{
    const shape *m = &s->r.s;
    return guarded_tensor(IRN_SINGLE, m->images, m->channels, m->height, m->width, values);
}

/* In place, since the tangent's memory points to the head's. */
static void begin_shaped(subject *s, irn_context *context, shape of, bool training)
{
    *s = (subject){.r = {.s = of, .training = training}, .l = layout_of(&of)};
    double *mean = host_normal(of.channels), *variance = host_normal(of.channels);
    for (size_t c = 0; c < of.channels; c++) {
        s->r.mean[c] = mean[c];
        s->r.variance[c] = (double)(float)(0.1 + fabs(variance[c]));
    }
    for (size_t n = 0; n < of.images; n++)
        s->r.labels[n] = (int)host_below(of.classes);
    s->v = random_point(&s->r);
    s->model = make_model(context, &s->r, s->v);
    /* Room for more images than there are. */
    size_t room = of.images + host_below(3);
    testing_ok(irn_head_memory_create(&s->memory, s->model, room));
    testing_ok(irn_head_tangent_create(&s->tangent, s->model, &s->memory, room));
    testing_ok(irn_memory_create(context, &s->labels, of.images, sizeof(int), true));
    testing_ok(irn_memory_create(context, &s->metrics, 3, sizeof(float), true));
    testing_ok(irn_memory_write(context, s->labels, 0, s->r.labels, of.images * sizeof(int)));
    guarded_begin(context);
    s->z = like_z(s, s->v);
    s->z_dot = like_z(s, s->v + s->l.z_dot);
    testing_ok(irn_head_forward(s->model, &s->memory, &s->z, training));
    testing_ok(irn_head_loss(s->model, &s->memory, of.images, s->labels, s->metrics));
}

static void begin(subject *s, irn_context *context, bool training)
{
    shape of = {host_between(1, MAX_IMAGES), host_between(1, MAX_CHANNELS), host_between(1, 5),
                host_between(1, 3), host_between(1, MAX_CLASSES)};
    begin_shaped(s, context, of, training);
}

static void end(subject *s)
{
    irn_context *context = s->model->context;
    guarded_end();
    irn_memory_release(context, s->labels);
    irn_memory_release(context, s->metrics);
    irn_head_tangent_free(&s->tangent);
    irn_head_memory_free(&s->memory);
    irn_model_free(s->model);
    host_free_all();
}

/* What the device adds to a gradient that already holds something, and what z_dot and z receive,
 * laid out as the variables are. */
static double *second(subject *s, const irn_tensor *z_dot, const irn_head_cotangents *cotangents)
{
    const irn_head *head = &s->model->head;
    const irn_arena *arena = &s->model->parameters;
    const size_t entries[4] = {head->gamma, head->beta, head->weight, head->bias};
    const size_t places[4] = {s->l.gamma, s->l.beta, s->l.weight, s->l.bias};
    double *before = host_normal(s->l.end), *got = host_doubles(s->l.end);
    irn_tensor z_dot_bar = like_z(s, NULL), z_bar = like_z(s, NULL);
    cl_mem gradient;
    testing_ok(irn_arena_create_buffer(arena, &gradient));
    for (size_t i = 0; i < 4; i++)
        write_entry(arena, gradient, entries[i], before + places[i]);
    testing_ok(
        irn_head_second(&s->tangent, &s->z, z_dot, cotangents, gradient, &z_dot_bar, &z_bar));
    memcpy(got, guarded_read_clean(&z_bar), s->l.count * sizeof *got);
    memcpy(got + s->l.z_dot, guarded_read_clean(&z_dot_bar), s->l.count * sizeof *got);
    for (size_t i = 0; i < 4; i++)
        read_entry(arena, gradient, entries[i], got + places[i]);
    for (size_t i = s->l.gamma; i < s->l.end; i++)
        got[i] -= before[i];
    irn_memory_release(s->model->context, gradient);
    return got;
}

static double jvp(subject *s, const irn_tensor *z_dot)
{
    irn_place loss_dot = guarded_place(IRN_SINGLE, 1);
    irn_tensor y_dot = like_z(s, NULL);
    testing_ok(irn_head_jvp(&s->tangent, &s->z, z_dot, s->r.training, &y_dot, loss_dot));
    guarded_read_clean(&y_dot);
    return (double)*guarded_read_raw(loss_dot, 1);
}

/* ---- first order ---- */

/* With one value a channel 1/std is 316, and the head's forward pass, x scale + offset, has that
 * much larger a rounding error. */
static double tolerance(const subject *s)
{
    bool single = s->r.training && s->l.count == s->r.s.channels;
    return single ? 1e-3 : 2e-5;
}

static void check_jvp(subject *s)
{
    const double h = 0x1p-17;
    size_t count = s->r.s.images * s->r.s.classes;
    dual plus[MAX_IMAGES * MAX_CLASSES], minus[MAX_IMAGES * MAX_CLASSES];
    double *at = host_doubles(s->l.end), *scores_dot = host_doubles(count);
    memcpy(at, s->v, s->l.end * sizeof *at);
    for (size_t i = 0; i < s->l.count; i++)
        at[i] = s->v[i] + h * s->v[s->l.z_dot + i];
    double above = scores_of(&s->r, at, plus).value;
    for (size_t i = 0; i < s->l.count; i++)
        at[i] = s->v[i] - h * s->v[s->l.z_dot + i];
    double loss_dot = (above - scores_of(&s->r, at, minus).value) / (2 * h);
    for (size_t i = 0; i < count; i++)
        scores_dot[i] = (plus[i].value - minus[i].value) / (2 * h);
    double got = jvp(s, &s->z_dot);
    irn_tensor device =
        irn_tensor_view(&s->tangent.scores_dot, s->r.s.images, s->r.s.classes, 1, 1);
    double size = host_norm(scores_dot, count);
    host_check_number(loss_dot, got, tolerance(s) * (0.1 + size), "tangent of the loss");
    double *found = guarded_read_clean(&device);
    for (size_t i = 0; i < count; i++)
        host_check_number(scores_dot[i], found[i], tolerance(s) * (0.1 + size),
                          "tangent of score %zu", i);
    /* y_dot may be z_dot, and nobody has to ask for the loss. */
    irn_tensor own = like_z(s, s->v + s->l.z_dot);
    testing_ok(irn_head_jvp(&s->tangent, &s->z, &own, s->r.training, &own, (irn_place){NULL, 0}));
    host_check(found, guarded_read_clean(&device), count, 0, "scores' tangent in place");
}

START_TEST(tangents)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 24; i++) {
        subject s;
        begin(&s, context, i % 2);
        check_jvp(&s);
        end(&s);
    }
    devices_close(context);
}
END_TEST

/* ---- second order ---- */

/* A part of the gradient, measured in its own size and a little: where a probability is near 1 or
 * cotangents cancel, as through batch norm of two values, rounding is all that is left. */
static void check_part(const subject *s, const double *expected, const double *got, size_t count,
                       const char *what)
{
    double *error = host_doubles(count);
    for (size_t i = 0; i < count; i++)
        error[i] = expected[i] - got[i];
    host_check_number(0, host_norm(error, count), tolerance(s) * (0.3 + host_norm(expected, count)),
                      "%s, of norm %g", what, host_norm(expected, count));
}

static void check_second(subject *s, const seeds *w)
{
    const shape *m = &s->r.s;
    const layout *l = &s->l;
    irn_tensor scores = guarded_tensor(IRN_SINGLE, m->images, m->classes, 1, 1, w->scores);
    irn_tensor scores_dot = guarded_tensor(IRN_SINGLE, m->images, m->classes, 1, 1, w->scores_dot);
    irn_head_cotangents cotangents = {w->loss, w->loss_dot, w->scores ? &scores : NULL,
                                      w->scores_dot ? &scores_dot : NULL};
    jvp(s, &s->z_dot);
    double *got = second(s, &s->z_dot, &cotangents);
    double *expected = gradient_of(&s->r, s->v, w);
    check_part(s, expected, got, l->count, "cotangent of z");
    check_part(s, expected + l->z_dot, got + l->z_dot, l->count, "cotangent of z's tangent");
    check_part(s, expected + l->gamma, got + l->gamma, m->channels, "gradient of gamma");
    check_part(s, expected + l->beta, got + l->beta, m->channels, "gradient of beta");
    check_part(s, expected + l->weight, got + l->weight, m->classes * m->channels,
               "gradient of the dense layer");
    check_part(s, expected + l->bias, got + l->bias, m->classes, "gradient of its bias");
}

START_TEST(reverse)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 32; i++) {
        subject s;
        begin(&s, context, i % 2);
        size_t count = s.r.s.images * s.r.s.classes;
        /* The tangents' cotangents alone, the primal ones too, and the scores' alone. */
        seeds w = {.loss_dot = 1};
        if (i / 2 % 3 == 1)
            w = (seeds){-0.7, 1.3, host_normal(count), host_normal(count)};
        else if (i / 2 % 3 == 2)
            w = (seeds){0, 0, NULL, host_normal(count)};
        check_second(&s, &w);
        end(&s);
    }
    devices_close(context);
}
END_TEST

START_TEST(extreme_shapes)
{
    irn_context *context = devices_open(_i);
    const shape shapes[] = {{1, 1, 1, 1, 1},  {2, 1, 1, 1, 2},  {1, 20, 5, 3, 12},
                            {4, 17, 1, 1, 3}, {1, 16, 1, 2, 9}, {4, 20, 5, 3, 1}};
    for (size_t i = 0; i < 2 * (sizeof shapes / sizeof *shapes); i++) {
        subject s;
        begin_shaped(&s, context, shapes[i / 2], i % 2);
        seeds w = {.loss = 0.5, .loss_dot = 1};
        check_jvp(&s);
        check_second(&s, &w);
        end(&s);
    }
    devices_close(context);
}
END_TEST

/* The vjp that is in there is the head's own. */
START_TEST(agrees_with_backward)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 8; i++) {
        subject s;
        begin(&s, context, true);
        irn_head_cotangents cotangents = {.loss = 1, .loss_dot = 1};
        irn_tensor back = like_z(&s, NULL), zeros = like_z(&s, host_doubles(s.l.count));
        cl_mem gradient;
        testing_ok(irn_arena_create_buffer(&s.model->parameters, &gradient));
        testing_ok(
            irn_head_backward(s.model, &s.memory, &s.z, gradient, s.tangent.partials, &back));
        double *expected = guarded_read_clean(&back);
        host_check_number(0, jvp(&s, &zeros), 0, "loss along nothing");
        double *got = second(&s, &zeros, &cotangents);
        check_part(&s, expected, got, s.l.count, "cotangent of z without a tangent");
        check_part(&s, expected, got + s.l.z_dot, s.l.count, "cotangent of z's tangent");
        irn_memory_release(context, gradient);
        end(&s);
    }
    devices_close(context);
}
END_TEST

START_TEST(symmetry)
{
    irn_context *context = devices_open(_i);
    const irn_head_cotangents cotangents = {.loss_dot = 1};
    for (int i = 0; i < 24; i++) {
        subject s;
        begin(&s, context, i % 2);
        size_t count = s.l.count;
        double *t1 = s.v + s.l.z_dot, *t2 = host_normal(count);
        irn_tensor other = like_z(&s, t2);
        jvp(&s, &s.z_dot);
        double *h1 = second(&s, &s.z_dot, &cotangents);
        jvp(&s, &other);
        double *h2 = second(&s, &other, &cotangents);
        double size = host_norm(h1, count) * host_norm(t2, count) +
                      host_norm(h2, count) * host_norm(t1, count);
        host_check_number(host_dot(h1, t2, count), host_dot(t1, h2, count), 2e-5 * (0.1 + size),
                          "<H t1, t2>, %s statistics", i % 2 ? "the batch's" : "running");
        end(&s);
    }
    devices_close(context);
}
END_TEST

START_TEST(no_head)
{
    irn_context *context = devices_open(_i);
    irn_model_config config;
    irn_model *model;
    irn_head_memory memory;
    irn_head_tangent tangent;
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = 3;
    config.height = config.width = 4;
    config.widths[0] = 3;
    config.classes = 0;
    testing_ok(irn_model_create_empty(&model, context, &config));
    testing_ok(irn_head_memory_create(&memory, model, 2));
    testing_ok(irn_head_tangent_create(&tangent, model, &memory, 2));
    ck_assert(!tangent.vectors.memory && !tangent.partials);
    irn_head_tangent_free(&tangent);
    irn_head_tangent_free(&tangent);
    irn_head_memory_free(&memory);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("head_tangent");
    TCase *test = devices_case(suite, "head_tangent");
    devices_add(test, tangents);
    devices_add(test, reverse);
    devices_add(test, extreme_shapes);
    devices_add(test, agrees_with_backward);
    devices_add(test, symmetry);
    devices_add(test, no_head);
    return testing_run(suite);
}
