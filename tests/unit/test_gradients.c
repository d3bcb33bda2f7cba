/* The gradient of the loss with respect to all parameters, in networks of unusual shapes, against a
 * difference of losses. (The golden files check values; these shapes are not among them.) */
#include "devices.h"

#include "train/trainer.h"

#include <string.h>

static irn_model_config small(irn_activation activation)
{
    irn_model_config config;
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = 3;
    config.height = 8;
    config.width = 4;
    config.widths[0] = config.widths[1] = 10;
    config.blocks[0] = 2;
    config.blocks[1] = 1;
    config.strides[1] = 1;
    config.classes = 4;
    config.activation = activation;
    config.coefficient = 0; /* or sigma would have to follow the weights */
    return config;
}

enum { BATCH = 16 };

static double loss_of(irn_trainer *trainer, const float *x, const int *labels)
{
    irn_step_report report;
    testing_ok(irn_trainer_reserve(trainer, BATCH));
    testing_ok(irn_trainer_upload(trainer, x, labels, BATCH));
    testing_ok(irn_trainer_gradients(trainer, BATCH, NULL));
    testing_ok(irn_trainer_report(trainer, &report));
    return report.loss;
}

/* The parameters as they lie on the device. */
static float *raw(irn_context *context, cl_mem memory, size_t size)
{
    float *values = host_floats(size);
    testing_ok(irn_memory_read(context, memory, 0, values, size * sizeof *values));
    return values;
}

/* The loss where the parameters are moved by `step` along the direction. */
static double loss_along(irn_trainer *trainer, const float *from, const double *direction,
                         double step, const float *x, const int *labels)
{
    irn_model *model = trainer->model;
    size_t size = model->parameters.size;
    float *moved = host_floats(size);
    for (size_t i = 0; i < size; i++)
        moved[i] = (float)((double)from[i] + step * direction[i]);
    testing_ok(
        irn_memory_write(model->context, model->single.parameters, 0, moved, size * sizeof *moved));
    irn_model_changed(model);
    return loss_of(trainer, x, labels);
}

static void check_network(irn_context *context, const irn_model_config *config, const char *name)
{
    irn_model *model;
    irn_trainer *trainer;
    irn_train_options options;
    size_t count = BATCH * config->channels * config->height * config->width;
    float *x = host_narrow(host_normal(count), count);
    int labels[BATCH];
    for (int n = 0; n < BATCH; n++)
        labels[n] = (int)host_below(config->classes);
    testing_ok(irn_train_options_init(&options, NULL));
    testing_ok(irn_model_create(&model, context, config));
    testing_ok(irn_trainer_create(&trainer, model, &options));
    loss_of(trainer, x, labels);
    size_t size = model->parameters.size;
    float *weights = raw(context, model->single.parameters, size);
    float *gradient = raw(context, trainer->parameter_gradient, size);
    /* Along the gradient, the slope is its length. */
    double *direction = host_widen(gradient, size), length = host_norm(direction, size);
    for (size_t i = 0; i < size; i++)
        direction[i] /= length;
    /* Short, since the head's ReLU has kinks. */
    const double h = 0x1p-11;
    double slope = (loss_along(trainer, weights, direction, h, x, labels) -
                    loss_along(trainer, weights, direction, -h, x, labels)) /
                   (2 * h);
    host_check_number(length, slope, 5e-3 * length, "slope of the loss: %s", name);
    irn_trainer_free(trainer);
    irn_model_free(model);
    host_free_all();
}

START_TEST(unusual_networks)
{
    irn_context *context = devices_open(_i);
    irn_model_config c = small(IRN_TANH);
    c.padding = IRN_PAD_CIRCULAR;
    check_network(context, &c, "circular");
    c = small(IRN_SOFTPLUS);
    c.strides[0] = 2;
    c.pad_channels = 14;
    check_network(context, &c, "padded, squeezed first");
    c = small(IRN_SOFTPLUS);
    c.init_squeeze = true;
    c.pad_channels = 5;
    c.stages = 2;
    c.strides[1] = 2;
    check_network(context, &c, "initial squeeze");
    c = small(IRN_TANH);
    c.layers = 1;
    c.blocks[0] = 3;
    check_network(context, &c, "one layer");
    c = small(IRN_TANH);
    c.layers = 4;
    memcpy(c.kernels, (size_t[]){2, 5, 3, 4}, 4 * sizeof *c.kernels);
    c.height = 5;
    c.width = 3;
    check_network(context, &c, "even kernels, larger than the map");
    c = small(IRN_SOFTPLUS);
    c.channels = 17;
    c.height = c.width = 1;
    c.kernels[0] = c.kernels[2] = 1;
    c.classes = 2;
    check_network(context, &c, "points");
    c = small(IRN_TANH);
    c.actnorm = false;
    c.classes = 33;
    check_network(context, &c, "no actnorm, many classes");
    c = small(IRN_LIPSWISH);
    c.pad_channels = 2;
    check_network(context, &c, "LipSwish");
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("gradients");
    devices_add(devices_case(suite, "gradients"), unusual_networks);
    return testing_run(suite);
}
