/* The runtime: choice of devices, adopted contexts, the cache of compiled kernels, memory, and
 * random numbers. */
#include "guarded.h"

#include "base/philox.h"

#include <iresnet/model.h>

#include <dirent.h>
#include <dlfcn.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- devices ---- */

START_TEST(choices)
{
    irn_device_info *list;
    size_t count;
    irn_context *context;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    testing_ok(irn_device_list(&list, &count));
    ck_assert_uint_ge(count, 1);
    options.device = "no such device";
    testing_fails(irn_context_create(&context, &options), IRN_ERROR_DEVICE,
                  "no devices match 'no such device'; choose from 0: ");
    for (size_t i = 0; i < count; i++)
        ck_assert_ptr_nonnull(strstr(irn_last_error(), list[i].name));
    ck_assert_ptr_null(context);
    options.device = "4711";
    testing_fails(irn_context_create(&context, &options), IRN_ERROR_DEVICE,
                  "no devices match '4711'; choose from 0: ");
    options.device = "";
    testing_ok(irn_context_create(&context, &options)); /* as if nothing was chosen */
    irn_context_free(context);
    options.version = 77;
    testing_fails(irn_context_create(&context, &options), IRN_ERROR_ARGUMENT, "77");
    irn_device_list_free(list);
}
END_TEST

static irn_found_device pretend(cl_device_type type, const char *name, const char *platform)
{
    irn_found_device found = {.type = type};
    snprintf(found.info.name, sizeof found.info.name, "%s", name);
    snprintf(found.info.platform, sizeof found.info.platform, "%s", platform);
    return found;
}

static size_t picked(const irn_found_device *found, size_t count, const char *choice)
{
    size_t index;
    testing_ok(irn_device_pick(&index, found, count, choice));
    return index;
}

START_TEST(picking)
{
    const irn_found_device found[] = {pretend(CL_DEVICE_TYPE_ACCELERATOR, "Card 3", "Maker"),
                                      pretend(CL_DEVICE_TYPE_CPU, "Processor 9", "PoCL"),
                                      pretend(CL_DEVICE_TYPE_GPU, "GeForce RTX 3090", "CUDA"),
                                      pretend(CL_DEVICE_TYPE_GPU, "GeForce RTX 2080", "CUDA")};
    size_t index;
    ck_assert_uint_eq(picked(found, 4, NULL), 2);
    ck_assert_uint_eq(picked(found, 2, ""), 1);
    ck_assert_uint_eq(picked(found, 1, NULL), 0);
    ck_assert_uint_eq(picked(found, 4, "3"), 3); /* an index, though a part of names too */
    ck_assert_uint_eq(picked(found, 4, "3090"), 2);
    ck_assert_uint_eq(picked(found, 4, "pocl"), 1);
    testing_fails(irn_device_pick(&index, found, 4, "cuda"), IRN_ERROR_DEVICE, "several devices");
    testing_fails(irn_device_pick(&index, found, 4, "9"), IRN_ERROR_DEVICE, "several devices");
    testing_fails(irn_device_pick(&index, found, 4, "99999999999999999999999"), IRN_ERROR_DEVICE,
                  "no devices match");
    testing_fails(irn_device_pick(&index, found, 0, NULL), IRN_ERROR_DEVICE, "no OpenCL device");
}
END_TEST

/* In this program the two stand before OpenCL's own: every platform may have a first device more,
 * which answers no question. */
static bool mute_device_present;
static char mute_device;

static void find_original(const char *name, void *out)
{
    void *library = dlopen("libOpenCL.so.1", RTLD_NOW);
    void *function = library ? dlsym(library, name) : NULL;
    if (!function)
        abort(); /* devices are asked before any test runs, too */
    memcpy(out, &function, sizeof function);
    dlclose(library);
}

cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint size,
                      cl_device_id *devices, cl_uint *count)
{
    cl_int (*original)(cl_platform_id, cl_device_type, cl_uint, cl_device_id *, cl_uint *);
    find_original("clGetDeviceIDs", &original);
    cl_int code = original(platform, type, size, devices, count);
    if (code == CL_SUCCESS && mute_device_present && *count < size) {
        memmove(devices + 1, devices, *count * sizeof *devices);
        devices[0] = (cl_device_id)(void *)&mute_device;
        ++*count;
    }
    return code;
}

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *value,
                       size_t *actual)
{
    cl_int (*original)(cl_device_id, cl_device_info, size_t, void *, size_t *);
    find_original("clGetDeviceInfo", &original);
    return device == (cl_device_id)(void *)&mute_device
               ? CL_INVALID_DEVICE
               : original(device, what, size, value, actual);
}

START_TEST(mute_devices_are_left_out)
{
    irn_device_info *before, *after;
    size_t count, same;
    irn_context *context;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    testing_ok(irn_device_list(&before, &count));
    irn_set_error("an older failure");
    mute_device_present = true;
    testing_ok(irn_device_list(&after, &same));
    ck_assert_uint_eq(same, count);
    ck_assert_str_eq(after[0].name, before[0].name);
    ck_assert_str_eq(irn_last_error(), "an older failure");
    options.device = "0";
    testing_ok(irn_context_create(&context, &options));
    ck_assert_str_eq(irn_context_device(context)->name, before[0].name);
    irn_context_free(context);
    mute_device_present = false;
    irn_device_list_free(before);
    irn_device_list_free(after);
}
END_TEST

