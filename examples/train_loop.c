/* A training loop of one's own: the bundled digits, a learning rate that falls as half a cosine,
 * the test accuracy after each epoch, and a certificate at the end.
 *
 * Usage: train_loop [EPOCHS [MODEL.safetensors]]. Exit status: 0; 1 if something failed; 2 usage; 3
 * if the trained network is not certified. */
#include <iresnet/iresnet.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 64, PIXELS = 8 * 8 };

static const double pi = 3.14159265358979323846, peak_rate = 0.1;

typedef struct training {
    irn_context *context;
    irn_model *model;
    irn_trainer *trainer;
    irn_dataset *train, *test;
    irn_certificate *certificate;
    uint32_t *order; /* of the examples in this epoch */
} training;

static irn_status open_all(training *self)
{
    irn_model_config config;
    irn_train_options options;
    irn_status status = irn_context_create(&self->context, NULL);
    if (status == IRN_OK)
        status = irn_dataset_open(&self->train, "digits", IRN_TRAIN);
    if (status == IRN_OK)
        status = irn_dataset_open(&self->test, "digits", IRN_TEST);
    if (status == IRN_OK)
        status = irn_model_config_init(&config, "digits");
    if (status == IRN_OK) {
        config.coefficient = 0.8; /* room between each layer's estimated norm and its proven one */
        status = irn_model_create(&self->model, self->context, &config);
    }
    if (status == IRN_OK)
        status = irn_train_options_init(&options, "digits");
    if (status == IRN_OK)
        status = irn_trainer_create(&self->trainer, self->model, &options);
    if (status == IRN_OK) {
        self->order = malloc(irn_dataset_get_info(self->train).count * sizeof *self->order);
        status = self->order ? IRN_OK : IRN_ERROR_MEMORY;
    }
    return status;
}

/* Steps are queued without waiting for the device; the report at the end waits. */
static irn_status train_epoch(training *self, size_t epoch, size_t epochs)
{
    const irn_augmentation augmentation = {.shift = 1};
    const size_t steps = irn_dataset_get_info(self->train).count / BATCH;
    float x[BATCH * PIXELS];
    int labels[BATCH];
    irn_step_report report;
    double accuracy;
    irn_status status = IRN_OK;
    irn_dataset_shuffle(self->train, 1, epoch, self->order);
    for (size_t i = 0; i < steps && status == IRN_OK; i++) {
        double done = (double)(epoch * steps + i) / (double)(epochs * steps);
        irn_trainer_set_learning_rate(self->trainer, peak_rate * 0.5 * (1 + cos(pi * done)));
        status = irn_dataset_batch(self->train, self->order + i * BATCH, BATCH, &augmentation, 1,
                                   epoch, x, labels);
        if (status == IRN_OK)
            status = irn_trainer_step(self->trainer, x, labels, BATCH, NULL);
    }
    if (status == IRN_OK)
        status = irn_trainer_report(self->trainer, &report);
    if (status == IRN_OK)
        status = irn_model_accuracy(self->model, self->test, NULL, NULL, &accuracy);
    if (status == IRN_OK)
        printf("epoch %zu  loss %.4f  accuracy %.1f %%  test %.1f %%\n", epoch + 1, report.loss,
               100 * report.accuracy, 100 * accuracy);
    return status;
}

int main(int count, char **arguments)
{
    training self = {NULL};
    char *end = NULL;
    unsigned long epochs = count > 1 ? strtoul(arguments[1], &end, 10) : 10;
    if (count > 3 || epochs < 1 || epochs > 1000 || (end && *end)) {
        fprintf(stderr, "usage: train_loop [EPOCHS (1 to 1000) [MODEL.safetensors]]\n");
        return 2;
    }
    irn_status status = open_all(&self);
    for (size_t epoch = 0; epoch < epochs && status == IRN_OK; epoch++)
        status = train_epoch(&self, epoch, epochs);
    irn_trainer_free(self.trainer);
    if (status == IRN_OK)
        status = irn_certify_model(&self.certificate, self.model, NULL);
    if (status == IRN_OK && count == 3)
        status = irn_model_save(self.model, arguments[2]);
    if (status != IRN_OK)
        fprintf(stderr, "train_loop: %s: %s\n", irn_status_text(status), irn_last_error());
    bool certified = status == IRN_OK && irn_certificate_verdict(self.certificate);
    if (status == IRN_OK)
        printf(certified ? "certified: Lip(g) < 1 in every block\n" : "not certified\n");

    free(self.order);
    irn_certificate_free(self.certificate);
    irn_dataset_free(self.test);
    irn_dataset_free(self.train);
    irn_model_free(self.model);
    irn_context_free(self.context);
    return status != IRN_OK ? EXIT_FAILURE : certified ? EXIT_SUCCESS : 3;
}
