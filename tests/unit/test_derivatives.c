/* Blocks: their Jacobian against differences of a double-precision evaluation, its adjoint, the
 * derivative of a^T J t, and power iteration against the oracle. */
#include "guarded.h"

#include "flow/logdet.h"
#include "oracle/conv.h"

#include <math.h>
#include <stdlib.h>

/* ---- a random block, and its passes ---- */

typedef struct subject {
    irn_model *model;
    irn_block *block;
    size_t images, count;
    double *z;
    irn_tensor at, inputs[IRN_MAX_LAYERS], others[IRN_MAX_LAYERS];
    irn_operands wide;
} subject;

static irn_model *random_block(irn_context *context, irn_activation activation, size_t layers)
{
    irn_model_config config;
    irn_model *model;
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = host_between(1, 20);
    config.height = host_between(1, 6);
    config.width = host_between(1, 6);
    config.widths[0] = host_between(1, 24);
    config.layers = layers;
    for (size_t i = 0; i < layers; i++)
        config.kernels[i] = host_between(1, 5);
    if (host_below(3) == 0) { /* what fast algorithms are for */
        config.channels = 16;
        config.height = config.width = 8;
        config.widths[0] = 32;
        config.kernels[0] = config.kernels[layers - 1] = 3;
    }
    config.padding = host_below(2) ? IRN_PAD_CIRCULAR : IRN_PAD_ZEROS;
    config.activation = activation;
    config.actnorm = false;
    config.blocks[0] = 2;
    testing_ok(irn_model_create(&model, context, &config));
    return model;
}

static cl_mem widened(irn_context *context, const irn_arena *arena, cl_mem narrow)
{
    cl_mem wide;
    testing_ok(irn_memory_create(context, &wide, arena->size, sizeof(double), false));
    irn_call call =
        irn_call_begin(context, irn_general_sources, irn_precision_options(IRN_DOUBLE), "widen");
    irn_call_memory(&call, narrow, 0);
    irn_call_memory(&call, wide, 0);
    testing_ok(irn_call_run(&call, arena->size, 1, 1, 0));
    return wide;
}

static irn_tensor shaped(const subject *s, irn_precision precision, const double *values)
{
    const irn_block *b = s->block;
    return guarded_tensor(precision, s->images, b->channels, b->height, b->width, values);
}

static void make_inputs(const subject *s, irn_precision precision, irn_tensor *out)
{
    for (size_t i = 0; i < s->model->config.layers; i++) {
        out[i] = guarded_tensor(precision, irn_input_images(s->model, s->images),
                                s->block->layers[i].conv.inputs, s->block->height, s->block->width,
                                NULL);
        out[i].images = s->images;
    }
}

static subject begin(irn_context *context, irn_activation activation, size_t layers)
{
    subject s = {.model = random_block(context, activation, layers), .images = host_between(1, 3)};
    s.block = &s.model->blocks[host_below(2)]; /* the second one begins with an activation */
    s.count = s.images * irn_model_latent_size(s.model);
    s.z = host_normal(s.count);
    guarded_begin(context);
    s.at = shaped(&s, IRN_SINGLE, s.z);
    make_inputs(&s, IRN_SINGLE, s.inputs);
    make_inputs(&s, IRN_SINGLE, s.others);
    s.wide.parameters = widened(context, &s.model->parameters, s.model->single.parameters);
    s.wide.state = widened(context, &s.model->state, s.model->single.state);
    irn_tensor out = shaped(&s, IRN_SINGLE, NULL);
    testing_ok(irn_model_prepare(s.model));
    testing_ok(irn_block_residual(s.model, &s.model->single, s.block, &s.at, s.inputs, NULL, &out));
    return s;
}

static void end(subject *s)
{
    irn_memory_release(s->model->context, s->wide.parameters);
    irn_memory_release(s->model->context, s->wide.state);
    guarded_end();
    irn_model_free(s->model);
    host_free_all();
}

/* g(z + a t + b d) in double. */
static double *g_at(const subject *s, double a, const double *t, double b, const double *d)
{
    irn_tensor inputs[IRN_MAX_LAYERS], z = shaped(s, IRN_DOUBLE, s->z);
    irn_tensor along_t = shaped(s, IRN_DOUBLE, t), along_d = shaped(s, IRN_DOUBLE, d);
    irn_tensor out = shaped(s, IRN_DOUBLE, NULL);
    testing_ok(irn_add_scaled(a, &along_t, &z));
    testing_ok(irn_add_scaled(b, &along_d, &z));
    make_inputs(s, IRN_DOUBLE, inputs);
    testing_ok(irn_block_residual(s->model, &s->wide, s->block, &z, inputs, NULL, &out));
    return guarded_read_clean(&out);
}

