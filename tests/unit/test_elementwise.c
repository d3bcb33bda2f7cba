/* Activations with their derivatives, actnorm, squeeze, channel padding and sums, against the
 * oracle, in both precisions. */
#include "guarded.h"

#include "oracle/elementwise.h"

#include <math.h>
#include <string.h>

static const double tolerance[2] = {1e-5, 1e-12};

/* Runs a check in each precision that the device has. */
static void in_precisions(int device, void check(irn_context *, irn_precision))
{
    irn_context *context = devices_open(device);
    irn_precision last = irn_context_device(context)->has_fp64 ? IRN_DOUBLE : IRN_SINGLE;
    for (irn_precision p = IRN_SINGLE; p <= last; p++) {
        guarded_begin(context);
        check(context, p);
        guarded_end();
    }
    devices_close(context);
}

static oracle_map random_map(void)
{
    const size_t side = host_step(1) > 1 ? 4 : 9;
    return (oracle_map){host_between(1, 5), host_between(1, 40), host_between(1, side),
                        host_between(1, side)};
}

static irn_tensor tensor(irn_precision precision, const oracle_map *m, const double *values)
{
    return guarded_tensor(precision, m->images, m->channels, m->height, m->width, values);
}

/* ---- activations ---- */

static irn_place beta_of(irn_precision precision)
{
    const double beta = ORACLE_BETA;
    return guarded_vector(precision, 1, &beta);
}

/* Each of the calls with outputs apart and in place. */
static void check_activation(irn_precision precision, irn_activation a, const oracle_map *m,
                             double spread)
{
    size_t count = oracle_map_count(m);
    double *z = host_normal(count), *t = host_normal(count), *s = host_normal(count);
    double *f = host_doubles(count), *d = host_doubles(count), *dd = host_doubles(count);
    for (size_t i = 0; i < count; i++) {
        z[i] *= spread;
        f[i] = oracle_activation(a, z[i]);
        d[i] = oracle_derivative(a, z[i]) * t[i];
        dd[i] = s[i] + oracle_second(a, z[i]) * t[i] * s[i];
    }
    irn_tensor from = tensor(precision, m, z), y = tensor(precision, m, NULL);
    irn_tensor along = tensor(precision, m, t), other = tensor(precision, m, s);
    irn_tensor out = tensor(precision, m, NULL), sum = tensor(precision, m, s);
    irn_tensor saved = irn_saves_input(a) ? tensor(precision, m, z) : y;
    irn_place beta = beta_of(precision);
    double limit = tolerance[precision];
    testing_ok(irn_activation_forward(a, beta, &from, &y));
    host_check(f, guarded_read(&y), count, limit, "activation %d", (int)a);
    testing_ok(irn_activation_derivative(a, beta, &saved, &along, &out));
    host_check(d, guarded_read(&out), count, limit, "derivative %d", (int)a);
    testing_ok(irn_activation_second(a, beta, &saved, &along, &other, &sum));
    host_check(dd, guarded_read(&sum), count, limit, "second derivative %d", (int)a);
    testing_ok(irn_activation_forward(a, beta, &from, &from));
    host_check(f, guarded_read(&from), count, limit, "activation %d in place", (int)a);
    testing_ok(irn_activation_derivative(a, beta, &saved, &along, &along));
    host_check(d, guarded_read(&along), count, limit, "derivative %d in place", (int)a);
}

static void check_activations(irn_context *context, irn_precision precision)
{
    (void)context;
    for (irn_activation a = IRN_IDENTITY; a <= IRN_LIPSWISH; a++)
        for (int i = 0; i < 6; i++) {
            oracle_map m = random_map();
            check_activation(precision, a, &m, i % 2 ? 1 : 4);
        }
}

START_TEST(activations)
{
    in_precisions(_i, check_activations);
}
END_TEST

/* The ends of the scale, one by one. */
static void check_extremes(irn_context *context, irn_precision precision)
{
    const double values[] = {0,       -0.0,     1e-30,     -1e-30, 1e-4, -1e-4,   0.3465,
                             -0.3466, 5,        -5,        17,     -17,  40,      -40,
                             88,      -88,      100,       -100,   1000, -100000, 1e30,
                             -1e30,   INFINITY, -INFINITY, NAN};
    enum { COUNT = sizeof values / sizeof *values };
    oracle_map m = {1, COUNT, 1, 1};
    double relative = precision == IRN_DOUBLE ? 1e-14 : 1e-6;
    (void)context;
    for (irn_activation a = IRN_IDENTITY; a <= IRN_LIPSWISH; a++) {
        irn_tensor z = tensor(precision, &m, values), y = tensor(precision, &m, NULL);
        testing_ok(irn_activation_forward(a, beta_of(precision), &z, &y));
        double *got = guarded_read(&y);
        for (size_t i = 0; i < COUNT; i++) {
            double rounded = (double)(float)values[i]; /* as it was copied */
            double expected = oracle_activation(a, rounded);
            /* Beyond the smallest normal number results may be flushed to zero. What LipSwish has
             * for the exponential's argument is rounded. */
            double size = irn_saves_input(a) ? fmax(fabs(rounded), fabs(expected)) : fabs(expected);
            double limit = relative * size + 1.2e-38;
            bool same = isnan(expected) ? isnan(got[i])
                                        : got[i] == expected || fabs(got[i] - expected) <= limit;
            ck_assert_msg(same, "activation %d of %g is %.9g instead of %.9g", (int)a, rounded,
                          got[i], expected);
        }
    }
}

