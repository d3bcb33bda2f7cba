/* The k-th call of the driver fails, alone or with all that come after it, or the k-th command
 * fails after it was queued, for every k until a run needs fewer. */
#include "limits.h"
#include "program.h"
#include "shim.h"

#include <iresnet/iresnet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How it is told that an output is what it always is. */
typedef enum output { NO_OUTPUT, SAME_BYTES, NEAR_NUMBERS, PROVEN } output;

typedef struct scenario {
    const char *words;
    const char *path; /* what it writes, whole or not at all; NULL: nothing */
    output output;
    bool trains; /* in the folder run, two epochs of a step each */
} scenario;

static const scenario scenarios[] = {
    {"train --data npy:x.npy,y.npy --test-data npy:x.npy,y.npy --blocks 1 --strides 1 --channels 8 "
     "--batch 24 --epochs 2 --average 0.5 --out run --force --quiet --no-certify",
     "run/model.safetensors", SAME_BYTES, true},
    {"train --task density --data npy:x.npy --blocks 1 --strides 1 --channels 8 --batch 24 "
     "--epochs 2 --out run --force --quiet --no-certify",
     "run/model.safetensors", SAME_BYTES, true},
    {"predict classes.safetensors --in x.npy --out out.npy --quiet", "out.npy", NEAR_NUMBERS,
     false},
    {"encode density.safetensors --in x.npy --out out.npy --logdet l.npy --quiet", "out.npy",
     NEAR_NUMBERS, false},
    {"decode classes.safetensors --in z.npy --out out.npy --errors e.npy --quiet", "out.npy",
     NEAR_NUMBERS, false},
    {"sample density.safetensors --count 4 --out out.npy --quiet", "out.npy", NEAR_NUMBERS, false},
    {"eval classes.safetensors --data npy:x.npy,y.npy --quiet", NULL, NO_OUTPUT, false},
    {"certify classes.safetensors --out out.safetensors --json certificate.json --quiet",
     "out.safetensors", PROVEN, false},
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
static const named_code codes[] = {CODE(CL_MEM_OBJECT_ALLOCATION_FAILURE),
                                   CODE(CL_OUT_OF_RESOURCES), CODE(CL_OUT_OF_HOST_MEMORY),
                                   CODE(CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST)};
enum { CODES = sizeof codes / sizeof *codes, EARLY_CODES = 3, EPOCHS = 2 };

static void fail_once(size_t k, cl_int code)
{
    shim_fail(k, false, code);
}

static void fail_for_good(size_t k, cl_int code)
{
    shim_fail(k, true, code);
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
 * smaller batch may help, for drivers that find out late that memory is short. */
typedef struct way {
    const char *words;
    void (*begin)(size_t k, cl_int code);
    size_t stride, codes;
    bool forever;
} way;

static const way ways[] = {
    {"call", fail_once, 1, EARLY_CODES, false},
    {"all calls from", fail_for_good, 7, EARLY_CODES, true},
    {"memory late for command", fail_late, 1, 1, false},
    {"late, told at a flush, command", fail_late_at_flush, 5, CODES, false},
    {"late and for good, from command", fail_late_for_good, 3, CODES, true},
};

static const char *const checkpoint = "run/checkpoint.safetensors";
static const char *const kept[EPOCHS] = {"epoch1.safetensors", "epoch2.safetensors"};

/* ---- what training should leave ---- */

static bool keep_epoch(const irn_fit_event *event, void *payload)
{
    (void)payload;
    if (event->epoch_done)
        file_copy(checkpoint, kept[event->epoch - 1]);
    return true;
}

/* The checkpoints of both epochs, by the library's own functions: the same training as that which
 * has just left the checkpoint of its last epoch, which shows that it is. */
static irn_status train_again(irn_context *context, const irn_train_options *options,
                              const irn_model_config *config)
{
    irn_model *model = NULL;
    irn_trainer *trainer = NULL;
    irn_dataset *data = NULL;
    const char *spec = options->task == IRN_CLASSIFY ? "npy:x.npy,y.npy" : "npy:x.npy";
    irn_status status = irn_model_create(&model, context, config);
    if (status == IRN_OK)
        status = irn_trainer_create(&trainer, model, options);
    if (status == IRN_OK)
        status = irn_dataset_open(&data, spec, IRN_TRAIN);
    if (status == IRN_OK)
        status = irn_trainer_fit(trainer, data, options->task == IRN_CLASSIFY ? data : NULL,
                                 checkpoint, keep_epoch, NULL);
    irn_dataset_free(data);
    irn_trainer_free(trainer);
    irn_model_free(model);
    return status;
}

static void keep_checkpoints(void)
{
    irn_context *context = NULL;
    irn_model *model = NULL;
    irn_trainer *trainer = NULL;
    file_copy(checkpoint, "program.safetensors");
    irn_status status = irn_context_create(&context, NULL);
    if (status == IRN_OK)
        status = irn_trainer_load(&trainer, &model, context, checkpoint);
    if (status == IRN_OK)
        status =
            train_again(context, irn_trainer_get_options(trainer), irn_model_get_config(model));
    irn_trainer_free(trainer);
    irn_model_free(model);
    irn_context_free(context);
    check(status == IRN_OK, "training again: %s", irn_last_error());
    check(files_equal("program.safetensors", kept[EPOCHS - 1]), "training again is no repetition");
}

/* How many epochs the checkpoint has: none without one, EPOCHS + 1 if it is of no epoch. */
static size_t epochs_kept(void)
{
    if (!file_exists(checkpoint))
        return 0;
    for (size_t e = 0; e < EPOCHS; e++)
        if (files_equal(checkpoint, kept[e]))
            return e + 1;
    return EPOCHS + 1;
}

/* *epochs: kept by the run with the fault one call earlier. */
static void check_checkpoint(const program_result *result, const char *where, bool forever,
                             size_t *epochs)
{
    size_t now = epochs_kept();
    char keeps[64];
    check(now <= EPOCHS, "%s: the checkpoint is of no epoch", where);
    if (result->status != 0) {
        check(now >= *epochs, "%s: %zu epochs are kept, %zu with an earlier fault", where, now,
              *epochs);
        *epochs = now;
    }
    snprintf(keeps, sizeof keeps, "%s keeps step %zu", checkpoint, now);
    if (!forever && strstr(result->errors, "step") &&
        (strstr(result->errors, "ran out of memory") || strstr(result->errors, "cannot hold")))
        check(strstr(result->errors, "would fit") != NULL, "%s: says not which batch would fit: %s",
              where, result->errors);
    if (result->status != 0 && strstr(result->errors, " step"))
        check(strstr(result->errors, now ? keeps : "has not been written"),
              "%s: the checkpoint has %zu epochs: %s", where, now, result->errors);
}

/* ---- runs ---- */

static void forget_outputs(const scenario *s)
{
    const char *const outputs[] = {s->path, checkpoint, "run/log.jsonl", "certificate.json",
                                   "l.npy", "e.npy"};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        if (outputs[i])
            remove(outputs[i]);
}

static bool is_as_always(const scenario *s)
{
    return s->output == NEAR_NUMBERS ? arrays_near(s->path, "expected")
                                     : files_equal(s->path, "expected");
}

/* A run that has not failed. */
static void check_success(const scenario *s, const char *where)
{
    if (s->output == SAME_BYTES || s->output == NEAR_NUMBERS)
        check(is_as_always(s), "%s: the output is another one", where);
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
    check(!s->path || !file_exists(s->path) || is_as_always(s),
          "%s: an output is left, and not whole", where);
}

/* Whether there was a call or command k to fail. */
static bool run_with_fault(const scenario *s, const way *w, size_t k, size_t *epochs)
{
    char where[160];
    program_result result;
    const named_code *code = &codes[k % w->codes];
    forget_outputs(s);
    shim_reset();
    w->begin(k, code->code);
    program_run(&result, s->words);
    const char *function = shim_failed();
    snprintf(where, sizeof where, "%.24s, %s %zu (%s)", s->words, w->words, k,
             function ? function : "none");
    check_clean(where);
    if (result.status != 0)
        check_failure(s, &result, where, code->name);
    shim_reset();
    if (result.status == 0)
        check_success(s, where);
    if (s->trains)
        check_checkpoint(&result, where, w->forever, epochs);
    return function != NULL;
}

static void sweep(const scenario *s, const way *w, size_t every)
{
    size_t epochs = 0, count = 0;
    for (size_t k = 1; run_with_fault(s, w, k, &epochs); k += every * w->stride)
        count++;
    printf("%.24s: %s ...: %zu\n", s->words, w->words, count);
    fflush(stdout);
}

void limits_faults(void)
{
    const char *effort = getenv("IRN_TEST_EFFORT");
    size_t every = effort && strcmp(effort, "small") == 0 ? 7 : 1;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        const scenario *s = &scenarios[i];
        program_result result;
        forget_outputs(s);
        shim_reset();
        program_run(&result, s->words);
        if (!check(result.status == 0, "%s: %s", s->words, result.errors))
            continue;
        if (s->path)
            file_copy(s->path, "expected");
        if (s->trains)
            keep_checkpoints();
        for (size_t w = 0; w < sizeof ways / sizeof *ways; w++)
            sweep(s, &ways[w], every);
    }
}
