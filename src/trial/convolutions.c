/* Checks of convolutions: every form that the device may take, with every kind of epilogue. */
#include "trial/trial.h"
#include "trial/reference.h"
#include "ops/dense.h"
#include "ops/narrow.h"
#include "ops/pointwise.h"
#include "ops/winograd.h"
#include "runtime/blas.h"
#include "runtime/tuning.h"

#include <stdio.h>
#include <string.h>

typedef enum form { DIRECT, WINOGRAD, NARROW, DENSE } form;

/* One convolution with random numbers. */
typedef struct subject {
    irn_trial *trial;
    irn_conv conv;
    irn_map map;
    irn_precision precision;
    form how;
    size_t inputs, outputs; /* values of x and of y */
    double *w, *x, *y;
    irn_place kernel, transposed;
    char what[96];
} subject;

static const double beta = 0.625;

static void shape_of(const subject *s, bool output, size_t shape[4])
{
    const size_t sizes[4] = {s->map.images, output ? s->conv.outputs : s->conv.inputs,
                             s->map.height, s->map.width};
    for (int i = 0; i < 4; i++)
        shape[i] = sizes[i];
}

static irn_status tensor_of(const subject *s, bool output, const double *values, irn_tensor *out)
{
    size_t shape[4];
    shape_of(s, output, shape);
    return irn_trial_tensor(s->trial, s->precision, shape, values, out);
}

static const char *name(subject *s, const char *operation)
{
    static const char *const forms[] = {"", "Winograd's ", "narrow ", "CLBlast's "};
    snprintf(s->what, sizeof s->what, "%s%s, %zux%zu kernel %zu->%zu%s", forms[s->how], operation,
             s->conv.kernel_height, s->conv.kernel_width, s->conv.inputs, s->conv.outputs,
             s->precision == IRN_DOUBLE ? ", float64" : "");
    return s->what;
}

static irn_conv adjoint(const irn_conv *conv)
{
    irn_conv other = *conv;
    other.inputs = conv->outputs;
    other.outputs = conv->inputs;
    return other;
}

/* The transposed kernel, from the device in float32, which is what there is a kernel for. */
static irn_status transpose(subject *s)
{
    const irn_conv *conv = &s->conv, other = adjoint(conv);
    size_t taps = conv->kernel_height * conv->kernel_width, count = irn_kernel_count(conv);
    double *expected, *got;
    irn_place plain, turned;
    IRN_TRY(irn_trial_doubles(s->trial, count, &expected));
    for (size_t k = 0; k < count; k++) {
        size_t tap = k % taps, in = k / taps % conv->inputs, out = k / taps / conv->inputs;
        expected[(in * conv->outputs + out) * taps + taps - 1 - tap] = s->w[k];
    }
    IRN_TRY(irn_trial_kernel(s->trial, IRN_SINGLE, conv, s->w, &plain));
    IRN_TRY(irn_trial_kernel(s->trial, IRN_SINGLE, &other, NULL, &turned));
    IRN_TRY(irn_conv_transpose(s->trial->context, conv, plain, turned));
    IRN_TRY(irn_trial_read_kernel(s->trial, IRN_SINGLE, turned, &other, &got));
    IRN_TRY(irn_trial_values(s->trial, name(s, "transposed weights"), expected, got, count, 0));
    if (s->precision == IRN_SINGLE)
        s->transposed = turned;
    else
        IRN_TRY(irn_trial_kernel(s->trial, s->precision, &other, expected, &s->transposed));
    return IRN_OK;
}

static irn_status begin(subject *s)
{
    size_t pixels = s->map.height * s->map.width;
    s->inputs = s->map.images * s->conv.inputs * pixels;
    s->outputs = s->map.images * s->conv.outputs * pixels;
    IRN_TRY(irn_trial_normal(s->trial, irn_kernel_count(&s->conv), 0.25, &s->w));
    IRN_TRY(irn_trial_normal(s->trial, s->inputs, 1, &s->x));
    IRN_TRY(irn_trial_normal(s->trial, s->outputs, 1, &s->y));
    IRN_TRY(irn_trial_kernel(s->trial, s->precision, &s->conv, s->w, &s->kernel));
    return transpose(s);
}

