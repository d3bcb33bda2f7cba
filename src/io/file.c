#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

irn_status irn_fail_errno(const char *name, const char *action, int code)
{
    char words[128];
    if (strerror_r(code, words, sizeof words) != 0)
        words[0] = '\0';
    return irn_fail(IRN_ERROR_FILE, "%s: cannot %s: %s (error %d)", name, action, words, code);
}

const char *irn_excerpt(char out[IRN_EXCERPT], const void *text, size_t size)
{
    const unsigned char *bytes = text;
    size_t kept = size < IRN_EXCERPT ? size : IRN_EXCERPT - sizeof "...";
    for (size_t i = 0; i < kept; i++)
        out[i] = bytes[i] >= 0x20 && bytes[i] < 0x7f ? (char)bytes[i] : '?';
    memcpy(out + kept, kept < size ? "..." : "", kept < size ? sizeof "..." : 1);
    return out;
}

/* Length of the UTF-8 sequence at the start of bytes, 0 if it is none (overlong forms, surrogates,
 * and beyond U+10FFFF included). */
static size_t sequence_length(const unsigned char *bytes, size_t size)
{
    unsigned first = bytes[0];
    size_t length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    if (first == 0 || (first >= 0x80 && first < 0xc2) || first > 0xf4 || length > size)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
    if ((first == 0xe0 && bytes[1] < 0xa0) || (first == 0xed && bytes[1] > 0x9f) ||
        (first == 0xf0 && bytes[1] < 0x90) || (first == 0xf4 && bytes[1] > 0x8f))
        return 0;
    return length;
}

bool irn_is_text(const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    while (size > 0) {
        size_t length = sequence_length(at, size);
        if (length == 0)
            return false;
        at += length;
        size -= length;
    }
    return true;
}

irn_status irn_file_open(int *descriptor, uint64_t *size, const char *path)
{
    /* O_NONBLOCK: opening a pipe that nobody writes to would wait for ever. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (file < 0)
        return irn_fail_errno(path, "open", errno);
    struct stat about;
    irn_status status = IRN_OK;
    if (fstat(file, &about) != 0)
        status = irn_fail_errno(path, "examine", errno);
    else if (!S_ISREG(about.st_mode))
        status = irn_fail(IRN_ERROR_FILE, "%s: is %s, not a regular file", path,
                          S_ISDIR(about.st_mode) ? "a directory" : "a pipe or a device");
    if (status != IRN_OK) {
        close(file);
        return status;
    }
    *descriptor = file;
    *size = about.st_size > 0 ? (uint64_t)about.st_size : 0;
    return IRN_OK;
}

irn_status irn_file_read_some(int descriptor, void *out, size_t wanted, size_t *got,
                              const char *name)
{
    /* Above this, read() may refuse the length. */
    const size_t most = (size_t)1 << 30;
    ssize_t count;
    do
        count = read(descriptor, out, wanted < most ? wanted : most);
    while (count < 0 && errno == EINTR);
    if (count < 0)
        return irn_fail_errno(name, "read", errno);
    *got = (size_t)count;
    return IRN_OK;
}

static irn_status over_limit(const char *name, size_t limit)
{
    return irn_fail(IRN_ERROR_FORMAT, "%s: is larger than the limit of %zu bytes", name, limit);
}

/* Reads to the end. The file may be longer or shorter than expected (it grows, or it is a pipe), so
 * one byte more than the limit is asked for. */
static irn_status read_all(uint8_t **out, size_t *size, int descriptor, size_t expected,
                           size_t limit, const char *name)
{
    size_t capacity = expected + 1, used = 0, got = 1;
    uint8_t *bytes = malloc(capacity);
    irn_status status = IRN_OK;
    while (bytes && status == IRN_OK && got > 0 && used <= limit) {
        if (used == capacity) {
            capacity = capacity <= limit / 2 ? 2 * capacity : limit + 1;
            uint8_t *larger = realloc(bytes, capacity);
            if (!larger)
                free(bytes);
            bytes = larger;
            continue;
        }
        status = irn_file_read_some(descriptor, bytes + used, capacity - used, &got, name);
        used += status == IRN_OK ? got : 0;
    }
    if (!bytes)
        return irn_fail(IRN_ERROR_MEMORY, "%s: no memory for %zu bytes", name, capacity);
    if (status == IRN_OK && used > limit)
        status = over_limit(name, limit);
    if (status != IRN_OK) {
        free(bytes);
        return status;
    }
    bytes[used] = 0;
    *out = bytes;
    *size = used;
    return IRN_OK;
}

static irn_status read_path(uint8_t **out, size_t *size, const char *path, size_t limit)
{
    if (strcmp(path, "-") == 0)
        return read_all(out, size, STDIN_FILENO, limit < 65535 ? limit : 65535, limit,
                        "standard input");
    int descriptor;
    uint64_t length;
    IRN_TRY(irn_file_open(&descriptor, &length, path));
    irn_status status = length > limit
                            ? over_limit(path, limit)
                            : read_all(out, size, descriptor, (size_t)length, limit, path);
    close(descriptor);
    return status;
}

irn_status irn_file_read(uint8_t **out, size_t *size, const char *path, size_t limit, bool inflate)
{
    *out = NULL;
    *size = 0;
    if (!path || limit > SIZE_MAX / 2)
        return irn_fail(IRN_ERROR_ARGUMENT, "irn_file_read: no path, or the limit is above %zu",
                        SIZE_MAX / 2);
    IRN_TRY(read_path(out, size, path, limit));
    if (!inflate || *size < 2 || (*out)[0] != 0x1f || (*out)[1] != 0x8b)
        return IRN_OK;
    uint8_t *packed = *out;
    irn_status status = irn_gzip_inflate(out, size, packed, *size, limit, path);
    free(packed);
    return status;
}
