#include <iresnet/image.h>

#include "io/file.h"

#include <math.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>

/* libpng's own default limit of a side, and a bound on the pixels held in memory. */
#define SIDE_LIMIT 1000000
#define BYTES_LIMIT ((size_t)(SIZE_MAX > UINT32_MAX ? UINT64_C(4) << 30 : UINT64_C(1) << 30))

typedef struct picture {
    const uint8_t *pixels;
    size_t height, width, channels;
} picture;

typedef struct sink {
    irn_writer *writer;
    irn_status status;
    const char *path;
} sink;

static void on_error(png_structp png, png_const_charp words)
{
    sink *out = png_get_error_ptr(png);
    /* A failed write has its sentence already. */
    if (out->status == IRN_OK)
        out->status = irn_fail(IRN_ERROR_FILE, "%s: libpng: %s", out->path, words);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp words)
{
    (void)png;
    (void)words;
}

static void on_write(png_structp png, png_bytep data, size_t size)
{
    sink *out = png_get_io_ptr(png);
    out->status = irn_writer_write(out->writer, data, size);
    if (out->status != IRN_OK)
        png_error(png, "write");
}

/* The writer flushes at its commit. */
static void on_flush(png_structp png)
{
    (void)png;
}

static void write_rows(png_structp png, png_infop info, const picture *image)
{
    png_set_IHDR(png, info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (size_t y = 0; y < image->height; y++)
        png_write_row(png, image->pixels + y * image->width * image->channels);
    png_write_end(png, info);
}

static irn_status encode(const picture *image, sink *out)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, out, on_error, on_warning);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    if (!info) {
        png_destroy_write_struct(&png, NULL);
        return out->status != IRN_OK ? out->status
                                     : irn_fail(IRN_ERROR_MEMORY, "%s: no memory", out->path);
    }
    png_set_write_fn(png, out, on_write, on_flush);
    /* libpng comes back here from on_error(); what is used below did not change since. */
    if (setjmp(png_jmpbuf(png)) == 0)
        write_rows(png, info, image);
    png_destroy_write_struct(&png, &info);
    return out->status;
}

static irn_status check_size(size_t height, size_t width, size_t channels)
{
    size_t bytes, sizes[] = {height, width, channels};
    if (channels != 1 && channels != 3)
        return irn_fail(IRN_ERROR_ARGUMENT, "a picture of %zu channels; 1 and 3 can be drawn",
                        channels);
    if (height == 0 || width == 0 || height > SIDE_LIMIT || width > SIDE_LIMIT ||
        !irn_product(&bytes, sizes, 3) || bytes > BYTES_LIMIT)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "a picture of %zu x %zu pixels; sides are 1 to %d, and the limit is %zu "
                        "bytes of pixels",
                        width, height, SIDE_LIMIT, BYTES_LIMIT);
    return IRN_OK;
}

irn_status irn_png_write(const uint8_t *pixels, size_t height, size_t width, size_t channels,
                         const char *path)
{
    IRN_TRY(check_size(height, width, channels));
    if (!pixels)
        return irn_fail(IRN_ERROR_ARGUMENT, "irn_png_write: no pixels");
    picture image = {pixels, height, width, channels};
    sink out = {.status = IRN_OK, .path = path};
    IRN_TRY(irn_writer_open(&out.writer, path));
    irn_status status = encode(&image, &out);
    if (status == IRN_OK)
        return irn_writer_commit(out.writer);
    irn_writer_discard(out.writer);
    return status;
}

/* Images on a canvas, with one pixel between them. */
typedef struct grid {
    size_t count, channels, height, width; /* of the images */
    size_t columns, rows, scale;
    double low, range;
    uint8_t *canvas; /* [canvas_height, canvas_width, canvas_channels] */
    size_t canvas_height, canvas_width, canvas_channels;
} grid;

static uint8_t shade(const grid *in, float value)
{
    double part = ((double)value - in->low) / in->range;
    return (uint8_t)(part <= 0.0 ? 0 : part >= 1.0 ? 255 : (int)(part * 255.0 + 0.5));
}

/* The colour of pixel (y, x) of an image [channels, height, width]. */
static void colour(const grid *in, const float *image, size_t y, size_t x, uint8_t out[3])
{
    bool is_nan = false;
    for (size_t c = 0; c < 3; c++) {
        size_t channel = in->channels == 3 ? c : 0;
        float value = image[(channel * in->height + y) * in->width + x];
        is_nan = is_nan || isnan(value);
        out[c] = is_nan ? 0 : shade(in, value);
    }
    static const uint8_t red[3] = {255, 0, 0};
    if (is_nan)
        memcpy(out, red, sizeof red);
}

