#include "files.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* To be freed; NULL: no memory. */
static char *folder_of(const char *path)
{
    size_t length = (size_t)(base_name(path) - path);
    return length > 0 ? strndup(path, length) : strdup(".");
}

static bool folder_stat(const char *path, struct stat *out)
{
    char *folder = folder_of(path);
    bool known = folder && stat(folder, out) == 0;
    free(folder);
    return known;
}

bool cli_same_file(const char *a, const char *b)
{
    struct stat one, other;
    if (strcmp(a, b) == 0)
        return true;
    bool first = stat(a, &one) == 0, second = stat(b, &other) == 0;
    if (first != second)
        return false;
    if (!first && (strcmp(base_name(a), base_name(b)) != 0 || !folder_stat(a, &one) ||
                   !folder_stat(b, &other)))
        return false;
    bool device = first && !S_ISREG(one.st_mode); /* which can be written to twice */
    return !device && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static int check_suffix(cli_session *session, const cli_file *file)
{
    const char *name = base_name(file->path), *dot = strrchr(name, '.');
    if (!dot || dot == name || !file->suffixes[0])
        return CLI_DONE;
    for (size_t i = 0; i < 2 && file->suffixes[i]; i++)
        if (cli_has_suffix(name, file->suffixes[i]))
            return CLI_DONE;
    bool two = file->suffixes[1] != NULL;
    return cli_error(session, CLI_USAGE, "--%s: '%s' ends %s %s%s%s", file->option, file->path,
                     two ? "neither in" : "not in", file->suffixes[0], two ? " nor in " : "",
                     two ? file->suffixes[1] : "");
}

static int check_writable(cli_session *session, const char *path)
{
    struct stat known;
    bool exists = stat(path, &known) == 0;
    if (strcmp(path, "-") == 0)
        return CLI_DONE;
    if (exists && S_ISDIR(known.st_mode))
        return cli_error(session, CLI_FAILED, "%s: is a directory, not a file to write", path);
    /* A file is replaced by a new one beside it. */
    char *folder = exists && !S_ISREG(known.st_mode) ? strdup(path) : folder_of(path);
    int code = !folder ? ENOMEM : access(folder, W_OK) == 0 ? 0 : errno;
    free(folder);
    if (code != 0)
        return cli_error(session, CLI_FAILED, "%s: cannot be written: %s", path, strerror(code));
    return CLI_DONE;
}

int cli_check_files(cli_session *session, const cli_file *files, size_t count)
{
    int result = CLI_DONE;
    for (size_t i = 0; i < count && result == CLI_DONE; i++) {
        if (!files[i].path)
            continue;
        result = check_suffix(session, &files[i]);
        for (size_t j = 0; j < i && result == CLI_DONE; j++)
            if (files[j].path && cli_same_file(files[j].path, files[i].path))
                result = cli_error(session, CLI_USAGE, "--%s and --%s are both '%s'",
                                   files[j].option, files[i].option, files[i].path);
    }
    for (size_t i = 0; i < count && result == CLI_DONE; i++)
        if (files[i].path)
            result = check_writable(session, files[i].path);
    return result;
}
