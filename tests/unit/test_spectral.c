/* Singular values and bounds against golden files, by all the ways to compute them. */
#include "testing.h"

#include "kernels.h"

#include "io/safetensors.h"
#include "spectral/spectrum.h"
#include "spectral/symbol.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

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

/* ---- golden ---- */

static double number(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return item ? item->valuedouble : NAN;
}

static void check_values(const double *expected, const irn_array *got)
{
    double largest = 0;
    size_t count = irn_array_count(got), wanted = got->shape[2];
    const double *values = got->data;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, expected[i]);
    for (size_t i = 0; i < count; i++) {
        CLOSE(values[i], expected[i], 1e-10 * largest);
        if (i % wanted)
            AT_MOST(values[i], values[i - 1]);
    }
}

static void check_bounds(const float *kernel, irn_kernel_shape shape, const cJSON *about)
{
    irn_bound bound;
    double circular = number(about, "circular"), torus = number(about, "torus");
    double padded = number(about, "zero_padded");
    shape.padding = IRN_PAD_CIRCULAR;
    testing_ok(irn_certify_kernel(&bound, context, kernel, &shape, NULL));
    AT_MOST(bound.lower, circular);
    AT_MOST(circular, bound.upper);
    AT_MOST(bound.upper - bound.lower, 1e-8 * circular);
    shape.padding = IRN_PAD_ZEROS;
    testing_ok(irn_certify_kernel(&bound, context, kernel, &shape, NULL));
    AT_MOST(bound.lower, torus);
    AT_MOST(bound.upper, 1.02 * torus);
    if (!isnan(padded)) {
        AT_MOST(bound.lower, padded);
        AT_MOST(padded, bound.upper);
        AT_MOST(0.97 * padded, bound.lower);
    }
}

static void check_case(const irn_safetensors *file, const cJSON *about)
{
    const char *name = cJSON_GetObjectItemCaseSensitive(about, "name")->valuestring;
    char tensor[128];
    irn_array weight, expected, got;
    snprintf(tensor, sizeof tensor, "%s.weight", name);
    testing_ok(irn_safetensors_view(file, irn_safetensors_find(file, tensor), &weight));
    size_t count = irn_array_count(&weight);
    float *kernel = calloc(count, sizeof *kernel);
    testing_ok(irn_safetensors_read_float(file, tensor, count, kernel));
    snprintf(tensor, sizeof tensor, "%s.singular_values_circular", name);
    testing_ok(irn_safetensors_view(file, irn_safetensors_find(file, tensor), &expected));
    double *values = calloc(irn_array_count(&expected), sizeof *values);
    testing_ok(irn_safetensors_read_double(file, tensor, irn_array_count(&expected), values));
    irn_kernel_shape shape = {.outputs = weight.shape[0],
                              .inputs = weight.shape[1],
                              .kernel_height = weight.shape[2],
                              .kernel_width = weight.shape[3],
                              .height = (size_t)number(about, "height"),
                              .width = (size_t)number(about, "width"),
                              .padding = IRN_PAD_CIRCULAR};
    testing_ok(irn_singular_values(&got, context, kernel, &shape));
    ck_assert_uint_eq(irn_array_count(&got), irn_array_count(&expected));
    check_values(values, &got);
    check_bounds(kernel, shape, about);
    irn_array_free(&got);
    free(values);
    free(kernel);
}

START_TEST(golden)
{
    irn_safetensors *file;
    const char *folder = getenv("IRN_TEST_DATA");
    char path[1024];
    snprintf(path, sizeof path, "%s/golden/spectral.safetensors", folder ? folder : "tests");
    testing_ok(irn_safetensors_open(&file, path));
    cJSON *cases = cJSON_Parse(irn_safetensors_metadata(file, "cases")), *about;
    ck_assert_int_gt(cJSON_GetArraySize(cases), 0);
    cJSON_ArrayForEach(about, cases) check_case(file, about);
    cJSON_Delete(cases);
    irn_safetensors_free(file);
}
END_TEST

/* ---- the ways to compute ---- */

static void check_route(irn_spectrum_route route)
{
    const irn_kernel_shape some[] = {{9, 6, 3, 3, 14, 23, IRN_PAD_ZEROS, 1, 1, 1, false},
                                     {20, 13, 3, 3, 10, 12, IRN_PAD_CIRCULAR, 1, 1, 1, false},
                                     {7, 33, 3, 5, 6, 5, IRN_PAD_CIRCULAR, 1, 1, 1, false},
                                     {2, 2, 9, 4, 4, 7, IRN_PAD_CIRCULAR, 1, 1, 1, false},
                                     {1, 3, 1, 6, 5, 20, IRN_PAD_CIRCULAR, 1, 1, 1, false},
                                     {70, 70, 1, 1, 1, 1, IRN_PAD_ZEROS, 1, 1, 1, false},
                                     {3, 1, 2, 1, 17, 1, IRN_PAD_CIRCULAR, 1, 1, 1, false}};
    for (size_t k = 0; k < sizeof some / sizeof *some; k++) {
        float *kernel = random_kernel(&some[k], 3);
        double *wide = widened(kernel, &some[k]);
        irn_tap_list taps;
        testing_ok(irn_tap_list_create(&taps, wide, &some[k], "test"));
        size_t wanted = some[k].outputs < some[k].inputs ? some[k].outputs : some[k].inputs;
        size_t values = irn_frequency_count(&taps) * wanted;
        double *expected = calloc(values, sizeof *expected), *got = calloc(values, sizeof *got);
        irn_spectrum *spectrum;
        testing_ok(irn_spectrum_create(&spectrum, context));
        irn_spectrum_force(spectrum, route);
        testing_ok(irn_spectrum_values(spectrum, &taps, wanted, got));
        if (context->info.has_fp64)
            ck_assert_int_eq(irn_spectrum_taken(spectrum),
                             route == IRN_ROUTE_FFT && k >= 5 ? IRN_ROUTE_TAP_SUM : route);
        irn_spectrum_force(spectrum, IRN_ROUTE_HOST);
        testing_ok(irn_spectrum_values(spectrum, &taps, wanted, expected));
        for (size_t i = 0; i < values; i++)
            CLOSE(got[i], expected[i], 1e-13 * taps.weight);
        irn_spectrum_free(spectrum);
        irn_tap_list_free(&taps);
        free(wide);
        free(kernel);
        free(expected);
        free(got);
    }
}

