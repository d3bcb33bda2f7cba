#include "flow/dequantise.h"
#include "base/philox.h"

#include <math.h>

irn_status irn_dequantise(const float *x, size_t first, size_t images, size_t size, size_t levels,
                          uint64_t seed, uint64_t stream, float *out)
{
    double top = (double)levels - 1;
    uint32_t bits[4] = {0};
    for (size_t i = 0; i < images * size; i++) {
        double value = ((double)x[i] + 0.5) * top;
        /* Half a level of slack, for whoever scaled the data otherwise; NaN fails. */
        if (!(value >= -0.5 && value <= top + 0.5))
            return irn_fail(IRN_ERROR_ARGUMENT,
                            "value %zu of sample %zu is %g; the data must be from -0.5 to 0.5",
                            i % size, first + i / size, (double)x[i]);
        uint64_t place = (uint64_t)first * size + i;
        if (i == 0 || place % 4 == 0)
            irn_philox(bits, seed, IRN_STREAM_DEQUANTISE, stream, place / 4);
        double noise = (double)irn_uniform_from_bits(bits[place % 4]);
        out[i] = (float)((fmin(fmax(rint(value), 0), top) + noise) / (double)levels - 0.5);
    }
    return IRN_OK;
}
