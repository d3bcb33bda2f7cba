/* Invertible residual networks (Behrmann et al. 2019, "iR"): a chain of residual blocks
 * F(x) = x + g(x) whose linear layers are divided by max(1, sigma/c), so that Lip(g) < 1 and every
 * block, hence the network, can be inverted.
 *
 * A block: [squeeze 2x2 if its stride is 2], actnorm, then x + g(x) with g = convolutions with an
 * activation before each (none before the first of the network).
 * Arrays on the host are float, row-major [batch, channels, height, width]; the latent z is
 * [batch, D], D = padded channels x height x width of the input; the parts of a multi-scale network
 * follow each other in the order they split off. */
#ifndef IRESNET_MODEL_H
#define IRESNET_MODEL_H

#include <iresnet/context.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct irn_model irn_model;

typedef enum irn_activation {
    IRN_IDENTITY,
    IRN_ELU,
    IRN_RELU,
    IRN_TANH,
    IRN_SOFTPLUS,
    IRN_LIPSWISH /* x logistic(softplus(beta) x) / 1.1, beta trained (Chen et al. 2019, "Residual
                    Flows") */
} irn_activation;

typedef enum irn_padding { IRN_PAD_ZEROS, IRN_PAD_CIRCULAR } irn_padding;

/* The density of z, by which a model has one of x: none, standard normal, or a diagonal Gaussian
 * whose means and standard deviations are trained. */
typedef enum irn_prior { IRN_PRIOR_NONE, IRN_PRIOR_STANDARD, IRN_PRIOR_LEARNED } irn_prior;

#define IRN_MAX_STAGES 8
#define IRN_MAX_LAYERS 8
#define IRN_MIN_LOGIT 1e-6
#define IRN_MAX_LOGIT 0.49

/* The architecture. Limits are checked by irn_model_create(), which names the field and the limit.
 */
typedef struct irn_model_config {
    uint32_t version;               /* IRN_MODEL_CONFIG_VERSION */
    size_t channels, height, width; /* of the input; points of dimension D: D x 1 x 1 */
    bool init_squeeze;              /* squeeze the input once, before anything else */
    size_t pad_channels;            /* zero channels appended then (injective padding) */
    size_t stages;                  /* 1..IRN_MAX_STAGES */
    size_t blocks[IRN_MAX_STAGES];  /* blocks in a stage, at least 1 */
    size_t widths[IRN_MAX_STAGES];  /* channels inside the blocks of a stage */
    size_t strides[IRN_MAX_STAGES]; /* 1, or 2: the stage's first block squeezes */
    size_t layers;                  /* linear layers of a block, 1..IRN_MAX_LAYERS */
    size_t
        kernels[IRN_MAX_LAYERS]; /* their kernel sizes k (k x k, same-size); 1 on 1x1 maps: dense */
    irn_padding padding;
    irn_activation activation;
    bool actnorm;
    double coefficient;   /* c of iR eq. 2; 0: off, an ordinary residual network */
    size_t classes;       /* outputs of the classifier head; 0: no head */
    double norm_momentum; /* of the head's batch norm: running = (1-m) running + m batch */
    double sigma_epsilon; /* added to the divisor of k > 1 layers; 0 follows the paper, 1e-5
                             the official code */
    bool sigma_map_before_squeeze; /* power iteration of squeezing blocks on the map before the
                                      squeeze, as the official code does; false: on the real map */
    bool multiscale; /* half the channels leave as part of z after each stage but the last */
    irn_prior prior; /* a density needs all of x: no padded channels */
    size_t levels;   /* of discrete data on [-0.5, 0.5], 256 for 8 bits, which stand for intervals
                        of width 1/levels; 0: the data are continuous */
    double logit;    /* alpha, IRN_MIN_LOGIT to IRN_MAX_LOGIT, of the logit transform of data on
                        [-0.5, 0.5]: the network sees log(s / (1 - s)) with s = alpha + (1 - 2
                        alpha)(x + 0.5) (Dinh et al. 2017), and densities and samples are of x; 0:
                        none. Values so far outside that it is not defined are
                        IRN_ERROR_ARGUMENT, from device buffers NaN. What is certified, and
                        conditioning, is of the network behind it. Only with a prior. */
} irn_model_config;

