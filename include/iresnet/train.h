/* Training: optimisers, single steps for a caller's own loop, and a complete fit on a data set with
 * checkpoints. */
#ifndef IRESNET_TRAIN_H
#define IRESNET_TRAIN_H

#include <iresnet/data.h>
#include <iresnet/model.h>
#include <iresnet/roulette.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct irn_trainer irn_trainer;

#define IRN_EXACT_DIMENSIONS 64

/* What is learned: classes, by cross-entropy; the density, by maximum likelihood; or both. */
typedef enum irn_task { IRN_CLASSIFY, IRN_DENSITY, IRN_HYBRID } irn_task;

/* How the gradient of log-determinants is estimated: that of the truncated power series, exactly
 * (Behrmann et al. 2019, algorithm 2); by the Neumann series, with the same expectation, in less
 * time and in memory that does not grow with the number of terms; or by the Neumann series with a
 * random number of terms, which is unbiased (Chen et al. 2019, "Residual Flows", section 3) but for
 * terms behind the 64th, which are never taken. EXACT is no estimate but the whole Jacobian, for
 * blocks of up to IRN_EXACT_DIMENSIONS dimensions.
 *
 * Roulette's expectation is right whatever its parameter, but geometric's variance is proven finite
 * only where L^2 < 1 - p for every block's L: with p = 0.5 for L < 0.707. Coefficients near 1 allow
 * more, the presets' 0.97^3 = 0.91. Steps may then, though rarely, have very wrong gradients, which
 * grow with the largest eigenvalues of the Jacobians, as a rule far below L; clip_norm bounds what
 * they do. p = (1 - L^2) / 2 is safe, and takes 1/p further terms on average instead of 2. It is
 * not the default, because a step of mnist-density with 4 terms takes twice as long with it. */
typedef enum irn_logdet_gradient {
    IRN_GRADIENT_SERIES,
    IRN_GRADIENT_NEUMANN,
    IRN_GRADIENT_ROULETTE,
    IRN_GRADIENT_EXACT
} irn_logdet_gradient;

typedef enum irn_optimizer { IRN_SGD, IRN_ADAM, IRN_ADAMAX } irn_optimizer;

#define IRN_MAX_MILESTONES 8

typedef struct irn_train_options {
    uint32_t version; /* IRN_TRAIN_OPTIONS_VERSION */
    irn_task task;
    double density_weight; /* hybrid: the loss is cross-entropy + this x bits per dimension; from
                              1e-6 to 1e6 */
    irn_logdet_gradient logdet;
    size_t terms; /* of the series; with roulette, of those always taken */
    irn_roulette_kind roulette;
    double roulette_parameter; /* p or lambda; 0: 0.5 or 2, see below */
    size_t probes;             /* random vectors a sample and block, of which the mean is taken */
    bool gaussian_probes;      /* standard normal ones; false: +1 and -1 (Rademacher) */
    irn_optimizer optimizer;
    double learning_rate;
    double momentum;              /* SGD */
    double beta1, beta2, epsilon; /* Adam, Adamax (Kingma and Ba 2015) */
    double weight_decay;          /* added to the gradient of every parameter */
    double clip_norm;             /* gradients longer than this are shortened to it; 0: never */
    double average_decay;         /* of an exponential moving average of the parameters, which takes
                                     their place in tests and at the end; 0: none */
    size_t accumulate;       /* batches go through in so many parts, for less memory; 1: whole. Of a
                                density the gradient is the same; classifiers' batch statistics, and
                                actnorm's first values, are those of a part. Where a density's batch
                                does not fit the device, and actnorm has its values, there are as
                                many more parts as it takes, and the context's log is told */
    size_t power_iterations; /* per step and layer */
    double power_tolerance;  /* 0: none; else each step goes on with every layer, looking after so
                                many iterations (at least 1), until sigma's relative change since
                                the last look is at most this, up to 100 */
    size_t warmup_steps;     /* the rate rises linearly over this many steps */
    size_t
        milestone_count; /* at each milestone (a fraction of the epochs) the rate is multiplied */
    double milestones[IRN_MAX_MILESTONES]; /* 0..1 */
    double milestone_factor;
    size_t epochs, batch; /* of irn_trainer_fit() */
    irn_augmentation augmentation;
    uint64_t seed; /* of order and augmentation */
} irn_train_options;

#define IRN_TRAIN_OPTIONS_VERSION 1

/* Defaults, or those of a preset, the same as irn_model_config_init()'s; NULL: general. */
IRN_API irn_status irn_train_options_init(irn_train_options *options, const char *preset);

/* Means over the steps since the last report. */
typedef struct irn_step_report {
    uint64_t step;   /* steps done since the beginning of training */
    double loss;     /* what is minimised: nats of cross-entropy, bits per dimension, or the sum */
    double accuracy; /* 0..1, on the training batches as they were; NaN without classes */
    double bits_per_dim; /* estimated as in training; NaN without a density */
} irn_step_report;

/* The trainer changes the model's parameters in place and uses it until irn_trainer_free(). Errors:
 * IRN_ERROR_ARGUMENT, IRN_ERROR_UNSUPPORTED (no head), IRN_ERROR_MEMORY. */
