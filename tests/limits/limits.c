/* Runs the program's commands, in this process, on a driver that misbehaves. Usage: limits
 * [PART...] with the parts faults, lies, gpu-faults and memory; default: all. IRN_TEST_EFFORT=small
 * leaves out most k. */
#include "limits.h"
#include "program.h"
#include "shim.h"

#include <iresnet/iresnet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { EXAMPLES = 24 };

static void must(irn_status status)
{
    if (status == IRN_OK)
        return;
    fprintf(stderr, "%s\n", irn_last_error());
    exit(EXIT_FAILURE);
}

static void must_run(const char *words)
{
    program_result result;
    program_run(&result, words);
    if (result.status == 0)
        return;
    fprintf(stderr, "%s: status %d\n%s", words, result.status, result.errors);
    exit(EXIT_FAILURE);
}

/* The first digits of the training set, and their labels. */
static void write_examples(void)
{
    irn_dataset *digits;
    irn_array x, y;
    uint32_t indices[EXAMPLES];
    must(irn_dataset_open(&digits, "digits", IRN_TRAIN));
    irn_dataset_info info = irn_dataset_get_info(digits);
    must(irn_array_create(&x, IRN_FLOAT32, 4,
                          (size_t[]){EXAMPLES, info.channels, info.height, info.width}));
    must(irn_array_create(&y, IRN_INT32, 1, (size_t[]){EXAMPLES}));
    for (uint32_t i = 0; i < EXAMPLES; i++)
        indices[i] = i;
    must(irn_dataset_batch(digits, indices, EXAMPLES, NULL, 0, 0, x.data, y.data));
    must(irn_npy_write(&x, "x.npy"));
    must(irn_npy_write(&y, "y.npy"));
    irn_array_free(&x);
    irn_array_free(&y);
    irn_dataset_free(digits);
}

static void make_files(void)
{
    write_examples();
    must_run("train --data npy:x.npy,y.npy --blocks 1,1 --strides 1,2 --channels 8,8 --batch 12 "
             "--epochs 1 --out run --force --quiet");
    file_copy("run/model.safetensors", "classes.safetensors");
    must_run("train --task density --data npy:x.npy --blocks 1 --strides 1 --channels 8 "
             "--batch 12 --epochs 1 --out run --force --quiet");
    file_copy("run/model.safetensors", "density.safetensors");
    must_run("train --data npy:x.npy,y.npy --blocks 1 --strides 1 --channels 16 --batch 12 "
             "--epochs 1 --out run --force --quiet --no-certify");
    file_copy("run/model.safetensors", "wide.safetensors");
    must_run("encode classes.safetensors --in x.npy --out z.npy --quiet");
    check_clean("a driver without faults");
}

typedef struct part {
    const char *name;
    void (*run)(void);
} part;

static bool wanted(const char *name, int count, char **names)
{
    bool found = count == 0;
    for (int i = 0; i < count; i++)
        found = found || strcmp(names[i], name) == 0;
    return found;
}

static void remove_folder(const char *folder)
{
    char command[512];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        perror(folder);
}

int main(int count, char **arguments)
{
    /* Parameters that CLBlast is given stay in the process: those of its database come first. */
    const part parts[] = {{"faults", limits_faults},
                          {"lies", limits_lies},
                          {"gpu-faults", limits_gpu_faults},
                          {"memory", limits_memory}};
    const char *base = getenv("TMPDIR");
    char folder[256];
    snprintf(folder, sizeof folder, "%s/iresnet-limits-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(folder) || chdir(folder) != 0) {
        perror(folder);
        return EXIT_FAILURE;
    }
    make_files();
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (wanted(parts[i].name, count - 1, arguments + 1))
            parts[i].run();
    shim_close();
    if (chdir("/") == 0)
        remove_folder(folder);
    printf("%zu passed, %zu failed\n", checks_passed(), checks_failed());
    return checks_failed() == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
