/* Arrays and NPY files. */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include "io/npy.h"

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

int main(void)
{
    Suite *suite = suite_create("npy");
    TCase *npy = testing_case(suite, "npy");
    tcase_add_test(npy, makes_arrays);
    tcase_add_test(npy, npy_survives_a_round_trip);
    tcase_add_test(npy, npy_reads_what_python_may_write);
    tcase_add_test(npy, npy_refuses_what_is_malformed);
    tcase_add_test(npy, npy_refuses_broken_prefixes);
    return testing_run(suite);
}
