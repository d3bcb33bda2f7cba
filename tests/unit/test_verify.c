/* Certificates written, read and verified; and changed in every way that comes to mind. */
#include "certified.h"
#include "host.h"
#include "testing.h"

#include "certify/certificate_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static irn_context *context;

static void open_context(void)
{
    testing_ok(irn_context_create(&context, NULL));
}

static void close_context(void)
{
    irn_context_free(context);
}

/* ---- honest certificates ---- */

START_TEST(honest)
{
    const char *json, *path = certified_file(context, _i, &json), *copy = testing_path("copy.json");
    irn_certificate *certificate;
    testing_ok(irn_certificate_read(&certificate, json));
    testing_ok(irn_certificate_verify(certificate, path, NULL));
    ck_assert(irn_certificate_verdict(certificate));
    ck_assert(!irn_certificate_weights(certificate) == !(_i & 2));
    ck_assert_uint_eq(irn_certificate_layer_count(certificate), _i & 2 ? 3 : 9);
    testing_ok(irn_certificate_write(certificate, NULL, copy));
    size_t size, copy_size;
    char *text = certified_text(json, &size), *again = certified_text(copy, &copy_size);
    ck_assert(size == copy_size && memcmp(text, again, size) == 0);
    free(text);
    free(again);
    irn_certificate_free(certificate);
    host_free_all();
}
END_TEST

/* A true certificate may say that its model is not certified. */
START_TEST(honest_no)
{
    irn_certificate *certificate;
    const char *path = certified_model(context, IRN_PAD_ZEROS, 30);
    testing_ok(irn_certificate_read(&certificate, testing_path("model.json")));
    ck_assert(!irn_certificate_verdict(certificate));
    testing_ok(irn_certificate_verify(certificate, path, NULL));
    certificate->verdict = true;
    testing_fails(irn_certificate_verify(certificate, path, NULL), IRN_ERROR_NOT_CERTIFIED,
                  "verdict");
    irn_certificate_free(certificate);
    host_free_all();
}
END_TEST

/* ---- single bytes ---- */

static bool accepted(const char *text, size_t size, const char *path)
{
    irn_certificate *certificate;
    if (irn_certificate_parse(&certificate, text, size, "c.json") != IRN_OK)
        return false;
    irn_status status = irn_certificate_verify(certificate, path, NULL);
    irn_certificate_free(certificate);
    return status == IRN_OK;
}

START_TEST(bytes)
{
    const char *json, *path = certified_file(context, _i, &json), *other = path;
    size_t sizes[2];
    char *texts[2] = {certified_text(json, &sizes[0]), certified_text(path, &sizes[1])};
    host_restart();
    ck_assert(accepted(texts[0], sizes[0], path));
    for (int trial = 0; trial < 1000; trial += host_step(1)) {
        int which = trial % 4 == 0;
        size_t at = host_below(sizes[which]);
        char before = texts[which][at];
        texts[which][at] = (char)(before ^ (char)host_between(1, 255));
        if (which)
            other = testing_write("other", texts[1], sizes[1]);
        ck_assert_msg(!accepted(texts[0], sizes[0], which ? other : path),
                      "byte %zu of the %s was changed unseen", at, which ? "file" : "certificate");
        texts[which][at] = before;
    }
    /* One less, and one more that a parser does not mind. */
    char last = texts[0][--sizes[0]];
    texts[0][sizes[0]] = '\0';
    ck_assert(!accepted(texts[0], sizes[0], path));
    texts[0] = realloc(texts[0], sizes[0] + 3);
    memcpy(texts[0] + sizes[0], (char[]){last, '\n', '\0'}, 3);
    ck_assert(!accepted(texts[0], sizes[0] + 2, path));
    texts[0][sizes[0] + 1] = '\0';
    ck_assert(accepted(texts[0], sizes[0] + 1, path));
    free(texts[0]);
    free(texts[1]);
    host_free_all();
}
END_TEST

/* ---- the reader ---- */

typedef struct edit {
    const char *from, *to, *words;
} edit;

