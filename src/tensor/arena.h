/* Named arrays side by side in one device buffer: all parameters of a model, say, so that an
 * optimiser is one kernel and a copy is one copy. Each entry has the host's order for files and
 * users, and the device's blocked order, in which padding is zero. */
#ifndef IRN_ARENA_H
#define IRN_ARENA_H

#include "tensor/tensor.h"

#include <limits.h>

/* Elements of an array of weights, at most: kernels count them, and those of a bias with them, in
 * ints. */
enum { IRN_MOST_WEIGHTS = INT_MAX / 2 };

typedef enum irn_entry_kind {
    IRN_ENTRY_KERNEL, /* [O,I,kh,kw] on the host; [O/B][I/B][kh*kw][B in][B out] on the device */
    IRN_ENTRY_TENSOR /* [C,H,W] on the host; [C/B][H][W][B] on the device; vectors have H = W = 1 */
} irn_entry_kind;

typedef struct irn_entry {
    char name[56];
    irn_entry_kind kind;
    size_t shape[4]; /* O,I,kh,kw, or C,H,W,1 */
    size_t rank;     /* on the host: how many of shape a file shows */
    size_t offset;   /* elements from the arena's beginning; a multiple of 64 */
    size_t size;     /* elements on the device, padding included */
} irn_entry;

typedef struct irn_arena {
    irn_context *context;
    irn_entry *entries;
    size_t count, capacity;
    size_t size; /* elements of all entries */
} irn_arena;

void irn_arena_init(irn_arena *arena, irn_context *context);
void irn_arena_free(irn_arena *arena);

/* Appends an entry; *index, if not NULL, is where it stands in entries. Errors: IRN_ERROR_MEMORY;
 * IRN_ERROR_UNSUPPORTED beyond what kernels count in ints. */
irn_status irn_arena_add(irn_arena *arena, irn_entry_kind kind, const size_t shape[4], size_t rank,
                         size_t *index, const char *name, ...) IRN_PRINTF(6, 7);

/* A zeroed buffer of the arena's size, of floats. */
irn_status irn_arena_create_buffer(const irn_arena *arena, cl_mem *out);

/* Values of an entry on the host. */
size_t irn_entry_count(const irn_entry *entry);

/* Copies an entry of a buffer from or to the host's order. They wait for the device. */
irn_status irn_arena_write(const irn_arena *arena, cl_mem buffer, const irn_entry *entry,
                           const float *values);
irn_status irn_arena_read(const irn_arena *arena, cl_mem buffer, const irn_entry *entry,
                          float *values);

/* Sets all values of an entry, not its padding. Waits for the device. */
irn_status irn_arena_fill(const irn_arena *arena, cl_mem buffer, size_t entry, float value);

/* A buffer like the arena's, all entries, as blocks in a row. */
irn_tensor irn_arena_row(const irn_arena *arena, cl_mem buffer);

/* The tensor [1,C,H,W] that an entry is in a buffer. */
irn_tensor irn_entry_tensor(const irn_arena *arena, cl_mem buffer, const irn_entry *entry);

#endif
