/* What a certificate is checked against: the layers and blocks that are in a file, listed without a
 * device and without the code that makes models. */
#ifndef IRN_VERIFY_H
#define IRN_VERIFY_H

#include "certify/certificate.h"

typedef struct irn_subject irn_subject;

/* From bytes of a file, taken over also on failure; path is for sentences. What bare weights stand
 * for is taken from the certificate: which tensors count, and their normalisation. Errors:
 * IRN_ERROR_FORMAT, IRN_ERROR_MEMORY. */
irn_status irn_subject_open(irn_subject **out, const irn_certificate *certificate, uint8_t *bytes,
                            size_t size, const char *path);
void irn_subject_free(irn_subject *subject);

/* Else bare weights. */
bool irn_subject_is_model(const irn_subject *subject);
size_t irn_subject_layer_count(const irn_subject *subject);

/* Whether the layer is the file's at this number: its name, kernel, scale; for a model also map and
 * padding, which weights do not have. scale_upper: an upper bound of the exact scale's size, of
 * which layer->scale may be the rounded one. Errors: IRN_ERROR_NOT_CERTIFIED with a sentence; those
 * of the file. */
irn_status irn_subject_compare(const irn_subject *subject, size_t index,
                               const irn_layer_bound *layer, double *scale_upper);
/* The layer's kernel in float64, which the caller frees. */
irn_status irn_subject_kernel(const irn_subject *subject, size_t index, double **out);

typedef struct irn_subject_block {
    char name[48];
    size_t first_layer, layers;
    size_t dimension;
    bool split;         /* part of z leaves behind it */
    irn_interval scale; /* contains the factors of its actnorm */
} irn_subject_block;

size_t irn_subject_block_count(const irn_subject *subject);
irn_status irn_subject_block_at(const irn_subject *subject, size_t index, irn_subject_block *out);

#endif
