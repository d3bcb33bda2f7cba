#include "ops/elementwise.h"

#include <stdio.h>

static const char sources[] = "common.clh activation.clh elementwise.cl";

static irn_call begin(const irn_tensor *tensor, irn_activation activation, const char *kernel)
{
    char options[64];
    snprintf(options, sizeof options, "%s -DACT=%d", irn_precision_options(tensor->precision),
             (int)activation);
    return irn_call_begin(tensor->context, sources, options, kernel);
}

static irn_status run_on_blocks(irn_call *call, const irn_tensor *tensor)
{
    size_t items = irn_block_items(tensor->context, irn_tensor_blocks(tensor));
    return irn_call_run(call, items, 1, 1, tensor->context->tuning.work_group);
}

static void tensor_argument(irn_call *call, const irn_tensor *tensor)
{
    irn_call_memory(call, tensor->memory, tensor->offset);
}

static void place_argument(irn_call *call, irn_place place)
{
    irn_call_memory(call, place.memory, place.offset);
}

irn_status irn_activation_forward(irn_activation activation, irn_place beta, const irn_tensor *z,
                                  const irn_tensor *y)
{
    irn_call call = begin(z, activation, "activation");
    tensor_argument(&call, z);
    place_argument(&call, beta);
    tensor_argument(&call, y);
    irn_call_ulong(&call, irn_tensor_blocks(z));
    return run_on_blocks(&call, z);
}

irn_status irn_activation_derivative(irn_activation activation, irn_place beta, const irn_tensor *y,
                                     const irn_tensor *t, const irn_tensor *out)
{
    irn_call call = begin(y, activation, "activation_derivative");
    tensor_argument(&call, y);
    place_argument(&call, beta);
    tensor_argument(&call, t);
    tensor_argument(&call, out);
    irn_call_ulong(&call, irn_tensor_blocks(y));
    return run_on_blocks(&call, y);
}

irn_status irn_activation_second(irn_activation activation, irn_place beta, const irn_tensor *y,
                                 const irn_tensor *zdot, const irn_tensor *ydot_bar,
                                 const irn_tensor *out)
{
    irn_call call = begin(y, activation, "activation_second");
    tensor_argument(&call, y);
    place_argument(&call, beta);
    tensor_argument(&call, zdot);
    tensor_argument(&call, ydot_bar);
    tensor_argument(&call, out);
    irn_call_ulong(&call, irn_tensor_blocks(y));
    return run_on_blocks(&call, y);
}

/* activation_gradient.cl */
enum { GRADIENT_SECOND = 1, GRADIENT_REST = 2 };

static irn_call begin_gradient(const irn_activation_gradient *what, const char *kernel)
{
    char options[64];
    snprintf(options, sizeof options, "%s -DACT=%d", irn_precision_options(IRN_SINGLE),
             (int)what->activation);
    return irn_call_begin(what->z->context,
                          "common.clh group.clh reduce.cl activation.clh activation_gradient.cl",
                          options, kernel);
}

static void optional_argument(irn_call *call, const irn_tensor *tensor)
{
    irn_call_memory(call, tensor ? tensor->memory : NULL, tensor ? tensor->offset : 0);
}

irn_status irn_activation_gradient_run(const irn_activation_gradient *what)
{
    size_t images = what->z->images, group = what->z->context->tuning.work_group;
    irn_call call = begin_gradient(what, "activation_gradient");
    tensor_argument(&call, what->z);
    place_argument(&call, what->beta);
    tensor_argument(&call, what->ybar);
    optional_argument(&call, what->gain);
    optional_argument(&call, what->rest);
    tensor_argument(&call, what->out);
    irn_call_memory(&call, what->values, 0);
    irn_call_ulong(&call, irn_tensor_blocks(what->z) / images);
    irn_call_int(&call, (what->gain ? GRADIENT_SECOND : 0u) | (what->rest ? GRADIENT_REST : 0u));
    IRN_TRY(irn_call_run(&call, images * group, 1, 1, group));
    call = begin_gradient(what, "beta_gradient");
    irn_call_memory(&call, what->values, 0);
    place_argument(&call, what->beta);
    place_argument(&call, what->gradient);
    irn_call_int(&call, images);
    return irn_call_run(&call, group, 1, 1, group);
}

