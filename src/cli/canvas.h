/* A picture to draw lines, bars and text on. */
#ifndef IRN_CLI_CANVAS_H
#define IRN_CLI_CANVAS_H

#include <iresnet/image.h>

#include <stdbool.h>

typedef struct cli_canvas {
    uint8_t *pixels; /* RGB, [height, width, 3] */
    size_t width, height;
} cli_canvas;

typedef struct cli_ink {
    uint8_t r, g, b;
} cli_ink;

/* White. Returns false without memory. */
bool cli_canvas_create(cli_canvas *canvas, size_t width, size_t height);
void cli_canvas_free(cli_canvas *canvas);
irn_status cli_canvas_write(const cli_canvas *canvas, const char *path);

/* Pixels left..right - 1, top..bottom - 1, as far as they are on the canvas. */
void cli_canvas_fill(cli_canvas *canvas, long left, long top, long right, long bottom, cli_ink ink);
/* The same with every other `dash` rows left out. */
void cli_canvas_dashes(cli_canvas *canvas, long left, long top, long right, long bottom, long dash,
                       cli_ink ink);
/* The same along the columns. */
void cli_canvas_dashes_across(cli_canvas *canvas, long left, long top, long right, long bottom,
                              long dash, cli_ink ink);

/* Text in a font of 5 x 7 dots and one for descenders, each scale x scale pixels; what is not ASCII
 * becomes '?'. (x, y) is the upper edge and, by align -1, 0, 1, the left end, the middle, or the
 * right end. */
void cli_canvas_text(cli_canvas *canvas, long x, long y, long scale, int align, cli_ink ink,
                     const char *text);
long cli_text_width(const char *text, long scale);
long cli_text_height(long scale);

#endif
