/* What the library has GPUs compile: works through it with every activation and method on GPUs that
 * are not there (recorder.h), and writes down each program, its options, and the kernels launched.
 * Nothing is computed, so what comes out is nonsense, and calls that notice may fail: what counts
 * is that every kernel was asked for, which report.py checks. Then come the tiles that tuning may
 * choose instead of those that the library chooses by itself.
 * Usage: vendor_programs FOLDER */
#include "recorder.h"

#include "certify/krylov.h"
#include "flow/logdet.h"
#include "flow/model.h"
#include "ops/dense.h"
#include "ops/tiled.h"
#include "runtime/blas.h"
#include "runtime/tuning.h"
#include "spectral/fft.h"
#include "spectral/spectrum.h"

#include <iresnet/iresnet.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What drivers report: NVIDIA's 48 KiB of local memory a work-group, whatever the multiprocessor
 * has; cl_nv_device_attribute_query's warp size, cl_amd_device_attribute_query's wavefront width
 * (64 up to CDNA, 32 of RDNA), cl_intel_required_subgroup_size's sub-groups. */
static const gpu gpus[] = {
    {"NVIDIA", 0x10de, true, 48 << 10, 1024, "cl_nv_device_attribute_query", 0x4003, 32},
    {"AMD CDNA", 0x1002, true, 64 << 10, 256, "cl_amd_device_attribute_query", 0x4043, 64},
    {"AMD RDNA", 0x1002, true, 64 << 10, 256, "cl_amd_device_attribute_query", 0x4043, 32},
    {"Intel", 0x8086, true, 64 << 10, 256, "cl_intel_required_subgroup_size", 0x4108, 8},
    {"Intel without float64", 0x8086, false, 64 << 10, 512, "cl_intel_required_subgroup_size",
     0x4108, 8}};

enum { BATCH = 4, MAP = 8, CHANNELS = 4, CLASSES = 3, VALUES = BATCH * CHANNELS * MAP * MAP };

/* What a use works with. */
typedef struct bench {
    irn_context *context;
    irn_activation activation;
    float x[VALUES], z[VALUES];
    int labels[BATCH];
} bench;

static void note(irn_status status, const char *what)
{
    if (status != IRN_OK)
        fprintf(stderr, "%s: %s\n", what, irn_last_error());
}
#define NOTE(call) note((call), #call)

static irn_model_config config_of(const bench *b, bool density)
{
    irn_model_config config;
    NOTE(irn_model_config_init(&config, NULL));
    config.channels = CHANNELS;
    config.height = config.width = MAP;
    config.activation = b->activation;
    config.stages = 2;
    config.blocks[0] = config.blocks[1] = 1;
    config.widths[0] = 12; /* three blocks of channels: an odd number */
    config.widths[1] = 64;
    config.strides[0] = 1;
    config.strides[1] = 2;
    if (density) {
        config.prior = IRN_PRIOR_LEARNED;
        config.multiscale = true;
        config.logit = 0.05;
    } else {
        config.classes = CLASSES;
        config.pad_channels = 2;
        config.init_squeeze = true;
    }
    return config;
}

/* ---- uses ---- */

static void train(bench *b, irn_model *model, irn_train_options options)
{
    irn_trainer *trainer;
    irn_step_report report;
    irn_status status = irn_trainer_create(&trainer, model, &options);
    note(status, "irn_trainer_create");
    if (status != IRN_OK)
        return;
    NOTE(irn_trainer_step(trainer, b->x, b->labels, BATCH, &report));
    irn_trainer_free(trainer);
}

static irn_train_options train_options(irn_task task)
{
    irn_train_options options;
    NOTE(irn_train_options_init(&options, NULL));
    options.task = task;
    options.clip_norm = 1;
    options.average_decay = 0.9;
    options.power_tolerance = 0.1;
    return options;
}

static void classify(bench *b)
{
    irn_model *model;
    const irn_model_config config = config_of(b, false);
    float logits[BATCH * CLASSES];
    irn_train_options options = train_options(IRN_CLASSIFY);
    NOTE(irn_model_create(&model, b->context, &config));
    for (int o = IRN_SGD; o <= IRN_ADAMAX; o++) {
        options.optimizer = (irn_optimizer)o;
        train(b, model, options);
    }
    NOTE(irn_model_predict(model, b->x, BATCH, logits));
    irn_model_free(model);
}

