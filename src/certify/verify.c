/* The checker of certificates. What is quickly seen comes first: whose file it is, which layers,
 * and what follows from their bounds; then the bounds are proven again, layer by layer. Everything
 * is rounded against the certificate: a number that is accepted is a bound. */
#include "certify/verify.h"
#include "base/round.h"
#include "certify/bound.h"
#include "certify/check.h"
#include "io/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static irn_status refuse_number(const char *name, const char *what, double found, double least)
{
    char text[IRN_EXCERPT];
    return irn_fail(IRN_ERROR_NOT_CERTIFIED, "%s: %s is %.17g; it must be at least %.17g",
                    irn_excerpt(text, name, strlen(name)), what, found, least);
}

/* NaN on either side is refused. */
static irn_status at_least(const char *name, const char *what, double found, double least)
{
    return found >= least ? IRN_OK : refuse_number(name, what, found, least);
}

/* ---- layers ---- */

/* The product, or the number above it; 0 times infinity is 0. A fused product shows on which side
 * the rounded one is, unless it underflows. */
static double product_upper(double a, double b)
{
    double product = a * b;
    if (a == 0 || b == 0)
        return 0;
    return product > 1e-280 && fma(a, b, -product) <= 0 ? product : irn_round_up(product);
}

static irn_status check_layer(const irn_certificate *certificate, const irn_subject *subject,
                              size_t index)
{
    const irn_layer_bound *layer = &certificate->layers[index];
    double scale_upper;
    IRN_TRY(irn_subject_compare(subject, index, layer, &scale_upper));
    IRN_TRY(at_least(layer->name, "lower", layer->bound.lower, 0));
    IRN_TRY(at_least(layer->name, "upper", layer->bound.upper, layer->bound.lower));
    IRN_TRY(at_least(layer->name, "kernel_upper", layer->kernel_upper, 0));
    return at_least(layer->name, "upper", layer->bound.upper,
                    product_upper(scale_upper, layer->kernel_upper));
}

static irn_status check_layers(const irn_certificate *certificate, const irn_subject *subject)
{
    size_t count = irn_subject_layer_count(subject);
    if (certificate->layer_count != count)
        return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                        "the certificate has %zu layers, and the file has %zu",
                        certificate->layer_count, count);
    for (size_t i = 0; i < count; i++)
        IRN_TRY(check_layer(certificate, subject, i));
    return IRN_OK;
}

/* ---- blocks and the network ---- */

static irn_status check_block(const irn_certificate *certificate, const irn_subject_block *block,
                              const irn_block_bound *claim)
{
    char text[IRN_EXCERPT];
    double product = 1;
    if (strcmp(claim->name, block->name) != 0 || claim->dimension != block->dimension)
        return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                        "the file's block %s of %zu dimensions is not '%s' of %zu", block->name,
                        block->dimension, irn_excerpt(text, claim->name, strlen(claim->name)),
                        claim->dimension);
    /* Activations have Lipschitz constant 1. */
    for (size_t i = 0; i < block->layers; i++)
        product = product_upper(product, certificate->layers[block->first_layer + i].bound.upper);
    IRN_TRY(at_least(block->name, "lipschitz_upper", claim->lipschitz_upper, product));
    irn_interval logdet = irn_logdet_interval(block->dimension, claim->lipschitz_upper);
    IRN_TRY(at_least(block->name, "logdet_upper", claim->logdet_upper, logdet.upper));
    IRN_TRY(at_least(block->name, "-logdet_lower", -claim->logdet_lower, -logdet.lower));
    if (claim->steps > 0 &&
        !irn_inverse_steps_suffice(claim->lipschitz_upper, IRN_STEPS_FACTOR, claim->steps))
        return irn_fail(IRN_ERROR_NOT_CERTIFIED, "%s: %zu steps do not suffice", block->name,
                        claim->steps);
    return IRN_OK;
}

/* Behrmann et al. 2019, lemma 2: singular values of the blocks from this one on, from those behind
 * it. What leaves z behind a block is not changed any more. */
static irn_interval stretch(const irn_subject_block *block, double lipschitz, irn_interval behind)
{
    if (!(lipschitz < 1))
        return (irn_interval){0, INFINITY};
    if (block->split)
        behind = (irn_interval){fmin(behind.lower, 1), fmax(behind.upper, 1)};
    double lower = irn_round_down(irn_round_down(1 - lipschitz) * block->scale.lower);
    double upper = irn_round_up(irn_round_up(1 + lipschitz) * block->scale.upper);
    return (irn_interval){fmax(0, irn_round_down(behind.lower * lower)),
                          irn_round_up(behind.upper * upper)};
}

static irn_status check_network(const irn_certificate *certificate, irn_interval singular_values,
                                irn_interval logdet)
{
    const char *name = "the network";
    double inverse = singular_values.lower > 0 ? irn_round_up(1 / singular_values.lower) : INFINITY;
    IRN_TRY(at_least(name, "lipschitz_upper", certificate->lipschitz_upper, singular_values.upper));
    IRN_TRY(
        at_least(name, "inverse_lipschitz_upper", certificate->inverse_lipschitz_upper, inverse));
    IRN_TRY(at_least(name, "logdet_upper", certificate->logdet.upper, logdet.upper));
    return at_least(name, "-logdet_lower", -certificate->logdet.lower, -logdet.lower);
}

