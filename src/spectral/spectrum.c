#include "spectral/spectrum_job.h"
#include "spectral/svd.h"

#include <math.h>
#include <stdlib.h>

/* Below this a tap sum takes less than a millisecond, and baking a plan takes 0.05 to 4 s. */
static const double worth_baking = 1 << 18;

irn_status irn_spectrum_create(irn_spectrum **out, irn_context *context)
{
    IRN_TRY(irn_alloc(out, 1, sizeof **out));
    (*out)->context = context;
    (*out)->worth = worth_baking;
    (*out)->route = context->info.has_fp64 ? IRN_ROUTE_FFT : IRN_ROUTE_HOST;
    irn_status status = irn_fft_create(&(*out)->fft, context);
    if (status != IRN_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

void irn_spectrum_free(irn_spectrum *spectrum)
{
    if (!spectrum)
        return;
    irn_fft_free(spectrum->fft);
    free(spectrum);
}

void irn_spectrum_force(irn_spectrum *spectrum, irn_spectrum_route route)
{
    spectrum->route = route > spectrum->route ? route : spectrum->route;
    spectrum->worth = 0;
}

irn_spectrum_route irn_spectrum_taken(const irn_spectrum *spectrum)
{
    return spectrum->taken;
}

static void job_end(irn_job *j)
{
    irn_context *context = j->spectrum->context;
    irn_memory_release(context, j->device_taps);
    irn_memory_release(context, j->device_offsets);
    irn_memory_release(context, j->device_table);
    irn_memory_release(context, j->device_matrices);
    irn_memory_release(context, j->device_scratch);
    irn_memory_release(context, j->device_values);
    free(j->table);
    free(j->phases);
    free(j->matrices);
    free(j->scratch);
}

static irn_status job_begin(irn_job *j)
{
    IRN_TRY(irn_layout_of(&j->layout, j->list));
    j->frequencies = irn_frequency_count(j->list);
    IRN_TRY(irn_alloc(&j->table, j->frequencies, sizeof *j->table));
    irn_frequency_table(j->list, j->table);
    return irn_alloc(&j->phases, 2 * j->list->count, sizeof(double));
}

void irn_job_symbol(const irn_job *j, size_t index, double *matrix)
{
    size_t flat = (size_t)j->table[index], width = j->list->axes[1].torus;
    irn_symbol_at(j->list, &j->layout, flat / width, flat % width, j->phases, matrix);
}

static irn_status run_on_host(irn_job *j, double *values)
{
    IRN_TRY(irn_alloc(&j->matrices, j->layout.size, sizeof(double)));
    IRN_TRY(irn_alloc(&j->scratch, irn_svd_scratch(&j->layout), sizeof(double)));
    for (size_t f = 0; f < j->frequencies; f++) {
        irn_job_symbol(j, f, j->matrices);
        irn_svd_host(&j->layout, j->matrices, j->scratch, values + f * j->wanted, j->wanted);
    }
    return IRN_OK;
}

irn_status irn_spectrum_values(irn_spectrum *spectrum, const irn_tap_list *list, size_t wanted,
                               double *values)
{
    irn_job j = {.spectrum = spectrum, .list = list, .wanted = wanted};
    irn_status status = job_begin(&j);
    if (status == IRN_OK)
        status = spectrum->route == IRN_ROUTE_HOST ? run_on_host(&j, values)
                                                   : irn_job_run_on_device(&j, values);
    spectrum->taken =
        j.plan ? IRN_ROUTE_FFT
               : (spectrum->route == IRN_ROUTE_HOST ? IRN_ROUTE_HOST : IRN_ROUTE_TAP_SUM);
    job_end(&j);
    return status;
}

irn_status irn_spectrum_norm(irn_spectrum *spectrum, const irn_tap_list *list, double *norm,
                             size_t *frequency)
{
    size_t count = irn_frequency_count(list), best = 0;
    int *table;
    double *values = NULL;
    IRN_TRY(irn_alloc(&table, count, sizeof *table));
    irn_status status = irn_alloc(&values, count, sizeof *values);
    if (status == IRN_OK)
        status = irn_spectrum_values(spectrum, list, 1, values);
    if (status == IRN_OK) {
        irn_frequency_table(list, table);
        /* A NaN wins, whatever made it, and stays. */
        for (size_t f = 1; f < count && !isnan(values[best]); f++)
            if (!(values[f] <= values[best]))
                best = f;
        *norm = values[best];
        *frequency = (size_t)table[best];
    }
    free(values);
    free(table);
    return status;
}
