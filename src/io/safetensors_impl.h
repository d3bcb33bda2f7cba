/* What the parser and the readers of safetensors share. */
#ifndef IRN_SAFETENSORS_IMPL_H
#define IRN_SAFETENSORS_IMPL_H

#include "io/safetensors.h"

#include <cjson/cJSON.h>

#define IRN_SAFETENSORS_PREFIX 8 /* bytes of the header's length */
#define IRN_SAFETENSORS_HEADER_LIMIT 100000000
#define IRN_SAFETENSORS_METADATA "__metadata__"

/* A type of the format; readable ones have a counterpart among ours. */
typedef struct irn_safetensors_type {
    const char *word;
    size_t size;
    bool readable;
    irn_dtype type;
} irn_safetensors_type;

typedef struct irn_safetensors_tensor {
    char *name;
    const irn_safetensors_type *type;
    size_t rank, shape[IRN_MAX_RANK];
    size_t begin, end; /* offsets from the first tensor's data */
} irn_safetensors_tensor;

struct irn_safetensors {
    char *name; /* of the file */
    uint8_t *bytes;
    const uint8_t *data;
    size_t data_size;
    cJSON *metadata; /* an object of strings, or NULL */
    irn_safetensors_tensor *tensors;
    size_t count;
    const irn_safetensors_tensor **by_name; /* sorted */
};

/* NULL if the format has no such type. */
const irn_safetensors_type *irn_safetensors_type_find(const char *word);
const char *irn_safetensors_type_word(irn_dtype type);

/* Reads the header of file->bytes into the rest of *file. */
irn_status irn_safetensors_read_header(irn_safetensors *file, size_t size);

#endif
