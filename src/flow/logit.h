/* The logit transform of densities (Dinh et al. 2017, "Density estimation using Real NVP", section
 * 4.1): l = log(s / (1 - s)) with s = alpha + (1 - 2 alpha)(x + 1/2), elementwise before anything
 * else. 0 stays 0, so that padding does. Without config.logit these do nothing. */
#ifndef IRN_LOGIT_H
#define IRN_LOGIT_H

#include "flow/logdet_bounds.h"
#include "flow/model.h"

/* x [images, ...] must lie where l is finite; else IRN_ERROR_ARGUMENT. */
irn_status irn_logit_check(const irn_model *model, const float *x, size_t images);

/* x becomes l, and back. */
irn_status irn_logit_apply(const irn_model *model, const irn_tensor *x);
irn_status irn_logit_undo(const irn_model *model, const irn_tensor *l);

/* The log-determinant of one sample, rounding counted. */
irn_interval irn_logit_logdet(const irn_model *model, const float *x);

/* Of l to x. */
double irn_logit_lipschitz(const irn_model *model);
/* What rounding in float64 does to x, relative to its norm on the way back, and in each element on
 * the way there. */
double irn_logit_undo_rounding(const irn_model *model);
double irn_logit_apply_rounding(const irn_model *model);

#endif
