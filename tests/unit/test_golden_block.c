/* Single residual blocks against the golden files: power iteration, normalised kernels, forward,
 * inverse, log-determinants, norms and every gradient. */
#include "golden.h"

#include "flow/logdet.h"
#include "flow/logdet_exact.h"
#include "ops/elementwise.h"

#include <iresnet/certify.h>

#include <math.h>

static const char *const files[] = {
    "block-elu-17ch-3conv3.safetensors",      "block-elu-c09.safetensors",
    "block-elu-first-no-actnorm.safetensors", "block-relu-wide.safetensors",
    "block-softplus-c05-rect.safetensors",    "block-tanh-dense-2d.safetensors"};
enum { FILES = sizeof files / sizeof *files };

/* ---- checks ---- */

static float state_number(const irn_model *model, size_t entry)
{
    float value;
    testing_ok(
        irn_arena_read(&model->state, model->single.state, &model->state.entries[entry], &value));
    return value;
}

static double *values_of(const irn_arena *arena, cl_mem buffer, size_t entry)
{
    size_t count = irn_entry_count(&arena->entries[entry]);
    float *values = host_floats(count);
    testing_ok(irn_arena_read(arena, buffer, &arena->entries[entry], values));
    return host_widen(values, count);
}

static void check_sigma(const irn_model *model, const irn_safetensors *file, const char *when)
{
    for (size_t i = 0; i < model->config.layers; i++) {
        double sigma = golden_number(file, "expect.conv%zu.sigma_after_%s", i, when);
        double got = (double)state_number(model, model->blocks[0].layers[i].sigma);
        host_check_number(sigma, got, GOLDEN_OUTPUT * sigma, "sigma of conv%zu after %s", i, when);
    }
}

static void check_state(const irn_model *model, const irn_safetensors *file, const char *name)
{
    for (size_t i = 0; i < model->config.layers; i++) {
        const irn_layer *layer = &model->blocks[0].layers[i];
        size_t count;
        double *u = golden_read(file, &count, "expect.conv%zu.u5", i);
        host_check(u, values_of(&model->state, model->single.state, layer->u), count, GOLDEN_OUTPUT,
                   "%s: u of conv%zu", name, i);
        double *v = golden_read(file, &count, "expect.conv%zu.v5", i);
        host_check(v, values_of(&model->state, model->single.state, layer->v), count, GOLDEN_OUTPUT,
                   "%s: v of conv%zu", name, i);
        double *weights = golden_read(file, &count, "expect.conv%zu.weight_normalised", i);
        double *raw = values_of(&model->parameters, model->single.parameters, layer->weight);
        double scale = (double)state_number(model, layer->scale);
        for (size_t k = 0; k < count; k++)
            raw[k] *= scale;
        host_check(weights, raw, count, GOLDEN_OUTPUT, "%s: normalised conv%zu", name, i);
    }
}

static void check_maps(irn_model *model, const irn_safetensors *file, const char *name)
{
    irn_decode_options options = IRN_DECODE_OPTIONS_INIT;
    size_t count;
    double *x = golden_read(file, &count, "input.x"), *y = golden_read(file, NULL, "expect.y");
    double *back = golden_read(file, NULL, "expect.x_from_y_20_iterations");
    size_t batch = count / irn_model_latent_size(model);
    float *out = host_floats(count);
    testing_ok(irn_model_encode(model, host_narrow(x, count), batch, out));
    host_check_float(y, out, count, GOLDEN_OUTPUT, "%s: y", name);
    options.fixed_iterations = true;
    options.max_iterations = 20;
    testing_ok(irn_model_decode(model, host_narrow(y, count), batch, &options, out, NULL, NULL));
    host_check_float(back, out, count, GOLDEN_OUTPUT, "%s: x from y", name);
}

/* ---- gradients of sum(y gy) + sum(logdet glogdet) ---- */

/* What a block's passes work with: named tensors of the shape of z, and buffers. */
typedef struct pass {
    irn_model *model;
    const irn_block *block;
    const irn_safetensors *file;
    size_t images, samples, terms;
    irn_tensor z, gy, z_gradient, probe, seed;
    irn_tensor inputs[IRN_MAX_LAYERS], cotangents[IRN_MAX_LAYERS];
    cl_mem gradient, pair_gradient, sigma_gradient, partials, sums, dots;
    cl_mem values, ignored; /* [images] */
} pass;

static irn_tensor filled(const pass *p, const double *values)
{
    const irn_block *b = p->block;
    size_t count = p->images * b->channels * b->height * b->width;
    irn_tensor tensor;
    testing_ok(irn_tensor_create(&tensor, p->model->context, IRN_SINGLE, p->images, b->channels,
                                 b->height, b->width));
    testing_ok(irn_tensor_write(&tensor, host_narrow(values, count), b->channels));
    return tensor;
}

