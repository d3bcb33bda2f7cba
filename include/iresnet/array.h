/* Host arrays, and their NPY files (NumPy's format, versions 1.0 to 3.0, C order, little endian).
 */
#ifndef IRESNET_ARRAY_H
#define IRESNET_ARRAY_H

#include <iresnet/status.h>

#ifdef __cplusplus
extern "C" {
#endif

#define IRN_MAX_RANK 8

typedef enum irn_dtype { IRN_FLOAT32, IRN_FLOAT64, IRN_INT32, IRN_INT64, IRN_UINT8 } irn_dtype;

/* Row-major, contiguous. rank 0 is a scalar (one value). data is owned by the array. */
typedef struct irn_array {
    irn_dtype type;
    size_t rank;
    size_t shape[IRN_MAX_RANK];
    void *data;
} irn_array;

/* Bytes of one value (0 for no type), and values in the array (0 if their number overflows). */
IRN_API size_t irn_dtype_size(irn_dtype type);
IRN_API const char *irn_dtype_name(irn_dtype type);
IRN_API size_t irn_array_count(const irn_array *array);

/* Makes a zeroed array. Errors: IRN_ERROR_ARGUMENT (rank above IRN_MAX_RANK), IRN_ERROR_MEMORY
 * (also when the size overflows). Free with irn_array_free(), which also accepts a zeroed struct.
 */
IRN_API irn_status irn_array_create(irn_array *out, irn_dtype type, size_t rank,
                                    const size_t *shape);
IRN_API void irn_array_free(irn_array *array);

/* Reads an NPY file. The size in the header is checked against the file's before anything is
 * allocated. Errors: IRN_ERROR_FILE, IRN_ERROR_FORMAT (truncated, trailing bytes, Fortran order,
 * other dtypes), IRN_ERROR_MEMORY. On failure *out is zeroed. */
IRN_API irn_status irn_npy_read(irn_array *out, const char *path);

/* Writes whole or not at all (temporary file, fsync, rename); "-" is standard output. */
IRN_API irn_status irn_npy_write(const irn_array *array, const char *path);

#ifdef __cplusplus
}
#endif

#endif
