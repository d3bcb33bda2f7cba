/* A device whose memory somebody else has most of: inference goes on with fewer samples at a time
 * and gives what it always gives, within rounding; training says which batch would fit, and that
 * batch fits; parts of a batch are taken where they have the same gradient. On CPUs, and where
 * CLBlast needs room of its own. */
#include "limits.h"
#include "program.h"
#include "shim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- inference ---- */

static const char *const passes[] = {
    "predict classes.safetensors --in x.npy --out out.npy",
    "encode classes.safetensors --in x.npy --out out.npy",
    "encode density.safetensors --in x.npy --out z2.npy --logdet out.npy",
    "decode classes.safetensors --in z.npy --out out.npy --errors e.npy",
    "sample density.safetensors --count 24 --out out.npy"};

/* The failure again, without the notes that came before it. */
static void quietly(program_result *result, const char *words, uint64_t bytes)
{
    char quiet[256];
    snprintf(quiet, sizeof quiet, "%s --quiet", words);
    shim_reset();
    shim_capacity(bytes, bytes % 2 == 0);
    program_run(result, quiet);
}

/* As much memory as the pass takes with all samples at a time, then less and less of it. */
static void check_pass(const char *words)
{
    char where[160];
    program_result result;
    size_t divided = 0;
    shim_reset();
    program_run(&result, words);
    uint64_t whole = shim_peak();
    if (!check(result.status == 0, "%s: %s", words, result.errors))
        return;
    file_copy("out.npy", "expected");
    for (uint64_t bytes = whole; bytes > whole / 3; bytes -= whole / 8) {
        remove("out.npy");
        shim_reset();
        shim_capacity(bytes, bytes % 2 == 0);
        program_run(&result, words);
        snprintf(where, sizeof where, "%.60s in %llu bytes", words, (unsigned long long)bytes);
        check_clean(where);
        if (result.status != 0) {
            quietly(&result, words, bytes);
            check_sentence(&result, where, (const char *const[]){"bytes", NULL});
            continue;
        }
        check(arrays_near("out.npy", "expected"), "%s: the output is another one", where);
        divided += strstr(result.errors, "images at a time") != NULL;
    }
    check(divided > 0, "%s: was never divided", words);
}

/* ---- training ---- */

#define CLASSIFY "--data npy:x.npy,y.npy --blocks 1 --strides 1 --channels 8"
#define WIDE "--data npy:x.npy,y.npy --blocks 1 --strides 1 --channels 16"
#define DENSITY "--task density --data npy:x.npy --blocks 1 --strides 1 --channels 8"
#define REST "--epochs 2 --out run --quiet --no-certify"

static void train(program_result *result, const char *task, size_t batch, const char *more)
{
    char words[512];
    snprintf(words, sizeof words, "train %s --batch %zu %s " REST, task, batch, more);
    program_run(result, words);
}

static uint64_t memory_of(const char *task, size_t batch)
{
    program_result result;
    shim_reset();
    train(&result, task, batch, "--force");
    check(result.status == 0, "%s: %s", task, result.errors);
    return shim_peak();
}

/* With room for a batch of 12, one of 24 is refused, and the one that is said to fit does. */
static void check_refused(const char *task, bool lazy)
{
    program_result result;
    uint64_t bytes = memory_of(task, 12);
    size_t fitting = 0;
    shim_reset();
    shim_capacity(bytes, lazy);
    train(&result, task, 24, "--force");
    check_clean(task);
    check_sentence(&result, task, (const char *const[]){"a batch of 24 takes", NULL});
    check(strstr(result.errors, "checkpoint.safetensors has not been written") != NULL,
          "%s: says nothing of the checkpoint: %s", task, result.errors);
    const char *words = strstr(result.errors, "one of ");
    if (words)
        fitting = strtoul(words + 7, NULL, 10);
    check(fitting >= (lazy ? 6 : 10) && fitting < 24, "%s: said to fit: %s", task, result.errors);
    shim_reset();
    shim_capacity(bytes, lazy);
    train(&result, task, fitting, "--force");
    check(result.status == 0, "%s: a batch of %zu: %s", task, fitting, result.errors);
    shim_reset();
    shim_capacity(bytes, lazy);
    train(&result, task, 24, "--force --accumulate 3");
    check(result.status == 0, "%s: in 3 parts: %s", task, result.errors);
}

/* The loss at the end of the log. */
static double last_loss(void)
{
    size_t size = 0;
    char *log = file_bytes("run/log.jsonl", &size), *at = NULL;
    double loss = NAN;
    if (log)
        log[size] = 0;
    for (char *next = log; next && (next = strstr(next, "\"loss\": ")); next++)
        at = next;
    if (at)
        loss = strtod(at + 8, NULL);
    free(log);
    return loss;
}

/* A density's epochs after the first, in which actnorm has got its values, from where that one
 * stopped. */
static double go_on(program_result *result, uint64_t bytes)
{
    file_copy("start.safetensors", "run/checkpoint.safetensors");
    shim_reset();
    shim_capacity(bytes, false);
    program_run(result, "train --data npy:x.npy --out run --resume run/checkpoint.safetensors "
                        "--epochs 5 --no-certify");
    return last_loss();
}

/* Parts of a density's batch have the same gradient: taken where memory is short. */
static void check_divided(void)
{
    program_result result;
    uint64_t part = memory_of(DENSITY, 12);
    memory_of(DENSITY, 24);
    file_copy("run/checkpoint.safetensors", "start.safetensors");
    double whole = go_on(&result, UINT64_MAX);
    check(result.status == 0 && !strstr(result.errors, "parts"), "a density: %s", result.errors);
    double divided = go_on(&result, part);
    check(result.status == 0 && strstr(result.errors, "batches of 24 go through in ") != NULL,
          "a density in parts: %s", result.errors);
    check(fabs(whole - divided) <= 1e-4 * fabs(whole), "a loss of %.9g in parts, %.9g", divided,
          whole);
    check_clean("a density in parts");
}

void limits_memory(void)
{
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        check_pass(passes[i]);
    check_refused(CLASSIFY, false);
    check_refused(CLASSIFY, true);
    check_refused(DENSITY, false);
    check_divided();
    program_device(BY_TUNED_CLBLAST);
    check_pass("predict wide.safetensors --in x.npy --out out.npy");
    check_refused(WIDE, false);
    check_refused(WIDE, true);
    program_device(NULL);
}
