/* The device side of a context: memory with accounting, kernels by name, launches. */
#ifndef IRN_RUNTIME_H
#define IRN_RUNTIME_H

#include "base/base.h"

#include <iresnet/context.h>

/* What a tile is for; narrow ones are for few channels or few pixels. */
typedef enum irn_tile_use {
    IRN_TILE_APPLY,
    IRN_TILE_APPLY_NARROW,
    IRN_TILE_APPLY_DOUBLE,
    IRN_TILE_GRADIENT,
    IRN_TILE_GRADIENT_NARROW,
    IRN_TILE_CPU,
    IRN_TILE_DENSE, /* 1x1 kernels and dense layers, see ops/dense.h */
    IRN_TILE_DENSE_GRADIENT,
    IRN_TILE_BLAS, /* CLBlast's kernel for large products, see blas.h */
    IRN_TILE_USES
} irn_tile_use;

/* How a convolution is cut. To apply one, conv_tiled.cl: work-items a group, pixels and blocks a
 * work-item, quads a step (GROUP, GP, GB, GK there). Its gradient, conv_tiled_gradient.cl:
 * work-items along quads and along blocks, quads and blocks a work-item (NQ, NO, GQ, GO). On CPUs
 * pixels and blocks a work-item (T, OCB of conv.clh). For dense layers pixels that CLBlast
 * multiplies at a time. In CLBlast's kernel rows and columns a group, work-items along each, and
 * whether through local memory. Further numbers are zero; all zeros: none. */
typedef struct irn_tile {
    unsigned size[4];
} irn_tile;

enum { IRN_TILE_STEP = 8 };  /* pixels a step of a gradient: KP */
enum { IRN_BLAS_STEP = 16 }; /* products a step of CLBlast's kernel: KWG */

/* How kernels are specialised for a kind of device; one row a class in tuning.c. */
typedef struct irn_tuning {
    unsigned channel_block; /* B of the layout [N][C/B][H][W][B] */
    unsigned work_group;    /* WG: work-items a group; 1 on CPUs, whose kernels use no barrier */
    unsigned tile_float;    /* pixels a work-item of the convolution, by precision */
    unsigned tile_double;
    unsigned output_blocks; /* output channel blocks a work-item of the convolution */
    unsigned
        gradient_inputs; /* input channels, and output blocks, a work-item of the weight gradient */
    unsigned gradient_blocks;
    irn_tile tiles[IRN_TILE_USES]; /* tile_float and output_blocks are the CPU's */
} irn_tuning;

typedef struct irn_program irn_program;

enum { IRN_SIDES = 2 };

/* See irn_context_loops(). */
typedef enum irn_loops { IRN_LOOPS_UNKNOWN, IRN_LOOPS_WHOLE, IRN_LOOPS_CUT } irn_loops;

/* Device memory that is only counted: its sum and the largest piece. */
typedef struct irn_memory_need {
    uint64_t bytes, largest;
} irn_memory_need;

/* Names of the kernels that were launched, each once. */
enum { IRN_MOST_LAUNCHES = 128 };
typedef struct irn_launches {
    const char *names[IRN_MOST_LAUNCHES];
    size_t count;
} irn_launches;

struct irn_context {
    cl_platform_id platform;
    cl_device_id device;
    cl_context cl;
    cl_command_queue queue;
    irn_device_info info;
    irn_tuning tuning;
    char *cache_dir; /* NULL: no cache */
    uint64_t seed;
    irn_log_callback log;
    void *log_payload;
    irn_program *programs; /* list of what was built so far */
    uint64_t memory, peak_memory;
    irn_memory_need *need; /* if not NULL, irn_memory_create() adds to it and gives NULL */
    irn_loops loops;
    irn_context *sides[IRN_SIDES]; /* see irn_context_side() */
    char *noted;                   /* of a side: what it has to say, each message with its zero */
    size_t noted_size;
    bool fft_refused;             /* clFFT was found to compute wrongly here */
    bool blas_refused, blas_used; /* CLBlast likewise, or fails; it has programs of the context */
    bool may_set_blas;            /* irn_context_options.clblast_parameters */
    irn_launches *launches;       /* where calls note what they launch; NULL: nowhere */
};

/* OpenCL's name for an error code. */
const char *irn_cl_error_name(cl_int code);
/* IRN_OK, or a failure with a sentence: "<what>: CL_...". */
irn_status irn_cl_check(cl_int code, const char *what);

void irn_log(const irn_context *context, const char *format, ...) IRN_PRINTF(2, 3);

/* ---- device.c ---- */

typedef struct irn_found_device {
    cl_platform_id platform;
    cl_device_id device;
    cl_device_type type;
    irn_device_info info;
} irn_found_device;

/* By index, else by part of a name or platform; no choice: the first GPU, else the first CPU, else
 * the first of all. Errors: IRN_ERROR_DEVICE. */
