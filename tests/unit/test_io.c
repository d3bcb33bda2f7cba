/* Reading and writing of files, SHA-256. */
#define _POSIX_C_SOURCE 200809L

#include "testing.h"

#include "io/file.h"
#include "io/sha256.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static irn_status write_text(const char *path, const char *text)
{
    irn_writer *writer;
    IRN_TRY(irn_writer_open(&writer, path));
    irn_status status = irn_writer_write(writer, text, strlen(text));
    if (status == IRN_OK)
        return irn_writer_commit(writer);
    irn_writer_discard(writer);
    return status;
}

static void expect_content(const char *path, const char *text)
{
    uint8_t *bytes;
    size_t size;
    testing_ok(irn_file_read(&bytes, &size, path, 1 << 20, false));
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_str_eq((char *)bytes, text);
    free(bytes);
}

static unsigned mode_of(const char *path)
{
    struct stat about;
    ck_assert_int_eq(stat(path, &about), 0);
    return about.st_mode & 0777;
}

START_TEST(reads_within_the_limit)
{
    uint8_t *bytes;
    size_t size;
    const char *path = testing_write("five", "12345", 5);
    testing_ok(irn_file_read(&bytes, &size, path, 5, false));
    ck_assert_uint_eq(size, 5);
    ck_assert_int_eq(bytes[5], 0);
    free(bytes);
    testing_fails(irn_file_read(&bytes, &size, path, 4, false), IRN_ERROR_FORMAT, "4 bytes");
    ck_assert_ptr_null(bytes);
    path = testing_write("none", "", 0);
    testing_ok(irn_file_read(&bytes, &size, path, 0, true));
    ck_assert_uint_eq(size, 0);
    free(bytes);
    /* Regular, but its size is only known at its end. */
    testing_ok(irn_file_read(&bytes, &size, "/proc/self/status", 1 << 20, false));
    ck_assert_uint_gt(size, 0);
    free(bytes);
    testing_fails(irn_file_read(&bytes, &size, "/proc/self/status", 10, false), IRN_ERROR_FORMAT,
                  "10 bytes");
}
END_TEST

START_TEST(refuses_what_is_no_file)
{
    uint8_t *bytes;
    size_t size;
    const char *pipe = testing_path("pipe");
    ck_assert_int_eq(mkfifo(pipe, 0600), 0);
    testing_fails(irn_file_read(&bytes, &size, pipe, 9, false), IRN_ERROR_FILE, "pipe");
    testing_fails(irn_file_read(&bytes, &size, testing_path(""), 9, false), IRN_ERROR_FILE,
                  "a directory");
    testing_fails(irn_file_read(&bytes, &size, "/dev/zero", 9, false), IRN_ERROR_FILE, "/dev/zero");
    testing_fails(irn_file_read(&bytes, &size, testing_path("absent"), 9, false), IRN_ERROR_FILE,
                  "absent: cannot open");
    testing_fails(irn_file_read(&bytes, &size, NULL, 9, false), IRN_ERROR_ARGUMENT, "path");
}
END_TEST

START_TEST(reads_standard_input)
{
    int old = dup(STDIN_FILENO), ends[2];
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq((int)write(ends[1], "piped", 5), 5);
    close(ends[1]);
    ck_assert_int_ge(dup2(ends[0], STDIN_FILENO), 0);
    testing_ok(irn_file_read(&bytes, &size, "-", 100, false));
    ck_assert_str_eq((char *)bytes, "piped");
    free(bytes);
    close(ends[0]);
    dup2(old, STDIN_FILENO);
    close(old);
}
END_TEST

START_TEST(writes_and_replaces)
{
    const char *path = testing_path("out");
    mode_t old = umask(027);
    testing_ok(write_text(path, "first"));
    umask(old);
    expect_content(path, "first");
    ck_assert_uint_eq(mode_of(path), 0640);
    ck_assert_int_eq(chmod(path, 0604), 0);
    testing_ok(write_text(path, "second"));
    expect_content(path, "second");
    ck_assert_uint_eq(mode_of(path), 0604);
    ck_assert_uint_eq(testing_count_files(), 1);
    irn_writer *writer;
    testing_ok(irn_writer_open(&writer, path));
    testing_ok(irn_writer_write(writer, "third", 5));
    ck_assert_uint_eq(testing_count_files(), 2);
    irn_writer_discard(writer);
    irn_writer_discard(NULL);
    ck_assert_uint_eq(testing_count_files(), 1);
    expect_content(path, "second");
}
END_TEST

START_TEST(writes_names_of_full_length)
{
    char name[256];
    memset(name, 'n', 255);
    name[255] = '\0';
    testing_ok(write_text(testing_path(name), "long"));
    expect_content(testing_path(name), "long");
    testing_fails(write_text("", "x"), IRN_ERROR_FILE, "not the name of a file");
    testing_fails(write_text(testing_path("absent/"), "x"), IRN_ERROR_FILE, "not the name");
    testing_fails(write_text(testing_path("absent/x"), "x"), IRN_ERROR_FILE, "absent/x");
    testing_fails(write_text(testing_path(""), "x"), IRN_ERROR_FILE, "a directory");
    testing_fails(write_text(NULL, "x"), IRN_ERROR_ARGUMENT, "NULL");
    ck_assert_uint_eq(testing_count_files(), 1);
}
END_TEST

