/* Option arguments: numbers, words and lists, read strictly. */
#include "cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const cli_padding_words[] = {"zeros", "circular", NULL};     /* order of irn_padding */
const char *const cli_split_words[] = {"train", "test", NULL};           /* order of irn_split */
const char *const cli_roulette_words[] = {"geometric", "poisson", NULL}; /* of irn_roulette_kind */
const char *const cli_arithmetic_words[] = {"auto", "float64", "float32", "host", NULL};

static bool read_whole(const char *text, size_t length, uint64_t *out)
{
    if (length == 0 || length > 20)
        return false;
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i]))
            return false;
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = 10 * value + digit;
    }
    *out = value;
    return true;
}

static bool read_count(const cli_option *option, const char *text, size_t length, size_t *out)
{
    uint64_t value = 0;
    if (!read_whole(text, length, &value) || value > SIZE_MAX)
        return false;
    *out = (size_t)value;
    return (double)value >= option->low && (double)value <= option->high;
}

static bool read_real(const cli_option *option, const char *text, size_t length, double *out)
{
    char copy[64], *end = NULL;
    if (length == 0 || length >= sizeof copy || strspn(text, "0123456789+-.eE") < length)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    *out = strtod(copy, &end);
    if (*end != '\0' || !isfinite(*out))
        return false;
    return (option->above ? *out > option->low : *out >= option->low) && *out <= option->high;
}

static bool read_word(const cli_option *option, const char *text, int *out)
{
    for (int i = 0; option->words[i]; i++)
        if (strcmp(option->words[i], text) == 0) {
            *out = i;
            return true;
        }
    return false;
}

/* HEIGHTxWIDTH, or the option's word for all sizes. */
static bool read_map(const cli_option *option, const char *text, size_t *out)
{
    int unused;
    if (option->words && read_word(option, text, &unused)) {
        out[0] = out[1] = 0;
        return true;
    }
    size_t height = strcspn(text, "x");
    return text[height] == 'x' && read_count(option, text, height, &out[0]) &&
           read_count(option, text + height + 1, strlen(text + height + 1), &out[1]);
}

/* Comma-separated values; *count of them. */
static bool read_list(const cli_option *option, const char *text, void *out, size_t *count)
{
    for (*count = 0; *count < option->length; text++) {
        size_t length = strcspn(text, ","), i = (*count)++;
        bool good = option->kind == CLI_COUNTS ? read_count(option, text, length, (size_t *)out + i)
                                               : read_real(option, text, length, (double *)out + i);
        if (!good)
            return false;
        text += length;
        if (*text == '\0')
            return true;
    }
    return false;
}

static void print_limits(const cli_option *option)
{
    fprintf(stderr, option->above ? "above %.10g" : "from %.10g", option->low);
    if (option->high < 1e300)
        fprintf(stderr, option->above ? " and at most %.10g" : " to %.10g", option->high);
    else if (!option->above)
        fprintf(stderr, " upwards");
}

static void print_expected(const cli_option *option)
{
    switch (option->kind) {
    case CLI_SEED:
        fprintf(stderr, "a whole number from 0 to %llu", (unsigned long long)UINT64_MAX);
        break;
    case CLI_COUNT:
        fputs("a whole number ", stderr);
        print_limits(option);
        break;
    case CLI_REAL:
        fputs("a number ", stderr);
        print_limits(option);
        break;
    case CLI_WORD:
        fputs("one of", stderr);
        for (size_t i = 0; option->words[i]; i++)
            fprintf(stderr, "%s %s", i ? "," : "", option->words[i]);
        break;
    case CLI_MAP:
        fputs("HEIGHTxWIDTH with whole numbers ", stderr);
        print_limits(option);
        if (option->words)
            fprintf(stderr, ", nor '%s'", option->words[0]);
        break;
    default:
        fprintf(stderr, "a list of at most %zu %s ", option->length,
                option->kind == CLI_COUNTS ? "whole numbers" : "numbers");
        print_limits(option);
        fputs(", separated by commas", stderr);
    }
}

bool cli_read_value(const cli_command *command, const cli_option *option, const char *text,
                    void *values)
{
    void *target = (char *)values + option->offset;
    void *count = (char *)values + option->count_offset;
    bool good = true;
    if (option->kind == CLI_TEXT)
        *(const char **)target = text;
    else if (option->kind == CLI_COUNT)
        good = read_count(option, text, strlen(text), target);
    else if (option->kind == CLI_SEED)
        good = read_whole(text, strlen(text), target);
    else if (option->kind == CLI_REAL)
        good = read_real(option, text, strlen(text), target);
    else if (option->kind == CLI_WORD)
        good = read_word(option, text, target);
    else if (option->kind == CLI_MAP)
        good = read_map(option, text, target);
    else
        good = read_list(option, text, target, count);
    if (option->kind == CLI_TEXT && *text == '\0')
        cli_usage(command, "--%s: the argument is empty", option->name);
    else if (!good) {
        fprintf(stderr, "iresnet %s: --%s: '%s' is not ", command->name, option->name, text);
        print_expected(option);
        fprintf(stderr, "\nTry `iresnet %s --help`.\n", command->name);
    }
    return good && !(option->kind == CLI_TEXT && *text == '\0');
}

static size_t value_size(cli_kind kind)
{
    switch (kind) {
    case CLI_FLAG:
    case CLI_TOGGLE:
        return sizeof(bool);
    case CLI_TEXT:
        return sizeof(const char *);
    case CLI_SEED:
        return sizeof(uint64_t);
    case CLI_REAL:
    case CLI_REALS:
        return sizeof(double);
    case CLI_WORD:
        return sizeof(int);
    case CLI_MAP:
        return 2 * sizeof(size_t);
    default:
        return sizeof(size_t);
    }
}

void cli_copy_given(const cli_group *group, void *target)
{
    for (size_t i = 0; i < group->count; i++) {
        const cli_option *option = &group->options[i];
        if (!(group->given >> i & 1))
            continue;
        bool list = option->kind == CLI_COUNTS || option->kind == CLI_REALS;
        size_t size = value_size(option->kind) * (list ? option->length : 1);
        const char *source = group->values;
        memcpy((char *)target + option->offset, source + option->offset, size);
        if (list)
            memcpy((char *)target + option->count_offset, source + option->count_offset,
                   sizeof(size_t));
    }
}
