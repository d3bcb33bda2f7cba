#include "certify/lanczos.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* It ends when this many steps together gain less than a share of the value, or finally. */
enum { MOST_STEPS = IRN_LANCZOS_STEPS, BETWEEN_CHECKS = 4 };
static const double gain = 1e-8;

/* T, the map restricted to the Krylov space in its orthonormal basis. */
typedef struct tridiagonal {
    size_t order;
    double diagonal[MOST_STEPS], beside[MOST_STEPS]; /* beside[i]: entries (i, i + 1) */
    double pivots[MOST_STEPS];
} tridiagonal;

/* Whether t is above all eigenvalues: whether t I - T = L D L^T has D > 0. */
static bool above(tridiagonal *t, double value)
{
    double taken = 0;
    for (size_t i = 0; i < t->order; i++) {
        t->pivots[i] = value - t->diagonal[i] - taken;
        if (!(t->pivots[i] > 0))
            return false;
        taken = t->beside[i] * t->beside[i] / t->pivots[i];
    }
    return true;
}

/* Just above the largest eigenvalue, by bisection; leaves the pivots of that. 0 if T is 0. */
static double leading(tridiagonal *t)
{
    double low = 0, high = 0;
    for (size_t i = 0; i < t->order; i++) {
        double before = i > 0 ? t->beside[i - 1] : 0, after = i + 1 < t->order ? t->beside[i] : 0;
        low = fmax(low, t->diagonal[i]);
        high = fmax(high, t->diagonal[i] + before + after); /* Gershgorin */
    }
    high *= 1 + 1e-10; /* so that rounding cannot make it fail */
    for (int i = 0; i < 60 && high - low > 1e-14 * high; i++) {
        double middle = low + (high - low) / 2;
        if (above(t, middle))
            high = middle;
        else
            low = middle;
    }
    above(t, high);
    return high;
}

/* Scales to length 1, and returns the length. */
static double normalise(double *x, size_t order)
{
    double square = 0;
    for (size_t i = 0; i < order; i++)
        square += x[i] * x[i];
    double length = sqrt(square);
    for (size_t i = 0; length > 0 && i < order; i++)
        x[i] /= length;
    return length;
}

/* The eigenvector that belongs to it, by inverse iteration with its pivots. */
static void eigenvector(const tridiagonal *t, double *y)
{
    for (size_t i = 0; i < t->order; i++)
        y[i] = 1;
    for (int step = 0; step < 3; step++) {
        for (size_t i = 1; i < t->order; i++)
            y[i] += t->beside[i - 1] / t->pivots[i - 1] * y[i - 1];
        for (size_t i = t->order; i-- > 0;)
            y[i] = (y[i] + (i + 1 < t->order ? t->beside[i] * y[i + 1] : 0)) / t->pivots[i];
        normalise(y, t->order);
    }
}

/* Takes off its parts along the basis; returns that along the last of it. */
static double orthogonalise(double *x, const double *basis, size_t count, size_t order)
{
    double along = 0;
    for (size_t b = 0; b < count; b++) {
        const double *q = basis + b * order;
        along = 0;
        for (size_t i = 0; i < order; i++)
            along += q[i] * x[i];
        for (size_t i = 0; i < order; i++)
            x[i] -= along * q[i];
    }
    return along;
}

/* Extends the basis, whose first vector is there, until little is gained. */
static void extend(tridiagonal *t, double *basis, size_t order, size_t steps,
                   irn_symmetric_map *map, void *payload)
{
    double value = 0, size = 0;
    for (size_t k = 0; k < steps; k++) {
        double *q = basis + k * order, *next = q + order;
        map(next, q, payload);
        t->diagonal[k] = orthogonalise(next, basis, k + 1, order);
        t->beside[k] = normalise(next, order);
        t->order = k + 1;
        size = fmax(size, t->diagonal[k] + t->beside[k]);
        if (!(t->beside[k] > 1e-12 * size)) /* the space is invariant */
            return;
        if (t->order % BETWEEN_CHECKS == 0) {
            double before = value;
            value = leading(t);
            if (!(value - before > gain * value))
                return;
        }
    }
}

irn_status irn_lanczos(double *x, size_t order, size_t steps, irn_symmetric_map *map, void *payload)
{
    tridiagonal t = {0};
    double *basis, y[MOST_STEPS] = {1};
    size_t most = irn_smaller(irn_smaller(steps, MOST_STEPS), order);
    IRN_TRY(irn_alloc(&basis, (most + 1) * order, sizeof *basis));
    memcpy(basis, x, order * sizeof *x);
    normalise(basis, order);
    extend(&t, basis, order, most, map, payload);
    if (leading(&t) > 0)
        eigenvector(&t, y);
    memset(x, 0, order * sizeof *x);
    for (size_t k = 0; k < t.order; k++)
        for (size_t i = 0; i < order; i++)
            x[i] += y[k] * basis[k * order + i];
    normalise(x, order);
    free(basis);
    return IRN_OK;
}