START_TEST(follows_links)
{
    const char *path = testing_write("file", "old", 3), *link = testing_path("link");
    struct stat about;
    ck_assert_int_eq(symlink("file", link), 0);
    testing_ok(write_text(link, "new"));
    expect_content(path, "new");
    ck_assert_int_eq(lstat(link, &about), 0);
    ck_assert(S_ISLNK(about.st_mode));
    ck_assert_int_eq(unlink(path), 0);
    testing_fails(write_text(link, "new"), IRN_ERROR_FILE, "symbolic link to nothing");
}
END_TEST

START_TEST(keeps_the_old_file_when_the_disk_is_full)
{
    char text[8192];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    const char *path = testing_write("out", "old", 3);
    struct rlimit old, small;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = old;
    small.rlim_cur = 4096;
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    irn_status status = write_text(path, text), fresh = write_text(testing_path("new"), text);
    irn_writer *writer;
    irn_status opened = irn_writer_open(&writer, path);
    irn_status written = irn_writer_write(writer, text, sizeof text);
    irn_status committed = irn_writer_commit(writer);
    setrlimit(RLIMIT_FSIZE, &old);
    testing_ok(opened);
    testing_fails(committed, IRN_ERROR_FILE, "an earlier write failed");
    ck_assert(status == IRN_ERROR_FILE && fresh == IRN_ERROR_FILE && written == IRN_ERROR_FILE);
    expect_content(path, "old");
    ck_assert_uint_eq(testing_count_files(), 1);
}
END_TEST

START_TEST(writes_to_devices_as_they_are)
{
    struct stat about;
    testing_fails(write_text("/dev/full", "x"), IRN_ERROR_FILE, "/dev/full: cannot write");
    testing_ok(write_text("/dev/null", "x"));
    ck_assert(stat("/dev/null", &about) == 0 && S_ISCHR(about.st_mode));
    ck_assert(stat("/dev/full", &about) == 0 && S_ISCHR(about.st_mode));
}
END_TEST

START_TEST(writes_to_standard_output)
{
    const char *path = testing_path("redirected");
    fflush(stdout);
    int old = dup(STDOUT_FILENO), file = open(path, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_ge(dup2(file, STDOUT_FILENO), 0);
    fputs("before, ", stdout);
    irn_status first = write_text("-", "here"), second = write_text("-", ", again");
    dup2(old, STDOUT_FILENO);
    close(old);
    close(file);
    ck_assert(first == IRN_OK && second == IRN_OK);
    expect_content(path, "before, here, again");
}
END_TEST

START_TEST(knows_sha256)
{
    char hex[IRN_SHA256_HEX];
    const char *abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    irn_sha256_bytes(hex, "abc", 3);
    ck_assert_str_eq(hex, abc);
    testing_ok(irn_sha256_file(hex, testing_write("abc", "abc", 3)));
    ck_assert_str_eq(hex, abc);
    testing_ok(irn_sha256_file(hex, testing_write("none", "", 0)));
    ck_assert_str_eq(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    testing_fails(irn_sha256_file(hex, testing_path("")), IRN_ERROR_FILE, "a directory");
    ck_assert_str_eq(hex, "");
}
END_TEST

START_TEST(makes_excerpts)
{
    char out[IRN_EXCERPT], long_text[100];
    ck_assert_str_eq(irn_excerpt(out, "a\x1b[b\xff", 5), "a?[b?");
    memset(long_text, 'y', sizeof long_text);
    irn_excerpt(out, long_text, sizeof long_text);
    ck_assert_uint_eq(strlen(out), IRN_EXCERPT - 1);
    ck_assert_str_eq(out + IRN_EXCERPT - 5, "y...");
    ck_assert_uint_eq(strlen(irn_excerpt(out, long_text, IRN_EXCERPT - 1)), IRN_EXCERPT - 1);
    ck_assert(irn_is_text("gr\xc3\xbc\xc3\x9f \xf0\x9f\x99\x82", 11) && irn_is_text("", 0));
    ck_assert(!irn_is_text("a\0b", 3) && !irn_is_text("\xc0\x80", 2) && !irn_is_text("\xc3", 1));
    ck_assert(!irn_is_text("\xed\xa0\x80", 3) && !irn_is_text("\xf4\x90\x80\x80", 4));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("io");
    TCase *reading = testing_case(suite, "reading");
    tcase_add_test(reading, reads_within_the_limit);
    tcase_add_test(reading, refuses_what_is_no_file);
    tcase_add_test(reading, reads_standard_input);
    TCase *writing = testing_case(suite, "writing");
    tcase_add_test(writing, writes_and_replaces);
    tcase_add_test(writing, writes_names_of_full_length);
    tcase_add_test(writing, follows_links);
    tcase_add_test(writing, keeps_the_old_file_when_the_disk_is_full);
    tcase_add_test(writing, writes_to_devices_as_they_are);
    tcase_add_test(writing, writes_to_standard_output);
    TCase *text = testing_case(suite, "text");
    tcase_add_test(text, knows_sha256);
    tcase_add_test(text, makes_excerpts);
    return testing_run(suite);
}
