#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif

#include "testing.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[256];

static void make_folder(void)
{
    const char *parent = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/irn-test-XXXXXX", parent ? parent : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(folder));
}

/* Calls visit(path) for all that is in a folder, and says how much that was. */
static size_t walk(const char *path, void (*visit)(const char *))
{
    size_t count = 0;
    DIR *entries = opendir(path);
    ck_assert_ptr_nonnull(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char name[1024];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (visit)
            visit(name);
        count++;
    }
    closedir(entries);
    return count;
}

static void remove_one(const char *path)
{
    if (remove(path) == 0)
        return;
    walk(path, remove_one);
    remove(path);
}

static void remove_folder(void)
{
    remove_one(folder);
}

size_t testing_count_files(void)
{
    return walk(folder, NULL);
}

int testing_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

TCase *testing_case(Suite *suite, const char *name)
{
    TCase *test = tcase_create(name);
    const double seconds = 60;
    tcase_set_timeout(test, seconds);
    tcase_add_checked_fixture(test, make_folder, remove_folder);
    suite_add_tcase(suite, test);
    return test;
}

const char *testing_path(const char *name)
{
    static char paths[8][1024];
    static size_t next;
    char *path = paths[next++ % 8];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

const char *testing_write(const char *name, const void *bytes, size_t size)
{
    const char *path = testing_path(name);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
    return path;
}

void testing_expect_failure(irn_status got, irn_status wanted, const char *words, const char *call,
                            const char *file, int line)
{
    if (got != wanted)
        ck_abort_msg("%s:%d: %s gave \"%s\" (%s), wanted \"%s\"", file, line, call,
                     irn_status_text(got), irn_last_error(), irn_status_text(wanted));
    if (!strstr(irn_last_error(), words))
        ck_abort_msg("%s:%d: %s: \"%s\" does not contain \"%s\"", file, line, call,
                     irn_last_error(), words);
}

void testing_expect_ok(irn_status got, const char *call, const char *file, int line)
{
    if (got != IRN_OK)
        ck_abort_msg("%s:%d: %s failed: %s", file, line, call, irn_last_error());
}
