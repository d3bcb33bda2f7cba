/* Help texts, and guesses at what was meant. */
#include "cli.h"

#include <stdio.h>
#include <string.h>

enum { HELP_COLUMN = 26, MAX_WORD = 32 };

static void print_entry(const char *left, const char *help)
{
    printf("  %s", left);
    size_t length = strlen(left) + 2;
    if (length + 2 > HELP_COLUMN) {
        putchar('\n');
        length = 0;
    }
    for (;;) {
        size_t line = strcspn(help, "\n");
        printf("%*s%.*s\n", (int)(HELP_COLUMN - length), "", (int)line, help);
        if (help[line] == '\0')
            return;
        help += line + 1;
        length = 0;
    }
}

static void print_option(const cli_option *option)
{
    char left[96], letter[8] = "";
    if (option->letter)
        snprintf(letter, sizeof letter, "-%c, ", option->letter);
    snprintf(left, sizeof left, "%s--%s%s%s%s", letter, option->kind == CLI_TOGGLE ? "[no-]" : "",
             option->name, option->argument ? " " : "", option->argument ? option->argument : "");
    print_entry(left, option->help);
}

void cli_print_help(const cli_command *command, const cli_group *groups, size_t group_count)
{
    printf("Usage: iresnet %s %s\n\n%s", command->name, command->synopsis, command->about);
    for (size_t g = 0; g < group_count; g++) {
        bool titled = false;
        for (size_t i = 0; i < groups[g].count; i++) {
            if (groups[g].absent >> i & 1)
                continue;
            if (!titled)
                printf("\n%s:\n", groups[g].title);
            titled = true;
            print_option(&groups[g].options[i]);
        }
    }
    print_entry("-h, --help", "this text");
    print_entry("-V, --version", "the version");
    printf("\nExamples:\n%s", command->examples);
}

void cli_print_version(void)
{
    printf("iresnet %s\n", IRN_VERSION_STRING);
    if (strcmp(irn_version(), IRN_VERSION_STRING) != 0)
        printf("libiresnet %s\n", irn_version());
}

/* Levenshtein distance of words shorter than MAX_WORD. */
static size_t distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b), line[MAX_WORD];
    for (size_t j = 0; j <= columns; j++)
        line[j] = j;
    for (size_t i = 1; i <= rows; i++) {
        size_t diagonal = line[0];
        line[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = line[j];
            if (line[j] + 1 < best)
                best = line[j] + 1;
            if (line[j - 1] + 1 < best)
                best = line[j - 1] + 1;
            line[j] = best;
        }
    }
    return line[columns];
}

const char *cli_nearest(const char *text, const char *const *words)
{
    const char *best = NULL;
    size_t length = strlen(text), least = 3;
    if (length == 0 || length >= MAX_WORD)
        return NULL;
    for (size_t i = 0; words[i]; i++) {
        if (strlen(words[i]) >= MAX_WORD)
            continue;
        size_t apart = distance(text, words[i]);
        if (apart < least && apart < length) {
            least = apart;
            best = words[i];
        }
    }
    return best;
}
