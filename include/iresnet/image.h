/* Pictures: a batch of images as a grid in a PNG file, and plain 8-bit pictures. */
#ifndef IRESNET_IMAGE_H
#define IRESNET_IMAGE_H

#include <iresnet/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes 8-bit pixels, row-major [height, width, channels], channels 1 (grey) or 3 (RGB), as PNG;
 * whole or not at all; "-" is standard output. Errors: IRN_ERROR_ARGUMENT, IRN_ERROR_FILE. */
IRN_API irn_status irn_png_write(const uint8_t *pixels, size_t height, size_t width,
                                 size_t channels, const char *path);

/* Draws images [count, channels, height, width], channels 1 or 3, as a grid of `columns` columns
 * (0: about square) with a one-pixel gap, each pixel enlarged to scale x scale (0: so that an image
 * is at least 56 pixels wide). Values low..high become black..white, clipped; NaN is drawn red. */
IRN_API irn_status irn_png_write_grid(const float *images, size_t count, size_t channels,
                                      size_t height, size_t width, float low, float high,
                                      size_t columns, size_t scale, const char *path);

/* Whether irn_png_write_grid() could draw so many; the same errors, before there are images. */
IRN_API irn_status irn_png_check_grid(size_t count, size_t channels, size_t height, size_t width,
                                      size_t columns, size_t scale);

#ifdef __cplusplus
}
#endif

#endif
