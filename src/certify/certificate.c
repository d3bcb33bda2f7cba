#include "certify/certificate.h"
#include "base/round.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void describe_device(irn_certificate *certificate, const irn_device_info *info)
{
    snprintf(certificate->library, sizeof certificate->library, "libiresnet %s", irn_version());
    snprintf(certificate->device, sizeof certificate->device, "%s", info->name);
    snprintf(certificate->driver, sizeof certificate->driver, "%s", info->driver);
}

irn_status irn_certificate_create(irn_certificate **out, const irn_context *context, size_t layers,
                                  size_t blocks)
{
    irn_certificate *certificate;
    *out = NULL;
    IRN_TRY(irn_alloc(&certificate, 1, sizeof *certificate));
    irn_status status = irn_alloc(&certificate->layers, layers, sizeof *certificate->layers);
    if (status == IRN_OK)
        status = irn_alloc(&certificate->blocks, blocks, sizeof *certificate->blocks);
    if (status != IRN_OK) {
        irn_certificate_free(certificate);
        return status;
    }
    if (context)
        describe_device(certificate, &context->info);
    certificate->below = 1;
    *out = certificate;
    return IRN_OK;
}

void irn_certificate_free(irn_certificate *certificate)
{
    if (!certificate)
        return;
    for (size_t i = 0; i < certificate->layer_count; i++)
        free((char *)certificate->layers[i].name);
    for (size_t i = 0; i < certificate->block_count; i++)
        free((char *)certificate->blocks[i].name);
    free(certificate->layers);
    free(certificate->blocks);
    free((char *)certificate->weights.pattern);
    free(certificate);
}

static irn_status copied(char **out, const char *name)
{
    size_t size = strlen(name) + 1;
    IRN_TRY(irn_alloc(out, size, 1));
    memcpy(*out, name, size);
    return IRN_OK;
}

static void set_one(size_t *value)
{
    *value = *value > 0 ? *value : 1;
}

irn_status irn_certificate_set_weights(irn_certificate *certificate,
                                       const irn_weights_options *weights)
{
    irn_weights_options *own = &certificate->weights;
    char *pattern = NULL;
    if (weights->pattern)
        IRN_TRY(copied(&pattern, weights->pattern));
    *own = *weights;
    own->pattern = pattern;
    own->coefficient = own->epsilon = 0;
    set_one(&own->stride);
    set_one(&own->dilation);
    set_one(&own->groups);
    certificate->padding = weights->padding;
    certificate->below = weights->below;
    return IRN_OK;
}

irn_status irn_certificate_add_layer(irn_certificate *certificate, const irn_layer_bound *layer)
{
    irn_layer_bound added = *layer;
    set_one(&added.shape.stride);
    set_one(&added.shape.dilation);
    set_one(&added.shape.groups);
    char *name;
    IRN_TRY(copied(&name, layer->name));
    added.name = name;
    certificate->layers[certificate->layer_count++] = added;
    return IRN_OK;
}

irn_status irn_certificate_add_block(irn_certificate *certificate, const irn_block_bound *block)
{
    irn_block_bound added = *block;
    char *name;
    IRN_TRY(copied(&name, block->name));
    added.name = name;
    certificate->blocks[certificate->block_count++] = added;
    return IRN_OK;
}

/* ---- what follows from a bound ---- */

static const double widening = 1e-12;

double irn_widened_upper(double bound)
{
    return irn_round_up(bound + widening * fabs(bound));
}

double irn_widened_lower(double bound)
{
    return irn_round_down(bound - widening * fabs(bound));
}

bool irn_inverse_steps_suffice(double lipschitz_upper, double tolerance, size_t steps)
{
    double power = 1, square = lipschitz_upper;
    if (!(lipschitz_upper >= 0 && lipschitz_upper < 1))
        return false;
    for (; steps > 0; steps /= 2) {
        if (steps % 2)
            power = irn_round_up(power * square);
        square = irn_round_up(square * square);
    }
    return irn_round_up(power / irn_round_down(1 - lipschitz_upper)) <= tolerance;
}

size_t irn_inverse_steps(double lipschitz_upper, double tolerance)
{
    const double most = 0x1p53;
    if (!(lipschitz_upper >= 0 && lipschitz_upper < 1 && tolerance > 0))
        return 0;
    double guess = log(tolerance * (1 - lipschitz_upper)) / log(lipschitz_upper);
    guess = fmax(0, guess); /* with a tolerance that the first point meets */
    for (double more = 0; guess + more < most; more = 2 * more + 1) {
        size_t steps = 1 + (size_t)(guess + more);
        if (irn_inverse_steps_suffice(lipschitz_upper, tolerance, steps))
            return steps;
    }
    return 0;
}

irn_block_bound irn_block_bound_of(const char *name, double lipschitz_upper, size_t dimension)
{
    irn_interval logdet = irn_logdet_interval(dimension, lipschitz_upper);
    return (irn_block_bound){.name = name,
                             .lipschitz_upper = lipschitz_upper,
                             .dimension = dimension,
                             .steps = irn_inverse_steps(lipschitz_upper, IRN_STEPS_FACTOR),
                             .logdet_lower = irn_widened_lower(logdet.lower),
                             .logdet_upper = irn_widened_upper(logdet.upper)};
}

bool irn_certificate_judged(const irn_certificate *certificate)
{
    size_t count = certificate->of_model ? certificate->block_count : certificate->layer_count;
    bool verdict = count > 0;
    for (size_t i = 0; i < count; i++) {
        double upper = certificate->of_model ? certificate->blocks[i].lipschitz_upper
                                             : certificate->layers[i].bound.upper;
        /* Not ">=": NaN must not pass. */
        if (!(upper < certificate->below))
            verdict = false;
    }
    return verdict;
}

void irn_certificate_judge(irn_certificate *certificate)
{
    irn_interval *sum = &certificate->logdet;
    certificate->verdict = irn_certificate_judged(certificate);
    *sum = (irn_interval){0, 0};
    for (size_t i = 0; i < certificate->block_count; i++) {
        sum->lower = irn_round_down(sum->lower + certificate->blocks[i].logdet_lower);
        sum->upper = irn_round_up(sum->upper + certificate->blocks[i].logdet_upper);
    }
}

/* ---- questions ---- */

bool irn_certificate_verdict(const irn_certificate *certificate)
{
    return certificate->verdict;
}

size_t irn_certificate_layer_count(const irn_certificate *certificate)
{
    return certificate->layer_count;
}

irn_layer_bound irn_certificate_layer(const irn_certificate *certificate, size_t index)
{
    return index < certificate->layer_count ? certificate->layers[index] : (irn_layer_bound){0};
}

size_t irn_certificate_block_count(const irn_certificate *certificate)
{
    return certificate->block_count;
}

irn_block_bound irn_certificate_block(const irn_certificate *certificate, size_t index)
{
    return index < certificate->block_count ? certificate->blocks[index] : (irn_block_bound){0};
}

double irn_certificate_lipschitz_upper(const irn_certificate *certificate)
{
    return certificate->lipschitz_upper;
}

double irn_certificate_inverse_lipschitz_upper(const irn_certificate *certificate)
{
    return certificate->inverse_lipschitz_upper;
}

const irn_weights_options *irn_certificate_weights(const irn_certificate *certificate)
{
    return certificate->of_model ? NULL : &certificate->weights;
}

void irn_certificate_logdet(const irn_certificate *certificate, double *lower, double *upper)
{
    *lower = certificate->logdet.lower;
    *upper = certificate->logdet.upper;
}
