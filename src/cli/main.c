/* iresnet: trains, inverts and certifies invertible residual networks. */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const cli_command *const *all_commands(void)
{
#define COMMAND_ENTRY(name) &cli_command_##name,
    static const cli_command *const commands[] = {CLI_COMMANDS(COMMAND_ENTRY) NULL};
#undef COMMAND_ENTRY
    return commands;
}

static const cli_command *find_command(const char *name)
{
    for (const cli_command *const *command = all_commands(); *command; command++)
        if (strcmp((*command)->name, name) == 0)
            return *command;
    return NULL;
}

static int print_overview(void)
{
    puts("Usage: iresnet COMMAND [options]\n\n"
         "Trains invertible residual networks on any OpenCL device, inverts them with a\n"
         "proven error, and proves Lip(g) < 1 for every block.\n\n"
         "Commands:");
    for (const cli_command *const *command = all_commands(); *command; command++)
        printf("  %-11s %s\n", (*command)->name, (*command)->summary);
    puts("  help        this text, or that of a command: iresnet help COMMAND\n\n"
         "Options:\n"
         "  -h, --help     this text\n"
         "  -V, --version  the version\n\n"
         "Exit status: 0 done; 1 failed (data, device, disk); 2 usage; 3 a bound does not\n"
         "hold (certify, verify, --errors); 130 interrupted.\n\n"
         "Examples:\n"
         "  iresnet train --data digits --out run\n"
         "  iresnet certify run/model.safetensors --json certificate.json\n"
         "  iresnet verify certificate.json run/model.safetensors\n"
         "  iresnet eval run/model.safetensors --data digits\n"
         "  iresnet encode run/model.safetensors --data digits --count 25 --out z.npy\n"
         "  iresnet decode run/model.safetensors --in z.npy --out pictures.png\n"
         "  iresnet train --task density --data toy:moons --out moons\n"
         "  iresnet density moons/model.safetensors --data toy:moons --out moons.png");
    return CLI_DONE;
}

static int unknown(const char *word)
{
    const char *names[32] = {"help"};
    size_t count = 1;
    for (const cli_command *const *command = all_commands(); *command && count < 31; command++)
        names[count++] = (*command)->name;
    const char *near = word[0] == '-' ? NULL : cli_nearest(word, names);
    fprintf(stderr, "iresnet: unknown %s '%s'", word[0] == '-' ? "option" : "command", word);
    if (near)
        fprintf(stderr, "; did you mean %s?", near);
    fputs("\nTry `iresnet --help`.\n", stderr);
    return CLI_USAGE;
}

static int unexpected(const char *word)
{
    fprintf(stderr, "iresnet: unexpected argument '%s'\nTry `iresnet --help`.\n", word);
    return CLI_USAGE;
}

static int help_on(int argc, char **argv)
{
    if (argc == 2)
        return print_overview();
    if (argc > 3)
        return unexpected(argv[3]);
    const cli_command *command = find_command(argv[2]);
    if (!command)
        return unknown(argv[2]);
    char option[] = "--help", *arguments[] = {argv[2], option, NULL};
    return command->run(command, 2, arguments);
}

static bool is(const char *word, const char *letter, const char *name)
{
    return strcmp(word, letter) == 0 || strcmp(word, name) == 0;
}

static int dispatch(int argc, char **argv)
{
    if (argc < 2)
        return print_overview();
    bool help = is(argv[1], "-h", "--help"), version = is(argv[1], "-V", "--version");
    if ((help || version) && argc > 2)
        return unexpected(argv[2]);
    if (help)
        return print_overview();
    if (version) {
        cli_print_version();
        return CLI_DONE;
    }
    if (strcmp(argv[1], "help") == 0)
        return help_on(argc, argv);
    const cli_command *command = find_command(argv[1]);
    return command ? command->run(command, argc - 1, argv + 1) : unknown(argv[1]);
}

/* A standard stream that is closed would give its number to the next file opened. Standard output
 * and error become unwritable instead. */
static bool occupy_standard_streams(void)
{
    for (int number = STDIN_FILENO; number <= STDERR_FILENO; number++)
        if (fcntl(number, F_GETFD) < 0 &&
            open("/dev/null", number == STDIN_FILENO ? O_WRONLY : O_RDONLY) != number)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    if (!occupy_standard_streams())
        return CLI_FAILED;
    int result = dispatch(argc, argv);
    bool flushed = fflush(stdout) == 0;
    int code = errno;
    if (flushed && !ferror(stdout))
        return result;
    fprintf(stderr, "iresnet: standard output: %s\n", flushed ? "a write failed" : strerror(code));
    return result == CLI_DONE ? CLI_FAILED : result;
}
