/* Epochs over a data set. Where an epoch stands follows from the step alone, so that a resumed run
 * goes on with the very next batch. */
#include "train/trainer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct fit {
    irn_trainer *trainer;
    const irn_dataset *train, *test;
    const char *checkpoint_path;
    irn_fit_callback callback;
    void *payload;
    irn_dataset_info info;
    size_t steps; /* an epoch */
    uint32_t *order;
    float *x; /* the last batch */
    int *labels;
    size_t batch;   /* images in it */
    uint64_t saved; /* after this step; 0: not yet */
    double start, last_look;
    size_t images; /* since start */
    double epoch_loss, epoch_correct, epoch_bits, epoch_samples, unread;
} fit;

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Adds what the device has counted to the epoch's means. Waits for the device. */
static irn_status look(fit *f)
{
    irn_step_report report;
    f->last_look = seconds_now();
    IRN_TRY(irn_trainer_report(f->trainer, &report));
    f->epoch_loss += report.loss * f->unread;
    f->epoch_correct += report.accuracy * f->unread;
    f->epoch_bits += report.bits_per_dim * f->unread;
    f->epoch_samples += f->unread;
    f->unread = 0;
    return IRN_OK;
}

typedef struct test_result {
    double accuracy;
    irn_test_density density;
} test_result;

/* tested: NULL within an epoch. */
static bool tell(fit *f, const test_result *tested, size_t step, double rate)
{
    const irn_train_options *o = &f->trainer->options;
    double seconds = seconds_now() - f->start;
    uint64_t epoch = (f->trainer->step - 1) / f->steps + 1;
    const irn_test_density none = {NAN, NAN}, density = tested ? tested->density : none;
    irn_fit_event event = {.epoch_done = tested != NULL,
                           .epoch = epoch,
                           .epochs = o->epochs,
                           .step = step,
                           .steps = f->steps,
                           .loss = f->epoch_loss / f->epoch_samples,
                           .accuracy = f->epoch_correct / f->epoch_samples,
                           .bits_per_dim = f->epoch_bits / f->epoch_samples,
                           .test_accuracy = tested ? tested->accuracy : NAN,
                           .test_bits_per_dim = density.bits_per_dim,
                           .test_bits_per_dim_error = density.standard_error,
                           .learning_rate = rate,
                           .seconds = seconds,
                           .images_per_second = seconds > 0 ? (double)f->images / seconds : 0};
    return !f->callback || f->callback(&event, f->payload);
}

/* Parameters that are no good do not replace those that were. */
static irn_status save(fit *f)
{
    if (!f->checkpoint_path)
        return IRN_OK;
    IRN_TRY(irn_trainer_check(f->trainer, f->x, f->batch));
    IRN_TRY(irn_trainer_save(f->trainer, f->checkpoint_path));
    f->saved = f->trainer->step;
    return IRN_OK;
}

/* Where training went wrong, and what is left of it. A loss that is not finite is that of the last
 * step; a device fails after it. */
static irn_status spoiled(const fit *f, irn_status status)
{
    uint64_t step = f->trainer->step, epoch = step ? (step - 1) / f->steps + 1 : 1;
    if (status == IRN_ERROR_MEMORY)
        irn_trainer_explain_memory(f->trainer);
    if (step == 0)
        irn_set_error("before the first step: %s", irn_last_error());
    else
        irn_set_error("%sepoch %llu, step %llu: %s", status == IRN_ERROR_NUMERIC ? "" : "after ",
                      (unsigned long long)epoch, (unsigned long long)step, irn_last_error());
    if (f->saved)
        irn_set_error("%s; %s keeps step %llu", irn_last_error(), f->checkpoint_path,
                      (unsigned long long)f->saved);
    else if (f->checkpoint_path)
        irn_set_error("%s; %s has not been written", irn_last_error(), f->checkpoint_path);
    return status;
}

static irn_status stop(fit *f)
{
    IRN_TRY(save(f));
    return irn_fail(IRN_ERROR_CANCELLED, "training was stopped after step %llu%s%s",
                    (unsigned long long)f->trainer->step,
                    f->checkpoint_path ? "; the checkpoint is " : "",
                    f->checkpoint_path ? f->checkpoint_path : "");
}

static irn_status one_step(fit *f, uint64_t epoch, size_t step, double rate)
{
    const irn_train_options *o = &f->trainer->options;
    size_t first = step * o->batch;
    size_t batch = f->info.count - first < o->batch ? f->info.count - first : o->batch;
    IRN_TRY(irn_dataset_batch(f->train, f->order + first, batch, &o->augmentation, o->seed, epoch,
                              f->x, f->info.classes > 0 ? f->labels : NULL));
    IRN_TRY(irn_trainer_queue_step(f->trainer, f->x, f->labels, batch, rate));
    f->batch = batch;
    f->images += batch;
    f->unread += (double)batch;
    return IRN_OK;
}

static uint64_t last_step(const fit *f)
{
    return (uint64_t)f->trainer->options.epochs * f->steps;
}

