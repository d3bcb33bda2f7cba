/* The file of a certificate: JSON whose every byte follows from the certificate, so that a reader
 * writes what it has read again and demands the same bytes. The last member, sha256, is of the
 * bytes before the last two lines. */
#ifndef IRN_CERTIFICATE_JSON_H
#define IRN_CERTIFICATE_JSON_H

#include "certify/certificate.h"

enum { IRN_CERTIFICATE_FORMAT = 2 };

static const char irn_certificate_method[] =
    "At every frequency of each layer's torus, or of the layer's own matrix, a floating-point "
    "Cholesky factorisation of (U^2 - rounding errors) I - A A^H ran to completion, so the "
    "spectral "
    "norm of the kernel is at most U (Rump 2006; Sedghi, Gupta and Long 2019; Ehlich and Zeller "
    "1964). Lip(g) is at most the product over the layers, as activations have constant 1; the "
    "network's bounds are those of Behrmann et al. 2019, lemmas 2 and 7.";

static const char *const irn_certificate_verdicts[] = {"not certified", "certified", NULL};
static const char *const irn_certificate_kinds[] = {"weights", "model", NULL};
static const char *const irn_certificate_paddings[] = {"zeros", "circular", NULL};
static const char *const irn_certificate_precisions[] = {"float64", "float32", NULL};
static const char *const irn_certificate_arithmetics[] = {"host", "device", NULL};
static const char *const irn_certificate_methods[] = {"symbol", "operator", NULL};

/* Which arithmetic the words say, and whether some word says otherwise of a layer. */
static inline bool irn_is_single(irn_arithmetic arithmetic)
{
    return arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT32;
}

static inline bool irn_is_on_device(irn_arithmetic arithmetic)
{
    return arithmetic != IRN_ARITHMETIC_HOST_FLOAT64;
}

/* The text of the file, which the caller frees. sha256: of the model, "" for none. Errors:
 * IRN_ERROR_MEMORY. */
irn_status irn_certificate_text(char **out, const irn_certificate *certificate, const char *sha256);

/* Reads a text of so many bytes and a zero byte; name is for sentences. Errors: IRN_ERROR_FORMAT,
 * IRN_ERROR_MEMORY; *out is NULL then. */
irn_status irn_certificate_parse(irn_certificate **out, const char *text, size_t size,
                                 const char *name);

#endif