START_TEST(choice_by_index_name_and_environment)
{
    irn_context *context = devices_open(_i);
    irn_device_info info = *irn_context_device(context);
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    devices_close(context);
    setenv("IRN_DEVICE", devices_choice(_i), 1);
    testing_ok(irn_context_create(&context, NULL));
    ck_assert_str_eq(irn_context_device(context)->name, info.name);
    devices_close(context);
    setenv("IRN_DEVICE", "nothing of the kind", 1);
    testing_fails(irn_context_create(&context, NULL), IRN_ERROR_DEVICE, "nothing of the kind");
    options.device = devices_choice(_i); /* goes before the environment */
    testing_ok(irn_context_create(&context, &options));
    ck_assert_str_eq(irn_context_device(context)->name, info.name);
    devices_close(context);
    unsetenv("IRN_DEVICE");
    for (char *c = info.name; *c; c++)
        *c = (char)(*c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
    options.device = info.name;
    irn_status status = irn_context_create(&context, &options);
    if (status == IRN_OK) /* else several devices have this name */
        devices_close(context);
    else
        ck_assert_ptr_nonnull(strstr(irn_last_error(), "several devices match"));
}
END_TEST

/* ---- adopting ---- */

static float *encode_something(irn_context *context, size_t *count)
{
    irn_model_config config;
    irn_model *model;
    testing_ok(irn_model_config_init(&config, "digits"));
    testing_ok(irn_model_create(&model, context, &config));
    *count = 2 * irn_model_latent_size(model);
    float *z = host_floats(*count);
    host_restart();
    float *x = host_narrow(host_normal(2 * 64), 2 * 64);
    testing_ok(irn_model_encode(model, x, 2, z));
    irn_model_free(model);
    return z;
}

START_TEST(adopted_contexts)
{
    irn_context *own = devices_open(_i), *adopted;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)own->platform,
                                          0};
    cl_int code;
    size_t count;
    cl_context cl = clCreateContext(properties, 1, &own->device, NULL, NULL, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    cl_command_queue queue = clCreateCommandQueue(cl, own->device, 0, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    options.seed = host_seed();
    testing_ok(irn_context_adopt(&adopted, cl, own->device, queue, &options));
    adopted->info = own->info; /* which may be pretended */
    adopted->tuning = own->tuning;
    clReleaseCommandQueue(queue);
    clReleaseContext(cl); /* the library has its own references */
    float *z = encode_something(own, &count), *other = encode_something(adopted, &count);
    ck_assert_mem_eq(z, other, count * sizeof *z);
    devices_close(adopted);
    devices_close(own);
}
END_TEST

START_TEST(queues_out_of_order_are_refused)
{
    irn_context *own = devices_open(_i), *adopted;
    cl_int code;
    cl_command_queue queue =
        clCreateCommandQueue(own->cl, own->device, CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE, &code);
    if (code == CL_SUCCESS) {
        testing_fails(irn_context_adopt(&adopted, own->cl, own->device, queue, NULL),
                      IRN_ERROR_ARGUMENT, "out of order");
        ck_assert_ptr_null(adopted);
        clReleaseCommandQueue(queue);
    }
    devices_close(own);
}
END_TEST

START_TEST(foreign_queues_are_refused)
{
    irn_context *own = devices_open(_i), *adopted;
    cl_int code;
    cl_context other = clCreateContext(NULL, 1, &own->device, NULL, NULL, &code);
    ck_assert_int_eq(code, CL_SUCCESS);
    testing_fails(irn_context_adopt(&adopted, other, own->device, own->queue, NULL),
                  IRN_ERROR_ARGUMENT, "another context");
    ck_assert_ptr_null(adopted);
    clReleaseContext(other);
    devices_close(own);
}
END_TEST

/* ---- the cache ---- */

typedef struct log_count {
    int compiled, rejected;
} log_count;

static void count_message(const char *message, void *payload)
{
    log_count *log = payload;
    log->compiled += strncmp(message, "compiling ", 10) == 0;
    log->rejected += strstr(message, "not usable") != NULL;
}

/* One small program in a fresh context; checks that it works. */
static log_count use_cache(int device, const char *folder)
{
    log_count log = {0, 0};
    irn_context *context;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    const double values[] = {1, 2, 3}, sum[] = {2, 4, 6};
    options.device = devices_choice(device);
    options.cache_dir = folder;
    options.log = count_message;
    options.log_payload = &log;
    testing_ok(irn_context_create(&context, &options));
    guarded_begin(context);
    irn_tensor x = guarded_tensor(IRN_SINGLE, 1, 3, 1, 1, values);
    testing_ok(irn_add_scaled(1, &x, &x));
    host_check(sum, guarded_read_clean(&x), 3, 0, "x + x");
    guarded_end();
    devices_close(context);
    return log;
}

/* Overwrites every entry of the cache. */
static int spoil(const char *folder, const void *bytes, size_t size)
{
    int count = 0;
    DIR *entries = opendir(folder);
    ck_assert_ptr_nonnull(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[2048];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!strstr(entry->d_name, ".bin"))
            continue;
        FILE *file = fopen(path, "wb");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
        fclose(file);
        count++;
    }
    closedir(entries);
    return count;
}

START_TEST(compiled_kernels_are_kept)
{
    const char *folder = testing_path("made/on/demand");
    log_count first = use_cache(_i, folder), second = use_cache(_i, folder);
    ck_assert_int_ge(first.compiled, 1);
    ck_assert_int_eq(first.rejected, 0);
    ck_assert_int_eq(second.compiled, 0);
    const char noise[] = "this is no kernel", magic[] = "irncl01\nand this is no binary";
    ck_assert_int_eq(spoil(folder, noise, sizeof noise), first.compiled);
    log_count third = use_cache(_i, folder);
    ck_assert_int_eq(third.compiled, first.compiled);
    ck_assert_int_eq(third.rejected, first.compiled);
    spoil(folder, magic, sizeof magic);
    ck_assert_int_eq(use_cache(_i, folder).compiled, first.compiled);
    spoil(folder, "", 0);
    ck_assert_int_eq(use_cache(_i, folder).compiled, first.compiled);
    ck_assert_int_eq(use_cache(_i, folder).compiled, 0); /* it was mended */
}
END_TEST

