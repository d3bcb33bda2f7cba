/* getopt_long() driven by tables. */
#include "cli.h"

#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CODE = 256, CODE_HELP = 'h', CODE_VERSION = 'V', MAX_LETTERS = 64 };

/* All options of a command in getopt's form. Codes: FIRST_CODE + 2 * place, + 1 for --no-name. */
typedef struct parser {
    const cli_command *command;
    cli_group *groups;
    size_t group_count;
    struct option *names;
    size_t count;
    char letters[MAX_LETTERS];
    char *texts; /* "no-" names, one after the other */
} parser;

static const cli_option common_options[] = {
    {.name = "device",
     .kind = CLI_TEXT,
     .offset = offsetof(cli_common, device),
     .argument = "D",
     .help = "OpenCL device: its index in `iresnet devices` or part of its\n"
             "name (default: $IRN_DEVICE, else the first GPU, else a CPU)"},
    {.name = "seed",
     .kind = CLI_SEED,
     .offset = offsetof(cli_common, seed),
     .argument = "N",
     .help = "root of every random number (default 0)"},
    {.name = "json",
     .kind = CLI_FLAG,
     .offset = offsetof(cli_common, json),
     .help = "print JSON for machines"},
    {.name = "quiet",
     .kind = CLI_FLAG,
     .offset = offsetof(cli_common, quiet),
     .help = "nothing but errors on standard error",
     .letter = 'q'},
};

cli_group cli_common_group(cli_common *common, unsigned with)
{
    cli_group group = {.title = "General",
                       .options = common_options,
                       .count = sizeof common_options / sizeof *common_options,
                       .values = common,
                       .absent = ~(uint64_t)with};
    return group;
}

int cli_usage(const cli_command *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "iresnet %s: ", command->name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nTry `iresnet %s --help`.\n", command->name);
    va_end(arguments);
    return CLI_USAGE;
}

static void parser_add(parser *self, const char *name, bool argument, int code)
{
    struct option *entry = &self->names[self->count++];
    entry->name = name;
    entry->has_arg = argument ? required_argument : no_argument;
    entry->val = code;
}

static void parser_add_option(parser *self, const cli_option *option, int code, char **text)
{
    bool argument = option->kind != CLI_FLAG && option->kind != CLI_TOGGLE;
    parser_add(self, option->name, argument, code);
    if (option->kind == CLI_TOGGLE) {
        parser_add(self, *text, false, code + 1);
        *text += sprintf(*text, "no-%s", option->name) + 1;
    }
    size_t used = strlen(self->letters);
    if (option->letter && used + 1 < MAX_LETTERS)
        self->letters[used] = option->letter;
}

static bool parser_create(parser *self)
{
    size_t total = 0, bytes = 1;
    for (size_t g = 0; g < self->group_count; g++)
        for (size_t i = 0; i < self->groups[g].count; i++) {
            total++;
            bytes += strlen(self->groups[g].options[i].name) + sizeof "no-";
        }
    self->names = calloc(2 * total + 3, sizeof *self->names);
    self->texts = malloc(bytes);
    if (!self->names || !self->texts)
        return false;
    memcpy(self->letters, ":hV", sizeof ":hV");
    parser_add(self, "help", false, CODE_HELP);
    parser_add(self, "version", false, CODE_VERSION);
    char *text = self->texts;
    int code = FIRST_CODE;
    for (size_t g = 0; g < self->group_count; g++)
        for (size_t i = 0; i < self->groups[g].count; i++, code += 2)
            if (!(self->groups[g].absent >> i & 1))
                parser_add_option(self, &self->groups[g].options[i], code, &text);
    return true;
}

/* The option that getopt's code means: by its place, or by its letter. */
static const cli_option *find_option(const parser *self, int code, cli_group **group)
{
    size_t place = code >= FIRST_CODE ? (size_t)(code - FIRST_CODE) / 2 : SIZE_MAX;
    for (size_t g = 0; g < self->group_count; g++) {
        cli_group *candidate = &self->groups[g];
        for (size_t i = 0; i < candidate->count; i++, place--) {
            const cli_option *option = &candidate->options[i];
            bool letter = code < FIRST_CODE && option->letter == code;
            if ((code >= FIRST_CODE && place == 0) || letter) {
                *group = candidate;
                return option;
            }
        }
    }
    return NULL;
}

