#include "oracle/optimizer.h"

#include <math.h>

void oracle_update(oracle_optimizer *o, double *weights, const double *gradient, size_t count)
{
    double t = ++o->step;
    for (size_t i = 0; i < count; i++) {
        double g = gradient[i] + o->decay * weights[i];
        if (o->kind == IRN_SGD) {
            o->first[i] = o->momentum * o->first[i] + g;
            weights[i] -= o->rate * o->first[i];
            continue;
        }
        o->first[i] = o->beta1 * o->first[i] + (1 - o->beta1) * g;
        double mean = o->first[i] / (1 - pow(o->beta1, t));
        if (o->kind == IRN_ADAM) {
            o->second[i] = o->beta2 * o->second[i] + (1 - o->beta2) * g * g;
            double square = o->second[i] / (1 - pow(o->beta2, t));
            weights[i] -= o->rate * mean / (sqrt(square) + o->epsilon);
        } else {
            o->second[i] = fmax(o->beta2 * o->second[i], fabs(g) + o->epsilon);
            weights[i] -= o->rate * mean / o->second[i];
        }
    }
}
