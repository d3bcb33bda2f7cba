#include "flow/dequantise.h"
#include "base/philox.h"

#include <math.h>

/* How far from a level a value may be, in levels: float32 rounds, and few levels may have come
 * through 8 bits. */
static double slack(double top)
{
    const double few = 64;
    return 1e-3 + 1e-7 * top + (top < few ? top / 510 : 0);
}

/* NaN fails. */
static irn_status check_value(double x, double value, double top, size_t sample, size_t place)
{
    double most = slack(top);
    if (!(value >= -most && value <= top + most))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "value %zu of sample %zu is %g; the data must be from -0.5 to 0.5", place,
                        sample, x);
    if (!(fabs(value - rint(value)) <= most))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "value %zu of sample %zu is %g, level %g of 0 to %g; the model is of data "
                        "of %g levels",
                        place, sample, x, value, top, top + 1);
    return IRN_OK;
}

irn_status irn_dequantise(const float *x, size_t first, size_t images, size_t size, size_t levels,
                          uint64_t seed, uint64_t stream, float *out)
{
    double top = (double)levels - 1;
    uint32_t bits[4] = {0};
    for (size_t i = 0; i < images * size; i++) {
        double value = ((double)x[i] + 0.5) * top;
        IRN_TRY(check_value((double)x[i], value, top, first + i / size, i % size));
        uint64_t place = (uint64_t)first * size + i;
        if (i == 0 || place % 4 == 0)
            irn_philox(bits, seed, IRN_STREAM_DEQUANTISE, stream, place / 4);
        double noise = (double)irn_uniform_from_bits(bits[place % 4]);
        out[i] = (float)((fmin(fmax(rint(value), 0), top) + noise) / (double)levels - 0.5);
    }
    return IRN_OK;
}
