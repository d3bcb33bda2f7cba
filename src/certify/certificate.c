#include "certify/certificate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

irn_status irn_certificate_create(irn_certificate **out, const irn_context *context, size_t layers,
                                  size_t blocks)
{
    const irn_device_info *info = &context->info;
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
    snprintf(certificate->device, sizeof certificate->device,
             info->has_fp64 ? "%s" : "host (%s has no float64)", info->name);
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
    free(certificate);
}

static irn_status copied(const char **out, const char *name)
{
    size_t size = strlen(name) + 1;
    char *copy;
    IRN_TRY(irn_alloc(&copy, size, 1));
    memcpy(copy, name, size);
    *out = copy;
    return IRN_OK;
}

irn_status irn_certificate_add_layer(irn_certificate *certificate, const irn_layer_bound *layer)
{
    irn_layer_bound copy = *layer;
    IRN_TRY(copied(&copy.name, layer->name));
    certificate->layers[certificate->layer_count++] = copy;
    return IRN_OK;
}

irn_status irn_certificate_add_block(irn_certificate *certificate, const char *name,
                                     double lipschitz_upper)
{
    irn_block_bound block = {.lipschitz_upper = lipschitz_upper};
    IRN_TRY(copied(&block.name, name));
    certificate->blocks[certificate->block_count++] = block;
    return IRN_OK;
}

void irn_certificate_judge(irn_certificate *certificate)
{
    size_t count = certificate->of_model ? certificate->block_count : certificate->layer_count;
    certificate->verdict = count > 0;
    for (size_t i = 0; i < count; i++) {
        double upper = certificate->of_model ? certificate->blocks[i].lipschitz_upper
                                             : certificate->layers[i].bound.upper;
        /* Not ">=": NaN must not pass. */
        if (!(upper < certificate->below))
            certificate->verdict = false;
    }
}

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
