/* Choices of tiles that were measured on a device, kept from run to run.
 *
 * A file of a few lines beside the compiled kernels, named by the SHA-256 of platform, device and
 * driver, so that a new driver is measured anew. Like these it can be deleted at any time, and is
 * written whole or not at all. Whoever wrote it, no harm is done: it only chooses among the tiles
 * that the library has for the device. */
#include "runtime/tuning.h"
#include "io/file.h"
#include "io/sha256.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char magic[] = "iresnet tuning 1\n";
enum { MAX_FILE = 4096 };

/* False without a folder, or with one of too long a name. */
static bool find_path(char *path, size_t size, const irn_context *context)
{
    const irn_device_info *info = &context->info;
    char key[sizeof *info + 16], hex[IRN_SHA256_HEX];
    if (!context->cache_dir)
        return false;
    int length = snprintf(key, sizeof key, "%s\n%s\n%s", info->platform, info->name, info->driver);
    irn_sha256_bytes(hex, key, (size_t)length);
    return (size_t)snprintf(path, size, "%s/tuning-%s.txt", context->cache_dir, hex) < size;
}

irn_status irn_tuning_path(char *path, size_t size, const irn_context *context)
{
    if (find_path(path, size, context))
        return IRN_OK;
    return context->cache_dir
               ? irn_fail(IRN_ERROR_FILE, "%.40s...: the path is too long", context->cache_dir)
               : irn_fail(IRN_ERROR_FILE, "there is no folder to remember what is measured in: "
                                          "IRN_CACHE_DIR is off, or neither it, XDG_CACHE_HOME "
                                          "nor HOME is set");
}

static irn_status read_file(irn_context *context, const char *path)
{
    uint8_t *bytes;
    size_t size;
    char name[IRN_EXCERPT];
    IRN_TRY(irn_file_read(&bytes, &size, path, MAX_FILE, false));
    const char *text = (const char *)bytes;
    irn_status status =
        !irn_is_text(bytes, size) || strncmp(text, magic, sizeof magic - 1) != 0
            ? irn_fail(IRN_ERROR_FORMAT, "%s: begins with '%s', not with 'iresnet tuning 1'", path,
                       irn_excerpt(name, bytes, irn_smaller(size, 20)))
            : irn_tuning_read(&context->tuning, &context->info, text + sizeof magic - 1, path);
    free(bytes);
    return status;
}

/* CLBlast's parameters are the whole process's; and what was measured with them says nothing of
 * CLBlast without. */
static void leave_blas(irn_context *context, const char *source)
{
    const irn_tile none = {{0}};
    irn_tile *tiles = context->tuning.tiles;
    char text[IRN_TILE_TEXT];
    if (context->may_set_blas || tiles[IRN_TILE_BLAS].size[0] == 0)
        return;
    irn_log(context,
            "%s: %s=%s is left out, and CLBlast with it: this context may not set its "
            "parameters",
            source, irn_tile_use_name(IRN_TILE_BLAS), irn_tile_text(text, &tiles[IRN_TILE_BLAS]));
    tiles[IRN_TILE_BLAS] = tiles[IRN_TILE_DENSE] = tiles[IRN_TILE_DENSE_GRADIENT] = none;
}

irn_status irn_tuning_load(irn_context *context)
{
    char path[4096], sentence[1024]; /* of the last failure, which trouble with the file is not */
    struct stat info;
    if (find_path(path, sizeof path, context) && stat(path, &info) == 0) {
        snprintf(sentence, sizeof sentence, "%s", irn_last_error());
        if (read_file(context, path) != IRN_OK)
            irn_log(context, "%s; what was tuned is left out", irn_last_error());
        irn_set_error("%s", sentence);
        leave_blas(context, path);
    }
    const char *environment = getenv("IRN_TUNING");
    if (environment &&
        irn_tuning_read(&context->tuning, &context->info, environment, "IRN_TUNING") != IRN_OK)
        return IRN_ERROR_ARGUMENT;
    leave_blas(context, "IRN_TUNING");
    return IRN_OK;
}

irn_status irn_tuning_store(const irn_context *context)
{
    char path[4096];
    irn_writer *writer;
    IRN_TRY(irn_tuning_path(path, sizeof path, context));
    irn_cache_make_folders(context->cache_dir);
    IRN_TRY(irn_writer_open(&writer, path));
    irn_status status = irn_writer_write(writer, magic, sizeof magic - 1);
    for (irn_tile_use use = 0; use < IRN_TILE_USES && status == IRN_OK; use++) {
        char line[IRN_TILE_TEXT + 32], text[IRN_TILE_TEXT];
        irn_tile any;
        if (!irn_tile_candidate(&any, &context->info, use, 0))
            continue;
        int length = snprintf(line, sizeof line, "%s=%s\n", irn_tile_use_name(use),
                              irn_tile_text(text, &context->tuning.tiles[use]));
        status = irn_writer_write(writer, line, (size_t)length);
    }
    if (status == IRN_OK)
        return irn_writer_commit(writer);
    irn_writer_discard(writer);
    return status;
}
