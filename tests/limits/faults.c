/* The k-th call of the driver fails, alone or with all that come after it, or the k-th command
 * fails after it was queued, for every k until a run needs fewer: with the kernels of CPUs, and in
 * the layout of a GPU with local memory, where 1x1 kernels are left to CLBlast.
 *
 * CLBlast is C++ and keeps its programs for the whole process. What it has of OpenCL is counted all
 * the same: closing a context has it forget all of that, so a run leaves nothing. Where OpenCL
 * fails in it, it writes a line of its own to standard error, so scenarios of GPUs are not quiet.
 */
#include "epochs.h"
#include "limits.h"
#include "program.h"
#include "shim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How it is told that an output is what it always is. */
typedef enum output { NO_OUTPUT, SAME_BYTES, NEAR_NUMBERS, PROVEN } output;

typedef struct scenario {
    const char *words;
    const char *path; /* what it writes, whole or not at all; NULL: nothing */
    output output;
    bool trains;        /* in the folder run, two epochs of a step each */
    const char *tuning; /* of a GPU; NULL: a CPU */
    size_t every;       /* how many-th k of those that a way takes */
} scenario;

static const scenario on_cpu[] = {
    {"train --data npy:x.npy,y.npy --test-data npy:x.npy,y.npy --blocks 1 --strides 1 --channels 8 "
     "--batch 24 --epochs 2 --average 0.5 --out run --force --quiet --no-certify",
     "run/model.safetensors", SAME_BYTES, true, NULL, 1},
    {"train --task density --data npy:x.npy --blocks 1 --strides 1 --channels 8 --batch 24 "
     "--epochs 2 --out run --force --quiet --no-certify",
     "run/model.safetensors", SAME_BYTES, true, NULL, 1},
    {"predict classes.safetensors --in x.npy --out out.npy --quiet", "out.npy", NEAR_NUMBERS, false,
     NULL, 1},
    {"encode density.safetensors --in x.npy --out out.npy --logdet l.npy --quiet", "out.npy",
     NEAR_NUMBERS, false, NULL, 1},
    {"decode classes.safetensors --in z.npy --out out.npy --errors e.npy --quiet", "out.npy",
     NEAR_NUMBERS, false, NULL, 1},
    {"sample density.safetensors --count 4 --out out.npy --quiet", "out.npy", NEAR_NUMBERS, false,
     NULL, 1},
    {"eval classes.safetensors --data npy:x.npy,y.npy --quiet", NULL, NO_OUTPUT, false, NULL, 1},
    {"certify classes.safetensors --out out.safetensors --json certificate.json --quiet",
     "out.safetensors", PROVEN, false, NULL, 1},
};

static const scenario on_gpu[] = {
    {"train --data npy:x.npy,y.npy --test-data npy:x.npy,y.npy --blocks 1 --strides 1 "
     "--channels 16 --batch 24 --epochs 2 --optimizer sgd --out run --force --no-certify",
     "run/model.safetensors", SAME_BYTES, true, "", 1},
    {"train --data npy:x.npy,y.npy --blocks 1 --strides 1 --channels 8 --batch 24 --epochs 2 "
     "--optimizer sgd --out run --force --no-certify",
     "run/model.safetensors", SAME_BYTES, true, BY_CLBLAST, 1},
    {"encode density.safetensors --in x.npy --out out.npy --logdet l.npy", "out.npy", NEAR_NUMBERS,
     false, BY_CLBLAST, 3},
    {"train --data npy:x.npy,y.npy --blocks 1 --strides 1 --channels 16 --batch 24 --epochs 2 "
     "--optimizer sgd --out run --force --no-certify",
     "run/model.safetensors", SAME_BYTES, true, BY_TUNED_CLBLAST, 2},
    {"predict wide.safetensors --in x.npy --out out.npy", "out.npy", NEAR_NUMBERS, false,
     BY_TUNED_CLBLAST, 1},
};

/* ---- what goes wrong ---- */

typedef struct named_code {
    cl_int code;
    const char *name;
} named_code;

#define CODE(name)                                                                                 \
    {                                                                                              \
        name, #name                                                                                \
    }
static const named_code codes[] = {
    CODE(CL_MEM_OBJECT_ALLOCATION_FAILURE), CODE(CL_OUT_OF_RESOURCES), CODE(CL_OUT_OF_HOST_MEMORY),
    CODE(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST), CODE(CL_INVALID_OPERATION)};
enum { EARLY_CODES = 3, LATE_CODES = 4, OTHER = 4 };

static void fail_once(size_t k, cl_int code)
{
    shim_fail(k, false, code);
}

static void fail_for_good(size_t k, cl_int code)
{
    shim_fail(k, true, code);
}

static void fail_argument(size_t k, cl_int code)
{
    shim_fail_argument(k, code);
}

static void fail_late(size_t k, cl_int code)
{
    shim_fail_late(k, SHIM_TOLD_ONCE, code);
}

static void fail_late_at_flush(size_t k, cl_int code)
{
    shim_fail_late(k, SHIM_TOLD_AT_FLUSH, code);
}

static void fail_late_for_good(size_t k, cl_int code)
{
    shim_fail_late(k, SHIM_TOLD_FOREVER, code);
}

/* A way to fail, and at every how many-th k. The codes go round with k; the first is that which a
 * smaller batch may help, for drivers that find out late that memory is short. With one that has
 * nothing to do with memory, tiles take CLBlast's place. */
