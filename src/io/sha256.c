#include "io/sha256.h"

#include "io/file.h"

#include <nettle/base16.h>
#include <nettle/sha2.h>
#include <unistd.h>

static void finish(char out[IRN_SHA256_HEX], struct sha256_ctx *context)
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(context, sizeof digest, digest);
    base16_encode_update(out, sizeof digest, digest);
    out[IRN_SHA256_HEX - 1] = '\0';
}

void irn_sha256_bytes(char out[IRN_SHA256_HEX], const void *bytes, size_t size)
{
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, bytes);
    finish(out, &context);
}

irn_status irn_sha256_file(char out[IRN_SHA256_HEX], const char *path)
{
    out[0] = '\0';
    int descriptor;
    uint64_t size;
    IRN_TRY(irn_file_open(&descriptor, &size, path));
    struct sha256_ctx context;
    sha256_init(&context);
    uint8_t block[16384];
    size_t got = 1;
    irn_status status = IRN_OK;
    while (status == IRN_OK && got > 0) {
        status = irn_file_read_some(descriptor, block, sizeof block, &got, path);
        if (status == IRN_OK)
            sha256_update(&context, got, block);
    }
    close(descriptor);
    if (status == IRN_OK)
        finish(out, &context);
    return status;
}
