/* What estimates of log det(I + J) of a block are made of: J is the Jacobian of g. */
#ifndef IRN_POWERS_H
#define IRN_POWERS_H

#include "flow/workspace.h"

/* <(J^T)^k v, v> image by image for k = 1..terms, where `inputs` were made and v are the images of
 * the probe: values[(k-1) * images + image], added up in float32. Images may repeat, one for each
 * probe. The probe and the inputs lie outside the memory, which has room for as many images; it is
 * overwritten. Needs irn_model_prepare(); waits for the device once, at the end. */
irn_status irn_block_powers(const irn_workspace *memory, const irn_block *block,
                            const irn_tensor *inputs, const irn_tensor *probe, size_t terms,
                            double *values);

#endif
