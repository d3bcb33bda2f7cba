/* The small network that several checks are of: two stages, kernels of two sizes, everything that
 * models may have. */
#ifndef IRN_TRIAL_SUBJECT_H
#define IRN_TRIAL_SUBJECT_H

#include "trial/twin.h"

enum { IRN_SUBJECT_IMAGES = 3 };

typedef struct irn_subject {
    irn_model *model;
    irn_twin twin;
} irn_subject;

/* A model with random parameters and its twin; the caller ends it, also after a failure. */
irn_status irn_subject_begin(irn_subject *out, irn_trial *trial);
void irn_subject_end(irn_subject *subject);

/* Numbers of images, all of them copies of the twin's in turn: few, and enough for kernels that
 * take a block's layers in one launch. */
size_t irn_subject_few(const irn_subject *subject);
size_t irn_subject_many(const irn_subject *subject);

/* values [twin's images, size] so often that there are `images`. */
irn_status irn_subject_repeat(irn_subject *subject, const double *values, size_t size,
                              size_t images, double **out);

#endif
