/* Finding devices, choosing one, and saying what it can do. */
#include "runtime/runtime.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLATFORMS = 32, MAX_DEVICES = 64 };

/* What a driver calls something, of which only printable ASCII is taken over: names go to terminals
 * and into JSON. text ends somewhere whatever the driver has written to all but its last byte. */
static void take_name(char *out, size_t size, const char *text, cl_int code)
{
    size_t i = 0;
    for (; code == CL_SUCCESS && text[i] && i + 1 < size; i++)
        out[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
    out[i] = 0;
}

static void device_name(cl_device_id device, cl_device_info what, char *out, size_t size)
{
    char text[1024] = "";
    cl_int code = clGetDeviceInfo(device, what, sizeof text - 1, text, NULL);
    take_name(out, size, text, code);
}

static void platform_name(cl_platform_id platform, char *out, size_t size)
{
    char text[1024] = "";
    cl_int code = clGetPlatformInfo(platform, CL_PLATFORM_NAME, sizeof text - 1, text, NULL);
    take_name(out, size, text, code);
    if (!out[0])
        snprintf(out, size, "unknown");
}

/* Numbers that no device can have would make nothing of the work, or more than fits anywhere. */
static unsigned sane_units(cl_uint units)
{
    enum { MOST_UNITS = 1 << 16 };
    return units < 1 ? 1 : units > MOST_UNITS ? MOST_UNITS : units;
}

/* Keeps the first failure. */
static void ask(cl_int *code, cl_device_id device, cl_device_info what, size_t size, void *out)
{
    cl_int now = clGetDeviceInfo(device, what, size, out, NULL);
    *code = *code != CL_SUCCESS ? *code : now;
}

/* Then no other question would be answered either; any other failure is of the question. */
static bool is_short(cl_int code)
{
    return code == CL_OUT_OF_HOST_MEMORY || code == CL_OUT_OF_RESOURCES;
}

static bool has_extension(const char *names, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = names; (at = strstr(at, name)); at += length)
        if ((at == names || at[-1] == ' ') && (at[length] == ' ' || at[length] == 0))
            return true;
    return false;
}

/* How many work-items go side by side, where a vendor's extension says so; others would reject the
 * question. Intel's compiler has several widths; counted is the first, the smallest. A driver that
 * rejects it in spite of its extension leaves the width unknown. */
static void ask_simd_width(cl_int *code, unsigned *out, cl_device_id device)
{
    enum { WARP_SIZE_NV = 0x4003, WAVEFRONT_WIDTH_AMD = 0x4043, SUB_GROUP_SIZES_INTEL = 0x4108 };
    enum { WIDEST = 1024 };
    char names[16384] = ""; /* cut off at the end: a driver with more has no answer */
    cl_uint width = 0;
    size_t sizes[16] = {0};
    cl_int answer = CL_SUCCESS;
    if (clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, sizeof names - 1, names, NULL) != CL_SUCCESS)
        names[0] = 0;
    if (has_extension(names, "cl_nv_device_attribute_query"))
        ask(&answer, device, WARP_SIZE_NV, sizeof width, &width);
    else if (has_extension(names, "cl_amd_device_attribute_query"))
        ask(&answer, device, WAVEFRONT_WIDTH_AMD, sizeof width, &width);
    else if (has_extension(names, "cl_intel_required_subgroup_size"))
        ask(&answer, device, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes);
    width = width > 0 ? width : (cl_uint)irn_smaller(sizes[0], WIDEST);
    *out = answer == CL_SUCCESS && width <= WIDEST ? width : 0;
    if (*code == CL_SUCCESS && is_short(answer))
        *code = answer;
}

/* What the device has for work-groups. Mesa's rusticl says CL_GLOBAL of every device's local
 * memory: "TODO" in its src/gallium/frontends/rusticl/api/device.rs. */
