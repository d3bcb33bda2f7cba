/* What all unit tests share: running a suite, a temporary folder for each test, and one way to ask
 * for a failure and its sentence. */
#ifndef TESTING_H
#define TESTING_H

#include <iresnet/status.h>

#include <check.h>

/* Runs the suite as CK_RUN_SUITE, CK_VERBOSITY, CK_FORK ... ask; frees it; gives main's result. */
int testing_run(Suite *suite);

/* Adds a case with a fresh temporary folder for each of its tests; it is removed afterwards. */
TCase *testing_case(Suite *suite, const char *name);

/* NAME in the temporary folder; valid until the eighth call from here. */
const char *testing_path(const char *name);

/* Makes a file there and returns its path. */
const char *testing_write(const char *name, const void *bytes, size_t size);

/* Files in the temporary folder, hidden ones too. */
size_t testing_count_files(void);

/* Fails the test unless the call gave this status and left a sentence with these words. */
#define testing_fails(call, status, words)                                                         \
    testing_expect_failure((call), (status), (words), #call, __FILE__, __LINE__)
void testing_expect_failure(irn_status got, irn_status wanted, const char *words, const char *call,
                            const char *file, int line);

#define testing_ok(call) testing_expect_ok((call), #call, __FILE__, __LINE__)
void testing_expect_ok(irn_status got, const char *call, const char *file, int line);

#endif
