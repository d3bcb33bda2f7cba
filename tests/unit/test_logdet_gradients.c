/* Gradients of log-determinants, by every method, against finite differences of the exact value in
 * double precision. With the basis vectors as probes, one an image, the series' sum over images is
 * the trace itself, and of roulette all numbers of terms are taken with their probabilities, so
 * that no chance is left. */
#include "blocks.h"

#include "flow/logdet.h"
#include "flow/roulette.h"
#include "ops/elementwise.h"

#include <lapacke.h>
#include <math.h>

/* Kernels of many terms compile long, and of other numbers of terms anew: so all have as many
 * dimensions, which are the pairs of exact values, as the series have terms, and coefficients for
 * which these are enough. LipSwish has its beta only behind a layer of the same model. */
enum { TERMS = 8, ALWAYS = 1, DRAWS = TERMS - ALWAYS + 1 };
static const blocks_shape shapes[] = {
    {8, 1, 1, 24, 2, {1, 1}, IRN_PAD_ZEROS, IRN_ELU, 0.9, true},
    {8, 1, 1, 12, 3, {1, 1, 1}, IRN_PAD_ZEROS, IRN_TANH, 0.97, false},
    {8, 1, 1, 16, 3, {1, 1, 1}, IRN_PAD_ZEROS, IRN_SOFTPLUS, 0.97, true},
    {8, 1, 1, 20, 2, {1, 1}, IRN_PAD_ZEROS, IRN_LIPSWISH, 0.9, false},
    {2, 2, 2, 6, 2, {3, 3}, IRN_PAD_ZEROS, IRN_ELU, 0.9, false},
    {1, 2, 4, 6, 2, {2, 2}, IRN_PAD_CIRCULAR, IRN_RELU, 0.9, false},
    {1, 4, 2, 5, 3, {2, 1, 2}, IRN_PAD_CIRCULAR, IRN_SOFTPLUS, 0.97, true},
    {1, 4, 2, 6, 2, {3, 3}, IRN_PAD_ZEROS, IRN_TANH, 0.9, true},
    {2, 2, 2, 4, 3, {2, 1, 2}, IRN_PAD_CIRCULAR, IRN_LIPSWISH, 0.97, false},
    {2, 2, 2, 8, 2, {3, 3}, IRN_PAD_ZEROS, IRN_RELU, 0.9, true}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

typedef enum method { SERIES, NEUMANN, ROULETTE, EXACT } method;
static const char *const names[] = {"series", "neumann", "roulette", "exact"};

/* Everything that log det(I + J) at one z depends on. */
typedef struct subject {
    blocks_subject block;
    irn_roulette roulette;
    double *z;
    size_t images; /* of the batch: as many copies of z */
    double value;
    double *z_gradient;
    cl_mem gradient; /* of normalised kernels and biases */
} subject;

static double exact_value(const subject *s, const double *z)
{
    size_t d = s->block.size;
    lapack_int n = (lapack_int)d, *pivots = (lapack_int *)host_floats(d);
    double *matrix = blocks_jacobian(&s->block, z), sum = 0;
    for (size_t i = 0; i < d; i++)
        matrix[i * d + i] += 1;
    ck_assert_int_eq(LAPACKE_dgetrf(LAPACK_ROW_MAJOR, n, n, matrix, n, pivots), 0);
    for (size_t i = 0; i < d; i++)
        sum += log(fabs(matrix[i * d + i]));
    return sum;
}

static irn_tensor like_z(const subject *s, const double *values)
{
    const irn_block *b = s->block.block;
    irn_tensor tensor;
    testing_ok(irn_tensor_create(&tensor, s->block.model->context, IRN_SINGLE, s->images,
                                 b->channels, b->height, b->width));
    if (values)
        testing_ok(
            irn_tensor_write(&tensor, host_narrow(values, s->images * s->block.size), b->channels));
    return tensor;
}

/* ---- the gradient ---- */

/* The sum over N, ALWAYS to TERMS, of P(N) times the estimator that roulette makes of N terms.
 * TERMS stands for all that are more. */
static void run_roulette(const irn_roulette *roulette, const irn_tensor *inputs,
                         const irn_tensor *probe, irn_logdet *pairs, irn_place values)
{
    irn_series series;
    for (size_t n = ALWAYS; n <= TERMS; n++) {
        double here = 1 / irn_roulette_weight(roulette, n);
        double beyond = n < TERMS ? 1 / irn_roulette_weight(roulette, n + 1) : 0;
        testing_ok(irn_series_roulette(&series, n, roulette));
        testing_ok(irn_logdet_series(pairs, inputs, probe, probe, &series, here - beyond, values));
    }
}

static void run_series(subject *s, method how, const irn_tensor *inputs, irn_logdet *pairs,
                       irn_place values)
{
    size_t d = s->block.size;
    double *basis = host_doubles(d * d);
    irn_series series;
    for (size_t i = 0; i < d; i++)
        basis[i * d + i] = 1;
    irn_tensor probe = like_z(s, basis);
    if (how == ROULETTE) {
        run_roulette(&s->roulette, inputs, &probe, pairs, values);
    } else {
        testing_ok(irn_series_init(&series, TERMS, how == NEUMANN));
        testing_ok(irn_logdet_series(pairs, inputs, &probe, &probe, &series, 1, values));
    }
    testing_ok(irn_finish(s->block.model->context));
    irn_tensor_free(&probe);
}

static void run_pairs(subject *s, method how, const irn_tensor *inputs, irn_logdet *pairs)
{
    irn_context *context = s->block.model->context;
    float *values = host_floats(s->images);
    cl_mem memory;
    testing_ok(irn_memory_create(context, &memory, s->images, sizeof(float), true));
    irn_logdet_begin(pairs, s->block.block, s->images);
    if (how == EXACT)
        testing_ok(irn_logdet_exact(pairs, inputs, 1, (irn_place){memory, 0}));
    else
        run_series(s, how, inputs, pairs, (irn_place){memory, 0});
    testing_ok(irn_memory_read(context, memory, 0, values, s->images * sizeof *values));
    irn_memory_release(context, memory);
    s->value = 0;
    for (size_t n = 0; n < s->images; n++)
        s->value += (double)values[n];
}

/* The part of a training step that brings the pairs to what is below the block. */
static void run_vjp(const subject *s, const irn_tensor *inputs, const irn_logdet *pairs,
                    const irn_tensor *nothing, const irn_tensor *cotangents, const irn_tensor *out,
                    cl_mem scratch)
{
    irn_model *model = s->block.model;
    const irn_block *b = s->block.block;
    const irn_tensor *residual = b->first_activation ? &pairs->second[0] : NULL;
    if (model->config.activation == IRN_LIPSWISH)
        testing_ok(irn_block_vjp_betas(model, b, inputs, nothing, pairs->second, cotangents,
                                       residual, NULL, out, s->gradient, scratch));
    else
        testing_ok(
            irn_block_vjp(model, b, inputs, nothing, pairs->second, cotangents, residual, out));
}

/* From the pairs to the gradients of kernels and biases in s->gradient and of z. */
static void run_backward(subject *s, const irn_tensor *inputs, irn_logdet *pairs)
{
    irn_model *model = s->block.model;
    const irn_block *b = s->block.block;
    size_t d = s->block.size, scratch = s->images;
    irn_tensor cotangents[IRN_MAX_LAYERS] = {0}, nothing = like_z(s, NULL), out = like_z(s, NULL);
    irn_tensor z = like_z(s, s->z);
    cl_mem partials, of_pairs;
    for (size_t i = 0; i < model->config.layers; i++) {
        testing_ok(irn_tensor_create(&cotangents[i], model->context, IRN_SINGLE, s->images,
                                     b->layers[i].conv.inputs, b->height, b->width));
        size_t need = irn_layer_partials(model, &b->layers[i], s->images * pairs->used);
        scratch = need > scratch ? need : scratch;
    }
    testing_ok(irn_memory_create(model->context, &partials, scratch, sizeof(float), true));
    testing_ok(irn_arena_create_buffer(&model->parameters, &of_pairs));
    run_vjp(s, inputs, pairs, &nothing, cotangents, &out, partials);
    testing_ok(irn_block_weight_gradients(model, b, &z, inputs, cotangents, &nothing, s->gradient,
                                          partials));
    testing_ok(irn_logdet_weight_gradients(pairs, of_pairs, partials));
    irn_tensor from = irn_arena_row(&model->parameters, of_pairs);
    irn_tensor to = irn_arena_row(&model->parameters, s->gradient);
    testing_ok(irn_add_scaled(1, &from, &to));
    float *gradient = host_floats(s->images * d);
    testing_ok(irn_tensor_read(&out, gradient, b->channels));
    s->z_gradient = host_doubles(d);
    for (size_t i = 0; i < s->images * d; i++)
        s->z_gradient[i % d] += (double)gradient[i];
    for (size_t i = 0; i < model->config.layers; i++)
        irn_tensor_free(&cotangents[i]);
    irn_tensor_free(&nothing);
    irn_tensor_free(&out);
    irn_tensor_free(&z);
    irn_memory_release(model->context, partials);
    irn_memory_release(model->context, of_pairs);
}

/* ---- the differences ---- */

/* Short, or it would cross the kinks of piecewise activations. */
static const double step = 0x1p-12;

static void check_z(const subject *s, double tolerance, const char *name)
{
    size_t d = s->block.size;
    double *direction = host_normal(d), *plus = host_doubles(d), *minus = host_doubles(d);
    for (size_t i = 0; i < d; i++) {
        plus[i] = s->z[i] + step * direction[i];
        minus[i] = s->z[i] - step * direction[i];
    }
    double expected = (exact_value(s, plus) - exact_value(s, minus)) / (2 * step);
    host_check_number(expected, host_dot(s->z_gradient, direction, d),
                      tolerance * (host_norm(s->z_gradient, d) * host_norm(direction, d) + 0.01),
                      "%s: derivative along z", name);
}

/* Along a random direction of one entry; `factor` times it is the normalised entry. */
static void check_entry(const subject *s, size_t entry, double factor, double tolerance,
                        const char *name)
{
    irn_model *model = s->block.model;
    const irn_arena *arena = &model->parameters;
    const irn_entry *e = &arena->entries[entry];
    size_t count = irn_entry_count(e);
    float *values = host_floats(count), *gradient = host_floats(count);
    testing_ok(irn_arena_read(arena, model->single.parameters, e, values));
    testing_ok(irn_arena_read(arena, s->gradient, e, gradient));
    double *direction = host_normal(count), *moved = host_doubles(count), at[2];
    for (int side = 0; side < 2; side++) {
        float *there = host_floats(count);
        for (size_t i = 0; i < count; i++) {
            there[i] = values[i] + (float)((side ? -step : step) * 0.1 * direction[i]);
            moved[i] += (side ? -1 : 1) * (double)there[i];
        }
        testing_ok(irn_arena_write(arena, model->single.parameters, e, there));
        at[side] = exact_value(s, s->z);
    }
    testing_ok(irn_arena_write(arena, model->single.parameters, e, values));
    double *g = host_widen(gradient, count);
    host_check_number(at[0] - at[1], factor * host_dot(g, moved, count),
                      tolerance * (factor * host_norm(g, count) * host_norm(moved, count) +
                                   1e-2 * host_norm(moved, count)),
                      "%s: derivative along %s", name, e->name);
}

static double scale_of(const irn_model *model, const irn_layer *layer)
{
    float scale;
    testing_ok(irn_arena_read(&model->state, model->single.state,
                              &model->state.entries[layer->scale], &scale));
    return (double)scale;
}

/* Room for a method's pairs. */
static void make_pairs(irn_logdet *out, const subject *s, method how)
{
    size_t pairs = how == EXACT ? s->block.size : irn_series_pairs(TERMS, how != SERIES);
    size_t probes = how == EXACT ? 0 : how == ROULETTE ? DRAWS : 1;
    testing_ok(irn_logdet_create(out, s->block.model, s->images, pairs, probes));
}

static void check_method(irn_context *context, const blocks_shape *shape, method how)
{
    subject s = {.block = blocks_begin(context, shape)};
    irn_model *model = s.block.model;
    const irn_block *b = s.block.block;
    size_t d = s.block.size;
    irn_tensor inputs[IRN_MAX_LAYERS];
    irn_logdet pairs;
    ck_assert_uint_eq(d, TERMS);
    double *one = host_normal(d);
    s.roulette = shape->first_activation ? irn_roulette_of(IRN_ROULETTE_GEOMETRIC, 0.6, ALWAYS)
                                         : irn_roulette_of(IRN_ROULETTE_POISSON, 1, ALWAYS);
    s.images = how == EXACT ? 1 : d;
    s.z = host_doubles(s.images * d);
    for (size_t i = 0; i < s.images * d; i++)
        s.z[i] = one[i % d];
    testing_ok(irn_model_prepare(model));
    /* That all in one launch gives the same is for test_chain_series.c to show; here it compiles.
     */
    if (shape->activation != IRN_ELU)
        model->blocks[0].chained = false;
    blocks_inputs(&s.block, s.z, s.images, inputs);
    testing_ok(irn_arena_create_buffer(&model->parameters, &s.gradient));
    make_pairs(&pairs, &s, how);
    run_pairs(&s, how, inputs, &pairs);
    run_backward(&s, inputs, &pairs);
    double expected = exact_value(&s, s.z);
    host_check_number(expected, s.value, 1e-4 * (fabs(expected) + 0.1), "%s: value (shape %td)",
                      names[how], shape - shapes);
    check_z(&s, 2e-3, names[how]);
    for (size_t i = 0; i < model->config.layers; i++) {
        check_entry(&s, b->layers[i].weight, scale_of(model, &b->layers[i]), 2e-3, names[how]);
        check_entry(&s, b->layers[i].bias, 1, 2e-3, names[how]);
    }
    irn_logdet_free(&pairs);
    irn_memory_release(context, s.gradient);
    blocks_free_inputs(inputs, model->config.layers);
    irn_model_free(model);
}

START_TEST(gradients)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < SHAPES; i += (size_t)host_step(1))
        for (method how = SERIES; how <= EXACT; how++)
            check_method(context, &shapes[i], how);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradients of log-determinants");
    TCase *numeric = devices_case(suite, "finite differences");
    devices_add(numeric, gradients);
    return testing_run(suite);
}
