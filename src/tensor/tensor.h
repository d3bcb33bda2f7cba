/* Tensors on the device in the blocked layout [N][C/B][H][W][B], padded channels zero, so that a
 * work-item finds the B channels of a pixel side by side. */
#ifndef IRN_TENSOR_H
#define IRN_TENSOR_H

#include "runtime/runtime.h"

typedef enum irn_precision { IRN_SINGLE, IRN_DOUBLE } irn_precision;

/* A shape in memory. Views share memory: only what irn_tensor_create() made may be freed. */
typedef struct irn_tensor {
    irn_context *context;
    cl_mem memory;
    size_t offset; /* in elements */
    irn_precision precision;
    size_t images, channels, height, width;
} irn_tensor;

size_t irn_precision_size(irn_precision precision);

/* ⌈channels/B⌉. */
size_t irn_channel_blocks(const irn_context *context, size_t channels);
/* Elements of one image, of the whole tensor, and blocks of B in the whole tensor. */
size_t irn_tensor_image_size(const irn_tensor *tensor);
size_t irn_tensor_size(const irn_tensor *tensor);
size_t irn_tensor_blocks(const irn_tensor *tensor);
/* Work-items among which a kernel for CPUs divides its work: a few for each compute unit even out
 * what else the machine does. */
size_t irn_cpu_items(const irn_context *context);
/* Work-items for a kernel that goes through so many blocks with EACH_BLOCK (common.clh). */
size_t irn_block_items(const irn_context *context, size_t blocks);

/* Memory is zeroed. *out is zeroed on failure. */
irn_status irn_tensor_create(irn_tensor *out, irn_context *context, irn_precision precision,
                             size_t images, size_t channels, size_t height, size_t width);
/* A zeroed tensor is allowed, and left behind. */
void irn_tensor_free(irn_tensor *tensor);
/* The same memory under another shape. The caller knows that it fits. */
irn_tensor irn_tensor_view(const irn_tensor *tensor, size_t images, size_t channels, size_t height,
                           size_t width);

/* Programs that most kernels live in: options for irn_call_begin(). */
extern const char irn_general_sources[];
const char *irn_precision_options(irn_precision precision);

/* Between [N][C][H][W] floats in device memory (offset in floats) and the tensor. pack takes the
 * first `channels` channels and fills the others with zeros; unpack gives that many. */
irn_status irn_tensor_pack(const irn_tensor *tensor, cl_mem source, size_t offset, size_t channels);
irn_status irn_tensor_unpack(const irn_tensor *tensor, cl_mem destination, size_t offset,
                             size_t channels);
/* The same with images `row` floats apart in the plain memory: a part of each image, say. */
irn_status irn_tensor_pack_rows(const irn_tensor *tensor, cl_mem source, size_t offset,
                                size_t channels, size_t row);
irn_status irn_tensor_unpack_rows(const irn_tensor *tensor, cl_mem destination, size_t offset,
                                  size_t channels, size_t row);
/* The same with host memory; these wait for the device. */
irn_status irn_tensor_write(const irn_tensor *tensor, const float *source, size_t channels);
irn_status irn_tensor_read(const irn_tensor *tensor, float *destination, size_t channels);

/* Copies all elements, also between float and double. Shapes must be equal. */
irn_status irn_tensor_copy(const irn_tensor *from, const irn_tensor *to);

#endif