static irn_status run_on_channels(irn_call *call, const irn_tensor *tensor)
{
    irn_call_ulong(call, irn_tensor_blocks(tensor));
    irn_call_int(call, irn_channel_blocks(tensor->context, tensor->channels));
    irn_call_int(call, tensor->height * tensor->width);
    return run_on_blocks(call, tensor);
}

static irn_status run_actnorm(const char *kernel, const irn_tensor *from, irn_place log_scale,
                              irn_place shift, const irn_tensor *to)
{
    irn_call call = begin(from, IRN_IDENTITY, kernel);
    tensor_argument(&call, from);
    place_argument(&call, log_scale);
    place_argument(&call, shift);
    tensor_argument(&call, to);
    return run_on_channels(&call, from);
}

irn_status irn_actnorm_forward(const irn_tensor *x, irn_place log_scale, irn_place shift,
                               const irn_tensor *z)
{
    return run_actnorm("actnorm", x, log_scale, shift, z);
}

irn_status irn_actnorm_inverse(const irn_tensor *z, irn_place log_scale, irn_place shift,
                               const irn_tensor *x)
{
    return run_actnorm("actnorm_inverse", z, log_scale, shift, x);
}

irn_status irn_actnorm_scale(const irn_tensor *x, irn_place log_scale, const irn_tensor *y)
{
    irn_call call = begin(x, IRN_IDENTITY, "actnorm_scale");
    tensor_argument(&call, x);
    place_argument(&call, log_scale);
    tensor_argument(&call, y);
    return run_on_channels(&call, x);
}

irn_status irn_actnorm_gradient(const irn_tensor *g, const irn_tensor *z, irn_place shift,
                                irn_place log_scale_gradient, irn_place shift_gradient,
                                cl_mem scratch)
{
    irn_channel_sums sums = {.p = g,
                             .q = z,
                             .centre = shift,
                             .centre_q = true,
                             .sums = shift_gradient,
                             .products = log_scale_gradient,
                             .factor = 1};
    return irn_channel_sums_run(&sums, scratch);
}

static irn_status run_squeeze(const char *kernel, const irn_tensor *from, const irn_tensor *to,
                              const irn_tensor *wide, const irn_tensor *squeezed)
{
    irn_call call = irn_call_begin(from->context, irn_general_sources,
                                   irn_precision_options(from->precision), kernel);
    tensor_argument(&call, from);
    tensor_argument(&call, to);
    irn_call_int(&call, wide->channels);
    irn_call_int(&call, irn_channel_blocks(from->context, from->channels));
    irn_call_int(&call, squeezed->height);
    irn_call_int(&call, squeezed->width);
    return irn_call_run(&call, to->height * to->width,
                        irn_channel_blocks(to->context, to->channels), to->images, 0);
}

irn_status irn_squeeze(const irn_tensor *x, const irn_tensor *y)
{
    return run_squeeze("squeeze", x, y, x, y);
}

irn_status irn_unsqueeze(const irn_tensor *y, const irn_tensor *x)
{
    return run_squeeze("unsqueeze", y, x, x, y);
}

static irn_status run_on_map(irn_call *call, const irn_tensor *to)
{
    return irn_call_run(call, to->height * to->width, irn_channel_blocks(to->context, to->channels),
                        to->images, 0);
}

irn_status irn_take_channels(const irn_tensor *x, size_t first, const irn_tensor *y)
{
    irn_call call = irn_call_begin(x->context, irn_general_sources,
                                   irn_precision_options(x->precision), "take_channels");
    tensor_argument(&call, x);
    tensor_argument(&call, y);
    irn_call_int(&call, irn_channel_blocks(x->context, x->channels));
    irn_call_int(&call, first);
    irn_call_int(&call, y->channels);
    return run_on_map(&call, y);
}

irn_status irn_join_channels(const irn_tensor *a, const irn_tensor *b, const irn_tensor *y)
{
    irn_call call = irn_call_begin(y->context, irn_general_sources,
                                   irn_precision_options(y->precision), "join_channels");
    tensor_argument(&call, a);
    tensor_argument(&call, b);
    tensor_argument(&call, y);
    irn_call_int(&call, a->channels);
    irn_call_int(&call, b->channels);
    return run_on_map(&call, y);
}

