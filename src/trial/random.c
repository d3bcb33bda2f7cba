/* Checks of random numbers: signs bit for bit, normal ones but for rounding. */
#include "base/philox.h"
#include "trial/trial.h"
#include "flow/probe.h"

#include <math.h>

enum { IMAGES = 3, CHANNELS = 37, PIXELS = 35, COUNT = IMAGES * CHANNELS * PIXELS };

/* cl/random.cl: 16 channels of a pixel are a group, groups are numbered pixel by pixel. */
static uint64_t group_of(const irn_probe *probe, size_t i)
{
    size_t groups = (CHANNELS + 15) / 16, image = i / (CHANNELS * PIXELS) + probe->first_image;
    return (image * groups + i / PIXELS % CHANNELS / 16) * PIXELS + i % PIXELS;
}

static double sign(const irn_probe *probe, uint64_t group, size_t lane)
{
    uint32_t bits[4];
    irn_philox(bits, probe->seed, IRN_STREAM_PROBE, probe->stream, group / 8);
    return bits[group / 2 % 4] >> (group % 2 * 16 + lane) & 1 ? 1 : -1;
}

static double normal(const irn_probe *probe, uint64_t group, size_t lane)
{
    const double two_pi = 6.283185307179586476925;
    uint32_t bits[4];
    irn_philox(bits, probe->seed, IRN_STREAM_PROBE, probe->stream, group * 4 + lane / 4);
    const uint32_t *pair = bits + (lane % 4 < 2 ? 0 : 2);
    double radius = sqrt(-2 * log(((double)(pair[0] >> 8) + 1) * 0x1p-24));
    double angle = two_pi * (double)(pair[1] >> 8) * 0x1p-24;
    return radius * (lane % 2 ? sin(angle) : cos(angle));
}

static irn_status check_probe(irn_trial *c, bool gaussian)
{
    const irn_probe probe = {.seed = UINT64_C(0x123456789abcdef),
                             .stream = UINT64_C(0x12345678),
                             .first_image = 70000,
                             .gaussian = gaussian};
    double *expected;
    irn_tensor out;
    IRN_TRY(irn_trial_tensor(c, IRN_SINGLE, (size_t[4]){IMAGES, CHANNELS, 5, 7}, NULL, &out));
    IRN_TRY(irn_trial_doubles(c, COUNT, &expected));
    for (size_t i = 0; i < COUNT; i++) {
        uint64_t group = group_of(&probe, i);
        size_t lane = i / PIXELS % CHANNELS % 16;
        expected[i] = gaussian ? normal(&probe, group, lane) : sign(&probe, group, lane);
    }
    IRN_TRY(irn_probe_fill(&probe, &out));
    return irn_trial_is_tensor(c, gaussian ? "normal probes" : "Rademacher probes", expected, &out,
                               gaussian ? 1e-5 : 0);
}

irn_status irn_trial_random(irn_trial *c)
{
    IRN_TRY(check_probe(c, false));
    return check_probe(c, true);
}
