/* A progress bar on standard error, drawn only on a terminal that can, and Ctrl-C. */
#ifndef IRN_CLI_PROGRESS_H
#define IRN_CLI_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct cli_progress {
    bool enabled; /* a terminal, and not --quiet */
    bool colour;
    bool drawn;       /* a bar stands on the line */
    double begun;     /* of the work named by label; seconds of the monotonic clock */
    double last_draw; /* likewise */
    const char *label;
} cli_progress;

void cli_progress_init(cli_progress *progress, bool quiet);

/* Names the work whose calls of cli_progress_step() follow. */
void cli_progress_begin(cli_progress *progress, const char *label);

/* An irn_progress whose payload is a cli_progress: draws, and returns false after Ctrl-C. */
bool cli_progress_step(size_t done, size_t total, const char *what, void *payload);

/* Draws a share of 0..1 with text behind the bar, unless drawn a moment ago. */
void cli_progress_draw(cli_progress *progress, const char *label, double share, const char *text);

/* Wipes the bar off the line, so that something else can be written there. */
void cli_progress_clear(cli_progress *progress);

/* Seconds as 12 s, 3:05 or 1:02:03. Returns out. */
#define CLI_DURATION 32
const char *cli_duration(char out[CLI_DURATION], double seconds);

/* Seconds of a clock that only goes forward. */
double cli_clock(void);

/* From here on the first SIGINT or SIGTERM only raises a flag; the second ends the program. */
void cli_interrupt_install(void);
bool cli_interrupted(void);

#endif
