/* Counts of what was made or retained and not yet released. */
#include "shim_parts.h"

#include <pthread.h>
#include <string.h>

static long live[SHIM_KINDS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void shim_objects_reset(void)
{
    memset(live, 0, sizeof live);
}

void shim_made(shim_kind kind, cl_int code)
{
    pthread_mutex_lock(&lock);
    live[kind] += code == CL_SUCCESS;
    pthread_mutex_unlock(&lock);
}

void shim_released(shim_kind kind)
{
    pthread_mutex_lock(&lock);
    live[kind]--;
    pthread_mutex_unlock(&lock);
}

long shim_live(shim_kind kind)
{
    return live[kind];
}

const char *shim_kind_name(shim_kind kind)
{
    static const char *const names[SHIM_KINDS] = {"contexts", "queues",  "buffers",
                                                  "programs", "kernels", "events"};
    return names[kind];
}
