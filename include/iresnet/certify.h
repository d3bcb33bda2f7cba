/* Proven bounds on the Lipschitz constants of layers, blocks and whole networks, and certificates
 * that anyone can check. Norms of convolutions follow Sedghi, Gupta, Long 2019 (circular padding);
 * with zero padding the layer is a restriction of the circular layer on a larger torus (or of one
 * that changes sign once around), whose norm is therefore an upper bound, or its own operator is
 * verified. The proof is a floating-point
 * Cholesky factorisation that runs to completion (Rump 2006), every rounding error counted, so that
 * bounds hold for the layers in real arithmetic with the stored weights. */
#ifndef IRESNET_CERTIFY_H
#define IRESNET_CERTIFY_H

#include <iresnet/array.h>
#include <iresnet/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In what arithmetic factorisations are done; each has its own error terms. On a device only
 * symbols are proven (IRN_PROOF_SYMBOL); AUTO and HOST_FLOAT64 prove the own matrix of zero-padded
 * layers where it is small (IRN_PROOF_OPERATOR), which is tighter and always done on the host. */
typedef enum irn_arithmetic {
    IRN_ARITHMETIC_AUTO,           /* float64 on the device if it has it, else on the host */
    IRN_ARITHMETIC_DEVICE_FLOAT64, /* IRN_ERROR_UNSUPPORTED if the device has none */
    IRN_ARITHMETIC_DEVICE_FLOAT32, /* faster on GPUs; bounds up to 2 % larger at 128 channels */
    IRN_ARITHMETIC_HOST_FLOAT64
} irn_arithmetic;

/* cross_check: the norm of every layer on its torus is also computed by clFFT (for few frequencies,
 * or shifted ones, by a sum over the taps) and singular value decompositions, and bounds that
 * contradict it are IRN_ERROR_DEVICE: a lower bound above it, but for maps of every size, or an
 * upper one of the symbol below it (those of a layer's own matrix may be). It can only show that
 * something was computed wrongly; no proof rests on it, and irn_certificate_verify() ignores it. */
typedef struct irn_certify_options {
    uint32_t version; /* IRN_CERTIFY_OPTIONS_VERSION */
    irn_arithmetic arithmetic;
    bool cross_check;
    irn_progress progress; /* may be NULL; counts layers */
    void *progress_payload;
} irn_certify_options;

#define IRN_CERTIFY_OPTIONS_VERSION 3
#define IRN_CERTIFY_OPTIONS_INIT                                                                   \
    {                                                                                              \
        IRN_CERTIFY_OPTIONS_VERSION, IRN_ARITHMETIC_AUTO, false, NULL, NULL                        \
    }

/* A convolution with a kernel [outputs, inputs / groups, kernel_height, kernel_width] on a height x
 * width map of inputs; tap (p, q) looks at pixel (stride y + dilation (p - (kernel_height - 1) /
 * 2), ...), so that at stride 1 the map keeps its size, and at stride s it becomes ceil(size / s).
 * Dense layers: all sizes but the first two 1. height = width = 0: maps of every size, with either
 * padding; bounds are of the supremum over them. stride, dilation, groups: 0 stands for 1.
 *
 * A transposed convolution is the transpose of the convolution with the same kernel, and has its
 * norm: with `transposed` outputs and inputs are still those of that convolution (so that the
 * kernel is stored as PyTorch's ConvTranspose2d does), and height x width is the map that goes into
 * the transposed layer, whose result is of stride times that size. */
typedef struct irn_kernel_shape {
    size_t outputs, inputs, kernel_height, kernel_width;
    size_t height, width;
    irn_padding padding;
    size_t stride, dilation, groups;
    bool transposed;
} irn_kernel_shape;

/* lower <= norm <= upper, of the layer's real-arithmetic operator. */
typedef struct irn_bound {
    double lower, upper;
} irn_bound;

/* How an upper bound was proven. */
typedef enum irn_proof_method {
    IRN_PROOF_SYMBOL,  /* at every frequency of a torus that is the layer's or contains it */
    IRN_PROOF_OPERATOR /* of the zero-padded layer's own matrix */
} irn_proof_method;

typedef struct irn_proof {
    irn_proof_method method;
    irn_arithmetic arithmetic; /* not IRN_ARITHMETIC_AUTO */
    size_t torus[2];           /* N frequencies along each axis of the symbol; 0: the operator */
    bool shifted[2];           /* zero padding: at (2 a + 1) pi / N, not at 2 a pi / N */
} irn_proof;

