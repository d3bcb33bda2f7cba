/* Log-determinants of blocks: exact ones against a Jacobian in double precision, estimates against
 * exact ones by their standard errors, and both against what is proven about them. */
#include "blocks.h"

#include "base/philox.h"
#include "flow/logdet_bounds.h"
#include "flow/logdet_exact.h"
#include "flow/powers.h"
#include "flow/roulette.h"

#include <lapacke.h>
#include <math.h>

static double oracle_logdet(const double *jacobian, size_t size)
{
    lapack_int n = (lapack_int)size, *pivots = (lapack_int *)host_floats(size);
    double *matrix = host_doubles(size * size), sum = 0;
    for (size_t i = 0; i < size * size; i++)
        matrix[i] = jacobian[i] + (i % (size + 1) == 0);
    ck_assert_int_eq(LAPACKE_dgetrf(LAPACK_ROW_MAJOR, n, n, matrix, n, pivots), 0);
    for (size_t i = 0; i < size; i++)
        sum += log(fabs(matrix[i * size + i]));
    return sum;
}

static double *product(const double *a, const double *b, size_t rows, size_t size)
{
    double *c = host_doubles(rows * size);
    for (size_t i = 0; i < rows; i++)
        for (size_t k = 0; k < size; k++)
            for (size_t j = 0; j < size; j++)
                c[i * size + j] += a[i * size + k] * b[k * size + j];
    return c;
}

static double coefficient(size_t k)
{
    return (k % 2 ? 1.0 : -1.0) / (double)k;
}

/* ---- exact values ---- */

static void check_exact(const blocks_subject *s, size_t images)
{
    double *z = host_normal(images * s->size), *values = host_doubles(images);
    irn_tensor inputs[IRN_MAX_LAYERS];
    blocks_inputs(s, z, images, inputs);
    testing_ok(irn_block_logdet_exact(s->model, s->block, inputs, images, values));
    blocks_free_inputs(inputs, s->model->config.layers);
    for (size_t n = 0; n < images; n++) {
        double *jacobian = blocks_jacobian(s, z + n * s->size);
        double expected = oracle_logdet(jacobian, s->size);
        host_check_number(expected, values[n], 1e-6 * sqrt((double)s->size) + 1e-6 * fabs(expected),
                          "log|det| of image %zu of %zu, %zu dimensions", n, images, s->size);
    }
}

/* Seven images are a group and a half of some blocks. */
START_TEST(exact_values)
{
    irn_context *context = devices_open(_i);
    for (size_t b = 0; b < BLOCKS_SHAPES; b += (size_t)host_step(1)) {
        blocks_subject s = blocks_begin(context, &blocks_shapes[b]);
        check_exact(&s, 7);
        irn_model_free(s.model);
        host_free_all();
    }
    devices_close(context);
}
END_TEST

/* More dimensions than are found at a time, and than are allowed. */
START_TEST(exact_values_of_many_dimensions)
{
    irn_context *context = devices_open(_i);
    blocks_shape wide = {4, 9, 8, 8, 2, {3, 1}, IRN_PAD_CIRCULAR, IRN_ELU, 0.9, false};
    blocks_subject s = blocks_begin(context, &wide);
    check_exact(&s, 2);
    irn_model_free(s.model);
    wide.channels = 5;
    wide.height = wide.width = 32;
    s = blocks_begin(context, &wide);
    irn_tensor inputs[IRN_MAX_LAYERS];
    double value;
    blocks_inputs(&s, host_normal(s.size), 1, inputs);
    testing_fails(irn_block_logdet_exact(s.model, s.block, inputs, 1, &value),
                  IRN_ERROR_UNSUPPORTED, "5120 dimensions");
    blocks_free_inputs(inputs, wide.layers);
    irn_model_free(s.model);
    devices_close(context);
}
END_TEST

START_TEST(exact_values_of_nothing)
{
    irn_context *context = devices_open(_i);
    blocks_subject s = blocks_begin(context, &blocks_shapes[0]);
    irn_tensor inputs[IRN_MAX_LAYERS];
    double value;
    double *z = host_normal(s.size);
    z[3] = (double)NAN;
    blocks_inputs(&s, z, 1, inputs);
    testing_fails(irn_block_logdet_exact(s.model, s.block, inputs, 1, &value), IRN_ERROR_NUMERIC,
                  "image 0");
    blocks_free_inputs(inputs, s.model->config.layers);
    irn_model_free(s.model);
    devices_close(context);
}
END_TEST

/* ---- what is proven ---- */