static cl_mem floats_on_device(const pass *p, size_t count)
{
    cl_mem memory;
    testing_ok(irn_memory_create(p->model->context, &memory, count, sizeof(float), true));
    return memory;
}

static void make_buffers(pass *p)
{
    irn_context *context = p->model->context;
    size_t scratch = 0;
    for (size_t i = 0; i < p->model->config.layers; i++) {
        const irn_layer *l = &p->block->layers[i];
        size_t size = irn_layer_partials(p->model, l, p->images * p->terms * p->samples);
        scratch = size > scratch ? size : scratch;
        testing_ok(irn_tensor_create(&p->inputs[i], context, IRN_SINGLE, p->images, l->conv.inputs,
                                     l->height, l->width));
        testing_ok(irn_tensor_create(&p->cotangents[i], context, IRN_SINGLE, p->images,
                                     l->conv.inputs, l->height, l->width));
    }
    p->gradient = floats_on_device(p, p->model->parameters.size);
    p->pair_gradient = floats_on_device(p, p->model->parameters.size);
    p->values = floats_on_device(p, p->images);
    p->ignored = floats_on_device(p, p->images);
    p->sigma_gradient = floats_on_device(p, p->model->parameters.size);
    p->partials = floats_on_device(p, scratch);
    p->sums = floats_on_device(p, irn_channel_scratch(context, p->block->channels));
    p->dots = floats_on_device(p, p->model->config.layers);
}

static pass pass_begin(irn_model *model, const irn_safetensors *file)
{
    pass p = {.model = model, .block = &model->blocks[0], .file = file};
    size_t count;
    double *x = golden_read(file, &count, "input.x");
    p.images = count / irn_model_latent_size(model);
    p.samples = (size_t)golden_metadata_number(file, "samples");
    p.terms = (size_t)golden_metadata_number(file, "terms");
    p.z = filled(&p, x);
    p.gy = filled(&p, golden_read(file, NULL, "input.gy"));
    p.z_gradient = filled(&p, x);
    p.probe = filled(&p, x);
    p.seed = filled(&p, x);
    make_buffers(&p);
    return p;
}

static void pass_end(pass *p)
{
    cl_mem memories[] = {p->gradient, p->pair_gradient, p->sigma_gradient, p->partials,
                         p->sums,     p->dots,          p->values,         p->ignored};
    irn_tensor *tensors[] = {&p->z, &p->gy, &p->z_gradient, &p->probe, &p->seed};
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++)
        irn_memory_release(p->model->context, memories[i]);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++)
        irn_tensor_free(tensors[i]);
    for (size_t i = 0; i < IRN_MAX_LAYERS; i++) {
        irn_tensor_free(&p->inputs[i]);
        irn_tensor_free(&p->cotangents[i]);
    }
}

/* z and what the layers got. */
static void run_forward(pass *p)
{
    irn_tensor *out = &p->z_gradient; /* y itself is not needed */
    testing_ok(irn_block_normalise(p->model, &p->model->single, p->block, &p->z));
    testing_ok(
        irn_block_residual(p->model, &p->model->single, p->block, &p->z, p->inputs, NULL, out));
    testing_ok(irn_model_prepare(p->model));
}

/* The gradient at z and at the weights, of y and of the pairs. */
static void run_backward(pass *p, irn_logdet *pairs)
{
    const irn_tensor *residual = &p->gy;
    irn_tensor from = irn_arena_row(&p->model->parameters, p->pair_gradient),
               to = irn_arena_row(&p->model->parameters, p->gradient);
    if (p->block->first_activation) {
        testing_ok(irn_add_scaled(1, &p->gy, &pairs->second[0]));
        residual = &pairs->second[0];
    }
    testing_ok(irn_block_vjp(p->model, p->block, p->inputs, &p->gy, pairs->second, p->cotangents,
                             residual, &p->z_gradient));
    testing_ok(irn_block_weight_gradients(p->model, p->block, &p->z, p->inputs, p->cotangents,
                                          &p->gy, p->gradient, p->partials));
    testing_ok(irn_logdet_weight_gradients(pairs, p->pair_gradient, p->partials));
    testing_ok(irn_add_scaled(1, &from, &to));
}

/* The probes of one sample, image n's times factors[n]. */
static void write_probes(const pass *p, size_t sample, const double *factors, const irn_tensor *out)
{
    size_t size = irn_model_latent_size(p->model);
    double *noise = golden_read(p->file, NULL, "input.noise");
    double *values = host_doubles(p->images * size);
    for (size_t n = 0; n < p->images; n++)
        for (size_t i = 0; i < size; i++)
            values[n * size + i] = factors[n] * noise[(n * p->samples + sample) * size + i];
    testing_ok(irn_tensor_write(out, host_narrow(values, p->images * size), p->block->channels));
}

