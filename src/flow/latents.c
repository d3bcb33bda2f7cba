#include "flow/latents.h"
#include "ops/elementwise.h"

#include <string.h>

irn_status irn_latents_create(irn_latents *out, const irn_model *model, irn_precision precision,
                              size_t images)
{
    irn_status status = IRN_OK;
    memset(out, 0, sizeof *out);
    for (size_t s = 0; s + 1 < model->scale_count && status == IRN_OK; s++) {
        const irn_scale *scale = &model->scales[s];
        status = irn_tensor_create(&out->parts[s], model->context, precision, images,
                                   scale->channels, scale->height, scale->width);
    }
    if (status != IRN_OK)
        irn_latents_free(out);
    return status;
}

void irn_latents_free(irn_latents *latents)
{
    for (size_t s = 0; s < IRN_MAX_STAGES; s++)
        irn_tensor_free(&latents->parts[s]);
}

irn_tensor irn_latent_view(const irn_model *model, const irn_tensor *memory, size_t scale,
                           size_t images)
{
    const irn_scale *s = &model->scales[scale];
    return irn_tensor_view(memory, images, s->channels, s->height, s->width);
}

irn_status irn_latents_pack(const irn_latents *latents, const irn_model *model, cl_mem z,
                            size_t offset)
{
    size_t row = irn_model_latent_size(model);
    for (size_t s = 0; s < model->scale_count; s++)
        IRN_TRY(irn_tensor_pack_rows(&latents->parts[s], z, offset + model->scales[s].offset,
                                     model->scales[s].channels, row));
    return IRN_OK;
}

irn_status irn_latents_unpack(const irn_latents *latents, const irn_model *model, cl_mem z,
                              size_t offset)
{
    size_t row = irn_model_latent_size(model);
    for (size_t s = 0; s < model->scale_count; s++)
        IRN_TRY(irn_tensor_unpack_rows(&latents->parts[s], z, offset + model->scales[s].offset,
                                       model->scales[s].channels, row));
    return IRN_OK;
}

size_t irn_split_rest(const irn_block *block)
{
    return block->channels - block->channels / 2;
}

/* As in the official code, the first channels leave. */
irn_status irn_part_leave(const irn_tensor *x, const irn_tensor *part, const irn_tensor *rest)
{
    IRN_TRY(irn_take_channels(x, 0, part));
    return irn_take_channels(x, part->channels, rest);
}

irn_status irn_part_join(const irn_tensor *part, const irn_tensor *rest, const irn_tensor *x)
{
    return irn_join_channels(part, rest, x);
}