/* ---- checks ---- */

static void check_first_order(subject *s)
{
    const double h = 0x1p-20;
    double *t = host_normal(s->count), *a = host_normal(s->count);
    double *plus = g_at(s, h, t, 0, t), *minus = g_at(s, -h, t, 0, t);
    for (size_t i = 0; i < s->count; i++)
        plus[i] = (plus[i] - minus[i]) / (2 * h);
    irn_tensor along = shaped(s, IRN_SINGLE, t), out = shaped(s, IRN_SINGLE, NULL);
    testing_ok(irn_block_jvp(s->model, s->block, s->inputs, &along, s->others, &out));
    double *jt = guarded_read_clean(&out);
    host_check(plus, jt, s->count, 2e-5, "J t, activation %d", (int)s->model->config.activation);
    irn_tensor from = shaped(s, IRN_SINGLE, a), back = shaped(s, IRN_SINGLE, NULL);
    testing_ok(irn_block_vjp(s->model, s->block, s->inputs, &from, NULL, s->others, NULL, &back));
    double *ja = guarded_read_clean(&back);
    host_check_number(host_dot(a, jt, s->count), host_dot(ja, t, s->count),
                      1e-5 * (host_norm(a, s->count) * host_norm(jt, s->count) +
                              host_norm(ja, s->count) * host_norm(t, s->count)),
                      "<a, J t>");
    /* out may be the residual, and t itself, if there is more than one layer. */
    if (s->model->config.layers == 1)
        return;
    testing_ok(irn_block_vjp(s->model, s->block, s->inputs, &from, NULL, s->others, &from, &from));
    for (size_t i = 0; i < s->count; i++)
        ja[i] += a[i];
    host_check(ja, guarded_read_clean(&from), s->count, 1e-5, "J^T a + a in place");
}

START_TEST(jacobians)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 18 && irn_context_device(context)->has_fp64; i++) {
        subject s = begin(context, (irn_activation)(i % 6), host_between(1, 4));
        check_first_order(&s);
        end(&s);
    }
    devices_close(context);
}
END_TEST

/* d/dz a^T J(z) t along d, from four values of g. */
static void check_second_order(subject *s, double tolerance)
{
    const double h = 0x1p-12;
    double *a = host_normal(s->count), *t = host_normal(s->count), *d = host_normal(s->count);
    double *values[4] = {g_at(s, h, t, h, d), g_at(s, -h, t, h, d), g_at(s, h, t, -h, d),
                         g_at(s, -h, t, -h, d)};
    double expected = (host_dot(a, values[0], s->count) - host_dot(a, values[1], s->count) -
                       host_dot(a, values[2], s->count) + host_dot(a, values[3], s->count)) /
                      (4 * h * h);
    irn_tensor left = shaped(s, IRN_SINGLE, a), right = shaped(s, IRN_SINGLE, t);
    irn_tensor gradient = shaped(s, IRN_SINGLE, host_doubles(s->count));
    irn_tensor nothing = shaped(s, IRN_SINGLE, host_doubles(s->count));
    irn_logdet pairs;
    testing_ok(irn_logdet_create(&pairs, s->model, s->images, 1, 1));
    irn_logdet_begin(&pairs, s->block, s->images);
    testing_ok(irn_logdet_pair(&pairs, s->inputs, &left, &right, NULL));
    testing_ok(irn_block_vjp(s->model, s->block, s->inputs, &nothing, pairs.second, s->others,
                             s->block->first_activation ? &pairs.second[0] : NULL, &gradient));
    irn_logdet_free(&pairs);
    double *got = guarded_read_clean(&gradient);
    host_check_number(expected, host_dot(got, d, s->count),
                      tolerance * (host_norm(got, s->count) * host_norm(d, s->count) + 1),
                      "derivative of a^T J t, activation %d", (int)s->model->config.activation);
}

START_TEST(derivatives_of_jacobians)
{
    irn_context *context = devices_open(_i);
    const irn_activation smooth[] = {IRN_TANH, IRN_SOFTPLUS, IRN_LIPSWISH};
    for (int i = 0; i < 18 && irn_context_device(context)->has_fp64; i++) {
        subject s = begin(context, smooth[i % 3], host_between(1, 4));
        check_second_order(&s, 1e-5);
        end(&s);
    }
    devices_close(context);
}
END_TEST

