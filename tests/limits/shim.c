#include "shim.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_LIES = 16, MOST_BUFFERS = 1024, MOST_PROGRAMS = 64 };

typedef struct lie {
    cl_device_info what;
    uint64_t value;
} lie;

typedef struct buffer {
    cl_mem memory; /* NULL: a free place */
    uint64_t size;
    int references;
} buffer;

static struct {
    size_t calls, fail_at;
    bool forever, garbled, lazy;
    cl_int code;
    const char *failed;
    long live[SHIM_KINDS];
    uint64_t held, peak, capacity;
    buffer buffers[MOST_BUFFERS];
    lie lies[MOST_LIES];
    size_t lie_count;
} shim = {.capacity = UINT64_MAX};

/* Certification has threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void shim_reset(void)
{
    memset(&shim, 0, sizeof shim);
    shim.capacity = UINT64_MAX;
}

void shim_fail(size_t k, bool forever, cl_int code)
{
    shim.fail_at = shim.calls + k;
    shim.forever = forever;
    shim.code = code;
    shim.failed = NULL;
}

const char *shim_failed(void)
{
    return shim.failed;
}

size_t shim_calls(void)
{
    return shim.calls;
}

long shim_live(shim_kind kind)
{
    return shim.live[kind];
}

const char *shim_kind_name(shim_kind kind)
{
    static const char *const names[SHIM_KINDS] = {"contexts", "queues",  "buffers",
                                                  "programs", "kernels", "events"};
    return names[kind];
}

uint64_t shim_held(void)
{
    return shim.held;
}

uint64_t shim_peak(void)
{
    return shim.peak;
}

void shim_lie(cl_device_info what, uint64_t value)
{
    if (shim.lie_count < MOST_LIES)
        shim.lies[shim.lie_count++] = (lie){what, value};
}

void shim_garble(void)
{
    shim.garbled = true;
}

void shim_capacity(uint64_t bytes, bool lazy)
{
    shim.capacity = bytes;
    shim.lazy = lazy;
}

/* ---- behind the functions ---- */

/* Where the pointer to the loader's function stands, to be copied into one of its type. */
static const void *next(const char *name)
{
    static _Thread_local void *symbol;
    symbol = dlsym(RTLD_NEXT, name);
    return &symbol;
}

/* What this call fails with; CL_SUCCESS: it does not. */
static cl_int fault(const char *name)
{
    pthread_mutex_lock(&lock);
    size_t call = ++shim.calls;
    bool fails =
        shim.fail_at > 0 && (call == shim.fail_at || (shim.forever && call > shim.fail_at));
    if (fails && !shim.failed)
        shim.failed = name;
    pthread_mutex_unlock(&lock);
    return fails ? shim.code : CL_SUCCESS;
}

static void made(shim_kind kind, cl_int code)
{
    pthread_mutex_lock(&lock);
    shim.live[kind] += code == CL_SUCCESS;
    pthread_mutex_unlock(&lock);
}

static void released(shim_kind kind)
{
    pthread_mutex_lock(&lock);
    shim.live[kind]--;
    pthread_mutex_unlock(&lock);
}

static const lie *find_lie(cl_device_info what)
{
    for (size_t i = 0; i < shim.lie_count; i++)
        if (shim.lies[i].what == what)
            return &shim.lies[i];
    return NULL;
}

static uint64_t limit(cl_device_info what)
{
    const lie *found = find_lie(what);
    return found ? found->value : UINT64_MAX;
}

static buffer *find_buffer(cl_mem memory)
{
    for (size_t i = 0; i < MOST_BUFFERS; i++)
        if (shim.buffers[i].memory == memory)
            return &shim.buffers[i];
    return NULL;
}

static void add_buffer(cl_mem memory, uint64_t size)
{
    pthread_mutex_lock(&lock);
    buffer *place = find_buffer(NULL);
    if (place) {
        *place = (buffer){memory, size, 1};
        shim.held += size;
    }
    if (shim.held > shim.peak)
        shim.peak = shim.held;
    pthread_mutex_unlock(&lock);
}

static void refer_to_buffer(cl_mem memory, int change)
{
    pthread_mutex_lock(&lock);
    buffer *known = find_buffer(memory);
    if (known)
        known->references += change;
    if (known && known->references == 0) {
        shim.held -= known->size;
        known->memory = NULL;
    }
    pthread_mutex_unlock(&lock);
}

