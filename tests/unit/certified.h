/* Files with certificates, for tests of what is accepted of these. Paths are valid for the test. */
#ifndef IRN_TEST_CERTIFIED_H
#define IRN_TEST_CERTIFIED_H

#include <iresnet/certify.h>

/* A small model, with model.json beside it. scale: of the first layer; 0: as it is. */
const char *certified_model(irn_context *context, irn_padding padding, float scale);

/* Bit 0: the padding; bit 1: weights, not a model. *json: the certificate. */
const char *certified_file(irn_context *context, int which, const char **json);

/* What the weights are certified with. */
extern const irn_weights_options certified_setting;

/* A whole file, of the caller to free(). */
char *certified_text(const char *path, size_t *size);

#endif
