/* Running error analysis of the float64 evaluation (Higham, Accuracy and Stability of Numerical
 * Algorithms, 2nd ed., chapter 3). What is computed of W a, n products added up one after the
 * other, differs from W a by at most gamma_n |W| |a| element by element, so in norm by gamma_n M
 * ||a|| with M^2 = (largest row sum) (largest column sum) of |W|; and M bounds ||W|| too. Sizes and
 * errors are linear functions of ||z||. Padding, zero or circular, only repeats or leaves out taps.
 */
#include "flow/rounding.h"

#include <math.h>
#include <stdlib.h>

/* u, and what bounds the errors of exp and a few more operations, all a few u, relative to the
 * result, and that of phi relative to its argument and phi(0). (LipSwish's is less than 14 u |z|: p
 * = logistic(t) and the products have relative errors of 11 u; those of s and t, 11 u, count for at
 * most max |t| p (1 - p) = 0.23 of |z|.) */
static const double unit = 0x1p-53, few = 0x1p-53 * 32;

static irn_rounding plus(irn_rounding a, double factor, irn_rounding b)
{
    return (irn_rounding){a.slope + factor * b.slope, a.offset + factor * b.offset};
}

/* sqrt(largest row sum x largest column sum) of |scale W| as a matrix on maps: rows are outputs. */
static double absolute_norm(const float *weights, size_t outputs, size_t inputs, size_t taps,
                            double scale)
{
    double row_most = 0, column_most = 0;
    for (size_t o = 0; o < outputs; o++) {
        double sum = 0;
        for (size_t k = 0; k < inputs * taps; k++)
            sum += fabs((double)weights[o * inputs * taps + k]);
        row_most = fmax(row_most, sum);
    }
    for (size_t i = 0; i < inputs; i++) {
        double sum = 0;
        for (size_t o = 0; o < outputs; o++)
            for (size_t t = 0; t < taps; t++)
                sum += fabs((double)weights[(o * inputs + i) * taps + t]);
        column_most = fmax(column_most, sum);
    }
    return fabs(scale) * sqrt(row_most * column_most) * (1 + 1e-9);
}

/* The norm of a map whose every pixel has these values. */
static irn_status map_norm(const irn_model *model, size_t entry, size_t pixels, double *norm)
{
    const irn_entry *e = &model->parameters.entries[entry];
    size_t count = irn_entry_count(e);
    double sum = 0;
    float *values;
    IRN_TRY(irn_alloc(&values, count, sizeof *values));
    irn_status status = irn_arena_read(&model->parameters, model->single.parameters, e, values);
    for (size_t i = 0; status == IRN_OK && i < count; i++)
        sum += (double)values[i] * (double)values[i];
    free(values);
    *norm = sqrt(sum * (double)pixels) * (1 + 1e-9);
    return status;
}

typedef struct layer_facts {
    double norm, bias, gamma; /* M, the norm of the bias, gamma_n */
} layer_facts;

static irn_status read_layer(const irn_model *model, size_t index, layer_facts *out)
{
    irn_layer_view view;
    float *weights;
    IRN_TRY(irn_model_layer(model, index, &view));
    size_t taps = view.kernel * view.kernel, terms = view.inputs * taps;
    double n = (double)(irn_channel_blocks(model->context, view.inputs) *
                        model->context->tuning.channel_block * taps);
    const irn_block *block = &model->blocks[view.block];
    IRN_TRY(irn_alloc(&weights, view.outputs * terms, sizeof *weights));
    irn_status status = irn_model_layer_weights(model, index, weights);
    if (status == IRN_OK)
        out->norm = absolute_norm(weights, view.outputs, view.inputs, taps, view.scale);
    free(weights);
    out->gamma = n * unit / (1 - n * unit);
    IRN_TRY(status);
    return map_norm(model, block->layers[index % model->config.layers].bias,
                    view.height * view.width, &out->bias);
}

/* What phi adds to a map's norm: |phi(x)| <= |x| + |phi(0)|. */
static double activation_offset(const irn_model *model, size_t elements)
{
    return model->config.activation == IRN_SOFTPLUS ? log(2) * sqrt((double)elements) * (1 + 1e-9)
                                                    : 0;
}

irn_status irn_block_rounding(const irn_model *model, size_t index, irn_rounding *out)
{
    const irn_block *block = &model->blocks[index];
    size_t pixels = block->height * block->width, layers = model->config.layers;
    irn_rounding z = {1, 0}, size = z, error = {0, 0};
    if (model->config.actnorm) {
        /* z = x exp(s) + t, so ||x exp(s)|| <= ||z|| + ||t||. */
        IRN_TRY(map_norm(model, block->shift, pixels, &z.offset));
        error = (irn_rounding){few, 2 * few * z.offset};
        z.offset = 0;
    }
    irn_rounding total = error; /* of z, which F_t = z + g(z) adds */
    for (size_t i = 0; i < layers; i++) {
        const irn_layer *layer = &block->layers[i];
        layer_facts facts;
        IRN_TRY(read_layer(model, index * layers + i, &facts));
        if (i > 0 || block->first_activation) {
            size.offset += activation_offset(model, layer->conv.inputs * pixels);
            error = plus(error, few, size);
        }
        irn_rounding next = {facts.norm * size.slope, facts.norm * size.offset + facts.bias};
        irn_rounding sum = plus(size, 1, error);
        error = (irn_rounding){facts.norm * error.slope, facts.norm * error.offset};
        error = plus(plus(error, facts.norm * facts.gamma, sum), few, next);
        size = next;
    }
    *out = plus(plus(total, 1, error), few, plus(z, 1, size));
    return IRN_OK;
}