static void read_values(const pass *p, double *logdet)
{
    float *values = host_floats(p->images);
    testing_ok(
        irn_memory_read(p->model->context, p->values, 0, values, p->images * sizeof *values));
    for (size_t n = 0; n < p->images; n++)
        logdet[n] = (double)values[n];
}

static void add_actnorm(const pass *p, double *logdet)
{
    if (!p->model->config.actnorm)
        return;
    double *log_scale = golden_read(p->file, NULL, "actnorm.log_scale");
    for (size_t n = 0; n < p->images; n++)
        for (size_t c = 0; c < p->block->channels; c++)
            logdet[n] += log_scale[c] * (double)(p->block->height * p->block->width);
}

/* The pairs of sum(logdet glogdet), and logdet itself. */
static void run_logdet(pass *p, const double *weights, irn_logdet *pairs)
{
    irn_logdet value;
    irn_series series;
    irn_place values = {p->values, 0}, ignored = {p->ignored, 0};
    double *logdet = host_doubles(p->images), *ones = host_doubles(p->images);
    for (size_t n = 0; n < p->images; n++)
        ones[n] = 1;
    testing_ok(irn_series_init(&series, p->terms, false));
    testing_ok(irn_logdet_create(&value, p->model, p->images, p->terms, p->samples));
    irn_logdet_begin(&value, p->block, p->images);
    irn_logdet_begin(pairs, p->block, p->images);
    for (size_t s = 0; s < p->samples; s++) {
        double share = 1 / (double)p->samples;
        write_probes(p, s, ones, &p->probe);
        write_probes(p, s, weights, &p->seed);
        testing_ok(
            irn_logdet_series(&value, p->inputs, &p->probe, &p->probe, &series, share, values));
        testing_ok(
            irn_logdet_series(pairs, p->inputs, &p->probe, &p->seed, &series, share, ignored));
    }
    read_values(p, logdet);
    irn_logdet_free(&value);
    add_actnorm(p, logdet);
    host_check(golden_read(p->file, NULL, "expect.logdet_series"), logdet, p->images, GOLDEN_OUTPUT,
               "logdet");
}

/* From normalised kernels to raw ones, through sigma. */
static void through_sigma(pass *p)
{
    irn_power power = irn_model_power(p->model);
    testing_ok(irn_power_gradient(&power, p->sigma_gradient));
    testing_ok(irn_power_backward(&power, p->gradient, p->sigma_gradient, p->dots));
}

static void check_weight_gradients(const pass *p, const char *name)
{
    const irn_arena *arena = &p->model->parameters;
    for (size_t i = 0; i < p->model->config.layers; i++) {
        const irn_layer *layer = &p->block->layers[i];
        size_t count;
        double *weight = golden_read(p->file, &count, "expect.grad.conv%zu.weight", i);
        host_check(weight, values_of(arena, p->gradient, layer->weight), count, GOLDEN_GRADIENT,
                   "%s: gradient of conv%zu", name, i);
        double *bias = golden_read(p->file, &count, "expect.grad.conv%zu.bias", i);
        host_check(bias, values_of(arena, p->gradient, layer->bias), count, GOLDEN_GRADIENT,
                   "%s: gradient of conv%zu's bias", name, i);
    }
}

static void check_actnorm_gradients(const pass *p, const char *name, const double *weights)
{
    const irn_arena *arena = &p->model->parameters;
    const irn_block *block = p->block;
    irn_place log_scale = irn_parameter(p->model, block->log_scale);
    irn_place shift = irn_parameter(p->model, block->shift);
    size_t channels = block->channels;
    double sum = 0;
    for (size_t n = 0; n < p->images; n++)
        sum += weights[n] * (double)(block->height * block->width);
    testing_ok(irn_actnorm_gradient(&p->z_gradient, &p->z, shift,
                                    (irn_place){p->gradient, log_scale.offset},
                                    (irn_place){p->gradient, shift.offset}, p->sums));
    double *got = values_of(arena, p->gradient, block->log_scale);
    for (size_t c = 0; c < channels; c++)
        got[c] += sum; /* of logdet itself */
    host_check(golden_read(p->file, NULL, "expect.grad.actnorm.log_scale"), got, channels,
               GOLDEN_GRADIENT, "%s: gradient of log_scale", name);
    host_check(golden_read(p->file, NULL, "expect.grad.actnorm.shift"),
               values_of(arena, p->gradient, block->shift), channels, GOLDEN_GRADIENT,
               "%s: gradient of shift", name);
    testing_ok(irn_actnorm_scale(&p->z_gradient, log_scale, &p->z_gradient));
}

