/* The k-th call of the driver fails, alone or with all that come after it, for every k until a run
 * needs fewer calls. */
#include "limits.h"
#include "program.h"
#include "shim.h"

#include <iresnet/iresnet.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct scenario {
    const char *words;
    const char *output; /* what it writes, whole or not at all; NULL: none */
    bool same_bytes;    /* a run that succeeds all the same writes what it always does */
    bool trains;        /* in the folder run, two epochs of a step each */
} scenario;

static const scenario scenarios[] = {
    {"train --data npy:x.npy,y.npy --test-data npy:x.npy,y.npy --blocks 1 --strides 1 --channels 8 "
     "--batch 24 --epochs 2 --average 0.5 --out run --force --quiet --no-certify",
     "run/model.safetensors", true, true},
    {"train --task density --data npy:x.npy --blocks 1 --strides 1 --channels 8 --batch 24 "
     "--epochs 2 --out run --force --quiet --no-certify",
     "run/model.safetensors", true, true},
    {"predict classes.safetensors --in x.npy --out out.npy --quiet", "out.npy", true, false},
    {"encode density.safetensors --in x.npy --out out.npy --logdet l.npy --quiet", "out.npy", true,
     false},
    {"decode classes.safetensors --in z.npy --out out.npy --errors e.npy --quiet", "out.npy", true,
     false},
    {"sample density.safetensors --count 4 --out out.npy --quiet", "out.npy", true, false},
    {"eval classes.safetensors --data npy:x.npy,y.npy --quiet", NULL, false, false},
    {"certify classes.safetensors --out out.safetensors --json certificate.json --quiet",
     "out.safetensors", false, false},
};

static const cl_int codes[] = {CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_OUT_OF_RESOURCES,
                               CL_OUT_OF_HOST_MEMORY};
static const char *const code_names[] = {"CL_MEM_OBJECT_ALLOCATION_FAILURE", "CL_OUT_OF_RESOURCES",
                                         "CL_OUT_OF_HOST_MEMORY"};
enum { CODES = 3, EPOCHS = 2 };

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
    const char *const outputs[] = {s->output,          checkpoint, "run/log.jsonl",
                                   "certificate.json", "l.npy",    "e.npy"};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        if (outputs[i])
            remove(outputs[i]);
}

/* A run that has not failed. */
static void check_success(const scenario *s, const char *where)
{
    if (s->output && s->same_bytes)
        check(files_equal(s->output, "expected"), "%s: the output is another one", where);
    if (!s->output || s->same_bytes)
        return;
    program_result verified;
    program_run(&verified, "verify certificate.json out.safetensors --quiet");
    check(verified.status == 0, "%s: the certificate is refused: %s", where, verified.errors);
}

/* Whether there was a call k to fail. */
static bool run_with_fault(const scenario *s, size_t k, bool forever, size_t *epochs)
{
    char where[160];
    program_result result;
    const char *words[] = {code_names[k % CODES], NULL};
    forget_outputs(s);
    shim_reset();
    shim_fail(k, forever, codes[k % CODES]);
    program_run(&result, s->words);
    const char *function = shim_failed();
    snprintf(where, sizeof where, "%.24s, %s %zu (%s)", s->words,
             forever ? "all calls from" : "call", k, function ? function : "none");
    shim_fail(0, false, CL_SUCCESS);
    check_clean(where);
    if (result.status == 0) {
        check_success(s, where);
    } else {
        check(function != NULL, "%s: a run without a fault: %s", where, result.errors);
        check_sentence(&result, where, words);
        check(!s->output || !file_exists(s->output) || files_equal(s->output, "expected"),
              "%s: an output is left, and not whole", where);
    }
    if (s->trains)
        check_checkpoint(&result, where, forever, epochs);
    return function != NULL;
}

static void sweep(const scenario *s, bool forever, size_t stride)
{
    size_t epochs = 0, k = 1;
    while (run_with_fault(s, k, forever, &epochs))
        k += stride;
    printf("%.24s: %zu faults%s\n", s->words, k / stride, forever ? " that stay" : "");
    fflush(stdout);
}

void limits_faults(void)
{
    const char *effort = getenv("IRN_TEST_EFFORT");
    size_t stride = effort && strcmp(effort, "small") == 0 ? 7 : 1;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        const scenario *s = &scenarios[i];
        program_result result;
        forget_outputs(s);
        shim_reset();
        program_run(&result, s->words);
        if (!check(result.status == 0, "%s: %s", s->words, result.errors))
            continue;
        if (s->output)
            file_copy(s->output, "expected");
        if (s->trains)
            keep_checkpoints();
        sweep(s, false, stride);
        sweep(s, true, 7 * stride);
    }
}