/* ---- power iteration ---- */

/* One layer W, its state [u][v][sigma][scale], and the views of it. */
typedef struct normalised {
    irn_power power;
    irn_tensor u, v;
    irn_place sigma, scale;
} normalised;

static void write_unit(const irn_tensor *tensor, double *values)
{
    size_t count = tensor->channels * tensor->height * tensor->width;
    double length = host_norm(values, count);
    for (size_t i = 0; i < count; i++)
        values[i] = (double)(float)(values[i] / length);
    testing_ok(irn_tensor_write(tensor, host_narrow(values, count), tensor->channels));
}

static irn_place create_state(normalised *n, irn_context *context, const oracle_conv *c)
{
    n->u = (irn_tensor){.context = context,
                        .images = 1,
                        .channels = c->outputs,
                        .height = c->height,
                        .width = c->width};
    n->v = n->u;
    n->v.channels = c->inputs;
    size_t u = irn_tensor_size(&n->u), v = irn_tensor_size(&n->v);
    irn_place state = guarded_place(IRN_SINGLE, u + v + 2);
    n->u.memory = n->v.memory = state.memory;
    n->u.offset = state.offset;
    n->v.offset = state.offset + u;
    n->sigma = (irn_place){state.memory, state.offset + u + v};
    n->scale = (irn_place){state.memory, state.offset + u + v + 1};
    return state;
}

/* u and v are made unit vectors. */
static normalised normalised_begin(irn_context *context, const oracle_conv *c, const double *w,
                                   double *u, double *v)
{
    normalised n;
    irn_conv conv = {.inputs = c->inputs,
                     .outputs = c->outputs,
                     .kernel_height = c->kernel_height,
                     .kernel_width = c->kernel_width};
    irn_conv other = conv;
    other.inputs = c->outputs;
    other.outputs = c->inputs;
    irn_place weights = guarded_kernel(IRN_SINGLE, &conv, w);
    irn_place transposed = guarded_kernel(IRN_SINGLE, &other, NULL);
    irn_place state = create_state(&n, context, c);
    write_unit(&n.u, u);
    write_unit(&n.v, v);
    size_t blocks = irn_conv_weights(context, &conv) / context->tuning.channel_block;
    irn_layer_row row = {.weights = weights.offset,
                         .weight_blocks = blocks,
                         .transposed = transposed.offset,
                         .scale = n.scale.offset,
                         .sigma = n.sigma.offset,
                         .u = n.u.offset,
                         .v = n.v.offset,
                         .outputs = c->outputs,
                         .inputs = c->inputs,
                         .kernel_height = c->kernel_height,
                         .kernel_width = c->kernel_width,
                         .height = c->height,
                         .width = c->width,
                         .winograd = IRN_LAYER_NONE};
    n.power = (irn_power){.parameters = weights.memory,
                          .transposed = transposed.memory,
                          .state = state.memory,
                          .padding = c->circular ? IRN_PAD_CIRCULAR : IRN_PAD_ZEROS,
                          .coefficient = 0.9};
    testing_ok(irn_layers_create(&n.power.layers, context, &row, 1));
    testing_ok(irn_layers_transpose(&n.power.layers, n.power.parameters, n.power.transposed));
    return n;
}

static void normalised_end(normalised *n)
{
    irn_layers_free(&n->power.layers);
}

static double read_one(irn_place place)
{
    return (double)guarded_read_raw(place, 1)[0];
}

