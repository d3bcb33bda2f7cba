/* Command lines: tables of options that parse strictly and print the help. */
#ifndef IRN_CLI_OPTIONS_H
#define IRN_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define CLI_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CLI_PRINTF(text, first)
#endif

/* The type behind the option's offset. */
typedef enum cli_kind {
    CLI_FLAG,   /* bool, set by --name */
    CLI_TOGGLE, /* bool, set by --name and cleared by --no-name */
    CLI_TEXT,   /* const char * */
    CLI_COUNT,  /* size_t */
    CLI_SEED,   /* uint64_t, any */
    CLI_REAL,   /* double */
    CLI_WORD,   /* int, an index in words */
    CLI_COUNTS, /* size_t[length], and how many at count_offset */
    CLI_REALS,  /* double[length], likewise */
    CLI_MAP     /* size_t[2]: HxW; 0, 0 for the word in words, if there is one */
} cli_kind;

typedef struct cli_option {
    const char *name;
    cli_kind kind;
    size_t offset;        /* of the value within the group's values */
    const char *argument; /* what the help calls it */
    const char *help;
    double low, high;         /* limits, or of each value in a list */
    bool above;               /* low itself is outside */
    const char *const *words; /* NULL-terminated */
    size_t length;            /* the longest list */
    size_t count_offset;      /* size_t within the group's values */
    char letter;              /* short form, or 0 */
} cli_option;

/* Options under one title of the help, and where their values go. */
typedef struct cli_group {
    const char *title;
    const cli_option *options;
    size_t count;
    void *values;
    uint64_t absent; /* bit i: this command does not have options[i] */
    uint64_t given;  /* bit i: options[i] stood on the command line */
} cli_group;

/* What a command is called and says about itself; run gets its own name as argv[0]. */
typedef struct cli_command cli_command;
struct cli_command {
    const char *name;
    const char *summary;
    const char *synopsis; /* without "iresnet NAME" */
    const char *about;    /* whole lines */
    const char *examples; /* whole lines */
    int (*run)(const cli_command *self, int argc, char **argv);
};

/* The options that many commands have. */
typedef struct cli_common {
    const char *device;
    uint64_t seed;
    bool json;
    bool quiet;
} cli_common;

enum { CLI_WITH_DEVICE = 1, CLI_WITH_SEED = 2, CLI_WITH_JSON = 4, CLI_WITH_QUIET = 8 };
cli_group cli_common_group(cli_common *common, unsigned with);

/* Parses argv[1..] and moves the operands, of which there must be least..most, to its front:
 * operands points at them and is *operand_count long. Returns true to go on; else *status is the
 * exit status, after --help or an error. */
typedef struct cli_operands {
    const char *names; /* for sentences: "MODEL" */
    size_t least, most;
    char **values;
    size_t count;
} cli_operands;
bool cli_parse(const cli_command *command, cli_group *groups, size_t group_count, int argc,
               char **argv, cli_operands *operands, int *status);

/* Whether an option of the group stood on the command line. */
bool cli_given(const cli_group *group, const char *name);
/* The first option given of a group apart from one (or NULL); NULL: none. */
const char *cli_first_given(const cli_group *group, const char *except);
/* Copies the values that were given to another struct of the same layout. */
void cli_copy_given(const cli_group *group, void *target);

/* Reads an option's argument into its place. On failure writes the reason to the error stream as
 * "COMMAND: --name: ..." and returns false. */
bool cli_read_value(const cli_command *command, const cli_option *option, const char *text,
                    void *values);

void cli_print_help(const cli_command *command, const cli_group *groups, size_t group_count);
void cli_print_version(void);

/* Prints "iresnet COMMAND: sentence" and where to find help; returns CLI_USAGE. */
int cli_usage(const cli_command *command, const char *format, ...) CLI_PRINTF(2, 3);

/* The word of a NULL-terminated list that text is most likely meant to be; NULL: none is near. */
const char *cli_nearest(const char *text, const char *const *words);

#endif
