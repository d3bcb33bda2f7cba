/* Every linear layer as a sum over taps on a torus,
 *
 *   y(Y) = sum over taps of M_tap x(Y + offset_tap),
 *
 * stride, dilation, groups, padding and transposition worked in. Its norm is then the largest of
 * those of the symbol's matrices sum M_tap e^{2 pi i (a dy / N1 + b dx / N2)} (Sedghi, Gupta, Long
 * 2019), or at least not above it:
 *
 * Stride s, circular, s | map: with pixel s Y + phase as channels `phase` of pixel Y (polyphase),
 * the layer is of stride 1 from inputs s channels, an axis, on a torus of map / s. If s does not
 * divide the map, the layer is some of the rows of the one of stride 1, whose norm is no smaller.
 *
 * Zero padding: the layer reads pixels s Y + d, 0 <= Y < ceil(map / s), and taps whose d is not
 * less than the map never act. On a circle of a multiple of s pixels, at least the map and the
 * largest |d|, where pixels from `map` on are 0 and results from ceil(map / s) on are not looked
 * at, no pixel outside the map is taken for one on it. So the layer is a restriction of the
 * circular one on this torus. It is one just as well of the layer on quasi-periodic x, x(Y + N) =
 * e^{i theta} x(Y), with offsets as they are, -1 not N - 1: a pixel that is read beyond an end of
 * the circle, at s Y + d < 0 as d >= -reach and s N >= map + reach, is one from `map` on at the
 * other end, whose 0 no factor changes, whatever the phase of the stride; and s Y + d >= s N never
 * happens. With x(Y) = e^{i theta Y / N} p(Y), a unitary change to periodic p, the norm there is
 * the largest of the symbol at frequencies (2 pi a + theta) / N. Theta = pi, the odd frequencies of
 * a torus of 2 N, keeps the mirror images of real kernels. Bounds are the best where the largest
 * norm lies half-way between frequencies: the layer's is near that of half a sine period over the
 * map, two waves pi / (map + 1) away from the maximum.
 *
 * Taps that fall on one another (circular) are added up, and those that are 0 dropped. If a single
 * tap acts along an axis, or all that do have the same place, the layer only moves pixels along it,
 * and its norm is that without the axis: the torus is 1.
 *
 * Any map size: all frequencies count. The grid that stands for them is the torus here, and the
 * supremum exceeds its largest norm by at most a factor of 1 / (cos(pi d / N1) cos(pi d' / N2)), d
 * and d' half the distance of the outermost taps (Ehlich, Zeller 1964; proof_symbol.c). The stride
 * is 1 then, since some maps are no multiple of another; dilation would only order the frequencies
 * anew. */
#ifndef IRN_TAP_LIST_H
#define IRN_TAP_LIST_H

#include "base/base.h"

#include <iresnet/certify.h>

/* Whether a shape can be computed with: no size 0 but those that stand for something, nothing
 * overflows. count: values of the kernel. name is for sentences, here and below. Errors:
 * IRN_ERROR_ARGUMENT. */
irn_status irn_shape_check(const irn_kernel_shape *shape, const char *name, size_t *count);

/* The same, and whether the values are finite. Errors: IRN_ERROR_ARGUMENT, IRN_ERROR_NUMERIC. */
irn_status irn_kernel_check(const double *kernel, const irn_kernel_shape *shape, const char *name);

/* With 1 where a 0 stands for it. */
irn_kernel_shape irn_shape_filled(const irn_kernel_shape *shape);

/* Rows, or columns, of maps. */
typedef struct irn_tap_axis {
    size_t torus;           /* N, which is how many frequencies there are */
    size_t period;          /* offsets and frequencies count modulo this: N, or 2 N where theta may
                               be pi, so that a wave is e^{2 pi i frequency Y / period} */
    size_t shift;           /* the first frequency: 0, or 1 for theta = pi; then every period / N */
    size_t stride;          /* of the polyphase form */
    size_t inputs, outputs; /* pixels of the layer's map and of its result; 0 for any size */
    size_t degree;          /* for any size: half the distance of the outermost taps, rounded up */
    bool exact;             /* the norm on the torus is the layer's, and not only above it */
} irn_tap_axis;

typedef struct irn_tap_list {
    size_t groups, outputs, inputs; /* of the matrices of one group; inputs: phases x channels */
    size_t count;                   /* taps; 0 for a layer that is zero */
    size_t (*offsets)[2];           /* of each tap, row and column, less than the period */
    double *values;      /* [groups][count][outputs][inputs], the largest magnitude in [1/2, 1) */
    int exponent;        /* the kernel is 2^exponent times values */
    double error;        /* above the norm of what scaling and adding up lost of values */
    double weight;       /* at least the Frobenius norm of the sum of |values| over the taps */
    size_t phases;       /* those that some tap reads */
    size_t (*places)[2]; /* of each phase, row and column below the stride */
    irn_tap_axis axes[2];
} irn_tap_list;

/* The frequency with a number below N. */
static inline size_t irn_axis_frequency(const irn_tap_axis *axis, size_t number)
{
    return axis->shift + axis->period / axis->torus * number;
}

/* Errors: those of irn_kernel_check(), IRN_ERROR_UNSUPPORTED (taps at thousands of places),
 * IRN_ERROR_MEMORY. */
irn_status irn_tap_list_create(irn_tap_list *out, const double *kernel,
                               const irn_kernel_shape *shape, const char *name);

/* Also accepts a zeroed struct. */
void irn_tap_list_free(irn_tap_list *list);

#endif
