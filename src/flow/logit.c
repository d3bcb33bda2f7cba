#include "flow/logit.h"

#include <math.h>

static const double unit = 0x1p-53;

static size_t sample_size(const irn_model *model)
{
    const irn_model_config *c = &model->config;
    return c->channels * c->height * c->width;
}

static double slope(const irn_model *model)
{
    return 1 - 2 * model->config.logit;
}

irn_status irn_logit_check(const irn_model *model, const float *x, size_t images)
{
    /* A thousandth of the way from infinity. */
    double alpha = model->config.logit, most = 0.5 + 0.999 * alpha / slope(model);
    size_t size = sample_size(model);
    for (size_t i = 0; alpha > 0 && i < images * size; i++)
        if (!(fabs((double)x[i]) <= most))
            return irn_fail(IRN_ERROR_ARGUMENT,
                            "value %zu of sample %zu is %g; the model's logit transform is for "
                            "-%g to %g",
                            i % size, i / size, (double)x[i], most, most);
    return IRN_OK;
}

static irn_status run(const irn_model *model, const irn_tensor *x, const char *kernel)
{
    if (!(model->config.logit > 0))
        return IRN_OK;
    irn_context *context = x->context;
    size_t count = irn_tensor_blocks(x);
    bool wide = x->precision == IRN_DOUBLE;
    irn_call call =
        irn_call_begin(context, "common.clh logit.cl", irn_precision_options(x->precision), kernel);
    irn_call_memory(&call, x->memory, x->offset);
    irn_call_ulong(&call, count);
    irn_call_real(&call, wide, model->config.logit);
    irn_call_real(&call, wide, slope(model));
    return irn_call_run(&call, irn_block_items(context, count), 1, 1, context->tuning.work_group);
}

irn_status irn_logit_apply(const irn_model *model, const irn_tensor *x)
{
    return run(model, x, "logit");
}

irn_status irn_logit_undo(const irn_model *model, const irn_tensor *l)
{
    return run(model, l, "logit_undo");
}

/* dl/dx = (1 - 2 alpha) / (s (1 - s)). Where |x| > 1/2, one of the factors has lost up to three
 * digits; hence 4e-12 an element. */
irn_interval irn_logit_logdet(const irn_model *model, const float *x)
{
    double alpha = model->config.logit, k = slope(model), sum = 0, sizes = 0;
    size_t size = sample_size(model);
    if (!(alpha > 0))
        return (irn_interval){0, 0};
    for (size_t i = 0; i < size; i++) {
        double s = alpha + k * (0.5 + (double)x[i]), rest = alpha + k * (0.5 - (double)x[i]);
        double part = log(k / (s * rest));
        sum += part;
        sizes += fabs(part);
    }
    double slack = (double)size * (4e-12 + 2 * unit * sizes);
    return (irn_interval){sum - slack, sum + slack};
}

/* x = tanh(l/2) / (2 (1 - 2 alpha)), steepest at 0. */
double irn_logit_lipschitz(const irn_model *model)
{
    return model->config.logit > 0 ? 1 / (4 * slope(model)) : 1;
}

/* OpenCL's tanh is within 5 units in the last place (OpenCL 1.2, section 7.4); a division and a
 * constant besides. */
double irn_logit_undo_rounding(const irn_model *model)
{
    return model->config.logit > 0 ? 16 * unit : 0;
}

/* s and 1 - s, of which every term is positive or cancels to at least 0, have errors of less than 4
 * u, so that s / (s + (1 - s)), which the logarithm of their quotient stands for, has one of 16 u.
 * The division adds u/4, since Lip(logistic) = 1/4, and the logarithm, which is within 3 units in
 * the last place, 6 u max |l| s (1 - s) < 2 u. x is s divided by 1 - 2 alpha. */
double irn_logit_apply_rounding(const irn_model *model)
{
    return model->config.logit > 0 ? 20 * unit / slope(model) : 0;
}
