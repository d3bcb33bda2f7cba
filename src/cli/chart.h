/* Charts of bounds and of singular values. */
#ifndef IRN_CLI_CHART_H
#define IRN_CLI_CHART_H

#include "axis.h"
#include "canvas.h"

/* A line across a chart at a value, and what is written beside it. */
typedef struct chart_mark {
    double value;
    const char *label;
    bool limit; /* drawn as what must not be reached; else dashed, as a level */
} chart_mark;

enum { CHART_MARKS = 3 };

typedef struct chart_bar {
    const char *name;
    double lower, upper; /* of a norm; upper may be infinite or NaN: nothing is known */
    size_t group;        /* its block; rising */
} chart_bar;

/* A row for each bar, from lower and upper; a stroke through the rows of a group at its product. */
typedef struct chart_bars {
    const char *title;
    const chart_bar *bars;
    size_t count;
    const double *products; /* of the groups; NULL: there are none */
    chart_mark marks[CHART_MARKS];
    size_t mark_count;
} chart_bars;

enum { CHART_MOST_BARS = 4000 };

/* Up to CHART_MOST_BARS. Both: false without memory. */
bool chart_draw_bars(cli_canvas *out, const chart_bars *chart);

/* Values of which any number is drawn, largest first, against their place. */
typedef struct chart_spectrum {
    const char *title, *subtitle;
    const double *values; /* 0 or more, descending */
    size_t count;
    chart_mark marks[CHART_MARKS];
    size_t mark_count;
} chart_spectrum;

bool chart_draw_spectrum(cli_canvas *out, const chart_spectrum *chart);

#endif
