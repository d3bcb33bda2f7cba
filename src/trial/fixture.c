#include "trial/trial.h"
#include "base/philox.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the numbers that devices are checked with. */
static const uint64_t seed = UINT64_C(0x69726e6573657421);

/* ---- what is freed after a family ---- */

void irn_trial_clear(irn_trial *trial)
{
    for (size_t i = 0; i < trial->host_count; i++)
        free(trial->hosts[i]);
    for (size_t i = 0; i < trial->memory_count; i++)
        irn_memory_release(trial->context, trial->memories[i]);
    free(trial->hosts);
    free(trial->memories);
    trial->hosts = NULL;
    trial->memories = NULL;
    trial->host_count = trial->memory_count = 0;
}

/* Room for one more of what is freed. */
static irn_status grow(void *list, size_t count, size_t size)
{
    enum { STEP = 64 };
    void *old, *larger;
    memcpy(&old, list, sizeof old);
    if (count % STEP)
        return IRN_OK;
    larger = realloc(old, (count + STEP) * size);
    if (!larger)
        return irn_fail(IRN_ERROR_MEMORY, "no memory to check the device");
    memcpy(list, &larger, sizeof larger);
    return IRN_OK;
}

irn_status irn_trial_memory(irn_trial *trial, size_t count, size_t size, void *out)
{
    void *memory;
    memset(out, 0, sizeof memory);
    IRN_TRY(grow(&trial->hosts, trial->host_count, sizeof *trial->hosts));
    IRN_TRY(irn_alloc(&memory, count, size));
    trial->hosts[trial->host_count++] = memory;
    memcpy(out, &memory, sizeof memory);
    return IRN_OK;
}

irn_status irn_trial_doubles(irn_trial *trial, size_t count, double **out)
{
    return irn_trial_memory(trial, count, sizeof **out, out);
}

irn_status irn_trial_normal(irn_trial *trial, size_t count, double spread, double **out)
{
    float *values;
    IRN_TRY(irn_trial_memory(trial, count, sizeof *values, &values));
    irn_normal_fill(values, count, seed, IRN_STREAM_TOY, trial->drawn++);
    for (size_t i = 0; i < count; i++)
        values[i] *= (float)spread;
    return irn_trial_widened(trial, values, count, out);
}

irn_status irn_trial_floats(irn_trial *trial, const double *values, size_t count, float **out)
{
    IRN_TRY(irn_trial_memory(trial, count, sizeof **out, out));
    for (size_t i = 0; i < count; i++)
        (*out)[i] = (float)values[i];
    return IRN_OK;
}

irn_status irn_trial_widened(irn_trial *trial, const float *values, size_t count, double **out)
{
    IRN_TRY(irn_trial_doubles(trial, count, out));
    for (size_t i = 0; i < count; i++)
        (*out)[i] = (double)values[i];
    return IRN_OK;
}

/* ---- device memory ---- */

/* Values to the device in a precision, or back. */
static irn_status write_reals(irn_trial *trial, irn_precision precision, irn_place place,
                              const double *values, size_t count)
{
    size_t size = irn_precision_size(precision);
    float *narrow = NULL;
    if (precision == IRN_SINGLE)
        IRN_TRY(irn_trial_floats(trial, values, count, &narrow));
    return irn_memory_write(trial->context, place.memory, place.offset * size,
                            narrow ? (const void *)narrow : (const void *)values, count * size);
}

static irn_status read_reals(irn_trial *trial, irn_precision precision, irn_place place,
                             size_t count, double **out)
{
    size_t size = irn_precision_size(precision);
    float *narrow;
    if (precision == IRN_DOUBLE) {
        IRN_TRY(irn_trial_doubles(trial, count, out));
        return irn_memory_read(trial->context, place.memory, place.offset * size, *out,
                               count * size);
    }
    IRN_TRY(irn_trial_memory(trial, count, sizeof *narrow, &narrow));
    IRN_TRY(
        irn_memory_read(trial->context, place.memory, place.offset * size, narrow, count * size));
    return irn_trial_widened(trial, narrow, count, out);
}