static void check_gradients(irn_model *model, const irn_safetensors *file, const char *name)
{
    pass p = pass_begin(model, file);
    double *weights = golden_read(file, NULL, "input.glogdet");
    size_t count = p.images * irn_model_latent_size(model);
    float *x_gradient = host_floats(count);
    irn_logdet pairs;
    testing_ok(irn_logdet_create(&pairs, model, p.images, p.terms, p.samples));
    run_forward(&p);
    run_logdet(&p, weights, &pairs);
    run_backward(&p, &pairs);
    irn_logdet_free(&pairs);
    through_sigma(&p);
    check_weight_gradients(&p, name);
    if (model->config.actnorm)
        check_actnorm_gradients(&p, name, weights);
    testing_ok(irn_tensor_read(&p.z_gradient, x_gradient, p.block->channels));
    host_check_float(golden_read(file, NULL, "expect.grad.x"), x_gradient, count, GOLDEN_GRADIENT,
                     "%s: gradient of x", name);
    pass_end(&p);
}

/* ---- facts of the block as it stands ---- */

/* log|det(I + J)| and actnorm's. */
static void check_exact(irn_model *model, const irn_safetensors *file, const char *name)
{
    if (irn_safetensors_find(file, "expect.logdet_exact") == SIZE_MAX)
        return; /* of the widest block */
    pass p = pass_begin(model, file);
    double *logdet = host_doubles(p.images);
    run_forward(&p);
    testing_ok(irn_block_logdet_exact(model, p.block, p.inputs, p.images, logdet));
    add_actnorm(&p, logdet);
    host_check(golden_read(file, NULL, "expect.logdet_exact"), logdet, p.images, GOLDEN_OUTPUT,
               "%s: exact logdet", name);
    pass_end(&p);
}

static void check_norm(irn_context *context, const irn_model *model, const irn_safetensors *file,
                       size_t layer, irn_padding padding)
{
    const char *what = padding == IRN_PAD_ZEROS ? "zero_padded" : "circular";
    const irn_layer *l = &model->blocks[0].layers[layer];
    const irn_entry *entry = &model->parameters.entries[l->weight];
    const irn_kernel_shape shape = {.outputs = entry->shape[0],
                                    .inputs = entry->shape[1],
                                    .kernel_height = entry->shape[2],
                                    .kernel_width = entry->shape[3],
                                    .height = l->height,
                                    .width = l->width,
                                    .padding = padding};
    /* The file's norm is of the kernel as it was before power iteration, in float64. */
    const double rounding = 1e-6;
    size_t count;
    double *kernel = golden_read(file, &count, "conv%zu.weight", layer);
    double norm = golden_number(file, "expect.conv%zu.norm_%s", layer, what);
    irn_bound bound;
    ck_assert_uint_eq(count, irn_entry_count(entry));
    testing_ok(irn_certify_kernel(&bound, context, host_narrow(kernel, count), &shape, NULL));
    ck_assert_msg(bound.lower <= norm * (1 + rounding) && norm * (1 - rounding) <= bound.upper,
                  "conv%zu: the %s norm %.9g is not in [%.9g, %.9g]", layer, what, norm,
                  bound.lower, bound.upper);
    if (padding == IRN_PAD_CIRCULAR)
        ck_assert_msg(bound.upper - bound.lower <= rounding * norm, "conv%zu: [%.9g, %.9g]", layer,
                      bound.lower, bound.upper);
}

static void check_norms(irn_context *context, const irn_model *model, const irn_safetensors *file)
{
    if (irn_safetensors_find(file, "expect.conv0.norm_circular") == SIZE_MAX)
        return; /* of the widest block */
    for (size_t i = 0; i < model->config.layers; i++) {
        check_norm(context, model, file, i, IRN_PAD_CIRCULAR);
        check_norm(context, model, file, i, IRN_PAD_ZEROS);
    }
}

static void check_block(irn_context *context, const char *name)
{
    irn_safetensors *file = golden_open(name);
    irn_model *model = golden_block(context, file);
    testing_ok(irn_model_power_iterate(model, 1));
    check_sigma(model, file, "1");
    testing_ok(irn_model_power_iterate(model, 4));
    check_sigma(model, file, "5");
    check_state(model, file, name);
    check_maps(model, file, name);
    check_gradients(model, file, name);
    check_exact(model, file, name);
    check_norms(context, model, file);
    irn_model_free(model);
    irn_safetensors_free(file);
}

START_TEST(golden_blocks)
{
    irn_context *context = devices_open(_i);
    for (size_t i = 0; i < FILES; i++)
        check_block(context, files[i]);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("golden blocks");
    devices_add(devices_case(suite, "golden"), golden_blocks);
    return testing_run(suite);
}
