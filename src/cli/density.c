/* iresnet density */
#include "files.h"
#include "inverse.h"
#include "output.h"
#include "picture.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct density_options {
    const char *data, *out;
    bool log;
    size_t side, count;
    double range;
} density_options;

static const cli_option density_table[] = {
    {.name = "out",
     .kind = CLI_TEXT,
     .offset = offsetof(density_options, out),
     .argument = "X.png",
     .help = "picture to write (needed)"},
    {.name = "data",
     .kind = CLI_TEXT,
     .offset = offsetof(density_options, data),
     .argument = "SPEC",
     .help = "draw this data set's test examples on the left (see\n"
             "`iresnet train --help`)"},
    {.name = "log",
     .kind = CLI_FLAG,
     .offset = offsetof(density_options, log),
     .help = "draw the density's logarithm, down to 10 nats below its\n"
             "largest value"},
    {.name = "range",
     .kind = CLI_REAL,
     .offset = offsetof(density_options, range),
     .argument = "X",
     .help = "draw the square [-X, X]^2 (default 4.5)",
     .high = 1e6,
     .above = true},
    {.name = "size",
     .kind = CLI_COUNT,
     .offset = offsetof(density_options, side),
     .argument = "N",
     .help = "pixels of a side of it (default 400)",
     .low = 16,
     .high = 4096},
    {.name = "count",
     .kind = CLI_COUNT,
     .offset = offsetof(density_options, count),
     .argument = "N",
     .help = "data and samples to draw at most (default 10000)",
     .low = 1,
     .high = 1e7},
};

typedef struct findings {
    double integral, largest; /* of the density over the square, of its logarithm */
    double inverse_error;     /* proven for all samples; NaN: none */
} findings;

static int draw_data(cli_session *session, const density_options *options, cli_picture *picture)
{
    cli_samples x = {.count = 0};
    int result = cli_read_dataset(session, options->data, IRN_TEST, options->count, &x);
    if (result == CLI_DONE)
        cli_picture_points(picture, 0, x.values, x.count, options->range);
    cli_samples_free(&x);
    return result;
}

/* log p at the pixels' centres of one row. */
static irn_status evaluate_row(cli_session *session, const density_options *options, size_t row,
                               float *x, irn_log_density *values, double *out)
{
    irn_density_options how = IRN_DENSITY_OPTIONS_INIT;
    how.method = IRN_LOGDET_EXACT;
    how.dequantise = false;
    for (size_t i = 0; i < options->side; i++) {
        x[2 * i] = (float)cli_pixel_centre(i, options->side, options->range);
        x[2 * i + 1] = -(float)cli_pixel_centre(row, options->side, options->range);
    }
    irn_status status = irn_model_log_density(session->model, x, options->side, &how, values, NULL);
    for (size_t i = 0; i < options->side && status == IRN_OK; i++)
        out[i] = values[i].log_prior + values[i].logdet;
    return status;
}

static int evaluate(cli_session *session, const density_options *options, double *out)
{
    size_t side = options->side;
    irn_log_density *values = calloc(side, sizeof *values);
    float *x = calloc(side, 2 * sizeof *x);
    int result = CLI_DONE;
    if (!values || !x)
        result = cli_error(session, CLI_FAILED, "no memory for %zu points", side);
    cli_progress_begin(&session->progress, "density");
    for (size_t row = 0; row < side && result == CLI_DONE; row++) {
        irn_status status = evaluate_row(session, options, row, x, values, out + row * side);
        if (status == IRN_OK &&
            !cli_progress_step((row + 1) * side, side * side, NULL, &session->progress))
            status = IRN_ERROR_CANCELLED;
        if (status != IRN_OK)
            result = cli_fail(session, status);
    }
    cli_progress_clear(&session->progress);
    free(values);
    free(x);
    return result;
}

static int draw_density(cli_session *session, const density_options *options, size_t panel,
                        cli_picture *picture, findings *out)
{
    const double span = 10;
    size_t count = options->side * options->side;
    double *log_density = calloc(count, sizeof *log_density);
    int result = log_density ? evaluate(session, options, log_density)
                             : cli_error(session, CLI_FAILED, "no memory for %zu points", count);
    if (result == CLI_DONE) {
        double pixel = 2 * options->range / (double)options->side;
        out->largest = -INFINITY;
        for (size_t i = 0; i < count; i++) {
            out->integral += pixel * pixel * exp(log_density[i]);
            out->largest = cli_larger(out->largest, log_density[i]);
        }
        cli_picture_density(picture, panel, log_density, options->log ? span : 0);
    }
    free(log_density);
    return result;
}

