/* Status codes and the last error. Every function that can fail returns an irn_status; the sentence
 * that explains the failure, with the offending value and the limit, is in irn_last_error(). */
#ifndef IRESNET_STATUS_H
#define IRESNET_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define IRN_API __attribute__((visibility("default")))
#else
#define IRN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define IRN_VERSION_MAJOR 0
#define IRN_VERSION_MINOR 1
#define IRN_VERSION_PATCH 0
#define IRN_VERSION_STRING "0.1.0"

/* One table for codes and words, so that no code lacks a text: X(name, text). */
#define IRN_STATUS_TABLE(X)                                                                        \
    X(IRN_OK, "done")                                                                              \
    X(IRN_ERROR_ARGUMENT, "an argument is outside its limits")                                     \
    X(IRN_ERROR_MEMORY, "host or device memory is exhausted")                                      \
    X(IRN_ERROR_DEVICE, "no such device, or the device failed")                                    \
    X(IRN_ERROR_FILE, "a file could not be read or written")                                       \
    X(IRN_ERROR_FORMAT, "a file's content is malformed")                                           \
    X(IRN_ERROR_NUMERIC, "NaN or infinity where a finite number is needed")                        \
    X(IRN_ERROR_NOT_CERTIFIED, "a bound that is needed is not proven")                             \
    X(IRN_ERROR_CANCELLED, "the caller's progress callback asked to stop")                         \
    X(IRN_ERROR_UNSUPPORTED, "not possible on this model or device")

#define IRN_STATUS_ENUM_ENTRY(name, text) name,
typedef enum irn_status { IRN_STATUS_TABLE(IRN_STATUS_ENUM_ENTRY) IRN_STATUS_COUNT } irn_status;
#undef IRN_STATUS_ENUM_ENTRY

/* The general meaning of a code, for any value; static storage. */
IRN_API const char *irn_status_text(irn_status status);

/* The sentence of this thread's last failed call; "" if none failed. Static per-thread storage,
 * valid until the next failing call on the thread. Successful calls leave it alone. */
IRN_API const char *irn_last_error(void);

/* The version of the library that is loaded, "MAJOR.MINOR.PATCH"; compare with IRN_VERSION_STRING.
 */
IRN_API const char *irn_version(void);

/* Progress of long work. Called now and then from the calling thread with done <= total (total 0:
 * unknown) and what is being done. Return true to go on, false to cancel: the work then ends with
 * IRN_ERROR_CANCELLED and nothing half-written. */
typedef bool (*irn_progress)(size_t done, size_t total, const char *what, void *payload);

#ifdef __cplusplus
}
#endif

#endif
