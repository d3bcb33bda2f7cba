/* Whole files or none. The data goes to a new file beside the target and takes its name only when
 * it is complete and on the disk; a reader sees the old content or the new, never a part. */
#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700 /* realpath */
#endif

#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct irn_writer {
    int descriptor;
    bool borrowed; /* the descriptor is not ours to close */
    bool failed;
    char *path;      /* as the caller gave it, for sentences */
    char *target;    /* what is to be replaced; NULL: written to directly */
    char *temporary; /* exists as long as this is not NULL */
};

static irn_status no_memory(const char *path)
{
    return irn_fail(IRN_ERROR_MEMORY, "%s: no memory for its name", path);
}

static void writer_free(irn_writer *writer)
{
    if (writer->descriptor >= 0 && !writer->borrowed)
        close(writer->descriptor);
    if (writer->temporary)
        unlink(writer->temporary);
    free(writer->temporary);
    free(writer->target);
    free(writer->path);
    free(writer);
}

/* Length of the folder part of a path, its slash included. */
static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* A name that hardly clashes; O_EXCL sees to the rest. */
static uint64_t name_number(const irn_writer *writer, unsigned attempt)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t number = (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
    number ^= (uint64_t)getpid() << 40;
    return number + ((uint64_t)(uintptr_t)writer << 8) + attempt;
}

/* Makes the temporary sibling. open() rather than mkstemp(): the kernel then applies the umask,
 * which a library cannot ask for without setting it for all threads. The name does not contain the
 * target's, which may already be as long as names may be. */
static irn_status open_temporary(irn_writer *writer, mode_t mode)
{
    size_t folder = folder_length(writer->target), size = folder + sizeof ".irn-0123456789abcdef";
    char *name = malloc(size);
    if (!name)
        return no_memory(writer->path);
    memcpy(name, writer->target, folder);
    const unsigned attempts = 100;
    for (unsigned i = 0; i < attempts && writer->descriptor < 0; i++) {
        snprintf(name + folder, size - folder, ".irn-%016" PRIx64, name_number(writer, i));
        writer->descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (writer->descriptor < 0 && errno != EEXIST && errno != EINTR)
            break;
    }
    if (writer->descriptor < 0) {
        int code = errno;
        free(name);
        return irn_fail_errno(writer->path, "create a temporary file beside it", code);
    }
    writer->temporary = name;
    return IRN_OK;
}

static irn_status open_replacement(irn_writer *writer, const struct stat *old)
{
    /* The file itself is to be replaced, not a link that leads to it. */
    writer->target = realpath(writer->path, NULL);
    if (!writer->target)
        return irn_fail_errno(writer->path, "resolve", errno);
    /* rename() asks for no permission on the file, but its owner may have protected it. */
    if (faccessat(AT_FDCWD, writer->target, W_OK, AT_EACCESS) != 0)
        return irn_fail_errno(writer->path, "replace", errno);
    IRN_TRY(open_temporary(writer, S_IRUSR | S_IWUSR));
    /* Only root may give files away; for all others the new file is their own. */
    if (fchown(writer->descriptor, old->st_uid, old->st_gid) != 0)
        errno = 0;
    if (fchmod(writer->descriptor, old->st_mode & (S_IRWXU | S_IRWXG | S_IRWXO)) != 0)
        return irn_fail_errno(writer->path, "set the permissions of its replacement", errno);
    return IRN_OK;
}

static irn_status open_new(irn_writer *writer)
{
    const char *path = writer->path;
    struct stat about;
    size_t length = strlen(path);
    if (length == 0 || path[length - 1] == '/')
        return irn_fail(IRN_ERROR_FILE, "\"%s\": is not the name of a file", path);
    if (lstat(path, &about) == 0)
        return irn_fail(IRN_ERROR_FILE, "%s: is a symbolic link to nothing", path);
    writer->target = strdup(path);
    if (!writer->target)
        return no_memory(path);
    return open_temporary(writer, S_IRUSR | S_IWUSR | S_IRGRP | S_IWGRP | S_IROTH | S_IWOTH);
}

