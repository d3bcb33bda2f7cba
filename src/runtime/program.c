/* Kernels: built once per context, and kept on disk as binaries.
 *
 * A cache entry is named by the SHA-256 of everything the binary depends on (sources, options,
 * device, driver, platform, format) and holds a magic word and the binary. It is written to a
 * temporary file and renamed, so a reader sees a whole entry or none; whatever is wrong with an
 * entry, the source is built instead. The folder may be deleted at any time. */
#include "runtime/runtime.h"
#include "base/embedded.h"
#include "io/file.h"
#include "io/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MAX_KERNELS = 32, MAX_BINARY = 256 << 20 };

typedef struct named_kernel {
    const char *name; /* a literal of the caller */
    cl_kernel kernel;
} named_kernel;

struct irn_program {
    irn_program *next;
    char *sources, *options;
    cl_program program;
    named_kernel kernels[MAX_KERNELS];
    size_t kernel_count;
};

static const char cache_magic[8] = {'i', 'r', 'n', 'c', 'l', '0', '2', '\n'};

/* The files of `sources` one after another, each with #line so that a compiler's messages point
 * into it. The caller frees. */
static irn_status joined_source(char **out, const char *sources)
{
    size_t capacity = 1, used = 0;
    char names[256];
    *out = NULL;
    snprintf(names, sizeof names, "%s", sources);
    for (int pass = 0; pass < 2; pass++) {
        char rest[sizeof names], *save = NULL;
        memcpy(rest, names, sizeof names);
        for (char *name = strtok_r(rest, " ", &save); name; name = strtok_r(NULL, " ", &save)) {
            const irn_embedded *file = irn_embedded_find(name);
            if (!file) {
                free(*out);
                *out = NULL;
                return irn_fail(IRN_ERROR_DEVICE, "kernel source %s is not in the library", name);
            }
            if (pass == 0)
                capacity += file->size + strlen(name) + 32;
            else
                used += (size_t)snprintf(*out + used, capacity - used, "#line 1 \"%s\"\n%s\n", name,
                                         (const char *)file->bytes);
        }
        if (pass == 0)
            IRN_TRY(irn_alloc(out, capacity, 1));
    }
    return IRN_OK;
}

/* Path of the cache entry, or "" without a cache (or without the memory to name it). */
static void cache_path(char *path, size_t size, const irn_context *context, const char *source,
                       const char *options)
{
    path[0] = 0;
    if (!context->cache_dir)
        return;
    const irn_device_info *info = &context->info;
    size_t length = strlen(source) + strlen(options) + sizeof *info + 16;
    char *key = malloc(length), hex[IRN_SHA256_HEX];
    if (!key)
        return;
    int used = snprintf(key, length, "%.8s%s\n%s\n%s\n%s\n%s", cache_magic, info->platform,
                        info->name, info->driver, options, source);
    irn_sha256_bytes(hex, key, (size_t)used);
    free(key);
    if ((size_t)snprintf(path, size, "%s/%s.bin", context->cache_dir, hex) >= size)
        path[0] = 0;
}

enum { CACHE_HEADER = sizeof cache_magic + IRN_SHA256_HEX };

/* Whether bytes are an entry as store_cached() writes it. */
static bool is_entry(const uint8_t *bytes, size_t size)
{
    char hex[IRN_SHA256_HEX];
    if (size <= CACHE_HEADER || memcmp(bytes, cache_magic, sizeof cache_magic) != 0)
        return false;
    irn_sha256_bytes(hex, bytes + CACHE_HEADER, size - CACHE_HEADER);
    return memcmp(bytes + sizeof cache_magic, hex, sizeof hex) == 0;
}

