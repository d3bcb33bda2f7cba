/* NPY, safetensors, PNG. */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include "io/file.h"
#include "io/npy.h"
#include "io/safetensors.h"

#include <iresnet/array.h>
#include <iresnet/image.h>

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

START_TEST(makes_arrays)
{
    irn_array array;
    const size_t shape[IRN_MAX_RANK + 1] = {2, 3, 1, 1, 1, 1, 1, 1, 1};
    testing_ok(irn_array_create(&array, IRN_INT64, 2, shape));
    ck_assert_uint_eq(irn_array_count(&array), 6);
    ck_assert_int_eq((int)((int64_t *)array.data)[5], 0);
    irn_array_free(&array);
    irn_array_free(&array);
    testing_ok(irn_array_create(&array, IRN_UINT8, 0, NULL));
    ck_assert_uint_eq(irn_array_count(&array), 1);
    irn_array_free(&array);
    testing_fails(irn_array_create(&array, IRN_UINT8, 9, shape), IRN_ERROR_ARGUMENT, "rank 9");
    testing_fails(irn_array_create(&array, (irn_dtype)77, 1, shape), IRN_ERROR_ARGUMENT, "77");
    const size_t huge[2] = {SIZE_MAX, 2}, large[1] = {SIZE_MAX / 4};
    testing_fails(irn_array_create(&array, IRN_UINT8, 2, huge), IRN_ERROR_MEMORY, "no memory");
    testing_fails(irn_array_create(&array, IRN_FLOAT64, 1, large), IRN_ERROR_MEMORY, "no memory");
    ck_assert_ptr_null(array.data);
    ck_assert_str_eq(irn_dtype_name(IRN_FLOAT64), "float64");
    ck_assert_uint_eq(irn_dtype_size((irn_dtype)77), 0);
}
END_TEST

START_TEST(npy_survives_a_round_trip)
{
    for (int type = IRN_FLOAT32; type <= IRN_UINT8; type++)
        for (size_t rank = 0; rank <= IRN_MAX_RANK; rank++) {
            const size_t shape[IRN_MAX_RANK] = {2, 3, 1, 2, 1, 2, 1, 1};
            irn_array array, back;
            testing_ok(irn_array_create(&array, (irn_dtype)type, rank, shape));
            size_t size = irn_array_count(&array) * irn_dtype_size(array.type);
            for (size_t i = 0; i < size; i++)
                ((uint8_t *)array.data)[i] = (uint8_t)(i * 37 + 1);
            testing_ok(irn_npy_write(&array, testing_path("a.npy")));
            testing_ok(irn_npy_read(&back, testing_path("a.npy")));
            ck_assert_int_eq((int)back.type, type);
            ck_assert_uint_eq(back.rank, rank);
            ck_assert_mem_eq(back.shape, array.shape, sizeof array.shape);
            ck_assert_mem_eq(back.data, array.data, size);
            irn_array_free(&array);
            irn_array_free(&back);
        }
}
END_TEST

/* Parses an NPY file made of a dictionary and size zero bytes. */
static irn_status parse_npy(const char *dictionary, size_t size)
{
    size_t length = strlen(dictionary);
    uint8_t *bytes = calloc(10 + length + size, 1);
    memcpy(bytes, "\x93NUMPY\x01\x00", 8);
    bytes[8] = (uint8_t)length;
    bytes[9] = (uint8_t)(length >> 8);
    memcpy(bytes + 10, dictionary, length);
    irn_array array;
    irn_status status = irn_npy_parse(&array, bytes, 10 + length + size, "a.npy");
    irn_array_free(&array);
    return status;
}

START_TEST(npy_reads_what_python_may_write)
{
    testing_ok(parse_npy("{'descr':'<f4','fortran_order':False,'shape':(2,3)}", 24));
    testing_ok(
        parse_npy(" { \"shape\": ( 2 , 3 , ) , 'fortran_order' : False, 'descr': '<f4', } \n", 24));
    testing_ok(parse_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (), }", 1));
    testing_ok(parse_npy("{'descr': '|u1', 'fortran_order': False, 'shape': (0, 5), }", 0));
}
END_TEST