START_TEST(no_cache)
{
    /* Drivers have caches of their own there. */
    const char *ours = testing_path("xdg/iresnet");
    setenv("XDG_CACHE_HOME", testing_path("xdg"), 1);
    unsetenv("IRN_CACHE_DIR");
    log_count first = use_cache(_i, "off");
    ck_assert_int_eq(use_cache(_i, "off").compiled, first.compiled);
    ck_assert_int_ne(access(ours, F_OK), 0);
    /* A folder that cannot be made is no failure either. */
    const char *blocked = testing_write("file", "", 0);
    irn_set_error("an older failure");
    ck_assert_int_eq(use_cache(_i, blocked).compiled, first.compiled);
    ck_assert_str_eq(irn_last_error(), "an older failure");
    use_cache(_i, NULL);
    ck_assert_int_eq(access(ours, F_OK), 0);
    ck_assert_int_eq(use_cache(_i, NULL).compiled, 0);
}
END_TEST

/* ---- memory ---- */

START_TEST(memory_is_counted)
{
    irn_context *context = devices_open(_i);
    cl_mem a, b;
    testing_ok(irn_memory_create(context, &a, 1000, 4, true));
    testing_ok(irn_memory_create(context, &b, 10, 8, false));
    ck_assert_uint_eq(irn_context_memory(context), 4080);
    irn_memory_release(context, a);
    ck_assert_uint_eq(irn_context_memory(context), 80);
    ck_assert_uint_eq(irn_context_peak_memory(context), 4080);
    irn_memory_release(context, b);
    irn_memory_release(context, NULL);
    devices_close(context);
}
END_TEST

START_TEST(too_much_memory)
{
    irn_context *context = devices_open(_i);
    const irn_device_info *info = irn_context_device(context);
    cl_mem memory = (cl_mem)context;
    testing_fails(irn_memory_create(context, &memory, info->max_allocation / 4 + 1, 4, true),
                  IRN_ERROR_MEMORY, "cannot hold");
    ck_assert_ptr_null(memory);
    testing_fails(irn_memory_create(context, &memory, SIZE_MAX / 2, 8, false), IRN_ERROR_MEMORY,
                  "cannot hold");
    irn_tensor tensor;
    testing_fails(irn_tensor_create(&tensor, context, IRN_SINGLE, SIZE_MAX / 4, 16, 4, 4),
                  IRN_ERROR_MEMORY, "does not fit");
    ck_assert_ptr_null(tensor.memory);
    ck_assert_uint_eq(irn_context_memory(context), 0);
    devices_close(context);
}
END_TEST

/* ---- random numbers ---- */

