/* The check of devices: every kernel is in it, each that does nothing is found and named, and so is
 * one whose source is wrong; what has passed is remembered; clFFT or CLBlast failing is no refusal.
 */
#include "devices.h"

#include "base/embedded.h"
#include "runtime/tuning.h"

#include <iresnet/check.h>

#include <clFFT.h>
#include <clblast_c.h>
#include <dirent.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a wrong device: in this program these stand before those of OpenCL, clFFT and CLBlast ----
 */

static const char *skipped;       /* a kernel that does nothing */
static const char *right, *wrong; /* what is replaced in the sources, and by what */
static size_t replaced, launched;
static bool fft_fails;

/* Names of the kernels that were launched, each once. */
enum { MOST_NAMES = 128, NAME = 64 };
static char names[MOST_NAMES][NAME];
static size_t name_count;
static bool names_kept; /* from here on no more are noted */

static bool is_launched(const char *name)
{
    for (size_t i = 0; i < name_count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void find_original(const char *library, const char *name, void *out)
{
    void *handle = dlopen(library, RTLD_NOW);
    void *function = handle ? dlsym(handle, name) : NULL;
    if (!function)
        abort();
    memcpy(out, &function, sizeof function);
    dlclose(handle);
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *first, const size_t *global, const size_t *local,
                              cl_uint count, const cl_event *list, cl_event *event)
{
    static cl_int (*original)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *,
                              const size_t *, cl_uint, const cl_event *, cl_event *);
    char name[128] = "";
    if (!original)
        find_original("libOpenCL.so.1", "clEnqueueNDRangeKernel", &original);
    launched++;
    clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name - 1, name, NULL);
    if (!names_kept && !is_launched(name) && name_count < MOST_NAMES)
        snprintf(names[name_count++], NAME, "%.63s", name);
    if (skipped && strcmp(name, skipped) == 0)
        return CL_SUCCESS;
    return original(queue, kernel, dimensions, first, global, local, count, list, event);
}

cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char **texts,
                                     const size_t *sizes, cl_int *code)
{
    static cl_program (*original)(cl_context, cl_uint, const char **, const size_t *, cl_int *);
    if (!original)
        find_original("libOpenCL.so.1", "clCreateProgramWithSource", &original);
    const char *at = wrong && count == 1 && !sizes ? strstr(texts[0], right) : NULL;
    if (!at)
        return original(context, count, texts, sizes, code);
    size_t before = (size_t)(at - texts[0]), size = strlen(texts[0]) + strlen(wrong) + 1;
    char *text = malloc(size);
    ck_assert_ptr_nonnull(text);
    snprintf(text, size, "%.*s%s%s", (int)before, texts[0], wrong, at + strlen(right));
    const char *edited = text;
    cl_program program = original(context, 1, &edited, NULL, code);
    free(text);
    replaced++;
    return program;
}

clfftStatus clfftEnqueueTransform(clfftPlanHandle plan, clfftDirection direction, cl_uint queues,
                                  cl_command_queue *list, cl_uint count, const cl_event *events,
                                  cl_event *out, cl_mem *in, cl_mem *results, cl_mem temporary)
{
    static clfftStatus (*original)(clfftPlanHandle, clfftDirection, cl_uint, cl_command_queue *,
                                   cl_uint, const cl_event *, cl_event *, cl_mem *, cl_mem *,
                                   cl_mem);
    if (!original)
        find_original("libclFFT.so.2", "clfftEnqueueTransform", &original);
    return fft_fails ? CLFFT_SUCCESS /* and has done nothing */
                     : original(plan, direction, queues, list, count, events, out, in, results,
                                temporary);
}

typedef enum blas_fault { RIGHT, IDLE, REFUSES, WRONG_IF_LARGE } blas_fault;
static blas_fault blas_fault_now;
static size_t products;