/* ---- the forms ---- */

static irn_status winograd(subject *s, bool back, const irn_tensor *from,
                           const irn_epilogue *epilogue, const irn_tensor *to)
{
    irn_context *context = s->trial->context;
    irn_place transformed, scratch;
    IRN_TRY(irn_trial_room(s->trial, IRN_SINGLE, irn_winograd_weights(context, &s->conv),
                           &transformed));
    IRN_TRY(irn_trial_room(s->trial, IRN_SINGLE,
                           irn_winograd_scratch(context, &s->conv, s->map.width), &scratch));
    if (back) {
        IRN_TRY(irn_winograd_transform_transposed(context, &s->conv, s->transposed, transformed));
        return irn_winograd_backward(&s->conv, transformed, from, epilogue, to, scratch.memory);
    }
    IRN_TRY(irn_winograd_transform(context, &s->conv, s->kernel, transformed));
    return irn_winograd_forward(&s->conv, transformed, from, epilogue, to, scratch.memory);
}

static irn_status narrow(subject *s, bool back, const irn_tensor *from,
                         const irn_epilogue *epilogue, const irn_tensor *to)
{
    irn_place scratch;
    IRN_TRY(irn_trial_room(s->trial, IRN_SINGLE,
                           irn_narrow_scratch(s->trial->context, &s->conv, s->map.width),
                           &scratch));
    return back ? irn_narrow_backward(&s->conv, s->transposed, from, epilogue, to, scratch.memory)
                : irn_narrow_forward(&s->conv, s->kernel, from, epilogue, to, scratch.memory);
}

/* Either way. */
static irn_status dense(subject *s, irn_place weights, const irn_tensor *from,
                        const irn_epilogue *epilogue, const irn_tensor *to)
{
    irn_place scratch;
    size_t room = irn_dense_scratch(s->trial->context, &s->conv, s->map.height, s->map.width);
    IRN_TRY(irn_trial_room(s->trial, IRN_SINGLE, room, &scratch));
    return irn_dense_apply(&s->conv, weights, from, epilogue, to, scratch.memory);
}

static irn_status forward(subject *s, const irn_tensor *x, const irn_epilogue *epilogue,
                          const irn_tensor *y)
{
    if (s->how == WINOGRAD)
        return winograd(s, false, x, epilogue, y);
    if (s->how == NARROW)
        return narrow(s, false, x, epilogue, y);
    if (s->how == DENSE)
        return dense(s, s->kernel, x, epilogue, y);
    return irn_conv_forward(&s->conv, s->kernel, x, epilogue, y);
}

static irn_status backward(subject *s, const irn_tensor *y, const irn_epilogue *epilogue,
                           const irn_tensor *x)
{
    if (s->how == WINOGRAD)
        return winograd(s, true, y, epilogue, x);
    if (s->how == NARROW)
        return narrow(s, true, y, epilogue, x);
    if (s->how == DENSE)
        return dense(s, s->transposed, y, epilogue, x);
    return irn_conv_backward(&s->conv, s->transposed, y, epilogue, x);
}

static size_t gradient_scratch(const subject *s)
{
    irn_context *context = s->trial->context;
    const irn_map *m = &s->map;
    if (s->how == WINOGRAD)
        return irn_winograd_gradient_scratch(context, &s->conv, m->images, m->height, m->width);
    if (s->how == DENSE)
        return irn_dense_gradient_scratch(context, &s->conv, m->images, m->height, m->width);
    return irn_conv_gradient_scratch(context, &s->conv, m->images, m->height, m->width);
}