/* A null result with a code. */
static void *refuse(cl_int *out, cl_int code)
{
    if (out)
        *out = code;
    return NULL;
}

/* ---- what stays from run to run ---- */

/* Opening a device and loading its programs takes PoCL ten times as long as the runs themselves, so
 * it does both once. The library sees none of it: it creates, builds and releases as ever, and each
 * of these calls can fail. */
typedef struct kept_program {
    cl_program program;
    unsigned char *binary;
    size_t size;
    char *options; /* that it has been built with; NULL: not yet */
} kept_program;

static struct {
    cl_context context;
    cl_device_id device;
    kept_program programs[MOST_PROGRAMS];
    size_t count;
} kept;

static cl_int retain_context(cl_context context)
{
    __typeof__(clRetainContext) *real;
    memcpy(&real, next("clRetainContext"), sizeof real);
    return real(context);
}

static cl_int retain_program(cl_program program)
{
    __typeof__(clRetainProgram) *real;
    memcpy(&real, next("clRetainProgram"), sizeof real);
    return real(program);
}

static kept_program *find_program(cl_program program, const unsigned char *binary, size_t size)
{
    kept_program *found = NULL;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < kept.count; i++) {
        kept_program *p = &kept.programs[i];
        if (program ? p->program == program
                    : p->size == size && memcmp(p->binary, binary, size) == 0)
            found = p;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static void keep_program(cl_program program, const unsigned char *binary, size_t size)
{
    unsigned char *copy = malloc(size);
    pthread_mutex_lock(&lock);
    bool room = copy && kept.count < MOST_PROGRAMS && retain_program(program) == CL_SUCCESS;
    if (room) {
        memcpy(copy, binary, size);
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
    memcpy(&release_program, next("clReleaseProgram"), sizeof release_program);
    memcpy(&release_context, next("clReleaseContext"), sizeof release_context);
    for (size_t i = 0; i < kept.count; i++) {
        release_program(kept.programs[i].program);
        free(kept.programs[i].binary);
        free(kept.programs[i].options);
    }
    if (kept.context)
        release_context(kept.context);
    memset(&kept, 0, sizeof kept);
}

/* ---- questions ---- */

static cl_int garble(size_t size, void *value, size_t *needed)
{
    for (size_t i = 0; value && i < size; i++)
        ((unsigned char *)value)[i] = (unsigned char)(i % 3 == 0   ? 0xC3
                                                      : i % 3 == 1 ? '\033'
                                                                   : '"');
    if (needed)
        *needed = 64;
    return CL_SUCCESS;
}

CL_API_ENTRY cl_int CL_API_CALL clGetPlatformIDs(cl_uint count, cl_platform_id *platforms,
                                                 cl_uint *found)
{
    __typeof__(clGetPlatformIDs) *real;
    memcpy(&real, next("clGetPlatformIDs"), sizeof real);
    cl_int code = fault("clGetPlatformIDs");
    return code ? code : real(count, platforms, found);
}

CL_API_ENTRY cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id platform, cl_platform_info what,
                                                  size_t size, void *value, size_t *needed)
{
    __typeof__(clGetPlatformInfo) *real;
    memcpy(&real, next("clGetPlatformInfo"), sizeof real);
    cl_int code = fault("clGetPlatformInfo");
    if (code)
        return code;
    return shim.garbled ? garble(size, value, needed) : real(platform, what, size, value, needed);
}

CL_API_ENTRY cl_int CL_API_CALL clGetDeviceIDs(cl_platform_id platform, cl_device_type type,
                                               cl_uint count, cl_device_id *devices, cl_uint *found)
{
    __typeof__(clGetDeviceIDs) *real;
    memcpy(&real, next("clGetDeviceIDs"), sizeof real);
    cl_int code = fault("clGetDeviceIDs");
    return code ? code : real(platform, type, count, devices, found);
}

CL_API_ENTRY cl_int CL_API_CALL clGetDeviceInfo(cl_device_id device, cl_device_info what,
                                                size_t size, void *value, size_t *needed)
{
    __typeof__(clGetDeviceInfo) *real;
    memcpy(&real, next("clGetDeviceInfo"), sizeof real);
    bool text = what == CL_DEVICE_NAME || what == CL_DRIVER_VERSION || what == CL_DEVICE_VENDOR;
    cl_int code = fault("clGetDeviceInfo");
    if (code)
        return code;
    if (shim.garbled && text)
        return garble(size, value, needed);
    size_t length = 0;
    code = real(device, what, size, value, &length);
    if (needed)
        *needed = length;
    const lie *told = find_lie(what);
    if (code == CL_SUCCESS && value && told)
        memcpy(value, &told->value, length < sizeof told->value ? length : sizeof told->value);
    return code;
}

/* ---- contexts and queues ---- */

CL_API_ENTRY cl_context CL_API_CALL
clCreateContext(const cl_context_properties *properties, cl_uint count, const cl_device_id *devices,
                void(CL_CALLBACK *notify)(const char *, const void *, size_t, void *),
                void *payload, cl_int *out)
{
    __typeof__(clCreateContext) *real;
    memcpy(&real, next("clCreateContext"), sizeof real);
    cl_int code = fault("clCreateContext");
    if (code)
        return refuse(out, code);
    cl_context context = kept.context;
    if (!context || kept.device != devices[0])
        context = real(properties, count, devices, notify, payload, &code);
    if (!kept.context && code == CL_SUCCESS) {
        kept.context = context;
        kept.device = devices[0];
    }
    if (context == kept.context)
        code = retain_context(context);
    made(SHIM_CONTEXT, code);
    if (out)
        *out = code;
    return context;
}

CL_API_ENTRY cl_int CL_API_CALL clRetainContext(cl_context context)
{
    __typeof__(clRetainContext) *real;
    memcpy(&real, next("clRetainContext"), sizeof real);
    made(SHIM_CONTEXT, CL_SUCCESS);
    return real(context);
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseContext(cl_context context)
{
    __typeof__(clReleaseContext) *real;
    memcpy(&real, next("clReleaseContext"), sizeof real);
    released(SHIM_CONTEXT);
    return real(context);
}

CL_API_ENTRY cl_command_queue CL_API_CALL clCreateCommandQueue(
    cl_context context, cl_device_id device, cl_command_queue_properties properties, cl_int *out)
{
    __typeof__(clCreateCommandQueue) *real;
    memcpy(&real, next("clCreateCommandQueue"), sizeof real);
    cl_int code = fault("clCreateCommandQueue");
    if (code)
        return refuse(out, code);
    cl_command_queue queue = real(context, device, properties, &code);
    made(SHIM_QUEUE, code);
    if (out)
        *out = code;
    return queue;
}

CL_API_ENTRY cl_int CL_API_CALL clRetainCommandQueue(cl_command_queue queue)
{
    __typeof__(clRetainCommandQueue) *real;
    memcpy(&real, next("clRetainCommandQueue"), sizeof real);
    made(SHIM_QUEUE, CL_SUCCESS);
    return real(queue);
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseCommandQueue(cl_command_queue queue)
{
    __typeof__(clReleaseCommandQueue) *real;
    memcpy(&real, next("clReleaseCommandQueue"), sizeof real);
    released(SHIM_QUEUE);
    return real(queue);
}

CL_API_ENTRY cl_int CL_API_CALL clFlush(cl_command_queue queue)
{
    __typeof__(clFlush) *real;
    memcpy(&real, next("clFlush"), sizeof real);
    cl_int code = fault("clFlush");
    return code ? code : real(queue);
}

/* Waits even if it fails, as everything that the queue holds ends in the end. */
CL_API_ENTRY cl_int CL_API_CALL clFinish(cl_command_queue queue)
{
    __typeof__(clFinish) *real;
    memcpy(&real, next("clFinish"), sizeof real);
    cl_int code = fault("clFinish"), done = real(queue);
    return code ? code : done;
}

CL_API_ENTRY cl_int CL_API_CALL clWaitForEvents(cl_uint count, const cl_event *events)
{
    __typeof__(clWaitForEvents) *real;
    memcpy(&real, next("clWaitForEvents"), sizeof real);
    cl_int code = fault("clWaitForEvents"), done = real(count, events);
    return code ? code : done;
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseEvent(cl_event event)
{
    __typeof__(clReleaseEvent) *real;
    memcpy(&real, next("clReleaseEvent"), sizeof real);
    released(SHIM_EVENT);
    return real(event);
}

/* ---- buffers ---- */

CL_API_ENTRY cl_mem CL_API_CALL clCreateBuffer(cl_context context, cl_mem_flags flags, size_t size,
                                               void *host, cl_int *out)
{
    __typeof__(clCreateBuffer) *real;
    memcpy(&real, next("clCreateBuffer"), sizeof real);
    cl_int code = fault("clCreateBuffer");
    uint64_t whole = limit(CL_DEVICE_GLOBAL_MEM_SIZE);
    if (!shim.lazy && shim.capacity < whole)
        whole = shim.capacity;
    if (!code && size > limit(CL_DEVICE_MAX_MEM_ALLOC_SIZE))
        code = CL_INVALID_BUFFER_SIZE;
    if (!code && shim.held + size > whole)
        code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    if (code)
        return refuse(out, code);
    cl_mem memory = real(context, flags, size, host, &code);
    made(SHIM_BUFFER, code);
    if (code == CL_SUCCESS)
        add_buffer(memory, size);
    if (out)
        *out = code;
    return memory;
}

CL_API_ENTRY cl_int CL_API_CALL clRetainMemObject(cl_mem memory)
{
    __typeof__(clRetainMemObject) *real;
    memcpy(&real, next("clRetainMemObject"), sizeof real);
    refer_to_buffer(memory, 1);
    made(SHIM_BUFFER, CL_SUCCESS);
    return real(memory);
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseMemObject(cl_mem memory)
{
    __typeof__(clReleaseMemObject) *real;
    memcpy(&real, next("clReleaseMemObject"), sizeof real);
    refer_to_buffer(memory, -1);
    released(SHIM_BUFFER);
    return real(memory);
}

CL_API_ENTRY cl_int CL_API_CALL clGetMemObjectInfo(cl_mem buffer, cl_mem_info what, size_t size,
                                                   void *value, size_t *needed)
{
    __typeof__(clGetMemObjectInfo) *real;
    memcpy(&real, next("clGetMemObjectInfo"), sizeof real);
    cl_int code = fault("clGetMemObjectInfo");
    return code ? code : real(buffer, what, size, value, needed);
}

/* What a command that uses memory fails with. */
static cl_int use_fault(const char *name)
{
    cl_int code = fault(name);
    if (!code && shim.lazy && shim.held > shim.capacity)
        code = CL_MEM_OBJECT_ALLOCATION_FAILURE;
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueWriteBuffer(cl_command_queue queue, cl_mem buffer,
                                                     cl_bool blocking, size_t offset, size_t size,
                                                     const void *data, cl_uint wait_count,
                                                     const cl_event *wait, cl_event *event)
{
    __typeof__(clEnqueueWriteBuffer) *real;
    memcpy(&real, next("clEnqueueWriteBuffer"), sizeof real);
    cl_int code = use_fault("clEnqueueWriteBuffer");
    if (code)
        return code;
    code = real(queue, buffer, blocking, offset, size, data, wait_count, wait, event);
    if (event)
        made(SHIM_EVENT, code);
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueReadBuffer(cl_command_queue queue, cl_mem buffer,
                                                    cl_bool blocking, size_t offset, size_t size,
                                                    void *data, cl_uint wait_count,
                                                    const cl_event *wait, cl_event *event)
{
    __typeof__(clEnqueueReadBuffer) *real;
    memcpy(&real, next("clEnqueueReadBuffer"), sizeof real);
    cl_int code = use_fault("clEnqueueReadBuffer");
    if (code)
        return code;
    code = real(queue, buffer, blocking, offset, size, data, wait_count, wait, event);
    if (event)
        made(SHIM_EVENT, code);
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueFillBuffer(cl_command_queue queue, cl_mem buffer,
                                                    const void *pattern, size_t pattern_size,
                                                    size_t offset, size_t size, cl_uint wait_count,
                                                    const cl_event *wait, cl_event *event)
{
    __typeof__(clEnqueueFillBuffer) *real;
    memcpy(&real, next("clEnqueueFillBuffer"), sizeof real);
    cl_int code = use_fault("clEnqueueFillBuffer");
    if (code)
        return code;
    code = real(queue, buffer, pattern, pattern_size, offset, size, wait_count, wait, event);
    if (event)
        made(SHIM_EVENT, code);
    return code;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueCopyBuffer(cl_command_queue queue, cl_mem from, cl_mem to,
                                                    size_t from_offset, size_t to_offset,
                                                    size_t size, cl_uint wait_count,
                                                    const cl_event *wait, cl_event *event)
{
    __typeof__(clEnqueueCopyBuffer) *real;
    memcpy(&real, next("clEnqueueCopyBuffer"), sizeof real);
    cl_int code = use_fault("clEnqueueCopyBuffer");
    if (code)
        return code;
    code = real(queue, from, to, from_offset, to_offset, size, wait_count, wait, event);
    if (event)
        made(SHIM_EVENT, code);
    return code;
}

/* ---- programs and kernels ---- */

CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint count,
                                                              const char **sources,
                                                              const size_t *lengths, cl_int *out)
{
    __typeof__(clCreateProgramWithSource) *real;
    memcpy(&real, next("clCreateProgramWithSource"), sizeof real);
    cl_int code = fault("clCreateProgramWithSource");
    if (code)
        return refuse(out, code);
    cl_program program = real(context, count, sources, lengths, &code);
    made(SHIM_PROGRAM, code);
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
    memcpy(&real, next("clCreateProgramWithBinary"), sizeof real);
    cl_int code = fault("clCreateProgramWithBinary");
    if (code)
        return refuse(out, code);
    kept_program *known = find_program(NULL, binaries[0], lengths[0]);
    cl_program program = known ? known->program : NULL;
    if (known) {
        *binary_codes = CL_SUCCESS;
        code = retain_program(program);
    } else {
        program = real(context, count, devices, lengths, binaries, binary_codes, &code);
        if (code == CL_SUCCESS)
            keep_program(program, binaries[0], lengths[0]);
    }
    made(SHIM_PROGRAM, code);
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
    memcpy(&real, next("clBuildProgram"), sizeof real);
    cl_int code = fault("clBuildProgram");
    if (code)
        return code;
    if (limit(CL_DEVICE_DOUBLE_FP_CONFIG) == 0 && options && strstr(options, "double"))
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
    memcpy(&real, next("clGetProgramInfo"), sizeof real);
    cl_int code = fault("clGetProgramInfo");
    return code ? code : real(program, what, size, value, needed);
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseProgram(cl_program program)
{
    __typeof__(clReleaseProgram) *real;
    memcpy(&real, next("clReleaseProgram"), sizeof real);
    released(SHIM_PROGRAM);
    return real(program);
}

CL_API_ENTRY cl_kernel CL_API_CALL clCreateKernel(cl_program program, const char *name, cl_int *out)
{
    __typeof__(clCreateKernel) *real;
    memcpy(&real, next("clCreateKernel"), sizeof real);
    cl_int code = fault("clCreateKernel");
    if (code)
        return refuse(out, code);
    cl_kernel kernel = real(program, name, &code);
    made(SHIM_KERNEL, code);
    if (out)
        *out = code;
    return kernel;
}

CL_API_ENTRY cl_int CL_API_CALL clReleaseKernel(cl_kernel kernel)
{
    __typeof__(clReleaseKernel) *real;
    memcpy(&real, next("clReleaseKernel"), sizeof real);
    released(SHIM_KERNEL);
    return real(kernel);
}

/* The local memory of a kernel, as the driver says it. */
static uint64_t local_memory(cl_command_queue queue, cl_kernel kernel)
{
    cl_device_id device = NULL;
    cl_ulong bytes = 0;
    clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL);
    clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    return bytes;
}

CL_API_ENTRY cl_int CL_API_CALL clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel,
                                                       cl_uint dimensions, const size_t *first,
                                                       const size_t *global, const size_t *local,
                                                       cl_uint wait_count, const cl_event *wait,
                                                       cl_event *event)
{
    __typeof__(clEnqueueNDRangeKernel) *real;
    memcpy(&real, next("clEnqueueNDRangeKernel"), sizeof real);
    cl_int code = use_fault("clEnqueueNDRangeKernel");
    uint64_t group = 1;
    for (cl_uint i = 0; local && i < dimensions; i++)
        group *= local[i];
    /* Groups of nothing are a lie that no driver can keep to. */
    if (!code && group > limit(CL_DEVICE_MAX_WORK_GROUP_SIZE) && group > 1)
        code = CL_INVALID_WORK_GROUP_SIZE;
    if (!code && find_lie(CL_DEVICE_LOCAL_MEM_SIZE) &&
        local_memory(queue, kernel) > limit(CL_DEVICE_LOCAL_MEM_SIZE))
        code = CL_OUT_OF_RESOURCES;
    if (code)
        return code;
    code = real(queue, kernel, dimensions, first, global, local, wait_count, wait, event);
    if (event)
        made(SHIM_EVENT, code);
    return code;
}

/* What a disk does is not asked here, and waiting for it takes longest of all. */
int fsync(int file)
{
    (void)file;
    return 0;
}
