#include "base/philox.h"

#include <math.h>

/* The header is written for C and C++ alike and trips over our stricter warnings. */
#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wsign-conversion"
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#include <Random123/philox.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

void irn_philox(uint32_t out[4], uint64_t seed, irn_stream stream, uint64_t substream,
                uint64_t index)
{
    /* 64 bits of index; stream and substream share the other 64: 2^56 substreams are plenty. */
    uint64_t high = substream << 8 | (uint64_t)stream;
    philox4x32_ctr_t counter = {
        {(uint32_t)index, (uint32_t)(index >> 32), (uint32_t)high, (uint32_t)(high >> 32)}};
    philox4x32_key_t key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}};
    philox4x32_ctr_t bits = philox4x32(counter, key);
    for (int i = 0; i < 4; i++)
        out[i] = bits.v[i];
}

float irn_uniform_from_bits(uint32_t bits)
{
    return (float)(bits >> 8) * 0x1p-24f;
}

double irn_uniform_double(const uint32_t bits[4])
{
    double sum = 0.5;
    for (int i = 4; i-- > 0;)
        sum = ((double)bits[i] + sum) * 0x1p-32;
    return fmin(sum, 1 - 0x1p-53); /* rounding may have reached 1 */
}

void irn_normal_pair(double out[2], const uint32_t bits[4])
{
    const double two_pi = 6.283185307179586476925286766559;
    /* (0, 1], so that the logarithm is finite. */
    double u = ((double)bits[0] + 1.0) * 0x1p-32, angle = two_pi * ((double)bits[1] * 0x1p-32);
    double radius = sqrt(-2.0 * log(u));
    out[0] = radius * cos(angle);
    out[1] = radius * sin(angle);
}

void irn_normal_fill(float *out, size_t count, uint64_t seed, irn_stream stream, uint64_t substream)
{
    for (size_t i = 0; i < count; i += 2) {
        uint32_t bits[4];
        double pair[2];
        irn_philox(bits, seed, stream, substream, i / 2);
        irn_normal_pair(pair, bits);
        out[i] = (float)pair[0];
        if (i + 1 < count)
            out[i + 1] = (float)pair[1];
    }
}

void irn_rademacher_fill(float *out, size_t count, uint64_t seed, irn_stream stream,
                         uint64_t substream)
{
    uint32_t bits[4];
    for (size_t i = 0; i < count; i++) {
        if (i % 128 == 0)
            irn_philox(bits, seed, stream, substream, i / 128);
        out[i] = bits[i / 32 % 4] >> i % 32 & 1 ? 1.0F : -1.0F;
    }
}