START_TEST(npy_refuses_what_is_malformed)
{
    static const struct {
        const char *dictionary, *words;
        size_t size;
    } cases[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", "25 bytes", 25},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", "23 bytes", 23},
        {"{'descr': '<f4', 'fortran_order': True, 'shape': (2,), }", "Fortran", 8},
        {"{'descr': '>f4', 'fortran_order': False, 'shape': (2,), }", "'>f4'", 8},
        {"{'descr': '<f2', 'fortran_order': False, 'shape': (2,), }", "'<f2'", 4},
        {"{'descr': [('x', '<f4')], 'fortran_order': False, 'shape': (2,), }", "a string", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2), }", "a comma", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2 3), }", "a comma", 24},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (-2,), }", "a size", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (,), }", "a size", 8},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1)}", "8 dim", 4},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,)}", "above", 4},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}", "fit", 0},
        {"{'descr': '<f8', 'fortran_order': False, 'shape': (2305843009213693952,)}", "fit", 0},
        {"{'descr': '<f4', 'fortran_order': False}", "no 'shape'", 4},
        {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': ()}", "twice", 4},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (), 'x': 1}", "unknown key 'x'", 4},
        {"{'descr': '<f4', 'fortran_order': False, 'shape': ()} x", "nothing", 4},
        {"{'descr': '<f4, 'fortran_order': False, 'shape': ()", "'<f4, '", 4},
        {"{'descr': '<f4", "closing quote", 4},
        {"{", "a string", 0},
        {"", "{ expected", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        testing_fails(parse_npy(cases[i].dictionary, cases[i].size), IRN_ERROR_FORMAT,
                      cases[i].words);
}
END_TEST

START_TEST(npy_refuses_broken_prefixes)
{
    irn_array array;
    const char *path = testing_write("a.npy", "\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14);
    testing_fails(irn_npy_read(&array, path), IRN_ERROR_FORMAT, "4294967295 bytes");
    path = testing_write("a.npy", "\x93NUMPY\x02\x00\xff\xff", 10);
    testing_fails(irn_npy_read(&array, path), IRN_ERROR_FORMAT, "ends within");
    path = testing_write("a.npy", "\x93NUMPY\x04\x00\x02\x00{}", 12);
    testing_fails(irn_npy_read(&array, path), IRN_ERROR_FORMAT, "version 4.0");
    path = testing_write("a.npy", "PK", 2);
    testing_fails(irn_npy_read(&array, path), IRN_ERROR_FORMAT, "not an NPY file");
    irn_array broken = {.type = IRN_FLOAT32, .rank = 1, .shape = {4}};
    testing_fails(irn_npy_write(&broken, testing_path("b.npy")), IRN_ERROR_ARGUMENT, "no data");
    broken.rank = 9;
    testing_fails(irn_npy_write(&broken, testing_path("b.npy")), IRN_ERROR_ARGUMENT, "rank 9");
    ck_assert_uint_eq(testing_count_files(), 1);
}
END_TEST

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

/* Reads a PNG as RGB; the caller frees. */
static uint8_t *read_png(const char *path, unsigned *width, unsigned *height)
{
    png_image image = {.version = PNG_IMAGE_VERSION};
    ck_assert(png_image_begin_read_from_file(&image, path));
    image.format = PNG_FORMAT_RGB;
    uint8_t *pixels = malloc(PNG_IMAGE_SIZE(image));
    ck_assert(png_image_finish_read(&image, NULL, pixels, 0, NULL));
    *width = image.width;
    *height = image.height;
    return pixels;
}

START_TEST(draws_a_grid)
{
    /* Two images of 1x2: black, white; beyond, NaN. */
    const float images[4] = {0.0f, 1.0f, 7.0f, NAN};
    const uint8_t wanted[5][3] = {
        {0, 0, 0}, {255, 255, 255}, {128, 128, 128}, {255, 255, 255}, {255, 0, 0}};
    unsigned width, height;
    const char *path = testing_path("grid.png");
    testing_ok(irn_png_write_grid(images, 2, 1, 1, 2, 0.0f, 1.0f, 0, 1, path));
    uint8_t *pixels = read_png(path, &width, &height);
    ck_assert(width == 5 && height == 1);
    ck_assert_mem_eq(pixels, wanted, sizeof wanted);
    free(pixels);
    testing_ok(irn_png_write_grid(images, 2, 1, 1, 2, 0.0f, 1.0f, 1, 0, path));
    pixels = read_png(path, &width, &height);
    ck_assert(width == 56 && height == 57);
    free(pixels);
}
END_TEST

START_TEST(refuses_odd_pictures)
{
    const float images[8] = {0};
    const uint8_t pixels[8] = {0};
    const char *path = testing_path("x.png");
    testing_fails(irn_png_write(pixels, 2, 2, 2, path), IRN_ERROR_ARGUMENT, "2 channels");
    testing_fails(irn_png_write(pixels, 0, 2, 1, path), IRN_ERROR_ARGUMENT, "2 x 0");
    testing_fails(irn_png_write(pixels, SIZE_MAX, 2, 1, path), IRN_ERROR_ARGUMENT, "sides");
    testing_fails(irn_png_write(NULL, 2, 2, 1, path), IRN_ERROR_ARGUMENT, "no pixels");
    testing_fails(irn_png_write(pixels, 2, 2, 1, "/dev/full"), IRN_ERROR_FILE, "/dev/full");
    testing_fails(irn_png_write_grid(images, 0, 1, 2, 2, 0, 1, 0, 0, path), IRN_ERROR_ARGUMENT,
                  "0");
    testing_fails(irn_png_write_grid(images, 2, 1, 2, 2, 1, 1, 0, 0, path), IRN_ERROR_ARGUMENT,
                  "low < high");
    testing_fails(irn_png_write_grid(images, 2, 1, 2, 2, 0, 1, 0, 600000, path), IRN_ERROR_ARGUMENT,
                  "limit");
    testing_fails(irn_png_write_grid(images, 2, 1, 2, 2, 0, 1, 0, SIZE_MAX, path),
                  IRN_ERROR_ARGUMENT, "limit");
    testing_fails(irn_png_write_grid(images, SIZE_MAX, 1, 2, 2, 0, 1, 0, 1, path),
                  IRN_ERROR_ARGUMENT, "grid");
    ck_assert_uint_eq(testing_count_files(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("formats");
    TCase *npy = testing_case(suite, "npy");
    tcase_add_test(npy, makes_arrays);
    tcase_add_test(npy, npy_survives_a_round_trip);
    tcase_add_test(npy, npy_reads_what_python_may_write);
    tcase_add_test(npy, npy_refuses_what_is_malformed);
    tcase_add_test(npy, npy_refuses_broken_prefixes);
    TCase *safetensors = testing_case(suite, "safetensors");
    tcase_add_test(safetensors, safetensors_survive_a_round_trip);
    tcase_add_test(safetensors, safetensors_refuse_what_is_malformed);
    tcase_add_test(safetensors, safetensors_refuse_bombs);
    tcase_add_test(safetensors, safetensors_refuse_values_at_access);
    TCase *png = testing_case(suite, "png");
    tcase_add_test(png, draws_a_grid);
    tcase_add_test(png, refuses_odd_pictures);
    return testing_run(suite);
}
