/* Making a model certified by lowering the norms of its layers. */
#include "certify/certificate.h"
#include "flow/model.h"

#include <math.h>
#include <stdlib.h>

/* Weights are rounded to float32 after they are scaled, and bounds are of the rounded ones, so the
 * aim is below the limit: by a millionth, 17 units of float32's last place, and by more where that
 * does not do. */
static const double first_margin = 1e-6, margin_growth = 8;
enum { ATTEMPTS = 6 };

typedef struct enforcement {
    irn_model *model;
    double most, margin;
    double *lipschitz;      /* of the blocks, as the model had them */
    irn_layer_copy *copies; /* of the layers, as they were; those not changed have no kernel */
    double *uppers;         /* of the layers that were changed, before */
    size_t changed;
} enforcement;

static size_t layers_of(const enforcement *self)
{
    return irn_model_get_config(self->model)->layers;
}

static int larger_first(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* t with the product of min(bounds[i], t) = product, which is below that of the bounds: the k
 * largest come down to t^k = product / rest, for the first k with which t is not below those that
 * stay. In logarithms, because a product of bounds may be beyond float64. */
static double common_level(const double *bounds, size_t count, double product)
{
    double sorted[IRN_MAX_LAYERS], rest = 0, level = 0;
    for (size_t i = 0; i < count; i++) {
        sorted[i] = bounds[i];
        rest += log(bounds[i]);
    }
    qsort(sorted, count, sizeof *sorted, larger_first);
    for (size_t k = 1; k <= count; k++) {
        rest -= log(sorted[k - 1]);
        level = exp((log(product) - (k < count ? rest : 0)) / (double)k);
        if (k < count && level >= sorted[k])
            break;
    }
    return level;
}

static irn_status lower_layer(enforcement *self, size_t index, double upper, double level)
{
    irn_layer_copy *copy = &self->copies[index];
    if (!copy->kernel) {
        IRN_TRY(irn_layer_copy_make(copy, self->model, index));
        self->uppers[index] = upper;
        self->changed++;
    }
    return irn_layer_fold(self->model, index, level / upper);
}

static irn_status lower_block(enforcement *self, const irn_certificate *certificate, size_t block)
{
    size_t layers = layers_of(self), first = block * layers;
    double bounds[IRN_MAX_LAYERS];
    for (size_t i = 0; i < layers; i++) {
        irn_layer_bound layer = irn_certificate_layer(certificate, first + i);
        bounds[i] = layer.bound.upper;
        if (!isfinite(bounds[i]))
            return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                            "%s: its bound is %g, which no factor brings down", layer.name,
                            bounds[i]);
    }
    double level = common_level(bounds, layers, self->most * (1 - self->margin));
    for (size_t i = 0; i < layers; i++)
        if (bounds[i] > level)
            IRN_TRY(lower_layer(self, first + i, bounds[i], level));
    return IRN_OK;
}

/* *block: the first whose bound is above the limit; the number of blocks if none is. */
static size_t first_above(const enforcement *self, const irn_certificate *certificate, size_t block)
{
    size_t count = irn_certificate_block_count(certificate);
    while (block < count && irn_certificate_block(certificate, block).lipschitz_upper <= self->most)
        block++;
    return block;
}

static irn_status lower_blocks(enforcement *self, const irn_certificate *certificate)
{
    size_t block = first_above(self, certificate, 0);
    for (; block < irn_certificate_block_count(certificate);
         block = first_above(self, certificate, block + 1))
        IRN_TRY(lower_block(self, certificate, block));
    return IRN_OK;
}

/* Certifies and lowers in turn until there is nothing left to lower. */
static irn_status enforce(irn_certificate **out, enforcement *self,
                          const irn_certify_options *options)
{
    self->margin = first_margin;
    for (int attempt = 0;; attempt++, self->margin *= margin_growth) {
        irn_certificate *certificate;
        IRN_TRY(irn_certify_model(&certificate, self->model, options));
        size_t above = first_above(self, certificate, 0);
        if (above == irn_certificate_block_count(certificate)) {
            *out = certificate;
            return IRN_OK;
        }
        char limit[IRN_NUMBER_TEXT];
        irn_block_bound worst = irn_certificate_block(certificate, above);
        irn_status status = attempt < ATTEMPTS
                                ? lower_blocks(self, certificate)
                                : irn_fail(IRN_ERROR_NOT_CERTIFIED,
                                           "%s: its bound is %.17g, still above %s after its "
                                           "layers were lowered %d times",
                                           worst.name, worst.lipschitz_upper,
                                           irn_number_text(limit, self->most), ATTEMPTS);
        irn_certificate_free(certificate);
        IRN_TRY(status);
    }
}

/* A device that fails here too leaves a model that is neither, with no bounds claimed. */
static void undo(enforcement *self)
{
    size_t blocks = irn_model_block_count(self->model);
    for (size_t i = 0; i < blocks * layers_of(self); i++)
        if (self->copies[i].kernel)
            irn_layer_restore(self->model, i, &self->copies[i]);
    for (size_t block = 0; block < blocks; block++)
        irn_model_set_lipschitz(self->model, block, self->lipschitz[block]);
}

static irn_status prepare(enforcement *self)
{
    size_t blocks = irn_model_block_count(self->model), layers = blocks * layers_of(self);
    IRN_TRY(irn_alloc(&self->lipschitz, blocks, sizeof *self->lipschitz));
    for (size_t block = 0; block < blocks; block++)
        self->lipschitz[block] = self->model->blocks[block].lipschitz_upper;
    IRN_TRY(irn_alloc(&self->copies, layers, sizeof *self->copies));
    return irn_alloc(&self->uppers, layers, sizeof *self->uppers);
}

static void release(enforcement *self)
{
    for (size_t i = 0; self->copies && i < irn_model_layer_count(self->model); i++)
        irn_layer_copy_free(&self->copies[i]);
    free(self->copies);
    free(self->uppers);
    free(self->lipschitz);
}

irn_status irn_certify_enforce(irn_certificate **out, irn_model *model, double most,
                               const irn_certify_options *options, size_t *changed)
{
    if (!out || !model)
        return irn_fail(IRN_ERROR_ARGUMENT, "a certificate's result or model is NULL");
    *out = NULL;
    if (!(most > 0 && most < 1))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "blocks are to be certified at %g: must be above 0 and below 1", most);
    enforcement self = {.model = model, .most = most};
    irn_status status = prepare(&self);
    if (status == IRN_OK) {
        status = enforce(out, &self, options);
        if (status != IRN_OK)
            undo(&self);
    }
    for (size_t i = 0; status == IRN_OK && i < (*out)->layer_count; i++)
        (*out)->layers[i].upper_before = self.uppers[i];
    if (status == IRN_OK && changed)
        *changed = self.changed;
    release(&self);
    return status;
}