static irn_status check_blocks(const irn_certificate *certificate, const irn_subject *subject)
{
    size_t count = irn_subject_block_count(subject);
    irn_interval singular_values = {1, 1}, logdet = {0, 0};
    if (certificate->block_count != count)
        return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                        "the certificate has %zu blocks, and the file has %zu",
                        certificate->block_count, count);
    for (size_t i = count; i-- > 0;) {
        const irn_block_bound *claim = &certificate->blocks[i];
        irn_subject_block block;
        IRN_TRY(irn_subject_block_at(subject, i, &block));
        IRN_TRY(check_block(certificate, &block, claim));
        singular_values = stretch(&block, claim->lipschitz_upper, singular_values);
        irn_interval own = irn_logdet_interval(block.dimension, claim->lipschitz_upper);
        logdet.lower = irn_round_down(logdet.lower + own.lower);
        logdet.upper = irn_round_up(logdet.upper + own.upper);
    }
    return certificate->of_model ? check_network(certificate, singular_values, logdet) : IRN_OK;
}

static irn_status check_verdict(const irn_certificate *certificate)
{
    if (certificate->of_model && !(certificate->below == 1))
        return irn_fail(IRN_ERROR_NOT_CERTIFIED, "a model's blocks are to be below 1, not %.17g",
                        certificate->below);
    char limit[IRN_NUMBER_TEXT];
    if (certificate->verdict && !irn_certificate_judged(certificate))
        return irn_fail(
            IRN_ERROR_NOT_CERTIFIED,
            "the certificate's verdict is 'certified', and its bounds are not all below %s",
            irn_number_text(limit, certificate->below));
    return IRN_OK;
}

/* ---- proofs ---- */

static irn_status prove_layer(const irn_certificate *certificate, const irn_subject *subject,
                              const irn_check_watch *watch)
{
    double *kernel;
    IRN_TRY(irn_subject_kernel(subject, watch->done, &kernel));
    irn_status status = irn_check_kernel(&certificate->layers[watch->done], kernel, watch);
    free(kernel);
    return status;
}

static irn_status prove_layers(const irn_certificate *certificate, const irn_subject *subject,
                               const irn_certify_options *options)
{
    irn_check_watch watch = {.options = options, .total = certificate->layer_count};
    for (; watch.done < watch.total; watch.done++) {
        IRN_TRY(irn_certify_progress(options, watch.done, watch.total, "layers"));
        IRN_TRY(prove_layer(certificate, subject, &watch));
    }
    return irn_certify_progress(options, watch.total, watch.total, "layers");
}

/* ---- the whole ---- */

/* Hashes the very bytes that are then parsed. */
static irn_status open_subject(irn_subject **out, const irn_certificate *certificate,
                               const char *path)
{
    uint8_t *bytes;
    size_t size;
    char hash[IRN_SHA256_HEX];
    *out = NULL;
    if (!*certificate->model_sha256)
        return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                        "the certificate does not say of which file it is");
    IRN_TRY(irn_file_read(&bytes, &size, path, IRN_FILE_LIMIT, false));
    irn_sha256_bytes(hash, bytes, size);
    if (strcmp(hash, certificate->model_sha256) != 0) {
        free(bytes);
        return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                        "the certificate is of another file: it does not record the SHA-256 of %s",
                        path);
    }
    IRN_TRY(irn_subject_open(out, certificate, bytes, size, path));
    if (irn_subject_is_model(*out) == certificate->of_model)
        return IRN_OK;
    irn_subject_free(*out);
    *out = NULL;
    return irn_fail(IRN_ERROR_NOT_CERTIFIED, "the certificate is of %s, which %s is not",
                    certificate->of_model ? "a model" : "bare weights", path);
}

static irn_status check_arguments(const irn_certificate *certificate, const char *path,
                                  const irn_certify_options *options)
{
    if (!certificate || !path)
        return irn_fail(IRN_ERROR_ARGUMENT, "a certificate or the path of its model is NULL");
    if (!options)
        return IRN_OK;
    IRN_TRY(
        irn_check_version("irn_certify_options", options->version, IRN_CERTIFY_OPTIONS_VERSION));
    if (options->arithmetic != IRN_ARITHMETIC_AUTO &&
        options->arithmetic != IRN_ARITHMETIC_HOST_FLOAT64)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "certificates are verified in float64 on the host, not in arithmetic %d",
                        (int)options->arithmetic);
    return IRN_OK;
}

irn_status irn_certificate_verify(const irn_certificate *certificate, const char *model_path,
                                  const irn_certify_options *options)
{
    irn_subject *subject;
    IRN_TRY(check_arguments(certificate, model_path, options));
    IRN_TRY(irn_check_rounding());
    IRN_TRY(open_subject(&subject, certificate, model_path));
    irn_status status = check_layers(certificate, subject);
    if (status == IRN_OK)
        status = check_blocks(certificate, subject);
    if (status == IRN_OK)
        status = check_verdict(certificate);
    if (status == IRN_OK)
        status = prove_layers(certificate, subject, options);
    irn_subject_free(subject);
    return status;
}