typedef struct way {
    const char *words;
    void (*begin)(size_t k, cl_int code);
    size_t stride, first_code, codes;
    bool forever;
} way;

static const way ways[] = {
    {"call", fail_once, 1, 0, EARLY_CODES, false},
    {"refused call", fail_once, 4, OTHER, 1, false},
    {"argument", fail_argument, 17, 0, EARLY_CODES, false},
    {"all calls from", fail_for_good, 7, 0, EARLY_CODES, true},
    {"memory late for command", fail_late, 1, 0, 1, false},
    {"late, told at a flush, command", fail_late_at_flush, 5, 0, LATE_CODES, false},
    {"late and for good, from command", fail_late_for_good, 3, 0, LATE_CODES, true},
};

/* ---- runs ---- */

static void forget_outputs(const scenario *s)
{
    const char *const outputs[] = {
        s->path, EPOCHS_CHECKPOINT, "run/log.jsonl", "certificate.json", "l.npy", "e.npy"};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        if (outputs[i])
            remove(outputs[i]);
}

/* CLBlast has failed in some way, and tiles have taken its place. */
static bool was_replaced(const program_result *result)
{
    return strstr(result->errors, "using tiles") != NULL;
}

/* Tiles round otherwise than CLBlast. */
static bool is_as_always(const scenario *s, const program_result *result)
{
    if (s->output == NEAR_NUMBERS)
        return arrays_near(s->path, "expected");
    return was_replaced(result) ? tensors_near(s->path, "expected")
                                : files_equal(s->path, "expected");
}

/* A run that has not failed. */
static void check_success(const scenario *s, const program_result *result, const char *where)
{
    if (s->output == SAME_BYTES || s->output == NEAR_NUMBERS)
        check(is_as_always(s, result), "%s: the output is another one: %s", where, result->errors);
    if (s->output != PROVEN)
        return;
    program_result verified;
    program_run(&verified, "verify certificate.json out.safetensors --quiet");
    check(verified.status == 0, "%s: the certificate is refused: %s", where, verified.errors);
}

/* A sentence has the code, or what waiting for an event says in its place. */
static void check_failure(const scenario *s, const program_result *result, const char *where,
                          const char *code_name)
{
    const char *words[] = {code_name, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST", NULL};
    check(shim_failed() != NULL, "%s: a run without a fault: %s", where, result->errors);
    check_sentence(result, where, words);
    check(!s->path || !file_exists(s->path) || is_as_always(s, result),
          "%s: an output is left, and not whole", where);
}

/* What has happened so far in a sweep: runs, and those in which CLBlast was replaced. */
typedef struct progress {
    size_t epochs, runs, replaced;
} progress;

/* Whether there was a call or command k to fail. */
static bool run_with_fault(const scenario *s, const way *w, size_t k, progress *p)
{
    char where[256];
    program_result result;
    const named_code *code = &codes[w->first_code + k % w->codes];
    forget_outputs(s);
    shim_reset();
    w->begin(k, code->code);
    program_run(&result, s->words);
    const char *function = shim_failed();
    snprintf(where, sizeof where, "%.24s (%s), %s %zu (%s)", s->words,
             s->tuning ? s->tuning : "CPU", w->words, k, function ? function : "none");
    check_clean(where);
    if (result.status != 0)
        check_failure(s, &result, where, code->name);
    shim_reset();
    if (result.status == 0)
        check_success(s, &result, where);
    if (s->trains)
        check_checkpoint(&result, where, w->forever, was_replaced(&result), &p->epochs);
    p->runs += function != NULL;
    p->replaced += was_replaced(&result);
    return function != NULL;
}

/* Where all else goes on after a fault, tiles must have taken CLBlast's place somewhere. */
static void sweep(const scenario *s, const way *w, size_t every)
{
    progress p = {0, 0, 0};
    size_t stride = every * w->stride * s->every;
    for (size_t k = 1; run_with_fault(s, w, k, &p); k += stride)
        ;
    if (w->first_code == OTHER && s->tuning && *s->tuning)
        check(p.replaced > 0, "%.24s (%s), %s: CLBlast was never replaced", s->words, s->tuning,
              w->words);
    printf("%.24s (%s): %s ...: %zu, %zu without CLBlast\n", s->words,
           s->tuning ? s->tuning : "CPU", w->words, p.runs, p.replaced);
    fflush(stdout);
}

static void check_scenario(const scenario *s, size_t every)
{
    program_result result;
    program_device(s->tuning);
    forget_outputs(s);
    shim_reset();
    program_run(&result, s->words);
    if (!check(result.status == 0 && !was_replaced(&result), "%s: %s", s->words, result.errors))
        return;
    if (s->path)
        file_copy(s->path, "expected");
    if (s->trains)
        keep_epochs();
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
        sweep(s, &ways[w], every);
}

static void check_scenarios(const scenario *scenarios, size_t count)
{
    const char *effort = getenv("IRN_TEST_EFFORT");
    size_t every = effort && strcmp(effort, "small") == 0 ? 7 : 1;
    for (size_t i = 0; i < count; i++)
        check_scenario(&scenarios[i], every);
    program_device(NULL);
}

void limits_faults(void)
{
    check_scenarios(on_cpu, sizeof on_cpu / sizeof *on_cpu);
}

void limits_gpu_faults(void)
{
    check_scenarios(on_gpu, sizeof on_gpu / sizeof *on_gpu);
}
