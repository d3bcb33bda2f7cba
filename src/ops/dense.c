#include "ops/dense.h"
#include "ops/application.h"
#include "ops/elementwise.h"
#include "runtime/blas.h"

static const char sources[] = "common.clh activation.clh epilogue.clh dense.cl";

static bool suits(const irn_context *context, const irn_conv *conv, irn_tile_use use)
{
    return context->tuning.tiles[use].size[0] > 0 && !context->blas_refused &&
           conv->kernel_height == 1 && conv->kernel_width == 1;
}

bool irn_dense_suits(const irn_context *context, const irn_conv *conv)
{
    return suits(context, conv, IRN_TILE_DENSE);
}

bool irn_dense_gradient_suits(const irn_context *context, const irn_conv *conv)
{
    return suits(context, conv, IRN_TILE_DENSE_GRADIENT);
}

/* ---- some images at a time ---- */

/* Rows or columns of a matrix: channels with their padding, which is zero. */
static size_t padded(const irn_context *context, size_t channels)
{
    return irn_channel_blocks(context, channels) * context->tuning.channel_block;
}

/* How many of the images are multiplied in one call. */
static size_t group_of(const irn_context *context, irn_tile_use use, size_t images, size_t plane)
{
    size_t most = context->tuning.tiles[use].size[0] / irn_larger(plane, 1);
    return irn_smaller(irn_larger(most, 1), irn_larger(images, 1));
}

/* As many images of a tensor from `first` on, NULL of none. */
static const irn_tensor *some_of(irn_tensor *out, const irn_tensor *tensor, size_t first,
                                 size_t images)
{
    if (!tensor)
        return NULL;
    *out = irn_tensor_view(tensor, images, tensor->channels, tensor->height, tensor->width);
    out->offset += first * irn_tensor_image_size(tensor);
    return out;
}

/* ---- between maps and matrices ---- */

/* A part of the scratch that holds a matrix, see dense.cl. */
typedef struct matrix {
    cl_mem memory;
    size_t offset, channel_step, pixel_step;
} matrix;

/* The kernel as a map of one image. */
static irn_tensor kernel_map(irn_context *context, irn_place weights, size_t inputs, size_t outputs)
{
    return (irn_tensor){context, weights.memory, weights.offset, IRN_SINGLE, 1, outputs, inputs, 1};
}

static irn_call begin(irn_context *context, const irn_conv *conv, const char *kernel)
{
    char options[IRN_APPLICATION_OPTIONS];
    irn_application_options(options, context, IRN_SINGLE, conv->activation);
    return irn_call_begin(context, sources, options, kernel);
}

static void add_shape(irn_call *call, const irn_tensor *map, const matrix *m)
{
    irn_call_int(call, map->images);
    irn_call_int(call, irn_channel_blocks(map->context, map->channels));
    irn_call_int(call, map->height * map->width);
    irn_call_int(call, m->channel_step);
    irn_call_int(call, m->pixel_step);
}

static irn_status run(irn_call *call, const irn_tensor *map)
{
    return irn_call_run(call, map->images * map->height * map->width,
                        irn_channel_blocks(map->context, map->channels), 1,
                        map->context->tuning.work_group);
}

static irn_status pack(const irn_conv *conv, const irn_tensor *x, matrix to)
{
    irn_call call = begin(x->context, conv, "dense_pack");
    irn_call_memory(&call, x->memory, x->offset);
    irn_call_memory(&call, to.memory, to.offset);
    add_shape(&call, x, &to);
    return run(&call, x);
}

static irn_status finish(const irn_conv *conv, matrix from, const irn_epilogue *epilogue,
                         const irn_tensor *y)
{
    const irn_place none = {NULL, 0};
    irn_tensor source = *y; /* of which only the place matters */
    source.memory = from.memory;
    source.offset = from.offset;
    irn_call call = begin(y->context, conv, "dense_finish");
    irn_application_arguments(&call, &source, none, epilogue, y);
    add_shape(&call, y, &from);
    irn_call_int(&call, irn_application_flags(conv, epilogue, y, y));
    return run(&call, y);
}

/* ---- y = W x ---- */

size_t irn_dense_scratch(irn_context *context, const irn_conv *conv, size_t height, size_t width)
{
    size_t plane = height * width;
    size_t pixels = group_of(context, IRN_TILE_DENSE, SIZE_MAX, plane) * plane;
    size_t inputs = padded(context, conv->inputs), outputs = padded(context, conv->outputs);
    return irn_larger(irn_gemm_scratch(context, pixels, outputs, inputs),
                      irn_gemm_scratch(context, pixels, inputs, outputs));
}