static irn_status weight_gradient(subject *s, const irn_tensor *x, const irn_tensor *y,
                                  irn_place weights, irn_place bias)
{
    irn_place scratch;
    IRN_TRY(irn_trial_room(s->trial, IRN_SINGLE, gradient_scratch(s), &scratch));
    if (s->how == WINOGRAD)
        return irn_winograd_weight_gradient(&s->conv, x, y, weights, bias, scratch.memory);
    if (s->how == DENSE)
        return irn_dense_weight_gradient(&s->conv, x, y, weights, bias, scratch.memory);
    return irn_conv_weight_gradient(&s->conv, x, y, weights, bias, scratch.memory);
}

/* ---- the checks ---- */

/* y = phi(scale W x + bias) + residual. */
static irn_status check_forward(subject *s)
{
    irn_trial *c = s->trial;
    const double scale = 0.375;
    double *bias, *expected;
    irn_tensor x, y, residual;
    irn_epilogue epilogue = {.activate = true, .residual = &residual};
    size_t pixels = s->map.height * s->map.width;
    IRN_TRY(irn_trial_normal(c, s->conv.outputs, 1, &bias));
    IRN_TRY(irn_trial_vector(c, s->precision, 1, &scale, &epilogue.scale));
    IRN_TRY(irn_trial_vector(c, s->precision, 1, &beta, &epilogue.beta));
    IRN_TRY(irn_trial_vector(c, s->precision, s->conv.outputs, bias, &epilogue.bias));
    IRN_TRY(irn_trial_doubles(c, s->outputs, &expected));
    irn_reference_convolve(&s->conv, s->map, s->w, s->x, expected);
    for (size_t i = 0; i < s->outputs; i++) {
        double z = scale * expected[i] + bias[i / pixels % s->conv.outputs];
        expected[i] = irn_reference_activation(s->conv.activation, beta, z, 0) + s->y[i];
    }
    IRN_TRY(tensor_of(s, false, s->x, &x));
    IRN_TRY(tensor_of(s, true, s->y, &residual));
    IRN_TRY(tensor_of(s, true, NULL, &y));
    IRN_TRY(forward(s, &x, &epilogue, &y));
    return irn_trial_is_tensor(c, name(s, "convolution"), expected, &y,
                               irn_trial_limit(s->precision));
}

/* y = y - W x, in place: a step of an inverse. */
static irn_status check_minuend(subject *s)
{
    double *expected;
    irn_tensor x, y;
    const irn_epilogue epilogue = {.minuend = &y};
    IRN_TRY(irn_trial_doubles(s->trial, s->outputs, &expected));
    irn_reference_convolve(&s->conv, s->map, s->w, s->x, expected);
    for (size_t i = 0; i < s->outputs; i++)
        expected[i] = s->y[i] - expected[i];
    IRN_TRY(tensor_of(s, false, s->x, &x));
    IRN_TRY(tensor_of(s, true, s->y, &y));
    IRN_TRY(forward(s, &x, &epilogue, &y));
    return irn_trial_is_tensor(s->trial, name(s, "convolution's difference"), expected, &y,
                               irn_trial_limit(s->precision));
}

/* x = phi'(z) W^T y, z = x before; from phi's output as this function gives it. */
static irn_status check_backward(subject *s)
{
    irn_activation phi = s->conv.activation;
    double *expected, *saved_values;
    irn_tensor x, y, saved;
    irn_epilogue epilogue = {.derivative = &saved};
    IRN_TRY(irn_trial_doubles(s->trial, s->inputs, &expected));
    IRN_TRY(irn_trial_doubles(s->trial, s->inputs, &saved_values));
    irn_reference_convolve_back(&s->conv, s->map, s->w, s->y, expected);
    for (size_t i = 0; i < s->inputs; i++) {
        expected[i] *= irn_reference_activation(phi, beta, s->x[i], 1);
        saved_values[i] =
            irn_saves_input(phi) ? s->x[i] : irn_reference_activation(phi, beta, s->x[i], 0);
    }
    IRN_TRY(irn_trial_vector(s->trial, s->precision, 1, &beta, &epilogue.beta));
    IRN_TRY(tensor_of(s, true, s->y, &y));
    IRN_TRY(tensor_of(s, false, saved_values, &saved));
    IRN_TRY(tensor_of(s, false, NULL, &x));
    IRN_TRY(backward(s, &y, &epilogue, &x));
    return irn_trial_is_tensor(s->trial, name(s, "transposed convolution"), expected, &x,
                               irn_trial_limit(s->precision));
}