/* 17 is no length for clFFT, and one frequency is summed. */
START_TEST(routes)
{
    check_route(IRN_ROUTE_FFT);
    check_route(IRN_ROUTE_TAP_SUM);
}
END_TEST

/* The kernels as GPUs run them; a few work-items are enough to meet at every barrier. */
START_TEST(work_groups)
{
    context->tuning.work_group = 8;
    check_route(IRN_ROUTE_FFT);
}
END_TEST

/* A second user of clFFT goes without it. */
START_TEST(two_at_a_time)
{
    irn_spectrum *first, *second;
    irn_kernel_shape shape = {2, 2, 3, 3, 8, 8, IRN_PAD_CIRCULAR, 1, 1, 1, false};
    double kernel[36] = {1, 2, 3, 4, 5}, norms[2];
    irn_tap_list taps;
    size_t where;
    testing_ok(irn_tap_list_create(&taps, kernel, &shape, "test"));
    testing_ok(irn_spectrum_create(&first, context));
    testing_ok(irn_spectrum_create(&second, context));
    irn_spectrum_force(first, IRN_ROUTE_FFT);
    irn_spectrum_force(second, IRN_ROUTE_FFT);
    testing_ok(irn_spectrum_norm(first, &taps, &norms[0], &where));
    testing_ok(irn_spectrum_norm(second, &taps, &norms[1], &where));
    ck_assert_int_ne(irn_spectrum_taken(second), IRN_ROUTE_FFT);
    CLOSE(norms[0], norms[1], 1e-14);
    irn_spectrum_free(first);
    irn_spectrum_free(second);
    irn_tap_list_free(&taps);
}
END_TEST

START_TEST(refusals)
{
    irn_bound bound = {7, 8};
    irn_array values;
    float kernel[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    const irn_kernel_shape good = {1, 1, 3, 3, 4, 4, IRN_PAD_ZEROS, 1, 1, 1, false};
    irn_kernel_shape bad = good;
    bad.inputs = 0;
    testing_fails(irn_certify_kernel(&bound, context, kernel, &bad, NULL), IRN_ERROR_ARGUMENT,
                  "1x0x3x3");
    bad = good;
    bad.outputs = SIZE_MAX / 2;
    testing_fails(irn_certify_kernel(&bound, context, kernel, &bad, NULL), IRN_ERROR_ARGUMENT,
                  "sizes must be 1 to");
    bad.outputs = bad.inputs = bad.kernel_height = bad.kernel_width = 200000000;
    testing_fails(irn_certify_kernel(&bound, context, kernel, &bad, NULL), IRN_ERROR_ARGUMENT,
                  "beyond");
    bad = good;
    bad.height = bad.width = 100000000;
    testing_fails(irn_singular_values(&values, context, kernel, &bad), IRN_ERROR_ARGUMENT,
                  "beyond");
    testing_fails(irn_certify_kernel(&bound, context, NULL, &good, NULL), IRN_ERROR_ARGUMENT,
                  "NULL");
    kernel[4] = NAN;
    testing_fails(irn_certify_kernel(&bound, context, kernel, &good, NULL), IRN_ERROR_NUMERIC,
                  "value 4 of 9 is nan");
    kernel[4] = -INFINITY;
    testing_fails(irn_singular_values(&values, context, kernel, &good), IRN_ERROR_NUMERIC, "inf");
    ck_assert(bound.lower == 7 && bound.upper == 8); /* NOLINT: untouched */
}
END_TEST

/* Kernels count the values of a symbol in ints; there is no memory behind these. */
START_TEST(too_large_symbols)
{
    enum { SIDE = 1 << 15 };
    irn_layout layout;
    irn_tap_list list = {.outputs = SIDE, .inputs = SIDE - 1};
    testing_ok(irn_layout_of(&layout, &list));
    ck_assert_uint_eq(layout.size, (size_t)2 * SIDE * (SIDE - 1));
    list.inputs = SIDE;
    testing_fails(irn_layout_of(&layout, &list), IRN_ERROR_ARGUMENT,
                  "a symbol of 32768x32768 is beyond the limit of 2147483647 values");
    list.inputs = list.outputs = SIZE_MAX / 4;
    testing_fails(irn_layout_of(&layout, &list), IRN_ERROR_ARGUMENT, "is beyond the limit");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("spectral");
    TCase *test = testing_case(suite, "kernels");
    tcase_add_checked_fixture(test, open_context, close_context);
    tcase_set_timeout(test, 300);
    tcase_add_test(test, golden);
    tcase_add_test(test, routes);
    tcase_add_test(test, work_groups);
    tcase_add_test(test, two_at_a_time);
    tcase_add_test(test, refusals);
    tcase_add_test(test, too_large_symbols);
    return testing_run(suite);
}
