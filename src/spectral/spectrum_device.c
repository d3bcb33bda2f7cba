#include "spectral/spectrum_job.h"
#include "spectral/svd.h"

#include <math.h>
#include <stdlib.h>

/* Device memory that the matrices of one chunk of frequencies may take. */
enum { MAX_CHUNK = 160 << 20 };

static const char symbol_sources[] = "common.clh spectral_symbol.cl";
static const char svd_sources[] = "common.clh group.clh spectral_reflect.clh svd.cl";
static const char build_options[] = "-DREAL=double";

/* One frequency is just a sum, and frequencies that are shifted are not those of a transform. */
static bool transform_pays(const irn_job *j)
{
    const irn_tap_list *list = j->list;
    double work =
        (double)list->outputs * (double)list->inputs * (double)list->count * (double)j->frequencies;
    return j->spectrum->route == IRN_ROUTE_FFT && j->spectrum->fft && work >= j->spectrum->worth &&
           list->axes[0].shift == 0 && list->axes[1].shift == 0 &&
           list->axes[0].torus * list->axes[1].torus > 1;
}

static irn_status upload(irn_context *context, cl_mem *out, const void *values, size_t count,
                         size_t size)
{
    IRN_TRY(irn_memory_create(context, out, count, size, false));
    return irn_memory_write(context, *out, 0, values, count * size);
}

/* For the device: less than the torus, which an int holds, also where they count modulo two of it.
 */
static irn_status upload_offsets(irn_job *j)
{
    size_t count = j->list->count;
    int(*offsets)[2];
    IRN_TRY(irn_alloc(&offsets, count, sizeof *offsets));
    for (size_t t = 0; t < count; t++)
        for (int axis = 0; axis < 2; axis++)
            offsets[t][axis] = (int)(j->list->offsets[t][axis] % j->list->axes[axis].torus);
    irn_status status =
        upload(j->spectrum->context, &j->device_offsets, offsets, count, sizeof *offsets);
    free(offsets);
    return status;
}

static irn_status device_memory(irn_job *j)
{
    irn_context *context = j->spectrum->context;
    const irn_tap_list *list = j->list;
    uint64_t most = context->info.max_allocation;
    size_t room = (size_t)(most < MAX_CHUNK ? most : MAX_CHUNK) / sizeof(double) / j->layout.size;
    j->capacity = room < 1 ? 1 : room < j->frequencies ? room : j->frequencies;
    /* Rows that fill up the columns must be zero, and the SVD leaves zeros zero. */
    IRN_TRY(irn_memory_create(context, &j->device_matrices, j->capacity * j->layout.size,
                              sizeof(double), true));
    IRN_TRY(irn_memory_create(context, &j->device_scratch,
                              j->capacity * irn_svd_scratch(&j->layout), sizeof(double), false));
    IRN_TRY(irn_memory_create(context, &j->device_values, j->capacity * j->wanted, sizeof(double),
                              false));
    if (transform_pays(j))
        IRN_TRY(irn_fft_get(j->spectrum->fft, list->axes[0].torus, list->axes[1].torus, &j->plan));
    if (!j->plan)
        return IRN_OK;
    IRN_TRY(upload_offsets(j));
    IRN_TRY(upload(context, &j->device_taps, list->values,
                   list->count * list->outputs * list->inputs, sizeof(double)));
    return upload(context, &j->device_table, j->table, j->frequencies, sizeof(int));
}

static irn_status call_with(irn_call *call, const size_t *integers, size_t count, size_t global0,
                            size_t global1)
{
    for (size_t i = 0; i < count; i++)
        irn_call_int(call, integers[i]);
    return irn_call_run(call, global0, global1, 1, call->context->tuning.work_group);
}

/* Entries first... of the matrix, as many as a batch takes, on the torus. */
static irn_status embed(irn_job *j, size_t first)
{
    irn_context *context = j->spectrum->context;
    const irn_tap_list *list = j->list;
    irn_call call = irn_call_begin(context, symbol_sources, build_options, "embed");
    irn_call_memory(&call, j->device_taps, 0);
    irn_call_memory(&call, j->device_offsets, 0);
    irn_call_memory(&call, j->plan->data, 0);
    const size_t integers[] = {
        first,          list->outputs * list->inputs, j->plan->batch,      list->inputs,
        j->layout.rows, j->layout.transposed,         list->axes[0].torus, list->axes[1].torus,
        list->count};
    return call_with(&call, integers, sizeof integers / sizeof *integers, j->plan->batch,
                     context->info.is_simt ? list->axes[0].torus : 1);
}

