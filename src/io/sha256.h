/* SHA-256 as lower-case hexadecimal, to name contents: models in certificates, sources in caches.
 */
#ifndef IRN_SHA256_H
#define IRN_SHA256_H

#include "base/base.h"

#define IRN_SHA256_HEX 65 /* 64 digits and the zero byte */

void irn_sha256_bytes(char out[IRN_SHA256_HEX], const void *bytes, size_t size);

/* Of a regular file. Errors: IRN_ERROR_FILE; out is "" then. */
irn_status irn_sha256_file(char out[IRN_SHA256_HEX], const char *path);

#endif