irn_status irn_trial_room(irn_trial *trial, irn_precision precision, size_t count, irn_place *out)
{
    enum { OFFSET = 64 }; /* offsets are arguments too */
    double *nan;
    *out = (irn_place){NULL, OFFSET};
    IRN_TRY(grow(&trial->memories, trial->memory_count, sizeof *trial->memories));
    IRN_TRY(irn_memory_create(trial->context, &out->memory, OFFSET + count,
                              irn_precision_size(precision), false));
    trial->memories[trial->memory_count++] = out->memory;
    IRN_TRY(irn_trial_doubles(trial, OFFSET + count, &nan));
    for (size_t i = 0; i < OFFSET + count; i++)
        nan[i] = NAN;
    return write_reals(trial, precision, (irn_place){out->memory, 0}, nan, OFFSET + count);
}

/* ---- layouts ---- */

static size_t tensor_index(const irn_tensor *t, size_t image, size_t channel, size_t pixel)
{
    size_t block = t->context->tuning.channel_block, pixels = t->height * t->width;
    size_t blocks = irn_channel_blocks(t->context, t->channels);
    return ((image * blocks + channel / block) * pixels + pixel) * block + channel % block;
}

/* The device's order from the host's, or back. */
static void reorder_tensor(const irn_tensor *t, double *host, double *device, bool to_device)
{
    size_t pixels = t->height * t->width;
    for (size_t n = 0; n < t->images; n++)
        for (size_t c = 0; c < t->channels; c++)
            for (size_t p = 0; p < pixels; p++) {
                size_t at = tensor_index(t, n, c, p), i = (n * t->channels + c) * pixels + p;
                *(to_device ? &device[at] : &host[i]) = to_device ? host[i] : device[at];
            }
}

static void reorder_kernel(const irn_context *context, const irn_conv *c, double *host,
                           double *device, bool to_device)
{
    size_t b = context->tuning.channel_block, taps = c->kernel_height * c->kernel_width;
    size_t in_blocks = irn_channel_blocks(context, c->inputs);
    for (size_t o = 0; o < c->outputs; o++)
        for (size_t i = 0; i < c->inputs; i++)
            for (size_t t = 0; t < taps; t++) {
                size_t pair = o / b * in_blocks + i / b;
                size_t at = ((pair * taps + t) * b + i % b) * b + o % b;
                size_t from = (o * c->inputs + i) * taps + t;
                *(to_device ? &device[at] : &host[from]) = to_device ? host[from] : device[at];
            }
}

irn_status irn_trial_tensor(irn_trial *trial, irn_precision precision, const size_t shape[4],
                            const double *values, irn_tensor *out)
{
    irn_place place;
    double *device;
    *out = (irn_tensor){trial->context, NULL, 0, precision, shape[0], shape[1], shape[2], shape[3]};
    IRN_TRY(irn_trial_room(trial, precision, irn_tensor_size(out), &place));
    out->memory = place.memory;
    out->offset = place.offset;
    if (!values)
        return IRN_OK;
    IRN_TRY(irn_trial_doubles(trial, irn_tensor_size(out), &device));
    reorder_tensor(out, (double *)values, device, true); /* which is only read this way */
    return write_reals(trial, precision, place, device, irn_tensor_size(out));
}

irn_status irn_trial_vector(irn_trial *trial, irn_precision precision, size_t channels,
                            const double *values, irn_place *out)
{
    irn_tensor tensor;
    IRN_TRY(irn_trial_tensor(trial, precision, (size_t[4]){1, channels, 1, 1}, values, &tensor));
    *out = (irn_place){tensor.memory, tensor.offset};
    return IRN_OK;
}

irn_status irn_trial_kernel(irn_trial *trial, irn_precision precision, const irn_conv *conv,
                            const double *values, irn_place *out)
{
    double *device;
    size_t size = irn_conv_weights(trial->context, conv);
    IRN_TRY(irn_trial_room(trial, precision, size, out));
    if (!values)
        return IRN_OK;
    IRN_TRY(irn_trial_doubles(trial, size, &device));
    reorder_kernel(trial->context, conv, (double *)values, device, true);
    return write_reals(trial, precision, *out, device, size);
}

irn_status irn_trial_read_tensor(irn_trial *trial, const irn_tensor *tensor, double **out)
{
    double *device;
    size_t count = tensor->images * tensor->channels * tensor->height * tensor->width;
    IRN_TRY(irn_trial_doubles(trial, count, out));
    IRN_TRY(read_reals(trial, tensor->precision, (irn_place){tensor->memory, tensor->offset},
                       irn_tensor_size(tensor), &device));
    reorder_tensor(tensor, *out, device, false);
    return IRN_OK;
}

