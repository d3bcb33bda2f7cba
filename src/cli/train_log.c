/* The training log: CSV or JSON lines. */
#include "output.h"
#include "train.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct column {
    const char *name;
    double value;
} column;

enum { COLUMNS = 12 };

static void fill_columns(column columns[COLUMNS], const irn_fit_event *event)
{
    const column values[COLUMNS] = {
        {"epoch", (double)event->epoch},
        {"epochs", (double)event->epochs},
        {"steps", (double)event->steps},
        {"loss", event->loss},
        {"accuracy", event->accuracy},
        {"test_accuracy", event->test_accuracy},
        {"bits_per_dim", event->bits_per_dim},
        {"learning_rate", event->learning_rate},
        {"seconds", event->seconds},
        {"images_per_second", event->images_per_second},
        {"test_bits_per_dim", event->test_bits_per_dim},
        {"test_bits_per_dim_standard_error", event->test_bits_per_dim_error}};
    memcpy(columns, values, sizeof values);
}

static void write_csv(const train_log *log, const column columns[COLUMNS])
{
    for (size_t i = 0; log->empty && i < COLUMNS; i++)
        fprintf(log->file, i ? ",%s" : "%s", columns[i].name);
    if (log->empty)
        fputc('\n', log->file);
    for (size_t i = 0; i < COLUMNS; i++) {
        if (i)
            fputc(',', log->file);
        if (isfinite(columns[i].value)) /* nothing between the commas: unknown */
            fprintf(log->file, "%.9g", columns[i].value);
    }
    fputc('\n', log->file);
}

static void write_json(const train_log *log, const column columns[COLUMNS])
{
    for (size_t i = 0; i < COLUMNS; i++) {
        fprintf(log->file, "%s\"%s\": ", i ? ", " : "{", columns[i].name);
        if (isfinite(columns[i].value))
            fprintf(log->file, "%.9g", columns[i].value);
        else
            fputs("null", log->file);
    }
    fputs("}\n", log->file);
}

int train_log_open(cli_session *session, train_log *log, const char *path, bool truncate)
{
    struct stat known;
    log->path = path;
    log->csv = cli_has_suffix(path, ".csv");
    log->created = stat(path, &known) != 0;
    log->file = fopen(path, "a");
    if (!log->file)
        return cli_error(session, CLI_FAILED, "%s: %s", path, strerror(errno));
    log->empty = log->created || known.st_size == 0;
    log->truncate = truncate && !log->empty;
    return CLI_DONE;
}

bool train_log_write(cli_session *session, train_log *log, const irn_fit_event *event)
{
    column columns[COLUMNS];
    fill_columns(columns, event);
    if (log->truncate && ftruncate(fileno(log->file), 0) == 0)
        log->empty = true;
    log->truncate = false;
    if (log->csv)
        write_csv(log, columns);
    else
        write_json(log, columns);
    log->empty = false;
    if (fflush(log->file) == 0 && !ferror(log->file))
        return true;
    cli_error(session, CLI_FAILED, "%s: %s", log->path, strerror(errno));
    log->failed = true;
    return false;
}

void train_log_close(train_log *log)
{
    if (!log->file)
        return;
    fclose(log->file);
    log->file = NULL;
    if (log->created && log->empty)
        unlink(log->path);
}
