/* Why a residual block must be a contraction to be inverted, after the idea of figure 1 of Behrmann
 * et al. (2019): the paths that values of the interval [-pi, pi] take through the depth of an
 * ordinary residual network (left) and of an i-ResNet (right). Both learn whether cos 2x > 0.
 *
 * The ordinary network folds the line to bring the intervals of one class together: paths cross and
 * merge, and nobody can tell where a value came from. A block with Lip(g) < 1 keeps values in
 * order, all values and not only those drawn, which a certificate proves; so on a line the i-ResNet
 * can do no better than to stretch a part of it.
 *
 * Blocks are trained one after the other, each as a model of its own, so that the values between
 * them can be seen. A straight line joins x to F(x). Each depth is shifted and scaled to the height
 * of the picture, which changes no order.
 *
 * Usage: figure1 PICTURE.png. Exit status: 0; 1 if something failed; 2 usage; 3 if paths cross
 * where they must not, or nowhere, or the proof fails. */
#include <iresnet/iresnet.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCKS = 6, STEPS = 100, SAMPLES = 256, PATHS = 49 };

static const float pi = 3.14159265F;

/* values[d]: after d blocks; first those that are drawn, then those that are learned from. */
typedef struct network {
    double coefficient; /* 0: ordinary */
    bool certified;     /* all blocks */
    float values[BLOCKS + 1][PATHS + SAMPLES];
} network;

static void spread(float *values, int count)
{
    for (int i = 0; i < count; i++)
        values[i] = pi * (2 * ((float)i + 0.5F) / (float)count - 1);
}

static irn_status create_block(irn_model **out, irn_context *context, double coefficient)
{
    irn_model_config config;
    irn_status status = irn_model_config_init(&config, NULL);
    if (status != IRN_OK)
        return status;
    config.channels = config.height = config.width = 1;
    config.widths[0] = 32;
    for (size_t i = 0; i < config.layers; i++)
        config.kernels[i] = 1;
    config.activation = IRN_TANH;
    config.actnorm = false;
    config.classes = 2;
    config.coefficient = coefficient;
    return irn_model_create(out, context, &config);
}

static irn_status train_block(irn_model *block, const float *samples, const int *labels)
{
    irn_train_options options;
    irn_trainer *trainer = NULL;
    irn_step_report report;
    irn_status status = irn_train_options_init(&options, NULL);
    if (status != IRN_OK)
        return status;
    options.optimizer = IRN_ADAM;
    options.learning_rate = 0.01;
    options.warmup_steps = 0;
    options.weight_decay = 0;
    status = irn_trainer_create(&trainer, block, &options);
    for (int i = 0; i < STEPS && status == IRN_OK; i++)
        status = irn_trainer_step(trainer, samples, labels, SAMPLES, NULL);
    if (status == IRN_OK)
        status = irn_trainer_report(trainer, &report);
    if (status == IRN_OK)
        printf(" %.0f", 100 * report.accuracy);
    irn_trainer_free(trainer);
    return status;
}

static irn_status certify_block(irn_model *block, bool *certified)
{
    irn_certificate *certificate = NULL;
    irn_status status = irn_certify_model(&certificate, block, NULL);
    if (status == IRN_OK)
        *certified = irn_certificate_verdict(certificate);
    irn_certificate_free(certificate);
    return status;
}

static irn_status grow(network *self, irn_context *context)
{
    int labels[SAMPLES];
    irn_status status = IRN_OK;
    spread(self->values[0], PATHS);
    spread(self->values[0] + PATHS, SAMPLES);
    for (int i = 0; i < SAMPLES; i++)
        labels[i] = cosf(2 * self->values[0][PATHS + i]) > 0;
    printf("%s, accuracy after each block in %%:", self->coefficient > 0 ? "i-ResNet" : "ordinary");
    for (int depth = 0; depth < BLOCKS && status == IRN_OK; depth++) {
        irn_model *block = NULL;
        bool certified = false;
        status = create_block(&block, context, self->coefficient);
        if (status == IRN_OK)
            status = train_block(block, self->values[depth] + PATHS, labels);
        if (status == IRN_OK)
            status = irn_model_encode(block, self->values[depth], PATHS + SAMPLES,
                                      self->values[depth + 1]);
        if (status == IRN_OK)
            status = certify_block(block, &certified);
        self->certified = certified && (depth == 0 || self->certified);
        irn_model_free(block);
    }
    return status;
}

/* Pairs of neighbours that have changed places at some depth. */
static int count_crossings(const network *self)
{
    int count = 0;
    for (int depth = 1; depth <= BLOCKS; depth++)
        for (int i = 1; i < PATHS; i++)
            count += self->values[depth][i - 1] >= self->values[depth][i];
    return count;
}

enum { PANEL = 560, HEIGHT = 480, MARGIN = 24, WIDTH = 2 * PANEL };

static float canvas[HEIGHT][WIDTH][3];
static uint8_t pixels[HEIGHT][WIDTH][3];

typedef struct point {
    float x, y;
} point;

