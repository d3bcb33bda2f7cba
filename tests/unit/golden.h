/* Golden files and their names for the arrays of a model. */
#ifndef GOLDEN_H
#define GOLDEN_H

#include "devices.h"

#include "flow/model.h"
#include "io/safetensors.h"

#define GOLDEN_OUTPUT 2e-5   /* relative in norm, of outputs */
#define GOLDEN_GRADIENT 1e-4 /* of gradients and of losses after steps */

/* The path of a file in tests/golden; valid until the next call. */
const char *golden_path(const char *name);
irn_safetensors *golden_open(const char *name);

/* A tensor's values, named as for printf; from the host's pool. */
double *golden_read(const irn_safetensors *file, size_t *count, const char *name, ...)
    __attribute__((format(printf, 3, 4)));
double golden_number(const irn_safetensors *file, const char *name, ...)
    __attribute__((format(printf, 2, 3)));
int *golden_labels(const irn_safetensors *file, size_t *count);

/* One array of a model and the official code's name for it. */
typedef struct golden_entry {
    char name[80];
    bool state; /* else a parameter */
    size_t entry;
} golden_entry;

enum { GOLDEN_MAX_ENTRIES = 256 };
size_t golden_entries(const irn_model *model, golden_entry out[GOLDEN_MAX_ENTRIES]);

/* Values of an entry, in any buffer of its arena's layout. */
double *golden_entry_values(const irn_model *model, const golden_entry *entry, cl_mem buffer,
                            size_t *count);

/* A number in the metadata. */
double golden_metadata_number(const irn_safetensors *file, const char *key);

/* The block of a block-*.safetensors file, as a model of this one block; u and v before the first
 * power iteration. */
irn_model *golden_block(irn_context *context, const irn_safetensors *file);

#endif
