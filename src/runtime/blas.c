/* CLBlast takes what it does not need at hand from process-wide state: programs by OpenCL context
 * and device, tuning parameters by device. Two threads that first use it at a time may fail up to
 * version 1.6.0 (its issue #486), so that one is let in at a time.
 *
 * Its parameters come from its own database of devices, or else from the context's tuning:
 * CLBlastOverrideParameters() changes them for the device in the whole process, for other contexts
 * and other users of CLBlast alike, and its C interface has no way to learn what they were before,
 * nor to go back. So the context's maker has to allow it (irn_context_options). */
#include "runtime/blas.h"

#include <clblast_c.h>
#include <pthread.h>
#include <string.h>

/* Floats: parts of a buffer begin at multiples of 4 KiB, which is more than any driver asks for
 * (CL_DEVICE_MEM_BASE_ADDR_ALIGN); of 128 bytes as a rule, 512 with NVIDIA's. */
enum { ALIGNMENT = 1024 };

static pthread_mutex_t clblast_turn = PTHREAD_MUTEX_INITIALIZER;

static size_t aligned(size_t count)
{
    return (count + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

irn_gemm irn_gemm_of(size_t m, size_t n, size_t k)
{
    irn_gemm product = {.m = m, .n = n, .k = k};
    product.b = aligned(k * m);
    product.c = product.b + aligned(k * n);
    product.end = product.c + aligned(n * m);
    return product;
}

/* ---- parameters ---- */

/* What CLBlast was given in this process, with its turn: it keeps that as long as the process
 * lives, and would not tell. Devices without a row have its database's; NULL ends the table. */
enum { MOST_DEVICES = 64 };
static struct given {
    cl_device_id device;
    irn_tile tile;
} given_parameters[MOST_DEVICES];

/* The device's row, or the first without a device; NULL: there is no more room. */
static struct given *given_to(cl_device_id device)
{
    for (size_t i = 0; i < MOST_DEVICES; i++)
        if (!given_parameters[i].device || given_parameters[i].device == device)
            return &given_parameters[i];
    return NULL;
}

irn_tile irn_blas_parameters(const irn_context *context)
{
    irn_tile tile = {{0}};
    pthread_mutex_lock(&clblast_turn);
    const struct given *given = given_to(context->device);
    if (given && given->device)
        tile = given->tile;
    pthread_mutex_unlock(&clblast_turn);
    return tile;
}

/* Those of CLBlast's Xgemm, as doc/tuning.md there lists them. Work-items load what they compute
 * (MDIMA = MDIMC, NDIMB = NDIMC), in vectors as wide as their share of a tile, 4 at most; the
 * kernel's other form (GEMMK 1) and strided access (STRM, STRN) are left out. */
static CLBlastStatusCode set_kernel(const irn_context *context, const irn_tile *tile)
{
    const size_t m = tile->size[0], n = tile->size[1], side = tile->size[2], local = tile->size[3];
    const struct {
        const char *name;
        size_t value;
    } parameters[] = {{"GEMMK", 0},
                      {"KREG", 1},
                      {"MWG", m},
                      {"NWG", n},
                      {"KWG", IRN_BLAS_STEP},
                      {"KWI", 2},
                      {"MDIMC", side},
                      {"NDIMC", side},
                      {"MDIMA", side},
                      {"NDIMB", side},
                      {"SA", local},
                      {"SB", local},
                      {"STRM", 0},
                      {"STRN", 0},
                      {"VWM", irn_smaller(m / side, 4)},
                      {"VWN", irn_smaller(n / side, 4)}};
    enum { COUNT = sizeof parameters / sizeof *parameters };
    const char *names[COUNT];
    size_t values[COUNT];
    for (size_t i = 0; i < COUNT; i++) {
        names[i] = parameters[i].name;
        values[i] = parameters[i].value;
    }
    return CLBlastOverrideParameters(context->device, "Xgemm", CLBlastPrecisionSingle, COUNT, names,
                                     values);
}

/* From products of this many sums on, its cube root, CLBlast takes that kernel. Its database asks
 * for up to 1500, which would leave most of what networks have to the other one. */
static CLBlastStatusCode set_least(const irn_context *context)
{
    const char *name = "XGEMM_MIN_INDIRECT_SIZE";
    const size_t least = 64;
    return CLBlastOverrideParameters(context->device, "GemmRoutine", CLBlastPrecisionSingle, 1,
                                     &name, &least);
}

/* Has CLBlast take what the tuning says, if it does not yet; its turn is the caller's. */
static CLBlastStatusCode set_parameters(const irn_context *context)
{
    const irn_tile *tile = &context->tuning.tiles[IRN_TILE_BLAS];
    struct given *given = given_to(context->device);
    if (tile->size[0] == 0)
        return CLBlastSuccess;
    if (!given)
        return CLBlastUnexpectedError;
    if (given->device && memcmp(tile, &given->tile, sizeof *tile) == 0)
        return CLBlastSuccess;
    CLBlastStatusCode code = set_least(context);
    if (code == CLBlastSuccess)
        code = set_kernel(context, tile);
    if (code == CLBlastSuccess)
        *given = (struct given){context->device, *tile};
    return code;
}

/* ---- products ---- */

/* The most that CLBlast needs for a product of these sizes, or for a smaller one: with offsets it
 * copies every matrix. Its kernel for small products needs nothing. */
static size_t most_room(irn_context *context, size_t m, size_t n, size_t k)
{
    const size_t offset = 1;
    size_t bytes = 0;
    pthread_mutex_lock(&clblast_turn);
    CLBlastStatusCode code = set_parameters(context);
    if (code == CLBlastSuccess)
        code = CLBlastSGemmTempBufferSize(CLBlastLayoutColMajor, CLBlastTransposeNo,
                                          CLBlastTransposeYes, m, n, k, offset, m, offset, n,
                                          offset, m, &context->queue, &bytes);
    pthread_mutex_unlock(&clblast_turn);
    /* Else the product fails as well, if only for want of room, and tiles take its place. */
    return code == CLBlastSuccess ? bytes / sizeof(float) : 0;
}

size_t irn_gemm_scratch(irn_context *context, size_t m, size_t n, size_t k)
{
    /* Parts of memory cannot be empty. */
    return irn_gemm_of(m, n, k).end + aligned(irn_larger(most_room(context, m, n, k), 1));
}

bool irn_gemm_is_large(irn_context *context, size_t m, size_t n, size_t k)
{
    return most_room(context, m, n, k) > 0;
}

static const char *status_name(CLBlastStatusCode code)
{
    switch (code) {
    case CLBlastNotImplemented:
        return "not implemented";
    case CLBlastInvalidMatrixA: /* which it says whatever the driver answered */
    case CLBlastInvalidMatrixB:
    case CLBlastInvalidMatrixC:
        return "the driver does not tell a matrix's size";
    case CLBlastInsufficientMemoryA:
    case CLBlastInsufficientMemoryB:
    case CLBlastInsufficientMemoryC:
        return "a matrix is larger than its memory";
    case CLBlastInsufficientMemoryTemp:
        return "it needs more room than it has said";
    case CLBlastInvalidOverrideKernel:
    case CLBlastMissingOverrideParameter:
        return "this version of it has other parameters";
    case CLBlastInvalidLocalMemUsage:
        return "its kernel needs more local memory than the device has";
    case CLBlastDatabaseError:
        return "it has no parameters for the device";
    case CLBlastUnknownError:
    case CLBlastUnexpectedError:
        return "it does not say why";
    default:
        return irn_cl_error_name((cl_int)code);
    }
}

static irn_status judge(irn_context *context, CLBlastStatusCode code, bool *done)
{
    *done = code == CLBlastSuccess;
    if (*done)
        return IRN_OK;
    if (code == CLBlastTempBufferAllocFailure || code == CLBlastOpenCLOutOfResources ||
        code == CLBlastOpenCLOutOfHostMemory)
        return irn_fail(IRN_ERROR_MEMORY, "%s ran out of memory in CLBlast (%s), %llu bytes held",
                        context->info.name, status_name(code), (unsigned long long)context->memory);
    context->blas_refused = true;
    irn_log(context, "CLBlast fails on %s (status %d, %s): using tiles", context->info.name,
            (int)code, status_name(code));
    return IRN_OK;
}

static CLBlastStatusCode multiply(const irn_gemm *p, irn_context *context, const cl_mem *parts,
                                  bool add)
{
    pthread_mutex_lock(&clblast_turn);
    CLBlastStatusCode code = set_parameters(context);
    if (code == CLBlastSuccess)
        code = CLBlastSgemmWithTempBuffer(CLBlastLayoutColMajor, CLBlastTransposeNo,
                                          CLBlastTransposeYes, p->m, p->n, p->k, 1, parts[0], 0,
                                          p->m, parts[1], 0, p->n, add ? 1.f : 0.f, parts[2], 0,
                                          p->m, &context->queue, NULL, parts[3]);
    pthread_mutex_unlock(&clblast_turn);
    context->blas_used = true;
    return code;
}

/* Only matrices at the beginning of their memory are taken without a copy, hence parts. */
irn_status irn_gemm_run(const irn_gemm *product, irn_context *context, cl_mem scratch, bool add,
                        bool *done)
{
    size_t bytes = 0;
    cl_mem parts[4] = {NULL};
    cl_int code = clGetMemObjectInfo(scratch, CL_MEM_SIZE, sizeof bytes, &bytes, NULL);
    const size_t begins[] = {product->a, product->b, product->c, product->end,
                             bytes / sizeof(float)};
    for (int i = 0; i < 4 && code == CL_SUCCESS; i++) {
        const cl_buffer_region region = {begins[i] * sizeof(float),
                                         (begins[i + 1] - begins[i]) * sizeof(float)};
        parts[i] = clCreateSubBuffer(scratch, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION,
                                     &region, &code);
    }
    CLBlastStatusCode status =
        code == CL_SUCCESS ? multiply(product, context, parts, add) : (CLBlastStatusCode)code;
    for (int i = 0; i < 4; i++)
        if (parts[i])
            clReleaseMemObject(parts[i]);
    return judge(context, status, done);
}

void irn_blas_release(irn_context *context)
{
    if (!context->blas_used)
        return;
    pthread_mutex_lock(&clblast_turn);
    CLBlastClearCache(); /* a failure leaves them there */
    pthread_mutex_unlock(&clblast_turn);
    context->blas_used = false;
}