CLBlastStatusCode CLBlastSgemmWithTempBuffer(const CLBlastLayout layout, const CLBlastTranspose at,
                                             const CLBlastTranspose bt, const size_t m,
                                             const size_t n, const size_t k, const float alpha,
                                             const cl_mem a, const size_t a0, const size_t a_row,
                                             const cl_mem b, const size_t b0, const size_t b_row,
                                             const float beta, cl_mem c, const size_t c0,
                                             const size_t c_row, cl_command_queue *queue,
                                             cl_event *event, cl_mem room)
{
    static CLBlastStatusCode (*original)(CLBlastLayout, CLBlastTranspose, CLBlastTranspose, size_t,
                                         size_t, size_t, float, cl_mem, size_t, size_t, cl_mem,
                                         size_t, size_t, float, cl_mem, size_t, size_t,
                                         cl_command_queue *, cl_event *, cl_mem);
    const size_t large = 100;
    float factor = alpha;
    if (!original)
        find_original("libclblast.so.1", "CLBlastSgemmWithTempBuffer", &original);
    products++;
    if (blas_fault_now == IDLE)
        return CLBlastSuccess;
    if (blas_fault_now == REFUSES)
        return CLBlastInvalidLocalMemUsage;
    if (blas_fault_now == WRONG_IF_LARGE && m > large && n > large && k > large)
        factor = 1.001f;
    return original(layout, at, bt, m, n, k, factor, a, a0, a_row, b, b0, b_row, beta, c, c0, c_row,
                    queue, event, room);
}

static cl_uint fft_patch;

clfftStatus clfftGetVersion(cl_uint *major, cl_uint *minor, cl_uint *patch)
{
    *major = *minor = 1;
    *patch = fft_patch;
    return CLFFT_SUCCESS;
}

static irn_context *open_with_cache(int device, const char *cache)
{
    irn_context *context;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    options.device = devices_choice(device);
    options.cache_dir = cache;
    testing_ok(irn_context_create(&context, &options));
    return context;
}

/* ---- completeness ---- */

