/* What devices and platforms say of themselves, and lies about it. */
#include "shim_parts.h"

#include <string.h>

enum { MOST_LIES = 16 };

static struct {
    bool garbled;
    struct lie {
        cl_device_info what;
        uint64_t value;
    } told[MOST_LIES];
    size_t count;
} lies;

static const struct lie gpu[] = {{CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, 1},
                                 {CL_DEVICE_LOCAL_MEM_TYPE, CL_LOCAL}};
static bool is_gpu;

void shim_lies_reset(void)
{
    memset(&lies, 0, sizeof lies);
}

void shim_lie(cl_device_info what, uint64_t value)
{
    if (lies.count < MOST_LIES)
        lies.told[lies.count++] = (struct lie){what, value};
}

void shim_be_gpu(bool is)
{
    is_gpu = is;
}

void shim_garble(void)
{
    lies.garbled = true;
}

static const struct lie *find_lie(cl_device_info what)
{
    for (size_t i = 0; i < lies.count; i++)
        if (lies.told[i].what == what)
            return &lies.told[i];
    for (size_t i = 0; is_gpu && i < sizeof gpu / sizeof *gpu; i++)
        if (gpu[i].what == what)
            return &gpu[i];
    return NULL;
}

uint64_t shim_limit(cl_device_info what)
{
    const struct lie *found = find_lie(what);
    return found ? found->value : UINT64_MAX;
}

bool shim_lies_about(cl_device_info what)
{
    return find_lie(what) != NULL;
}

static cl_int garble(size_t size, void *value, size_t *needed)
{
    for (size_t i = 0; value && i < size; i++)
        ((unsigned char *)value)[i] = (unsigned char)(i % 3 == 0   ? 0xC3
                                                      : i % 3 == 1 ? '\033'
                                                                   : '"');
    if (needed)
        *needed = 64;
    return CL_SUCCESS;
}

CL_API_ENTRY cl_int CL_API_CALL clGetPlatformIDs(cl_uint count, cl_platform_id *platforms,
                                                 cl_uint *found)
{
    __typeof__(clGetPlatformIDs) *real;
    memcpy(&real, shim_next("clGetPlatformIDs"), sizeof real);
    cl_int code = shim_fault("clGetPlatformIDs");
    return code ? code : real(count, platforms, found);
}

CL_API_ENTRY cl_int CL_API_CALL clGetPlatformInfo(cl_platform_id platform, cl_platform_info what,
                                                  size_t size, void *value, size_t *needed)
{
    __typeof__(clGetPlatformInfo) *real;
    memcpy(&real, shim_next("clGetPlatformInfo"), sizeof real);
    cl_int code = shim_fault("clGetPlatformInfo");
    if (code)
        return code;
    return lies.garbled ? garble(size, value, needed) : real(platform, what, size, value, needed);
}

CL_API_ENTRY cl_int CL_API_CALL clGetDeviceIDs(cl_platform_id platform, cl_device_type type,
                                               cl_uint count, cl_device_id *devices, cl_uint *found)
{
    __typeof__(clGetDeviceIDs) *real;
    memcpy(&real, shim_next("clGetDeviceIDs"), sizeof real);
    cl_int code = shim_fault("clGetDeviceIDs");
    return code ? code : real(platform, type, count, devices, found);
}

CL_API_ENTRY cl_int CL_API_CALL clGetDeviceInfo(cl_device_id device, cl_device_info what,
                                                size_t size, void *value, size_t *needed)
{
    __typeof__(clGetDeviceInfo) *real;
    memcpy(&real, shim_next("clGetDeviceInfo"), sizeof real);
    bool text = what == CL_DEVICE_NAME || what == CL_DRIVER_VERSION || what == CL_DEVICE_VENDOR;
    cl_int code = shim_fault("clGetDeviceInfo");
    if (code)
        return code;
    if (lies.garbled && text)
        return garble(size, value, needed);
    size_t length = 0;
    code = real(device, what, size, value, &length);
    if (needed)
        *needed = length;
    const struct lie *told = find_lie(what);
    if (code == CL_SUCCESS && value && told)
        memcpy(value, &told->value, length < sizeof told->value ? length : sizeof told->value);
    return code;
}