/* A density whose actnorm passes for initialised. */
static irn_model *density_model(bench *b, const irn_model_config *config)
{
    irn_model *model;
    NOTE(irn_model_create(&model, b->context, config));
    NOTE(irn_model_initialised(model));
    return model;
}

/* Every gradient, and the series with every number of pairs that it may have. */
static void train_density(bench *b, irn_model *model)
{
    irn_train_options options = train_options(IRN_DENSITY);
    options.logdet = IRN_GRADIENT_NEUMANN;
    train(b, model, options);
    options.logdet = IRN_GRADIENT_ROULETTE;
    train(b, model, options);
    options.logdet = IRN_GRADIENT_SERIES;
    options.gaussian_probes = true;
    for (options.terms = 1; options.terms <= IRN_MAX_TERMS; options.terms++)
        train(b, model, options);
}

static void evaluate(bench *b, irn_model *model)
{
    irn_log_density densities[BATCH];
    irn_conditioning conditioning[BATCH];
    irn_density_options options = IRN_DENSITY_OPTIONS_INIT;
    irn_decode_options decode = IRN_DECODE_OPTIONS_INIT;
    float back[VALUES];
    double errors[BATCH];
    size_t iterations;
    for (size_t i = 0; i < irn_model_block_count(model); i++)
        irn_model_set_lipschitz(model, i, 0.5);
    NOTE(irn_model_encode(model, b->x, BATCH, b->z));
    for (int m = IRN_LOGDET_AUTO; m <= IRN_LOGDET_ROULETTE; m++) {
        options.method = (irn_logdet_method)m;
        NOTE(irn_model_log_density(model, b->x, BATCH, &options, densities, b->z));
    }
    NOTE(irn_model_conditioning(model, b->x, BATCH, NULL, conditioning));
    NOTE(irn_model_draw_latents(model, 1, 0, BATCH, 1, b->z));
    decode.max_iterations = 3;
    for (int fixed = 0; fixed < 2; fixed++) {
        decode.fixed_iterations = fixed;
        NOTE(irn_model_decode(model, b->z, BATCH, &decode, back, errors, &iterations));
        NOTE(irn_model_reconstruct(model, b->x, BATCH, &decode, back, errors, &iterations));
    }
}

static void density(bench *b)
{
    const irn_model_config config = config_of(b, true);
    irn_model *model = density_model(b, &config);
    train_density(b, model);
    evaluate(b, model);
    irn_model_free(model);
}

/* Points have so few dimensions that their log-determinants are exact. */
static void points(bench *b)
{
    irn_model_config config = config_of(b, true);
    irn_train_options options = train_options(IRN_DENSITY);
    config.height = config.width = config.stages = 1;
    config.prior = IRN_PRIOR_STANDARD;
    irn_model *model = density_model(b, &config);
    options.logdet = IRN_GRADIENT_EXACT;
    train(b, model, options);
    evaluate(b, model);
    irn_model_free(model);
}

/* The derivatives of heads, which hybrid models need. */
static void both(bench *b)
{
    irn_model_config config = config_of(b, true);
    config.classes = CLASSES;
    irn_model *model = density_model(b, &config);
    train(b, model, train_options(IRN_HYBRID));
    irn_model_free(model);
}

/* A proof notices that nothing was computed; what follows one is asked for all the same. */
irn_status __real_irn_symbol_upper_on_device(irn_symbol *, irn_context *, bool, double *);
irn_status __wrap_irn_symbol_upper_on_device(irn_symbol *symbol, irn_context *context,
                                             bool is_double, double *upper);
irn_status __wrap_irn_symbol_upper_on_device(irn_symbol *symbol, irn_context *context,
                                             bool is_double, double *upper)
{
    irn_status status = __real_irn_symbol_upper_on_device(symbol, context, is_double, upper);
    NOTE(irn_krylov_quotient(&symbol->lower, INFINITY, symbol, context, is_double));
    return status;
}

