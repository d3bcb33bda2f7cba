#include "cli.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LEAST_BAR = 10, MOST_BAR = 26, MAX_LINE = 256 }; /* columns, bytes */

static const double draw_interval = 0.1;

/* The program's only variable of file scope: a signal handler can reach nothing else. */
static volatile sig_atomic_t interrupt_flag;

static void raise_flag(int number)
{
    (void)number;
    interrupt_flag = 1;
}

void cli_interrupt_install(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = raise_flag;
    action.sa_flags = (int)(SA_RESTART | SA_RESETHAND);
    sigemptyset(&action.sa_mask);
    const int signals[] = {SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction former;
        /* Whoever started the program may want a signal ignored, as shells do in the background. */
        if (sigaction(signals[i], NULL, &former) == 0 && former.sa_handler != SIG_IGN)
            sigaction(signals[i], &action, NULL);
    }
}

bool cli_interrupted(void)
{
    return interrupt_flag != 0;
}

double cli_clock(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void cli_progress_init(cli_progress *progress, bool quiet)
{
    const char *terminal = getenv("TERM"), *plain = getenv("NO_COLOR");
    bool able = terminal && *terminal && strcmp(terminal, "dumb") != 0;
    memset(progress, 0, sizeof *progress);
    progress->enabled = !quiet && able && isatty(STDERR_FILENO);
    progress->colour = !plain || *plain == '\0';
    progress->label = "";
}

void cli_progress_begin(cli_progress *progress, const char *label)
{
    progress->label = label;
    progress->begun = cli_clock();
    progress->last_draw = 0;
}

const char *cli_duration(char out[CLI_DURATION], double seconds)
{
    if (!(seconds >= 0 && seconds < 1e8)) {
        snprintf(out, CLI_DURATION, "?");
        return out;
    }
    unsigned long whole = (unsigned long)(seconds + 0.5), minutes = whole / 60;
    if (whole < 60)
        snprintf(out, CLI_DURATION, "%lu s", whole);
    else if (minutes < 60)
        snprintf(out, CLI_DURATION, "%lu:%02lu", minutes, whole % 60);
    else
        snprintf(out, CLI_DURATION, "%lu:%02lu:%02lu", minutes / 60, minutes % 60, whole % 60);
    return out;
}

static size_t terminal_columns(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* [####----] in so many columns, brackets included. */
static void draw_bar(const cli_progress *progress, double share, size_t columns)
{
    size_t cells = columns - 2, filled = (size_t)(share * (double)cells + 0.5);
    const char *on = progress->colour ? "\033[32m" : "", *off = progress->colour ? "\033[0m" : "";
    fprintf(stderr, "[%s", on);
    for (size_t i = 0; i < filled; i++)
        fputc('#', stderr);
    fputs(off, stderr);
    for (size_t i = filled; i < cells; i++)
        fputc('-', stderr);
    fputc(']', stderr);
}

void cli_progress_draw(cli_progress *progress, const char *label, double share, const char *text)
{
    double now = cli_clock();
    if (!progress->enabled || (share < 1 && now - progress->last_draw < draw_interval))
        return;
    progress->last_draw = now;
    share = share >= 0 && share <= 1 ? share : share > 1;
    char head[MAX_LINE];
    size_t room = terminal_columns() - 1;
    size_t used = (size_t)snprintf(head, sizeof head, "%.64s %3.0f %% ", label, 100 * share);
    size_t wanted = used + strlen(text) + 1;
    size_t bar = wanted + LEAST_BAR < room ? room - wanted : LEAST_BAR;
    fprintf(stderr, "\r%.*s", (int)room, head);
    if (used + LEAST_BAR < room) {
        bar = bar < MOST_BAR ? bar : MOST_BAR;
        draw_bar(progress, share, bar);
        fprintf(stderr, " %.*s", (int)(room - used - bar - 1), text);
    }
    fputs("\033[K", stderr);
    fflush(stderr);
    progress->drawn = true;
}

bool cli_progress_step(size_t done, size_t total, const char *what, void *payload)
{
    cli_progress *progress = payload;
    if (progress->enabled && total > 0) {
        double share = (double)done / (double)total, spent = cli_clock() - progress->begun;
        char left[CLI_DURATION], text[MAX_LINE];
        cli_duration(left, share > 0 ? spent * (1 - share) / share : NAN);
        snprintf(text, sizeof text, "%zu of %zu  ETA %s", done, total, left);
        const char *label = *progress->label ? progress->label : what;
        cli_progress_draw(progress, label ? label : "working", share, text);
    }
    return !cli_interrupted();
}

void cli_progress_clear(cli_progress *progress)
{
    if (progress->drawn)
        fputs("\r\033[K", stderr);
    progress->drawn = false;
}