static cl_program from_binary(irn_context *context, const unsigned char *binary, size_t length,
                              const char *options)
{
    cl_int code, binary_code;
    cl_program program = clCreateProgramWithBinary(context->cl, 1, &context->device, &length,
                                                   &binary, &binary_code, &code);
    if (program &&
        (code != CL_SUCCESS || binary_code != CL_SUCCESS ||
         clBuildProgram(program, 1, &context->device, options, NULL, NULL) != CL_SUCCESS)) {
        clReleaseProgram(program);
        program = NULL;
    }
    return program;
}

static cl_program load_cached(irn_context *context, const char *path, const char *options)
{
    uint8_t *bytes;
    size_t size;
    struct stat info;
    if (!*path || stat(path, &info) != 0 ||
        irn_file_read(&bytes, &size, path, MAX_BINARY, false) != IRN_OK)
        return NULL;
    cl_program program = NULL;
    if (is_entry(bytes, size))
        program = from_binary(context, bytes + CACHE_HEADER, size - CACHE_HEADER, options);
    free(bytes);
    if (!program)
        irn_log(context, "%s: not usable, building from source", path);
    return program;
}

void irn_cache_make_folders(const char *folder)
{
    char path[4096];
    if ((size_t)snprintf(path, sizeof path, "%s", folder) >= sizeof path)
        return;
    for (char *slash = path + 1; *slash; slash++)
        if (*slash == '/') {
            *slash = 0;
            mkdir(path, 0700);
            *slash = '/';
        }
    mkdir(path, 0700);
}

/* Failures are only logged: the cache is a convenience. */
static void store_cached(irn_context *context, const char *path, cl_program program)
{
    size_t size = 0;
    unsigned char *binary = NULL;
    irn_writer *writer = NULL;
    if (!*path ||
        clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL) !=
            CL_SUCCESS ||
        size == 0 || size > MAX_BINARY || !(binary = malloc(size)))
        return;
    irn_cache_make_folders(context->cache_dir);
    char hex[IRN_SHA256_HEX];
    bool stored =
        clGetProgramInfo(program, CL_PROGRAM_BINARIES, sizeof binary, &binary, NULL) == CL_SUCCESS;
    irn_sha256_bytes(hex, binary, size);
    stored = stored && irn_writer_open(&writer, path) == IRN_OK &&
             irn_writer_write(writer, cache_magic, sizeof cache_magic) == IRN_OK &&
             irn_writer_write(writer, hex, sizeof hex) == IRN_OK &&
             irn_writer_write(writer, binary, size) == IRN_OK;
    if (stored)
        stored = irn_writer_commit(writer) == IRN_OK;
    else
        irn_writer_discard(writer);
    if (!stored)
        irn_log(context, "the compiled kernels could not be kept: %s", irn_last_error());
    free(binary);
}

