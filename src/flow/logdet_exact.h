/* log|det(I + J)| of a block without an estimate: the whole Jacobian J of g, and its determinant.
 */
#ifndef IRN_LOGDET_EXACT_H
#define IRN_LOGDET_EXACT_H

#include "flow/model.h"

/* The host works d^3 / 3 multiply-adds an image. */
#define IRN_EXACT_MOST_DIMENSIONS 4096

/* log|det(I + J)| of each of so many images into the host's values, where `inputs` were made.
 * Actnorm's part is not included. J is float32, whose rounding can move a value by about d L / (1 -
 * L) units of 6e-8, and mostly does by far less; everything else is float64. Needs
 * irn_model_prepare(). Errors: IRN_ERROR_UNSUPPORTED (a block of more dimensions),
 * IRN_ERROR_NUMERIC (a value that is no finite number), IRN_ERROR_MEMORY. */
irn_status irn_block_logdet_exact(const irn_model *model, const irn_block *block,
                                  const irn_tensor *inputs, size_t images, double *values);

#endif