/* Bounds one kernel (float, row-major) held in memory. upper is proven with every rounding error
 * counted: Gram matrices of the symbol and Cholesky factorisations that run to completion at every
 * frequency (Rump 2006); no transform and no singular value is trusted. lower is a quotient ||W x||
 * / ||x||, less its rounding errors. Circular padding, if the stride divides the map: upper / lower
 * - 1 is near 1e-10 in float64; else upper is that of stride 1, and lower 0. Zero padding: upper is
 * of the smallest torus that contains the layer, at the frequencies (irn_proof.shifted) that bound
 * it best. Any size: upper exceeds the supremum by a share of at most about pi^2 d^2 / (2 N^2) for
 * each dimension, d half the kernel's size and N = 64 d to 256 frequencies (Ehlich, Zeller 1964);
 * lower is 0 with a stride. Errors: IRN_ERROR_NUMERIC (NaN or Inf), IRN_ERROR_ARGUMENT (an empty
 * shape, one that overflows), IRN_ERROR_UNSUPPORTED (the device does not have the arithmetic;
 * thousands of taps), IRN_ERROR_MEMORY, IRN_ERROR_NOT_CERTIFIED (no factorisation completes). */
IRN_API irn_status irn_certify_kernel(irn_bound *out, irn_context *context, const float *kernel,
                                      const irn_kernel_shape *shape,
                                      const irn_certify_options *options);

/* The same on the host, without a device. */
IRN_API irn_status irn_prove_kernel(irn_bound *out, const float *kernel,
                                    const irn_kernel_shape *shape);

/* All singular values of the circular layer on the shape's map: float64 [height, width,
 * min(outputs, inputs)], descending within a frequency, relative to the largest correct to 1e-10.
 * The caller frees the array. */
IRN_API irn_status irn_singular_values(irn_array *out, irn_context *context, const float *kernel,
                                       const irn_kernel_shape *shape);

/* The same of a model's layer by its name ("blocks.3.conv0"), its scale included. Errors:
 * IRN_ERROR_ARGUMENT (no such layer). */
IRN_API irn_status irn_model_singular_values(irn_array *out, irn_model *model, const char *layer);

/* What the tensors of a safetensors file stand for, which the file does not say. Those of float32
 * or float64 with 2 dimensions are dense layers, with 4 convolutions of the map, with 3
 * convolutions of a row of its width. Circular padding that wraps around more than once, dilation x
 * (kernel / 2) pixels of a smaller map, is refused, as PyTorch does.
 *
 * A tensor X_orig beside X_sigma is a kernel of the official i-ResNet code before its
 * normalisation: the layer is X_orig / (max(1, X_sigma / coefficient) + epsilon), epsilon for
 * kernels larger than 1x1 only, in real arithmetic: bounds count what the scale was rounded by. */
typedef struct irn_weights_options {
    uint32_t version; /* IRN_WEIGHTS_OPTIONS_VERSION */
    irn_padding padding;
    size_t height, width; /* of the map; both 0: maps of every size, as in irn_kernel_shape */
    size_t stride, dilation, groups; /* of convolutions; 0 stands for 1 */
    bool transposed;                 /* convolutions are: kernels [inputs, outputs / groups, ...] */
    const char *pattern; /* of the names of the tensors that count, for fnmatch(3); NULL: any */
    double coefficient;  /* 0: as the file's metadata key `config` has it (coeff and eps) */
    double epsilon;      /* with a coefficient that is not 0 */
    double below;        /* the verdict: whether every upper bound is less */
} irn_weights_options;

#define IRN_WEIGHTS_OPTIONS_VERSION 1
#define IRN_WEIGHTS_OPTIONS_INIT                                                                   \
    {                                                                                              \
        IRN_WEIGHTS_OPTIONS_VERSION, IRN_PAD_ZEROS, 0, 0, 1, 1, 1, false, NULL, 0, 1e-5, 1         \
    }

/* As irn_singular_values(), of one tensor. Errors: IRN_ERROR_ARGUMENT (there is none, or it is no
 * layer). */
IRN_API irn_status irn_weights_singular_values(irn_array *out, irn_context *context,
                                               const char *path, const char *tensor,
                                               const irn_weights_options *weights);

typedef struct irn_certificate irn_certificate;

typedef struct irn_layer_bound {
    const char *name;
    irn_kernel_shape shape;
    double scale; /* the layer is scale x kernel; bounds include it, and how it was rounded */
    irn_bound bound;
    double kernel_upper; /* of the kernel without the scale: what was proven */
    irn_proof proof;
    double upper_before; /* irn_certify_enforce() brought it down from this; 0: it did not */
} irn_layer_bound;

typedef struct irn_block_bound {
    const char *name;
    double lipschitz_upper; /* of g: product over its layers and activations */
    size_t dimension;
    size_t steps; /* so many iterations x <- y - g(x), from any first x, leave an error of at most
                     1e-6 times the length of the first step; 0: no number is known to */
    double logdet_lower, logdet_upper; /* of log|det| of x + g(x) (iR lemma 7) */
} irn_block_bound;

/* So many iterations x <- y - g(x), from any first x, leave an error of at most `tolerance` times
 * the length of the first step, in real arithmetic, if Lip(g) <= lipschitz_upper: the first that is
 * found by L^steps / (1 - L), rounded against it (Banach); at least 1. 0: no number is known to,
 * because lipschitz_upper is not in [0, 1), the tolerance not above 0, or steps would be above
 * 2^53. */
IRN_API size_t irn_inverse_steps(double lipschitz_upper, double tolerance);