static int draw_samples(cli_session *session, const density_options *options, size_t panel,
                        cli_picture *picture, findings *out)
{
    const irn_decode_options how = IRN_DECODE_OPTIONS_INIT;
    cli_samples z = {.count = 0};
    cli_decoding decoding = {.bounds = calloc(options->count, sizeof *decoding.bounds),
                             .certify = true};
    float *x = calloc(options->count, 2 * sizeof *x);
    int result = x && decoding.bounds
                     ? cli_draw_latents(session, options->count, 1, &z)
                     : cli_error(session, CLI_FAILED, "no memory for %zu samples", options->count);
    if (result == CLI_DONE)
        result = cli_decode(session, &z, &how, false, x, &decoding);
    if (result == CLI_DONE) {
        cli_inverse_report(session, &how, &decoding, z.count);
        cli_picture_points(picture, panel, x, z.count, options->range);
        out->inverse_error = decoding.proven ? 0 : NAN;
        for (size_t i = 0; i < z.count; i++)
            out->inverse_error = cli_larger(out->inverse_error, decoding.bounds[i]);
    }
    free(x);
    free(decoding.bounds);
    cli_samples_free(&z);
    return result;
}

static int draw(cli_session *session, const density_options *options, findings *out)
{
    size_t data = options->data != NULL;
    cli_picture picture;
    if (!cli_picture_create(&picture, data + 2, options->side))
        return cli_error(session, CLI_FAILED, "no memory for the picture");
    int result = data ? draw_data(session, options, &picture) : CLI_DONE;
    if (result == CLI_DONE)
        result = draw_density(session, options, data, &picture, out);
    if (result == CLI_DONE)
        result = draw_samples(session, options, data + 1, &picture, out);
    irn_status status = result == CLI_DONE ? cli_picture_write(&picture, options->out) : IRN_OK;
    cli_picture_free(&picture);
    return status == IRN_OK ? result : cli_fail(session, status);
}

static int print_json(cli_session *session, const density_options *options, const findings *values)
{
    cli_json json;
    cli_json_begin(&json, false);
    cli_json_number(&json, json.root, "range", options->range);
    cli_json_number(&json, json.root, "size", (double)options->side);
    cli_json_number(&json, json.root, "integral", values->integral);
    cli_json_number(&json, json.root, "max_log_density", values->largest);
    cli_json_number(&json, json.root, "samples", (double)options->count);
    cli_json_number(&json, json.root, "max_bound", values->inverse_error);
    return cli_json_print(session, &json);
}

static int check_model(cli_session *session)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    if (!cli_is_plane(session))
        return cli_error(session, CLI_FAILED,
                         "%s: takes %zux%zux%zu; densities are drawn of points in the plane, 2x1x1",
                         session->model_path, config->channels, config->height, config->width);
    return cli_check_prior(session);
}

static int density(cli_session *session, const density_options *options)
{
    findings found = {.integral = 0};
    int result = check_model(session);
    if (result == CLI_DONE)
        result = draw(session, options, &found);
    if (result == CLI_DONE && session->common.json)
        return print_json(session, options, &found);
    if (result == CLI_DONE)
        printf("integral over [-%g, %g]^2  %.5f\nlargest log density       %.4f\n", options->range,
               options->range, found.integral, found.largest);
    return result;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    density_options options = {.side = 400, .count = 10000, .range = 4.5};
    cli_group groups[] = {{.title = "Picture",
                           .options = density_table,
                           .count = sizeof density_table / sizeof *density_table,
                           .values = &options},
                          cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_SEED |
                                                                CLI_WITH_JSON | CLI_WITH_QUIET)};
    cli_operands operands = {.names = "MODEL", .least = 1, .most = 1};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 2, argc, argv, &operands, &result))
        return result;
    if (!options.out)
        return cli_usage(self, "--out is needed");
    if (strcmp(options.out, "-") == 0)
        return cli_usage(self, "--out: standard output is taken by the numbers");
    const cli_file file = {"out", options.out, {".png"}};
    result = cli_check_files(&session, &file, 1);
    if (result != CLI_DONE)
        return result;
    cli_progress_init(&session.progress, session.common.quiet);
    result = cli_session_model(&session, operands.values[0]);
    if (result == CLI_DONE)
        result = density(&session, &options);
    cli_session_close(&session);
    return result;
}

const cli_command cli_command_density = {
    .name = "density",
    .summary = "draw the density of a model of points in the plane",
    .synopsis = "MODEL --out X.png [options]",
    .about =
        "Draws, from left to right: data, if given; the learned density, evaluated exactly at\n"
        "each pixel's centre; and samples of the model. Brightness is a share of each\n"
        "panel's largest value. The integral of the density over the square is printed: a\n"
        "density all of whose mass lies inside has 1.\n",
    .examples = "  iresnet density run/model.safetensors --data toy:8gaussians --out density.png\n",
    .run = run,
};
