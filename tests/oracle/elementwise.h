/* Activations with two derivatives, actnorm, squeeze, and the classifier's head, in double
 * precision on [images, channels, height, width]. */
#ifndef ORACLE_ELEMENTWISE_H
#define ORACLE_ELEMENTWISE_H

#include <iresnet/model.h>

/* beta of LipSwish in these. */
#define ORACLE_BETA 0.625

/* Of z, not of the activation's output. */
double oracle_activation(irn_activation activation, double z);
double oracle_derivative(irn_activation activation, double z);
double oracle_second(irn_activation activation, double z);

/* LipSwish and its derivatives with respect to z (order 0 to 2), or that with respect to beta. */
double oracle_lipswish(double beta, double z, int order);
double oracle_lipswish_beta(double beta, double z);

typedef struct oracle_map {
    size_t images, channels, height, width;
} oracle_map;

size_t oracle_map_count(const oracle_map *m);

/* z = x exp(log_scale) + shift. */
void oracle_actnorm(const oracle_map *m, const double *x, const double *log_scale,
                    const double *shift, double *z);
void oracle_actnorm_inverse(const oracle_map *m, const double *z, const double *log_scale,
                            const double *shift, double *x);
/* From the gradient g at z; x is the input. */
void oracle_actnorm_gradient(const oracle_map *m, const double *g, const double *x,
                             const double *log_scale, double *log_scale_gradient,
                             double *shift_gradient);

/* m is the wide map [images, C, 2H, 2W]; y is [images, 4C, H, W]. */
void oracle_squeeze(const oracle_map *m, const double *x, double *y);

/* Batch norm, ReLU, average over the map. mean and variance are what it divides by: the running
 * ones, or oracle_moments(). */
void oracle_moments(const oracle_map *m, const double *x, double *mean, double *variance);
void oracle_pool(const oracle_map *m, const double *x, const double *mean, const double *variance,
                 const double *gamma, const double *beta, double *pooled);
/* Through the batch's own moments, from the gradient at `pooled`. */
void oracle_pool_gradient(const oracle_map *m, const double *x, const double *gamma,
                          const double *beta, const double *pooled_gradient, double *gamma_gradient,
                          double *beta_gradient, double *x_gradient);

/* Mean loss of the batch; gradient is its gradient at the scores. */
double oracle_cross_entropy(const double *scores, const int *labels, size_t images, size_t classes,
                            double *gradient);

#endif
