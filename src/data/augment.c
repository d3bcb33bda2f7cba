#include "data/dataset.h"

#include "base/philox.h"

irn_status irn_augmentation_check(const irn_dataset *set, const irn_augmentation *augmentation)
{
    size_t height = set->info.height, width = set->info.width;
    size_t limit = height < width ? height : width;
    /* At the limit an image could leave its frame: points have no room at all. */
    if (augmentation->shift >= limit)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "a shift by up to %u pixels; images of %zu x %zu allow up to %zu",
                        augmentation->shift, width, height, limit - 1);
    return IRN_OK;
}

irn_move irn_augmentation_draw(const irn_augmentation *augmentation, uint64_t seed, uint64_t epoch,
                               uint32_t example)
{
    uint32_t bits[4];
    irn_philox(bits, seed, IRN_STREAM_AUGMENT, epoch, example);
    uint64_t places = 2 * (uint64_t)augmentation->shift + 1;
    ptrdiff_t shift = (ptrdiff_t)augmentation->shift;
    irn_move move = {.down = (ptrdiff_t)(bits[0] % places) - shift,
                     .right = (ptrdiff_t)(bits[1] % places) - shift,
                     .mirror = augmentation->flip && bits[2] >> 31};
    return move;
}

/* Row y of one channel; start is the place of the channel's first value. */
static void move_row(const irn_dataset *set, size_t start, size_t y, irn_move move, float *out)
{
    const float outside = -0.5f;
    ptrdiff_t height = (ptrdiff_t)set->info.height, width = (ptrdiff_t)set->info.width;
    ptrdiff_t from_y = (ptrdiff_t)y - move.down;
    for (ptrdiff_t x = 0; x < width; x++) {
        ptrdiff_t from_x = x - move.right;
        if (from_y < 0 || from_y >= height || from_x < 0 || from_x >= width) {
            out[x] = outside;
            continue;
        }
        if (move.mirror)
            from_x = width - 1 - from_x;
        out[x] = irn_dataset_value(set, start + (size_t)(from_y * width + from_x));
    }
}

void irn_augmentation_apply(const irn_dataset *set, uint32_t example, irn_move move, float *x)
{
    const irn_dataset_info *info = &set->info;
    size_t start = example * set->size, area = info->height * info->width;
    if (move.down == 0 && move.right == 0 && !move.mirror) {
        for (size_t i = 0; i < set->size; i++)
            x[i] = irn_dataset_value(set, start + i);
        return;
    }
    for (size_t c = 0; c < info->channels; c++)
        for (size_t y = 0; y < info->height; y++)
            move_row(set, start + c * area, y, move, x + c * area + y * info->width);
}