static irn_status open_any(irn_writer *writer)
{
    const char *path = writer->path;
    if (strcmp(path, "-") == 0) {
        /* What the program printed before must stay before. */
        fflush(stdout);
        writer->descriptor = STDOUT_FILENO;
        writer->borrowed = true;
        return IRN_OK;
    }
    struct stat about;
    if (stat(path, &about) != 0)
        return errno == ENOENT ? open_new(writer) : irn_fail_errno(path, "examine", errno);
    if (S_ISDIR(about.st_mode))
        return irn_fail(IRN_ERROR_FILE, "%s: is a directory, not a file to write", path);
    if (S_ISREG(about.st_mode))
        return open_replacement(writer, &about);
    writer->descriptor = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return writer->descriptor < 0 ? irn_fail_errno(path, "open", errno) : IRN_OK;
}

irn_status irn_writer_open(irn_writer **out, const char *path)
{
    *out = NULL;
    if (!path)
        return irn_fail(IRN_ERROR_ARGUMENT, "the path of a file to write is NULL");
    irn_writer *writer;
    IRN_TRY(irn_alloc(&writer, 1, sizeof *writer));
    writer->descriptor = -1;
    writer->path = strdup(path);
    irn_status status = writer->path ? open_any(writer) : no_memory(path);
    if (status != IRN_OK) {
        writer_free(writer);
        return status;
    }
    *out = writer;
    return IRN_OK;
}

irn_status irn_writer_write(irn_writer *writer, const void *data, size_t size)
{
    const char *at = data;
    const size_t most = (size_t)1 << 30;
    while (size > 0) {
        ssize_t count = write(writer->descriptor, at, size < most ? size : most);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0) {
            writer->failed = true;
            return irn_fail_errno(writer->path, "write", count < 0 ? errno : EIO);
        }
        at += count;
        size -= (size_t)count;
    }
    return IRN_OK;
}

/* Makes the new name last. Not every file system can, and not every folder may be read: only a
 * failing disk counts. */
static irn_status sync_folder(const irn_writer *writer)
{
    size_t length = folder_length(writer->target);
    char *folder = length > 0 ? strndup(writer->target, length) : strdup(".");
    if (!folder)
        return no_memory(writer->path);
    int descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (descriptor < 0)
        return IRN_OK;
    int code = fsync(descriptor) != 0 ? errno : 0;
    close(descriptor);
    return code == EIO ? irn_fail_errno(writer->path, "sync the folder of", code) : IRN_OK;
}

static irn_status close_descriptor(irn_writer *writer)
{
    int descriptor = writer->descriptor;
    writer->descriptor = -1;
    if (writer->borrowed || close(descriptor) == 0 || errno == EINTR)
        return IRN_OK;
    return irn_fail_errno(writer->path, "close", errno);
}

static irn_status publish(irn_writer *writer)
{
    if (writer->failed)
        return irn_fail(IRN_ERROR_FILE, "%s: not written, an earlier write failed", writer->path);
    /* EINVAL: the file system has no such operation. */
    if (writer->target && fsync(writer->descriptor) != 0 && errno != EINVAL)
        return irn_fail_errno(writer->path, "write to the disk", errno);
    IRN_TRY(close_descriptor(writer));
    if (!writer->target)
        return IRN_OK;
    if (rename(writer->temporary, writer->target) != 0)
        return irn_fail_errno(writer->path, "give its name to the new file", errno);
    free(writer->temporary);
    writer->temporary = NULL;
    return sync_folder(writer);
}

irn_status irn_writer_commit(irn_writer *writer)
{
    irn_status status = publish(writer);
    writer_free(writer);
    return status;
}

void irn_writer_discard(irn_writer *writer)
{
    if (writer)
        writer_free(writer);
}