IRN_API irn_status irn_trainer_create(irn_trainer **out, irn_model *model,
                                      const irn_train_options *options);
IRN_API void irn_trainer_free(irn_trainer *trainer);

/* One step on x [batch, channels, height, width] and labels [batch]: power iteration, forward with
 * batch statistics, backward through sigma (math: iR eq. 2), update. report NULL: the step is
 * queued and the call does not wait for the device; else the report is read, which waits. Labels
 * out of range are IRN_ERROR_ARGUMENT, and nothing has changed then. A step that fails otherwise,
 * because the device fails or actnorm cannot take its first values from the batch (for a density,
 * every channel must vary in it), is not counted and updates no parameter, but may have moved the
 * norms' estimates, actnorm's first values and the head's running statistics; certified bounds are
 * forgotten. Where memory does not suffice, before the step or in the middle of it, it is
 * IRN_ERROR_MEMORY with a sentence that says which batch would fit, for which the device has just
 * given the memory, and given it back. A loss that is NaN or infinite is IRN_ERROR_NUMERIC when it
 * is read, after the update. Of steps that were only queued a device may report the failure later,
 * when the parameters are already spoiled: then go on from a checkpoint. */
IRN_API irn_status irn_trainer_step(irn_trainer *trainer, const float *x, const int *labels,
                                    size_t batch, irn_step_report *report);
IRN_API irn_status irn_trainer_report(irn_trainer *trainer, irn_step_report *report);
/* For all steps from here on, those of irn_trainer_fit() too, in place of the options' schedule;
 * NaN returns to it. Checkpoints do not keep it. */
IRN_API void irn_trainer_set_learning_rate(irn_trainer *trainer, double rate);
/* Another number of epochs for irn_trainer_fit(), after a resume say. Milestones are fractions of
 * it, so that the rates differ from those of a run with the first number where there are any. */
IRN_API void irn_trainer_set_epochs(irn_trainer *trainer, size_t epochs);

/* Everything that training goes on from: parameters, optimiser, counters, options; whole or not at
 * all. Resuming continues bit for bit on the same device, also from the file that irn_trainer_fit()
 * writes. What is saved after a fit is complete has converged norms: going on from there is sound,
 * but not the same to the bit as never having stopped. */
IRN_API irn_status irn_trainer_save(irn_trainer *trainer, const char *path);
/* Opens a checkpoint: makes the model, which the caller frees after the trainer, and the trainer.
 */
IRN_API irn_status irn_trainer_load(irn_trainer **out, irn_model **model, irn_context *context,
                                    const char *path);
IRN_API const irn_train_options *irn_trainer_get_options(const irn_trainer *trainer);

/* What irn_trainer_fit() tells while it works. */
typedef struct irn_fit_event {
    bool epoch_done;       /* false: some steps done; true: an epoch is complete and saved */
    size_t epoch, epochs;  /* 1-based */
    size_t step, steps;    /* within the epoch */
    double loss, accuracy; /* means over the epoch so far */
    double bits_per_dim;   /* likewise; NaN without a density */
    double test_accuracy; /* if epoch_done and a test set was given; else NaN, as without classes */
    double test_bits_per_dim; /* if epoch_done, a test set was given and a density is learned; */
    double test_bits_per_dim_error; /* else NaN. Of up to 256 of its examples, the same after every
                                       epoch and fewer of small training sets; and its standard
                                       error */
    double learning_rate;
    double seconds; /* since fit began */
    double images_per_second;
} irn_fit_event;

/* Return false to stop: a checkpoint is kept and irn_trainer_fit() returns IRN_ERROR_CANCELLED, or
 * IRN_OK after the last epoch, when there is nothing left to stop. */
typedef bool (*irn_fit_callback)(const irn_fit_event *event, void *payload);

/* Trains for the options' epochs, from where the trainer stands (also in the middle of an epoch
 * after a resume), and saves checkpoint_path after each epoch and when stopped (NULL: never). test
 * may be NULL. A loss that is not finite stops it with IRN_ERROR_NUMERIC, and so do parameters of
 * which samples of the last batch have scores or densities that are not: these are looked at before
 * they are saved, so that the checkpoint that is kept, which the sentence names, was good. It is
 * named too, and stays as it is, when the device fails or its memory runs out (IRN_ERROR_DEVICE,
 * IRN_ERROR_MEMORY). After
 * the last step the power iteration is run to convergence once. Its means are of its own steps:
 * what steps before it have counted and no report has read is forgotten. */
IRN_API irn_status irn_trainer_fit(irn_trainer *trainer, const irn_dataset *train,
                                   const irn_dataset *test, const char *checkpoint_path,
                                   irn_fit_callback callback, void *payload);

/* Share of correct predictions on a data set, 0..1. */
IRN_API irn_status irn_model_accuracy(irn_model *model, const irn_dataset *dataset,
                                      irn_progress progress, void *payload, double *accuracy);

#ifdef __cplusplus
}
#endif

#endif