static bool is_word(char c)
{
    return c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* Kernels that the check leaves out: of a benchmark; of the head's second derivatives, which
 * nothing in the library uses yet; those that only devices with other layouts have; the one that
 * gives way to tiles; and those around CLBlast where it is not chosen. */
static bool left_out(const irn_context *context, const char *name)
{
    static const char *const unused[] = {"peak",        "relu_pool_jvp",
                                         "norm_second", "norm_second_parameters",
                                         "sum_samples", "cross_entropy_second"};
    static const char *const threads[] = {"winograd_", "pointwise_apply", "narrow_apply",
                                          "chain_apply", "chain_series"};
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        if (strcmp(name, unused[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof threads / sizeof *threads; i++)
        if (context->info.is_simt && strncmp(name, threads[i], strlen(threads[i])) == 0)
            return true;
    const irn_tile *tiles = context->tuning.tiles;
    if (tiles[IRN_TILE_DENSE].size[0] == 0 && strncmp(name, "dense_", strlen("dense_")) == 0)
        return true;
    return tiles[IRN_TILE_GRADIENT].size[0] > 0 && strcmp(name, "conv_weight_gradient") == 0;
}

/* Whether "KERNEL void NAME(" or "__kernel void NAME(" stands there, from "void " on. */
static bool is_kernel(const char *source, const char *at, char name[NAME])
{
    static const char *const marks[] = {"KERNEL ", "__kernel "};
    const char *begin = at + strlen("void ");
    size_t length = 0;
    while (is_word(begin[length]) && length + 1 < NAME)
        length++;
    snprintf(name, NAME, "%.*s", (int)length, begin);
    for (size_t i = 0; i < 2; i++) {
        size_t size = strlen(marks[i]);
        if ((size_t)(at - source) >= size && strncmp(at - size, marks[i], size) == 0)
            return begin[length] == '(';
    }
    return false;
}

/* Calls visit() for every kernel of the library that the check is to have. */
static size_t each_kernel(irn_context *context, void (*visit)(irn_context *, const char *))
{
    size_t count = 0;
    for (const irn_embedded *file = irn_embedded_files; file->name; file++) {
        const char *source = (const char *)file->bytes;
        if (!strstr(file->name, ".cl"))
            continue;
        for (const char *at = source; (at = strstr(at, "void ")) != NULL; at++) {
            char name[NAME];
            if (!is_kernel(source, at, name) || left_out(context, name))
                continue;
            count++;
            visit(context, name);
        }
    }
    return count;
}

static void print_result(const irn_check_result *result, void *payload)
{
    size_t *count = payload;
    printf("%-24s %d  %9.2e of %9.2e  %.2f s  %s %s\n", result->family, (int)result->outcome,
           result->error, result->limit, result->seconds, result->worst, result->sentence);
    ck_assert(result->outcome != IRN_CHECK_FAILED && result->outcome != IRN_CHECK_REPLACED);
    ck_assert(result->outcome == IRN_CHECK_ABSENT || result->error <= result->limit);
    ck_assert(result->worst && result->sentence && result->seconds >= 0);
    ++*count;
}

static void is_checked(irn_context *context, const char *name)
{
    (void)context;
    ck_assert_msg(is_launched(name), "the check does not launch %s", name);
}

START_TEST(all_kernels)
{
    irn_context *context = devices_open(_i);
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    size_t families = 0;
    options.thorough = true;
    options.result = print_result;
    options.result_payload = &families;
    name_count = 0;
    testing_ok(irn_device_check(context, &options));
    ck_assert_uint_ge(families, 14);
    if (context->info.has_fp64)
        ck_assert_uint_ge(each_kernel(context, is_checked), 55);
    devices_close(context);
}
END_TEST

/* ---- kernels that do nothing ---- */

/* What is tried instead where a kernel around clFFT fails. */
static bool is_replaced(const char *name)
{
    return strcmp(name, "embed") == 0 || strcmp(name, "gather") == 0;
}

/* Nothing is proven where it gives no answer. */
static bool is_asked_first(const char *name)
{
    return strcmp(name, "count_turns") == 0;
}

static void find_skipped(irn_context *context, const char *name)
{
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    bool quick = is_launched(name);
    if (is_asked_first(name) || (!quick && !context->info.has_fp64))
        return;
    options.thorough = !quick;
    skipped = name;
    context->fft_refused = false;
    irn_status status = irn_device_check(context, &options);
    skipped = NULL;
    printf("%s: %s\n", name, irn_last_error());
    if (is_replaced(name)) {
        ck_assert_msg(status == IRN_OK && context->fft_refused, "%s does nothing: %s", name,
                      irn_last_error());
        return;
    }
    ck_assert_msg(status == IRN_ERROR_DEVICE, "%s does nothing, and nobody notices", name);
    ck_assert_msg(strstr(irn_last_error(), name), "%s does nothing: %s", name, irn_last_error());
    ck_assert_ptr_nonnull(strstr(irn_last_error(), context->info.name));
    ck_assert_ptr_nonnull(strstr(irn_last_error(), context->info.driver));
    ck_assert_uint_eq(irn_context_memory(context), 0);
}

START_TEST(kernels_that_do_nothing)
{
    irn_context *context = devices_open(_i);
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    name_count = 0;
    testing_ok(irn_device_check(context, &options));
    names_kept = true;
    each_kernel(context, find_skipped);
    testing_ok(irn_device_check(context, &options)); /* nothing of all that is left */
    devices_close(context);
}
END_TEST

/* ---- kernels that are nearly right ---- */

typedef struct mistake {
    const char *right, *wrong, *words;
    unsigned parts;
    irn_tile_use
        use; /* it shows in this tile alone, if that is wide enough; IRN_TILE_USES: always */
} mistake;

static const mistake mistakes[] = {
    {"radius * cosine", "(radius + 0.001f) * cosine", "probes", IRN_CHECK_DENSITIES, IRN_TILE_USES},
    {"last->counter != group / 8", "last->counter == group / 8", "probes", IRN_CHECK_DENSITIES,
     IRN_TILE_USES},
    {"(realb)(beta2)*load_block(s)", "(realb)(beta1)*load_block(s)", "adam", IRN_CHECK_TRAINING,
     IRN_TILE_USES},
    {"dst[dst0 + n * row", "dst[dst0 + n * row + 0 * p", NULL, IRN_CHECK_NETWORKS, IRN_TILE_USES},
    /* in tiles that small convolutions choose seldom or never */
    {"acc[o * GP + i] = fma(xv, wv,", "acc[o * GP + i] = fma(xv, GB > 1 ? 1.001f * wv : wv,",
     "with apply=", IRN_CHECK_NETWORKS, IRN_TILE_APPLY},
    {"acc[at] = fma((realb)(CHANNEL(xv, c)), gv[o],",
     "acc[at] = fma((realb)(CHANNEL(xv, c)), GQ > 1 ? 1.001f * gv[o] : gv[o],", "weights' gradient",
     IRN_CHECK_NETWORKS, IRN_TILE_GRADIENT}};

static void find_mistake(int device, const mistake *m)
{
    irn_context *context = open_with_cache(device, "off");
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    if (m->use < IRN_TILE_USES && context->tuning.tiles[m->use].size[2] < 2) {
        irn_context_free(context);
        return;
    }
    options.parts = m->parts;
    right = m->right;
    wrong = m->wrong;
    replaced = 0;
    irn_status status = irn_device_check(context, &options);
    right = wrong = NULL;
    ck_assert_msg(replaced > 0, "'%s' stands in no kernel any more", m->right);
    if (m->words)
        testing_fails(status, IRN_ERROR_DEVICE, m->words);
    else
        testing_ok(status); /* a change that changes nothing */
    irn_context_free(context);
}

START_TEST(wrong_sources)
{
    for (size_t i = 0; i < sizeof mistakes / sizeof *mistakes; i++)
        find_mistake(_i, &mistakes[i]);
}
END_TEST

START_TEST(no_compilation)
{
    const mistake m = {"KERNEL void sign_probes(", "KERNEL void sign_probes(this is no C, ",
                       "random.cl could not be compiled", IRN_CHECK_DENSITIES, IRN_TILE_USES};
    find_mistake(_i, &m);
}
END_TEST

/* ---- clFFT ---- */

static void take_outcome(const irn_check_result *result, void *payload)
{
    if (strcmp(result->family, "singular values") == 0)
        *(irn_check_outcome *)payload = result->outcome;
}

START_TEST(wrong_fft)
{
    irn_context *context = devices_open(_i);
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    irn_check_outcome outcome = IRN_CHECK_PASSED;
    options.parts = IRN_CHECK_CERTIFICATES;
    options.result = take_outcome;
    options.result_payload = &outcome;
    fft_fails = true;
    testing_ok(irn_device_check(context, &options));
    fft_fails = false;
    bool wide = context->info.has_fp64;
    ck_assert_int_eq(outcome, wide ? IRN_CHECK_REPLACED : IRN_CHECK_ABSENT);
    ck_assert(context->fft_refused == wide);
    devices_close(context);
}
END_TEST

/* ---- CLBlast ---- */

typedef struct heard {
    irn_check_outcome outcome;
    int failures;
    char sentence[256];
} heard;

static void take_convolutions(const irn_check_result *result, void *payload)
{
    heard *h = payload;
    if (strcmp(result->family, "convolutions") == 0) {
        h->outcome = result->outcome;
        snprintf(h->sentence, sizeof h->sentence, "%s", result->sentence);
    }
    ck_assert(!(result->error > result->limit));
}

static void hear(const char *message, void *payload)
{
    ((heard *)payload)->failures += strstr(message, "CLBlast fails on ") != NULL;
}

/* On a device that passes for a GPU, with CLBlast chosen, in a family that its results are in. */
static void check_with_fault(int device, blas_fault fault, heard *h)
{
    irn_context *context = devices_open(device);
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    *h = (heard){.outcome = IRN_CHECK_ABSENT};
    context->log = hear;
    context->log_payload = h;
    options.parts = IRN_CHECK_NETWORKS;
    options.result = take_convolutions;
    options.result_payload = h;
    testing_ok(irn_tuning_read(&context->tuning, &context->info, "dense=4096 dense-gradient=4096",
                               "the test"));
    blas_fault_now = fault;
    products = 0;
    testing_ok(irn_device_check(context, &options));
    blas_fault_now = RIGHT;
    ck_assert_uint_gt(products, 0);
    ck_assert(context->blas_refused == (fault != RIGHT));
    ck_assert_int_eq(h->outcome, fault == RIGHT ? IRN_CHECK_PASSED : IRN_CHECK_REPLACED);
    ck_assert((strstr(h->sentence, "tiles take its place") != NULL) == (fault != RIGHT));
    devices_close(context);
}

START_TEST(wrong_blas)
{
    heard h;
    ck_assert_int_eq(setenv("IRN_TEST_BLOCK", "4", 1), 0);
    check_with_fault(_i, RIGHT, &h);
    check_with_fault(_i, IDLE, &h);
    check_with_fault(_i, WRONG_IF_LARGE, &h);
    ck_assert_int_eq(h.failures, 0);
    check_with_fault(_i, REFUSES, &h);
    ck_assert_int_eq(h.failures, 1);
    ck_assert_int_eq(unsetenv("IRN_TEST_BLOCK"), 0);
}
END_TEST

/* ---- memory of it ---- */

static size_t launches_of(irn_context *context, unsigned parts)
{
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    options.parts = parts;
    options.remember = true;
    launched = 0;
    testing_ok(irn_device_check(context, &options));
    return launched;
}

/* Replaces the content of every file of that kind in a folder; returns how many there are. */
static size_t overwrite_checks(const char *folder, const char *text)
{
    size_t count = 0;
    DIR *entries = opendir(folder);
    ck_assert_ptr_nonnull(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[1024];
        if (!strstr(entry->d_name, ".check"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "wb");
        ck_assert_ptr_nonnull(file);
        fputs(text, file);
        fclose(file);
        count++;
    }
    closedir(entries);
    return count;
}

START_TEST(remembered)
{
    const char *cache = testing_path("cache");
    irn_context *context = open_with_cache(_i, cache);
    ck_assert_uint_gt(launches_of(context, IRN_CHECK_DENSITIES), 0);
    ck_assert_uint_eq(launches_of(context, IRN_CHECK_DENSITIES), 0);
    irn_context_free(context);
    context = open_with_cache(_i, cache); /* another start */
    ck_assert_uint_eq(launches_of(context, IRN_CHECK_DENSITIES), 0);
    ck_assert_uint_gt(launches_of(context, IRN_CHECK_DENSITIES | IRN_CHECK_TRAINING), 0);
    ck_assert_uint_eq(launches_of(context, IRN_CHECK_DENSITIES | IRN_CHECK_TRAINING), 0);
    launches_of(context, IRN_CHECK_CERTIFICATES); /* not every device proves */
    ck_assert_uint_eq(overwrite_checks(cache, "irn check 1\nclFFT wrong\n"), 3);
    ck_assert_uint_eq(launches_of(context, IRN_CHECK_CERTIFICATES), 0);
    ck_assert(context->fft_refused);
    ck_assert_uint_eq(overwrite_checks(cache, "something else"), 3);
    ck_assert_uint_gt(launches_of(context, IRN_CHECK_DENSITIES), 0);
    irn_context_free(context);
}
END_TEST

/* Another clFFT, and another share of the device, which divides work in other ways. */
START_TEST(remembered_of_another)
{
    irn_context *context = open_with_cache(_i, testing_path("cache"));
    ck_assert_uint_gt(launches_of(context, IRN_CHECK_DENSITIES), 0);
    fft_patch++;
    ck_assert_uint_gt(launches_of(context, IRN_CHECK_DENSITIES), 0);
    context->info.compute_units++;
    ck_assert_uint_gt(launches_of(context, IRN_CHECK_DENSITIES), 0);
    ck_assert_uint_eq(launches_of(context, IRN_CHECK_DENSITIES), 0);
    irn_context_free(context);
}
END_TEST

/* What fails is not kept, and what was kept is dropped. */
START_TEST(forgotten)
{
    const char *cache = testing_path("cache");
    irn_context *context = open_with_cache(_i, cache);
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    options.parts = IRN_CHECK_TRAINING;
    ck_assert_uint_gt(launches_of(context, options.parts), 0);
    skipped = "adamax";
    testing_fails(irn_device_check(context, &options), IRN_ERROR_DEVICE, skipped);
    options.remember = true;
    testing_fails(irn_device_check(context, &options), IRN_ERROR_DEVICE, skipped);
    ck_assert_uint_eq(overwrite_checks(cache, ""), 0);
    ck_assert_int_eq(setenv("IRN_CHECK", "off", 1), 0);
    testing_ok(irn_device_check(context, &options));
    ck_assert_int_eq(unsetenv("IRN_CHECK"), 0);
    skipped = NULL;
    irn_context_free(context);
}
END_TEST

static bool stop_at_second(size_t done, size_t total, const char *what, void *payload)
{
    (void)payload;
    ck_assert(what && done <= total && total > 2);
    return done < 1;
}

START_TEST(arguments)
{
    irn_context *context = devices_open(_i);
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    testing_fails(irn_device_check(NULL, &options), IRN_ERROR_ARGUMENT, "NULL");
    options.version = 99;
    testing_fails(irn_device_check(context, &options), IRN_ERROR_ARGUMENT, "99");
    options.version = IRN_CHECK_OPTIONS_VERSION;
    options.progress = stop_at_second;
    testing_fails(irn_device_check(context, &options), IRN_ERROR_CANCELLED, "cancelled");
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("device_check");
    TCase *check = devices_case(suite, "check");
    devices_add(check, all_kernels);
    devices_add(check, kernels_that_do_nothing);
    devices_add(check, wrong_sources);
    devices_add(check, no_compilation);
    devices_add(check, wrong_fft);
    devices_add(check, wrong_blas);
    devices_add(check, remembered);
    devices_add(check, remembered_of_another);
    devices_add(check, forgotten);
    devices_add(check, arguments);
    return testing_run(suite);
}