#define IRN_MODEL_CONFIG_VERSION 1

/* Fills in a preset. Classifiers: "digits", "mnist", "cifar10" (the official one: blocks 7,7,7,
 * channels 32,64,128, strides 1,2,2, 13 padded channels, c 0.9). Densities: "toy" (points in the
 * plane), "digits-density", "mnist-density", "cifar10-density" (the paper's: blocks 16,16,16 of 512
 * channels). NULL: one stage of one 3,1,3 block
 * of ELU at c = 0.9 for the given input, to be changed field by field. Errors: IRN_ERROR_ARGUMENT
 * (no such preset; the sentence lists them). */
IRN_API irn_status irn_model_config_init(irn_model_config *config, const char *preset);

/* Builds a network with random weights from the context's seed. Errors: IRN_ERROR_ARGUMENT,
 * IRN_ERROR_MEMORY, IRN_ERROR_DEVICE, IRN_ERROR_UNSUPPORTED (a layer with more weights than kernels
 * count, about 2^30). The model uses the context until irn_model_free(). */
IRN_API irn_status irn_model_create(irn_model **out, irn_context *context,
                                    const irn_model_config *config);

/* Reads a model file (safetensors with a JSON configuration under the metadata key `iresnet`), or
 * writes one, whole or not at all. Errors: IRN_ERROR_FILE, IRN_ERROR_FORMAT, IRN_ERROR_NUMERIC (NaN
 * or Inf among the weights), and those of irn_model_create().
 *
 * The blocks' certified bounds, if there are any, are in the configuration, and under the key
 * `iresnet_bounds` is the SHA-256 of its text and of all parameters and state. Where that does not
 * fit, because something was edited or an older version wrote the file, the model loads without
 * bounds, as one that was never certified, and the context's log says so. The hash finds mistakes;
 * it is no signature. */
IRN_API irn_status irn_model_load(irn_model **out, irn_context *context, const char *path);
IRN_API irn_status irn_model_save(irn_model *model, const char *path);

/* Whether a safetensors file is a model of this library. Errors: IRN_ERROR_FILE, IRN_ERROR_FORMAT.
 */
IRN_API irn_status irn_file_is_model(const char *path, bool *is_model);

/* Reads weights with the official PyTorch code's parameter names (stack.0.bottleneck_block.1.
 * weight_orig, ..., float32 or float64) and its options as JSON text: in_shape, nBlocks, nStrides,
 * nChannels, init_ds, inj_pad, coeff, nonlin, actnorm, nClasses, eps. Without "task": "density",
 * which gives a learned prior and 256 levels, the model is a classifier; "multiscale": true says
 * that parts of z leave after each scale. config_path NULL: the options are the file's metadata key
 * `config`. */
IRN_API irn_status irn_model_import(irn_model **out, irn_context *context, const char *weights_path,
                                    const char *config_path);

/* NULL is allowed. */
IRN_API void irn_model_free(irn_model *model);

IRN_API const irn_model_config *irn_model_get_config(const irn_model *model);
IRN_API size_t irn_model_latent_size(const irn_model *model); /* D */
IRN_API size_t irn_model_block_count(const irn_model *model);
IRN_API size_t irn_model_parameter_count(const irn_model *model);

