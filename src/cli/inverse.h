/* From latents to images in a file, with their proven errors: what decode, sample and interpolate
 * share. */
#ifndef IRN_CLI_INVERSE_H
#define IRN_CLI_INVERSE_H

#include "cli.h"

typedef struct cli_inverse {
    const char *out, *errors;
    double tolerance;
    size_t max_iterations;
} cli_inverse;

#define CLI_INVERSE_INIT                                                                           \
    {                                                                                              \
        NULL, NULL, 1e-5, 1000                                                                     \
    }

/* The options --out, --errors, --tolerance and --max-iterations. */
cli_group cli_inverse_group(cli_inverse *options);

/* Loads the model and does the work, once the files asked for are known to be good. */
typedef int (*cli_inverse_work)(cli_session *session, const cli_inverse *options,
                                const void *payload);
int cli_inverse_main(cli_session *session, const char *model, const cli_inverse *options,
                     cli_inverse_work work, const void *payload);

/* Whether so many images can be drawn, if a picture is asked for. */
int cli_inverse_check_picture(cli_session *session, const cli_inverse *options, size_t count,
                              size_t columns);

/* Decodes z, writes the files and tells how good the inverses are. A picture has `columns` columns
 * (0: about as many as rows); of points in the plane it is a map of where they lie. */
int cli_inverse_run(cli_session *session, const cli_inverse *options, const cli_samples *z,
                    size_t columns);

/* Tells the largest proven error of count inverses, or that there is none. */
void cli_inverse_report(cli_session *session, const irn_decode_options *how,
                        const cli_decoding *decoding, size_t count);

/* Whether the model is of points in the plane. */
bool cli_is_plane(const cli_session *session);

/* Fails for a model without a prior, of which nothing can be drawn. */
int cli_check_prior(cli_session *session);

/* z [count, D] from the prior, standard deviations times `temperature`; freed by the caller. */
int cli_draw_latents(cli_session *session, size_t count, double temperature, cli_samples *z);

#endif