irn_status irn_device_pick(size_t *index, const irn_found_device *found, size_t count,
                           const char *choice);
irn_status irn_device_choose(cl_platform_id *platform, cl_device_id *device, const char *choice);
irn_status irn_device_describe(irn_device_info *out, cl_platform_id platform, cl_device_id device);
/* Work-items that a group can have, a power of two and at most `wanted`: kernels share a number of
 * float64 each in local memory, and there some have a little more for the group; a group of one
 * needs none. */
irn_status irn_device_group(unsigned *out, cl_device_id device, unsigned wanted);

/* ---- context.c ---- */

/* The context's tuning: its device's row of the table, with groups that the device can have, what
 * was remembered of it and what the environment says. Errors: IRN_ERROR_ARGUMENT for the
 * environment's, IRN_ERROR_DEVICE; the tuning is as before. */
irn_status irn_context_make_tuning(irn_context *context);
/* The context's side `index` < IRN_SIDES, made at the first call: the same device and OpenCL
 * context with a queue, programs and memory of its own, for another thread. It ends with the
 * context. */
irn_status irn_context_side(irn_context **out, irn_context *context, size_t index);
/* Logs what the side has had to say since the last time: the context's callback is called by the
 * context's own thread alone. No other thread may use the side then. */
void irn_context_tell_side(irn_context *context, size_t index);
/* Counts what the sides held at most as held by the context at once, in its peak memory. No thread
 * may use them then. */
void irn_context_count_sides(irn_context *context);

/* ---- memory.c ---- */

/* Device memory of count items of size bytes (count 0: one item), zeroed if asked. Limits are
 * checked first. Errors: IRN_ERROR_MEMORY with the size wanted, the device's limit and what is
 * held. */
irn_status irn_memory_create(irn_context *context, cl_mem *out, size_t count, size_t size,
                             bool zero);
/* NULL is allowed. */
void irn_memory_release(irn_context *context, cl_mem memory);
/* Blocking copies; offset and size in bytes. Waits for all work queued before. */
irn_status irn_memory_write(irn_context *context, cl_mem memory, size_t offset, const void *data,
                            size_t size);
irn_status irn_memory_read(irn_context *context, cl_mem memory, size_t offset, void *data,
                           size_t size);
irn_status irn_memory_zero(irn_context *context, cl_mem memory, size_t offset, size_t size);
irn_status irn_memory_copy(irn_context *context, cl_mem from, size_t from_offset, cl_mem to,
                           size_t to_offset, size_t size);
/* Waits until the queue is empty. */
irn_status irn_finish(irn_context *context);

/* ---- program.c ---- */

/* The kernel `name` of the program made from `sources`, names of embedded files separated by
 * spaces, built with "-cl-std=CL1.2 -DB=.. -DWG=.. <options>". Compiled once per context and cached
 * on disk. The kernel belongs to the context. */
irn_status irn_kernel(irn_context *context, const char *sources, const char *options,
                      const char *name, cl_kernel *out);
void irn_programs_free(irn_context *context);
/* mkdir -p, private to the user; what goes wrong shows when a file is written there. */
void irn_cache_make_folders(const char *folder);

/* ---- call.c ---- */

/* One launch in the making: the first failure sticks and irn_call_run() returns it, so that
 * arguments are listed without a test after each. Arguments go by position. */
typedef struct irn_call {
    irn_context *context;
    cl_kernel kernel;
    const char *name;
    cl_uint index;
    size_t first1; /* global offset in dimension 1 */
    irn_status status;
} irn_call;

irn_call irn_call_begin(irn_context *context, const char *sources, const char *options,
                        const char *name);
/* A buffer and its element offset: two kernel arguments, `__global T *p, ulong p0`. A NULL buffer
 * stands for an operand that the kernel's flags turn off. */
void irn_call_memory(irn_call *call, cl_mem memory, size_t offset);
void irn_call_int(irn_call *call, size_t value); /* cl_int; fails beyond INT_MAX */
void irn_call_uint(irn_call *call, uint32_t value);
void irn_call_ulong(irn_call *call, uint64_t value);
void irn_call_float(irn_call *call, float value);
void irn_call_real(irn_call *call, bool is_double, double value); /* a kernel's `real` */
/* Work-group size in dimension 0 is local (0: the driver's choice) and global[0] is rounded up to
 * it; dimensions 1 and 2 have groups of 1. */
irn_status irn_call_run(irn_call *call, size_t global0, size_t global1, size_t global2,
                        size_t local);

/* Adds a name unless it is there. Names are kept as they are, not copied. */
void irn_launches_add(irn_launches *launches, const char *name);

/* ---- turns.c ---- */

/* Whether the device takes all turns of long loops; drivers that end them early do so in silence,
 * and what they compute then proves nothing. Found out once for each context. */
irn_status irn_context_loops(irn_context *context, bool *whole);

#endif
