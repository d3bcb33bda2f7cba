/* What the two files of the spectrum share. */
#ifndef IRN_SPECTRUM_JOB_H
#define IRN_SPECTRUM_JOB_H

#include "spectral/fft.h"
#include "spectral/spectrum.h"

struct irn_spectrum {
    irn_context *context;
    irn_fft *fft; /* NULL: the tap sum */
    irn_spectrum_route route, taken;
    double worth; /* multiplications of a tap sum from which on a transform is worth baking */
};

/* One kernel on its way. Device memory is NULL on the host's route. */
typedef struct irn_job {
    irn_spectrum *spectrum;
    const irn_tap_list *list;
    irn_layout layout;
    size_t frequencies, wanted, capacity; /* capacity: frequencies a chunk */
    int *table;
    double *phases, *matrices, *scratch; /* on the host; matrices: one chunk, or one matrix */
    cl_mem device_taps, device_offsets, device_table, device_matrices, device_scratch,
        device_values;
    const irn_fft_plan *plan; /* NULL: the tap sum */
} irn_job;

/* The symbol at entry `index` of the table by the tap sum. */
void irn_job_symbol(const irn_job *job, size_t index, double *matrix);

/* Singular values of all frequencies, on the device. */
irn_status irn_job_run_on_device(irn_job *job, double *values);

#endif
