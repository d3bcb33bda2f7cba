/* The network's two directions, in pieces with progress that counts samples. */
#include "cli.h"

enum { ENCODE_PIECE = 512, DECODE_PIECE = 256 }; /* samples at a time */

/* irn_model_encode() or irn_model_predict(). */
typedef irn_status forward_call(irn_model *, const float *, size_t, float *);

/* out: [count][size]. */
static int forward(cli_session *session, forward_call *call, const char *what, const cli_samples *x,
                   size_t size, float *out)
{
    cli_progress_begin(&session->progress, what);
    for (size_t i = 0; i < x->count; i += ENCODE_PIECE) {
        size_t count = x->count - i < ENCODE_PIECE ? x->count - i : ENCODE_PIECE;
        irn_status status = call(session->model, x->values + i * x->size, count, out + i * size);
        if (status == IRN_OK && !cli_progress_step(i + count, x->count, NULL, &session->progress))
            status = IRN_ERROR_CANCELLED;
        if (status != IRN_OK)
            return cli_fail(session, status);
    }
    cli_progress_clear(&session->progress);
    return CLI_DONE;
}

int cli_encode(cli_session *session, const cli_samples *x, float *z)
{
    return forward(session, irn_model_encode, "encoding", x, irn_model_latent_size(session->model),
                   z);
}

int cli_predict(cli_session *session, const cli_samples *x, float *scores)
{
    return forward(session, irn_model_predict, "predicting", x,
                   irn_model_get_config(session->model)->classes, scores);
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

/* irn_model_decode() or irn_model_reconstruct(). */
typedef irn_status inverse_call(irn_model *, const float *, size_t, const irn_decode_options *,
                                float *, double *, size_t *);

/* bounds: NULL for none. */
static irn_status run(cli_session *session, inverse_call *invert, const cli_samples *source,
                      irn_decode_options how, float *x, double *bounds, size_t *iterations)
{
    const irn_model_config *config = irn_model_get_config(session->model);
    size_t size = config->channels * config->height * config->width;
    piece part = {.progress = &session->progress, .total = source->count};
    how.progress = step;
    how.progress_payload = &part;
    *iterations = 0;
    for (size_t i = 0; i < source->count; i += DECODE_PIECE) {
        size_t steps = 0;
        part.first = i;
        part.count = source->count - i < DECODE_PIECE ? source->count - i : DECODE_PIECE;
        irn_status status = invert(session->model, source->values + i * source->size, part.count,
                                   &how, x + i * size, bounds ? bounds + i : NULL, &steps);
        if (status != IRN_OK)
            return status;
        *iterations = steps > *iterations ? steps : *iterations;
    }
    return IRN_OK;
}

/* Bounds for this run alone: the file stays as it is. */
static irn_status certify(cli_session *session)
{
    irn_certify_options options = IRN_CERTIFY_OPTIONS_INIT;
    irn_certificate *certificate = NULL;
    options.progress = cli_progress_step;
    options.progress_payload = &session->progress;
    irn_status status = cli_session_check(session, IRN_CHECK_CERTIFICATES);
    if (status != IRN_OK)
        return status;
    cli_progress_begin(&session->progress, "certifying");
    status = irn_certify_model(&certificate, session->model, &options);
    cli_progress_clear(&session->progress);
    bool proven = status == IRN_OK && irn_certificate_verdict(certificate);
    irn_certificate_free(certificate);
    if (proven)
        cli_note(session,
                 "%s has no bounds; they have been proven now, and are not kept (see `iresnet "
                 "certify --out`)",
                 session->model_path);
    return status;
}

static int invert(cli_session *session, inverse_call *call, const char *what,
                  const cli_samples *source, const irn_decode_options *how, bool must_prove,
                  float *x, cli_decoding *out)
{
    cli_progress_begin(&session->progress, what);
    irn_status status = run(session, call, source, *how, x, out->bounds, &out->iterations);
    if (status == IRN_ERROR_NOT_CERTIFIED && out->certify) {
        status = certify(session);
        cli_progress_begin(&session->progress, what);
        if (status == IRN_OK)
            status = run(session, call, source, *how, x, out->bounds, &out->iterations);
    }
    out->proven = status == IRN_OK;
    if ((status == IRN_ERROR_NOT_CERTIFIED || status == IRN_ERROR_UNSUPPORTED) && !must_prove)
        status = run(session, call, source, *how, x, NULL, &out->iterations);
    cli_progress_clear(&session->progress);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

int cli_decode(cli_session *session, const cli_samples *z, const irn_decode_options *how,
               bool must_prove, float *x, cli_decoding *out)
{
    return invert(session, irn_model_decode, "decoding", z, how, must_prove, x, out);
}

int cli_reconstruct(cli_session *session, const cli_samples *x, float *back, cli_decoding *out)
{
    const irn_decode_options how = IRN_DECODE_OPTIONS_INIT;
    return invert(session, irn_model_reconstruct, "reconstructing", x, &how, false, back, out);
}