static float distance_to_segment(point p, point a, point b)
{
    float dx = b.x - a.x, dy = b.y - a.y, square = dx * dx + dy * dy;
    float along = square > 0 ? ((p.x - a.x) * dx + (p.y - a.y) * dy) / square : 0;
    along = fminf(fmaxf(along, 0), 1);
    return hypotf(a.x + along * dx - p.x, a.y + along * dy - p.y);
}

/* A pixel is covered by as much as the line reaches into a disc of radius 1/2 around it. */
static void draw_line(point a, point b, float thickness, const float color[3])
{
    int left = (int)fmaxf(fminf(a.x, b.x) - thickness, 0);
    int top = (int)fmaxf(fminf(a.y, b.y) - thickness, 0);
    int right = (int)fminf(fmaxf(a.x, b.x) + thickness + 1, WIDTH - 1);
    int bottom = (int)fminf(fmaxf(a.y, b.y) + thickness + 1, HEIGHT - 1);
    for (int y = top; y <= bottom; y++)
        for (int x = left; x <= right; x++) {
            float away = distance_to_segment((point){(float)x, (float)y}, a, b);
            float cover = fminf(fmaxf(thickness / 2 + 0.5F - away, 0), 1);
            for (int c = 0; c < 3; c++)
                canvas[y][x][c] += cover * (color[c] - canvas[y][x][c]);
        }
}

/* By where the path starts: a rainbow without its pale colours. */
static void color_of(int path, float color[3])
{
    static const float stops[5][3] = {{0.17F, 0.31F, 0.72F},
                                      {0.05F, 0.58F, 0.62F},
                                      {0.38F, 0.63F, 0.20F},
                                      {0.93F, 0.56F, 0.10F},
                                      {0.80F, 0.14F, 0.22F}};
    float place = 4 * (float)path / (PATHS - 1);
    int stop = path == PATHS - 1 ? 3 : (int)place;
    for (int c = 0; c < 3; c++)
        color[c] = stops[stop][c] + (place - (float)stop) * (stops[stop + 1][c] - stops[stop][c]);
}

/* The values of one depth from the lower margin to the upper one. */
static void stretch(float *heights, const float *values)
{
    float low = values[0], high = values[0];
    for (int i = 0; i < PATHS; i++) {
        low = fminf(low, values[i]);
        high = fmaxf(high, values[i]);
    }
    for (int i = 0; i < PATHS; i++)
        heights[i] =
            HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * (values[i] - low) / fmaxf(high - low, 1e-30F);
}

static void draw_network(const network *self, int panel)
{
    static const float grey[3] = {0.86F, 0.86F, 0.86F};
    float x[BLOCKS + 1], y[BLOCKS + 1][PATHS], color[3];
    for (int depth = 0; depth <= BLOCKS; depth++) {
        stretch(y[depth], self->values[depth]);
        x[depth] = (float)(panel * PANEL + MARGIN + depth * (PANEL - 2 * MARGIN) / BLOCKS);
        draw_line((point){x[depth], MARGIN}, (point){x[depth], HEIGHT - MARGIN}, 1, grey);
    }
    for (int i = 0; i < PATHS; i++) {
        color_of(i, color);
        for (int depth = 0; depth < BLOCKS; depth++)
            draw_line((point){x[depth], y[depth][i]}, (point){x[depth + 1], y[depth + 1][i]}, 1.5F,
                      color);
    }
}

static irn_status draw(const network networks[2], const char *path)
{
    for (int i = 0; i < HEIGHT * WIDTH * 3; i++)
        (&canvas[0][0][0])[i] = 1;
    draw_network(&networks[0], 0);
    draw_network(&networks[1], 1);
    for (int i = 0; i < HEIGHT * WIDTH * 3; i++)
        (&pixels[0][0][0])[i] = (uint8_t)lrintf(255 * (&canvas[0][0][0])[i]);
    return irn_png_write(&pixels[0][0][0], HEIGHT, WIDTH, 3, path);
}

int main(int count, char **arguments)
{
    static network networks[2] = {{.coefficient = 0}, {.coefficient = 0.9}};
    int crossings[2] = {0, 0};
    irn_context *context = NULL;
    if (count != 2) {
        fprintf(stderr, "usage: figure1 PICTURE.png\n");
        return 2;
    }
    irn_status status = irn_context_create(&context, NULL);
    for (int i = 0; i < 2 && status == IRN_OK; i++) {
        status = grow(&networks[i], context);
        crossings[i] = count_crossings(&networks[i]);
        if (status == IRN_OK)
            printf("; neighbours out of order: %d; %s\n", crossings[i],
                   networks[i].certified ? "certified" : "not certified");
    }
    if (status == IRN_OK)
        status = draw(networks, arguments[1]);
    if (status != IRN_OK)
        fprintf(stderr, "figure1: %s: %s\n", irn_status_text(status), irn_last_error());
    irn_context_free(context);
    if (status != IRN_OK)
        return EXIT_FAILURE;
    bool shown = crossings[0] > 0 && crossings[1] == 0 && networks[1].certified;
    return shown ? EXIT_SUCCESS : 3;
}
