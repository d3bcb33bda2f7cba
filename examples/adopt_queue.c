/* The library inside a program that has its own OpenCL context and queue: a small network encodes a
 * batch that is already in a device buffer, in the caller's queue, without a copy through the host.
 *
 * Usage: adopt_queue. Exit status: 0; 1 if something failed. */
#include <iresnet/iresnet.h>

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 4, SIDE = 16, COUNT = BATCH * SIDE * SIDE };

typedef struct device {
    cl_device_id id;
    cl_context context;
    cl_command_queue queue;
} device;

/* The first device of any platform; some platforms have none. */
static bool find_device(cl_device_id *out)
{
    cl_platform_id platforms[8];
    cl_uint platform_count = 0, device_count = 0;
    if (clGetPlatformIDs(8, platforms, &platform_count) != CL_SUCCESS)
        return false;
    for (cl_uint i = 0; i < platform_count && i < 8 && device_count == 0; i++)
        if (clGetDeviceIDs(platforms[i], CL_DEVICE_TYPE_ALL, 1, out, &device_count) != CL_SUCCESS)
            device_count = 0;
    return device_count > 0;
}

static bool open_device(device *self)
{
    cl_int error;
    if (!find_device(&self->id))
        return false;
    self->context = clCreateContext(NULL, 1, &self->id, NULL, NULL, &error);
    if (!self->context)
        return false;
    self->queue = clCreateCommandQueue(self->context, self->id, 0, &error);
    return self->queue != NULL;
}

static irn_status make_model(irn_model **model, irn_context *library)
{
    irn_model_config config;
    irn_status status = irn_model_config_init(&config, NULL);
    config.channels = 1;
    config.height = config.width = SIDE;
    return status == IRN_OK ? irn_model_create(model, library, &config) : status;
}

/* Both buffers begin with values that are not the network's, so the offsets are not 0. */
static int encode(const device *self, irn_model *model)
{
    enum { X_OFFSET = 16, Z_OFFSET = 32 };
    static float x[X_OFFSET + COUNT], z[COUNT];
    cl_int error = CL_SUCCESS;
    for (size_t i = 0; i < COUNT; i++)
        x[X_OFFSET + i] = (float)(i % 101) / 101.0F - 0.5F;
    cl_mem x_buffer =
        clCreateBuffer(self->context, CL_MEM_READ_ONLY | CL_MEM_COPY_HOST_PTR, sizeof x, x, &error);
    cl_mem z_buffer = clCreateBuffer(self->context, CL_MEM_READ_WRITE,
                                     (Z_OFFSET + COUNT) * sizeof(float), NULL, &error);
    bool done = x_buffer && z_buffer;
    if (done && irn_model_encode_cl(model, x_buffer, X_OFFSET, BATCH, z_buffer, Z_OFFSET)) {
        fprintf(stderr, "adopt_queue: %s\n", irn_last_error());
        done = false;
    }
    /* The same queue: what is enqueued here sees the library's results. */
    if (done)
        done = clEnqueueReadBuffer(self->queue, z_buffer, CL_TRUE, Z_OFFSET * sizeof(float),
                                   sizeof z, z, 0, NULL, NULL) == CL_SUCCESS;
    if (done)
        printf("encoded %d images in the caller's queue: z[0] = %g for x[0] = %g\n", BATCH,
               (double)z[0], (double)x[X_OFFSET]);
    if (x_buffer)
        clReleaseMemObject(x_buffer);
    if (z_buffer)
        clReleaseMemObject(z_buffer);
    return done ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(void)
{
    device own = {NULL, NULL, NULL};
    irn_context *library = NULL;
    irn_model *model = NULL;
    int result = EXIT_FAILURE;
    if (!open_device(&own))
        fprintf(stderr, "adopt_queue: no OpenCL device\n");
    else if (irn_context_adopt(&library, own.context, own.id, own.queue, NULL) != IRN_OK ||
             make_model(&model, library) != IRN_OK)
        fprintf(stderr, "adopt_queue: %s\n", irn_last_error());
    else
        result = encode(&own, model);
    irn_model_free(model);
    irn_context_free(library); /* before the queue and the context it was given */
    if (own.queue)
        clReleaseCommandQueue(own.queue);
    if (own.context)
        clReleaseContext(own.context);
    return result;
}
