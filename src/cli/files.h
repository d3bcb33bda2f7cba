/* Files to be written, looked at before there is anything to write. */
#ifndef IRN_CLI_FILES_H
#define IRN_CLI_FILES_H

#include "cli.h"

typedef struct cli_file {
    const char *option, *path; /* --option PATH; path NULL: not asked for */
    const char *suffixes[2];   /* that say what is written; the second may be NULL; or none does */
} cli_file;

/* Refuses other suffixes (a name may have none), two options with one file, folders that cannot be
 * written to. */
int cli_check_files(cli_session *session, const cli_file *files, size_t count);

/* Whether two paths are one file, which need not exist yet. */
bool cli_same_file(const char *a, const char *b);

#endif
