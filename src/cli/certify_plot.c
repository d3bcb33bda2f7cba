/* Certificates as pictures. */
#include "certify.h"
#include "chart.h"
#include "output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TITLE = 200, LABEL = 48 };

/* What bounds are compared with: 1 or --below, and a model's coefficient. Labels are the caller's,
 * because a chart only points at them. */
static size_t add_limits(const certification *self, chart_mark marks[CHART_MARKS],
                         char labels[CHART_MARKS][LABEL])
{
    const irn_model_config *config =
        self->is_model ? irn_model_get_config(self->session.model) : NULL;
    double limit = self->is_model ? 1 : self->options.weights.below;
    size_t count = 0;
    char text[CLI_BOUND_TEXT];
    if (config && config->coefficient > 0) {
        snprintf(labels[count], LABEL, "c = %s", cli_exact(text, config->coefficient));
        marks[count] = (chart_mark){config->coefficient, labels[count], false};
        count++;
    }
    snprintf(labels[count], LABEL, "%s", cli_exact(text, limit));
    marks[count] = (chart_mark){limit, labels[count], true};
    count++;
    return count;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static const char *verdict_text(const certification *self)
{
    return irn_certificate_verdict(self->certificate) ? "certified" : "not certified";
}

static int write_canvas(certification *self, cli_canvas *canvas, bool drawn)
{
    cli_session *session = &self->session;
    if (!drawn)
        return cli_error(session, CLI_FAILED, "no memory for the picture");
    irn_status status = cli_canvas_write(canvas, self->options.plot);
    cli_canvas_free(canvas);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

/* ---- all layers ---- */

static void fill_bars(const certification *self, chart_bar *bars)
{
    const irn_certificate *certificate = self->certificate;
    size_t layers = irn_certificate_layer_count(certificate);
    size_t blocks = irn_certificate_block_count(certificate);
    for (size_t i = 0; i < layers; i++) {
        irn_layer_bound layer = irn_certificate_layer(certificate, i);
        bars[i] = (chart_bar){.name = layer.name,
                              .lower = layer.bound.lower,
                              .upper = layer.bound.upper,
                              .group = blocks > 0 ? i / (layers / blocks) : 0};
    }
}

static int draw_layers(certification *self, chart_bar *bars, double *products)
{
    const irn_certificate *certificate = self->certificate;
    char title[TITLE], labels[CHART_MARKS][LABEL];
    chart_bars chart = {.title = title,
                        .bars = bars,
                        .count = irn_certificate_layer_count(certificate),
                        .products = self->is_model ? products : NULL};
    for (size_t i = 0; i < irn_certificate_block_count(certificate); i++)
        products[i] = irn_certificate_block(certificate, i).lipschitz_upper;
    fill_bars(self, bars);
    chart.mark_count = add_limits(self, chart.marks, labels);
    snprintf(title, sizeof title, "Norms of the layers of %.100s: %s", base_name(self->path),
             verdict_text(self));
    cli_canvas canvas;
    return write_canvas(self, &canvas, chart_draw_bars(&canvas, &chart));
}

static int plot_layers(certification *self)
{
    size_t layers = irn_certificate_layer_count(self->certificate);
    if (layers > CHART_MOST_BARS)
        return cli_error(&self->session, CLI_FAILED,
                         "--plot: %zu layers are more than the %d that a picture can show; "
                         "--only chooses some",
                         layers, CHART_MOST_BARS);
    chart_bar *bars = calloc(layers, sizeof *bars);
    double *products = calloc(layers, sizeof *products); /* blocks are not more than layers */
    int result = bars && products
                     ? draw_layers(self, bars, products)
                     : cli_error(&self->session, CLI_FAILED, "no memory for the picture");
    free(bars);
    free(products);
    return result;
}

/* ---- one layer ---- */

static int larger_first(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static int higher_first(const void *a, const void *b)
{
    const chart_mark *x = a, *y = b;
    return larger_first(&x->value, &y->value);
}

static irn_layer_bound plotted_layer(const certification *self)
{
    size_t count = irn_certificate_layer_count(self->certificate);
    for (size_t i = 0; i < count; i++) {
        irn_layer_bound layer = irn_certificate_layer(self->certificate, i);
        if (strcmp(layer.name, self->options.layer) == 0)
            return layer;
    }
    return (irn_layer_bound){.name = NULL};
}

/* values: a copy, to be sorted. */
static int draw_spectrum(certification *self, double *values, size_t count)
{
    irn_layer_bound layer = plotted_layer(self);
    const irn_kernel_shape *shape = &layer.shape;
    char title[TITLE], subtitle[TITLE], labels[CHART_MARKS][LABEL], upper[CLI_BOUND_TEXT];
    chart_spectrum chart = {.title = title, .subtitle = subtitle, .values = values, .count = count};
    qsort(values, count, sizeof *values, larger_first);
    chart.mark_count = add_limits(self, chart.marks, labels);
    if (layer.name && isfinite(layer.bound.upper)) {
        size_t place = chart.mark_count++;
        snprintf(labels[place], LABEL, "norm <= %s", cli_bound_upper(upper, layer.bound.upper));
        chart.marks[place] = (chart_mark){layer.bound.upper, labels[place], false};
    }
    qsort(chart.marks, chart.mark_count, sizeof *chart.marks, higher_first);
    snprintf(title, sizeof title, "%.80s of %.80s", self->options.layer, base_name(self->path));
    snprintf(subtitle, sizeof subtitle, "%zu singular values on the %zux%zu torus%s", count,
             self->values.shape[0], self->values.shape[1],
             layer.name && shape->padding == IRN_PAD_ZEROS &&
                     shape->kernel_height * shape->kernel_width > 1
                 ? "; the layer pads with zeros"
                 : "");
    cli_canvas canvas;
    return write_canvas(self, &canvas, chart_draw_spectrum(&canvas, &chart));
}

static int plot_spectrum(certification *self)
{
    size_t count = irn_array_count(&self->values);
    double *values = malloc(count * sizeof *values);
    if (!values)
        return cli_error(&self->session, CLI_FAILED, "no memory for %zu singular values", count);
    memcpy(values, self->values.data, count * sizeof *values);
    int result = draw_spectrum(self, values, count);
    free(values);
    return result;
}

int certify_plot(certification *self)
{
    return self->options.layer ? plot_spectrum(self) : plot_layers(self);
}
