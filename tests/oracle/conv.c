#include "oracle/conv.h"

#include <math.h>
#include <string.h>

size_t oracle_conv_inputs(const oracle_conv *c)
{
    return c->images * c->inputs * c->height * c->width;
}

size_t oracle_conv_outputs(const oracle_conv *c)
{
    return c->images * c->outputs * c->height * c->width;
}

size_t oracle_conv_weights(const oracle_conv *c)
{
    return c->outputs * c->inputs * c->kernel_height * c->kernel_width;
}

/* Where a tap reads along one axis; false: in the zero padding. */
static bool source(size_t at, size_t tap, size_t kernel, size_t size, bool circular, size_t *out)
{
    size_t before = (kernel - 1) / 2;
    if (circular)
        *out = (at + tap + before * (size - 1)) % size; /* -1 is size - 1 */
    else
        *out = at + tap - before;
    return *out < size; /* what is negative has wrapped to something huge */
}

/* The plane of x and of y, and the kernel's taps, of one image and one pair of channels. */
typedef void on_planes(const oracle_conv *c, double *w, double *x, double *y);

static void forward(const oracle_conv *c, double *w, double *x, double *y)
{
    size_t sy, sx;
    for (size_t i = 0; i < c->height; i++)
        for (size_t j = 0; j < c->width; j++)
            for (size_t p = 0; p < c->kernel_height; p++)
                for (size_t q = 0; q < c->kernel_width; q++)
                    if (source(i, p, c->kernel_height, c->height, c->circular, &sy) &&
                        source(j, q, c->kernel_width, c->width, c->circular, &sx))
                        y[i * c->width + j] += w[p * c->kernel_width + q] * x[sy * c->width + sx];
}

static void backward(const oracle_conv *c, double *w, double *x, double *y)
{
    size_t sy, sx;
    for (size_t i = 0; i < c->height; i++)
        for (size_t j = 0; j < c->width; j++)
            for (size_t p = 0; p < c->kernel_height; p++)
                for (size_t q = 0; q < c->kernel_width; q++)
                    if (source(i, p, c->kernel_height, c->height, c->circular, &sy) &&
                        source(j, q, c->kernel_width, c->width, c->circular, &sx))
                        x[sy * c->width + sx] += w[p * c->kernel_width + q] * y[i * c->width + j];
}

static void gradient(const oracle_conv *c, double *w, double *x, double *y)
{
    size_t sy, sx;
    for (size_t i = 0; i < c->height; i++)
        for (size_t j = 0; j < c->width; j++)
            for (size_t p = 0; p < c->kernel_height; p++)
                for (size_t q = 0; q < c->kernel_width; q++)
                    if (source(i, p, c->kernel_height, c->height, c->circular, &sy) &&
                        source(j, q, c->kernel_width, c->width, c->circular, &sx))
                        w[p * c->kernel_width + q] += y[i * c->width + j] * x[sy * c->width + sx];
}

static void on_all(const oracle_conv *c, on_planes *work, const double *w, const double *x,
                   const double *y)
{
    size_t pixels = c->height * c->width, taps = c->kernel_height * c->kernel_width;
    for (size_t n = 0; n < c->images; n++)
        for (size_t o = 0; o < c->outputs; o++)
            for (size_t i = 0; i < c->inputs; i++)
                /* Each work writes to the one array that its caller may write to. */
                work(c, (double *)w + (o * c->inputs + i) * taps,
                     (double *)x + (n * c->inputs + i) * pixels,
                     (double *)y + (n * c->outputs + o) * pixels);
}

void oracle_conv_forward(const oracle_conv *c, const double *w, const double *x, double *y)
{
    memset(y, 0, oracle_conv_outputs(c) * sizeof *y);
    on_all(c, forward, w, x, y);
}

void oracle_conv_backward(const oracle_conv *c, const double *w, const double *y, double *x)
{
    memset(x, 0, oracle_conv_inputs(c) * sizeof *x);
    on_all(c, backward, w, x, y);
}

void oracle_conv_gradient(const oracle_conv *c, const double *x, const double *y, double *w,
                          double *bias)
{
    size_t pixels = c->height * c->width;
    memset(w, 0, oracle_conv_weights(c) * sizeof *w);
    on_all(c, gradient, w, x, y);
    memset(bias, 0, c->outputs * sizeof *bias);
    for (size_t n = 0; n < c->images; n++)
        for (size_t o = 0; o < c->outputs; o++)
            for (size_t p = 0; p < pixels; p++)
                bias[o] += y[(n * c->outputs + o) * pixels + p];
}

static double normalise(double *x, size_t count)
{
    double square = 0;
    for (size_t i = 0; i < count; i++)
        square += x[i] * x[i];
    for (size_t i = 0; i < count; i++)
        x[i] /= sqrt(square);
    return sqrt(square);
}

double oracle_power(const oracle_conv *c, const double *w, double *u, double *v, size_t iterations)
{
    double sigma = 0;
    for (size_t i = 0; i < iterations; i++) {
        oracle_conv_backward(c, w, u, v);
        normalise(v, oracle_conv_inputs(c));
        oracle_conv_forward(c, w, v, u);
        sigma = normalise(u, oracle_conv_outputs(c));
    }
    return sigma;
}
