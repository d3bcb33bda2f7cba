/* What learning densities adds to a training step: log p(z) at the top, log-determinants in every
 * block, and the loss in bits per dimension. */
#ifndef IRN_TRAIN_DENSITY_H
#define IRN_TRAIN_DENSITY_H

#include "flow/logdet.h"
#include "flow/probe.h"

#include <iresnet/train.h>

typedef struct irn_density {
    irn_model *model; /* NULL: densities are not learned */
    const irn_train_options *options;
    irn_logdet pairs; /* of the block at hand */
    irn_series series;
    irn_tensor probe;
    cl_mem values;                /* [images]: weight x log-density, but for what all share */
    cl_mem volume, volume_values; /* <volume, parameters> is actnorm's log-determinant */
    cl_mem pair_gradient;         /* like the parameters */
    double transform;             /* mean log-determinant of the chunk's logit transforms */
    double weight;                /* of a sample's log-density in the loss */
    uint64_t step;
    size_t first_image;      /* of the chunk at hand within the step */
    const irn_tensor *given; /* a probe for each block instead of random ones; NULL: none */
} irn_density;

irn_status irn_density_create(irn_density *out, irn_model *model, const irn_train_options *options);
irn_status irn_density_reserve(irn_density *density, size_t images);
void irn_density_release_batch(irn_density *density);
void irn_density_free(irn_density *density);

/* Pairs that a block has at a time, of all probes. */
size_t irn_density_pairs(const irn_model *model, const irn_train_options *options);
/* Of any block. */
size_t irn_density_most_dimensions(const irn_model *model);

/* Of samples on the host that are the next chunk. */
void irn_density_samples(irn_density *density, const float *x, size_t images);
/* Before a chunk of so many images, of which the first has this number within the step. The loss is
 * the chunk's mean. */
irn_status irn_density_begin(irn_density *density, uint64_t step, size_t first, size_t images);
/* At the top of a chunk, z in its last part and the early ones: the gradient takes the place of the
 * early parts, and is put in last_gradient or, if `add`, added to what is there. */
irn_status irn_density_top(irn_density *density, const irn_tensor *last, const irn_latents *early,
                           bool add, cl_mem gradient, const irn_tensor *last_gradient);
/* At a block on the way back: `output` is the gradient at its output. *residual is what
 * irn_block_vjp() has to add beside pairs.second. */
irn_status irn_density_block(irn_density *density, size_t block, const irn_tensor *inputs,
                             const irn_tensor *output, const irn_tensor **residual);
/* After the blocks of a chunk: what is left of the gradient, and the loss. metrics: of density.cl.
 */
irn_status irn_density_end(irn_density *density, size_t images, cl_mem gradient, irn_place metrics);

#endif