/* A plan that clFFT has not made. */
irn_status __wrap_irn_fft_get(irn_fft *fft, size_t height, size_t width, const irn_fft_plan **plan);
irn_status __wrap_irn_fft_get(irn_fft *fft, size_t height, size_t width, const irn_fft_plan **plan)
{
    static const irn_fft_plan empty = {.batch = 1};
    (void)fft, (void)height, (void)width;
    *plan = &empty;
    return IRN_OK;
}

bool __wrap_irn_fft_forward(irn_fft *fft, const irn_fft_plan *plan);
bool __wrap_irn_fft_forward(irn_fft *fft, const irn_fft_plan *plan)
{
    return fft && plan;
}

static void singular_values(bench *b, const irn_kernel_shape *shape)
{
    irn_spectrum *spectrum;
    irn_tap_list list;
    double kernel[CHANNELS * CHANNELS * 9], norm;
    size_t frequency;
    for (size_t i = 0; i < sizeof kernel / sizeof *kernel; i++)
        kernel[i] = (double)b->x[i];
    NOTE(irn_tap_list_create(&list, kernel, shape, "kernel"));
    NOTE(irn_spectrum_create(&spectrum, b->context));
    irn_spectrum_force(spectrum, IRN_ROUTE_FFT);
    NOTE(irn_spectrum_norm(spectrum, &list, &norm, &frequency));
    irn_spectrum_free(spectrum);
    irn_tap_list_free(&list);
}

static void certify(bench *b)
{
    irn_bound bound;
    irn_certify_options options = IRN_CERTIFY_OPTIONS_INIT;
    irn_kernel_shape shape = {.outputs = CHANNELS,
                              .inputs = CHANNELS,
                              .kernel_height = 3,
                              .kernel_width = 3,
                              .height = MAP,
                              .width = MAP,
                              .padding = IRN_PAD_CIRCULAR};
    singular_values(b, &shape);
    for (int a = IRN_ARITHMETIC_AUTO; a <= IRN_ARITHMETIC_DEVICE_FLOAT32; a++)
        for (int padding = IRN_PAD_ZEROS; padding <= IRN_PAD_CIRCULAR; padding++) {
            options.arithmetic = (irn_arithmetic)a;
            shape.padding = (irn_padding)padding;
            NOTE(irn_certify_kernel(&bound, b->context, b->x, &shape, &options));
        }
}

/* Convolutions of few and of many channels, which have tiles of their own. */
static void measure(bench *b)
{
    static const size_t channels[] = {4, 12, 64, 256};
    enum { WIDTHS = sizeof channels / sizeof *channels, IMAGES = 32, SIDE = 16 };
    double peak;
    irn_conv_rates rates;
    NOTE(irn_bench_peak(b->context, &peak));
    for (size_t i = 0; i < WIDTHS; i++)
        NOTE(irn_bench_conv(b->context, IMAGES, channels[i], channels[i], SIDE, SIDE, 3, true, 1,
                            &rates));
}

/* ---- what tuning may choose instead of the tiles of the class ---- */

enum { WIDE = 64 }; /* channels */

static void apply_with_tile(bench *b, const irn_conv *conv, irn_precision precision)
{
    const irn_epilogue plain = {.activate = true};
    irn_tensor x, y;
    NOTE(irn_tensor_create(&x, b->context, precision, BATCH, WIDE, MAP, MAP));
    NOTE(irn_tensor_create(&y, b->context, precision, BATCH, WIDE, MAP, MAP));
    NOTE(irn_tiled_apply(conv, (irn_place){x.memory, 0}, &x, &plain, &y, 1, 1));
    irn_tensor_free(&x);
    irn_tensor_free(&y);
}

static void differentiate_with_tile(bench *b, const irn_conv *conv)
{
    irn_tensor x;
    NOTE(irn_tensor_create(&x, b->context, IRN_SINGLE, BATCH, WIDE, MAP, MAP));
    NOTE(irn_tiled_gradient(conv, &x, &x, true, x.memory, 1));
    irn_tensor_free(&x);
}