/* Pixels run fastest in the matrices of x and y, output channels in that of W. */
static irn_status multiply(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                           const irn_epilogue *epilogue, const irn_tensor *y, cl_mem scratch,
                           bool *done)
{
    irn_context *context = x->context;
    size_t pixels = x->images * x->height * x->width;
    size_t inputs = padded(context, x->channels), outputs = padded(context, y->channels);
    irn_gemm p = irn_gemm_of(pixels, outputs, inputs);
    irn_tensor kernel = kernel_map(context, weights, inputs, outputs);
    *done = false;
    IRN_TRY(irn_application_check(x, y));
    IRN_TRY(pack(conv, x, (matrix){scratch, p.a, pixels, 1}));
    IRN_TRY(pack(conv, &kernel, (matrix){scratch, p.b, 1, outputs}));
    IRN_TRY(irn_gemm_run(&p, context, scratch, false, done));
    return *done ? finish(conv, (matrix){scratch, p.c, pixels, 1}, epilogue, y) : IRN_OK;
}

/* Forward and backward alike: where there is one tap, neither has a border. */
irn_status irn_dense_apply(const irn_conv *conv, irn_place weights, const irn_tensor *x,
                           const irn_epilogue *epilogue, const irn_tensor *y, cl_mem scratch)
{
    irn_context *context = x->context;
    size_t group = group_of(context, IRN_TILE_DENSE, x->images, x->height * x->width);
    for (size_t first = 0; first < x->images; first += group) {
        size_t images = irn_smaller(group, x->images - first);
        irn_tensor in, out, minuend, derivative, residual;
        irn_epilogue e = *epilogue;
        bool done = false;
        some_of(&in, x, first, images);
        some_of(&out, y, first, images);
        e.minuend = some_of(&minuend, e.minuend, first, images);
        e.derivative = some_of(&derivative, e.derivative, first, images);
        e.residual = some_of(&residual, e.residual, first, images);
        if (!context->blas_refused)
            IRN_TRY(multiply(conv, weights, &in, &e, &out, scratch, &done));
        if (!done)
            IRN_TRY(irn_conv_forward(conv, weights, &in, &e, &out));
    }
    return IRN_OK;
}

/* ---- the weight gradient ---- */

/* Also what takes CLBlast's place needs, and the sums for the bias. */
size_t irn_dense_gradient_scratch(irn_context *context, const irn_conv *conv, size_t images,
                                  size_t height, size_t width)
{
    size_t plane = height * width;
    size_t pixels = group_of(context, IRN_TILE_DENSE_GRADIENT, images, plane) * plane;
    size_t own = irn_gemm_scratch(context, padded(context, conv->outputs),
                                  padded(context, conv->inputs), pixels);
    size_t other = irn_conv_gradient_scratch(context, conv, images, height, width);
    return irn_larger(irn_larger(own, other), irn_channel_scratch(context, conv->outputs));
}

/* Channels run fastest in all matrices. Without images there is nothing to sum, and *done is false.
 */
static irn_status sum_products(const irn_conv *conv, const irn_tensor *x, const irn_tensor *y,
                               irn_place weights, cl_mem scratch, bool *done)
{
    irn_context *context = x->context;
    const irn_epilogue plain = {.activate = false};
    size_t plane = x->height * x->width;
    size_t inputs = padded(context, x->channels), outputs = padded(context, y->channels);
    size_t group = group_of(context, IRN_TILE_DENSE_GRADIENT, x->images, plane);
    irn_gemm p = irn_gemm_of(outputs, inputs, group * plane);
    irn_tensor kernel = kernel_map(context, weights, inputs, outputs);
    IRN_TRY(irn_application_check(x, y));
    *done = false;
    for (size_t first = 0; first < x->images; first += group) {
        irn_tensor in, out;
        size_t images = irn_smaller(group, x->images - first);
        some_of(&in, x, first, images);
        some_of(&out, y, first, images);
        p.k = images * plane;
        IRN_TRY(pack(conv, &out, (matrix){scratch, p.a, 1, outputs}));
        IRN_TRY(pack(conv, &in, (matrix){scratch, p.b, 1, inputs}));
        IRN_TRY(irn_gemm_run(&p, context, scratch, first > 0, done));
        if (!*done)
            return IRN_OK;
    }
    return *done ? finish(conv, (matrix){scratch, p.c, 1, outputs}, &plain, &kernel) : IRN_OK;
}

irn_status irn_dense_weight_gradient(const irn_conv *conv, const irn_tensor *x, const irn_tensor *y,
                                     irn_place weights, irn_place bias, cl_mem scratch)
{
    irn_channel_sums sums = {.p = y, .sums = bias, .factor = 1};
    bool done = false;
    if (!x->context->blas_refused)
        IRN_TRY(sum_products(conv, x, y, weights, scratch, &done));
    if (!done)
        return irn_conv_weight_gradient(conv, x, y, weights, bias, scratch);
    return bias.memory ? irn_channel_sums_run(&sums, scratch) : IRN_OK;
}
