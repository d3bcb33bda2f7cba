/* Samples from NPY files and data sets, checked against the model, and back. */
#include "cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPE_TEXT = 192 };

double cli_larger(double a, double b)
{
    return isnan(a) || b <= a ? a : b;
}

void cli_samples_free(cli_samples *samples)
{
    free(samples->values);
    free(samples->labels);
    memset(samples, 0, sizeof *samples);
}

static const char *shape_text(char out[SHAPE_TEXT], const irn_array *array)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < array->rank && used < SHAPE_TEXT; i++)
        used +=
            (size_t)snprintf(out + used, SHAPE_TEXT - used, i ? ",%zu" : "%zu", array->shape[i]);
    return out;
}

/* Whether the array is [N, rest...]. */
static bool has_shape(const irn_array *array, size_t rank, const size_t *rest)
{
    return array->rank == rank + 1 && memcmp(array->shape + 1, rest, rank * sizeof *rest) == 0;
}

static int check_finite(cli_session *session, const char *path, const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return cli_error(session, CLI_FAILED, "%s: value %zu is %g; all must be finite", path,
                             i, (double)values[i]);
    return CLI_DONE;
}

/* Takes the values of a float32 array that has been checked for its shape. */
static int take_values(cli_session *session, const char *path, irn_array *array, cli_samples *out)
{
    size_t total = irn_array_count(array);
    int result = check_finite(session, path, array->data, total);
    if (result != CLI_DONE)
        return result;
    out->count = array->shape[0];
    out->size = total / out->count;
    out->values = array->data;
    array->data = NULL;
    return CLI_DONE;
}

static int check_type(cli_session *session, const char *path, const irn_array *array)
{
    if (array->type != IRN_FLOAT32)
        return cli_error(session, CLI_FAILED, "%s: holds %s, expected float32", path,
                         irn_dtype_name(array->type));
    if (array->rank > 0 && array->shape[0] == 0)
        return cli_error(session, CLI_FAILED, "%s: holds no samples", path);
    return CLI_DONE;
}

static int take_inputs(cli_session *session, const char *path, irn_array *array, cli_samples *out)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    const size_t image[] = {config->channels, config->height, config->width};
    bool points = config->height == 1 && config->width == 1;
    int result = check_type(session, path, array);
    if (result != CLI_DONE)
        return result;
    if (has_shape(array, 3, image) || (points && has_shape(array, 1, image)))
        return take_values(session, path, array, out);
    char found[SHAPE_TEXT], also[64] = "";
    if (points)
        snprintf(also, sizeof also, " or [N,%zu]", config->channels);
    return cli_error(session, CLI_FAILED, "%s: shape [%s], expected [N,%zu,%zu,%zu]%s for %s", path,
                     shape_text(found, array), image[0], image[1], image[2], also,
                     session->model_path);
}

static int take_latents(cli_session *session, const char *path, irn_array *array, cli_samples *out)
{
    size_t size = irn_model_latent_size(session->model);
    int result = check_type(session, path, array);
    if (result != CLI_DONE)
        return result;
    if (has_shape(array, 1, &size))
        return take_values(session, path, array, out);
    char found[SHAPE_TEXT];
    return cli_error(session, CLI_FAILED, "%s: shape [%s], expected [N,%zu] for %s", path,
                     shape_text(found, array), size, session->model_path);
}

int cli_read_inputs(cli_session *session, const char *path, cli_samples *out)
{
    irn_array array = {.rank = 0};
    irn_status status = irn_npy_read(&array, path);
    int result =
        status == IRN_OK ? take_inputs(session, path, &array, out) : cli_fail(session, status);
    irn_array_free(&array);
    return result;
}

int cli_read_latents(cli_session *session, const char *path, cli_samples *out)
{
    irn_array array = {.rank = 0};
    irn_status status = irn_npy_read(&array, path);
    int result =
        status == IRN_OK ? take_latents(session, path, &array, out) : cli_fail(session, status);
    irn_array_free(&array);
    return result;
}