static irn_status run_dots(const irn_tensor *a, const irn_tensor *b, irn_place out, bool add)
{
    size_t group = a->context->tuning.work_group;
    irn_call call = irn_call_begin(a->context, irn_general_sources,
                                   irn_precision_options(a->precision), "sample_dots");
    tensor_argument(&call, a);
    tensor_argument(&call, b);
    place_argument(&call, out);
    irn_call_ulong(&call, irn_tensor_blocks(a) / a->images);
    irn_call_int(&call, add);
    return irn_call_run(&call, a->images * group, 1, 1, group);
}

irn_status irn_sample_dots(const irn_tensor *a, const irn_tensor *b, cl_mem out)
{
    return irn_sample_dots_at(a, b, (irn_place){out, 0});
}

irn_status irn_sample_dots_at(const irn_tensor *a, const irn_tensor *b, irn_place out)
{
    return run_dots(a, b, out, false);
}

irn_status irn_add_sample_dots(const irn_tensor *a, const irn_tensor *b, irn_place out)
{
    return run_dots(a, b, out, true);
}

irn_status irn_normalise_samples(const irn_tensor *x)
{
    size_t group = x->context->tuning.work_group;
    irn_call call = irn_call_begin(x->context, irn_general_sources,
                                   irn_precision_options(x->precision), "normalise_samples");
    tensor_argument(&call, x);
    irn_call_ulong(&call, irn_tensor_blocks(x) / x->images);
    return irn_call_run(&call, x->images * group, 1, 1, group);
}

irn_status irn_add_scaled(double a, const irn_tensor *x, const irn_tensor *y)
{
    irn_call call = begin(x, IRN_IDENTITY, "add_scaled");
    irn_call_real(&call, x->precision == IRN_DOUBLE, a);
    tensor_argument(&call, x);
    tensor_argument(&call, y);
    irn_call_ulong(&call, irn_tensor_blocks(x));
    return run_on_blocks(&call, x);
}

enum { CENTRE_P = 1, CENTRE_Q = 2, PRODUCT = 4 }; /* reduce.cl */

static size_t channel_splits(const irn_context *context)
{
    return (size_t)context->info.compute_units * (context->info.is_simt ? 64 : 4);
}

size_t irn_channel_scratch(const irn_context *context, size_t channels)
{
    return channel_splits(context) * 2 * irn_channel_blocks(context, channels) *
           context->tuning.channel_block;
}

irn_status irn_channel_sums_run(const irn_channel_sums *what, cl_mem scratch)
{
    const irn_tensor *p = what->p;
    irn_context *context = p->context;
    const char *options = irn_precision_options(p->precision);
    size_t blocks = irn_channel_blocks(context, p->channels), splits = channel_splits(context);
    size_t flags = (what->q ? PRODUCT : 0u) | (what->centre_p ? CENTRE_P : 0u) |
                   (what->centre_q ? CENTRE_Q : 0u);
    irn_call call = irn_call_begin(context, irn_general_sources, options, "channel_sums");
    tensor_argument(&call, p);
    tensor_argument(&call, what->q ? what->q : p);
    place_argument(&call, what->centre);
    irn_call_memory(&call, scratch, 0);
    irn_call_int(&call, p->images);
    irn_call_int(&call, blocks);
    irn_call_int(&call, p->height * p->width);
    irn_call_int(&call, flags);
    IRN_TRY(irn_call_run(&call, splits, blocks, 1, 0));
    call = irn_call_begin(context, irn_general_sources, options, "channel_finish");
    irn_call_memory(&call, scratch, 0);
    place_argument(&call, what->sums);
    place_argument(&call, what->products);
    irn_call_int(&call, splits);
    irn_call_int(&call, flags);
    irn_call_real(&call, p->precision == IRN_DOUBLE, what->factor);
    return irn_call_run(&call, blocks, 1, 1, 0);
}

/* Mean first and then squares about it, since E x^2 - (E x)^2 cancels. */
irn_status irn_channel_moments(const irn_tensor *x, irn_place mean, irn_place variance,
                               cl_mem scratch)
{
    double factor = 1 / (double)(x->images * x->height * x->width);
    irn_channel_sums first = {.p = x, .sums = mean, .factor = factor};
    irn_channel_sums second = {.p = x,
                               .q = x,
                               .centre = mean,
                               .centre_p = true,
                               .centre_q = true,
                               .sums = variance, /* not wanted: the products stay */
                               .products = variance,
                               .factor = factor};
    IRN_TRY(irn_channel_sums_run(&first, scratch));
    return irn_channel_sums_run(&second, scratch);
}
