/* Inflation of gzip files. */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include "io/file.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

/* gzip of size bytes; the caller frees. */
static uint8_t *pack(const void *bytes, size_t size, size_t *packed_size)
{
    z_stream stream = {0};
    ck_assert_int_eq(deflateInit2(&stream, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&stream, size) + 32;
    uint8_t *out = malloc(room);
    memcpy(&stream.next_in, &bytes, sizeof bytes);
    stream.avail_in = (unsigned)size;
    stream.next_out = out;
    stream.avail_out = (unsigned)room;
    ck_assert_int_eq(deflate(&stream, Z_FINISH), Z_STREAM_END);
    *packed_size = room - stream.avail_out;
    deflateEnd(&stream);
    return out;
}

START_TEST(inflates_within_the_limit)
{
    const size_t size = 1000000;
    size_t packed_size, got;
    uint8_t *zeros = calloc(size, 1), *packed = pack(zeros, size, &packed_size), *bytes;
    const char *path = testing_write("zeros.gz", packed, packed_size);
    testing_ok(irn_file_read(&bytes, &got, path, size, true));
    ck_assert_uint_eq(got, size);
    ck_assert_mem_eq(bytes, zeros, size);
    free(bytes);
    testing_fails(irn_file_read(&bytes, &got, path, size - 1, true), IRN_ERROR_FORMAT, "999999");
    ck_assert_ptr_null(bytes);
    testing_ok(irn_file_read(&bytes, &got, path, size, false));
    ck_assert_uint_eq(got, packed_size);
    free(bytes);
    for (size_t cut = 2; cut < packed_size; cut += 1 + packed_size / 50)
        testing_fails(irn_gzip_inflate(&bytes, &got, packed, cut, size, "cut"), IRN_ERROR_FORMAT,
                      "early");
    free(packed);
    free(zeros);
}
END_TEST

START_TEST(inflates_members_but_no_garbage)
{
    size_t first_size, second_size, got;
    uint8_t *first = pack("one,", 4, &first_size), *second = pack("two", 3, &second_size);
    uint8_t joined[256], *bytes;
    memcpy(joined, first, first_size);
    memcpy(joined + first_size, second, second_size);
    testing_ok(irn_gzip_inflate(&bytes, &got, joined, first_size + second_size, 7, "joined"));
    ck_assert_str_eq((char *)bytes, "one,two");
    free(bytes);
    memset(joined + first_size, 'x', 20);
    testing_fails(irn_gzip_inflate(&bytes, &got, joined, first_size + 20, 99, "tail"),
                  IRN_ERROR_FORMAT, "tail: broken gzip");
    first[first_size - 1] ^= 1; /* the length at the end */
    testing_fails(irn_gzip_inflate(&bytes, &got, first, first_size, 99, "sum"), IRN_ERROR_FORMAT,
                  "sum: broken gzip");
    free(first);
    free(second);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gzip");
    TCase *gzip = testing_case(suite, "gzip");
    tcase_add_test(gzip, inflates_within_the_limit);
    tcase_add_test(gzip, inflates_members_but_no_garbage);
    return testing_run(suite);
}
