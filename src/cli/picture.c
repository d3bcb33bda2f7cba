#include "picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double pi = 3.14159265358979323846;

static size_t gap_of(size_t side)
{
    return side / 40 + 1;
}

bool cli_picture_create(cli_picture *picture, size_t panels, size_t side)
{
    size_t gap = gap_of(side);
    picture->side = side;
    picture->height = side + 2 * gap;
    picture->width = panels * (side + gap) + gap;
    size_t bytes = picture->height * picture->width * 3;
    picture->pixels = malloc(bytes);
    picture->map = calloc(side * side, sizeof *picture->map);
    if (!picture->pixels || !picture->map) {
        cli_picture_free(picture);
        return false;
    }
    const int paper = 255;
    memset(picture->pixels, paper, bytes);
    return true;
}

void cli_picture_free(cli_picture *picture)
{
    free(picture->pixels);
    free(picture->map);
    picture->pixels = NULL;
    picture->map = NULL;
}

irn_status cli_picture_write(const cli_picture *picture, const char *path)
{
    return irn_png_write(picture->pixels, picture->height, picture->width, 3, path);
}

static uint8_t to_srgb(double linear)
{
    linear = fmin(fmax(linear, 0), 1);
    double value = linear <= 0.0031308 ? 12.92 * linear : 1.055 * pow(linear, 1 / 2.4) - 0.055;
    return (uint8_t)lrint(255 * value);
}

/* Oklab (Ottosson 2020) to sRGB. */
static void oklab_to_rgb(double lightness, double a, double b, uint8_t rgb[3])
{
    static const double to_cone[3][2] = {{0.3963377774, 0.2158037573},
                                         {-0.1055613458, -0.0638541728},
                                         {-0.0894841775, -1.2914855480}};
    static const double to_linear[3][3] = {{4.0767416621, -3.3077115913, 0.2309699292},
                                           {-1.2684380046, 2.6097574011, -0.3413193965},
                                           {-0.0041960863, -0.7034186147, 1.7076147010}};
    double cone[3];
    for (int i = 0; i < 3; i++)
        cone[i] = pow(lightness + to_cone[i][0] * a + to_cone[i][1] * b, 3);
    for (int i = 0; i < 3; i++)
        rgb[i] = to_srgb(to_linear[i][0] * cone[0] + to_linear[i][1] * cone[1] +
                         to_linear[i][2] * cone[2]);
}

/* Lightness rises evenly, so that equal steps look equal and a grey print keeps the order; the hue
 * goes from blue over red to yellow, in the spirit of inferno. */
void cli_colour(double share, uint8_t rgb[3])
{
    share = share > 0 ? fmin(share, 1) : 0;
    double lightness = 0.13 + 0.84 * share;
    double chroma = 0.05 + 0.05 * share + 0.15 * sin(pi * share);
    double hue = (-75 + 180 * share) * pi / 180;
    oklab_to_rgb(lightness, chroma * cos(hue), chroma * sin(hue), rgb);
}

double cli_pixel_centre(size_t index, size_t side, double range)
{
    return range * ((2 * (double)index + 1) / (double)side - 1);
}

/* Colours the map, whose values are shares. */
static void paint(cli_picture *picture, size_t panel)
{
    size_t side = picture->side, gap = gap_of(side), left = gap + panel * (side + gap);
    for (size_t y = 0; y < side; y++)
        for (size_t x = 0; x < side; x++)
            cli_colour(picture->map[y * side + x],
                       picture->pixels + ((gap + y) * picture->width + left + x) * 3);
}

static double largest(const double *values, size_t count)
{
    double found = -INFINITY;
    for (size_t i = 0; i < count; i++)
        found = fmax(found, values[i]);
    return found;
}

void cli_picture_density(cli_picture *picture, size_t panel, const double *log_density, double span)
{
    size_t count = picture->side * picture->side;
    double top = largest(log_density, count);
    for (size_t i = 0; i < count; i++) {
        double below = log_density[i] - top;
        picture->map[i] = span > 0 ? 1 + below / span : exp(below);
    }
    paint(picture, panel);
}

/* Adds a Gaussian of the given width, in pixels, around (x, y), also in pixels. */
static void add_blot(double *map, size_t side, double x, double y, double width)
{
    double reach = 3 * width, last = (double)side - 1;
    if (!(x > -reach && x < last + reach && y > -reach && y < last + reach))
        return;
    size_t x0 = (size_t)fmax(ceil(x - reach), 0), x1 = (size_t)fmin(floor(x + reach), last);
    size_t y0 = (size_t)fmax(ceil(y - reach), 0), y1 = (size_t)fmin(floor(y + reach), last);
    for (size_t row = y0; row <= y1; row++)
        for (size_t column = x0; column <= x1; column++) {
            double dx = (double)column - x, dy = (double)row - y;
            map[row * side + column] += exp(-(dx * dx + dy * dy) / (2 * width * width));
        }
}

/* A kernel density estimate's best width falls with n^(-1/6) in the plane (Scott 1992); few points
 * are to look like points all the same, and no blot is to fall between the pixels. */
static double blot_width(size_t side, size_t count)
{
    double share = fmin(0.045 * pow((double)count, -1.0 / 6), 0.0125);
    return fmax(share * (double)side, 0.7);
}

void cli_picture_points(cli_picture *picture, size_t panel, const float *points, size_t count,
                        double range)
{
    size_t side = picture->side;
    double scale = (double)side / (2 * range), width = blot_width(side, count);
    memset(picture->map, 0, side * side * sizeof *picture->map);
    for (size_t i = 0; i < count; i++)
        add_blot(picture->map, side, ((double)points[2 * i] + range) * scale - 0.5,
                 (range - (double)points[2 * i + 1]) * scale - 0.5, width);
    double top = largest(picture->map, side * side);
    for (size_t i = 0; top > 0 && i < side * side; i++)
        picture->map[i] /= top;
    paint(picture, panel);
}
