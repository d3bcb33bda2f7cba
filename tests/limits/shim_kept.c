/* Contexts and programs, which stay from run to run. Opening a device and loading its programs
 * takes PoCL ten times as long as the runs themselves, so it does both once. The library sees none
 * of it: it creates, builds and releases as ever, and each of these calls can fail. Programs are
 * known by their binaries; those of CLBlast, which forgets its binaries with every context of the
 * library, by their sources, which say all that they depend on. */
#include "shim_parts.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROGRAMS = 128 };

/* A kernel that only programs of CLBlast have. */
static const char clblast[] = "void XgemmDirectTN(";

typedef struct kept_program {
    cl_program program;
    unsigned char *text; /* its binary or its source */
    size_t size;
    char *options; /* that it has been built with; NULL: not yet */
} kept_program;

static struct {
    cl_context context;
    cl_device_id device;
    kept_program programs[MOST_PROGRAMS];
    size_t count;
} kept;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static cl_int retain_context(cl_context context)
{
    __typeof__(clRetainContext) *real;
    memcpy(&real, shim_next("clRetainContext"), sizeof real);
    return real(context);
}

static cl_int retain_program(cl_program program)
{
    __typeof__(clRetainProgram) *real;
    memcpy(&real, shim_next("clRetainProgram"), sizeof real);
    return real(program);
}

