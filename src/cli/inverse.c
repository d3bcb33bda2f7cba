#include "inverse.h"

#include "files.h"
#include "output.h"
#include "picture.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static const cli_option inverse_table[] = {
    {.name = "out",
     .kind = CLI_TEXT,
     .offset = offsetof(cli_inverse, out),
     .argument = "X.npy|X.png",
     .help = "images, float32 [N,C,H,W], or a picture of them with\n"
             "-0.5 black and 0.5 white, or of where points of the\n"
             "plane lie (needed; - is standard output, as NPY)"},
    {.name = "errors",
     .kind = CLI_TEXT,
     .offset = offsetof(cli_inverse, errors),
     .argument = "E.npy",
     .help = "proven upper bounds on each image's Euclidean error,\n"
             "float64 [N]; bounds that the model has not are proven\n"
             "first, and if that fails the exit status is 3"},
    {.name = "tolerance",
     .kind = CLI_REAL,
     .offset = offsetof(cli_inverse, tolerance),
     .argument = "X",
     .help = "Euclidean error aimed at: of the whole network's inverse\n"
             "where errors are proven, else in each block (default 1e-5)",
     .high = DBL_MAX,
     .above = true},
    {.name = "max-iterations",
     .kind = CLI_COUNT,
     .offset = offsetof(cli_inverse, max_iterations),
     .argument = "N",
     .help = "fixed-point steps in a block at most (default 1000)",
     .low = 1,
     .high = 1e6},
};

cli_group cli_inverse_group(cli_inverse *options)
{
    cli_group group = {.title = "Inverse",
                       .options = inverse_table,
                       .count = sizeof inverse_table / sizeof *inverse_table,
                       .values = options};
    return group;
}

bool cli_is_plane(const cli_session *session)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    return config->channels == 2 && config->height == 1 && config->width == 1;
}

int cli_check_prior(cli_session *session)
{
    if (irn_model_get_config(session->model)->prior == IRN_PRIOR_NONE)
        return cli_error(session, CLI_FAILED,
                         "%s: has no prior: it is no density, and nothing can be drawn from it",
                         session->model_path);
    return CLI_DONE;
}

int cli_draw_latents(cli_session *session, size_t count, double temperature, cli_samples *z)
{
    z->count = count;
    z->size = irn_model_latent_size(session->model);
    z->values = calloc(count, z->size * sizeof *z->values);
    if (!z->values)
        return cli_error(session, CLI_FAILED, "no memory for %zu samples", count);
    irn_status status = irn_model_draw_latents(session->model, session->common.seed, 0, count,
                                               temperature, z->values);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

static int check_files(cli_session *session, const cli_inverse *options)
{
    const cli_file files[] = {{"out", options->out, {".npy", ".png"}},
                              {"errors", options->errors, {".npy"}}};
    return cli_check_files(session, files, 2);
}

int cli_inverse_check_picture(cli_session *session, const cli_inverse *options, size_t count,
                              size_t columns)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    if (!cli_has_suffix(options->out, ".png") || cli_is_plane(session))
        return CLI_DONE;
    if (config->channels != 1 && config->channels != 3)
        return cli_error(session, CLI_FAILED, "%s: pictures have 1 or 3 channels, %s has %zu",
                         options->out, session->model_path, config->channels);
    irn_status status =
        irn_png_check_grid(count, config->channels, config->height, config->width, columns, 0);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

int cli_inverse_main(cli_session *session, const char *model, const cli_inverse *options,
                     cli_inverse_work work, const void *payload)
{
    int result = check_files(session, options);
    if (result != CLI_DONE)
        return result;
    cli_progress_init(&session->progress, session->common.quiet);
    result = cli_session_model(session, model);
    if (result == CLI_DONE)
        result = work(session, options, payload);
    cli_session_close(session);
    return result;
}

void cli_inverse_report(cli_session *session, const irn_decode_options *how,
                        const cli_decoding *decoding, size_t count)
{
    if (!decoding->proven) {
        cli_note(session,
                 "%s cannot be certified, or the device has no float64: no error is claimed",
                 session->model_path);
        return;
    }
    char text[CLI_BOUND_TEXT];
    size_t missed = 0;
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        missed += !(decoding->bounds[i] <= how->tolerance);
        worst = cli_larger(worst, decoding->bounds[i]);
    }
    if (missed > 0)
        cli_note(session,
                 "%zu of %zu samples miss the tolerance %g; the worst proven bound is %s (%s)",
                 missed, count, how->tolerance, cli_bound_upper(text, worst),
                 decoding->iterations >= how->max_iterations ? "--max-iterations was reached"
                                                             : "rounding allows no better");
    else
        cli_note(session, "%zu samples, proven errors at most %s, at most %zu steps a block", count,
                 cli_bound_upper(text, worst), decoding->iterations);
}

/* Where points lie, in the smallest square around 0 that holds them. */
static int draw_points(cli_session *session, const char *path, const float *points, size_t count)
{
    enum { SIDE = 600 };
    const double margin = 1.05;
    double range = 0;
    for (size_t i = 0; i < 2 * count; i++)
        range = fmax(range, margin * fabs((double)points[i]));
    cli_picture picture;
    if (!cli_picture_create(&picture, 1, SIDE))
        return cli_error(session, CLI_FAILED, "no memory for the picture");
    cli_picture_points(&picture, 0, points, count, range > 0 ? range : 1);
    irn_status status = cli_picture_write(&picture, path);
    cli_picture_free(&picture);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

static int write_images(cli_session *session, const char *path, float *x, size_t count,
                        size_t columns)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    if (!cli_has_suffix(path, ".png"))
        return cli_write_inputs(session, path, x, count);
    if (cli_is_plane(session))
        return draw_points(session, path, x, count);
    irn_status status = irn_png_write_grid(x, count, config->channels, config->height,
                                           config->width, -0.5f, 0.5f, columns, 0, path);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

int cli_inverse_run(cli_session *session, const cli_inverse *options, const cli_samples *z,
                    size_t columns)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    irn_decode_options how = IRN_DECODE_OPTIONS_INIT;
    how.tolerance = options->tolerance;
    how.max_iterations = options->max_iterations;
    size_t size = config->channels * config->height * config->width;
    float *x = calloc(z->count, size * sizeof *x);
    cli_decoding decoding = {.bounds = calloc(z->count, sizeof *decoding.bounds), .certify = true};
    int result = x && decoding.bounds
                     ? cli_decode(session, z, &how, options->errors != NULL, x, &decoding)
                     : cli_error(session, CLI_FAILED, "no memory for %zu samples", z->count);
    if (result == CLI_DONE && options->errors)
        result =
            cli_write_array(session, options->errors, IRN_FLOAT64, 1, &z->count, decoding.bounds);
    if (result == CLI_DONE)
        result = write_images(session, options->out, x, z->count, columns);
    if (result == CLI_DONE)
        cli_inverse_report(session, &how, &decoding, z->count);
    free(x);
    free(decoding.bounds);
    return result;
}