START_TEST(extreme_activations)
{
    in_precisions(_i, check_extremes);
}
END_TEST

static void check_nan(irn_context *context, irn_precision precision)
{
    const double nan[] = {NAN}, one[] = {1};
    oracle_map m = {1, 1, 1, 1};
    (void)context;
    /* The derivative of the identity is 1 whatever its output is. */
    for (irn_activation a = IRN_ELU; a <= IRN_LIPSWISH; a++) {
        irn_tensor y = tensor(precision, &m, nan), t = tensor(precision, &m, one);
        irn_tensor out = tensor(precision, &m, one);
        testing_ok(irn_activation_derivative(a, beta_of(precision), &y, &t, &out));
        ck_assert_msg(isnan(guarded_read(&out)[0]), "derivative %d lost NaN", (int)a);
        irn_tensor sum = tensor(precision, &m, one);
        testing_ok(irn_activation_second(a, beta_of(precision), &y, &t, &t, &sum));
        ck_assert_msg(isnan(guarded_read(&sum)[0]), "second derivative %d lost NaN", (int)a);
    }
}

START_TEST(nan_comes_through)
{
    in_precisions(_i, check_nan);
}
END_TEST

/* vjp, jvp and the vjp of the jvp against differences of the device's own double results. */
static double *forward_at(irn_activation a, const oracle_map *m, const double *z, const double *t,
                          float step)
{
    size_t count = oracle_map_count(m);
    irn_tensor at = tensor(IRN_DOUBLE, m, z), way = tensor(IRN_DOUBLE, m, t);
    irn_tensor y = tensor(IRN_DOUBLE, m, NULL);
    testing_ok(irn_add_scaled((double)step, &way, &at));
    testing_ok(irn_activation_forward(a, beta_of(IRN_DOUBLE), &at, &y));
    ck_assert_uint_eq(count, m->images * m->channels * m->height * m->width);
    return guarded_read(&y);
}

START_TEST(finite_differences)
{
    irn_context *context = devices_open(_i);
    oracle_map m = {2, 19, 3, 4};
    size_t count = oracle_map_count(&m);
    const float h = 0x1p-10f;
    for (irn_activation a = IRN_ELU; a <= IRN_LIPSWISH && context->info.has_fp64; a++) {
        guarded_begin(context);
        double *z = host_normal(count), *t = host_normal(count);
        for (size_t i = 0; i < count; i++) /* away from the kink */
            z[i] += copysign(0.0625, z[i]), t[i] = fmax(-4, fmin(4, t[i]));
        double *plus = forward_at(a, &m, z, t, h), *minus = forward_at(a, &m, z, t, -h);
        double *here = forward_at(a, &m, z, t, 0);
        double *first = host_doubles(count), *second = host_doubles(count);
        for (size_t i = 0; i < count; i++) {
            first[i] = (plus[i] - minus[i]) / (2 * (double)h);
            second[i] = (plus[i] - 2 * here[i] + minus[i]) / ((double)h * (double)h);
        }
        irn_tensor from = tensor(IRN_DOUBLE, &m, z), y = tensor(IRN_DOUBLE, &m, NULL);
        irn_tensor along = tensor(IRN_DOUBLE, &m, t), out = tensor(IRN_DOUBLE, &m, NULL);
        irn_tensor sum = tensor(IRN_DOUBLE, &m, host_doubles(count));
        irn_tensor saved = irn_saves_input(a) ? from : y;
        irn_place beta = beta_of(IRN_DOUBLE);
        testing_ok(irn_activation_forward(a, beta, &from, &y));
        testing_ok(irn_activation_derivative(a, beta, &saved, &along, &out));
        host_check(first, guarded_read(&out), count, 1e-5, "difference %d", (int)a);
        testing_ok(irn_activation_second(a, beta, &saved, &along, &along, &sum));
        host_check(second, guarded_read(&sum), count, 1e-5, "second difference %d", (int)a);
        guarded_end();
    }
    devices_close(context);
}
END_TEST

/* ---- actnorm ---- */

