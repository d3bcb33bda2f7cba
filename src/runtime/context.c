#include "runtime/blas.h"
#include "runtime/tuning.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void irn_log(const irn_context *context, const char *format, ...)
{
    if (!context->log)
        return;
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    context->log(message, context->log_payload);
}

static char *joined(const char *folder, const char *rest)
{
    size_t size = strlen(folder) + strlen(rest) + 1;
    char *path = malloc(size);
    if (path)
        snprintf(path, size, "%s%s", folder, rest);
    return path;
}

/* Where compiled kernels are kept, or NULL for nowhere (also when memory is short: a cache is never
 * worth a failure). */
static char *choose_cache_dir(const char *option)
{
    const char *own = option ? option : getenv("IRN_CACHE_DIR");
    if (own && *own)
        return strcmp(own, "off") == 0 ? NULL : joined(own, "");
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (xdg && xdg[0] == '/')
        return joined(xdg, "/iresnet");
    return home && home[0] == '/' ? joined(home, "/.cache/iresnet") : NULL;
}

static irn_status start(irn_context **out, const irn_context_options *options)
{
    irn_context *context;
    *out = NULL;
    if (options)
        IRN_TRY(irn_check_version("irn_context_options", options->version,
                                  IRN_CONTEXT_OPTIONS_VERSION));
    IRN_TRY(irn_alloc(&context, 1, sizeof *context));
    if (options) {
        context->seed = options->seed;
        context->log = options->log;
        context->log_payload = options->log_payload;
        context->may_set_blas = options->clblast_parameters;
    }
    context->cache_dir = choose_cache_dir(options ? options->cache_dir : NULL);
    *out = context;
    return IRN_OK;
}

static irn_status open_device(irn_context *context, const char *choice)
{
    cl_int code;
    IRN_TRY(irn_device_choose(&context->platform, &context->device, choice));
    cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                          (cl_context_properties)context->platform, 0};
    context->cl = clCreateContext(properties, 1, &context->device, NULL, NULL, &code);
    IRN_TRY(irn_cl_check(code, "creating an OpenCL context"));
    context->queue = clCreateCommandQueue(context->cl, context->device, 0, &code);
    return irn_cl_check(code, "creating a command queue");
}

irn_status irn_context_make_tuning(irn_context *context)
{
    const irn_tuning before = context->tuning;
    context->tuning = irn_tuning_for(&context->info);
    unsigned *group = &context->tuning.work_group;
    irn_status status = irn_device_group(group, context->device, *group);
    if (status == IRN_OK)
        status = irn_tuning_load(context);
    if (status != IRN_OK)
        context->tuning = before;
    return status;
}

static irn_status describe(irn_context *context)
{
    IRN_TRY(irn_device_describe(&context->info, context->platform, context->device));
    return irn_context_make_tuning(context);
}

irn_status irn_context_create(irn_context **out, const irn_context_options *options)
{
    IRN_TRY(start(out, options));
    const char *choice = options && options->device ? options->device : getenv("IRN_DEVICE");
    irn_status status = open_device(*out, choice);
    if (status == IRN_OK)
        status = describe(*out);
    if (status != IRN_OK) {
        irn_context_free(*out);
        *out = NULL;
    }
    return status;
}

static irn_status adopt(irn_context *context, cl_context cl, cl_device_id device,
                        cl_command_queue queue)
{
    cl_command_queue_properties properties = 0;
    cl_device_id queue_device = NULL;
    cl_context queue_context = NULL;
    IRN_TRY(irn_cl_check(
        clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL),
        "reading the adopted queue's properties"));
    IRN_TRY(irn_cl_check(
        clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof queue_device, &queue_device, NULL),
        "reading the adopted queue's device"));
    IRN_TRY(irn_cl_check(
        clGetCommandQueueInfo(queue, CL_QUEUE_CONTEXT, sizeof queue_context, &queue_context, NULL),
        "reading the adopted queue's context"));
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "the adopted queue is out of order; it must be in order");
    if (queue_device != device)
        return irn_fail(IRN_ERROR_ARGUMENT, "the adopted queue belongs to another device");
    if (queue_context != cl)
        return irn_fail(IRN_ERROR_ARGUMENT, "the adopted queue belongs to another context");
    IRN_TRY(irn_cl_check(clGetDeviceInfo(device, CL_DEVICE_PLATFORM, sizeof context->platform,
                                         &context->platform, NULL),
                         "reading the adopted device's platform"));
    IRN_TRY(irn_cl_check(clRetainContext(cl), "retaining the adopted context"));
    context->cl = cl;
    IRN_TRY(irn_cl_check(clRetainCommandQueue(queue), "retaining the adopted queue"));
    context->queue = queue;
    context->device = device;
    return describe(context);
}

