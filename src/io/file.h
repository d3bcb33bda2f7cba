/* Files read whole within a limit, and written whole or not at all. */
#ifndef IRN_FILE_H
#define IRN_FILE_H

#include "base/base.h"

/* The most bytes of a file that holds arrays, for callers without a tighter limit. */
#define IRN_FILE_LIMIT ((size_t)(SIZE_MAX > UINT32_MAX ? UINT64_C(16) << 30 : UINT64_C(1) << 30))

/* Reads a whole regular file, or standard input for "-", of at most limit bytes; the caller frees
 * *out, whose *size bytes are followed by a zero byte. A gzip file is inflated, within the same
 * limit, if inflate is set and its magic is there. Errors: IRN_ERROR_FILE, IRN_ERROR_FORMAT (over
 * the limit, broken gzip), IRN_ERROR_MEMORY; *out is NULL then. */
irn_status irn_file_read(uint8_t **out, size_t *size, const char *path, size_t limit, bool inflate);

/* Inflates gzip members from memory to at most limit bytes; name is for sentences. As above. */
irn_status irn_gzip_inflate(uint8_t **out, size_t *out_size, const uint8_t *bytes, size_t size,
                            size_t limit, const char *name);

/* Opens a regular file for reading and tells its size; never waits, not even on a pipe. */
irn_status irn_file_open(int *descriptor, uint64_t *size, const char *path);

/* read(2), tried again after a signal: bytes read, 0 at the end. */
irn_status irn_file_read_some(int descriptor, void *out, size_t wanted, size_t *got,
                              const char *name);

/* Records "NAME: cannot ACTION: <the system's words for code>" and returns IRN_ERROR_FILE. */
irn_status irn_fail_errno(const char *name, const char *action, int code);

/* A piece of a file's content made fit for a sentence: control and non-ASCII bytes become '?',
 * what is too long is cut with "...". Returns out. */
#define IRN_EXCERPT 64
const char *irn_excerpt(char out[IRN_EXCERPT], const void *text, size_t size);

/* Whether the bytes are UTF-8 without zero bytes. */
bool irn_is_text(const void *bytes, size_t size);

/* A file in the making: written to a temporary sibling, then renamed over path by commit. What is
 * no regular file ("-", standard output; a device; a pipe) is written to as it is, a symbolic link
 * is followed, and a file that is replaced keeps its permissions. */
typedef struct irn_writer irn_writer;
irn_status irn_writer_open(irn_writer **out, const char *path);
irn_status irn_writer_write(irn_writer *writer, const void *data, size_t size);
/* fsync, rename, fsync of the folder; frees the writer also on failure, leaving what stood at path
 * before (unless the very last step fails: then the new file stands, but may not outlive a crash).
 * Fails if a write failed. */
irn_status irn_writer_commit(irn_writer *writer);
/* Drops it; NULL is allowed. */
void irn_writer_discard(irn_writer *writer);

#endif
