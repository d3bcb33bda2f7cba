/* Failure with a sentence, and allocation that cannot overflow. Everything above rests on this. */
#ifndef IRN_BASE_H
#define IRN_BASE_H

#include <iresnet/status.h>

#if defined(__GNUC__)
#define IRN_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define IRN_PRINTF(text, first)
#endif

/* Records the sentence for irn_last_error(). */
void irn_set_error(const char *format, ...) IRN_PRINTF(1, 2);

/* Records the sentence and is the status, so that a failing function reads
 * `return irn_fail(IRN_ERROR_FILE, "%s: ...", path)`. A macro so that the compiler sees the status
 * and knows that outputs are not used after it. */
#define irn_fail(status, ...) (irn_set_error(__VA_ARGS__), (irn_status)(status))

/* Leaves the enclosing function with the status of a failed call. For places that own nothing yet;
 * elsewhere test the status and go to the clean-up. */
#define IRN_TRY(call)                                                                              \
    do {                                                                                           \
        irn_status irn_try_status = (call);                                                        \
        if (irn_try_status != IRN_OK)                                                              \
            return irn_try_status;                                                                 \
    } while (0)

/* Zeroed memory for count items of size bytes. Errors: IRN_ERROR_MEMORY, also when the product
 * overflows; *out is NULL then. count 0 gives a unique pointer that may be freed. */
irn_status irn_alloc(void *out, size_t count, size_t size);

static inline size_t irn_smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static inline size_t irn_larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Product of sizes; false if it does not fit. */
bool irn_product(size_t *out, const size_t *sizes, size_t count);

/* The shortest of 15 to 17 digits that reads back as the value. Returns out. */
#define IRN_NUMBER_TEXT 32
const char *irn_number_text(char out[IRN_NUMBER_TEXT], double value);

/* Errors: IRN_ERROR_ARGUMENT if an options struct's version is not the one this library knows. */
/* Proofs count errors of rounding to nearest. Errors: IRN_ERROR_UNSUPPORTED if the caller has set
 * another mode (fesetround). */
irn_status irn_check_rounding(void);

irn_status irn_check_version(const char *what, uint32_t given, uint32_t known);

#endif