static void use_tile(bench *b, irn_tile_use use)
{
    const irn_conv conv = {.inputs = WIDE,
                           .outputs = WIDE,
                           .kernel_height = 3,
                           .kernel_width = 3,
                           .activation = b->activation};
    if (use == IRN_TILE_GRADIENT || use == IRN_TILE_GRADIENT_NARROW)
        differentiate_with_tile(b, &conv);
    else
        apply_with_tile(b, &conv, use == IRN_TILE_APPLY_DOUBLE ? IRN_DOUBLE : IRN_SINGLE);
}

/* Every tile that the device may have for every use. */
static void use_tiles(bench *b)
{
    irn_tuning *tuning = &b->context->tuning;
    const irn_tuning usual = *tuning;
    irn_tile tile;
    for (irn_tile_use use = 0; use < IRN_TILE_DENSE; use++)
        for (size_t k = 0; irn_tile_candidate(&tile, &b->context->info, use, k); k++) {
            irn_tuning_force(tuning, use, &tile);
            use_tile(b, use);
            *tuning = usual;
        }
}

/* A product that CLBlast has not made. */
irn_status __wrap_irn_gemm_run(const irn_gemm *product, irn_context *context, cl_mem scratch,
                               bool add, bool *done);
irn_status __wrap_irn_gemm_run(const irn_gemm *product, irn_context *context, cl_mem scratch,
                               bool add, bool *done)
{
    (void)product, (void)context, (void)scratch, (void)add;
    *done = true;
    return IRN_OK;
}

/* What stands around CLBlast where it is chosen. */
static void multiply(bench *b)
{
    const irn_tuning saved = b->context->tuning;
    const irn_conv conv = {CHANNELS, CHANNELS, 1, 1, IRN_PAD_ZEROS, b->activation};
    const irn_epilogue epilogue = {.activate = true};
    const irn_place none = {NULL, 0};
    irn_tensor x;
    cl_mem scratch = NULL;
    b->context->tuning.tiles[IRN_TILE_DENSE].size[0] = 1;
    b->context->tuning.tiles[IRN_TILE_DENSE_GRADIENT].size[0] = 1;
    NOTE(irn_tensor_create(&x, b->context, IRN_SINGLE, BATCH, CHANNELS, MAP, MAP));
    NOTE(irn_memory_create(b->context, &scratch,
                           irn_dense_gradient_scratch(b->context, &conv, BATCH, MAP, MAP),
                           sizeof(float), true));
    irn_place weights = {x.memory, 0};
    NOTE(irn_dense_apply(&conv, weights, &x, &epilogue, &x, scratch));
    NOTE(irn_dense_weight_gradient(&conv, &x, &x, weights, none, scratch));
    irn_memory_release(b->context, scratch);
    irn_tensor_free(&x);
    b->context->tuning = saved;
}

/* ---- */

static bool open_context(bench *b)
{
    bool whole;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    options.device = "0";
    options.cache_dir = "off";
    irn_status status = irn_context_create(&b->context, &options);
    note(status, "irn_context_create");
    if (status != IRN_OK)
        return false;
    /* Kernels that do not run do not count to the end either. */
    NOTE(irn_context_loops(b->context, &whole));
    b->context->loops = IRN_LOOPS_WHOLE;
    return true;
}

static bool use(const gpu *gpu)
{
    static bench b;
    recorder_pretend(gpu);
    if (!open_context(&b))
        return false;
    for (size_t i = 0; i < VALUES; i++)
        b.x[i] = 0.4f * sinf((float)i);
    for (int a = IRN_IDENTITY; a <= IRN_LIPSWISH; a++) {
        b.activation = (irn_activation)a;
        classify(&b);
        density(&b);
        points(&b);
        both(&b);
        multiply(&b);
    }
    certify(&b);
    measure(&b);
    recorder_choices(true);
    for (int a = IRN_IDENTITY; a <= IRN_LIPSWISH; a++) {
        b.activation = (irn_activation)a;
        use_tiles(&b);
    }
    recorder_choices(false);
    irn_context_free(b.context);
    return true;
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", arguments[0]);
        return 2;
    }
    for (size_t i = 0; i < sizeof gpus / sizeof *gpus; i++)
        if (!use(&gpus[i]))
            return EXIT_FAILURE;
    return recorder_write(arguments[1]) ? EXIT_SUCCESS : EXIT_FAILURE;
}
