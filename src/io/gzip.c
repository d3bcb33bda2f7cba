/* gzip through zlib. A small file can claim to inflate to anything, so memory grows only with what
 * has come out, up to the caller's limit. */
#include "io/file.h"

#include <limits.h>
#include <stdlib.h>

#define ZLIB_CONST /* its input pointer is one to const then */
#include <zlib.h>

typedef struct output {
    uint8_t *bytes;
    size_t capacity, used, limit;
} output;

/* Makes room; capacity never exceeds limit + 1, so that too much can be told from just enough. */
static irn_status grow(output *out, const char *name)
{
    size_t capacity = out->capacity <= out->limit / 2 ? 2 * out->capacity : out->limit + 1;
    uint8_t *larger = realloc(out->bytes, capacity);
    if (!larger)
        return irn_fail(IRN_ERROR_MEMORY, "%s: no memory for %zu bytes", name, capacity);
    out->bytes = larger;
    out->capacity = capacity;
    return IRN_OK;
}

static unsigned chunk(size_t size)
{
    return size < UINT_MAX ? (unsigned)size : UINT_MAX;
}

/* One call of zlib's inflate: moves *at and out->used on. *ended: a member is complete. */
static irn_status inflate_some(z_stream *stream, const uint8_t *bytes, size_t size, size_t *at,
                               output *out, bool *ended, const char *name)
{
    if (out->used == out->capacity)
        IRN_TRY(grow(out, name));
    unsigned in = chunk(size - *at), room = chunk(out->capacity - out->used);
    stream->next_in = bytes + *at;
    stream->avail_in = in;
    stream->next_out = out->bytes + out->used;
    stream->avail_out = room;
    int code = inflate(stream, Z_NO_FLUSH);
    *at += in - stream->avail_in;
    out->used += room - stream->avail_out;
    if (code == Z_MEM_ERROR)
        return irn_fail(IRN_ERROR_MEMORY, "%s: no memory to inflate it", name);
    if (code == Z_BUF_ERROR)
        return irn_fail(IRN_ERROR_FORMAT, "%s: the gzip data ends early, after %zu bytes", name,
                        size);
    if (code != Z_OK && code != Z_STREAM_END)
        return irn_fail(IRN_ERROR_FORMAT, "%s: broken gzip data near byte %zu: %s", name, *at,
                        stream->msg ? stream->msg : "unknown error");
    if (out->used > out->limit)
        return irn_fail(IRN_ERROR_FORMAT, "%s: inflates to more than the limit of %zu bytes", name,
                        out->limit);
    *ended = code == Z_STREAM_END;
    return IRN_OK;
}

static irn_status inflate_members(z_stream *stream, const uint8_t *bytes, size_t size, output *out,
                                  const char *name)
{
    size_t at = 0;
    bool ended = false;
    while (!ended || at < size) {
        if (ended && inflateReset(stream) != Z_OK)
            return irn_fail(IRN_ERROR_FORMAT, "%s: broken gzip data near byte %zu", name, at);
        IRN_TRY(inflate_some(stream, bytes, size, &at, out, &ended, name));
    }
    return IRN_OK;
}

irn_status irn_gzip_inflate(uint8_t **out, size_t *out_size, const uint8_t *bytes, size_t size,
                            size_t limit, const char *name)
{
    *out = NULL;
    *out_size = 0;
    output result = {.capacity = (limit < 65535 ? limit : 65535) + 1, .limit = limit};
    result.bytes = malloc(result.capacity);
    z_stream stream = {0};
    const int only_gzip = MAX_WBITS + 16;
    if (!result.bytes || inflateInit2(&stream, only_gzip) != Z_OK) {
        free(result.bytes);
        return irn_fail(IRN_ERROR_MEMORY, "%s: no memory to inflate it", name);
    }
    irn_status status = inflate_members(&stream, bytes, size, &result, name);
    inflateEnd(&stream);
    if (status == IRN_OK && result.used == result.capacity)
        status = grow(&result, name);
    if (status != IRN_OK) {
        free(result.bytes);
        return status;
    }
    result.bytes[result.used] = 0;
    *out = result.bytes;
    *out_size = result.used;
    return IRN_OK;
}