/* z = F(x). x: [batch, channels, height, width], z: [batch, D]. Batches go through in pieces that
 * the device's limits allow, and in smaller ones, down to single samples, if memory runs out all
 * the same; what comes out is the same but for rounding, and the context's log is told. A network
 * whose actnorm layers are not initialised yet takes their values from the first piece, of up to
 * 256 samples; decoding does not, and takes them as the identity. Errors: IRN_ERROR_MEMORY,
 * IRN_ERROR_DEVICE; IRN_ERROR_NUMERIC if actnorm cannot take its values, of NaN, of variances that
 * leave the range of float32 or, in a model with a prior, of a channel that varies by no more than
 * rounding, and then no block has any. The _cl twin takes device buffers with offsets in floats,
 * and leaves its commands in the queue. */
IRN_API irn_status irn_model_encode(irn_model *model, const float *x, size_t batch, float *z);
IRN_API irn_status irn_model_encode_cl(irn_model *model, cl_mem x, size_t x_offset, size_t batch,
                                       cl_mem z, size_t z_offset);

/* Class scores [batch, classes] with the running statistics. Errors: IRN_ERROR_UNSUPPORTED (a
 * network without head), and as above. */
IRN_API irn_status irn_model_predict(irn_model *model, const float *x, size_t batch, float *logits);
IRN_API irn_status irn_model_predict_cl(irn_model *model, cl_mem x, size_t x_offset, size_t batch,
                                        cl_mem logits, size_t logits_offset);

typedef struct irn_decode_options {
    uint32_t version;      /* IRN_DECODE_OPTIONS_VERSION */
    double tolerance;      /* of the Euclidean error, see below */
    size_t max_iterations; /* per block, and of a correction */
    bool fixed_iterations; /* run exactly max_iterations, for comparison with the official code */
    irn_progress progress; /* may be NULL; counts blocks */
    void *progress_payload;
} irn_decode_options;

#define IRN_DECODE_OPTIONS_VERSION 1
#define IRN_DECODE_OPTIONS_INIT                                                                    \
    {                                                                                              \
        IRN_DECODE_OPTIONS_VERSION, 1e-5, 1000, false, NULL, NULL                                  \
    }

/* x = F^-1(z) by the fixed point x <- y - g(x) in each block (Behrmann et al. 2019, algorithm 1),
 * in float32, sample by sample until |r|/(1-L) is at most the tolerance or float32 can do no
 * better.
 *
 * error_upper [batch], if not NULL, receives for every sample a proven bound on the Euclidean
 * distance of x (padded channels included) from the exact inverse of z, with L from the model's
 * certified bounds. Each block's x is then corrected in float64 until the bound of the whole
 * network meets the tolerance or float64 can do no better, and the bound counts what rounding
 * hides, that of x to float32 too; so a tolerance below 1e-7 |x| is never met. irn_certify_model()
 * must have been called on this model object or its bounds loaded; else IRN_ERROR_NOT_CERTIFIED
 * names the block, and nothing is claimed; on a device without float64 it is IRN_ERROR_UNSUPPORTED.
 * With fixed_iterations nothing is corrected, and the bound is of what these iterations gave.
 *
 * Without error_upper an uncertified model is inverted all the same, with L = 0; a diverging
 * iteration, or one that does not reach the tolerance, is IRN_ERROR_NUMERIC. iterations, if not
 * NULL, receives the largest number of steps that any block took. options NULL: defaults. */
IRN_API irn_status irn_model_decode(irn_model *model, const float *z, size_t batch,
                                    const irn_decode_options *options, float *x,
                                    double *error_upper, size_t *iterations);

/* back = F^-1(F(x)), like x [batch, channels, height, width]. error_upper [batch] receives proven
 * bounds on the Euclidean distance of each sample of back from x. Latents stay in float64 for that:
 * float32 latents would lose more of x than the inverse does. error_upper NULL: encode and decode
 * in float32. Options and errors are those of irn_model_decode(). */
IRN_API irn_status irn_model_reconstruct(irn_model *model, const float *x, size_t batch,
                                         const irn_decode_options *options, float *back,
                                         double *error_upper, size_t *iterations);

#ifdef __cplusplus
}
#endif

#endif