/* Whatever comes of the test, training goes on from the parameters that it has. */
static irn_status test(fit *f, test_result *out)
{
    irn_trainer *trainer = f->trainer;
    irn_task task = trainer->options.task;
    irn_status status = IRN_OK;
    IRN_TRY(irn_average_begin(trainer));
    if (task != IRN_DENSITY)
        status = irn_model_accuracy(trainer->model, f->test, NULL, NULL, &out->accuracy);
    if (task != IRN_CLASSIFY && status == IRN_OK)
        status = irn_trainer_test_density(trainer, f->test, f->info.count, &out->density);
    irn_status back = irn_average_end(trainer);
    return status != IRN_OK ? status : back;
}

static irn_status finish_epoch(fit *f, double rate)
{
    test_result tested = {NAN, {NAN, NAN}};
    IRN_TRY(look(f));
    IRN_TRY(save(f));
    if (f->test)
        IRN_TRY(test(f, &tested));
    bool go_on = tell(f, &tested, f->steps, rate);
    if (!go_on && f->trainer->step < last_step(f)) /* else there is nothing left to stop */
        return irn_fail(IRN_ERROR_CANCELLED, "training was stopped after an epoch");
    f->epoch_loss = f->epoch_correct = f->epoch_bits = f->epoch_samples = 0;
    return IRN_OK;
}

static irn_status run(fit *f)
{
    irn_trainer *trainer = f->trainer;
    const irn_train_options *o = &trainer->options;
    const double between_looks = 0.25; /* seconds */
    /* What steps of the caller's own have counted is none of the epoch's. */
    irn_context *context = trainer->model->context;
    IRN_TRY(irn_memory_zero(context, trainer->metrics, 0, sizeof(irn_metrics)));
    IRN_TRY(irn_memory_zero(context, trainer->density_metrics, 0, sizeof(irn_density_metrics)));
    while (trainer->step < last_step(f)) {
        uint64_t epoch = trainer->step / f->steps;
        size_t step = (size_t)(trainer->step % f->steps);
        double rate = irn_trainer_rate(trainer, f->steps);
        irn_dataset_shuffle(f->train, o->seed, epoch, f->order);
        for (; step < f->steps; step++) {
            rate = irn_trainer_rate(trainer, f->steps);
            IRN_TRY(one_step(f, epoch, step, rate));
            if (seconds_now() - f->last_look < between_looks || step + 1 == f->steps)
                continue;
            IRN_TRY(look(f));
            if (!tell(f, NULL, step + 1, rate))
                return stop(f);
        }
        IRN_TRY(finish_epoch(f, rate));
    }
    return IRN_OK;
}

static irn_status check_data(const irn_trainer *trainer, const irn_dataset *dataset)
{
    const irn_model_config *c = &trainer->model->config;
    irn_dataset_info info = irn_dataset_get_info(dataset);
    if (info.channels != c->channels || info.height != c->height || info.width != c->width)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "the data are %zu x %zu x %zu, the model takes %zu x %zu x %zu",
                        info.channels, info.height, info.width, c->channels, c->height, c->width);
    if (trainer->options.task != IRN_DENSITY && (info.classes == 0 || info.classes > c->classes))
        return irn_fail(IRN_ERROR_ARGUMENT, "the data have %zu classes, the model has %zu",
                        info.classes, c->classes);
    if (info.count == 0)
        return irn_fail(IRN_ERROR_ARGUMENT, "the data set is empty");
    return IRN_OK;
}

irn_status irn_trainer_fit(irn_trainer *trainer, const irn_dataset *train, const irn_dataset *test,
                           const char *checkpoint_path, irn_fit_callback callback, void *payload)
{
    fit f = {.trainer = trainer,
             .train = train,
             .test = test,
             .checkpoint_path = checkpoint_path,
             .callback = callback,
             .payload = payload,
             .info = irn_dataset_get_info(train),
             .start = seconds_now(),
             .last_look = seconds_now()};
    IRN_TRY(check_data(trainer, train));
    if (test)
        IRN_TRY(check_data(trainer, test));
    size_t batch = trainer->options.batch;
    size_t pixels = f.info.channels * f.info.height * f.info.width;
    f.steps = (f.info.count + batch - 1) / batch;
    irn_status status = irn_alloc(&f.order, f.info.count, sizeof *f.order);
    if (status == IRN_OK)
        status = irn_alloc(&f.x, batch * pixels, sizeof *f.x);
    if (status == IRN_OK)
        status = irn_alloc(&f.labels, batch, sizeof *f.labels);
    if (status == IRN_OK)
        status = run(&f);
    if (status == IRN_ERROR_NUMERIC || status == IRN_ERROR_MEMORY || status == IRN_ERROR_DEVICE)
        status = spoiled(&f, status);
    free(f.order);
    free(f.x);
    free(f.labels);
    if (status == IRN_OK)
        status = irn_average_take(trainer);
    /* The estimates lag behind the weights while these move; now that they rest, let them catch up.
     */
    return status == IRN_OK ? irn_model_power_iterate(trainer->model, 100) : status;
}