static kept_program *find_program(cl_program program, const void *text, size_t size)
{
    kept_program *found = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < kept.count; i++) {
        kept_program *p = &kept.programs[i];
        if (program ? p->program == program : p->size == size && memcmp(p->text, text, size) == 0)
            found = p;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void keep_program(cl_program program, const void *text, size_t size)
{
    unsigned char *copy = malloc(size);
    pthread_mutex_lock(&lock);
    bool room = copy && kept.count < MOST_PROGRAMS && retain_program(program) == CL_SUCCESS;
    if (room) {
        memcpy(copy, text, size);
        kept.programs[kept.count++] = (kept_program){program, copy, size, NULL};
    }
    pthread_mutex_unlock(&lock);
    if (!room)
        free(copy);
}

void shim_close(void)
{
    __typeof__(clReleaseProgram) *release_program;
    __typeof__(clReleaseContext) *release_context;
    memcpy(&release_program, shim_next("clReleaseProgram"), sizeof release_program);
    memcpy(&release_context, shim_next("clReleaseContext"), sizeof release_context);
    for (size_t i = 0; i < kept.count; i++) {
        release_program(kept.programs[i].program);
        free(kept.programs[i].text);
        free(kept.programs[i].options);
    }
    if (kept.context)
        release_context(kept.context);
    memset(&kept, 0, sizeof kept);
}

/* ---- contexts ---- */

CL_API_ENTRY cl_context CL_API_CALL
clCreateContext(const cl_context_properties *properties, cl_uint count, const cl_device_id *devices,
                void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                void *payload, cl_int *out)
{
    __typeof__(clCreateContext) *real;
    memcpy(&real, shim_next("clCreateContext"), sizeof real);
    cl_int code = shim_fault("clCreateContext");
    if (code)
        return shim_refuse(out, code);
    cl_context context = kept.context;
    if (!context || kept.device != devices[0])
        context = real(properties, count, devices, notify, payload, &code);
    if (!kept.context && code == CL_SUCCESS) {
        kept.context = context;
        kept.device = devices[0];
    }
    if (context == kept.context)
        code = retain_context(context);
    shim_made(SHIM_CONTEXT, code);
    if (out)
        *out = code;
    return context;
}

CL_API_ENTRY cl_int CL_API_CALL clRetainContext(cl_context context)
{
    __typeof__(clRetainContext) *real;
    memcpy(&real, shim_next("clRetainContext"), sizeof real);
    shim_made(SHIM_CONTEXT, CL_SUCCESS);
    return real(context);
}

CL_API_ENTRY cl_int CL_API_CALL clGetContextInfo(cl_context context, cl_context_info what,
                                                 size_t size, void *value, size_t *needed)
{
    __typeof__(clGetContextInfo) *real;
    memcpy(&real, shim_next("clGetContextInfo"), sizeof real);
    cl_int code = shim_fault("clGetContextInfo");
    return code ? code : real(context, what, size, value, needed);
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseContext(cl_context context)
{
    __typeof__(clReleaseContext) *real;
    memcpy(&real, shim_next("clReleaseContext"), sizeof real);
    shim_released(SHIM_CONTEXT);
    return real(context);
}

/* ---- programs ---- */

/* The program that is known by this text, or NULL; *code is of retaining it. */
static cl_program known_program(const void *text, size_t size, cl_int *code)
{
    kept_program *known = find_program(NULL, text, size);
    if (known)
        *code = retain_program(known->program);
    return known ? known->program : NULL;
}

CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint count,
                                                              const char **sources,
                                                              const size_t *lengths, cl_int *out)
{
    __typeof__(clCreateProgramWithSource) *real;
    memcpy(&real, shim_next("clCreateProgramWithSource"), sizeof real);
    cl_int code = shim_fault("clCreateProgramWithSource");
    if (code)
        return shim_refuse(out, code);
    size_t size = lengths && lengths[0] ? lengths[0] : strlen(sources[0]);
    bool keeps = count == 1 && memmem(sources[0], size, clblast, sizeof clblast - 1);
    cl_program program = keeps ? known_program(sources[0], size, &code) : NULL;
    if (!program) {
        program = real(context, count, sources, lengths, &code);
        if (keeps && code == CL_SUCCESS)
            keep_program(program, sources[0], size);
    }
    shim_made(SHIM_PROGRAM, code);
    if (out)
        *out = code;
    return program;
}

CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithBinary(cl_context context, cl_uint count,
                                                              const cl_device_id *devices,
                                                              const size_t *lengths,
                                                              const unsigned char **binaries,
                                                              cl_int *binary_codes, cl_int *out)
{
    __typeof__(clCreateProgramWithBinary) *real;
    memcpy(&real, shim_next("clCreateProgramWithBinary"), sizeof real);
    cl_int code = shim_fault("clCreateProgramWithBinary");
    if (code)
        return shim_refuse(out, code);
    cl_program program = known_program(binaries[0], lengths[0], &code);
    if (program)
        *binary_codes = CL_SUCCESS;
    else {
        program = real(context, count, devices, lengths, binaries, binary_codes, &code);
        if (code == CL_SUCCESS)
            keep_program(program, binaries[0], lengths[0]);
    }
    shim_made(SHIM_PROGRAM, code);
    if (out)
        *out = code;
    return program;
}

/* clFFT's programs say double in their sources, which do not come through here twice. */
CL_API_ENTRY cl_int CL_API_CALL clBuildProgram(cl_program program, cl_uint count,
                                               const cl_device_id *devices, const char *options,
                                               void(CL_CALLBACK *notify)(cl_program, void *),
                                               void *payload)
{
    __typeof__(clBuildProgram) *real;
    memcpy(&real, shim_next("clBuildProgram"), sizeof real);
    cl_int code = shim_fault("clBuildProgram");
    if (code)
        return code;
    if (shim_limit(CL_DEVICE_DOUBLE_FP_CONFIG) == 0 && options && strstr(options, "double"))
        return CL_BUILD_PROGRAM_FAILURE;
    kept_program *known = find_program(program, NULL, 0);
    if (known && known->options && strcmp(known->options, options) == 0)
        return CL_SUCCESS;
    code = real(program, count, devices, options, notify, payload);
    if (known && code == CL_SUCCESS && !known->options)
        known->options = strdup(options);
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clGetProgramInfo(cl_program program, cl_program_info what,
                                                 size_t size, void *value, size_t *needed)
{
    __typeof__(clGetProgramInfo) *real;
    memcpy(&real, shim_next("clGetProgramInfo"), sizeof real);
    cl_int code = shim_fault("clGetProgramInfo");
    return code ? code : real(program, what, size, value, needed);
}

CL_API_ENTRY cl_int CL_API_CALL clGetProgramBuildInfo(cl_program program, cl_device_id device,
                                                      cl_program_build_info what, size_t size,
                                                      void *value, size_t *needed)
{
    __typeof__(clGetProgramBuildInfo) *real;
    memcpy(&real, shim_next("clGetProgramBuildInfo"), sizeof real);
    cl_int code = shim_fault("clGetProgramBuildInfo");
    return code ? code : real(program, device, what, size, value, needed);
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseProgram(cl_program program)
{
    __typeof__(clReleaseProgram) *real;
    memcpy(&real, shim_next("clReleaseProgram"), sizeof real);
    shim_released(SHIM_PROGRAM);
    return real(program);
}
