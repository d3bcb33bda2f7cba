/* Whole classifiers of the official code: imported, evaluated, differentiated and inverted as the
 * golden files say; and models in files. */
#include "golden.h"

#include "train/trainer.h"

#include <math.h>
#include <string.h>

static const char *const files[] = {"model-classify.safetensors",
                                    "model-classify-squeezed.safetensors"};
enum { FILES = sizeof files / sizeof *files };

static irn_model *import(irn_context *context, const char *name)
{
    irn_model *model;
    testing_ok(irn_model_import(&model, context, golden_path(name), NULL));
    return model;
}

static size_t input_size(const irn_model *model)
{
    return model->config.channels * model->config.height * model->config.width;
}

static float *read_input(const irn_safetensors *file, const irn_model *model, size_t *batch)
{
    size_t count;
    double *x = golden_read(file, &count, "input.x");
    *batch = count / input_size(model);
    return host_narrow(x, count);
}

/* ---- forward and back again ---- */

static void check_outputs(irn_context *context, const char *name)
{
    irn_safetensors *file = golden_open(name);
    irn_model *model = import(context, name);
    size_t batch, classes = model->config.classes, latent = irn_model_latent_size(model);
    float *x = read_input(file, model, &batch);
    float *logits = host_floats(batch * classes), *z = host_floats(batch * latent);
    testing_ok(irn_model_predict(model, x, batch, logits));
    host_check_float(golden_read(file, NULL, "expect.logits_eval"), logits, batch * classes,
                     GOLDEN_OUTPUT, "%s: logits", name);
    testing_ok(irn_model_encode(model, x, batch, z));
    host_check_float(golden_read(file, NULL, "expect.z.0"), z, batch * latent, GOLDEN_OUTPUT,
                     "%s: z", name);
    irn_model_free(model);
    irn_safetensors_free(file);
}

START_TEST(golden_outputs)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < FILES; i++)
        check_outputs(context, files[i]);
    devices_close(context);
}
END_TEST

START_TEST(golden_inverse)
{
    irn_context *context = devices_open(_i);
    irn_decode_options options = IRN_DECODE_OPTIONS_INIT;
    options.fixed_iterations = true;
    options.max_iterations = 60;
    for (size_t i = 0; i < FILES; i++) {
        irn_safetensors *file = golden_open(files[i]);
        irn_model *model = import(context, files[i]);
        size_t count, iterations, size = input_size(model);
        double *z = golden_read(file, &count, "expect.z.0");
        size_t batch = count / irn_model_latent_size(model);
        float *x = host_floats(batch * size);
        testing_ok(
            irn_model_decode(model, host_narrow(z, count), batch, &options, x, NULL, &iterations));
        ck_assert_uint_eq(iterations, 60);
        host_check_float(golden_read(file, NULL, "expect.x_from_z_60_iterations"), x, batch * size,
                         GOLDEN_OUTPUT, "%s: x from z", files[i]);
        irn_model_free(model);
        irn_safetensors_free(file);
    }
    devices_close(context);
}
END_TEST

/* ---- gradients ---- */

static irn_trainer *start_training(irn_model *model)
{
    irn_trainer *trainer;
    irn_train_options options;
    testing_ok(irn_train_options_init(&options, NULL));
    options.power_iterations = 0; /* sigma is the file's */
    testing_ok(irn_trainer_create(&trainer, model, &options));
    return trainer;
}

/* Batch norm takes the mean off, so the bias right before it has no influence, and its gradient is
 * rounding alone in the file and here: there the whole gradient is the measure. */
static void check_gradient(const irn_context *context, const double *expected, const double *got,
                           size_t count, double whole, const char *name)
{
    const double nothing = 1e-10 * whole;
    /* Shifts right before batch norm nearly cancel too: 3.8e-5 on PoCL, 1.05e-4 on llvmpipe. */
    const double tolerance =
        irn_context_device(context)->has_fp64 ? GOLDEN_GRADIENT : 2 * GOLDEN_GRADIENT;
    if (host_norm(expected, count) > nothing)
        host_check(expected, got, count, tolerance, "gradient of %s", name);
    else
        host_check_number(0, host_norm(got, count), 1e-5 * whole, "zero gradient of %s", name);
}