static irn_status check_gradient(subject *s)
{
    irn_trial *c = s->trial;
    double *expected, *got, *sums;
    irn_tensor x, y;
    irn_place weights, bias;
    IRN_TRY(irn_trial_doubles(c, irn_kernel_count(&s->conv), &expected));
    IRN_TRY(irn_trial_doubles(c, s->conv.outputs, &sums));
    irn_reference_kernel_gradient(&s->conv, s->map, s->x, s->y, expected);
    irn_reference_channel_sums(s->map, s->conv.outputs, s->y, sums);
    IRN_TRY(tensor_of(s, false, s->x, &x));
    IRN_TRY(tensor_of(s, true, s->y, &y));
    IRN_TRY(irn_trial_kernel(c, IRN_SINGLE, &s->conv, NULL, &weights));
    IRN_TRY(irn_trial_vector(c, IRN_SINGLE, s->conv.outputs, NULL, &bias));
    IRN_TRY(weight_gradient(s, &x, &y, weights, bias));
    IRN_TRY(irn_trial_read_kernel(c, IRN_SINGLE, weights, &s->conv, &got));
    IRN_TRY(irn_trial_values(c, name(s, "weights' gradient"), expected, got,
                             irn_kernel_count(&s->conv), 1e-5));
    return irn_trial_is_vector(c, name(s, "biases' gradient"), sums, IRN_SINGLE, bias,
                               s->conv.outputs, 1e-5);
}

/* What the form can do of all that. */
static irn_status check_form(irn_trial *c, const irn_conv *conv, irn_map map,
                             irn_precision precision, form how)
{
    subject s = {.trial = c, .conv = *conv, .map = map, .precision = precision, .how = how};
    bool ahead = how != NARROW || irn_narrow_suits(c->context, conv, conv->outputs, map.width);
    bool back = how != NARROW || irn_narrow_suits(c->context, conv, conv->inputs, map.width);
    bool gradient = precision == IRN_SINGLE && how != NARROW;
    if (how == DENSE) {
        ahead = back = irn_dense_suits(c->context, conv);
        gradient = irn_dense_gradient_suits(c->context, conv);
    }
    if (!ahead && !back && !gradient)
        return IRN_OK;
    IRN_TRY(begin(&s));
    if (ahead) {
        IRN_TRY(check_forward(&s));
        IRN_TRY(check_minuend(&s));
    }
    if (back)
        IRN_TRY(check_backward(&s));
    return gradient ? check_gradient(&s) : IRN_OK;
}

/* Fast forms are of float32 only. */
static irn_status check_shape(irn_trial *c, const irn_conv *conv, irn_map map,
                              irn_precision precision)
{
    IRN_TRY(check_form(c, conv, map, precision, DIRECT));
    if (precision == IRN_DOUBLE)
        return IRN_OK;
    if (irn_winograd_suits(c->context, conv, map.height, map.width))
        IRN_TRY(check_form(c, conv, map, IRN_SINGLE, WINOGRAD));
    return check_form(c, conv, map, IRN_SINGLE, NARROW);
}

