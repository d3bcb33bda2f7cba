/* The checkpoints that a run with a fault may leave, and what it says of them. */
#include "epochs.h"
#include "shim.h"

#include <iresnet/iresnet.h>

#include <stdio.h>
#include <string.h>

enum { EPOCHS = 2 };

static const char *const checkpoint = EPOCHS_CHECKPOINT;
static const char *const kept[EPOCHS] = {"epoch1.safetensors", "epoch2.safetensors"};

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

void keep_epochs(void)
{
    irn_context *context = NULL;
    irn_model *model = NULL;
    irn_trainer *trainer = NULL;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    options.clblast_parameters = true; /* as the program has it */
    file_copy(checkpoint, "program.safetensors");
    irn_status status = irn_context_create(&context, &options);
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
static size_t epochs_kept(bool near)
{
    if (!file_exists(checkpoint))
        return 0;
    for (size_t e = 0; e < EPOCHS; e++)
        if (near ? tensors_near(checkpoint, kept[e]) : files_equal(checkpoint, kept[e]))
            return e + 1;
    return EPOCHS + 1;
}

void check_checkpoint(const program_result *result, const char *where, bool forever, bool near,
                      size_t *epochs)
{
    size_t now = epochs_kept(near);
    char keeps[64];
    check(now <= EPOCHS, "%s: the checkpoint is of no epoch", where);
    if (result->status == 0)
        check(now == EPOCHS, "%s: the checkpoint has %zu epochs", where, now);
    if (result->status != 0) {
        check(now >= *epochs, "%s: %zu epochs are kept, %zu with an earlier fault", where, now,
              *epochs);
        *epochs = now;
    }
    snprintf(keeps, sizeof keeps, "%s keeps step %zu", checkpoint, now);
    if (!forever && strstr(result->sentence, "step") &&
        (strstr(result->sentence, "ran out of memory") || strstr(result->sentence, "cannot hold")))
        check(strstr(result->sentence, "would fit") != NULL,
              "%s: says not which batch would fit: %s", where, result->sentence);
    if (result->status != 0 && strstr(result->sentence, " step"))
        check(strstr(result->sentence, now ? keeps : "has not been written"),
              "%s: the checkpoint has %zu epochs: %s", where, now, result->sentence);
}
