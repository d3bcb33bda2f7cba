/* iresnet train in parts: its options, its log, its run. */
#ifndef IRN_CLI_TRAIN_H
#define IRN_CLI_TRAIN_H

#include "cli.h"

#include <stdio.h>

/* Where things are and how the run goes. */
typedef struct train_files {
    const char *data, *test_data, *out, *preset, *resume, *log;
    int task, arithmetic;
    bool force, certify;
} train_files;

/* The architecture as given; lists and words in forms of their own. */
typedef struct train_model {
    irn_model_config config;
    size_t blocks, widths, strides; /* lengths of the lists */
    int padding, activation, prior;
} train_model;

typedef struct train_schedule {
    irn_train_options options;
    int optimizer, logdet, roulette;
    size_t shift;
} train_schedule;

enum { TRAIN_FILES, TRAIN_MODEL, TRAIN_SCHEDULE, TRAIN_COMMON, TRAIN_GROUPS };

/* The groups of options, in the order above; values go to the three structs. */
void train_groups(cli_group groups[TRAIN_GROUPS], train_files *files, train_model *model,
                  train_schedule *schedule);

/* The preset that a data specification and the task are named after; NULL: none. */
const char *train_preset(const train_files *files);

/* Preset and options given, for the data's shape and classes. Return an exit status. */
int train_model_config(cli_session *session, const cli_group *group, const char *preset,
                       irn_task task, const irn_dataset_info *info, irn_model_config *out);
int train_schedule_options(cli_session *session, const cli_group *group, const char *preset,
                           irn_task task, irn_train_options *out);

/* A line an epoch, as CSV or JSON lines by the path's suffix. */
typedef struct train_log {
    const char *path;
    FILE *file;
    bool csv, created, empty, failed;
    bool truncate; /* before the first line */
} train_log;

/* Opens for appending, or for replacing what is there once there is a line to write. */
int train_log_open(cli_session *session, train_log *log, const char *path, bool truncate);
/* Returns false, and tells why, if the line could not be written. */
bool train_log_write(cli_session *session, train_log *log, const irn_fit_event *event);
/* Removes a file that was created and has stayed empty. */
void train_log_close(train_log *log);

/* All of one `iresnet train`. */
typedef struct training {
    cli_session session;
    train_files files;
    cli_group groups[TRAIN_GROUPS];
    char *model_path, *checkpoint_path, *log_path; /* owned */
    bool made_folder;
    irn_dataset *train, *test; /* test may be NULL */
    irn_trainer *trainer;
    train_log log;
    irn_fit_event last;                /* zeroed before the first */
    double first_share, first_seconds; /* at the first event, for the time left */
} training;

/* Trains, certifies, saves and tells the result. Returns an exit status. */
int train_run(training *self);

#endif
