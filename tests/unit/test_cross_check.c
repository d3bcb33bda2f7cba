/* Proven bounds beside singular values, and bounds that contradict them. */
#include "devices.h"
#include "kernels.h"
#include "testing.h"

#include "certify/bound.h"
#include "certify/cross_check.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static irn_context *context;

/* In this program this stands before OpenCL's own, and counts what is decomposed. */
static size_t decompositions;

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *first, const size_t *global, const size_t *local,
                              cl_uint count, const cl_event *list, cl_event *event)
{
    cl_int (*original)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *,
                       const size_t *, cl_uint, const cl_event *, cl_event *);
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW);
    void *function = library ? dlsym(library, "clEnqueueNDRangeKernel") : NULL;
    char name[128] = "";
    if (!function)
        abort();
    memcpy(&original, &function, sizeof original);
    dlclose(library);
    clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name - 1, name, NULL);
    decompositions += strcmp(name, "svd") == 0;
    return original(queue, kernel, dimensions, first, global, local, count, list, event);
}

static void open_context(void)
{
    testing_ok(irn_context_create(&context, NULL));
}

static void close_context(void)
{
    irn_context_free(context);
}

static const irn_kernel_shape shapes[] = {
    {12, 7, 3, 3, 10, 12, IRN_PAD_CIRCULAR, 1, 1, 1, false},
    {6, 4, 3, 3, 8, 8, IRN_PAD_CIRCULAR, 2, 1, 1, false},
    {6, 4, 3, 3, 7, 9, IRN_PAD_CIRCULAR, 2, 1, 1, false},
    {8, 8, 3, 3, 24, 20, IRN_PAD_ZEROS, 1, 2, 4, false},
    {9, 9, 3, 5, 33, 31, IRN_PAD_ZEROS, 1, 1, 1, false},
    {4, 4, 3, 3, 6, 6, IRN_PAD_ZEROS, 1, 1, 1, false}, /* its own matrix */
    {5, 3, 3, 3, 12, 12, IRN_PAD_ZEROS, 2, 1, 1, true},
    {3, 3, 3, 3, 0, 0, IRN_PAD_ZEROS, 1, 1, 1, false},
    {17, 5, 1, 1, 1, 1, IRN_PAD_ZEROS, 1, 1, 1, false},
};

/* With honest bounds, which the caller may forge. */
static irn_bound_job job_of(const irn_kernel_shape *shape, irn_arithmetic arithmetic)
{
    irn_bound_job job = {.name = "kernel", .shape = *shape};
    float *kernel = random_kernel(shape, 5);
    job.kernel = widened(kernel, shape);
    free(kernel);
    testing_ok(
        irn_bound_kernel(&job.bound, &job.proof, context, arithmetic, job.kernel, shape, job.name));
    return job;
}

START_TEST(agree)
{
    irn_spectrum *spectrum;
    testing_ok(irn_spectrum_create(&spectrum, context));
    irn_spectrum_force(spectrum, IRN_ROUTE_FFT);
    for (int arithmetic = IRN_ARITHMETIC_AUTO; arithmetic <= IRN_ARITHMETIC_HOST_FLOAT64;
         arithmetic++) {
        if (!devices_prove(context, (irn_arithmetic)arithmetic))
            continue;
        irn_bound_job job = job_of(&shapes[_i], (irn_arithmetic)arithmetic);
        testing_ok(irn_cross_check(spectrum, &job));
        free(job.kernel);
    }
    irn_spectrum_free(spectrum);
}
END_TEST

/* A lower bound of all norms on the torus, and an upper one below it, are seen; so is NaN. */
START_TEST(contradict)
{
    irn_spectrum *spectrum;
    irn_bound_job job = job_of(&shapes[_i], IRN_ARITHMETIC_AUTO);
    const irn_bound honest = job.bound;
    testing_ok(irn_spectrum_create(&spectrum, context));
    if (shapes[_i].height > 0) {
        job.bound.lower = 1.2 * honest.upper;
        testing_fails(irn_cross_check(spectrum, &job), IRN_ERROR_DEVICE, "computed wrongly");
        job.bound.lower = (double)NAN;
        testing_fails(irn_cross_check(spectrum, &job), IRN_ERROR_DEVICE, "computed wrongly");
        job.bound = honest;
    }
    if (job.proof.method == IRN_PROOF_SYMBOL) {
        job.bound.upper = 0.99 * honest.upper;
        testing_fails(irn_cross_check(spectrum, &job), IRN_ERROR_DEVICE, "computed wrongly");
    }
    irn_spectrum_free(spectrum);
    free(job.kernel);
}
END_TEST

START_TEST(of_a_kernel)
{
    irn_certify_options options = IRN_CERTIFY_OPTIONS_INIT;
    irn_bound plain, checked;
    float *kernel = random_kernel(&shapes[0], 1);
    decompositions = 0;
    testing_ok(irn_certify_kernel(&plain, context, kernel, &shapes[0], &options));
    ck_assert_uint_eq(decompositions, 0);
    options.cross_check = true;
    testing_ok(irn_certify_kernel(&checked, context, kernel, &shapes[0], &options));
    if (context->info.has_fp64)
        ck_assert_uint_gt(decompositions, 0);
    ck_assert_double_eq(plain.lower, checked.lower);
    ck_assert_double_eq(plain.upper, checked.upper);
    ck_assert_uint_eq(irn_context_memory(context), 0);
    free(kernel);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cross_check");
    TCase *checks = testing_case(suite, "checks");
    tcase_add_checked_fixture(checks, open_context, close_context);
    tcase_set_timeout(checks, 120);
    tcase_add_loop_test(checks, agree, 0, (int)(sizeof shapes / sizeof *shapes));
    tcase_add_loop_test(checks, contradict, 0, (int)(sizeof shapes / sizeof *shapes));
    tcase_add_test(checks, of_a_kernel);
    return testing_run(suite);
}
