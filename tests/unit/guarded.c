#include "guarded.h"

#include "tensor/arena.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GUARD = 64, MAX_PIECES = 4096 };

typedef struct piece {
    cl_mem memory;
    irn_precision precision;
    size_t count;
} piece;

static irn_context *context;
static piece pieces[MAX_PIECES];
static size_t piece_count;

void guarded_begin(irn_context *on)
{
    context = on;
    piece_count = 0;
}

/* The same NaN as filled in? */
static bool untouched(const unsigned char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0xff)
            return false;
    return true;
}

static void check_piece(const piece *p)
{
    unsigned char bytes[GUARD * sizeof(double)];
    size_t size = irn_precision_size(p->precision), length = GUARD * size;
    testing_ok(irn_memory_read(context, p->memory, 0, bytes, length));
    ck_assert_msg(untouched(bytes, length), "something was written before %zu elements", p->count);
    testing_ok(irn_memory_read(context, p->memory, (GUARD + p->count) * size, bytes, length));
    ck_assert_msg(untouched(bytes, length), "something was written behind %zu elements", p->count);
}

void guarded_end(void)
{
    for (size_t i = 0; i < piece_count; i++) {
        check_piece(&pieces[i]);
        irn_memory_release(context, pieces[i].memory);
    }
    piece_count = 0;
}

irn_place guarded_place(irn_precision precision, size_t count)
{
    irn_place place = {NULL, GUARD};
    size_t size = irn_precision_size(precision), bytes = (2 * GUARD + count) * size;
    void *nan = malloc(bytes);
    ck_assert(nan && piece_count < MAX_PIECES);
    memset(nan, 0xff, bytes);
    testing_ok(irn_memory_create(context, &place.memory, 2 * GUARD + count, size, false));
    testing_ok(irn_memory_write(context, place.memory, 0, nan, bytes));
    free(nan);
    pieces[piece_count++] = (piece){place.memory, precision, count};
    return place;
}

irn_tensor guarded_tensor(irn_precision precision, size_t images, size_t channels, size_t height,
                          size_t width, const double *values)
{
    irn_tensor tensor = {context, NULL, 0, precision, images, channels, height, width};
    irn_place place = guarded_place(precision, irn_tensor_size(&tensor));
    tensor.memory = place.memory;
    tensor.offset = place.offset;
    if (values)
        testing_ok(irn_tensor_write(
            &tensor, host_narrow(values, images * channels * height * width), channels));
    return tensor;
}

/* Device order from host order, in any precision; or back. */
static void transfer(irn_place place, irn_precision precision, size_t size, double *values,
                     bool write)
{
    size_t offset = place.offset * irn_precision_size(precision);
    float *narrow = host_narrow(values, size);
    void *data = precision == IRN_DOUBLE ? (void *)values : (void *)narrow;
    size_t bytes = size * irn_precision_size(precision);
    if (write) {
        testing_ok(irn_memory_write(context, place.memory, offset, data, bytes));
        return;
    }
    testing_ok(irn_memory_read(context, place.memory, offset, data, bytes));
    for (size_t i = 0; precision == IRN_SINGLE && i < size; i++)
        values[i] = (double)narrow[i];
}

irn_place guarded_vector(irn_precision precision, size_t channels, const double *values)
{
    size_t size = irn_channel_blocks(context, channels) * context->tuning.channel_block;
    irn_place place = guarded_place(precision, size);
    double *padded = host_doubles(size);
    if (!values)
        return place;
    memcpy(padded, values, channels * sizeof *values);
    transfer(place, precision, size, padded, true);
    return place;
}

/* [O/B][I/B][taps][B in][B out] */
static size_t kernel_index(const irn_conv *c, size_t o, size_t i, size_t tap)
{
    size_t b = context->tuning.channel_block, taps = c->kernel_height * c->kernel_width;
    size_t pair = o / b * irn_channel_blocks(context, c->inputs) + i / b;
    return ((pair * taps + tap) * b + i % b) * b + o % b;
}

irn_place guarded_kernel(irn_precision precision, const irn_conv *c, const double *values)
{
    size_t size = irn_conv_weights(context, c), taps = c->kernel_height * c->kernel_width;
    irn_place place = guarded_place(precision, size);
    double *device = host_doubles(size);
    if (!values)
        return place;
    for (size_t o = 0; o < c->outputs; o++)
        for (size_t i = 0; i < c->inputs; i++)
            for (size_t t = 0; t < taps; t++)
                device[kernel_index(c, o, i, t)] = values[(o * c->inputs + i) * taps + t];
    transfer(place, precision, size, device, true);
    return place;
}

double *guarded_read_kernel(irn_place place, const irn_conv *c)
{
    size_t size = irn_conv_weights(context, c), taps = c->kernel_height * c->kernel_width;
    double *device = host_doubles(size), *values = host_doubles(c->outputs * c->inputs * taps);
    transfer(place, IRN_SINGLE, size, device, false);
    for (size_t o = 0; o < c->outputs; o++)
        for (size_t i = 0; i < c->inputs; i++)
            for (size_t t = 0; t < taps; t++)
                values[(o * c->inputs + i) * taps + t] = device[kernel_index(c, o, i, t)];
    return values;
}

double *guarded_read_vector(irn_place place, size_t channels)
{
    size_t size = irn_channel_blocks(context, channels) * context->tuning.channel_block;
    double *values = host_doubles(size);
    transfer(place, IRN_SINGLE, size, values, false);
    return values;
}

static double *read_tensor(const irn_tensor *t, bool clean)
{
    size_t size = irn_tensor_size(t), pixels = t->height * t->width;
    size_t block = context->tuning.channel_block, blocks = irn_channel_blocks(context, t->channels);
    double *device = host_doubles(size), *values = host_doubles(t->images * t->channels * pixels);
    transfer((irn_place){t->memory, t->offset}, t->precision, size, device, false);
    for (size_t n = 0; n < t->images; n++)
        for (size_t c = 0; c < blocks * block; c++)
            for (size_t p = 0; p < pixels; p++) {
                double value = device[((n * blocks + c / block) * pixels + p) * block + c % block];
                if (c < t->channels)
                    values[(n * t->channels + c) * pixels + p] = value;
                else if (clean)
                    ck_assert_msg(value == 0, "padded channel %zu of %zu holds %g", c, t->channels,
                                  value);
            }
    return values;
}

double *guarded_read(const irn_tensor *tensor)
{
    return read_tensor(tensor, false);
}

double *guarded_read_clean(const irn_tensor *tensor)
{
    return read_tensor(tensor, true);
}

float *guarded_read_raw(irn_place place, size_t count)
{
    float *values = host_floats(count);
    testing_ok(irn_memory_read(context, place.memory, place.offset * sizeof(float), values,
                               count * sizeof(float)));
    return values;
}