irn_status irn_context_adopt(irn_context **out, cl_context cl, cl_device_id device,
                             cl_command_queue queue, const irn_context_options *options)
{
    IRN_TRY(start(out, options));
    irn_status status = adopt(*out, cl, device, queue);
    if (status != IRN_OK) {
        irn_context_free(*out);
        *out = NULL;
    }
    return status;
}

/* Of a side, whose thread is not the one that the context's callback belongs to. A message for
 * which there is no memory is left out. */
static void note(const char *message, void *payload)
{
    irn_context *side = payload;
    size_t length = strlen(message) + 1;
    char *longer = realloc(side->noted, side->noted_size + length);
    if (!longer)
        return;
    memcpy(longer + side->noted_size, message, length);
    side->noted = longer;
    side->noted_size += length;
}

static irn_status open_side(irn_context **out, irn_context *context)
{
    cl_int code;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    options.cache_dir = context->cache_dir ? context->cache_dir : "off";
    options.seed = context->seed;
    options.clblast_parameters = context->may_set_blas;
    cl_command_queue queue = clCreateCommandQueue(context->cl, context->device, 0, &code);
    IRN_TRY(irn_cl_check(code, "creating a second command queue"));
    irn_status status = irn_context_adopt(out, context->cl, context->device, queue, &options);
    clReleaseCommandQueue(queue);
    if (status == IRN_OK) {
        (*out)->log = note;
        (*out)->log_payload = *out;
    }
    return status;
}

irn_status irn_context_side(irn_context **out, irn_context *context, size_t index)
{
    irn_context **side = &context->sides[index];
    irn_status status = *side ? IRN_OK : open_side(side, context);
    if (status == IRN_OK) {
        (*side)->tuning = context->tuning;
        (*side)->info = context->info;
        (*side)->info.global_memory -= context->memory;
        (*side)->loops = context->loops;
        (*side)->fft_refused = context->fft_refused;
        (*side)->blas_refused = context->blas_refused;
    }
    *out = *side;
    return status;
}

void irn_context_tell_side(irn_context *context, size_t index)
{
    irn_context *side = context->sides[index];
    if (!side)
        return;
    for (size_t at = 0; at < side->noted_size; at += strlen(side->noted + at) + 1)
        irn_log(context, "%s", side->noted + at);
    free(side->noted);
    side->noted = NULL;
    side->noted_size = 0;
}

void irn_context_count_sides(irn_context *context)
{
    uint64_t held = context->memory;
    for (size_t i = 0; i < IRN_SIDES; i++)
        held += context->sides[i] ? context->sides[i]->peak_memory : 0;
    if (held > context->peak_memory)
        context->peak_memory = held;
}

void irn_context_free(irn_context *context)
{
    if (!context)
        return;
    for (size_t i = 0; i < IRN_SIDES; i++)
        irn_context_free(context->sides[i]);
    if (context->queue)
        clFinish(context->queue);
    irn_programs_free(context);
    irn_blas_release(context);
    if (context->queue)
        clReleaseCommandQueue(context->queue);
    if (context->cl)
        clReleaseContext(context->cl);
    free(context->cache_dir);
    free(context->noted);
    free(context);
}

const irn_device_info *irn_context_device(const irn_context *context)
{
    return &context->info;
}

uint64_t irn_context_memory(const irn_context *context)
{
    return context->memory;
}

uint64_t irn_context_peak_memory(const irn_context *context)
{
    return context->peak_memory;
}