static const edit edits[] = {
    {"\"below\":", "\"belwo\":", "'belwo' is not known"},
    {"\"below\":\t1,", "\"below\":\t1,\"below\":\t2,", "'below' stands there twice"},
    {"\"below\":\t1", "\"below\":\t\"1\"", "'below' is \"1\"; it must be"},
    {"\"below\":\t1", "\"below\":\t1e999", "'below'"},
    {"\"below\":\t1", "\"below\":\t0", "'below'"},
    {"\"below\":\t1", "\"below\":\t1.0", "line 13 is not as it was written"},
    {"\"format\":\t2", "\"format\":\t3", "'format' is 3"},
    {"\"kind\":\t\"model\"", "\"kind\":\t\"modem\"", "'kind'"},
    {"\"kind\":\t\"model\"", "\"kind\":\t\"weights\"", "weights: is no JSON object"},
    {"\"verdict\":\t\"certified\"", "\"verdict\":\t\"not certified\"", "SHA-256"},
    {"\"height\":\t4", "\"height\":\t-4", "layer 0 'height' is -4"},
    {"\"height\":\t4", "\"height\":\t4.5", "layer 0 'height' is 4.5"},
    {"\"height\":\t4", "\"height\":\t1e300", "layer 0 'height'"},
    {"\"height\":\t4", "\"height\":\t5", "SHA-256"},
    {"\"kernel\":\t[5, 2, 3, 3]", "\"kernel\":\t[5, 2, 3]", "layer 0 'kernel'"},
    {"\"kernel\":\t[5, 2, 3, 3]", "\"kernel\":\t[5, 2, 3, 9999999999]", "layer 0 'kernel'"},
    {"\"groups\":\t1", "\"groups\":\t268435456", "layer 0 'groups'"},
    {"\"transposed\":\tfalse", "\"transposed\":\t0", "layer 0 'transposed'"},
    {"\"method\":\t\"symbol\"", "\"method\":\t\"word\"", "'s proof 'method' is"},
    {"\"torus\":\t[", "\"torus\":\t[3, ", "layer 0's proof 'torus'"},
    {"\"shifted\":\t[", "\"shifted\":\t[true, ", "layer 0's proof 'shifted'"},
    {"\"shifted\":\t[false", "\"shifted\":\t[0", "layer 0's proof 'shifted'"},
    {"\"shifted\":\t[false", "\"shifted\":\t[true", "SHA-256"},
    {"\"name\":\t\"blocks.0\"", "\"name\":\t7", "block 0 'name'"},
    {"\"dimension\":\t48", "\"dimension\":\t0", "block 0 'dimension'"},
    {"\"library\":\t\"", "\"library\":\t\"0123456789012345678901234567890123456789012345678901234",
     "'library'"},
    {"\"blocks\":\t[{", "\"blocks\":\t[7, {", "block 0: is no JSON object"},
    {"\"blocks\":\t[{", "\"blocks\":\t[[{\"name\": 3}], {", "block 0: is no JSON object"},
    {"\"layers\":\t[", "\"layers\":\t7, \"l\":\t[", "'layers' is 7"},
    {"\"method\":\t\"At every", "\"method\":\t\"At some", "'method'"},
    {"\"sha256\":\t\"", "\"sha256\":\t\"0", "SHA-256"},
    {"\t\"verdict\"", "  \"verdict\"", "line 2 is not"},
    {"{\n", "[{\n", "JSON"},
    {"}\n", "}\n}", "JSON"},
};

START_TEST(strictness)
{
    const char *json;
    size_t size;
    irn_certificate *certificate;
    certified_file(context, 0, &json);
    char *text = certified_text(json, &size);
    for (size_t i = 0; i < sizeof edits / sizeof *edits; i++) {
        const edit *e = &edits[i];
        char *edited = calloc(size + strlen(e->to) + 1, 1), *at = strstr(text, e->from);
        if (strcmp(e->from, "}\n") == 0) /* the last */
            at = text + size - 2;
        ck_assert_msg(at != NULL, "no %s in the certificate", e->from);
        int length =
            sprintf(edited, "%.*s%s%s", (int)(at - text), text, e->to, at + strlen(e->from));
        testing_fails(irn_certificate_parse(&certificate, edited, (size_t)length, "c.json"),
                      IRN_ERROR_FORMAT, e->words);
        testing_fails(irn_certificate_parse(&certificate, edited, (size_t)length, "c.json"),
                      IRN_ERROR_FORMAT, "c.json");
        ck_assert_ptr_null(certificate);
        free(edited);
    }
    free(text);
    host_free_all();
}
END_TEST

