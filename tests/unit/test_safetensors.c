/* The safetensors format. */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include "io/safetensors.h"

#include <stdlib.h>
#include <string.h>

START_TEST(safetensors_survive_a_round_trip)
{
    float f[3] = {1.5f, -2.0f, 0.25f};
    double d[2] = {1e300, 3.0};
    uint8_t u[3] = {1, 2, 3};
    const irn_array af = {IRN_FLOAT32, 2, {3, 1}, f}, ad = {IRN_FLOAT64, 1, {2}, d},
                    au = {IRN_UINT8, 1, {3}, u}, empty = {IRN_INT32, 2, {0, 7}, NULL};
    irn_safetensors_writer *writer;
    testing_ok(irn_safetensors_writer_create(&writer));
    testing_ok(irn_safetensors_add(writer, "bytes \"q\"", &au));
    testing_ok(irn_safetensors_add(writer, "f", &af));
    testing_ok(irn_safetensors_add(writer, "d", &ad));
    testing_ok(irn_safetensors_add(writer, "empty", &empty));
    testing_ok(irn_safetensors_add_metadata(writer, "format", "a \n \"b\""));
    testing_fails(irn_safetensors_add(writer, "f", &af), IRN_ERROR_ARGUMENT, "\"f\"");
    testing_fails(irn_safetensors_add(writer, "\xff", &af), IRN_ERROR_ARGUMENT, "UTF-8");
    testing_fails(irn_safetensors_add_metadata(writer, "format", ""), IRN_ERROR_ARGUMENT, "twice");
    testing_ok(irn_safetensors_write(writer, testing_path("a")));
    irn_safetensors_writer_free(writer);

    irn_safetensors *file;
    irn_array view;
    testing_ok(irn_safetensors_open(&file, testing_path("a")));
    ck_assert_uint_eq(irn_safetensors_count(file), 4);
    ck_assert_str_eq(irn_safetensors_tensor_name(file, 0), "d");
    ck_assert_str_eq(irn_safetensors_metadata(file, "format"), "a \n \"b\"");
    ck_assert_ptr_null(irn_safetensors_metadata(file, "absent"));
    testing_ok(irn_safetensors_view(file, irn_safetensors_find(file, "bytes \"q\""), &view));
    ck_assert_mem_eq(view.data, u, sizeof u);
    testing_ok(irn_safetensors_view(file, irn_safetensors_find(file, "empty"), &view));
    ck_assert(view.rank == 2 && view.shape[1] == 7 && view.type == IRN_INT32);
    float f_back[3], narrow[2];
    double d_back[3];
    testing_ok(irn_safetensors_read_float(file, "f", 3, f_back));
    ck_assert_mem_eq(f_back, f, sizeof f);
    testing_ok(irn_safetensors_read_double(file, "f", 3, d_back));
    ck_assert_double_eq(d_back[2], 0.25);
    testing_fails(irn_safetensors_read_float(file, "d", 2, narrow), IRN_ERROR_NUMERIC, "1e+300");
    testing_fails(irn_safetensors_read_float(file, "f", 4, f_back), IRN_ERROR_FORMAT,
                  "[3, 1] with 3 values, expected are 4");
    testing_fails(irn_safetensors_read_float(file, "x", 4, f_back), IRN_ERROR_FORMAT, "no tensor");
    testing_fails(irn_safetensors_view(file, 4, &view), IRN_ERROR_ARGUMENT, "tensor 4");
    irn_safetensors_free(file);
}
END_TEST

/* Parses a header, padding included, and size bytes 0xff. */
static irn_status parse_safetensors(const char *json, size_t size, irn_safetensors **file)
{
    size_t length = strlen(json);
    uint8_t *bytes = malloc(8 + length + size);
    for (size_t i = 0; i < 8; i++)
        bytes[i] = (uint8_t)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, json, length);
    memset(bytes + 8 + length, 0xff, size);
    return irn_safetensors_parse(file, bytes, 8 + length + size, "a.st");
}

#define T(name, type, shape, offsets)                                                              \
    "\"" name "\":{\"dtype\":\"" type "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"

