/* For LD_PRELOAD: a driver that compiles kernels wrongly. In sources that contain the environment's
 * WRONG_FROM its first occurrence becomes WRONG_TO. */
#define _GNU_SOURCE
#ifndef CL_TARGET_OPENCL_VERSION
#define CL_TARGET_OPENCL_VERSION 120
#endif
#include <CL/cl.h>

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef cl_program create(cl_context, cl_uint, const char **, const size_t *, cl_int *);

static create *original(void)
{
    void *function = dlsym(RTLD_NEXT, "clCreateProgramWithSource");
    create *found;
    if (!function)
        abort();
    memcpy(&found, &function, sizeof found);
    return found;
}

cl_program clCreateProgramWithSource(cl_context context, cl_uint count, const char **texts,
                                     const size_t *sizes, cl_int *code)
{
    const char *from = getenv("WRONG_FROM"), *to = getenv("WRONG_TO");
    const char *at = from && to && count == 1 && !sizes ? strstr(texts[0], from) : NULL;
    size_t size = at ? strlen(texts[0]) + strlen(to) + 1 : 0;
    char *text = at ? malloc(size) : NULL;
    if (!text)
        return original()(context, count, texts, sizes, code);
    snprintf(text, size, "%.*s%s%s", (int)(at - texts[0]), texts[0], to, at + strlen(from));
    const char *edited = text;
    cl_program program = original()(context, 1, &edited, NULL, code);
    free(text);
    return program;
}
