/* Batches that are too large for the device go through in chunks of images. */
#ifndef IRN_CHUNK_H
#define IRN_CHUNK_H

#include "flow/model.h"

/* How many images go through at a time: as many as asked, as long as memory stays moderate. */
size_t irn_model_chunk(const irn_model *model, size_t images);

/* Takes the images from *done on through the network, chunk at a time, in memory that it makes and
 * gives back, and moves *done along. */
typedef irn_status irn_chunk_pass(void *payload, size_t chunk, size_t *done);

/* Runs a pass, and where memory runs out all the same (others use the device too) goes on with
 * chunks of half the size, down to single images. */
irn_status irn_in_chunks(irn_model *model, size_t chunk, irn_chunk_pass *pass, void *payload);

#endif
