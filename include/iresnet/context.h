/* Devices and contexts. A context is one OpenCL device with its queue, compiled kernels and
 * counters; every model, trainer and certificate lives in one. A context and all that was made from
 * it may be used by one thread at a time. Free what was made from a context before the context. */
#ifndef IRESNET_CONTEXT_H
#define IRESNET_CONTEXT_H

#include <iresnet/status.h>

#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct irn_context irn_context;

/* What is known about a device. Sizes in bytes. */
typedef struct irn_device_info {
    char name[128];
    char platform[128];
    char driver[128];
    bool is_gpu;   /* CL_DEVICE_TYPE_GPU */
    bool is_simt;  /* runs work-items side by side in vector lanes, as GPUs do (and llvmpipe),
                      instead  of giving a work-item vectors: decides which kernels it gets */
    bool has_fp64; /* double-precision kernels are possible */
    unsigned compute_units;
    unsigned channel_block; /* B of the tensor layout [N][C/B][H][W][B] on this device */
    unsigned simd_width;    /* work-items that go side by side, as far as the driver says; else 0 */
    unsigned max_group;     /* work-items in a work-group at most */
    uint64_t local_memory;  /* of a work-group; 0 where it is no memory of its own */
    uint64_t global_memory;
    uint64_t max_allocation;
} irn_device_info;

/* Lists all OpenCL devices that answer, platforms without devices skipped, in the order that an
 * index given as a device choice refers to. *out is owned by the caller: irn_device_list_free(). No
 * device at all is IRN_OK with *count == 0. Errors: IRN_ERROR_MEMORY; IRN_ERROR_DEVICE if there are
 * drivers and none of them answers. Of names only printable ASCII is taken over. */
IRN_API irn_status irn_device_list(irn_device_info **out, size_t *count);
IRN_API void irn_device_list_free(irn_device_info *list);

/* Receives diagnostics worth a person's attention (a rejected cache entry, a slow compilation), in
 * the thread that uses the context: what threads of the library's own have to say waits until that
 * one waits for them. */
typedef void (*irn_log_callback)(const char *message, void *payload);

typedef struct irn_context_options {
    uint32_t version;      /* IRN_CONTEXT_OPTIONS_VERSION */
    const char *device;    /* index in irn_device_list() or part of a name or platform, any case;
                              NULL: the environment's IRN_DEVICE, else the first GPU, else the
                              first CPU, else the first device */
    const char *cache_dir; /* compiled kernels; NULL: $IRN_CACHE_DIR, else $XDG_CACHE_HOME/iresnet,
                              else ~/.cache/iresnet; "off": no cache */
    uint64_t seed;         /* root of every random number made in this context */
    irn_log_callback log;  /* may be NULL */
    void *log_payload;
    bool clblast_parameters; /* lets tuning set CLBlast's own parameters (irn_tune()). They are the
                                device's in the whole process, for all users of CLBlast, and cannot
                                be set back; results change within rounding. Default: no */
} irn_context_options;

#define IRN_CONTEXT_OPTIONS_VERSION 2
#define IRN_CONTEXT_OPTIONS_INIT                                                                   \
    {                                                                                              \
        IRN_CONTEXT_OPTIONS_VERSION, NULL, NULL, 0, NULL, NULL, false                              \
    }

/* Opens a device. options NULL: defaults. Errors: IRN_ERROR_DEVICE (no device, or none or several
 * matching the choice: the sentence lists the choices), IRN_ERROR_ARGUMENT, IRN_ERROR_MEMORY. */
IRN_API irn_status irn_context_create(irn_context **out, const irn_context_options *options);

/* Uses the caller's OpenCL objects, which are retained until irn_context_free(). The queue must be
 * in order and belong to device; options->device is ignored. Errors: as above. */
IRN_API irn_status irn_context_adopt(irn_context **out, cl_context context, cl_device_id device,
                                     cl_command_queue queue, const irn_context_options *options);

/* NULL is allowed. */
IRN_API void irn_context_free(irn_context *context);

/* Valid as long as the context. */
IRN_API const irn_device_info *irn_context_device(const irn_context *context);

/* Bytes of device memory held now, and the most ever held, by everything made from the context. */
IRN_API uint64_t irn_context_memory(const irn_context *context);
IRN_API uint64_t irn_context_peak_memory(const irn_context *context);

#ifdef __cplusplus
}
#endif

#endif
