/* Pictures of densities and points in the plane: square panels side by side, each a map of a
 * quantity from 0 to its largest value, dark to bright. */
#ifndef IRN_CLI_PICTURE_H
#define IRN_CLI_PICTURE_H

#include <iresnet/image.h>

#include <stdbool.h>

typedef struct cli_picture {
    uint8_t *pixels; /* RGB, [height, width, 3] */
    double *map;     /* of one panel, [side, side] */
    size_t side, height, width;
} cli_picture;

/* Returns false without memory. */
bool cli_picture_create(cli_picture *picture, size_t panels, size_t side);
void cli_picture_free(cli_picture *picture);
irn_status cli_picture_write(const cli_picture *picture, const char *path);

/* Draws a density at the pixels' centres, given as its logarithm [side, side] with the upper row
 * first: as a share of its largest value, or its logarithm over `span` nats below that (0: no). */
void cli_picture_density(cli_picture *picture, size_t panel, const double *log_density,
                         double span);

/* Draws where points [count, 2] of the square [-range, range]^2 are dense: a histogram in which
 * each point is a blot a few pixels wide. */
void cli_picture_points(cli_picture *picture, size_t panel, const float *points, size_t count,
                        double range);

/* The coordinates of a pixel's centre in [-range, range]. */
double cli_pixel_centre(size_t index, size_t side, double range);

/* The colour of a share of 0..1 (clipped; NaN as 0). */
void cli_colour(double share, uint8_t rgb[3]);

#endif
