/* That a device has passed its trial, on disk.
 *
 * A file is named by the SHA-256 of all that the result depends on: device, platform, driver, this
 * library's version and clFFT's (CLBlast tells none), the kernels and how they are built and
 * divided. It holds a magic word and what was found of the foreign library that the part rests on.
 * It is written to a temporary file and renamed; whatever is wrong with it, the device is checked
 * again. It may be deleted at any time. */
#include "base/embedded.h"
#include "trial/trial.h"
#include "io/file.h"
#include "io/sha256.h"
#include "runtime/blas.h"
#include "spectral/fft.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char magic[] = "irn check 1\n";

enum { MOST_BYTES = 64 };

/* What is found of CLBlast goes with networks; what of clFFT, with certificates. */
static bool *refused(irn_context *context, unsigned part)
{
    return part == IRN_CHECK_NETWORKS ? &context->blas_refused : &context->fft_refused;
}

/* What a file holds. Returns out. */
static const char *content(char out[MOST_BYTES], unsigned part, bool wrong)
{
    snprintf(out, MOST_BYTES, "%s%s %s\n", magic, part == IRN_CHECK_NETWORKS ? "CLBlast" : "clFFT",
             wrong ? "wrong" : "right");
    return out;
}

/* The library's kernels, which may change between two builds of a version. */
static void hash_kernels(char out[IRN_SHA256_HEX])
{
    size_t used = 0, count = 0;
    for (const irn_embedded *file = irn_embedded_files; file->name; file++)
        count++;
    char *hashes = calloc(count + 1, IRN_SHA256_HEX);
    out[0] = 0;
    if (!hashes)
        return;
    for (const irn_embedded *file = irn_embedded_files; file->name; file++) {
        if (!strstr(file->name, ".cl"))
            continue;
        irn_sha256_bytes(hashes + used, file->bytes, file->size);
        used += IRN_SHA256_HEX;
    }
    irn_sha256_bytes(out, hashes, used);
    free(hashes);
}

/* What the device's own version says, beside its driver's. */
static void device_version(const irn_context *context, char *out, size_t size)
{
    if (clGetDeviceInfo(context->device, CL_DEVICE_VERSION, size, out, NULL) != CL_SUCCESS)
        out[0] = 0;
}

/* "" without a cache, or where there is no room to name it. */
static void file_path(const irn_context *context, unsigned part, char *path, size_t size)
{
    char key[2048], version[256], kernels[IRN_SHA256_HEX], tuning[IRN_SHA256_HEX];
    char hex[IRN_SHA256_HEX], fft[IRN_FFT_VERSION];
    const irn_device_info *info = &context->info;
    const char *environment = getenv("IRN_BUILD_OPTIONS");
    path[0] = 0;
    if (!context->cache_dir)
        return;
    device_version(context, version, sizeof version);
    hash_kernels(kernels);
    irn_fft_version(fft);
    irn_sha256_bytes(tuning, &context->tuning, sizeof context->tuning);
    int used =
        snprintf(key, sizeof key, "%s%u\n%s\n%s\n%s\n%s\n%u\n%s\n%s\n%s\n%s\n%s", magic, part,
                 IRN_VERSION_STRING, info->platform, info->name, info->driver, info->compute_units,
                 version, fft, kernels, tuning, environment ? environment : "");
    if (used < 0 || (size_t)used >= sizeof key)
        return;
    irn_sha256_bytes(hex, key, (size_t)used);
    if ((size_t)snprintf(path, size, "%s/%s.check", context->cache_dir, hex) >= size)
        path[0] = 0;
}

/* Whether the file is there as it was written, and what it says of the foreign library. */
static bool is_kept(irn_context *context, unsigned part, const char *path, bool *wrong)
{
    char text[MOST_BYTES], sentence[1024];
    uint8_t *bytes;
    size_t size;
    struct stat info;
    if (!*path || stat(path, &info) != 0)
        return false;
    snprintf(sentence, sizeof sentence, "%s", irn_last_error());
    if (irn_file_read(&bytes, &size, path, MOST_BYTES, false) != IRN_OK) {
        irn_set_error("%s", sentence);
        return false;
    }
    bool right = strcmp((const char *)bytes, content(text, part, false)) == 0;
    *wrong = strcmp((const char *)bytes, content(text, part, true)) == 0;
    free(bytes);
    if (!right && !*wrong)
        irn_log(context, "%s: not usable, checking the device again", path);
    return right || *wrong;
}

unsigned irn_trial_remembered(irn_context *context, unsigned parts)
{
    unsigned kept = 0;
    for (unsigned part = 1; part <= parts; part <<= 1) {
        char path[4096];
        bool wrong = false;
        file_path(context, part, path, sizeof path);
        if (!(parts & part) || !is_kept(context, part, path, &wrong))
            continue;
        kept |= part;
        if (part == IRN_CHECK_CERTIFICATES || part == IRN_CHECK_NETWORKS)
            *refused(context, part) |= wrong;
    }
    return kept;
}

/* Others in the process have given CLBlast parameters that this context's tuning, which the file is
 * named by, knows nothing of: what was found is not of CLBlast as other processes have it. */
static bool is_of_other_blas(const irn_context *context, unsigned part)
{
    const irn_tile *tiles = context->tuning.tiles, given = irn_blas_parameters(context);
    bool used = tiles[IRN_TILE_DENSE].size[0] > 0 || tiles[IRN_TILE_DENSE_GRADIENT].size[0] > 0;
    return part == IRN_CHECK_NETWORKS && used &&
           memcmp(&given, &tiles[IRN_TILE_BLAS], sizeof given) != 0;
}

static void keep(irn_context *context, unsigned part, const char *path)
{
    char text[MOST_BYTES];
    irn_writer *writer = NULL;
    content(text, part, *refused(context, part));
    irn_cache_make_folders(context->cache_dir);
    bool stored = irn_writer_open(&writer, path) == IRN_OK &&
                  irn_writer_write(writer, text, strlen(text)) == IRN_OK;
    if (stored)
        stored = irn_writer_commit(writer) == IRN_OK;
    else
        irn_writer_discard(writer);
    if (!stored)
        irn_log(context, "that the device has passed its check could not be kept: %s",
                irn_last_error());
}

void irn_trial_remember(irn_context *context, unsigned parts)
{
    char path[4096], sentence[1024];
    snprintf(sentence, sizeof sentence, "%s", irn_last_error());
    for (unsigned part = 1; part <= parts; part <<= 1) {
        file_path(context, part, path, sizeof path);
        if ((parts & part) && *path && !is_of_other_blas(context, part))
            keep(context, part, path);
    }
    irn_set_error("%s", sentence);
}

void irn_trial_forget(irn_context *context, unsigned parts)
{
    char path[4096];
    for (unsigned part = 1; part <= parts; part <<= 1) {
        file_path(context, part, path, sizeof path);
        if ((parts & part) && *path && remove(path) != 0 && errno != ENOENT)
            irn_log(context, "%s: cannot be removed, though the device fails its check", path);
    }
}