static void check_proven(const blocks_subject *s)
{
    enum { TERMS = 25 };
    double lipschitz = blocks_certified(s->model), traces = 0, computed;
    double *z = host_normal(s->size), *jacobian = blocks_jacobian(s, z), *power = jacobian;
    double exact = oracle_logdet(jacobian, s->size);
    irn_tensor inputs[IRN_MAX_LAYERS];
    blocks_inputs(s, z, 1, inputs);
    testing_ok(irn_block_logdet_exact(s->model, s->block, inputs, 1, &computed));
    blocks_free_inputs(inputs, s->model->config.layers);
    irn_interval interval = irn_logdet_interval(s->size, lipschitz);
    ck_assert(interval.lower <= exact && exact <= interval.upper);
    ck_assert(interval.lower <= computed && computed <= interval.upper);
    for (size_t k = 1; k <= TERMS; k++) {
        double upper = irn_logdet_truncation_upper(s->size, lipschitz, k);
        for (size_t i = 0; i < s->size; i++)
            traces += coefficient(k) * power[i * s->size + i];
        double rounding = 1e-14 * (double)s->size;
        ck_assert_msg(fabs(traces - exact) <= upper + rounding, "%g after %zu terms, at most %g",
                      traces - exact, k, upper);
        power = product(power, jacobian, s->size, s->size);
    }
}

START_TEST(proven_bounds)
{
    irn_context *context = devices_open(_i);
    for (size_t b = 0; b < BLOCKS_SHAPES; b += (size_t)host_step(1)) {
        blocks_subject s = blocks_begin(context, &blocks_shapes[b]);
        check_proven(&s);
        irn_model_free(s.model);
        host_free_all();
    }
    devices_close(context);
}
END_TEST

/* ---- powers ---- */

static void check_powers(const blocks_subject *s)
{
    enum { IMAGES = 3, TERMS = 6 };
    size_t size = s->size;
    double *z = host_normal(IMAGES * size), *v = host_normal(IMAGES * size);
    double values[TERMS * IMAGES];
    irn_tensor inputs[IRN_MAX_LAYERS], probe;
    irn_workspace memory;
    blocks_inputs(s, z, IMAGES, inputs);
    testing_ok(irn_workspace_create(&memory, s->model, IRN_SINGLE, IMAGES + 1));
    testing_ok(irn_tensor_create(&probe, s->model->context, IRN_SINGLE, IMAGES, s->block->channels,
                                 s->block->height, s->block->width));
    testing_ok(irn_tensor_write(&probe, host_narrow(v, IMAGES * size), s->block->channels));
    testing_ok(irn_block_powers(&memory, s->block, inputs, &probe, TERMS, values));
    for (size_t n = 0; n < IMAGES; n++) {
        double *jacobian = blocks_jacobian(s, z + n * size), *power = v + n * size;
        for (size_t k = 0; k < TERMS; k++) {
            power = product(power, jacobian, 1, size);
            host_check_number(host_dot(power, v + n * size, size), values[k * IMAGES + n],
                              1e-6 * host_dot(v + n * size, v + n * size, size),
                              "<(J^T)^%zu v, v>, image %zu", k + 1, n);
        }
    }
    irn_tensor_free(&probe);
    irn_workspace_free(&memory);
    blocks_free_inputs(inputs, s->model->config.layers);
}

START_TEST(powers)
{
    irn_context *context = devices_open(_i);
    for (size_t b = 0; b < BLOCKS_SHAPES; b += (size_t)host_step(1)) {
        blocks_subject s = blocks_begin(context, &blocks_shapes[b]);
        check_powers(&s);
        irn_model_free(s.model);
        host_free_all();
    }
    devices_close(context);
}
END_TEST

/* ---- estimates ---- */

typedef void fill(float *out, size_t count, uint64_t seed, irn_stream stream, uint64_t substream);

enum { PROBES = 10000, BATCH = 1000, ROULETTES = 2 };

static const irn_roulette roulettes[ROULETTES] = {{IRN_ROULETTE_GEOMETRIC, 0.25, 1},
                                                  {IRN_ROULETTE_POISSON, 4, 1}};

typedef struct mean {
    double sum, squares;
    size_t count;
} mean;

static void add(mean *m, double value)
{
    m->sum += value;
    m->squares += value * value;
    m->count++;
}

static double mean_of(const mean *m)
{
    return m->sum / (double)m->count;
}

static double standard_error(const mean *m)
{
    double n = (double)m->count, average = m->sum / n;
    return sqrt(fmax(0, m->squares / n - average * average) / (n - 1));
}

static void check_mean(const mean *m, double exact, const char *what)
{
    host_check_number(exact, mean_of(m), 4 * standard_error(m), "%s", what);
}

/* Estimates of one image's value from many probes: of two terms, of all, and of the roulettes. */
typedef struct estimates {
    size_t terms;
    mean two, series, roulettes[ROULETTES];
} estimates;

static size_t draw(size_t roulette, uint64_t index)
{
    uint32_t bits[4];
    irn_philox(bits, host_seed(), IRN_STREAM_ROULETTE, roulette, index);
    return irn_roulette_draw(&roulettes[roulette], irn_uniform_double(bits));
}

/* One probe's powers, each `stride` after the one before. */
static void add_probe(estimates *e, const double *powers, size_t stride, uint64_t index)
{
    double two = 0, series = 0;
    for (size_t k = 1; k <= e->terms; k++) {
        double term = coefficient(k) * powers[(k - 1) * stride];
        series += term;
        two += k <= 2 ? term : 0;
    }
    add(&e->two, two);
    add(&e->series, series);
    for (size_t r = 0; r < ROULETTES; r++) {
        double sum = 0;
        size_t n = draw(r, index);
        ck_assert_uint_le(n, e->terms);
        for (size_t k = 1; k <= n; k++)
            sum +=
                coefficient(k) * powers[(k - 1) * stride] * irn_roulette_weight(&roulettes[r], k);
        add(&e->roulettes[r], sum);
    }
}