static void check_power(irn_context *context)
{
    const size_t iterations[] = {1, 2, 8};
    oracle_conv c = {1,
                     host_between(1, 20),
                     host_between(1, 20),
                     host_between(1, 7),
                     host_between(1, 7),
                     host_between(1, 5),
                     host_between(1, 5),
                     host_below(2) == 1};
    double *w = host_normal(oracle_conv_weights(&c));
    double *u = host_normal(oracle_conv_outputs(&c)), *v = host_normal(oracle_conv_inputs(&c));
    size_t times = iterations[host_below(3)];
    guarded_begin(context);
    normalised n = normalised_begin(context, &c, w, u, v);
    double large = c.kernel_height * c.kernel_width > 1 ? 1 : 0;
    n.power.coefficient = 0.5 + (double)host_below(40);
    n.power.epsilon = (double)host_below(2) * 1e-2;
    testing_ok(irn_power_iterate(&n.power, times, 0));
    double sigma = oracle_power(&c, w, u, v, times);
    double scale = 1 / (fmax(1, sigma / n.power.coefficient) + large * n.power.epsilon);
    double got_sigma = read_one(n.sigma);
    host_check_number(sigma, got_sigma, 1e-5 * sigma, "sigma");
    host_check_number(scale, read_one(n.scale), 1e-5 * scale, "scale");
    host_check(u, guarded_read_clean(&n.u), oracle_conv_outputs(&c), 1e-4, "u");
    host_check(v, guarded_read_clean(&n.v), oracle_conv_inputs(&c), 1e-4, "v");
    /* No iteration leaves sigma and finds the scale again. */
    n.power.coefficient *= 2;
    testing_ok(irn_power_iterate(&n.power, 0, 0));
    scale = 1 / (fmax(1, got_sigma / n.power.coefficient) + large * n.power.epsilon);
    host_check_number(scale, read_one(n.scale), 1e-6, "scale again");
    normalised_end(&n);
    guarded_end();
    host_free_all();
}

START_TEST(power_iteration)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 25; i++)
        check_power(context);
    devices_close(context);
}
END_TEST

/* Kernels whose squares are no floats, and one of zeros, which must not hold the iteration for ever
 * once there are weights: 5 channels, so that a block has padding. */
static void check_scaled(irn_context *context, double factor)
{
    const oracle_conv c = {1, 5, 5, 4, 4, 3, 3, false};
    size_t count = oracle_conv_weights(&c);
    double *w = host_normal(count), *scaled = host_doubles(count);
    double *u = host_normal(oracle_conv_outputs(&c)), *v = host_normal(oracle_conv_inputs(&c));
    for (size_t i = 0; i < count; i++)
        scaled[i] = factor * w[i];
    guarded_begin(context);
    normalised n = normalised_begin(context, &c, scaled, u, v);
    testing_ok(irn_power_iterate(&n.power, 60, 0));
    double sigma = factor * oracle_power(&c, w, u, v, 60);
    double scale = 1 / fmax(1, sigma / n.power.coefficient);
    host_check_number(sigma, read_one(n.sigma), 1e-4 * sigma, "sigma of weights times %g", factor);
    host_check_number(scale, read_one(n.scale), 1e-4 * scale, "scale of weights times %g", factor);
    double *got_u = guarded_read_clean(&n.u), *got_v = guarded_read_clean(&n.v);
    host_check_number(1, host_norm(got_u, oracle_conv_outputs(&c)), 1e-5, "length of u");
    host_check_number(1, host_norm(got_v, oracle_conv_inputs(&c)), 1e-5, "length of v");
    normalised later = normalised_begin(context, &c, w, got_u, got_v);
    testing_ok(irn_power_iterate(&later.power, 200, 0));
    sigma = oracle_power(&c, w, u, v, 2000);
    host_check_number(sigma, read_one(later.sigma), 1e-3 * sigma, "sigma after weights times %g",
                      factor);
    normalised_end(&n);
    normalised_end(&later);
    guarded_end();
    host_free_all();
}

START_TEST(extreme_kernels)
{
    irn_context *context = devices_open(_i);
    const double factors[] = {0, 1e-30, 1e-24, 1e-12, 1e12, 1e20, 1e30};
    for (size_t i = 0; i < sizeof factors / sizeof *factors; i++)
        check_scaled(context, factors[i]);
    devices_close(context);
}
END_TEST

/* NaN and infinity among the weights come through: they are not taken for zeros. */
START_TEST(bad_kernels)
{
    irn_context *context = devices_open(_i);
    const oracle_conv c = {1, 1, 1, 1, 1, 1, 1, false};
    const double bad[] = {(double)NAN, (double)INFINITY};
    for (size_t i = 0; i < 2; i++) {
        double u = 1, v = 1;
        guarded_begin(context);
        normalised n = normalised_begin(context, &c, &bad[i], &u, &v);
        testing_ok(irn_power_iterate(&n.power, 3, 0));
        ck_assert(!isfinite(read_one(n.sigma)));
        normalised_end(&n);
        guarded_end();
    }
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("derivatives");
    TCase *test = devices_case(suite, "blocks");
    devices_add(test, jacobians);
    devices_add(test, derivatives_of_jacobians);
    TCase *power = devices_case(suite, "power iteration");
    devices_add(power, power_iteration);
    devices_add(power, extreme_kernels);
    devices_add(power, bad_kernels);
    return testing_run(suite);
}
