#include "adversary.h"
#include "host.h"

const char *const adversary_kinds[] = {"random",   "flat", "rank one", "nearly equal", "zero",
                                       "denormal", "1e30", "1e-30",    "one huge",     "sum zero"};

double *adversary_kernel(int kind, const irn_kernel_shape *s)
{
    size_t taps = s->kernel_height * s->kernel_width;
    size_t inputs = s->inputs / (s->groups ? s->groups : 1), count = s->outputs * inputs * taps;
    double *k = host_normal(count), *a = host_normal(s->outputs), *b = host_normal(inputs * taps);
    for (size_t e = 0; e < count; e++) {
        size_t o = e / taps / inputs, i = e / taps % inputs;
        double value = k[e];
        if (kind == ADVERSARY_FLAT)
            value = 0.3;
        if (kind == ADVERSARY_RANK_ONE)
            value = a[o] * b[e % (inputs * taps)];
        if (kind == ADVERSARY_NEARLY_EQUAL)
            value = (o == i && e % taps == taps / 2 ? 1 : 0) + 1e-7 * value;
        if (kind == ADVERSARY_ZERO)
            value = 0;
        if (kind == ADVERSARY_DENORMAL)
            value *= 1e-42;
        if (kind == ADVERSARY_LARGE || kind == ADVERSARY_SMALL)
            value *= kind == ADVERSARY_LARGE ? 1e30 : 1e-30;
        if (kind == ADVERSARY_ONE_HUGE)
            value *= e == count / 2 ? 1e20 : 1e-20;
        if (kind == ADVERSARY_SUM_ZERO)
            value = e % 2 ? -k[e - 1] : value;
        k[e] = (double)(float)value;
    }
    return k;
}