/* Enough terms that theorem 3 bounds what is missing by 1e-3, and as many as are ever drawn. */
static size_t enough_terms(size_t size, double lipschitz)
{
    size_t terms = 1;
    while (!(irn_logdet_truncation_upper(size, lipschitz, terms) <= 1e-3))
        terms++;
    for (size_t r = 0; r < ROULETTES; r++)
        for (uint64_t i = 0; i < PROBES; i++)
            terms = irn_larger(terms, draw(r, i));
    return terms;
}

static estimates estimate(const blocks_subject *s, const double *z, fill *fill)
{
    estimates e = {.terms = enough_terms(s->size, blocks_certified(s->model))};
    size_t batches = PROBES / BATCH / (size_t)host_step(1), count = BATCH * s->size;
    double *copies = host_doubles(count), *powers = host_doubles(e.terms * BATCH);
    float *v = host_floats(count);
    irn_tensor inputs[IRN_MAX_LAYERS], probe;
    irn_workspace memory;
    for (size_t i = 0; i < count; i++)
        copies[i] = z[i % s->size];
    blocks_inputs(s, copies, BATCH, inputs);
    testing_ok(irn_workspace_create(&memory, s->model, IRN_SINGLE, BATCH));
    testing_ok(irn_tensor_create(&probe, s->model->context, IRN_SINGLE, BATCH, s->block->channels,
                                 s->block->height, s->block->width));
    for (size_t batch = 0; batch < irn_larger(batches, 1); batch++) {
        fill(v, count, host_seed(), IRN_STREAM_PROBE, batch);
        testing_ok(irn_tensor_write(&probe, v, s->block->channels));
        testing_ok(irn_block_powers(&memory, s->block, inputs, &probe, e.terms, powers));
        for (size_t n = 0; n < BATCH; n++)
            add_probe(&e, powers + n, BATCH, batch * BATCH + n);
    }
    irn_tensor_free(&probe);
    irn_workspace_free(&memory);
    blocks_free_inputs(inputs, s->model->config.layers);
    return e;
}

static double check_estimates(const estimates *e, double exact)
{
    check_mean(&e->series, exact, "series");
    check_mean(&e->roulettes[0], exact, "geometric roulette");
    check_mean(&e->roulettes[1], exact, "Poisson's roulette");
    return fabs(mean_of(&e->two) - exact) / standard_error(&e->two);
}

static void check_block(const blocks_subject *s)
{
    double *z = host_normal(s->size);
    double exact = oracle_logdet(blocks_jacobian(s, z), s->size);
    estimates gaussian = estimate(s, z, irn_normal_fill);
    estimates rademacher = estimate(s, z, irn_rademacher_fill);
    check_estimates(&gaussian, exact);
    check_estimates(&rademacher, exact);
}

START_TEST(estimates_of_blocks)
{
    irn_context *context = devices_open(_i);
    for (size_t b = 0; b < BLOCKS_SHAPES; b += (size_t)host_step(1)) {
        blocks_subject s = blocks_begin(context, &blocks_shapes[b]);
        check_block(&s);
        irn_model_free(s.model);
        host_free_all();
    }
    devices_close(context);
}
END_TEST

/* A block that mostly is a multiple of the identity has large traces: two terms are far off. */
START_TEST(roulette_has_no_bias)
{
    irn_context *context = devices_open(_i);
    const blocks_shape dense = {16, 1, 1, 16, 1, {1}, IRN_PAD_ZEROS, IRN_ELU, 0.7, false};
    blocks_subject s = blocks_begin(context, &dense);
    irn_model *model = s.model;
    const irn_entry *entry = &model->parameters.entries[s.block->layers[0].weight];
    double *weights = host_normal(16 * 16);
    for (size_t i = 0; i < 16 * 16; i++)
        weights[i] = 0.1 * weights[i] + (i % 17 == 0 ? 2 : 0);
    testing_ok(irn_arena_write(&model->parameters, model->single.parameters, entry,
                               host_narrow(weights, 16 * 16)));
    blocks_enlarge(model, 1);
    double *z = host_normal(s.size);
    double exact = oracle_logdet(blocks_jacobian(&s, z), s.size);
    estimates gaussian = estimate(&s, z, irn_normal_fill);
    estimates rademacher = estimate(&s, z, irn_rademacher_fill);
    ck_assert(check_estimates(&gaussian, exact) > 6);
    ck_assert(check_estimates(&rademacher, exact) > 6);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("estimators");
    TCase *test = devices_case(suite, "estimators");
    devices_add(test, exact_values);
    devices_add(test, exact_values_of_many_dimensions);
    devices_add(test, exact_values_of_nothing);
    devices_add(test, proven_bounds);
    devices_add(test, powers);
    devices_add(test, estimates_of_blocks);
    devices_add(test, roulette_has_no_bias);
    return testing_run(suite);
}