irn_status irn_trial_convolutions_in(irn_trial *c, irn_precision precision)
{
    /* Whole and partial blocks of 4, 8 and 16 channels, few enough blocks for the kernels without
     * local memory, pixels that fill no tile, kernels that look beyond the map, dense layers. */
    static const struct {
        irn_map map;
        irn_conv conv;
    } shapes[] = {{{2, 7, 9}, {19, 37, 3, 3, IRN_PAD_ZEROS, IRN_ELU}},
                  {{3, 5, 6}, {35, 3, 3, 3, IRN_PAD_CIRCULAR, IRN_ELU}},
                  {{2, 5, 7}, {21, 34, 1, 1, IRN_PAD_ZEROS, IRN_ELU}},
                  {{5, 1, 1}, {37, 21, 1, 1, IRN_PAD_ZEROS, IRN_ELU}},
                  {{2, 3, 4}, {2, 19, 5, 2, IRN_PAD_CIRCULAR, IRN_ELU}},
                  {{2, 4, 5}, {9, 7, 3, 3, IRN_PAD_ZEROS, IRN_ELU}}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (irn_activation phi = IRN_IDENTITY; phi <= IRN_LIPSWISH; phi++) {
            irn_conv conv = shapes[i].conv;
            conv.activation = phi;
            if (c->thorough || phi == IRN_ELU)
                IRN_TRY(check_shape(c, &conv, shapes[i].map, precision));
        }
    return IRN_OK;
}

/* All with these tiles of the device's row, as far as it has them. */
static irn_status check_tiles(irn_trial *c, irn_tile_use apply, irn_tile_use gradient)
{
    irn_tuning *tuning = &c->context->tuning;
    const irn_tuning saved = *tuning;
    const irn_tile tiles[] = {saved.tiles[apply], saved.tiles[gradient]};
    char text[2][IRN_TILE_TEXT];
    if (tiles[0].size[0] == 0 && tiles[1].size[0] == 0)
        return IRN_OK;
    irn_tuning_force(tuning, apply, &tiles[0]);
    irn_tuning_force(tuning, gradient, &tiles[1]);
    irn_status status = irn_trial_convolutions_in(c, IRN_SINGLE);
    *tuning = saved;
    if (status == IRN_OK)
        return IRN_OK;
    return irn_fail(status, "%s; with %s=%s %s=%s", irn_last_error(), irn_tile_use_name(apply),
                    irn_tile_text(text[0], &tiles[0]), irn_tile_use_name(gradient),
                    irn_tile_text(text[1], &tiles[1]));
}

/* ---- CLBlast ---- */

/* Two forms of y = W x and of the weights' gradient against each other: one that the host has
 * checked beside CLBlast. */
static irn_status compare_forms(subject *s)
{
    irn_trial *c = s->trial;
    const irn_epilogue plain = {.activate = false};
    const irn_place none = {NULL, 0};
    irn_tensor x, y, results[2];
    irn_place kernels[2];
    double *expected, *got;
    IRN_TRY(tensor_of(s, false, s->x, &x));
    IRN_TRY(tensor_of(s, true, s->y, &y));
    for (int i = 0; i < 2; i++) {
        s->how = i ? DENSE : DIRECT;
        IRN_TRY(tensor_of(s, true, NULL, &results[i]));
        IRN_TRY(irn_trial_kernel(c, IRN_SINGLE, &s->conv, NULL, &kernels[i]));
        if (irn_dense_suits(c->context, &s->conv))
            IRN_TRY(forward(s, &x, &plain, &results[i]));
        if (irn_dense_gradient_suits(c->context, &s->conv))
            IRN_TRY(weight_gradient(s, &x, &y, kernels[i], none));
    }
    if (irn_dense_suits(c->context, &s->conv)) {
        IRN_TRY(irn_trial_read_tensor(c, &results[0], &expected));
        IRN_TRY(irn_trial_is_tensor(c, name(s, "large product"), expected, &results[1], 1e-5));
    }
    if (irn_dense_gradient_suits(c->context, &s->conv)) {
        IRN_TRY(irn_trial_read_kernel(c, IRN_SINGLE, kernels[0], &s->conv, &expected));
        IRN_TRY(irn_trial_read_kernel(c, IRN_SINGLE, kernels[1], &s->conv, &got));
        IRN_TRY(irn_trial_values(c, name(s, "gradient of a large product"), expected, got,
                                 irn_kernel_count(&s->conv), 1e-5));
    }
    return IRN_OK;
}

/* CLBlast has another kernel for large products, which begin anywhere from 128^3 to 1500^3 sums on
 * the devices that it knows: the least channels with which these pixels have it. */
static irn_status check_large_products(irn_trial *c)
{
    enum { IMAGES = 16, SIDE = 16, PIXELS = IMAGES * SIDE * SIDE, MOST_CHANNELS = 1028 };
    irn_tuning *tuning = &c->context->tuning;
    const irn_tuning saved = *tuning;
    size_t n = 132;
    while (n < MOST_CHANNELS && !irn_gemm_is_large(c->context, PIXELS, n, n))
        n += 128;
    subject s = {.trial = c,
                 .conv = {n, n, 1, 1, IRN_PAD_ZEROS, IRN_IDENTITY},
                 .map = {IMAGES, SIDE, SIDE},
                 .precision = IRN_SINGLE,
                 .how = DENSE};
    IRN_TRY(begin(&s));
    /* Scratch for no more than there is. */
    for (irn_tile_use use = IRN_TILE_DENSE; use <= IRN_TILE_DENSE_GRADIENT; use++)
        tuning->tiles[use].size[0] = (unsigned)irn_smaller(tuning->tiles[use].size[0], PIXELS);
    irn_status status = compare_forms(&s);
    *tuning = saved;
    return status;
}

static irn_status check_products(irn_trial *c)
{
    static const irn_map maps[] = {{2, 5, 7}, {5, 1, 1}};
    for (irn_activation phi = IRN_IDENTITY; phi <= IRN_LIPSWISH; phi++) {
        const irn_conv conv = {37, 21, 1, 1, IRN_PAD_ZEROS, phi};
        for (size_t i = 0; i < 2 && (c->thorough || phi == IRN_ELU); i++)
            IRN_TRY(check_form(c, &conv, maps[i], IRN_SINGLE, DENSE));
    }
    return check_large_products(c);
}

/* What the tuning leaves to CLBlast. Where that, or what brings maps to it and results from it, is
 * not to be relied on, tiles take its place. */
static irn_status check_blas(irn_trial *c)
{
    const irn_conv small = {.kernel_height = 1, .kernel_width = 1};
    const irn_check_result before = c->result;
    char worst[sizeof c->worst];
    if (!irn_dense_suits(c->context, &small) && !irn_dense_gradient_suits(c->context, &small))
        return IRN_OK;
    memcpy(worst, c->worst, sizeof worst);
    irn_status status = check_products(c);
    if (status != IRN_ERROR_DEVICE && !c->context->blas_refused)
        return status;
    c->context->blas_refused = true;
    c->launched.count = 0;
    c->result = before;
    c->result.outcome = IRN_CHECK_REPLACED;
    memcpy(c->worst, worst, sizeof worst);
    snprintf(c->sentence, sizeof c->sentence,
             "CLBlast is wrong or fails on %s: tiles take its place", c->context->info.name);
    return IRN_OK;
}

/* These maps are small, so that by themselves they take narrow tiles: others have to be asked for.
 */
irn_status irn_trial_convolutions(irn_trial *c)
{
    IRN_TRY(irn_trial_convolutions_in(c, IRN_SINGLE));
    if (!c->context->info.is_simt)
        return IRN_OK;
    IRN_TRY(check_tiles(c, IRN_TILE_APPLY, IRN_TILE_GRADIENT));
    IRN_TRY(check_tiles(c, IRN_TILE_APPLY_NARROW, IRN_TILE_GRADIENT_NARROW));
    return check_blas(c);
}
