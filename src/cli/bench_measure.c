/* What all timings share. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>

/* splitmix64 */
void bench_fill(float *values, size_t count, size_t levels, uint64_t seed)
{
    float top = (float)levels - 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t bits = (seed += UINT64_C(0x9e3779b97f4a7c15));
        bits = (bits ^ (bits >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        bits = (bits ^ (bits >> 27)) * UINT64_C(0x94d049bb133111eb);
        float share = (float)((bits ^ (bits >> 31)) >> 40) * 0x1p-24f;
        values[i] = (levels > 1 ? floorf(share * (float)levels) / top : share) - 0.5f;
    }
}

static int compare(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int bench_measure(cli_session *session, size_t repeats, bench_call call, void *self,
                  bench_seconds *out)
{
    double *seconds = calloc(repeats, sizeof *seconds);
    if (!seconds)
        return cli_error(session, CLI_FAILED, "no memory for %zu timings", repeats);
    cli_progress_begin(&session->progress, "measuring");
    irn_status status = call(self);
    for (size_t i = 0; i < repeats && status == IRN_OK; i++) {
        double begun = cli_clock();
        status = call(self);
        seconds[i] = cli_clock() - begun;
        if (status == IRN_OK && !cli_progress_step(i + 1, repeats, NULL, &session->progress))
            status = IRN_ERROR_CANCELLED;
    }
    cli_progress_clear(&session->progress);
    qsort(seconds, repeats, sizeof *seconds, compare);
    out->best = seconds[0];
    out->median = 0.5 * (seconds[(repeats - 1) / 2] + seconds[repeats / 2]);
    free(seconds);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}
