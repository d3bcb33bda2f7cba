#include "oracle/elementwise.h"

#include <math.h>

/* ---- activations ---- */

static double logistic(double z)
{
    return 1 / (1 + exp(-z));
}

/* log(1 + exp(beta)). */
static double sharpness(double beta)
{
    return beta > 0 ? beta + log1p(exp(-beta)) : log1p(exp(beta));
}

double oracle_lipswish(double beta, double z, int order)
{
    double s = sharpness(beta), p = logistic(s * z), slope = s * p * logistic(-s * z);
    if (isinf(z))
        return order == 0 ? fmax(z, 0) : order == 1 ? (z > 0) / 1.1 : 0;
    if (order == 0)
        return z * p / 1.1;
    if (order == 1)
        return (p + z * slope) / 1.1;
    return (2 * slope + z * s * slope * (1 - 2 * p)) / 1.1;
}

double oracle_lipswish_beta(double beta, double z)
{
    double s = sharpness(beta);
    return z * z * logistic(s * z) * logistic(-s * z) * logistic(beta) / 1.1;
}

double oracle_activation(irn_activation activation, double z)
{
    switch (activation) {
    case IRN_ELU:
        return z > 0 ? z : expm1(z);
    case IRN_RELU:
        return z > 0 ? z : z == z ? 0 : z;
    case IRN_TANH:
        return tanh(z);
    case IRN_SOFTPLUS:
        return z > 0 ? z + log1p(exp(-z)) : log1p(exp(z));
    case IRN_LIPSWISH:
        return oracle_lipswish(ORACLE_BETA, z, 0);
    default:
        return z;
    }
}

double oracle_derivative(irn_activation activation, double z)
{
    switch (activation) {
    case IRN_ELU:
        return z > 0 ? 1 : exp(z);
    case IRN_RELU:
        return z > 0;
    case IRN_TANH:
        return 1 - tanh(z) * tanh(z);
    case IRN_SOFTPLUS:
        return logistic(z);
    case IRN_LIPSWISH:
        return oracle_lipswish(ORACLE_BETA, z, 1);
    default:
        return 1;
    }
}

double oracle_second(irn_activation activation, double z)
{
    switch (activation) {
    case IRN_ELU:
        return z > 0 ? 0 : exp(z);
    case IRN_TANH:
        return -2 * tanh(z) * (1 - tanh(z) * tanh(z));
    case IRN_SOFTPLUS:
        return logistic(z) * (1 - logistic(z));
    case IRN_LIPSWISH:
        return oracle_lipswish(ORACLE_BETA, z, 2);
    default:
        return 0;
    }
}

/* ---- actnorm and squeeze ---- */

size_t oracle_map_count(const oracle_map *m)
{
    return m->images * m->channels * m->height * m->width;
}

static size_t channel(const oracle_map *m, size_t i)
{
    return i / (m->height * m->width) % m->channels;
}

void oracle_actnorm(const oracle_map *m, const double *x, const double *log_scale,
                    const double *shift, double *z)
{
    for (size_t i = 0; i < oracle_map_count(m); i++)
        z[i] = x[i] * exp(log_scale[channel(m, i)]) + shift[channel(m, i)];
}

void oracle_actnorm_inverse(const oracle_map *m, const double *z, const double *log_scale,
                            const double *shift, double *x)
{
    for (size_t i = 0; i < oracle_map_count(m); i++)
        x[i] = (z[i] - shift[channel(m, i)]) / exp(log_scale[channel(m, i)]);
}

void oracle_actnorm_gradient(const oracle_map *m, const double *g, const double *x,
                             const double *log_scale, double *log_scale_gradient,
                             double *shift_gradient)
{
    for (size_t c = 0; c < m->channels; c++)
        log_scale_gradient[c] = shift_gradient[c] = 0;
    for (size_t i = 0; i < oracle_map_count(m); i++) {
        size_t c = channel(m, i);
        log_scale_gradient[c] += g[i] * x[i] * exp(log_scale[c]);
        shift_gradient[c] += g[i];
    }
}

