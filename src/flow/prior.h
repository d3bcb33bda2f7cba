/* The density of z: a diagonal Gaussian, standard or learned, on the parts of z. */
#ifndef IRN_PRIOR_H
#define IRN_PRIOR_H

#include "flow/latents.h"

/* Programs of cl/density.cl. */
extern const char irn_density_sources[];

/* values[n] = weight x log p(z) of every sample but for the constant that all samples share. */
irn_status irn_prior_values(const irn_model *model, const irn_latents *z, double weight,
                            irn_place values);
/* That constant: -D/2 log(2 pi). */
double irn_prior_constant(const irn_model *model);

/* Gradients of weight x sum over samples of log p(z): at the parts of z, which z itself may hold,
 * and of a learned prior's parameters, overwritten in a buffer like the parameters. add_last: the
 * gradient at the last part is added to what is there. */
irn_status irn_prior_gradient(const irn_model *model, const irn_latents *z, double weight,
                              bool add_last, const irn_latents *z_gradient, cl_mem gradient);

#endif
