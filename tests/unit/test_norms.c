/* Bounds of kernels against dense operators that LAPACK decomposes. */
#include "testing.h"

#include "kernels.h"

#include <lapacke.h>

static irn_context *context;

static void open_context(void)
{
    testing_ok(irn_context_create(&context, NULL));
}

static void close_context(void)
{
    /* All device memory was given back. */
    ck_assert_uint_eq(irn_context_memory(context), 0);
    irn_context_free(context);
}

/* The layer as a matrix, from its definition: "same" padding, (k - 1) / 2 before. */
static double dense_norm(const float *kernel, const irn_kernel_shape *s)
{
    long h = (long)s->height, w = (long)s->width, kh = (long)s->kernel_height,
         kw = (long)s->kernel_width;
    size_t rows = s->outputs * s->height * s->width, columns = s->inputs * s->height * s->width;
    double *matrix = calloc(rows * columns, sizeof *matrix);
    double *values = calloc(rows < columns ? rows : columns, sizeof *values), unused;
    for (size_t o = 0; o < s->outputs; o++)
        for (size_t i = 0; i < s->inputs; i++)
            for (long e = 0; e < h * w * kh * kw; e++) {
                long y = e / (w * kh * kw), x = e / (kh * kw) % w, p = e / kw % kh, q = e % kw;
                long v = y + p - (kh - 1) / 2, u = x + q - (kw - 1) / 2;
                if (s->padding == IRN_PAD_CIRCULAR) {
                    v = ((v % h) + h) % h;
                    u = ((u % w) + w) % w;
                }
                if (v >= 0 && v < h && u >= 0 && u < w)
                    matrix[((o * s->height + (size_t)y) * s->width + (size_t)x) * columns +
                           (i * s->height + (size_t)v) * s->width + (size_t)u] +=
                        kernel[((o * s->inputs + i) * s->kernel_height + (size_t)p) *
                                   s->kernel_width +
                               (size_t)q];
            }
    /* LAPACK counts down columns and so sees the transpose, whose norm is the same. */
    int code = LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'N', (int)columns, (int)rows, matrix, (int)columns,
                              values, &unused, 1, &unused, 1);
    ck_assert_int_eq(code, 0);
    double norm = values[0];
    free(matrix);
    free(values);
    return norm;
}

static const irn_kernel_shape shapes[] = {
    {3, 2, 3, 3, 7, 5, 0, 1, 1, 1, false},  {2, 5, 3, 3, 4, 4, 0, 1, 1, 1, false},
    {4, 4, 2, 2, 5, 6, 0, 1, 1, 1, false},  {1, 1, 4, 6, 9, 8, 0, 1, 1, 1, false},
    {3, 3, 5, 5, 2, 3, 0, 1, 1, 1, false},  {2, 2, 7, 7, 1, 5, 0, 1, 1, 1, false},
    {2, 3, 3, 3, 1, 1, 0, 1, 1, 1, false},  {6, 4, 1, 1, 3, 4, 0, 1, 1, 1, false},
    {1, 3, 1, 5, 1, 17, 0, 1, 1, 1, false}, {5, 1, 6, 1, 4, 1, 0, 1, 1, 1, false},
    {3, 3, 8, 8, 3, 3, 0, 1, 1, 1, false},  {9, 17, 1, 1, 1, 1, 0, 1, 1, 1, false},
    {8, 6, 3, 3, 8, 8, 0, 1, 1, 1, false},  {3, 2, 3, 5, 12, 9, 0, 1, 1, 1, false},
    {20, 20, 3, 3, 9, 8, 0, 1, 1, 1, false}};

START_TEST(dense)
{
    irn_kernel_shape shape = shapes[_i / 2];
    shape.padding = _i % 2 ? IRN_PAD_CIRCULAR : IRN_PAD_ZEROS;
    float *kernel = random_kernel(&shape, 11u + (unsigned)_i);
    double norm = dense_norm(kernel, &shape);
    irn_bound bound;
    testing_ok(irn_certify_kernel(&bound, context, kernel, &shape, NULL));
    AT_MOST(bound.lower, norm);
    AT_MOST(norm, bound.upper);
    bool small = shape.height * shape.width * (shape.outputs + shape.inputs) <= 256;
    AT_MOST(bound.upper, norm * (shape.padding == IRN_PAD_CIRCULAR || small ? 1 + 1e-8 : 1.1));
    free(kernel);
}
END_TEST

/* Powers of two change nothing but the exponent; others only rounding. */
START_TEST(extremes)
{
    const double scales[] = {1e-30, 1e30, 0x1p-140, 0x1p-149};
    irn_kernel_shape shape = {3, 2, 3, 3,    7, 5, _i % 2 ? IRN_PAD_CIRCULAR : IRN_PAD_ZEROS,
                              1, 1, 1, false};
    float *kernel = random_kernel(&shape, 5);
    size_t count = shape.outputs * shape.inputs * 9;
    for (size_t i = 0; i < count; i++) {
        /* Denormal kernels hold few bits: small integers times the smallest number. */
        double value = _i / 2 == 3 ? rint(40.0 * (double)kernel[i]) : (double)kernel[i];
        kernel[i] = (float)(value * scales[_i / 2]);
    }
    irn_bound bound;
    double norm = dense_norm(kernel, &shape);
    testing_ok(irn_certify_kernel(&bound, context, kernel, &shape, NULL));
    AT_MOST(0.99999999 * norm, bound.lower);
    AT_MOST(bound.lower, norm);
    AT_MOST(norm, bound.upper);
    AT_MOST(bound.upper, 1.00000001 * norm);
    ck_assert(norm > 0);
    free(kernel);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("norms");
    TCase *test = testing_case(suite, "kernels");
    tcase_add_checked_fixture(test, open_context, close_context);
    tcase_set_timeout(test, 300);
    tcase_add_loop_test(test, dense, 0, 2 * (int)(sizeof shapes / sizeof *shapes));
    tcase_add_loop_test(test, extremes, 0, 8);
    return testing_run(suite);
}