int cli_check_dataset(cli_session *session, const char *spec, const irn_dataset *dataset)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    irn_dataset_info info = irn_dataset_get_info(dataset);
    if (info.channels != config->channels || info.height != config->height ||
        info.width != config->width)
        return cli_error(session, CLI_FAILED,
                         "%s: examples are %zux%zux%zu, but %s takes %zux%zux%zu", spec,
                         info.channels, info.height, info.width, session->model_path,
                         config->channels, config->height, config->width);
    if (config->classes > 0 && info.classes > config->classes)
        return cli_error(session, CLI_FAILED, "%s: labels up to %zu, but %s knows %zu classes",
                         spec, info.classes - 1, session->model_path, config->classes);
    if (info.count == 0)
        return cli_error(session, CLI_FAILED, "%s: holds no examples", spec);
    return CLI_DONE;
}

int cli_open_dataset(cli_session *session, const char *spec, irn_split split, irn_dataset **out)
{
    irn_status status = irn_dataset_open(out, spec, split);
    if (status != IRN_OK)
        return cli_fail_option(session, status);
    return session->model ? cli_check_dataset(session, spec, *out) : CLI_DONE;
}

/* indices [out->count] of examples to take. */
static int choose(cli_session *session, const irn_dataset *dataset, bool random,
                  const cli_samples *out, uint32_t *indices)
{
    uint32_t *order = NULL;
    bool some = random && out->count < out->total;
    if (some && !(order = calloc(out->total, sizeof *order)))
        return cli_error(session, CLI_FAILED, "no memory for %zu indices", out->total);
    if (some)
        irn_dataset_shuffle(dataset, session->common.seed, 0, order);
    for (size_t i = 0; i < out->count; i++)
        indices[i] = some ? order[i] : (uint32_t)i;
    free(order);
    return CLI_DONE;
}

int cli_take_examples(cli_session *session, const irn_dataset *dataset, size_t limit, bool random,
                      cli_samples *out)
{
    irn_dataset_info info = irn_dataset_get_info(dataset);
    out->total = info.count;
    out->count = limit > 0 && limit < info.count ? limit : info.count;
    out->size = info.channels * info.height * info.width;
    uint32_t *indices = calloc(out->count, sizeof *indices);
    out->values = calloc(out->count, out->size * sizeof *out->values);
    out->labels = info.classes > 0 ? calloc(out->count, sizeof *out->labels) : NULL;
    bool room = indices && out->values && (info.classes == 0 || out->labels);
    int result = room ? choose(session, dataset, random, out, indices)
                      : cli_error(session, CLI_FAILED, "no memory for %zu examples", out->count);
    if (result == CLI_DONE) {
        irn_status status =
            irn_dataset_batch(dataset, indices, out->count, NULL, 0, 0, out->values, out->labels);
        result = status == IRN_OK ? CLI_DONE : cli_fail(session, status);
    }
    free(indices);
    return result;
}

static int read_some(cli_session *session, const char *spec, irn_split split, size_t limit,
                     bool random, cli_samples *out)
{
    irn_dataset *dataset = NULL;
    int result = cli_open_dataset(session, spec, split, &dataset);
    if (result == CLI_DONE)
        result = cli_take_examples(session, dataset, limit, random, out);
    irn_dataset_free(dataset);
    return result;
}

int cli_read_dataset(cli_session *session, const char *spec, irn_split split, size_t limit,
                     cli_samples *out)
{
    return read_some(session, spec, split, limit, false, out);
}

int cli_draw_examples(cli_session *session, const char *spec, irn_split split, size_t limit,
                      cli_samples *out)
{
    return read_some(session, spec, split, limit, true, out);
}

int cli_check_range(cli_session *session, const char *path, const cli_samples *x)
{
    size_t levels = irn_model_get_config(session->model)->levels;
    for (size_t i = 0; levels > 0 && i < x->count * x->size; i++)
        if (!(x->values[i] >= -0.5F && x->values[i] <= 0.5F))
            return cli_error(session, CLI_FAILED,
                             "%s: value %zu of sample %zu is %g; the data must be from -0.5 to 0.5",
                             path, i % x->size, i / x->size, (double)x->values[i]);
    return CLI_DONE;
}

int cli_write_array(cli_session *session, const char *path, irn_dtype type, size_t rank,
                    const size_t *shape, void *values)
{
    irn_array array = {.type = type, .rank = rank, .data = values};
    memcpy(array.shape, shape, rank * sizeof *shape);
    irn_status status = irn_npy_write(&array, path);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

int cli_write_inputs(cli_session *session, const char *path, float *values, size_t count)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    const size_t shape[] = {count, config->channels, config->height, config->width};
    bool points = config->height == 1 && config->width == 1;
    return cli_write_array(session, path, IRN_FLOAT32, points ? 2 : 4, shape, values);
}