static cl_int describe_groups(irn_device_info *out, cl_device_id device)
{
    enum { MOST_DIMENSIONS = 8, MOST_ITEMS = 1 << 16 };
    cl_device_local_mem_type type = CL_GLOBAL;
    cl_ulong local = 0;
    size_t group = 1, items[MOST_DIMENSIONS] = {1};
    cl_int code = CL_SUCCESS;
    ask(&code, device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group);
    ask(&code, device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items);
    ask(&code, device, CL_DEVICE_LOCAL_MEM_TYPE, sizeof type, &type);
    ask(&code, device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local);
    ask_simd_width(&code, &out->simd_width, device);
    bool own = type == CL_LOCAL || (out->is_simt && strcmp(out->platform, "rusticl") == 0);
    out->local_memory = own ? local : 0;
    out->max_group = (unsigned)irn_smaller(irn_smaller(group, items[0]), MOST_ITEMS);
    return code;
}

/* What the device fails with where it does not answer. */
static cl_int describe(irn_device_info *out, cl_device_type *type, cl_platform_id platform,
                       cl_device_id device)
{
    cl_uint units = 0, width = 0;
    cl_ulong memory = 0, allocation = 0;
    cl_device_fp_config fp64 = 0;
    cl_int code = CL_SUCCESS;
    memset(out, 0, sizeof *out);
    ask(&code, device, CL_DEVICE_TYPE, sizeof *type, type);
    ask(&code, device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof units, &units);
    ask(&code, device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof memory, &memory);
    ask(&code, device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof allocation, &allocation);
    ask(&code, device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof width, &width);
    if (code != CL_SUCCESS)
        return code;
    /* Where double precision is missing some drivers reject the question: then it is missing. */
    ask(&code, device, CL_DEVICE_DOUBLE_FP_CONFIG, sizeof fp64, &fp64);
    if (is_short(code))
        return code;
    if (code != CL_SUCCESS)
        fp64 = 0;
    device_name(device, CL_DEVICE_NAME, out->name, sizeof out->name);
    device_name(device, CL_DRIVER_VERSION, out->driver, sizeof out->driver);
    platform_name(platform, out->platform, sizeof out->platform);
    out->is_gpu = (*type & CL_DEVICE_TYPE_GPU) != 0;
    out->has_fp64 = fp64 != 0;
    out->compute_units = sane_units(units);
    out->is_simt = out->is_gpu || width < 4;
    out->channel_block = out->is_simt ? 4 : width >= 16 ? 16 : 8;
    out->global_memory = memory;
    out->max_allocation = allocation;
    return describe_groups(out, device);
}

irn_status irn_device_describe(irn_device_info *out, cl_platform_id platform, cl_device_id device)
{
    cl_device_type type;
    return irn_cl_check(describe(out, &type, platform, device), "asking a device what it is");
}

irn_status irn_device_group(unsigned *out, cl_device_id device, unsigned wanted)
{
    enum { MOST_DIMENSIONS = 8, OTHERS = 512 }; /* the most: factor of proof.cl, 320 bytes */
    size_t group = 1, items[MOST_DIMENSIONS] = {1};
    cl_ulong local = 0;
    cl_int code = CL_SUCCESS;
    *out = 1;
    if (wanted <= 1)
        return IRN_OK;
    ask(&code, device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof group, &group);
    ask(&code, device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items);
    ask(&code, device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof local, &local);
    cl_ulong most = irn_smaller(irn_smaller(group, items[0]), wanted);
    cl_ulong room = local > OTHERS ? (local - OTHERS) / sizeof(cl_double) : 0;
    most = most < room ? most : room;
    while (2 * (cl_ulong)*out <= most)
        *out *= 2;
    return irn_cl_check(code, "asking a device for its work-groups");
}

/* Devices that answer; what is wrong with one platform or device leaves the others usable, and is
 * told where nothing else is left. */