/* `count` entries from `first` on, into the matrices of `frequencies` frequencies. */
static irn_status gather(irn_job *j, size_t first, size_t count, size_t frequency,
                         size_t frequencies)
{
    irn_context *context = j->spectrum->context;
    irn_call call = irn_call_begin(context, symbol_sources, build_options, "gather");
    irn_call_memory(&call, j->plan->data, 0);
    irn_call_memory(&call, j->device_table, frequency);
    irn_call_memory(&call, j->device_matrices, 0);
    const size_t integers[] = {first,
                               count,
                               j->list->axes[0].torus * j->list->axes[1].torus,
                               j->layout.columns,
                               j->layout.rows,
                               j->layout.stride};
    return call_with(&call, integers, sizeof integers / sizeof *integers,
                     context->info.is_simt ? count : 1, frequencies);
}

/* Matrices of the frequencies first... by clFFT. *done is false if it fails. */
static irn_status fill_by_fft(irn_job *j, size_t first, size_t count, bool *done)
{
    size_t entries = j->list->outputs * j->list->inputs, batch = j->plan->batch;
    *done = false;
    for (size_t entry = 0; entry < entries; entry += batch) {
        if (first == 0 || entries > batch) {
            IRN_TRY(embed(j, entry));
            if (!irn_fft_forward(j->spectrum->fft, j->plan))
                return IRN_OK;
        }
        IRN_TRY(gather(j, entry, entries - entry < batch ? entries - entry : batch, first, count));
    }
    *done = true;
    return IRN_OK;
}

static irn_status fill_by_tap_sum(irn_job *j, size_t first, size_t count)
{
    if (!j->matrices)
        IRN_TRY(irn_alloc(&j->matrices, j->capacity * j->layout.size, sizeof(double)));
    for (size_t f = 0; f < count; f++)
        irn_job_symbol(j, first + f, j->matrices + f * j->layout.size);
    return irn_memory_write(j->spectrum->context, j->device_matrices, 0, j->matrices,
                            count * j->layout.size * sizeof(double));
}

/* clFFT is known to give wrong results on some drivers (its issues #181, #210): three matrices of
 * every kernel are compared with the tap sum. */
static irn_status check_transform(irn_job *j, size_t count, bool *good)
{
    size_t bytes = j->layout.size * sizeof(double);
    const size_t probes[] = {0, count / 2, count - 1};
    double *pair, limit = 1e-12 * j->list->weight;
    IRN_TRY(irn_alloc(&pair, 2, bytes));
    irn_status status = IRN_OK;
    *good = true;
    for (size_t p = 0; p < 3 && status == IRN_OK && *good; p++) {
        double *got = pair, *expected = pair + j->layout.size;
        status = irn_memory_read(j->spectrum->context, j->device_matrices, probes[p] * bytes, got,
                                 bytes);
        irn_job_symbol(j, probes[p], expected);
        for (size_t i = 0; i < j->layout.size; i++)
            if (!(fabs(got[i] - expected[i]) <= limit))
                *good = false;
    }
    free(pair);
    return status;
}

static irn_status fill(irn_job *j, size_t first, size_t count)
{
    bool good = false;
    if (j->plan) {
        IRN_TRY(fill_by_fft(j, first, count, &good));
        if (good && first == 0)
            IRN_TRY(check_transform(j, count, &good));
        if (good)
            return IRN_OK;
        irn_log(j->spectrum->context, "clFFT fails on %s: using the sum over the taps",
                j->spectrum->context->info.name);
        irn_spectrum_force(j->spectrum, IRN_ROUTE_TAP_SUM);
        j->plan = NULL;
    }
    return fill_by_tap_sum(j, first, count);
}

static irn_status decompose(irn_job *j, size_t count)
{
    irn_context *context = j->spectrum->context;
    irn_call call = irn_call_begin(context, svd_sources, build_options, "svd");
    irn_call_memory(&call, j->device_matrices, 0);
    irn_call_memory(&call, j->device_scratch, 0);
    irn_call_memory(&call, j->device_values, 0);
    irn_call_int(&call, j->layout.columns);
    irn_call_int(&call, j->layout.stride);
    irn_call_int(&call, j->wanted);
    return irn_call_run(&call, count * context->tuning.work_group, 1, 1,
                        context->tuning.work_group);
}

irn_status irn_job_run_on_device(irn_job *j, double *values)
{
    IRN_TRY(device_memory(j));
    for (size_t first = 0; first < j->frequencies; first += j->capacity) {
        size_t left = j->frequencies - first, count = left < j->capacity ? left : j->capacity;
        IRN_TRY(fill(j, first, count));
        IRN_TRY(decompose(j, count));
        IRN_TRY(irn_memory_read(j->spectrum->context, j->device_values, 0,
                                values + first * j->wanted, count * j->wanted * sizeof(double)));
    }
    return IRN_OK;
}
