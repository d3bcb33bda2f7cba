/* NPY from memory; the files are in <iresnet/array.h>. */
#ifndef IRN_NPY_H
#define IRN_NPY_H

#include "base/base.h"

#include <iresnet/array.h>

/* Takes over bytes, which malloc() gave, also on failure: out->data is that memory then. name is
 * for sentences. Errors as irn_npy_read(). */
irn_status irn_npy_parse(irn_array *out, uint8_t *bytes, size_t size, const char *name);

/* Values and bytes of an array that a caller filled in. Errors: IRN_ERROR_ARGUMENT for an unknown
 * type, a rank above IRN_MAX_RANK, a size that overflows, or values without data. */
irn_status irn_array_measure(const irn_array *array, size_t *count, size_t *bytes);

/* "[2, 3]" for sentences. Returns out. */
#define IRN_SHAPE_TEXT (IRN_MAX_RANK * 22 + 3)
const char *irn_shape_text(char out[IRN_SHAPE_TEXT], size_t rank, const size_t *shape);

#endif