static void check_actnorm(irn_context *context, irn_precision precision)
{
    (void)context;
    for (int i = 0; i < 12; i++) {
        oracle_map m = random_map();
        size_t count = oracle_map_count(&m);
        double *x = host_normal(count), *z = host_doubles(count), *scaled = host_doubles(count);
        double *log_scale = host_normal(m.channels), *shift = host_normal(m.channels);
        double *none = host_doubles(m.channels), *other = host_normal(count);
        irn_place scale = guarded_vector(precision, m.channels, log_scale);
        irn_place offset = guarded_vector(precision, m.channels, shift);
        irn_tensor in = tensor(precision, &m, x), out = tensor(precision, &m, NULL);
        oracle_actnorm(&m, x, log_scale, shift, z);
        oracle_actnorm(&m, x, log_scale, none, scaled);
        testing_ok(irn_actnorm_forward(&in, scale, offset, &out));
        host_check(z, guarded_read_clean(&out), count, tolerance[precision], "actnorm");
        testing_ok(irn_actnorm_inverse(&out, scale, offset, &out));
        host_check(x, guarded_read_clean(&out), count, 30 * tolerance[precision],
                   "actnorm and back");
        testing_ok(irn_actnorm_inverse(&in, scale, offset, &out));
        oracle_actnorm_inverse(&m, x, log_scale, shift, z);
        host_check(z, guarded_read_clean(&out), count, tolerance[precision], "actnorm inverse");
        testing_ok(irn_actnorm_scale(&in, scale, &in));
        double *got = guarded_read_clean(&in);
        host_check(scaled, got, count, tolerance[precision], "actnorm's linear part");
        /* It is its own adjoint. */
        irn_tensor second = tensor(precision, &m, other);
        testing_ok(irn_actnorm_scale(&second, scale, &second));
        host_check_number(host_dot(got, other, count), host_dot(x, guarded_read(&second), count),
                          tolerance[precision] * host_norm(got, count) * host_norm(other, count),
                          "<Ax, y> of actnorm");
    }
}

START_TEST(actnorm)
{
    in_precisions(_i, check_actnorm);
}
END_TEST

START_TEST(actnorm_gradients)
{
    irn_context *context = devices_open(_i);
    for (int i = 0; i < 12; i++) {
        guarded_begin(context);
        oracle_map m = random_map();
        size_t count = oracle_map_count(&m), channels = m.channels;
        double *x = host_normal(count), *g = host_normal(count), *z = host_doubles(count);
        double *log_scale = host_normal(channels), *shift = host_normal(channels);
        double *expected[2] = {host_doubles(channels), host_doubles(channels)};
        oracle_actnorm(&m, x, log_scale, shift, z);
        oracle_actnorm_gradient(&m, g, x, log_scale, expected[0], expected[1]);
        irn_tensor gradient = tensor(IRN_SINGLE, &m, g), at = tensor(IRN_SINGLE, &m, z);
        irn_place to[2] = {guarded_vector(IRN_SINGLE, channels, NULL),
                           guarded_vector(IRN_SINGLE, channels, NULL)};
        cl_mem scratch;
        testing_ok(irn_memory_create(context, &scratch, irn_channel_scratch(context, channels),
                                     sizeof(float), false));
        testing_ok(irn_actnorm_gradient(&gradient, &at, guarded_vector(IRN_SINGLE, channels, shift),
                                        to[0], to[1], scratch));
        irn_memory_release(context, scratch);
        for (int k = 0; k < 2; k++)
            host_check(expected[k], guarded_read_vector(to[k], channels), channels, 2e-5,
                       "actnorm gradient %d", k);
        guarded_end();
    }
    devices_close(context);
}
END_TEST

/* ---- squeeze, padding, sums ---- */

static void check_squeeze(irn_context *context, irn_precision precision)
{
    (void)context;
    for (int i = 0; i < 12; i++) {
        oracle_map m = random_map();
        m.height *= 2;
        m.width *= 2;
        size_t count = oracle_map_count(&m), extra = host_below(2) * host_between(1, 20);
        oracle_map wide = {m.images, 4 * m.channels + extra, m.height / 2, m.width / 2};
        size_t wide_count = oracle_map_count(&wide), plane = wide.height * wide.width;
        double *x = host_normal(count), *plain = host_doubles(count);
        double *y = host_doubles(wide_count);
        oracle_squeeze(&m, x, plain);
        for (size_t n = 0; n < m.images; n++)
            memcpy(y + n * wide.channels * plane, plain + n * 4 * m.channels * plane,
                   4 * m.channels * plane * sizeof *y);
        irn_tensor in = tensor(precision, &m, x), out = tensor(precision, &wide, NULL);
        irn_tensor back = tensor(precision, &m, NULL);
        testing_ok(irn_squeeze(&in, &out));
        host_check(y, guarded_read_clean(&out), wide_count, 0, "squeeze");
        testing_ok(irn_unsqueeze(&out, &back));
        host_check(x, guarded_read_clean(&back), count, 0, "squeeze and back");
        /* <Sx, y> = <x, S'y>, channels that are only padding included. */
        double *other = host_normal(wide_count);
        irn_tensor from = tensor(precision, &wide, other);
        testing_ok(irn_unsqueeze(&from, &back));
        host_check_number(
            host_dot(y, other, wide_count), host_dot(x, guarded_read_clean(&back), count),
            1e-12 * host_norm(x, count) * host_norm(other, wide_count), "<Sx, y> of squeeze");
    }
}