START_TEST(masses)
{
    const size_t size = 9000000;
    const char *const pieces[] = {"[", "[],", "{\"layers\":", "\xff", " "};
    irn_certificate *certificate;
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        char *text = malloc(size + 1);
        for (size_t at = 0; at < size; at++)
            text[at] = pieces[i][at % strlen(pieces[i])];
        text[size] = '\0';
        testing_fails(irn_certificate_parse(&certificate, text, size, "c.json"), IRN_ERROR_FORMAT,
                      "c.json");
        free(text);
    }
    testing_fails(irn_certificate_parse(&certificate, "", 0, "c.json"), IRN_ERROR_FORMAT, "c.json");
    testing_fails(irn_certificate_parse(&certificate, "{}\0{}", 5, "c.json"), IRN_ERROR_FORMAT,
                  "UTF-8");
    testing_fails(irn_certificate_read(&certificate, testing_path("absent")), IRN_ERROR_FILE,
                  "absent");
}
END_TEST

/* ---- the rest ---- */

static bool stop(size_t done, size_t total, const char *what, void *payload)
{
    (void)what;
    ck_assert(done <= total);
    *(size_t *)payload = done;
    return done < 2;
}

START_TEST(arguments)
{
    const char *json, *path = certified_file(context, 0, &json);
    irn_certify_options options = IRN_CERTIFY_OPTIONS_INIT;
    irn_certificate *certificate;
    size_t done = 0;
    testing_ok(irn_certificate_read(&certificate, json));
    testing_fails(irn_certificate_verify(NULL, path, NULL), IRN_ERROR_ARGUMENT, "NULL");
    testing_fails(irn_certificate_verify(certificate, testing_path("absent"), NULL), IRN_ERROR_FILE,
                  "absent");
    testing_fails(irn_certificate_verify(certificate, json, NULL), IRN_ERROR_NOT_CERTIFIED,
                  "another file");
    options.progress = stop;
    options.progress_payload = &done;
    testing_fails(irn_certificate_verify(certificate, path, &options), IRN_ERROR_CANCELLED,
                  "2 of 9");
    ck_assert_uint_eq(done, 2);
    options.arithmetic = IRN_ARITHMETIC_DEVICE_FLOAT32;
    testing_fails(irn_certificate_verify(certificate, path, &options), IRN_ERROR_ARGUMENT, "host");
    irn_certificate_free(certificate);
    host_free_all();
}
END_TEST

/* Steps are enough, by long double, and hardly more than needed. */
START_TEST(steps)
{
    const double bounds[] = {0, 1e-300, 0.3, 0.9, 0.99, 0.999, 1 - 1e-6, 1 - 1e-9};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        size_t count = irn_inverse_steps(bounds[i], 1e-6);
        long double l = bounds[i], k = (long double)count;
        ck_assert(count > 0 && irn_inverse_steps_suffice(bounds[i], 1e-6, count));
        ck_assert(powl(l, k) / (1 - l) <= 1e-6L * (1 + 1e-9L));
        ck_assert(count == 1 || powl(l, 0.9999L * k - 2) / (1 - l) > 1e-6L);
        ck_assert(count == 1 ||
                  !irn_inverse_steps_suffice(bounds[i], 1e-6, count - count / 1000 - 2));
    }
    const double none[] = {1, 2, INFINITY, NAN, -1};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        ck_assert(irn_inverse_steps(none[i], 1e-6) == 0 &&
                  !irn_inverse_steps_suffice(none[i], 1e-6, 1 << 20));
    ck_assert(irn_inverse_steps(0.5, 0) == 0 && irn_inverse_steps(0.5, NAN) == 0);
    ck_assert(irn_inverse_steps(0.5, 0.25) == 3 || irn_inverse_steps(0.5, 0.25) == 4);
    ck_assert_uint_eq(irn_inverse_steps(0.5, 8), 1);
    ck_assert_uint_eq(irn_inverse_steps(0.5, INFINITY), 1);
    ck_assert(irn_inverse_steps(0.5, 1e-12) > irn_inverse_steps(0.5, 1e-6));
}
END_TEST
int main(void)
{
    Suite *suite = suite_create("verify");
    TCase *test = testing_case(suite, "certificates");
    tcase_add_checked_fixture(test, open_context, close_context);
    tcase_set_timeout(test, 300);
    tcase_add_loop_test(test, honest, 0, 4);
    tcase_add_test(test, honest_no);
    tcase_add_loop_test(test, bytes, 0, 4);
    tcase_add_test(test, strictness);
    tcase_add_test(test, masses);
    tcase_add_test(test, arguments);
    tcase_add_test(test, steps);
    return testing_run(suite);
}
