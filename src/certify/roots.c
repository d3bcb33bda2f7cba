#include "certify/roots.h"

/* 1 - z/(a(a+1)) (1 - z/((a+2)(a+3)) (1 - ...)): cos t for a = 1, sin(t) / t for a = 2, where
 * z = t^2. Both series alternate and fall, so what is left out is below the first term left out:
 * for t <= pi/4 at most (pi/4)^20 / 20! < 4e-21 < u / 1000. */
static double series(double z, double a)
{
    double value = 1;
    for (int term = 8; term >= 0; term--) {
        double b = a + 2 * term;
        value = 1 - z / (b * (b + 1)) * value;
    }
    return value;
}

/* Rounding, first order in u with the second order covered by the rounding up of every number:
 *
 * The angle t is 2 pi x with 0 <= x <= 1/8 a quotient of integers that doubles hold. 2 pi, the
 * quotient and the product are wrong by u relatively each: t by 3u t, at most 2.4 u. z adds u z.
 *
 * In the series, a step with quotient q = z / (b(b+1)) turns an error e of the value so far, which
 * is in [0, 1], into q e + 2u q + u (quotient, product, difference). Steps further in have
 * q <= 1/19, so their error is e <= 1.2 u.
 *   cos: q <= 0.309, e <= 0.371 u + 0.618 u + u = 2 u; error of z: |d cos / dz| <= 1/2 gives 0.31
 * u; of the angle: 3u t sin t <= 1.67 u. Together below 4 u. sin: q <= 0.103, e <= 0.124 u + 0.206
 * u + u < 1.34 u, times t <= 0.786: 1.06 u; the last product: 0.71 u; z: t z u / 6 <= 0.09 u;
 * angle: 3u t cos t <= 1.67 u. Together below 4 u. So a complex root is wrong by less than sqrt(2)
 * 4 u < 6 u; IRN_ROOT_ERROR says 8. */
static void first_octant(double x, double *cosine, double *sine)
{
    double t = 6.283185307179586 * x, z = t * t;
    *cosine = series(z, 1);
    *sine = t * series(z, 2);
}

/* 8 numerator / denominator = octant + remainder / denominator, exactly; in odd octants the angle
 * counts from the octant's end. */
void irn_root(size_t numerator, size_t denominator, double *re, double *im)
{
    size_t octant = 8 * numerator / denominator, remainder = 8 * numerator % denominator;
    double c, s;
    if (octant % 2)
        remainder = denominator - remainder;
    first_octant((double)remainder / (8 * (double)denominator), &c, &s);
    /* In octants 1, 2, 5, 6 the angle is nearer to the imaginary axis. */
    double along = (octant + 1) / 2 % 2 ? s : c, across = (octant + 1) / 2 % 2 ? c : s;
    *re = octant >= 2 && octant < 6 ? -along : along;
    *im = octant >= 4 ? -across : across;
}