/* Bounds every layer and block of a model, and remembers the blocks' L in the model, where
 * irn_model_decode() and irn_model_save() find them; any change of weights forgets them. A model
 * with bounds >= 1 gives IRN_OK and a certificate whose verdict is false. Two layers are bounded at
 * a time, in threads that end with the call; the progress callback runs in the caller's. */
IRN_API irn_status irn_certify_model(irn_certificate **out, irn_model *model,
                                     const irn_certify_options *options);

/* Every tensor of a safetensors file that is a layer by the description. Errors:
 * IRN_ERROR_ARGUMENT, also for a kernel of the official code whose coefficient is not known;
 * IRN_ERROR_FORMAT (none is a layer, or has such a name); those of irn_certify_kernel(). Where a
 * kernel has the name of one that is normalised, X_orig, and there is no X_sigma, the context's log
 * is told that it is bounded as it is stored; and how many tensors have 5 and more dimensions, and
 * are left out. */
IRN_API irn_status irn_certify_weights(irn_certificate **out, irn_context *context,
                                       const char *path, const irn_weights_options *weights,
                                       const irn_certify_options *options);

IRN_API void irn_certificate_free(irn_certificate *certificate);
IRN_API bool irn_certificate_verdict(const irn_certificate *certificate);
IRN_API size_t irn_certificate_layer_count(const irn_certificate *certificate);
IRN_API irn_layer_bound irn_certificate_layer(const irn_certificate *certificate, size_t index);
IRN_API size_t irn_certificate_block_count(const irn_certificate *certificate);
IRN_API irn_block_bound irn_certificate_block(const irn_certificate *certificate, size_t index);

/* Bounds on the whole network by the blocks' (iR lemma 2), actnorm included, the logit transform
 * of data not: Lip(F) and Lip(F^-1); infinite if a block is not certified. 0 for weights files. */
IRN_API double irn_certificate_lipschitz_upper(const irn_certificate *certificate);
IRN_API double irn_certificate_inverse_lipschitz_upper(const irn_certificate *certificate);

/* The same of log|det| of the blocks' x + g(x) together, actnorm left out (iR lemma 7). */
IRN_API void irn_certificate_logdet(const irn_certificate *certificate, double *lower,
                                    double *upper);

/* What bare weights were taken for, with the coefficient that was used, or 0; NULL for a model. */
IRN_API const irn_weights_options *irn_certificate_weights(const irn_certificate *certificate);

/* As irn_certify_model(), then scales down the weights of blocks whose bound is above `most` (0 <
 * most < 1) until every block is certified at it, and changes nothing else: in such a block the
 * layers with the largest bounds are brought down to a common one. changed, if not NULL, receives
 * the number of layers that were. The certificate is of the model as it is then. Errors: those of
 * irn_certify_model(); IRN_ERROR_NOT_CERTIFIED if a layer's bound cannot be brought down; then the
 * model is as it was. */
IRN_API irn_status irn_certify_enforce(irn_certificate **out, irn_model *model, double most,
                                       const irn_certify_options *options, size_t *changed);

/* Writes a certificate as JSON: verdict ("certified" | "not certified"), padding, precision,
 * device, model_sha256, blocks [{name, lipschitz_upper, ...}], layers [{name, kernel, height,
 * width, lower, upper, every parameter of its proof}], ..., and the SHA-256 of all that. model_path
 * is the file whose SHA-256 is recorded; NULL: that which a certificate that was read has. "-" is
 * standard output. */
IRN_API irn_status irn_certificate_write(const irn_certificate *certificate, const char *model_path,
                                         const char *path);

/* Reads a certificate's file; "-" is standard input. Errors: IRN_ERROR_FILE, IRN_ERROR_FORMAT
 * (anything in it, to the last byte, is not as irn_certificate_write() left it), IRN_ERROR_MEMORY.
 */
IRN_API irn_status irn_certificate_read(irn_certificate **out, const char *path);

/* Checks a certificate that was read against the file of the model, or of bare weights, without
 * trusting who made it: that the file is the one that was certified, that layers, scales and sizes
 * are the file's, and by factorisations of its own in float64 on the host, sharing no code with the
 * prover, that every upper bound holds; products and the verdict are computed again. Of lower
 * bounds it asks only that they are none above the upper. It needs no device. What weights stand
 * for (padding, map, stride, ...), and what their bounds are to be below, is not in their file: it
 * is the certificate's to say, and the caller's to look at in irn_certificate_weights().
 * options->arithmetic: AUTO or HOST_FLOAT64. Errors: IRN_ERROR_NOT_CERTIFIED with a sentence on
 * what is wrong; IRN_ERROR_FILE, IRN_ERROR_FORMAT for the model's file; IRN_ERROR_MEMORY;
 * IRN_ERROR_CANCELLED. IRN_OK says that the certificate is true, whatever its verdict. */
IRN_API irn_status irn_certificate_verify(const irn_certificate *certificate,
                                          const char *model_path,
                                          const irn_certify_options *options);

#ifdef __cplusplus
}
#endif

#endif
