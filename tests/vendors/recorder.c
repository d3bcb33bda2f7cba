#define CL_TARGET_OPENCL_VERSION 120
#include "recorder.h"

#include <CL/cl.h>
#include <cJSON.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kernel that was asked for; what clCreateKernel gives is a pointer to one. */
typedef struct launch {
    struct launch *next;
    struct program *program;
    char name[64];
    bool launched;
    size_t work_group[3]; /* of the launch with the largest group; 0: the driver's choice */
    size_t local_memory;  /* bytes of __local arguments, the most seen */
    size_t arguments[64]; /* of these, by argument */
} launch;

typedef struct program {
    struct program *next;
    const gpu *gpu;
    bool is_choice;
    cl_program handle; /* the last that had this source and these options */
    char *source, *options;
    launch *launches;
} program;

static const gpu *present;
static program *programs;
static bool are_choices;

static void *allocate(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory)
        abort();
    return memory;
}

void recorder_pretend(const gpu *gpu)
{
    present = gpu;
}

void recorder_choices(bool are)
{
    are_choices = are;
}

/* ---- the device's answers ---- */

/* CL_DEVICE_SUB_GROUP_SIZES_INTEL, the one such question whose answer is a list. */
enum { INTEL_SUB_GROUP_SIZES = 0x4108 };

cl_int __real_clGetDeviceInfo(cl_device_id, cl_device_info, size_t, void *, size_t *);
cl_int __wrap_clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *value,
                              size_t *size_out);

static cl_int answer(const void *from, size_t length, size_t size, void *value, size_t *size_out)
{
    if (size_out)
        *size_out = length;
    if (value && size < length)
        return CL_INVALID_VALUE;
    if (value)
        memcpy(value, from, length);
    return CL_SUCCESS;
}
#define ANSWER(type, expression)                                                                   \
    answer(&(const type){expression}, sizeof(type), size, value, size_out)

cl_int __wrap_clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *value,
                              size_t *size_out)
{
    const cl_device_fp_config fp =
        CL_FP_INF_NAN | CL_FP_ROUND_TO_NEAREST | CL_FP_FMA | CL_FP_DENORM;
    const size_t widths[] = {present->simd, 2 * present->simd};
    if (what == present->query)
        return what == INTEL_SUB_GROUP_SIZES ? answer(widths, sizeof widths, size, value, size_out)
                                             : ANSWER(cl_uint, present->simd);
    switch (what) {
    case CL_DEVICE_EXTENSIONS:
        return answer(present->extension, strlen(present->extension) + 1, size, value, size_out);
    case CL_DEVICE_TYPE:
        return ANSWER(cl_device_type, CL_DEVICE_TYPE_GPU);
    case CL_DEVICE_NAME:
        return answer(present->name, strlen(present->name) + 1, size, value, size_out);
    case CL_DEVICE_VENDOR_ID:
        return ANSWER(cl_uint, present->vendor_id);
    case CL_DEVICE_SINGLE_FP_CONFIG:
        return ANSWER(cl_device_fp_config, fp);
    case CL_DEVICE_DOUBLE_FP_CONFIG:
        return ANSWER(cl_device_fp_config, present->has_fp64 ? fp : 0);
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT:
        return ANSWER(cl_uint, 1);
    case CL_DEVICE_NATIVE_VECTOR_WIDTH_DOUBLE:
        return ANSWER(cl_uint, present->has_fp64);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        return ANSWER(cl_uint, 64);
    case CL_DEVICE_LOCAL_MEM_TYPE:
        return ANSWER(cl_device_local_mem_type, CL_LOCAL);
    case CL_DEVICE_LOCAL_MEM_SIZE:
        return ANSWER(cl_ulong, present->local_memory);
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        return ANSWER(size_t, present->work_group);
    default:
        return __real_clGetDeviceInfo(device, what, size, value, size_out);
    }
}

/* ---- memory ---- */

cl_mem __real_clCreateBuffer(cl_context, cl_mem_flags, size_t, void *, cl_int *);
cl_mem __wrap_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                             cl_int *code);

/* What no kernel writes is always the same: zero. */
cl_mem __wrap_clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size, void *host,
                             cl_int *code)
{
    void *zeros = host ? NULL : allocate(size);
    cl_mem memory = __real_clCreateBuffer(context, zeros ? flags | CL_MEM_COPY_HOST_PTR : flags,
                                          size, zeros ? zeros : host, code);
    free(zeros);
    return memory;
}

/* ---- programs ---- */

cl_int __wrap_clBuildProgram(cl_program handle, cl_uint count, const cl_device_id *devices,
                             const char *options, void (*notify)(cl_program, void *),
                             void *payload);

static program *find_program(const char *source, const char *options)
{
    program *p = programs;
    while (p && (p->gpu != present || strcmp(p->options, options) != 0 ||
                 strcmp(p->source, source) != 0))
        p = p->next;
    return p;
}

