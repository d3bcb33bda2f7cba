/* The inside of a trainer: what a step keeps between its forward and its backward half, and what it
 * keeps between steps. */
#ifndef IRN_TRAINER_H
#define IRN_TRAINER_H

#include "train/density.h"

#include <iresnet/train.h>

/* What a block's backward half needs from its forward half. */
typedef struct irn_tape_block {
    irn_tensor z;                      /* after actnorm */
    irn_tensor inputs[IRN_MAX_LAYERS]; /* [0] only where an activation stands first */
} irn_tape_block;

/* Host memory from which a batch travels while the next one is made. */
typedef struct irn_upload_slot {
    float *x;
    int *labels;
    cl_event done; /* of the last copy out of it; NULL: free */
} irn_upload_slot;

/* What steps have added up since the last report; `metrics` of head.cl. The counts are whole
 * numbers: floats would stop at 2^24. */
typedef struct irn_metrics {
    cl_float loss;
    cl_uint correct, samples;
} irn_metrics;

/* `density_metrics` of density.cl. */
typedef struct irn_density_metrics {
    cl_float bits;
    cl_uint samples;
} irn_density_metrics;

struct irn_trainer {
    irn_model *model;
    irn_train_options options;
    uint64_t step;
    double rate; /* set by irn_trainer_set_learning_rate(); NaN: the options' schedule */

    size_t capacity; /* images there is room for */
    size_t parts;    /* in which batches go through: options.accumulate, or more that fit */
    uint64_t given;  /* bytes that the device gave when the last room was made */
    size_t part;     /* of the step, if batches go through in parts */
    size_t first;    /* image of that part, within the step */
    irn_tape_block *tape;
    irn_tensor top;                        /* the last part of z */
    irn_latents early;                     /* the others, and then the gradients there */
    irn_tensor gradient[2];                /* of the loss at a block's output, in turn */
    irn_tensor cotangents[IRN_MAX_LAYERS]; /* as irn_block_vjp() keeps them */
    irn_head_memory head;
    irn_upload_slot slots[2];
    cl_mem x, labels; /* the batch on the device */

    cl_mem parameter_gradient, sigma_gradient; /* like the parameters */
    cl_mem accumulated, average;               /* likewise, if the options want them */
    cl_mem state;                              /* the model's, while averages are tested */
    cl_mem moments[2];                         /* the optimiser's, like the parameters */
    cl_mem dots, partials, sums;
    cl_mem metrics;         /* an irn_metrics */
    cl_mem density_metrics; /* an irn_density_metrics */
    irn_density density;
    bool samples_ready; /* discrete values have been made continuous by the caller */
};

/* ---- trainer_memory.c ---- */
irn_status irn_trainer_allocate(irn_trainer *trainer);
/* Room for a batch of so many images; what was on the tape is lost. */
irn_status irn_trainer_reserve(irn_trainer *trainer, size_t images);
void irn_trainer_release(irn_trainer *trainer);
void irn_trainer_release_batch(irn_trainer *trainer);

/* ---- room.c ---- */
/* Room for a step with a batch of so many images. Where memory is short and parts give the same
 * gradient, more parts; else the failure's sentence says which batch would fit. */
irn_status irn_trainer_make_room(irn_trainer *trainer, size_t images);
/* Memory has run out in the middle of a step: gives the batch's memory back and adds to the last
 * sentence which batch would fit. Without effect if there is no batch, as after it. */
void irn_trainer_explain_memory(irn_trainer *trainer);

/* ---- batch.c ---- */
irn_status irn_trainer_check_labels(const irn_trainer *trainer, const int *labels, size_t images);
/* Labels have been checked, where there are any. */
irn_status irn_trainer_upload(irn_trainer *trainer, const float *x, const int *labels,
                              size_t images);

/* ---- step.c ---- */
/* All of an undivided step but the update: the batch must have been uploaded. Afterwards
 * parameter_gradient holds the gradient with respect to the raw parameters, and *input_gradient, if
 * not NULL, is a view of that with respect to the first block's input. */
irn_status irn_trainer_gradients(irn_trainer *trainer, size_t images, irn_tensor *input_gradient);
/* A whole step, queued. */
irn_status irn_trainer_queue_step(irn_trainer *trainer, const float *x, const int *labels,
                                  size_t images, double rate);

/* ---- check.c ---- */
/* IRN_ERROR_NUMERIC if the model, as it would be saved now, gives samples scores or densities that
 * are not finite. Nothing that training goes on from changes. */
irn_status irn_trainer_check(irn_trainer *trainer, const float *x, size_t images);

/* ---- held_out.c ---- */
typedef struct irn_test_density {
    double bits_per_dim, standard_error; /* NaN: none, or no numbers */
} irn_test_density;
/* Of some examples of a test set, beside epochs of `train` examples; of the parameters as they are.
 */
irn_status irn_trainer_test_density(irn_trainer *trainer, const irn_dataset *test, size_t train,
                                    irn_test_density *out);

/* ---- average.c ---- */
/* Without an average, or before the first step, these do nothing. Between begin and end the model
 * has the averaged parameters, unless begin fails; take leaves them there. */
irn_status irn_average_begin(irn_trainer *trainer);
irn_status irn_average_end(irn_trainer *trainer);
irn_status irn_average_take(irn_trainer *trainer);

/* ---- optimizer.c ---- */
irn_status irn_optimizer_update(irn_trainer *trainer, double rate);
/* The rate that the caller has set, else the schedule's at the trainer's step, for an epoch of so
 * many steps (0: unknown, no milestones). */
double irn_trainer_rate(const irn_trainer *trainer, size_t steps_per_epoch);

#endif
