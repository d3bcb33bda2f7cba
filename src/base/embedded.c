#include "base/embedded.h"

#include <string.h>

const irn_embedded *irn_embedded_find(const char *name)
{
    for (const irn_embedded *file = irn_embedded_files; file->name; file++)
        if (strcmp(file->name, name) == 0)
            return file;
    return NULL;
}