START_TEST(safetensors_refuse_what_is_malformed)
{
    static const struct {
        const char *json, *words;
        size_t size;
    } cases[] = {
        {"{" T("a", "F32", "[2]", "[0,8]") "}", "file 9", 9},
        {"{" T("a", "F32", "[2]", "[0,8]") "}", "ends at byte 8", 7},
        {"{" T("a", "F32", "[3]", "[0,8]") "}", "do not fit its 8 bytes", 8},
        {"{" T("a", "F32", "[2]", "[8,0]") "}", "rising", 8},
        {"{" T("a", "F32", "[2]", "[0,8,8]") "}", "rising", 8},
        {"{" T("a", "F32", "[2]", "[-8,0]") "}", "rising", 8},
        {"{" T("a", "F32", "[2]", "[0,1e300]") "}", "rising", 8},
        {"{" T("a", "F32", "[1.5]", "[0,8]") "}", "whole number", 8},
        {"{" T("a", "F32", "2", "[0,8]") "}", "not an array", 8},
        {"{" T("a", "F32", "[4294967296,4294967296]", "[0,0]") "}", "do not fit", 0},
        {"{" T("a", "F32", "[1,1,1,1,1,1,1,1,2]", "[0,8]") "}", "8 dimensions", 8},
        {"{" T("a", "F31", "[2]", "[0,8]") "}", "unknown dtype \"F31\"", 8},
        {"{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[5,9]") "}", "a gap", 9},
        {"{" T("a", "U8", "[4]", "[0,4]") "," T("b", "U8", "[4]", "[3,7]") "}", "overlap", 7},
        {"{" T("a", "U8", "[4]", "[0,4]") "," T("a", "U8", "[4]", "[4,8]") "}", "two tensors", 8},
        {"{" T("a", "U8", "[0]", "[0,0]") "," T("a", "U8", "[0]", "[0,0]") "}", "two tensors", 0},
        {"{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", "a key twice", 0},
        {"{\"a\":{\"dtype\":\"U8\"}}", "lacks", 0},
        {"{\"a\":7}", "not an object", 0},
        {"{\"__metadata__\":{\"a\":1}}", "not a string", 0},
        {"{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", "twice", 0},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", "is there twice", 0},
        {"{\"__metadata__\":[]}", "not an object", 0},
        {"{\"a\\u0000b\":7}", "zero character", 0},
        {"{\"a\xff\":7}", "UTF-8", 0},
        {"[]", "does not begin with {", 0},
        {"{} x", "not JSON", 0},
        {"{\"a\":", "not JSON", 0},
        {"x", "not a safetensors file", 0},
        {"{}", "its tensors have 0 bytes, the file 1", 1},
    };
    irn_safetensors *file;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        testing_fails(parse_safetensors(cases[i].json, cases[i].size, &file), IRN_ERROR_FORMAT,
                      cases[i].words);
        ck_assert_ptr_null(file);
    }
    testing_ok(parse_safetensors("{}   ", 0, &file));
    irn_safetensors_free(file);
}
END_TEST

START_TEST(safetensors_refuse_bombs)
{
    irn_safetensors *file;
    const char *path = testing_write("a", "\0\0\0\0\1\0\0\0{}", 10);
    testing_fails(irn_safetensors_open(&file, path), IRN_ERROR_FORMAT,
                  "4294967296 bytes; 2 follow");
    path = testing_write("a", "\1\0\0", 3);
    testing_fails(irn_safetensors_open(&file, path), IRN_ERROR_FORMAT, "(3 bytes)");
    const size_t depth = 1000000, values = (size_t)5 << 20;
    char *json = malloc(2 * values + 32);
    memcpy(json, "{\"a\":", 5);
    memset(json + 5, '[', depth);
    json[5 + depth] = '\0';
    testing_fails(parse_safetensors(json, 0, &file), IRN_ERROR_FORMAT, "not JSON");
    for (size_t i = 0; i < values; i++)
        memcpy(json + 5 + 2 * i, i == 0 ? "[0" : ",0", 2);
    memcpy(json + 5 + 2 * values, "]}", 3);
    testing_fails(parse_safetensors(json, 0, &file), IRN_ERROR_FORMAT, "limit is 4194304");
    free(json);
}
END_TEST

START_TEST(safetensors_refuse_values_at_access)
{
    irn_safetensors *file;
    irn_array view;
    float value;
    testing_ok(parse_safetensors(
        "{" T("b", "F32", "[1]", "[2,6]") "," T("h", "BF16", "[]", "[0,2]") "}", 6, &file));
    ck_assert_uint_eq(irn_safetensors_find(file, "h"), 0);
    testing_fails(irn_safetensors_view(file, 0, &view), IRN_ERROR_UNSUPPORTED, "BF16");
    testing_fails(irn_safetensors_read_float(file, "h", 1, &value), IRN_ERROR_FORMAT, "BF16");
    testing_fails(irn_safetensors_read_float(file, "b", 1, &value), IRN_ERROR_NUMERIC, "nan");
    irn_safetensors_free(file);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safetensors");
    TCase *safetensors = testing_case(suite, "safetensors");
    tcase_add_test(safetensors, safetensors_survive_a_round_trip);
    tcase_add_test(safetensors, safetensors_refuse_what_is_malformed);
    tcase_add_test(safetensors, safetensors_refuse_bombs);
    tcase_add_test(safetensors, safetensors_refuse_values_at_access);
    return testing_run(suite);
}
