/* Convolutions of stride 1 that keep the map's size, tap by tap in double precision. Arrays are
 * [images, channels, height, width] and [outputs, inputs, kernel_height, kernel_width]. */
#ifndef ORACLE_CONV_H
#define ORACLE_CONV_H

#include <stdbool.h>
#include <stddef.h>

typedef struct oracle_conv {
    size_t images, inputs, outputs, height, width, kernel_height, kernel_width;
    bool circular; /* else zero padding; (k-1)/2 of it in front, the rest behind */
} oracle_conv;

size_t oracle_conv_inputs(const oracle_conv *c);  /* values of x */
size_t oracle_conv_outputs(const oracle_conv *c); /* values of y */
size_t oracle_conv_weights(const oracle_conv *c);

/* y = W x. */
void oracle_conv_forward(const oracle_conv *c, const double *w, const double *x, double *y);
/* x = W^T y. */
void oracle_conv_backward(const oracle_conv *c, const double *w, const double *y, double *x);
/* w = d<y, W x>/dW, bias = sum of y over images and pixels. */
void oracle_conv_gradient(const oracle_conv *c, const double *x, const double *y, double *w,
                          double *bias);

/* `iterations` of power iteration on W, on one image; sigma is the last ||W v||. */
double oracle_power(const oracle_conv *c, const double *w, double *u, double *v, size_t iterations);

#endif