static irn_status build_failure(irn_context *context, cl_program program, const char *sources,
                                cl_int code)
{
    char build_log[700] = "";
    size_t size = 0;
    clGetProgramBuildInfo(program, context->device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
    char *whole = size ? calloc(size + 1, 1) : NULL;
    if (whole && clGetProgramBuildInfo(program, context->device, CL_PROGRAM_BUILD_LOG, size, whole,
                                       NULL) == CL_SUCCESS)
        snprintf(build_log, sizeof build_log, "%s", whole);
    free(whole);
    return irn_fail(IRN_ERROR_DEVICE, "%s could not be compiled for %s: %s: %s", sources,
                    context->info.name, irn_cl_error_name(code), build_log);
}

static irn_status build_source(irn_context *context, const char *source, const char *sources,
                               const char *options, cl_program *out)
{
    cl_int code;
    cl_program program = clCreateProgramWithSource(context->cl, 1, &source, NULL, &code);
    IRN_TRY(irn_cl_check(code, "creating a program"));
    irn_log(context, "compiling %s for %s", sources, context->info.name);
    code = clBuildProgram(program, 1, &context->device, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        irn_status status = build_failure(context, program, sources, code);
        clReleaseProgram(program);
        return status;
    }
    *out = program;
    return IRN_OK;
}

static bool has_fma(const irn_context *context)
{
    cl_device_fp_config single = 0;
    return clGetDeviceInfo(context->device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof single, &single,
                           NULL) == CL_SUCCESS &&
           (single & CL_FP_FMA);
}

static irn_status build(irn_context *context, const char *sources, const char *extra,
                        cl_program *out)
{
    char options[512], path[4096], *source;
    const char *environment = getenv("IRN_BUILD_OPTIONS"); /* for debuggers such as Oclgrind */
    int length =
        snprintf(options, sizeof options, "-cl-std=CL1.2 -DB=%u -DWG=%u%s %s %s",
                 context->tuning.channel_block, context->tuning.work_group,
                 has_fma(context) ? "" : " -DNO_FMA", extra, environment ? environment : "");
    if (length < 0 || (size_t)length >= sizeof options)
        return irn_fail(IRN_ERROR_DEVICE, "build options are too long: %s", extra);
    IRN_TRY(joined_source(&source, sources));
    cache_path(path, sizeof path, context, source, options);
    irn_status status = IRN_OK;
    char sentence[1024]; /* of the last failure, which trouble with the cache is not */
    snprintf(sentence, sizeof sentence, "%s", irn_last_error());
    *out = load_cached(context, path, options);
    if (!*out) {
        status = build_source(context, source, sources, options, out);
        if (status == IRN_OK)
            store_cached(context, path, *out);
    }
    if (status == IRN_OK)
        irn_set_error("%s", sentence);
    free(source);
    return status;
}

static void program_free(irn_program *program)
{
    for (size_t i = 0; i < program->kernel_count; i++)
        clReleaseKernel(program->kernels[i].kernel);
    if (program->program)
        clReleaseProgram(program->program);
    free(program->sources);
    free(program->options);
    free(program);
}

static irn_status program_create(irn_context *context, const char *sources, const char *options,
                                 irn_program **out)
{
    irn_program *program;
    IRN_TRY(irn_alloc(&program, 1, sizeof *program));
    program->sources = strdup(sources);
    program->options = strdup(options);
    irn_status status =
        program->sources && program->options
            ? build(context, sources, options, &program->program)
            : irn_fail(IRN_ERROR_MEMORY, "no memory to remember the program %s", sources);
    if (status != IRN_OK) {
        program_free(program);
        return status;
    }
    program->next = context->programs;
    context->programs = *out = program;
    return IRN_OK;
}

static irn_status kernel_failure(const irn_context *context, const char *name, cl_int code)
{
    char sentence[256];
    snprintf(sentence, sizeof sentence, "creating the kernel %s for %s", name, context->info.name);
    return irn_cl_check(code, sentence);
}

irn_status irn_kernel(irn_context *context, const char *sources, const char *options,
                      const char *name, cl_kernel *out)
{
    irn_program *program = context->programs;
    while (program &&
           (strcmp(program->sources, sources) != 0 || strcmp(program->options, options) != 0))
        program = program->next;
    if (!program)
        IRN_TRY(program_create(context, sources, options, &program));
    for (size_t i = 0; i < program->kernel_count; i++)
        if (strcmp(program->kernels[i].name, name) == 0) {
            *out = program->kernels[i].kernel;
            return IRN_OK;
        }
    if (program->kernel_count == MAX_KERNELS)
        return irn_fail(IRN_ERROR_DEVICE, "%s has more than %d kernels", sources, MAX_KERNELS);
    cl_int code;
    cl_kernel kernel = clCreateKernel(program->program, name, &code);
    if (code != CL_SUCCESS)
        return kernel_failure(context, name, code);
    program->kernels[program->kernel_count++] = (named_kernel){name, kernel};
    *out = kernel;
    return IRN_OK;
}

void irn_programs_free(irn_context *context)
{
    while (context->programs) {
        irn_program *next = context->programs->next;
        program_free(context->programs);
        context->programs = next;
    }
}