cl_int __wrap_clBuildProgram(cl_program handle, cl_uint count, const cl_device_id *devices,
                             const char *options, void (*notify)(cl_program, void *), void *payload)
{
    size_t size = 0;
    (void)count, (void)devices, (void)notify, (void)payload;
    cl_int code = clGetProgramInfo(handle, CL_PROGRAM_SOURCE, 0, NULL, &size);
    if (code != CL_SUCCESS)
        return code;
    char *source = allocate(size + 1);
    code = clGetProgramInfo(handle, CL_PROGRAM_SOURCE, size, source, NULL);
    program *p = find_program(source, options);
    if (!p) {
        p = allocate(sizeof *p);
        *p = (program){.next = programs,
                       .gpu = present,
                       .is_choice = are_choices,
                       .source = source,
                       .options = strdup(options)};
        programs = p;
    } else {
        free(source);
    }
    p->handle = handle;
    return code;
}

cl_kernel __wrap_clCreateKernel(cl_program handle, const char *name, cl_int *code);
cl_kernel __wrap_clCreateKernel(cl_program handle, const char *name, cl_int *code)
{
    program *p = programs;
    while (p && p->handle != handle)
        p = p->next;
    *code = p ? CL_SUCCESS : CL_INVALID_PROGRAM_EXECUTABLE;
    if (!p)
        return NULL;
    launch *l = p->launches;
    while (l && strcmp(l->name, name) != 0)
        l = l->next;
    if (!l) {
        l = allocate(sizeof *l);
        *l = (launch){.next = p->launches, .program = p};
        snprintf(l->name, sizeof l->name, "%s", name);
        p->launches = l;
    }
    return (cl_kernel)l;
}

cl_int __wrap_clReleaseKernel(cl_kernel kernel);
cl_int __wrap_clReleaseKernel(cl_kernel kernel)
{
    (void)kernel;
    return CL_SUCCESS;
}

cl_int __wrap_clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value);
cl_int __wrap_clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
    launch *l = (launch *)kernel;
    const size_t most = sizeof l->arguments / sizeof *l->arguments;
    /* An absent buffer looks like a pointer's worth of local memory, which no kernel has. */
    if (index < most)
        l->arguments[index] = !value && size > sizeof(cl_mem) ? size : 0;
    return CL_SUCCESS;
}

cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                     const size_t *offset, const size_t *global,
                                     const size_t *local, cl_uint count, const cl_event *events,
                                     cl_event *event);
cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                     const size_t *offset, const size_t *global,
                                     const size_t *local, cl_uint count, const cl_event *events,
                                     cl_event *event)
{
    launch *l = (launch *)kernel;
    size_t group = 1, before = 1, memory = 0;
    (void)queue, (void)offset, (void)global, (void)count, (void)events, (void)event;
    for (cl_uint i = 0; i < dimensions && i < 3; i++) {
        group *= local ? local[i] : 0;
        before *= l->work_group[i];
    }
    if (group > before)
        memcpy(l->work_group, local, dimensions * sizeof *local);
    for (size_t i = 0; i < sizeof l->arguments / sizeof *l->arguments; i++)
        memory += l->arguments[i];
    l->local_memory = memory > l->local_memory ? memory : l->local_memory;
    l->launched = true;
    return CL_SUCCESS;
}

/* ---- the list ---- */

static bool write_file(const char *folder, const char *name, const char *text)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    bool written = file && fputs(text, file) >= 0;
    if (file)
        written = fclose(file) == 0 && written;
    if (!written)
        perror(path);
    return written;
}

static void add_launches(cJSON *entry, const program *p)
{
    cJSON *list = cJSON_AddArrayToObject(entry, "kernels");
    for (const launch *l = p->launches; l; l = l->next) {
        if (!l->launched)
            continue;
        cJSON *kernel = cJSON_CreateObject();
        cJSON_AddStringToObject(kernel, "name", l->name);
        cJSON_AddNumberToObject(kernel, "work_group",
                                (double)(l->work_group[0] * l->work_group[1] * l->work_group[2]));
        cJSON_AddNumberToObject(kernel, "local_memory", (double)l->local_memory);
        cJSON_AddItemToArray(list, kernel);
    }
}

/* The number of the first program in the list that has this source. */
static size_t number_of(const char *source)
{
    size_t number = 0;
    for (const program *p = programs; strcmp(p->source, source) != 0; p = p->next)
        number++;
    return number;
}

bool recorder_write(const char *folder)
{
    cJSON *root = cJSON_CreateArray();
    bool written = true;
    size_t number = 0;
    for (const program *p = programs; p && written; p = p->next, number++) {
        char name[32];
        const size_t first = number_of(p->source);
        snprintf(name, sizeof name, "%zu.cl", first);
        cJSON *entry = cJSON_CreateObject();
        cJSON_AddStringToObject(entry, "gpu", p->gpu->name);
        cJSON_AddStringToObject(entry, "source", name);
        cJSON_AddStringToObject(entry, "options", p->options);
        cJSON_AddBoolToObject(entry, "choice", p->is_choice);
        add_launches(entry, p);
        cJSON_AddItemToArray(root, entry);
        if (first == number)
            written = write_file(folder, name, p->source);
    }
    char *text = cJSON_Print(root);
    written = written && text && write_file(folder, "programs.json", text);
    free(text);
    cJSON_Delete(root);
    return written;
}
