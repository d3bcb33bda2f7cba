#include "trial/reference.h"

#include <math.h>
#include <string.h>

size_t irn_kernel_count(const irn_conv *conv)
{
    return conv->outputs * conv->inputs * conv->kernel_height * conv->kernel_width;
}

/* ---- convolutions ---- */

typedef enum summed { SUM_Y, SUM_X, SUM_W } summed;

/* The pixel that a tap reads along one axis; `size` or more in the zero padding. */
static size_t read_by(size_t pixel, size_t tap, size_t kernel, size_t size, irn_padding padding)
{
    size_t before = (kernel - 1) / 2, at = pixel + tap;
    if (padding == IRN_PAD_CIRCULAR)
        return (at + before * (size - 1)) % size;
    return at < before ? size : at - before;
}

/* Adds what one tap contributes to a plane of y, of x or to its own weight. */
static void add_tap(const irn_conv *c, irn_map map, size_t row, size_t column, double *w, double *x,
                    double *y, summed what)
{
    for (size_t i = 0; i < map.height; i++)
        for (size_t j = 0; j < map.width; j++) {
            size_t p = read_by(i, row, c->kernel_height, map.height, c->padding);
            size_t q = read_by(j, column, c->kernel_width, map.width, c->padding);
            if (p >= map.height || q >= map.width)
                continue;
            double *from = x + p * map.width + q, *to = y + i * map.width + j;
            if (what == SUM_Y)
                *to += *w * *from;
            else if (what == SUM_X)
                *from += *w * *to;
            else
                *w += *from * *to;
        }
}

static void add_taps(const irn_conv *c, irn_map map, double *w, double *x, double *y, summed what)
{
    size_t pixels = map.height * map.width, taps = c->kernel_height * c->kernel_width;
    for (size_t n = 0; n < map.images; n++)
        for (size_t pair = 0; pair < c->outputs * c->inputs; pair++)
            for (size_t t = 0; t < taps; t++)
                add_tap(c, map, t / c->kernel_width, t % c->kernel_width, w + pair * taps + t,
                        x + (n * c->inputs + pair % c->inputs) * pixels,
                        y + (n * c->outputs + pair / c->inputs) * pixels, what);
}

/* add_taps() writes to one of its arrays only: the casts below are of those that it reads. */
void irn_reference_convolve(const irn_conv *conv, irn_map map, const double *w, const double *x,
                            double *y)
{
    memset(y, 0, map.images * conv->outputs * map.height * map.width * sizeof *y);
    add_taps(conv, map, (double *)w, (double *)x, y, SUM_Y);
}

void irn_reference_convolve_back(const irn_conv *conv, irn_map map, const double *w,
                                 const double *y, double *x)
{
    memset(x, 0, map.images * conv->inputs * map.height * map.width * sizeof *x);
    add_taps(conv, map, (double *)w, x, (double *)y, SUM_X);
}

void irn_reference_kernel_gradient(const irn_conv *conv, irn_map map, const double *x,
                                   const double *y, double *w)
{
    memset(w, 0, irn_kernel_count(conv) * sizeof *w);
    add_taps(conv, map, w, (double *)x, (double *)y, SUM_W);
}

void irn_reference_channel_sums(irn_map map, size_t channels, const double *x, double *sums)
{
    size_t pixels = map.height * map.width;
    memset(sums, 0, channels * sizeof *sums);
    for (size_t i = 0; i < map.images * channels * pixels; i++)
        sums[i / pixels % channels] += x[i];
}

/* ---- activations ---- */

static double logistic(double z)
{
    return 1 / (1 + exp(-z));
}

static double softplus(double z)
{
    return fmax(z, 0) + log1p(exp(-fabs(z)));
}

/* z logistic(s z) / 1.1 with s = softplus(beta), and its derivatives. */
static double lipswish(double beta, double z, int order)
{
    double s = softplus(beta), p = logistic(s * z), slope = s * p * (1 - p);
    const double value[] = {z * p, p + z * slope, 2 * slope + z * s * slope * (1 - 2 * p)};
    return value[order] / 1.1;
}

double irn_reference_lipswish_beta(double beta, double z)
{
    double p = logistic(softplus(beta) * z);
    return z * z * p * (1 - p) * logistic(beta) / 1.1;
}

double irn_reference_activation(irn_activation activation, double beta, double z, int order)
{
    const double t = tanh(z), p = logistic(z);
    const double identity[] = {z, 1, 0}, elu[] = {expm1(fmin(z, 0)), exp(z), exp(z)};
    const double hyperbolic[] = {t, 1 - t * t, -2 * t * (1 - t * t)};
    const double soft[] = {softplus(z), p, p * (1 - p)}, none[] = {0, 0, 0};
    switch (activation) {
    case IRN_ELU:
        return z > 0 ? identity[order] : elu[order];
    case IRN_RELU:
        return z > 0 ? identity[order] : none[order];
    case IRN_TANH:
        return hyperbolic[order];
    case IRN_SOFTPLUS:
        return soft[order];
    case IRN_LIPSWISH:
        return lipswish(beta, z, order);
    default:
        return identity[order];
    }
}

double irn_reference_dot(const double *a, const double *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}
