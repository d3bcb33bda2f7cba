/* z on the device: one tensor for each part that leaves the network, in the order of
 * model->scales. */
#ifndef IRN_LATENTS_H
#define IRN_LATENTS_H

#include "flow/model.h"

typedef struct irn_latents {
    irn_tensor parts[IRN_MAX_STAGES];
} irn_latents;

/* Memory for the parts that leave before the last, which stays where the last block put it. */
irn_status irn_latents_create(irn_latents *out, const irn_model *model, irn_precision precision,
                              size_t images);
void irn_latents_free(irn_latents *latents);

/* A tensor's memory with the shape of a part. */
irn_tensor irn_latent_view(const irn_model *model, const irn_tensor *memory, size_t scale,
                           size_t images);

/* Between all parts and [images, D] floats on the device. */
irn_status irn_latents_pack(const irn_latents *latents, const irn_model *model, cl_mem z,
                            size_t offset);
irn_status irn_latents_unpack(const irn_latents *latents, const irn_model *model, cl_mem z,
                              size_t offset);

/* How many channels stay in the network where a block's output splits. */
size_t irn_split_rest(const irn_block *block);
/* x, the output of a block that splits, becomes a part and the rest; and back. */
irn_status irn_part_leave(const irn_tensor *x, const irn_tensor *part, const irn_tensor *rest);
irn_status irn_part_join(const irn_tensor *part, const irn_tensor *rest, const irn_tensor *x);

#endif