START_TEST(squeeze)
{
    in_precisions(_i, check_squeeze);
}
END_TEST

static void check_padding(irn_context *context, irn_precision precision)
{
    for (int i = 0; i < 12; i++) {
        oracle_map m = random_map();
        size_t count = oracle_map_count(&m), plane = m.height * m.width;
        oracle_map padded = {m.images, m.channels + host_between(0, 20), m.height, m.width};
        double *x = host_normal(count), *expected = host_doubles(oracle_map_count(&padded));
        irn_tensor out = tensor(precision, &padded, NULL);
        for (size_t n = 0; n < m.images; n++)
            memcpy(expected + n * padded.channels * plane, x + n * m.channels * plane,
                   m.channels * plane * sizeof *x);
        testing_ok(irn_tensor_write(&out, host_narrow(x, count), m.channels));
        host_check(expected, guarded_read_clean(&out), oracle_map_count(&padded), 0, "padding");
        if (precision == IRN_DOUBLE)
            continue;
        /* Taking the first channels is the transpose. */
        float *first = host_floats(count);
        testing_ok(irn_tensor_read(&out, first, m.channels));
        host_check_float(x, first, count, 0, "padding and back");
        irn_tensor wide =
            guarded_tensor(IRN_SINGLE, m.images, padded.channels, m.height, m.width, expected);
        testing_ok(irn_tensor_copy(&wide, &out));
        host_check(expected, guarded_read_clean(&out), oracle_map_count(&padded), 0, "copy");
    }
    ck_assert_ptr_nonnull(context);
}

START_TEST(padding)
{
    in_precisions(_i, check_padding);
}
END_TEST

static void check_add_scaled(irn_context *context, irn_precision precision)
{
    (void)context;
    for (int i = 0; i < 6; i++) {
        oracle_map m = random_map();
        size_t count = oracle_map_count(&m);
        double *x = host_normal(count), *y = host_normal(count), a = host_normal(1)[0];
        irn_tensor from = tensor(precision, &m, x), to = tensor(precision, &m, y);
        testing_ok(irn_add_scaled(a, &from, &to));
        for (size_t k = 0; k < count; k++)
            y[k] += a * x[k];
        host_check(y, guarded_read_clean(&to), count, tolerance[precision], "y += a x");
    }
}

START_TEST(add_scaled)
{
    in_precisions(_i, check_add_scaled);
}
END_TEST

/* A sample whose square is not above zero, or beyond the range, must not pass for one of norm 1. */
static void check_normalise_samples(irn_context *context, irn_precision precision)
{
    (void)context;
    for (int i = 0; i < 6; i++) {
        oracle_map m = random_map();
        size_t count = oracle_map_count(&m), size = count / m.images;
        double *x = host_normal(count);
        irn_tensor tensors = tensor(precision, &m, x);
        for (size_t k = 0; k < count; k += size) {
            double norm = host_norm(x + k, size);
            for (size_t j = k; j < k + size; j++)
                x[j] /= norm;
        }
        testing_ok(irn_normalise_samples(&tensors));
        host_check(x, guarded_read_clean(&tensors), count, tolerance[precision], "norm 1");
        oracle_map one = {1, 1, 1, 1};
        const double out_of_range[] = {0, precision == IRN_DOUBLE ? 1e200 : 1e30};
        for (int k = 0; k < 2; k++) {
            irn_tensor number = tensor(precision, &one, &out_of_range[k]);
            testing_ok(irn_normalise_samples(&number));
            ck_assert(!isfinite(*guarded_read(&number)));
        }
    }
}

START_TEST(normalise_samples)
{
    in_precisions(_i, check_normalise_samples);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("elementwise");
    TCase *test = devices_case(suite, "elementwise");
    devices_add(test, activations);
    devices_add(test, extreme_activations);
    devices_add(test, nan_comes_through);
    devices_add(test, finite_differences);
    devices_add(test, actnorm);
    devices_add(test, actnorm_gradients);
    devices_add(test, squeeze);
    devices_add(test, padding);
    devices_add(test, add_scaled);
    devices_add(test, normalise_samples);
    return testing_run(suite);
}