static void check_parameter_gradients(const irn_safetensors *file, irn_trainer *trainer)
{
    const irn_model *model = trainer->model;
    golden_entry entries[GOLDEN_MAX_ENTRIES];
    size_t count = golden_entries(model, entries), values, wanted;
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        if (!entries[i].state) {
            double *expected = golden_read(file, &values, "expect.grad.%s", entries[i].name);
            squares += host_dot(expected, expected, values);
        }
    for (size_t i = 0; i < count; i++) {
        if (entries[i].state)
            continue;
        double *got = golden_entry_values(model, &entries[i], trainer->parameter_gradient, &values);
        double *expected = golden_read(file, &wanted, "expect.grad.%s", entries[i].name);
        ck_assert_uint_eq(values, wanted);
        check_gradient(model->context, expected, got, values, sqrt(squares), entries[i].name);
    }
}

/* Back through the initial squeeze and the channel padding. */
static void check_input_gradient(const irn_safetensors *file, const char *name, irn_model *model,
                                 const irn_tensor *gradient)
{
    irn_context *context = model->context;
    const irn_model_config *c = &model->config;
    size_t count = gradient->images * input_size(model);
    irn_tensor scratch;
    cl_mem memory;
    float *x = host_floats(count);
    testing_ok(irn_tensor_create(&scratch, context, IRN_SINGLE, gradient->images, c->channels,
                                 c->height, c->width));
    testing_ok(irn_memory_create(context, &memory, count, sizeof(float), true));
    testing_ok(irn_flow_unpack(model, gradient, &scratch, memory, 0));
    testing_ok(irn_memory_read(context, memory, 0, x, count * sizeof *x));
    irn_memory_release(context, memory);
    irn_tensor_free(&scratch);
    host_check_float(golden_read(file, NULL, "expect.grad.x"), x, count, GOLDEN_GRADIENT,
                     "%s: gradient of x", name);
}

static void check_gradients(irn_context *context, const char *name)
{
    irn_safetensors *file = golden_open(name);
    irn_model *model = import(context, name);
    irn_trainer *trainer = start_training(model);
    irn_step_report report;
    irn_tensor input_gradient;
    size_t batch, label_count, classes = model->config.classes;
    float *x = read_input(file, model, &batch), *logits = host_floats(batch * classes);
    int *labels = golden_labels(file, &label_count);
    ck_assert_uint_eq(label_count, batch);
    testing_ok(irn_trainer_reserve(trainer, batch));
    testing_ok(irn_trainer_upload(trainer, x, labels, batch));
    testing_ok(irn_trainer_gradients(trainer, batch, &input_gradient));
    testing_ok(irn_tensor_read(&trainer->head.scores, logits, classes));
    host_check_float(golden_read(file, NULL, "expect.logits_train"), logits, batch * classes,
                     GOLDEN_OUTPUT, "%s: logits with batch statistics", name);
    testing_ok(irn_trainer_report(trainer, &report));
    double loss = golden_number(file, "expect.loss_train");
    host_check_number(loss, report.loss, GOLDEN_OUTPUT * loss, "%s: loss", name);
    check_input_gradient(file, name, model, &input_gradient);
    check_parameter_gradients(file, trainer);
    irn_trainer_free(trainer);
    irn_model_free(model);
    irn_safetensors_free(file);
}

START_TEST(golden_gradients)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < FILES; i++)
        check_gradients(context, files[i]);
    devices_close(context);
}
END_TEST

/* ---- files ---- */

/* Both models give the same bits, in z and in scores. */
static void check_same(irn_model *a, irn_model *b)
{
    enum { BATCH = 3 };
    size_t size = input_size(a), latent = irn_model_latent_size(a), classes = a->config.classes;
    float *x = host_narrow(host_normal(BATCH * size), BATCH * size);
    float *z[2] = {host_floats(BATCH * latent), host_floats(BATCH * latent)};
    float *scores[2] = {host_floats(BATCH * classes), host_floats(BATCH * classes)};
    irn_model *models[2] = {a, b};
    for (size_t i = 0; i < 2; i++) {
        testing_ok(irn_model_encode(models[i], x, BATCH, z[i]));
        testing_ok(irn_model_predict(models[i], x, BATCH, scores[i]));
    }
    ck_assert_mem_eq(z[0], z[1], BATCH * latent * sizeof(float));
    ck_assert_mem_eq(scores[0], scores[1], BATCH * classes * sizeof(float));
}

