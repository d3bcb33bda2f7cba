/* The safetensors format: an 8-byte length, a JSON header, raw little-endian tensors. */
#ifndef IRN_SAFETENSORS_H
#define IRN_SAFETENSORS_H

#include "base/base.h"

#include <iresnet/array.h>

/* A file held in memory. Read-only; all bounds were checked when it was opened: a header of at most
 * 100 MB and 4,194,304 JSON values, names unique, rank at most IRN_MAX_RANK, size = product of
 * shape x dtype, and the tensors fill the rest of the file without gap, overlap, or bytes left
 * over. */
typedef struct irn_safetensors irn_safetensors;

/* Errors of both: IRN_ERROR_FILE, IRN_ERROR_FORMAT, IRN_ERROR_MEMORY; *out is NULL then. */
irn_status irn_safetensors_open(irn_safetensors **out, const char *path);
/* From bytes in memory, taken over (freed with the object) also on failure; name is for errors. */
irn_status irn_safetensors_parse(irn_safetensors **out, uint8_t *bytes, size_t size,
                                 const char *name);
void irn_safetensors_free(irn_safetensors *file);

/* Path or name it was opened with, for sentences. */
const char *irn_safetensors_name(const irn_safetensors *file);

/* Metadata value by key, NULL if absent. */
const char *irn_safetensors_metadata(const irn_safetensors *file, const char *key);

/* Tensors in the order of their data, which need not be the header's. The view's data points into
 * the file and must not be freed; it may be unaligned for its type: copy with memcpy. Tensors that
 * are not F32, F64, I32, I64 or U8 are listed by name but not readable (IRN_ERROR_UNSUPPORTED). */
size_t irn_safetensors_count(const irn_safetensors *file);
const char *irn_safetensors_tensor_name(const irn_safetensors *file, size_t index);
irn_status irn_safetensors_view(const irn_safetensors *file, size_t index, irn_array *view);
/* Index by name, or SIZE_MAX. */
size_t irn_safetensors_find(const irn_safetensors *file, const char *name);

/* Copies a tensor that must have exactly `count` values as float32 or float64 (from F32 or F64).
 * Errors: IRN_ERROR_FORMAT naming file, tensor, found and expected shape or type if it is missing
 * or does not fit; IRN_ERROR_NUMERIC if a value is NaN, Inf, or beyond the range of out. */
irn_status irn_safetensors_read_float(const irn_safetensors *file, const char *name, size_t count,
                                      float *out);
irn_status irn_safetensors_read_double(const irn_safetensors *file, const char *name, size_t count,
                                       double *out);

/* A file being written: tensors are copied as they are added. In the file the wide types come
 * first, so that all values are aligned; else the order of adding stays. */
typedef struct irn_safetensors_writer irn_safetensors_writer;
irn_status irn_safetensors_writer_create(irn_safetensors_writer **out);
/* Errors of both: IRN_ERROR_ARGUMENT (a name or key twice, not UTF-8, or empty), IRN_ERROR_MEMORY.
 */
irn_status irn_safetensors_add(irn_safetensors_writer *writer, const char *name,
                               const irn_array *array);
irn_status irn_safetensors_add_metadata(irn_safetensors_writer *writer, const char *key,
                                        const char *value);
/* Whole or not at all; "-" is standard output. */
irn_status irn_safetensors_write(const irn_safetensors_writer *writer, const char *path);
void irn_safetensors_writer_free(irn_safetensors_writer *writer);

#endif
