/* Files that were compiled into the library: kernel sources and the bundled data set. */
#ifndef IRN_EMBEDDED_H
#define IRN_EMBEDDED_H

#include <stddef.h>

typedef struct irn_embedded {
    const char *name;           /* without folder */
    const unsigned char *bytes; /* followed by a zero byte */
    size_t size;
} irn_embedded;

/* Ends with an entry whose name is NULL. */
extern const irn_embedded irn_embedded_files[];

/* NULL if there is none of that name. */
const irn_embedded *irn_embedded_find(const char *name);

#endif
