/* Calls that fail: the k-th, alone or with all after it. */
#include "shim_parts.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

static struct {
    size_t calls, fail_at;
    bool forever;
    cl_int code;
    const char *failed;
    size_t arguments, fail_at_argument;
} faults;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void shim_faults_reset(void)
{
    memset(&faults, 0, sizeof faults);
}

void shim_reset(void)
{
    shim_faults_reset();
    shim_late_reset();
    shim_lies_reset();
    shim_objects_reset();
    shim_memory_reset();
}

void shim_fail(size_t k, bool forever, cl_int code)
{
    faults.fail_at = faults.calls + k;
    faults.forever = forever;
    faults.code = code;
    faults.failed = NULL;
}

void shim_fail_argument(size_t k, cl_int code)
{
    faults.fail_at_argument = faults.arguments + k;
    faults.code = code;
    faults.failed = NULL;
}

const char *shim_failed(void)
{
    return faults.failed;
}

size_t shim_calls(void)
{
    return faults.calls;
}

const void *shim_next(const char *name)
{
    static _Thread_local void *symbol;
    symbol = dlsym(RTLD_NEXT, name);
    return &symbol;
}

void shim_note_failed(const char *name)
{
    pthread_mutex_lock(&lock);
    if (!faults.failed)
        faults.failed = name;
    pthread_mutex_unlock(&lock);
}

cl_int shim_fault(const char *name)
{
    pthread_mutex_lock(&lock);
    size_t call = ++faults.calls;
    bool fails =
        faults.fail_at > 0 && (call == faults.fail_at || (faults.forever && call > faults.fail_at));
    pthread_mutex_unlock(&lock);
    if (fails)
        shim_note_failed(name);
    return fails ? faults.code : CL_SUCCESS;
}

cl_int shim_argument_fault(const char *name)
{
    pthread_mutex_lock(&lock);
    bool fails = ++faults.arguments == faults.fail_at_argument;
    pthread_mutex_unlock(&lock);
    if (fails)
        shim_note_failed(name);
    return fails ? faults.code : CL_SUCCESS;
}

void *shim_refuse(cl_int *out, cl_int code)
{
    if (out)
        *out = code;
    return NULL;
}
/* What a disk does is not asked here, and waiting for it takes longest of all. */
int fsync(int file)
{
    (void)file;
    return 0;
}
