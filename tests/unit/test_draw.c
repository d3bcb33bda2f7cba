/* Latents drawn from priors: their moments, and what they depend on. */
#include "golden.h"

#include <iresnet/density.h>

#include <math.h>

static irn_model *standard_model(irn_context *context)
{
    irn_model *model;
    irn_model_config config = devices_small_config(3, 4, 4);
    config.prior = IRN_PRIOR_STANDARD;
    testing_ok(irn_model_create(&model, context, &config));
    return model;
}

static void check_moments(const float *z, const double *mean, const double *deviation, size_t count,
                          size_t size)
{
    double sum = 0, squares = 0, values = (double)(count * size);
    for (size_t i = 0; i < count * size; i++) {
        double normal = ((double)z[i] - mean[i % size]) / deviation[i % size];
        sum += normal;
        squares += normal * normal;
    }
    host_check_number(0, sum / values, 4 / sqrt(values), "mean");
    host_check_number(1, squares / values, 4 * sqrt(2 / values), "variance");
}

START_TEST(standard_latents)
{
    enum { COUNT = 500, SIZE = 48 };
    irn_context *context = devices_open(_i);
    irn_model *model = standard_model(context);
    float *z = host_floats(COUNT * SIZE), *part = host_floats(SIZE), *half = host_floats(SIZE);
    double *mean = host_doubles(SIZE), *deviation = host_doubles(SIZE);
    for (size_t i = 0; i < SIZE; i++)
        deviation[i] = 1;
    testing_ok(irn_model_draw_latents(model, 5, 0, COUNT, 1, z));
    check_moments(z, mean, deviation, COUNT, SIZE);
    testing_ok(irn_model_draw_latents(model, 5, 7, 1, 1, part));
    testing_ok(irn_model_draw_latents(model, 5, 7, 1, 0.5, half));
    for (size_t i = 0; i < SIZE; i++) {
        ck_assert(part[i] == z[7 * SIZE + i]);
        ck_assert(half[i] == part[i] / 2);
    }
    testing_ok(irn_model_draw_latents(model, 6, 7, 1, 1, half));
    ck_assert(half[0] != part[0]);
    testing_fails(irn_model_draw_latents(model, 5, 0, 1, -1, z), IRN_ERROR_ARGUMENT,
                  "temperature is -1");
    testing_fails(irn_model_draw_latents(model, 5, 0, 1, (double)NAN, z), IRN_ERROR_ARGUMENT,
                  "temperature is nan");
    irn_model_free(model);
    irn_model_config config = devices_small_config(3, 4, 4);
    testing_ok(irn_model_create(&model, context, &config));
    testing_fails(irn_model_draw_latents(model, 5, 0, 1, 1, z), IRN_ERROR_UNSUPPORTED, "no prior");
    irn_model_free(model);
    devices_close(context);
}
END_TEST

START_TEST(learned_latents)
{
    enum { COUNT = 500 };
    const char *name = "model-density-multiscale.safetensors";
    irn_context *context = devices_open(_i);
    irn_safetensors *file = golden_open(name);
    irn_model *model;
    testing_ok(irn_model_import(&model, context, golden_path(name), NULL));
    size_t size = irn_model_latent_size(model);
    float *z = host_floats(COUNT * size), *mean = host_floats(size);
    double *means = golden_read(file, NULL, "prior_mu");
    double *deviations = golden_read(file, NULL, "prior_logstd");
    for (size_t i = 0; i < size; i++)
        deviations[i] = exp(deviations[i]);
    testing_ok(irn_model_draw_latents(model, 5, 3, 1, 0, mean));
    host_check_float(means, mean, size, 1e-7, "latents of temperature 0");
    testing_ok(irn_model_draw_latents(model, 5, 0, COUNT, 1, z));
    check_moments(z, means, deviations, COUNT, size);
    irn_model_free(model);
    irn_safetensors_free(file);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("latents");
    TCase *latents = devices_case(suite, "latents");
    devices_add(latents, standard_latents);
    devices_add(latents, learned_latents);
    return testing_run(suite);
}
