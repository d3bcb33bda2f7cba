/* Sends the bundled test digits through a trained network, inverts it, and compares each true error
 * with the bound that the library proves for it when latents stay in float64. Draws ten digits
 * (top), what the inverse makes of their latents (middle), and the difference times a million
 * (bottom).
 *
 * Usage: invert MODEL.safetensors [PICTURE.png]. Exit status: 0; 1 if something failed; 2 usage; 3
 * if a bound does not hold, or the model is not certified. */
#include <iresnet/iresnet.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 360, SIDE = 8, PIXELS = SIDE * SIDE, COLUMNS = 10 };

static float images[COUNT * PIXELS], back[COUNT * PIXELS], exact[COUNT * PIXELS];

static irn_status read_images(void)
{
    irn_dataset *digits = NULL;
    uint32_t indices[COUNT];
    irn_status status = irn_dataset_open(&digits, "digits", IRN_TEST);
    for (uint32_t i = 0; i < COUNT; i++)
        indices[i] = i;
    if (status == IRN_OK)
        status = irn_dataset_batch(digits, indices, COUNT, NULL, 0, 0, images, NULL);
    irn_dataset_free(digits);
    return status;
}

static irn_status check_shape(const irn_model *model)
{
    const irn_model_config *config = irn_model_get_config(model);
    if (config->channels == 1 && config->height == SIDE && config->width == SIDE)
        return IRN_OK;
    fprintf(stderr, "invert: the model takes %zux%zux%zu images, not digits of 1x8x8\n",
            config->channels, config->height, config->width);
    return IRN_ERROR_UNSUPPORTED;
}

/* images -> z -> back, z in float32. */
static irn_status round_trip(irn_model *model)
{
    float *z = malloc(COUNT * irn_model_latent_size(model) * sizeof *z);
    irn_status status = z ? irn_model_encode(model, images, COUNT, z) : IRN_ERROR_MEMORY;
    if (status == IRN_OK)
        status = irn_model_decode(model, z, COUNT, NULL, back, NULL, NULL);
    free(z);
    return status;
}

static double error_of(const float *found, size_t image)
{
    double squares = 0;
    for (size_t j = image * PIXELS; j < (image + 1) * PIXELS; j++)
        squares += pow((double)found[j] - (double)images[j], 2);
    return sqrt(squares);
}

/* The errors of `back`, and of what comes back through latents in float64, with its bounds. */
static bool compare(const double *error_upper)
{
    double worst_error = 0, worst_exact = 0, worst_bound = 0;
    bool holds = true;
    for (size_t i = 0; i < COUNT; i++) {
        double error = error_of(exact, i);
        worst_error = fmax(worst_error, error_of(back, i));
        worst_exact = fmax(worst_exact, error);
        worst_bound = fmax(worst_bound, error_upper[i]);
        holds = holds && error <= error_upper[i];
    }
    printf("%d images, error at most %.3g with latents in float32\n", COUNT, worst_error);
    printf("%d images, error at most %.3g with latents in float64, proven bound at most %.3g\n",
           COUNT, worst_exact, worst_bound);
    printf("every error is below its own bound: %s\n", holds ? "yes" : "NO");
    return holds;
}

static irn_status draw(const char *path)
{
    static float rows[3][COLUMNS * PIXELS];
    for (size_t i = 0; i < COLUMNS * PIXELS; i++) {
        rows[0][i] = images[i];
        rows[1][i] = back[i];
        rows[2][i] = fabsf(back[i] - images[i]) * 1e6F - 0.5F;
    }
    return irn_png_write_grid(&rows[0][0], (size_t)3 * COLUMNS, 1, SIDE, SIDE, -0.5F, 0.5F, COLUMNS,
                              0, path);
}

int main(int count, char **arguments)
{
    irn_context *context = NULL;
    irn_model *model = NULL;
    double error_upper[COUNT];
    bool holds = true;
    if (count != 2 && count != 3) {
        fprintf(stderr, "usage: invert MODEL.safetensors [PICTURE.png]\n");
        return 2;
    }
    irn_status status = read_images();
    if (status == IRN_OK)
        status = irn_context_create(&context, NULL);
    if (status == IRN_OK)
        status = irn_model_load(&model, context, arguments[1]);
    if (status == IRN_OK)
        status = check_shape(model);
    if (status == IRN_OK)
        status = round_trip(model);
    if (status == IRN_OK)
        status = irn_model_reconstruct(model, images, COUNT, NULL, exact, error_upper, NULL);
    if (status == IRN_OK)
        holds = compare(error_upper);
    if (status == IRN_OK && count == 3)
        status = draw(arguments[2]);
    if (status != IRN_OK)
        fprintf(stderr, "invert: %s: %s\n", irn_status_text(status), irn_last_error());
    irn_model_free(model);
    irn_context_free(context);
    if (status != IRN_OK && status != IRN_ERROR_NOT_CERTIFIED)
        return EXIT_FAILURE;
    return status == IRN_OK && holds ? EXIT_SUCCESS : 3;
}
