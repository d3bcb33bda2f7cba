#include "spectral/tap_list.h"

#include <limits.h>
#include <stdint.h>

enum { MOST = INT_MAX / 8 };

irn_kernel_shape irn_shape_filled(const irn_kernel_shape *shape)
{
    irn_kernel_shape full = *shape;
    full.stride = irn_larger(full.stride, 1);
    full.dilation = irn_larger(full.dilation, 1);
    full.groups = irn_larger(full.groups, 1);
    return full;
}

static irn_status check_groups(const irn_kernel_shape *s, const char *name)
{
    if (s->groups > s->outputs || s->groups > s->inputs || s->outputs % s->groups != 0 ||
        s->inputs % s->groups != 0)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "%s: %zu groups do not divide %zu outputs and %zu inputs", name, s->groups,
                        s->outputs, s->inputs);
    return IRN_OK;
}

/* Pixels of the torus along an axis, at most, before a stride divides them. */
static size_t reach(const irn_kernel_shape *s, size_t map, size_t taps)
{
    return (map + 2) * (s->transposed ? s->stride : 1) + s->stride + s->dilation * taps;
}

/* The largest products of sizes that are made anywhere. */
static bool countable(const irn_kernel_shape *s, size_t *count)
{
    size_t unused, inputs = s->inputs / s->groups;
    const size_t kernel[] = {s->outputs, inputs, s->kernel_height, s->kernel_width};
    const size_t steps[] = {s->dilation, s->kernel_height + s->kernel_width};
    const size_t maps[] = {s->stride, s->height + s->width + 4};
    const size_t matrix[] = {s->outputs + 32, inputs + 32, 64 * sizeof(double)};
    if (!irn_product(count, kernel, 4) || *count > SIZE_MAX / 1024 ||
        !irn_product(&unused, steps, 2) || unused > MOST || !irn_product(&unused, maps, 2) ||
        unused > MOST || !irn_product(&unused, matrix, 3))
        return false;
    const size_t torus[] = {reach(s, s->height, s->kernel_height),
                            reach(s, s->width, s->kernel_width)};
    return irn_product(&unused, torus, 2) && unused <= INT_MAX / 4;
}

static irn_status check_sizes(const irn_kernel_shape *s, const char *name)
{
    const size_t sizes[] = {s->outputs,      s->inputs, s->kernel_height,
                            s->kernel_width, s->stride, s->dilation};
    for (int i = 0; i < 6; i++)
        if (sizes[i] == 0 || sizes[i] > MOST)
            return irn_fail(IRN_ERROR_ARGUMENT,
                            "%s: kernel %zux%zux%zux%zu, stride %zu, dilation %zu: sizes must be 1 "
                            "to %d",
                            name, sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], MOST);
    if ((s->height == 0) != (s->width == 0) || s->height > MOST || s->width > MOST)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "%s: a %zux%zu map: sizes must be 1 to %d, or both 0 for any size", name,
                        s->height, s->width, MOST);
    return IRN_OK;
}

irn_status irn_shape_check(const irn_kernel_shape *shape, const char *name, size_t *count)
{
    const irn_kernel_shape s = irn_shape_filled(shape);
    IRN_TRY(check_sizes(&s, name));
    if (s.padding != IRN_PAD_ZEROS && s.padding != IRN_PAD_CIRCULAR)
        return irn_fail(IRN_ERROR_ARGUMENT, "%s: no such padding: %d", name, (int)s.padding);
    IRN_TRY(check_groups(&s, name));
    if (!countable(&s, count))
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "%s: kernel %zux%zux%zux%zu on a %zux%zu map, stride %zu, dilation %zu, is "
                        "beyond what can be counted",
                        name, s.outputs, s.inputs, s.kernel_height, s.kernel_width, s.height,
                        s.width, s.stride, s.dilation);
    return IRN_OK;
}
