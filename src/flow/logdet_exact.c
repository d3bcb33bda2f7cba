#include "flow/logdet_exact.h"
#include "base/determinant.h"
#include "flow/workspace.h"

#include <math.h>
#include <stdlib.h>

/* Columns of J are found `columns` at a time, those of `group` images side by side: pair r * group
 * + n is basis vector r of the batch and image n. */
typedef struct columns {
    const irn_model *model;
    const irn_block *block;
    size_t size, group, columns; /* size: d */
    irn_workspace memory;
    irn_tensor inputs[IRN_MAX_LAYERS]; /* of the pairs */
    float *values;                     /* [columns][group][size] */
    double *matrices;                  /* [group][size][size], J^T + I */
} columns;

static void columns_free(columns *c)
{
    irn_workspace_free(&c->memory);
    for (size_t i = 0; i < IRN_MAX_LAYERS; i++)
        irn_tensor_free(&c->inputs[i]);
    free(c->values);
    free(c->matrices);
}

static size_t first_input(const irn_block *block)
{
    return block->first_activation ? 0 : 1;
}

static irn_status columns_create(columns *c, size_t images)
{
    size_t pairs = irn_model_chunk(c->model, images * c->size);
    c->group = irn_larger(1, pairs / c->size);
    c->columns = irn_smaller(pairs, c->size);
    pairs = c->group * c->columns;
    IRN_TRY(irn_workspace_create(&c->memory, c->model, IRN_SINGLE, pairs));
    for (size_t i = first_input(c->block); i < c->model->config.layers; i++)
        IRN_TRY(irn_tensor_create(
            &c->inputs[i], c->model->context, IRN_SINGLE, irn_input_images(c->model, pairs),
            c->block->layers[i].conv.inputs, c->block->height, c->block->width));
    IRN_TRY(irn_alloc(&c->values, pairs * c->size, sizeof *c->values));
    return irn_alloc(&c->matrices, c->group * c->size * c->size, sizeof *c->matrices);
}

/* Images first.. of x, over and over until `to` is full. */
static irn_status repeat(const irn_tensor *x, size_t first, size_t images, const irn_tensor *to)
{
    size_t image = irn_tensor_image_size(x) * sizeof(float);
    size_t size = irn_tensor_size(to) * sizeof(float), done = images * image;
    size_t start = to->offset * sizeof(float);
    IRN_TRY(irn_memory_copy(x->context, x->memory, x->offset * sizeof(float) + first * image,
                            to->memory, start, done));
    while (done < size) {
        size_t more = irn_smaller(done, size - done);
        IRN_TRY(irn_memory_copy(x->context, to->memory, start, to->memory, start + done, more));
        done += more;
    }
    return IRN_OK;
}

static irn_status repeat_inputs(columns *c, const irn_tensor *inputs, size_t first, size_t images,
                                size_t pairs)
{
    for (size_t i = first_input(c->block); i < c->model->config.layers; i++) {
        irn_tensor to = irn_layer_input(c->block, i, &c->inputs[i], pairs);
        irn_tensor saved = irn_saved_input(c->model, &inputs[i]);
        irn_tensor saved_to = irn_saved_input(c->model, &to);
        IRN_TRY(repeat(&inputs[i], first, images, &to));
        if (irn_saves_input(c->model->config.activation))
            IRN_TRY(repeat(&saved, first, images, &saved_to));
    }
    return IRN_OK;
}

/* Rows from `row` on of every J^T, that is J times so many basis vectors. */
static irn_status find_rows(columns *c, size_t row, size_t images)
{
    const irn_block *b = c->block;
    size_t size = c->size, rows = irn_smaller(c->columns, size - row), pairs = rows * images;
    irn_tensor t = irn_tensor_view(&c->memory.flow[0], pairs, b->channels, b->height, b->width);
    irn_tensor out = irn_tensor_view(&c->memory.flow[1], pairs, b->channels, b->height, b->width);
    irn_tensor inputs[IRN_MAX_LAYERS], tangents[IRN_MAX_LAYERS];
    irn_workspace_inputs(&c->memory, b, pairs, tangents);
    for (size_t i = 0; i < c->model->config.layers; i++)
        inputs[i] = irn_layer_input(b, i, &c->inputs[i], pairs);
    for (size_t i = 0; i < pairs * size; i++)
        c->values[i] = i % size == row + i / size / images ? 1 : 0;
    IRN_TRY(irn_tensor_write(&t, c->values, b->channels));
    IRN_TRY(irn_block_jvp(c->model, b, inputs, &t, tangents, &out));
    IRN_TRY(irn_tensor_read(&out, c->values, b->channels));
    for (size_t i = 0; i < pairs * size; i++) {
        size_t pair = i / size, r = row + pair / images, n = pair % images;
        c->matrices[(n * size + r) * size + i % size] =
            (double)c->values[i] + (i % size == r ? 1 : 0);
    }
    return IRN_OK;
}

/* The values of a group: images first..first+images-1. */
static irn_status find_values(columns *c, const irn_tensor *inputs, size_t first, size_t images,
                              double *values)
{
    for (size_t row = 0; row < c->size; row += c->columns) {
        size_t rows = irn_smaller(c->columns, c->size - row);
        if (row == 0 || rows < c->columns)
            IRN_TRY(repeat_inputs(c, inputs, first, images, rows * images));
        IRN_TRY(find_rows(c, row, images));
    }
    for (size_t n = 0; n < images; n++) {
        double value = irn_log_abs_determinant(c->matrices + n * c->size * c->size, c->size);
        if (!isfinite(value))
            return irn_fail(IRN_ERROR_NUMERIC, "log|det(I + J)| of image %zu is %g", first + n,
                            value);
        values[first + n] = value;
    }
    return IRN_OK;
}

irn_status irn_block_logdet_exact(const irn_model *model, const irn_block *block,
                                  const irn_tensor *inputs, size_t images, double *values)
{
    columns c = {.model = model, .block = block};
    c.size = block->channels * block->height * block->width;
    if (c.size > IRN_EXACT_MOST_DIMENSIONS)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "an exact log-determinant of %zux%zux%zu = %zu dimensions, more than the "
                        "limit %d; estimate it by a power series",
                        block->channels, block->height, block->width, c.size,
                        IRN_EXACT_MOST_DIMENSIONS);
    irn_status status = columns_create(&c, images);
    for (size_t first = 0; status == IRN_OK && first < images; first += c.group)
        status = find_values(&c, inputs, first, irn_smaller(c.group, images - first), values);
    columns_free(&c);
    return status;
}
