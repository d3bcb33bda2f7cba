#include "axis.h"

#include <float.h>
#include <math.h>

cli_axis cli_axis_for(double smallest, double largest, double most)
{
    const double room = 1.04;
    cli_axis axis = {0, fmin(largest * room, DBL_MAX), largest > most * smallest};
    if (axis.log)
        axis.low = fmax(pow(10, floor(log10(smallest))), DBL_MIN);
    return axis;
}

double cli_axis_share(const cli_axis *axis, double value)
{
    double share = axis->log ? value > 0 ? log(value / axis->low) / log(axis->high / axis->low) : 0
                             : (value - axis->low) / (axis->high - axis->low);
    return share > 0 ? fmin(share, 1) : 0;
}

/* 1, 2 or 5 times a power of ten, so that there are about `wanted` steps. */
static double round_step(double range, double wanted)
{
    double rough = range / wanted, unit = pow(10, floor(log10(rough))), times = rough / unit;
    return unit * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
}

static size_t linear_ticks(const cli_axis *axis, double ticks[CLI_TICKS])
{
    const double wanted = 7;
    double step = round_step(axis->high - axis->low, wanted);
    size_t count = 0;
    for (double k = ceil(axis->low / step); k * step <= axis->high && count < CLI_TICKS; k++)
        ticks[count++] = k * step;
    return count;
}

static size_t log_ticks(const cli_axis *axis, double ticks[CLI_TICKS])
{
    static const double factors[] = {1, 2, 5};
    double decades = log10(axis->high / axis->low);
    double apart = ceil(decades / (CLI_TICKS - 2)); /* decades between ticks */
    size_t used = decades <= 4 ? 3 : 1, count = 0;
    for (double power = ceil(log10(axis->low) - 1e-9); count < CLI_TICKS; power += apart)
        for (size_t i = 0; i < used; i++) {
            double value = factors[i] * pow(10, power);
            if (value > axis->high)
                return count;
            if (count < CLI_TICKS)
                ticks[count++] = value;
        }
    return count;
}

size_t cli_axis_ticks(const cli_axis *axis, double ticks[CLI_TICKS])
{
    return axis->log ? log_ticks(axis, ticks) : linear_ticks(axis, ticks);
}
