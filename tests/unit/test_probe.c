/* Random probes: signs bit for bit, normal numbers but for rounding, as the host makes them. */
#include "guarded.h"

#include "base/philox.h"
#include "flow/probe.h"

#include <math.h>

static const uint64_t seed = 0x123456789ABCDEF, stream = 77;

typedef struct shape {
    size_t images, channels, height, width, first;
} shape;

/* The number of channel c's group of 16 at a pixel. */
static uint64_t group_of(const shape *s, size_t image, size_t c, size_t pixel)
{
    size_t groups = (s->channels + 15) / 16, pixels = s->height * s->width;
    return ((image + s->first) * groups + c / 16) * pixels + pixel;
}

static double sign_at(uint64_t group, size_t c)
{
    uint32_t bits[4];
    irn_philox(bits, seed, IRN_STREAM_PROBE, stream, group / 8);
    return bits[group / 2 % 4] >> (group % 2 * 16 + c % 16) & 1 ? 1 : -1;
}

static double normal_at(uint64_t group, size_t c)
{
    uint32_t bits[4];
    irn_philox(bits, seed, IRN_STREAM_PROBE, stream, group * 4 + c % 16 / 4);
    const uint32_t *pair = bits + c % 4 / 2 * 2;
    double u = ((double)(pair[0] >> 8) + 1) * 0x1p-24, v = (double)(pair[1] >> 8) * 0x1p-24;
    double angle = 2 * 3.14159265358979323846 * v;
    return sqrt(-2 * log(u)) * (c % 2 ? sin(angle) : cos(angle));
}

/* Every element, and zeros in padded channels. */
static void check_probe(const shape *s, bool gaussian)
{
    irn_tensor out = guarded_tensor(IRN_SINGLE, s->images, s->channels, s->height, s->width, NULL);
    irn_probe probe = {seed, stream, s->first, gaussian};
    testing_ok(irn_probe_fill(&probe, &out));
    const double *got = guarded_read_clean(&out);
    size_t pixels = s->height * s->width;
    for (size_t i = 0; i < s->images * s->channels * pixels; i++) {
        size_t c = i / pixels % s->channels;
        uint64_t group = group_of(s, i / pixels / s->channels, c, i % pixels);
        double want = gaussian ? normal_at(group, c) : sign_at(group, c);
        double limit = gaussian ? 1e-6 * (1 + fabs(want)) : 0;
        ck_assert_msg(fabs(got[i] - want) <= limit, "element %zu of %zu channels: %.9g, not %.9g",
                      i, s->channels, got[i], want);
    }
}

START_TEST(as_on_the_host)
{
    irn_context *context = devices_open(_i);
    static const size_t channels[] = {1, 2, 3, 4, 5, 8, 9, 12, 13, 16, 17, 37, 64};
    for (size_t k = 0; k < sizeof channels / sizeof *channels; k++)
        for (int gaussian = 0; gaussian < 2; gaussian++) {
            shape s = {host_between(1, 5), channels[k], host_between(1, 9), host_between(1, 9),
                       host_between(0, 100000)};
            guarded_begin(context);
            check_probe(&s, gaussian);
            guarded_end();
        }
    devices_close(context);
}
END_TEST

/* Moments of many: mean, variance, and the fourth, with five standard errors. */
START_TEST(moments)
{
    enum { COUNT = 1 << 18 };
    irn_context *context = devices_open(_i);
    guarded_begin(context);
    irn_tensor out = guarded_tensor(IRN_SINGLE, COUNT / 64 / 16, 16, 8, 8, NULL);
    irn_probe probe = {seed, stream, 0, true};
    testing_ok(irn_probe_fill(&probe, &out));
    const double *got = guarded_read(&out);
    double sums[3] = {0};
    for (size_t i = 0; i < COUNT; i++) {
        double square = got[i] * got[i];
        sums[0] += got[i];
        sums[1] += square;
        sums[2] += square * square;
    }
    const double expected[] = {0, 1, 3}, variances[] = {1, 2, 96};
    for (int m = 0; m < 3; m++)
        ck_assert_msg(fabs(sums[m] / COUNT - expected[m]) <= 5 * sqrt(variances[m] / COUNT),
                      "moment %d: %g", m, sums[m] / COUNT);
    guarded_end();
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("probe");
    TCase *test = devices_case(suite, "probe");
    devices_add(test, as_on_the_host);
    devices_add(test, moments);
    return testing_run(suite);
}
