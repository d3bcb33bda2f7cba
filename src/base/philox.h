/* Philox4x32-10 (Salmon et al. 2011) through Random123: counter-based random numbers, so that a
 * value depends on (seed, stream, index) alone and is the same bits on every machine. */
#ifndef IRN_PHILOX_H
#define IRN_PHILOX_H

#include <stddef.h>
#include <stdint.h>

/* Streams keep the users of one seed apart. */
typedef enum irn_stream {
    IRN_STREAM_WEIGHTS,
    IRN_STREAM_SHUFFLE,
    IRN_STREAM_AUGMENT,
    IRN_STREAM_POWER,
    IRN_STREAM_PROBE,
    IRN_STREAM_DEQUANTISE,
    IRN_STREAM_SAMPLE,
    IRN_STREAM_ROULETTE,
    IRN_STREAM_TOY
} irn_stream;

/* The 128 random bits at (index, substream) of a stream. */
void irn_philox(uint32_t out[4], uint64_t seed, irn_stream stream, uint64_t substream,
                uint64_t index);

/* [0, 1), 24 bits. */
float irn_uniform_from_bits(uint32_t bits);
/* (0, 1), all 128 bits: small numbers come as often as they should down to 2^-129. */
double irn_uniform_double(const uint32_t bits[4]);

/* Two standard normal numbers (Box-Muller) from the first two words. */
void irn_normal_pair(double out[2], const uint32_t bits[4]);

/* Fills with standard normal numbers, rounded from double, of the stream. */
void irn_normal_fill(float *out, size_t count, uint64_t seed, irn_stream stream,
                     uint64_t substream);
/* The same with Rademacher's distribution: 1 and -1, each with probability 1/2. */
void irn_rademacher_fill(float *out, size_t count, uint64_t seed, irn_stream stream,
                         uint64_t substream);

#endif