void oracle_squeeze(const oracle_map *m, const double *x, double *y)
{
    size_t channels = m->channels, height = m->height / 2, width = m->width / 2;
    for (size_t n = 0; n < m->images; n++)
        for (size_t c = 0; c < channels; c++)
            for (size_t i = 0; i < m->height; i++)
                for (size_t j = 0; j < m->width; j++) {
                    size_t out = (i % 2 * 2 + j % 2) * channels + c;
                    y[((n * 4 * channels + out) * height + i / 2) * width + j / 2] =
                        x[((n * channels + c) * m->height + i) * m->width + j];
                }
}

/* ---- the head ---- */

static const double epsilon = 1e-5;

void oracle_moments(const oracle_map *m, const double *x, double *mean, double *variance)
{
    double total = (double)(m->images * m->height * m->width);
    for (size_t c = 0; c < m->channels; c++)
        mean[c] = variance[c] = 0;
    for (size_t i = 0; i < oracle_map_count(m); i++)
        mean[channel(m, i)] += x[i] / total;
    for (size_t i = 0; i < oracle_map_count(m); i++) {
        double centred = x[i] - mean[channel(m, i)];
        variance[channel(m, i)] += centred * centred / total;
    }
}

void oracle_pool(const oracle_map *m, const double *x, const double *mean, const double *variance,
                 const double *gamma, const double *beta, double *pooled)
{
    size_t pixels = m->height * m->width;
    for (size_t i = 0; i < m->images * m->channels; i++)
        pooled[i] = 0;
    for (size_t i = 0; i < oracle_map_count(m); i++) {
        size_t c = channel(m, i);
        double y = gamma[c] * (x[i] - mean[c]) / sqrt(variance[c] + epsilon) + beta[c];
        pooled[i / pixels] += fmax(y, 0) / (double)pixels;
    }
}

/* With x^ = (x - mean) / std, y = gamma x^ + beta and G = dl/dy:
 * dl/dx = gamma/std (G - mean(G) - x^ mean(G x^)). */
void oracle_pool_gradient(const oracle_map *m, const double *x, const double *gamma,
                          const double *beta, const double *pooled_gradient, double *gamma_gradient,
                          double *beta_gradient, double *x_gradient)
{
    size_t pixels = m->height * m->width;
    double total = (double)(m->images * pixels);
    for (size_t c = 0; c < m->channels; c++) {
        double mean = 0, variance = 0, sum = 0, product = 0;
        for (size_t k = 0; k < m->images * pixels; k++)
            mean += x[(k / pixels * m->channels + c) * pixels + k % pixels] / total;
        for (size_t k = 0; k < m->images * pixels; k++) {
            double d = x[(k / pixels * m->channels + c) * pixels + k % pixels] - mean;
            variance += d * d / total;
        }
        double std = sqrt(variance + epsilon);
        for (int pass = 0; pass < 2; pass++)
            for (size_t k = 0; k < m->images * pixels; k++) {
                size_t i = (k / pixels * m->channels + c) * pixels + k % pixels;
                double hat = (x[i] - mean) / std;
                double g =
                    gamma[c] * hat + beta[c] > 0 ? pooled_gradient[i / pixels] / (double)pixels : 0;
                if (pass == 0) {
                    sum += g;
                    product += g * hat;
                } else {
                    x_gradient[i] = gamma[c] / std * (g - sum / total - hat * product / total);
                }
            }
        gamma_gradient[c] = product;
        beta_gradient[c] = sum;
    }
}

double oracle_cross_entropy(const double *scores, const int *labels, size_t images, size_t classes,
                            double *gradient)
{
    double loss = 0;
    for (size_t n = 0; n < images; n++) {
        const double *s = scores + n * classes;
        double largest = s[0], sum = 0;
        for (size_t k = 0; k < classes; k++)
            largest = fmax(largest, s[k]);
        for (size_t k = 0; k < classes; k++)
            sum += exp(s[k] - largest);
        loss += log(sum) + largest - s[labels[n]];
        for (size_t k = 0; k < classes; k++)
            gradient[n * classes + k] =
                (exp(s[k] - largest) / sum - ((int)k == labels[n] ? 1 : 0)) / (double)images;
    }
    return loss / (double)images;
}