static irn_model *through_file(irn_model *model)
{
    irn_model *again;
    bool is_model;
    const char *path = testing_path("model.safetensors");
    testing_ok(irn_model_save(model, path));
    testing_ok(irn_file_is_model(path, &is_model));
    ck_assert(is_model);
    testing_ok(irn_model_load(&again, model->context, path));
    ck_assert_uint_eq(irn_model_parameter_count(again), irn_model_parameter_count(model));
    ck_assert_int_eq(again->actnorm_ready, model->actnorm_ready);
    ck_assert_mem_eq(&again->config, &model->config, sizeof model->config);
    return again;
}

START_TEST(saved_and_loaded)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < FILES; i++) {
        irn_model *model = import(context, files[i]), *again = through_file(model);
        ck_assert(again->actnorm_ready);
        check_same(model, again);
        irn_model_free(again);
        irn_model_free(model);
    }
    devices_close(context);
}
END_TEST

/* Actnorm takes its values from the first batch, once, also where a file lies between. */
START_TEST(saved_before_and_after_actnorm)
{
    irn_context *context = devices_open(_i);
    irn_model_config config;
    irn_model *model;
    testing_ok(irn_model_config_init(&config, "digits"));
    testing_ok(irn_model_create(&model, context, &config));
    ck_assert(!model->actnorm_ready);
    irn_model *fresh = through_file(model);
    check_same(model, fresh);
    ck_assert(model->actnorm_ready && fresh->actnorm_ready);
    irn_model *used = through_file(model);
    check_same(model, used);
    irn_model_free(used);
    irn_model_free(fresh);
    irn_model_free(model);
    devices_close(context);
}
END_TEST

/* The golden file again, its float64 arrays in float32. */
static const char *narrowed(const irn_safetensors *file)
{
    irn_safetensors_writer *writer;
    const char *path = testing_path("float32.safetensors");
    testing_ok(irn_safetensors_writer_create(&writer));
    for (size_t i = 0; i < irn_safetensors_count(file); i++) {
        irn_array view;
        const char *name = irn_safetensors_tensor_name(file, i);
        testing_ok(irn_safetensors_view(file, i, &view));
        size_t count = irn_array_count(&view);
        if (view.type == IRN_FLOAT64) {
            view.type = IRN_FLOAT32;
            view.data = host_floats(count);
            testing_ok(irn_safetensors_read_float(file, name, count, view.data));
        }
        testing_ok(irn_safetensors_add(writer, name, &view));
    }
    testing_ok(irn_safetensors_write(writer, path));
    irn_safetensors_writer_free(writer);
    return path;
}

START_TEST(official_weights_in_float32)
{
    irn_context *context = devices_open(_i);
    irn_safetensors *file = golden_open(files[0]);
    const char *options = irn_safetensors_metadata(file, "config"), *path = narrowed(file);
    irn_model *wide = import(context, files[0]), *narrow;
    testing_fails(irn_model_import(&narrow, context, path, NULL), IRN_ERROR_FORMAT, "config");
    const char *config_path = testing_write("config.json", options, strlen(options));
    testing_ok(irn_model_import(&narrow, context, path, config_path));
    check_same(wide, narrow);
    irn_model_free(wide);
    irn_model_free(narrow);
    irn_safetensors_free(file);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden models");
    TCase *golden = devices_case(suite, "golden");
    devices_add(golden, golden_outputs);
    devices_add(golden, golden_inverse);
    devices_add(golden, golden_gradients);
    TCase *in_files = devices_case(suite, "files");
    devices_add(in_files, saved_and_loaded);
    devices_add(in_files, saved_before_and_after_actnorm);
    devices_add(in_files, official_weights_in_float32);
    return testing_run(suite);
}
