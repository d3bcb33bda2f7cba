/* The network's two directions, in pieces with progress that counts samples. */
#include "cli.h"

enum { ENCODE_PIECE = 512, DECODE_PIECE = 256 }; /* samples at a time */

int cli_encode(cli_session *session, const cli_samples *x, float *z)
{
    size_t latent = irn_model_latent_size(session->model);
    cli_progress_begin(&session->progress, "encoding");
    for (size_t i = 0; i < x->count; i += ENCODE_PIECE) {
        size_t count = x->count - i < ENCODE_PIECE ? x->count - i : ENCODE_PIECE;
        irn_status status =
            irn_model_encode(session->model, x->values + i * x->size, count, z + i * latent);
        if (status == IRN_OK && !cli_progress_step(i + count, x->count, NULL, &session->progress))
            status = IRN_ERROR_CANCELLED;
        if (status != IRN_OK)
            return cli_fail(session, status);
    }
    cli_progress_clear(&session->progress);
    return CLI_DONE;
}

/* The library counts blocks, and from the first again for each batch that fits the device. */
typedef struct piece {
    cli_progress *progress;
    size_t first, count, total, shown; /* samples */
} piece;

static bool step(size_t blocks_done, size_t blocks, const char *what, void *payload)
{
    piece *self = payload;
    size_t done = self->first + self->count * blocks_done / blocks;
    self->shown = done > self->shown ? done : self->shown;
    return cli_progress_step(self->shown, self->total, what, self->progress);
}

/* bounds: NULL for none. */
static irn_status decode(cli_session *session, const cli_samples *z, irn_decode_options how,
                         float *x, double *bounds, size_t *iterations)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    size_t size = config->channels * config->height * config->width;
    piece part = {.progress = &session->progress, .total = z->count};
    how.progress = step;
    how.progress_payload = &part;
    *iterations = 0;
    for (size_t i = 0; i < z->count; i += DECODE_PIECE) {
        size_t steps = 0;
        part.first = i;
        part.count = z->count - i < DECODE_PIECE ? z->count - i : DECODE_PIECE;
        irn_status status =
            irn_model_decode(session->model, z->values + i * z->size, part.count, &how,
                             x + i * size, bounds ? bounds + i : NULL, &steps);
        if (status != IRN_OK)
            return status;
        *iterations = steps > *iterations ? steps : *iterations;
    }
    return IRN_OK;
}

int cli_decode(cli_session *session, const cli_samples *z, const irn_decode_options *how,
               bool must_prove, float *x, cli_decoding *out)
{
    cli_progress_begin(&session->progress, "decoding");
    irn_status status = decode(session, z, *how, x, out->bounds, &out->iterations);
    out->proven = status == IRN_OK;
    if ((status == IRN_ERROR_NOT_CERTIFIED || status == IRN_ERROR_UNSUPPORTED) && !must_prove)
        status = decode(session, z, *how, x, NULL, &out->iterations);
    cli_progress_clear(&session->progress);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}
