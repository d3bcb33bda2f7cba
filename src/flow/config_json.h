#ifndef IRN_CONFIG_JSON_H
#define IRN_CONFIG_JSON_H

#include "base/base.h"

#include <iresnet/model.h>

/* Configuration and certified bounds (not finite: unknown) as JSON text, which the caller frees. */
irn_status irn_config_to_json(char **out, const irn_model_config *config, const double *lipschitz,
                              size_t blocks);

/* Reads a configuration, each field within its limits; irn_config_check() judges how they go
 * together. file is for sentences. */
irn_status irn_config_from_json(irn_model_config *out, const char *json, const char *file);

/* The bounds; NaN where there is none. */
irn_status irn_lipschitz_from_json(double *lipschitz, size_t blocks, const char *json);

#endif
