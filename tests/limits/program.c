#include "program.h"
#include "shim.h"

#include "cli/cli.h"

#include "io/safetensors.h"

#include <iresnet/array.h>

#include <dirent.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST_WORDS = 48 };

static size_t passed, failed;

/* ---- streams ---- */

typedef struct caught {
    FILE *stream;
    int number, kept, file;
} caught;

static void stop_if(bool trouble, const char *what)
{
    if (!trouble)
        return;
    perror(what);
    exit(EXIT_FAILURE);
}

static caught catch (FILE *stream, const char *path)
{
    caught c = {.stream = stream, .number = fileno(stream)};
    fflush(stream);
    c.kept = dup(c.number);
    c.file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    stop_if(c.kept < 0 || c.file < 0 || dup2(c.file, c.number) < 0, path);
    return c;
}

static void release(caught c, char *out, size_t size)
{
    fflush(c.stream);
    ssize_t length = pread(c.file, out, size - 1, 0);
    stop_if(length < 0 || dup2(c.kept, c.number) < 0, "a caught stream");
    out[length] = 0;
    close(c.kept);
    close(c.file);
}

/* ---- commands ---- */

static const cli_command *find(const char *name)
{
#define COMMAND_ENTRY(name) &cli_command_##name,
    static const cli_command *const commands[] = {CLI_COMMANDS(COMMAND_ENTRY) NULL};
#undef COMMAND_ENTRY
    for (const cli_command *const *command = commands; *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

static const char *last_line(const char *text)
{
    const char *line = text;
    for (const char *c = text; *c; c++)
        if (c[0] == '\n' && c[1])
            line = c + 1;
    return line;
}

void program_run(program_result *out, const char *words)
{
    char text[1024], *arguments[MOST_WORDS + 1], *rest = NULL;
    int count = 0;
    out->quiet = strstr(words, " --quiet") != NULL;
    snprintf(text, sizeof text, "%s", words);
    for (char *word = strtok_r(text, " ", &rest); word && count < MOST_WORDS;
         word = strtok_r(NULL, " ", &rest))
        arguments[count++] = word;
    arguments[count] = NULL;
    const cli_command *command = count > 0 ? find(arguments[0]) : NULL;
    stop_if(!command, words);
    caught output = catch (stdout, ".stdout"), errors = catch (stderr, ".stderr");
    optind = 0; /* getopt begins anew */
    out->status = command->run(command, count, arguments);
    release(errors, out->errors, sizeof out->errors);
    release(output, out->output, sizeof out->output);
    out->sentence = last_line(out->errors);
}

void program_device(const char *tuning)
{
    shim_be_gpu(tuning != NULL);
    stop_if((tuning ? setenv("IRN_TUNING", tuning, true) : unsetenv("IRN_TUNING")) != 0,
            "IRN_TUNING");
}

/* ---- checks ---- */

bool check(bool good, const char *format, ...)
{
    passed += good;
    failed += !good;
    if (good)
        return true;
    va_list arguments;
    va_start(arguments, format);
    fputs("FAILED ", stdout);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
    fflush(stdout);
    return false;
}

size_t checks_passed(void)
{
    return passed;
}

size_t checks_failed(void)
{
    return failed;
}

/* A temporary file of a writer that was neither committed nor discarded. */
static bool has_temporary(const char *folder)
{
    DIR *list = opendir(folder);
    bool found = false;
    for (struct dirent *entry = list ? readdir(list) : NULL; entry; entry = readdir(list))
        found = found || strncmp(entry->d_name, ".irn-", 5) == 0;
    if (list)
        closedir(list);
    return found;
}

void check_clean(const char *where)
{
    for (int kind = 0; kind < SHIM_KINDS; kind++)
        check(shim_live((shim_kind)kind) == 0, "%s: %ld %s are left", where,
              shim_live((shim_kind)kind), shim_kind_name((shim_kind)kind));
    check(shim_held() == 0, "%s: %llu bytes are left", where, (unsigned long long)shim_held());
    check(!has_temporary(".") && !has_temporary("run"), "%s: a temporary file is left", where);
}

void check_sentence(const program_result *result, const char *where, const char *const *words)
{
    const char *errors = result->quiet ? result->errors : result->sentence;
    const char *end = strchr(errors, '\n');
    bool known = false;
    for (; *words; words++)
        known = known || strstr(errors, *words);
    check(result->status == CLI_FAILED, "%s: status %d: %s", where, result->status, errors);
    check(strncmp(errors, "iresnet ", 8) == 0 && end && end[1] == 0, "%s: not one line: %s", where,
          errors);
    check(known, "%s: says not what is the matter: %s", where, errors);
}

/* ---- files ---- */

char *file_bytes(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    char *bytes = malloc((size_t)length + 1);
    stop_if(!bytes || fread(bytes, 1, (size_t)length, file) != (size_t)length, path);
    fclose(file);
    *size = (size_t)length;
    return bytes;
}

bool files_equal(const char *one, const char *other)
{
    size_t sizes[2] = {0, 0};
    char *bytes[2] = {file_bytes(one, &sizes[0]), file_bytes(other, &sizes[1])};
    bool equal =
        bytes[0] && bytes[1] && sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return equal;
}

/* Those of safetensors files may stand at any address. */
static double number(const irn_array *array, size_t i)
{
    float single;
    double wide;
    if (array->type == IRN_FLOAT64)
        memcpy(&wide, (const char *)array->data + i * sizeof wide, sizeof wide);
    else
        memcpy(&single, (const char *)array->data + i * sizeof single, sizeof single);
    return array->type == IRN_FLOAT64 ? wide : (double)single;
}

static bool has_numbers(const irn_array *array)
{
    return array->type == IRN_FLOAT32 || array->type == IRN_FLOAT64;
}

static bool numbers_near(const irn_array *a, const irn_array *b)
{
    bool near = has_numbers(a) && a->type == b->type && irn_array_count(a) == irn_array_count(b);
    for (size_t i = 0; near && i < irn_array_count(a); i++) {
        double y = number(b, i);
        near = fabs(number(a, i) - y) <= 2e-5 * fmax(1, fabs(y));
    }
    return near;
}

bool arrays_near(const char *one, const char *other)
{
    irn_array a, b;
    bool near = irn_npy_read(&a, one) == IRN_OK;
    near = irn_npy_read(&b, other) == IRN_OK && near && numbers_near(&a, &b);
    irn_array_free(&a);
    irn_array_free(&b);
    return near;
}

/* How far training has come stands in a checkpoint's metadata; models have none of it. */
static bool same_training(const irn_safetensors *a, const irn_safetensors *b)
{
    const char *one = irn_safetensors_metadata(a, "iresnet_training");
    const char *other = irn_safetensors_metadata(b, "iresnet_training");
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static bool tensor_near(const irn_safetensors *a, const irn_safetensors *b, size_t i)
{
    irn_array one, other;
    size_t same = irn_safetensors_find(b, irn_safetensors_tensor_name(a, i));
    return same != SIZE_MAX && irn_safetensors_view(a, i, &one) == IRN_OK &&
           irn_safetensors_view(b, same, &other) == IRN_OK && numbers_near(&one, &other);
}

bool tensors_near(const char *one, const char *other)
{
    irn_safetensors *a = NULL, *b = NULL;
    bool near = irn_safetensors_open(&a, one) == IRN_OK &&
                irn_safetensors_open(&b, other) == IRN_OK && same_training(a, b) &&
                irn_safetensors_count(a) == irn_safetensors_count(b);
    for (size_t i = 0; near && i < irn_safetensors_count(a); i++)
        near = tensor_near(a, b, i);
    irn_safetensors_free(a);
    irn_safetensors_free(b);
    return near;
}

void file_copy(const char *from, const char *to)
{
    size_t size = 0;
    char *bytes = file_bytes(from, &size);
    FILE *file = bytes ? fopen(to, "wb") : NULL;
    stop_if(!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0, to);
    free(bytes);
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}
