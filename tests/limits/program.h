/* The commands of the program, run in this process on the shim, with their streams caught; and what
 * every run must leave behind. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

typedef struct program_result {
    int status;
    char output[8192], errors[16384]; /* the beginning of both streams */
    const char *sentence; /* the last line of the errors; with --quiet there should be no other */
    bool quiet;
} program_result;

/* Words separated by spaces: a command and its arguments. Ends the test if the machine itself
 * fails. */
void program_run(program_result *out, const char *words);

/* What the commands run on from here on: a GPU with this tuning, "" for its class's; NULL: the CPU.
 */
void program_device(const char *tuning);

/* By CLBlast with the parameters of its database, and its kernel for small products; or with those
 * of a tuning, which has it take the other one, and with it all that this one copies. */
#define BY_CLBLAST "dense=4096 dense-gradient=4096"
#define BY_TUNED_CLBLAST BY_CLBLAST " clblast=64x32x8x1"

/* Counts one check; tells what is wrong if `good` is false. */
bool check(bool good, const char *format, ...) __attribute__((format(printf, 2, 3)));
size_t checks_passed(void);
size_t checks_failed(void);

/* No OpenCL object is left, and nothing else that a run leaves when it fails halfway. */
void check_clean(const char *where);
/* Failed as documented: status 1, and one sentence that has any of the words up to NULL. */
void check_sentence(const program_result *result, const char *where, const char *const *words);

/* A file's bytes, freed by the caller; NULL: there is none. */
char *file_bytes(const char *path, size_t *size);
bool files_equal(const char *one, const char *other);
/* Arrays of one type of floats whose numbers are the same within the rounding of a few layers: how
 * many images go through at a time may decide how a block is computed, see irn_chain_suits(). */
bool arrays_near(const char *one, const char *other);
/* Models or checkpoints of the same step and options whose numbers are as near as that. */
bool tensors_near(const char *one, const char *other);
void file_copy(const char *from, const char *to);
bool file_exists(const char *path);

#endif
