/* The density that a model with a prior has: log p(x) = log p(z) + log|det dF/dx| with z = F(x)
 * (Behrmann et al. 2019, section 4), and what it generates. */
#ifndef IRESNET_DENSITY_H
#define IRESNET_DENSITY_H

#include <iresnet/model.h>
#include <iresnet/roulette.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How log-determinants of blocks are evaluated: from the whole Jacobian, by an LU decomposition (up
 * to 4,096 dimensions a block); by the power series cut off after some terms, which is biased; or
 * by the series with a random number of terms, which is not but for those behind the 64th (Chen et
 * al. 2019, "Residual Flows", theorem 1). AUTO: exact up to 64 dimensions a block, else roulette.
 */
typedef enum irn_logdet_method {
    IRN_LOGDET_AUTO,
    IRN_LOGDET_EXACT,
    IRN_LOGDET_SERIES,
    IRN_LOGDET_ROULETTE
} irn_logdet_method;

typedef struct irn_density_options {
    uint32_t version; /* IRN_DENSITY_OPTIONS_VERSION */
    irn_logdet_method method;
    size_t terms;         /* of the series, 1 to 1000; of roulette, those always taken, or 0 */
    size_t probes;        /* random vectors a sample and block, up to 1024; at least 2 for standard
                             errors */
    bool gaussian_probes; /* standard normal ones; false: +1 and -1 */
    irn_roulette_kind roulette;
    double roulette_parameter; /* p or lambda; 0: lambda 2, or p = (1 - L^2)/2 for the largest
                                  certified L of a block, from 0.05 to 0.5; uncertified: 0.5 */
    uint64_t seed;             /* of probes, roulette and dequantisation */
    bool dequantise;           /* x has the model's discrete levels, to which uniform noise is added
                                  (other values are refused);
                                  false, or a model of continuous data: x is taken as it is */
    irn_progress progress;     /* may be NULL; counts samples */
    void *progress_payload;
} irn_density_options;

#define IRN_DENSITY_OPTIONS_VERSION 1
#define IRN_DENSITY_OPTIONS_INIT                                                                   \
    {                                                                                              \
        IRN_DENSITY_OPTIONS_VERSION, IRN_LOGDET_AUTO, 10, 4, false, IRN_ROULETTE_GEOMETRIC, 0, 0,  \
            true, NULL, NULL                                                                       \
    }

/* Of one sample, in nats. */
typedef struct irn_log_density {
    double log_prior;      /* log p(z) */
    double logdet;         /* log|det dF/dx|, actnorm and logit transform included */
    double standard_error; /* of logdet over the probes; 0 if exact, NaN of a single probe */
    double logdet_lower, logdet_upper; /* lemma 7's interval of logdet by the certified bounds of
                                          the blocks; infinite where a block has none */
    double truncation_upper; /* theorem 3: how far the expectation of the series may be from logdet;
                                0 if exact; with roulette, of the terms beyond its cap */
    double series_error_upper; /* theorem 3 for the series of options->terms terms, whatever the
                                  method */
} irn_log_density;

/* out [batch] for x [batch, channels, height, width]; z [batch, D] may be NULL. log p(x) is
 * log_prior + logdet; with discrete levels bits per dimension are -log p(x) / (D ln 2) +
 * log2(levels). Batches are split to fit; noise, probes and roulette depend on a sample's place in
 * the batch alone, and errors of different samples are independent, so that the standard deviation
 * of many samples' log p(x) has the estimates' errors in it. actnorm's first values are taken as in
 * irn_model_encode(). options NULL: defaults.
 * Errors: IRN_ERROR_UNSUPPORTED (no prior, coefficient not in (0, 1), or a block of too many
 * dimensions for exact values), IRN_ERROR_ARGUMENT (options; values to be dequantised that are
 * not on the model's levels in [-0.5, 0.5]), IRN_ERROR_NUMERIC, IRN_ERROR_MEMORY, IRN_ERROR_DEVICE,
 * IRN_ERROR_CANCELLED. */
IRN_API irn_status irn_model_log_density(irn_model *model, const float *x, size_t batch,
                                         const irn_density_options *options, irn_log_density *out,
                                         float *z);

/* How a model's log-determinants are evaluated with given options (NULL: defaults): the method, not
 * AUTO, and roulette's parameter. finite: its variance is proven finite by the certified bounds. */
typedef struct irn_logdet_plan {
    irn_logdet_method method;
    irn_roulette_kind roulette;
    double parameter;
    bool finite;
} irn_logdet_plan;
IRN_API irn_logdet_plan irn_model_plan_logdet(const irn_model *model,
                                              const irn_density_options *options);

/* z [count, D] drawn from the prior, standard deviations times `temperature` >= 0; the samples
 * first, first + 1, ... of the seed. Errors: IRN_ERROR_UNSUPPORTED (no prior),
 * IRN_ERROR_ARGUMENT. */
IRN_API irn_status irn_model_draw_latents(irn_model *model, uint64_t seed, size_t first,
                                          size_t count, double temperature, float *z);

#ifdef __cplusplus
}
#endif

#endif