static irn_status find_devices(irn_found_device **out, size_t *count)
{
    cl_platform_id platforms[MAX_PLATFORMS];
    cl_device_id devices[MAX_DEVICES];
    cl_uint platform_count = 0;
    *count = 0;
    IRN_TRY(irn_alloc(out, MAX_DEVICES, sizeof **out));
    const cl_int no_platform = -1001; /* CL_PLATFORM_NOT_FOUND_KHR: the loader has no driver */
    cl_int trouble = clGetPlatformIDs(MAX_PLATFORMS, platforms, &platform_count);
    if (trouble != CL_SUCCESS)
        platform_count = 0;
    for (cl_uint p = 0; p < platform_count && p < MAX_PLATFORMS; p++) {
        cl_uint n = 0;
        cl_int code = clGetDeviceIDs(platforms[p], CL_DEVICE_TYPE_ALL, MAX_DEVICES, devices, &n);
        if (code != CL_SUCCESS && code != CL_DEVICE_NOT_FOUND)
            trouble = code;
        if (code != CL_SUCCESS)
            continue;
        for (cl_uint d = 0; d < n && d < MAX_DEVICES && *count < MAX_DEVICES; d++) {
            irn_found_device *found = *out + *count;
            found->platform = platforms[p];
            found->device = devices[d];
            code = describe(&found->info, &found->type, platforms[p], devices[d]);
            *count += code == CL_SUCCESS;
            trouble = code != CL_SUCCESS ? code : trouble;
        }
    }
    if (*count > 0 || trouble == CL_SUCCESS || trouble == no_platform)
        return IRN_OK;
    free(*out);
    *out = NULL;
    return irn_cl_check(trouble, "asking for OpenCL devices");
}

irn_status irn_device_list(irn_device_info **out, size_t *count)
{
    irn_found_device *found;
    *out = NULL;
    IRN_TRY(find_devices(&found, count));
    irn_status status = irn_alloc(out, *count, sizeof **out);
    for (size_t i = 0; status == IRN_OK && i < *count; i++)
        (*out)[i] = found[i].info;
    if (status != IRN_OK)
        *count = 0;
    free(found);
    return status;
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
static void describe_choices(char *text, size_t size, const irn_found_device *found, size_t count)
{
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < count && used < size; i++) {
        int n = snprintf(text + used, size - used, "%s%zu: %s (%s)", i ? "; " : "", i,
                         found[i].info.name, found[i].info.platform);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* A number that is no index may still be part of a name: "3090". */
static irn_status match_choice(size_t *index, const char *choice, const irn_found_device *found,
                               size_t count)
{
    char choices[768], *end;
    size_t matches = 0;
    errno = 0;
    unsigned long number = strtoul(choice, &end, 10);
    *index = number;
    if (isdigit((unsigned char)choice[0]) && *end == 0 && !errno && number < count)
        return IRN_OK;
    for (size_t i = 0; i < count; i++)
        if (contains_ignoring_case(found[i].info.name, choice) ||
            contains_ignoring_case(found[i].info.platform, choice)) {
            *index = i;
            matches++;
        }
    describe_choices(choices, sizeof choices, found, count);
    if (matches != 1)
        return irn_fail(IRN_ERROR_DEVICE, "%s devices match '%s'; choose from %s",
                        matches ? "several" : "no", choice, choices);
    return IRN_OK;
}

irn_status irn_device_pick(size_t *index, const irn_found_device *found, size_t count,
                           const char *choice)
{
    const cl_device_type preferred[] = {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_CPU};
    *index = 0;
    if (count == 0)
        return irn_fail(IRN_ERROR_DEVICE,
                        "no OpenCL device was found; install a driver, for a CPU for example "
                        "PoCL (Debian package pocl-opencl-icd)");
    if (choice && *choice)
        return match_choice(index, choice, found, count);
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < count; i++)
            if (found[i].type & preferred[p]) {
                *index = i;
                return IRN_OK;
            }
    return IRN_OK;
}

irn_status irn_device_choose(cl_platform_id *platform, cl_device_id *device, const char *choice)
{
    irn_found_device *found;
    size_t count, index;
    IRN_TRY(find_devices(&found, &count));
    irn_status status = irn_device_pick(&index, found, count, choice);
    if (status == IRN_OK) {
        *platform = found[index].platform;
        *device = found[index].device;
    }
    free(found);
    return status;
}
