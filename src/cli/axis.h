/* Axes of charts: where values stand, and the ticks. */
#ifndef IRN_CLI_AXIS_H
#define IRN_CLI_AXIS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_axis {
    double low, high; /* low < high, both above 0 if logarithmic */
    bool log;
} cli_axis;

/* An axis that begins at 0, or, if largest / smallest is above `most`, at a power of ten at or
 * below smallest, logarithmically; it ends a little above largest. Values are 0 or more; smallest
 * and largest above 0. */
cli_axis cli_axis_for(double smallest, double largest, double most);

/* 0 at the axis's beginning, 1 at its end, clipped; NaN as 0. */
double cli_axis_share(const cli_axis *axis, double value);

/* The values to mark: round ones, or powers of ten and, if these are few, 2 and 5 times them. At
 * most CLI_TICKS, rising. */
enum { CLI_TICKS = 24 };
size_t cli_axis_ticks(const cli_axis *axis, double ticks[CLI_TICKS]);

#endif