/* Explains what getopt did not accept. */
static int report_rejected(const parser *self, const char *word, int code)
{
    cli_group *group = NULL;
    const cli_option *option = code ? find_option(self, code, &group) : NULL;
    if (option || code == CODE_HELP || code == CODE_VERSION)
        return cli_usage(self->command, "%s: this option takes no argument", word);
    if (code)
        return cli_usage(self->command, "unknown option '-%c'", code);
    size_t length = strcspn(word, "="), matches = 0;
    const char *words[128] = {NULL};
    for (size_t i = 0; i < self->count && i < 127; i++) {
        words[i] = self->names[i].name;
        matches += length > 2 && strncmp(words[i], word + 2, length - 2) == 0;
    }
    if (matches > 1)
        return cli_usage(self->command, "option '%.*s' is ambiguous", (int)length, word);
    char text[32] = "";
    snprintf(text, sizeof text, "%.*s", (int)(length > 2 ? length - 2 : 0), word + 2);
    const char *near = cli_nearest(text, words);
    if (near)
        return cli_usage(self->command, "unknown option '%.*s'; did you mean --%s?", (int)length,
                         word, near);
    return cli_usage(self->command, "unknown option '%.*s'", (int)length, word);
}

static bool store(const parser *self, int code, const char *argument)
{
    cli_group *group = NULL;
    const cli_option *option = find_option(self, code, &group);
    if (!option)
        return false;
    group->given |= UINT64_C(1) << (size_t)(option - group->options);
    if (option->kind == CLI_FLAG || option->kind == CLI_TOGGLE) {
        bool negative = code >= FIRST_CODE && (code - FIRST_CODE) % 2 == 1;
        *(bool *)(void *)((char *)group->values + option->offset) = !negative;
        return true;
    }
    return cli_read_value(self->command, option, argument, group->values);
}

/* Returns -1 to go on, else an exit status. */
static int run_getopt(const parser *self, int argc, char **argv)
{
    opterr = 0;
    for (;;) {
        int code = getopt_long(argc, argv, self->letters, self->names, NULL);
        if (code == -1)
            return -1;
        if (code == CODE_HELP) {
            cli_print_help(self->command, self->groups, self->group_count);
            return CLI_DONE;
        }
        if (code == CODE_VERSION) {
            cli_print_version();
            return CLI_DONE;
        }
        if (code == ':')
            return cli_usage(self->command, "%s: an argument is missing", argv[optind - 1]);
        if (code == '?')
            return report_rejected(self, argv[optind - 1], optopt);
        if (!store(self, code, optarg))
            return CLI_USAGE;
    }
}

bool cli_parse(const cli_command *command, cli_group *groups, size_t group_count, int argc,
               char **argv, cli_operands *operands, int *status)
{
    parser self = {.command = command, .groups = groups, .group_count = group_count};
    if (!parser_create(&self)) {
        fprintf(stderr, "iresnet %s: out of memory\n", command->name);
        *status = CLI_FAILED;
    } else {
        *status = run_getopt(&self, argc, argv);
    }
    free(self.names);
    free(self.texts);
    if (*status >= 0)
        return false;
    operands->values = argv + optind;
    operands->count = (size_t)(argc - optind);
    if (operands->count > operands->most)
        *status = cli_usage(command, "unexpected argument '%s'", operands->values[operands->most]);
    else if (operands->count < operands->least)
        *status = cli_usage(command, "%s is missing", operands->names);
    else
        *status = CLI_DONE;
    return *status == CLI_DONE;
}

bool cli_given(const cli_group *group, const char *name)
{
    for (size_t i = 0; i < group->count; i++)
        if (strcmp(group->options[i].name, name) == 0)
            return group->given >> i & 1;
    return false;
}

const char *cli_first_given(const cli_group *group, const char *except)
{
    for (size_t i = 0; i < group->count; i++) {
        const char *name = group->options[i].name;
        if ((group->given >> i & 1) && (!except || strcmp(name, except) != 0))
            return name;
    }
    return NULL;
}
