/* Certifies a model, writes the certificate, reads it back as someone else would, and verifies it
 * against the model's file without trusting what was just computed: the second half of this
 * program needs no OpenCL device, and works on a certificate that came from anywhere.
 *
 * Usage: verify MODEL.safetensors CERTIFICATE.json (is written). Exit status: 0 if the certificate
 * is true and the model certified, 3 if not, 1 if something failed, 2 for usage. */
#include <iresnet/iresnet.h>

#include <stdio.h>
#include <stdlib.h>

/* The prover: bounds every layer and block on the device, and writes what it found. */
static irn_status prove(const char *model_path, const char *path)
{
    irn_context *context = NULL;
    irn_model *model = NULL;
    irn_certificate *certificate = NULL;
    irn_status status = irn_context_create(&context, NULL);
    if (status == IRN_OK)
        status = irn_model_load(&model, context, model_path);
    if (status == IRN_OK)
        status = irn_certify_model(&certificate, model, NULL);
    if (status == IRN_OK)
        status = irn_certificate_write(certificate, model_path, path);
    irn_certificate_free(certificate);
    irn_model_free(model);
    irn_context_free(context);
    return status;
}

static void print(const irn_certificate *certificate)
{
    double lower, upper;
    for (size_t i = 0; i < irn_certificate_block_count(certificate); i++) {
        irn_block_bound block = irn_certificate_block(certificate, i);
        printf("%s: Lip(g) <= %.4f", block.name, block.lipschitz_upper);
        if (block.steps > 0)
            printf("; %zu iterations invert it to a millionth of the first step", block.steps);
        putchar('\n');
    }
    irn_certificate_logdet(certificate, &lower, &upper);
    printf("network: Lip(F) <= %.4g, Lip(F^-1) <= %.4g, log|det| of its residual blocks in "
           "[%.1f, %.1f]\n",
           irn_certificate_lipschitz_upper(certificate),
           irn_certificate_inverse_lipschitz_upper(certificate), lower, upper);
}

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: verify MODEL.safetensors CERTIFICATE.json\n");
        return 2;
    }
    const char *model_path = arguments[1], *path = arguments[2];
    irn_certificate *certificate = NULL;
    irn_status status = prove(model_path, path);
    if (status == IRN_OK)
        status = irn_certificate_read(&certificate, path);
    if (status == IRN_OK)
        status = irn_certificate_verify(certificate, model_path, NULL);
    bool certified = status == IRN_OK && irn_certificate_verdict(certificate);
    if (status == IRN_OK) {
        print(certificate);
        printf("true: %s\n", certified ? "certified" : "not certified");
    } else {
        fprintf(stderr, "verify: %s\n", irn_last_error());
    }
    irn_certificate_free(certificate);
    if (status != IRN_OK && status != IRN_ERROR_NOT_CERTIFIED)
        return EXIT_FAILURE;
    return certified ? EXIT_SUCCESS : 3;
}
