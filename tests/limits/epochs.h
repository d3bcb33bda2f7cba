/* What training leaves when it is stopped by a fault: the checkpoint of a whole epoch, or none. */
#ifndef EPOCHS_H
#define EPOCHS_H

#include "program.h"

#define EPOCHS_CHECKPOINT "run/checkpoint.safetensors"

/* The training that has just left its last checkpoint, again by the library's own functions, to
 * have the checkpoints of all its epochs. */
void keep_epochs(void);

/* The checkpoint is that of an epoch, or near it if `near` is set, of no earlier one than *epochs,
 * which the run with the fault one call earlier has kept, and the sentence says so. With `forever`
 * nothing can be found out about what would fit. */
void check_checkpoint(const program_result *result, const char *where, bool forever, bool near,
                      size_t *epochs);

#endif