irn_status irn_trial_read_vector(irn_trial *trial, irn_precision precision, irn_place place,
                                 size_t channels, double **out)
{
    irn_tensor tensor = {trial->context, place.memory, place.offset, precision, 1, channels, 1, 1};
    return irn_trial_read_tensor(trial, &tensor, out);
}

irn_status irn_trial_read_kernel(irn_trial *trial, irn_precision precision, irn_place place,
                                 const irn_conv *conv, double **out)
{
    double *device;
    IRN_TRY(irn_trial_doubles(
        trial, conv->outputs * conv->inputs * conv->kernel_height * conv->kernel_width, out));
    IRN_TRY(read_reals(trial, precision, place, irn_conv_weights(trial->context, conv), &device));
    reorder_kernel(trial->context, conv, *out, device, false);
    return IRN_OK;
}

/* ---- comparisons ---- */

static bool is_in(const irn_launches *launches, const char *name)
{
    for (size_t i = 0; i < launches->count; i++)
        if (strcmp(launches->names[i], name) == 0)
            return true;
    return false;
}

void irn_trial_suspects(irn_trial *trial, char *text, size_t size)
{
    const irn_launches *list = &trial->compared;
    bool any = false;
    if (trial->launched.count)
        trial->compared = trial->launched;
    trial->launched.count = 0;
    for (size_t i = 0; i < list->count; i++)
        any = any || !is_in(&trial->passed, list->names[i]);
    int used = snprintf(text, size, "kernel");
    for (size_t i = 0; i < list->count && used >= 0 && (size_t)used < size; i++) {
        if (any && is_in(&trial->passed, list->names[i]))
            continue;
        used += snprintf(text + used, size - (size_t)used, " %s", list->names[i]);
    }
}

irn_status irn_trial_error(irn_trial *trial, const char *what, double error, double limit)
{
    irn_check_result *result = &trial->result;
    char suspects[384];
    bool right = error <= limit;
    bool nearer = error * result->limit > result->error * limit || !(result->limit > 0);
    if (!right || !result->worst || nearer) {
        snprintf(trial->worst, sizeof trial->worst, "%s", what);
        result->worst = trial->worst;
        result->error = error;
        result->limit = limit;
    }
    irn_trial_suspects(trial, suspects, sizeof suspects);
    for (size_t i = 0; right && i < trial->compared.count; i++)
        irn_launches_add(&trial->passed, trial->compared.names[i]);
    if (right)
        return IRN_OK;
    return irn_fail(IRN_ERROR_DEVICE, "%s (%s) has an error of %.3g; at most %.3g is allowed", what,
                    suspects, error, limit);
}

irn_status irn_trial_values(irn_trial *trial, const char *what, const double *expected,
                            const double *got, size_t count, double limit)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += (got[i] - expected[i]) * (got[i] - expected[i]);
        norm += expected[i] * expected[i];
    }
    return irn_trial_error(trial, what, sqrt(norm > 0 ? difference / norm : difference), limit);
}

irn_status irn_trial_is_tensor(irn_trial *trial, const char *what, const double *expected,
                               const irn_tensor *got, double limit)
{
    double *values;
    IRN_TRY(irn_trial_read_tensor(trial, got, &values));
    return irn_trial_values(trial, what, expected, values,
                            got->images * got->channels * got->height * got->width, limit);
}

irn_status irn_trial_is_vector(irn_trial *trial, const char *what, const double *expected,
                               irn_precision precision, irn_place got, size_t channels,
                               double limit)
{
    double *values;
    IRN_TRY(irn_trial_read_vector(trial, precision, got, channels, &values));
    return irn_trial_values(trial, what, expected, values, channels, limit);
}

double irn_trial_limit(irn_precision precision)
{
    return precision == IRN_DOUBLE ? 1e-12 : 1e-5;
}

irn_status irn_trial_absent(irn_trial *trial, const char *why)
{
    trial->result.outcome = IRN_CHECK_ABSENT;
    snprintf(trial->sentence, sizeof trial->sentence, "%s %s", trial->context->info.name, why);
    return IRN_OK;
}
