/* Stands between the library and OpenCL: describes a GPU that is not there, keeps what the library
 * would have it compile and launch, and does neither. Linked with --wrap for each function below;
 * memory, queues and clFFT are the real ones of whatever device there is. */
#ifndef RECORDER_H
#define RECORDER_H

#include <stdbool.h>
#include <stddef.h>

/* What a kind of GPU answers to the questions that the library asks. */
typedef struct gpu {
    const char *name;
    unsigned vendor_id;
    bool has_fp64;
    size_t local_memory, work_group; /* bytes; most work-items a group */
    const char *extension;           /* which says how many work-items go side by side, ... */
    unsigned query;                  /* ... by this question, ... */
    unsigned simd;                   /* ... this many */
} gpu;

/* From here on the device is this GPU. */
void recorder_pretend(const gpu *gpu);

/* Whether programs that are first asked for from here on are what tuning may choose, not what the
 * library chooses by itself. */
void recorder_choices(bool are);

/* Writes FOLDER/programs.json and each distinct source as FOLDER/<number>.cl. False, with errno's
 * message on standard error, if it cannot. */
bool recorder_write(const char *folder);

#endif
