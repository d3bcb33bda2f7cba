/* Finding devices, choosing one, and saying what it can do. */
#include "runtime/runtime.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLATFORMS = 32, MAX_DEVICES = 64 };

typedef struct device_table {
    cl_platform_id platforms[MAX_DEVICES];
    cl_device_id devices[MAX_DEVICES];
    size_t count;
} device_table;

static irn_status find_devices(device_table *table)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_uint platform_count = 0;
    table->count = 0;
    /* The loader reports CL_PLATFORM_NOT_FOUND_KHR when no driver is installed: an empty list. */
    if (clGetPlatformIDs(MAX_PLATFORMS, platforms, &platform_count) != CL_SUCCESS)
        return IRN_OK;
    if (platform_count > MAX_PLATFORMS)
        platform_count = MAX_PLATFORMS;
    for (cl_uint p = 0; p < platform_count; p++) {
        cl_device_id devices[MAX_DEVICES];
        cl_uint count = 0;
        if (clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &count) !=
            CL_SUCCESS)
            continue;
        for (cl_uint d = 0; d < count && d < MAX_DEVICES && table->count < MAX_DEVICES; d++) {
            table->platforms[table->count] = platforms[p];
            table->devices[table->count++] = devices[d];
        }
    }
    return IRN_OK;
}

static void device_string(cl_device_id device, cl_device_info what, char *out, size_t size)
{
    char text[1024] = "";
    if (clGetDeviceInfo(device, what, sizeof text - 1, text, NULL) != CL_SUCCESS)
        text[0] = 0;
    snprintf(out, size, "%.*s", (int)size - 1, text);
}

irn_status irn_device_describe(irn_device_info *out, cl_platform_id platform, cl_device_id device)
{
    memset(out, 0, sizeof *out);
    cl_device_type type = 0;
    cl_uint units = 0, width = 0;
    cl_ulong memory = 0, allocation = 0;
    cl_device_fp_config fp64 = 0;
    cl_int code = clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof type, &type, NULL);
    code |= clGetDeviceInfo(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units, NULL);
    code |= clGetDeviceInfo(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory, NULL);
    code |=
        clGetDeviceInfo(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof allocation, &allocation, NULL);
    code |=
        clGetDeviceInfo(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof width, &width, NULL);
    if (code != CL_SUCCESS)
        return irn_fail(IRN_ERROR_DEVICE, "a device does not answer questions about itself");
    /* Where double precision is missing some drivers reject the question: then it is missing. */
    if (clGetDeviceInfo(device, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof fp64, &fp64, NULL) != CL_SUCCESS)
        fp64 = 0;
    device_string(device, CL_DEVICE_NAME, out->name, sizeof out->name);
    device_string(device, CL_DRIVER_VERSION, out->driver, sizeof out->driver);
    if (clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof out->platform, out->platform, NULL) !=
        CL_SUCCESS)
        snprintf(out->platform, sizeof out->platform, "unknown");
    out->is_gpu = (type & CL_DEVICE_TYPE_GPU) != 0;
    out->has_fp64 = fp64 != 0;
    out->compute_units = units;
    out->is_simt = out->is_gpu || width < 4;
    out->channel_block = out->is_simt ? 4 : width >= 16 ? 16 : 8;
    out->global_memory = memory;
    out->max_allocation = allocation;
    return IRN_OK;
}

irn_status irn_device_list(irn_device_info **out, size_t *count)
{
    device_table table;
    *out = NULL;
    *count = 0;
    IRN_TRY(find_devices(&table));
    irn_device_info *list;
    IRN_TRY(irn_alloc(&list, table.count, sizeof *list));
    for (size_t i = 0; i < table.count; i++) {
        irn_status status = irn_device_describe(&list[i], table.platforms[i], table.devices[i]);
        if (status != IRN_OK) {
            free(list);
            return status;
        }
    }
    *out = list;
    *count = table.count;
    return IRN_OK;
}

void irn_device_list_free(irn_device_info *list)
{
    free(list);
}

static bool contains_ignoring_case(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

/* "0: NAME (PLATFORM); 1: ..." */
static void describe_choices(char *text, size_t size, const irn_device_info *list, size_t count)
{
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < count && used < size; i++) {
        int n = snprintf(text + used, size - used, "%s%zu: %s (%s)", i ? "; " : "", i, list[i].name,
                         list[i].platform);
        used += n > 0 ? (size_t)n : 0;
    }
}

static irn_status match_choice(size_t *found, const char *choice, const irn_device_info *list,
                               size_t count)
{
    char choices[768], *end;
    describe_choices(choices, sizeof choices, list, count);
    errno = 0;
    unsigned long index = strtoul(choice, &end, 10);
    if (isdigit((unsigned char)choice[0]) && *end == 0) {
        if (errno || index >= count)
            return irn_fail(IRN_ERROR_DEVICE, "there is no device %s; choose from %s", choice,
                            choices);
        *found = index;
        return IRN_OK;
    }
    size_t matches = 0;
    for (size_t i = 0; i < count; i++)
        if (contains_ignoring_case(list[i].name, choice) ||
            contains_ignoring_case(list[i].platform, choice)) {
            *found = i;
            matches++;
        }
    if (matches != 1)
        return irn_fail(IRN_ERROR_DEVICE, "%s devices match '%s'; choose from %s",
                        matches ? "several" : "no", choice, choices);
    return IRN_OK;
}

static size_t default_device(const irn_device_info *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].is_gpu)
            return i;
    return 0;
}

irn_status irn_device_choose(cl_platform_id *platform, cl_device_id *device, const char *choice)
{
    device_table table;
    irn_device_info *list;
    size_t count, found = 0;
    IRN_TRY(find_devices(&table));
    IRN_TRY(irn_device_list(&list, &count));
    irn_status status = IRN_OK;
    if (count == 0 || count != table.count)
        status = irn_fail(IRN_ERROR_DEVICE,
                          "no OpenCL device was found; install a driver, for a CPU for example "
                          "PoCL (Debian package pocl-opencl-icd)");
    else if (choice && *choice)
        status = match_choice(&found, choice, list, count);
    else
        found = default_device(list, count);
    irn_device_list_free(list);
    if (status != IRN_OK)
        return status;
    *platform = table.platforms[found];
    *device = table.devices[found];
    return IRN_OK;
}
