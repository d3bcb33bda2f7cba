#include "base/base.h"

#include <fenv.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local char last_error[1024];

void irn_set_error(const char *format, ...)
{
    /* Formatted aside first: an argument may point into the previous sentence. */
    char sentence[sizeof last_error];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    memcpy(last_error, sentence, sizeof last_error);
}

const char *irn_last_error(void)
{
    return last_error;
}

const char *irn_version(void)
{
    return IRN_VERSION_STRING;
}

const char *irn_status_text(irn_status status)
{
#define TEXT_ENTRY(name, text) text,
    static const char *const texts[] = {IRN_STATUS_TABLE(TEXT_ENTRY)};
#undef TEXT_ENTRY
    return (unsigned)status < IRN_STATUS_COUNT ? texts[status] : "unknown status";
}

irn_status irn_alloc(void *out, size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size ? size : 1);
    memcpy(out, &memory, sizeof memory);
    if (!memory)
        return irn_fail(IRN_ERROR_MEMORY, "no memory for %zu items of %zu bytes", count, size);
    return IRN_OK;
}

bool irn_product(size_t *out, const size_t *sizes, size_t count)
{
    size_t product = 1;
    for (size_t i = 0; i < count; i++) {
        if (sizes[i] != 0 && product > SIZE_MAX / sizes[i])
            return false;
        product *= sizes[i];
    }
    *out = product;
    return true;
}

irn_status irn_check_version(const char *what, uint32_t given, uint32_t known)
{
    if (given != known)
        return irn_fail(IRN_ERROR_ARGUMENT, "%s has version %u, this library knows %u", what,
                        (unsigned)given, (unsigned)known);
    return IRN_OK;
}

const char *irn_number_text(char out[IRN_NUMBER_TEXT], double value)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, IRN_NUMBER_TEXT, "%.*g", digits, value);
        if (strtod(out, NULL) == value)
            break;
    }
    return out;
}

irn_status irn_check_rounding(void)
{
    if (fegetround() != FE_TONEAREST)
        return irn_fail(IRN_ERROR_UNSUPPORTED,
                        "the floating-point environment does not round to nearest (mode %d), which "
                        "proofs rest on",
                        fegetround());
    return IRN_OK;
}