START_TEST(philox)
{
    const uint32_t known[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    uint32_t bits[4], other[4];
    irn_philox(bits, 0, (irn_stream)0, 0, 0);
    ck_assert_mem_eq(bits, known, sizeof known);
    irn_philox(other, 0, (irn_stream)1, 0, 0);
    ck_assert_mem_ne(bits, other, sizeof known);
    irn_philox(other, 0, (irn_stream)0, 1, 0);
    ck_assert_mem_ne(bits, other, sizeof known);
    irn_philox(other, UINT64_C(1) << 32, (irn_stream)0, 0, 0);
    ck_assert_mem_ne(bits, other, sizeof known);
    ck_assert(irn_uniform_from_bits(0) == 0);
    ck_assert(irn_uniform_from_bits(UINT32_MAX) < 1);
    const uint32_t low[4] = {0, 0, 3, 1U << 31};
    ck_assert(irn_uniform_double(known) > 0x1.989f9fp-2 && irn_uniform_double(known) < 0x1.98a0p-2);
    host_check_number(3.5 * 0x1p-96, irn_uniform_double(low), 0x1p-128, "a small number");
}
END_TEST

START_TEST(normal_numbers)
{
    enum { COUNT = 40001 };
    float *values = host_floats(COUNT), *fewer = host_floats(COUNT);
    double moments[5] = {0};
    irn_normal_fill(values, COUNT, 5, IRN_STREAM_PROBE, 3);
    irn_normal_fill(fewer, 101, 5, IRN_STREAM_PROBE, 3);
    ck_assert_mem_eq(values, fewer, 101 * sizeof(float)); /* no matter how many are asked for */
    for (size_t i = 0; i < COUNT; i++)
        for (int k = 1; k < 5; k++)
            moments[k] += pow((double)values[i], k) / COUNT;
    host_check_number(0, moments[1], 0.03, "mean");
    host_check_number(1, moments[2], 0.04, "variance");
    host_check_number(0, moments[3], 0.1, "third moment");
    host_check_number(3, moments[4], 0.3, "fourth moment");
}
END_TEST

START_TEST(rademacher_numbers)
{
    enum { COUNT = 100003 };
    float *values = host_floats(COUNT), *fewer = host_floats(COUNT);
    const size_t apart[] = {1, 32, 64, 127, 128};
    uint32_t bits[4];
    irn_rademacher_fill(values, COUNT, 5, IRN_STREAM_PROBE, 3);
    irn_rademacher_fill(fewer, 301, 5, IRN_STREAM_PROBE, 3);
    ck_assert_mem_eq(values, fewer, 301 * sizeof(float));
    irn_philox(bits, 5, IRN_STREAM_PROBE, 3, 1);
    for (size_t i = 0; i < 128; i++) /* every bit is used, once */
        ck_assert((values[128 + i] > 0) == (bits[i / 32] >> i % 32 & 1));
    double sum = 0;
    for (size_t i = 0; i < COUNT; i++) {
        ck_assert(fabsf(values[i]) == 1);
        sum += (double)values[i];
    }
    host_check_number(0, sum / COUNT, 4 / sqrt(COUNT), "mean");
    for (size_t k = 0; k < sizeof apart / sizeof *apart; k++) {
        sum = 0;
        for (size_t i = 0; i + apart[k] < COUNT; i++)
            sum += (double)(values[i] * values[i + apart[k]]);
        host_check_number(0, sum / COUNT, 4 / sqrt(COUNT), "correlation %zu apart", apart[k]);
    }
}
END_TEST

/* ---- arguments of kernels ---- */

/* They are ints, most of them: a number that is none is refused, and nothing is launched. */
START_TEST(numbers_that_are_no_ints)
{
    irn_context *context = devices_open(_i);
    cl_mem memory;
    uint32_t result;
    testing_ok(irn_memory_create(context, &memory, 1, sizeof result, true));
    const size_t beyond[] = {(size_t)INT_MAX + 1, (size_t)UINT32_MAX + 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof beyond / sizeof *beyond; i++) {
        irn_call call = irn_call_begin(context, "turns.cl", "", "count_turns");
        irn_call_memory(&call, memory, 0);
        irn_call_int(&call, beyond[i]);
        testing_fails(irn_call_run(&call, 1, 1, 1, 1), IRN_ERROR_UNSUPPORTED,
                      "kernel count_turns: ");
        ck_assert_ptr_nonnull(strstr(irn_last_error(), "is beyond the limit 2147483647"));
    }
    testing_ok(irn_memory_read(context, memory, 0, &result, sizeof result));
    ck_assert_uint_eq(result, 0);
    irn_call call = irn_call_begin(context, "turns.cl", "", "count_turns");
    irn_call_memory(&call, memory, 0);
    irn_call_int(&call, INT_MAX);
    testing_ok(call.status); /* counting so far would take too long */
    irn_memory_release(context, memory);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("runtime");
    TCase *test = devices_case(suite, "runtime");
    tcase_add_test(test, choices);
    tcase_add_test(test, picking);
    tcase_add_test(test, mute_devices_are_left_out);
    tcase_add_test(test, philox);
    tcase_add_test(test, normal_numbers);
    tcase_add_test(test, rademacher_numbers);
    devices_add(test, choice_by_index_name_and_environment);
    devices_add(test, adopted_contexts);
    devices_add(test, queues_out_of_order_are_refused);
    devices_add(test, foreign_queues_are_refused);
    devices_add(test, compiled_kernels_are_kept);
    devices_add(test, no_cache);
    devices_add(test, memory_is_counted);
    devices_add(test, too_much_memory);
    devices_add(test, numbers_that_are_no_ints);
    return testing_run(suite);
}