static void draw_image(const grid *in, const float *image, size_t top, size_t left)
{
    uint8_t rgb[3];
    for (size_t y = 0; y < in->height * in->scale; y++)
        for (size_t x = 0; x < in->width * in->scale; x++) {
            colour(in, image, y / in->scale, x / in->scale, rgb);
            size_t pixel = (top + y) * in->canvas_width + left + x;
            memcpy(in->canvas + pixel * in->canvas_channels, rgb, in->canvas_channels);
        }
}

static bool contains_nan(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (isnan(values[i]))
            return true;
    return false;
}

/* size = count cells of side x scale pixels and the gaps between them; false beyond the limit. */
static bool canvas_side(size_t *size, size_t count, size_t side, size_t scale)
{
    if (side > SIDE_LIMIT / scale || count > SIDE_LIMIT / (side * scale + 1) + 1)
        return false;
    *size = count * (side * scale + 1) - 1;
    return true;
}

/* Fills in what follows from the caller's choices. */
static irn_status lay_out(grid *in, size_t columns, size_t scale)
{
    size_t total, sizes[] = {in->count, in->channels, in->height, in->width};
    if (in->count == 0 || in->height == 0 || in->width == 0 || in->height > SIDE_LIMIT ||
        in->width > SIDE_LIMIT || scale > SIDE_LIMIT || !irn_product(&total, sizes, 4))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "a grid of %zu images of %zu x %zu pixels, enlarged %zu times; nothing may "
                        "be 0, and the limit of sides and scale is %d",
                        in->count, in->width, in->height, scale, SIDE_LIMIT);
    const size_t clear_width = 56;
    in->scale = scale > 0 ? scale : (clear_width + in->width - 1) / in->width;
    in->columns = columns > 0 ? columns : (size_t)ceil(sqrt((double)in->count));
    if (in->columns > in->count)
        in->columns = in->count;
    in->rows = (in->count + in->columns - 1) / in->columns;
    if (!canvas_side(&in->canvas_width, in->columns, in->width, in->scale) ||
        !canvas_side(&in->canvas_height, in->rows, in->height, in->scale))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "a grid of %zu x %zu images of %zu x %zu pixels, enlarged %zu times, is "
                        "above the limit of %d pixels a side",
                        in->columns, in->rows, in->width, in->height, in->scale, SIDE_LIMIT);
    return check_size(in->canvas_height, in->canvas_width, in->canvas_channels);
}

static irn_status check_channels(size_t channels)
{
    if (channels != 1 && channels != 3)
        return irn_fail(IRN_ERROR_ARGUMENT, "images of %zu channels; 1 and 3 can be drawn",
                        channels);
    return IRN_OK;
}

irn_status irn_png_check_grid(size_t count, size_t channels, size_t height, size_t width,
                              size_t columns, size_t scale)
{
    grid in = {.count = count,
               .channels = channels,
               .height = height,
               .width = width,
               .canvas_channels = 3};
    IRN_TRY(check_channels(channels));
    return lay_out(&in, columns, scale);
}

irn_status irn_png_write_grid(const float *images, size_t count, size_t channels, size_t height,
                              size_t width, float low, float high, size_t columns, size_t scale,
                              const char *path)
{
    IRN_TRY(check_channels(channels));
    if (!images)
        return irn_fail(IRN_ERROR_ARGUMENT, "images without values cannot be drawn");
    if (!isfinite(low) || !isfinite(high) || !(low < high))
        return irn_fail(IRN_ERROR_ARGUMENT, "black at %g and white at %g: need low < high",
                        (double)low, (double)high);
    grid in = {.count = count,
               .channels = channels,
               .height = height,
               .width = width,
               .low = (double)low,
               .range = (double)high - (double)low,
               .canvas_channels = 3};
    IRN_TRY(lay_out(&in, columns, scale));
    size_t size = channels * height * width;
    in.canvas_channels = channels == 3 || contains_nan(images, count * size) ? 3 : 1;
    size_t bytes = in.canvas_height * in.canvas_width * in.canvas_channels;
    IRN_TRY(irn_alloc(&in.canvas, bytes, 1));
    const int gap = 128;
    memset(in.canvas, gap, bytes);
    for (size_t i = 0; i < count; i++)
        draw_image(&in, images + i * size, i / in.columns * (height * in.scale + 1),
                   i % in.columns * (width * in.scale + 1));
    irn_status status =
        irn_png_write(in.canvas, in.canvas_height, in.canvas_width, in.canvas_channels, path);
    free(in.canvas);
    return status;
}
