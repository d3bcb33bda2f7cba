/* Which specialisation suits which kind of device. CPU rows were measured with `iresnet bench conv`
 * on PoCL; tiles of GPUs are the largest with which the compilers of NVIDIA and AMD leave a quarter
 * of the work-items that a unit can hold. `iresnet tune` measures the others. */
#include "runtime/tuning.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>

/* A class has the devices that meet all of its conditions and none before it. */
typedef struct device_class {
    const char *name;
    bool simt;
    unsigned block; /* B of the layout; 0: any */
    unsigned simd;  /* work-items side by side; 0: any, or unknown */
    unsigned local; /* bytes of local memory at least */
    unsigned group; /* work-items in a work-group at least */
    unsigned sums;  /* accumulators that a work-item can have: floats; vectors on CPUs */
    unsigned parts; /* pixels times blocks a work-item of a convolution; 0: what the sums allow */
    irn_tuning tuning;
} device_class;

/* The kernels without local memory of all GPUs: the largest that no vendor's compiler spills. */
#define DIRECT_ON_GPU                                                                              \
    .channel_block = 4, .work_group = 64, .tile_float = 1, .tile_double = 1, .output_blocks = 2,   \
    .gradient_inputs = 2, .gradient_blocks = 2

static const device_class classes[] = {
    {.name = "CPU, vectors of 16 floats",
     .block = 16,
     .sums = 24,
     .tuning = {.channel_block = 16,
                .work_group = 1,
                .tile_double = 4,
                .gradient_inputs = 16,
                .gradient_blocks = 1,
                .tiles = {[IRN_TILE_CPU] = {{8, 2}}}}},
    {.name = "CPU, vectors of 8 floats or less",
     .sums = 12,
     .tuning = {.channel_block = 8,
                .work_group = 1,
                .tile_double = 2,
                .gradient_inputs = 8,
                .gradient_blocks = 1,
                .tiles = {[IRN_TILE_CPU] = {{5, 2}}}}},
    /* NVIDIA, AMD's RDNA: 64 accumulators and all else fit into 128 registers. */
    {.name = "GPU, 32 work-items side by side",
     .simt = true,
     .simd = 32,
     .local = 16 << 10,
     .group = 128,
     .sums = 64,
     .tuning = {DIRECT_ON_GPU, .tiles = {[IRN_TILE_APPLY] = {{128, 8, 2, 1}},
                                         [IRN_TILE_APPLY_NARROW] = {{64, 4, 1, 2}},
                                         [IRN_TILE_APPLY_DOUBLE] = {{64, 2, 1, 2}},
                                         [IRN_TILE_GRADIENT] = {{16, 8, 2, 2}},
                                         [IRN_TILE_GRADIENT_NARROW] = {{16, 4, 1, 1}}}}},
    /* AMD's GCN and CDNA: 84 registers for each of 3 wavefronts. CDNA2 (MI250, gfx90a) has twice as
     * many: tiles of 64 sums take 124 there and leave 4 of 8 wavefronts, but of gfx906 2 of 10.
     * What would tell the two apart is the name alone: cl_amd_device_attribute_query has no count
     * of registers, and CL_DEVICE_GFXIP_MAJOR_AMD and MINOR are 9 and 0 for both. So these have one
     * class.
     */
    {.name = "GPU, 64 work-items side by side",
     .simt = true,
     .simd = 64,
     .local = 16 << 10,
     .group = 64,
     .sums = 32,
     .tuning = {DIRECT_ON_GPU, .tiles = {[IRN_TILE_APPLY] = {{64, 4, 2, 2}},
                                         [IRN_TILE_APPLY_NARROW] = {{64, 4, 1, 2}},
                                         [IRN_TILE_APPLY_DOUBLE] = {{64, 2, 1, 2}},
                                         [IRN_TILE_GRADIENT] = {{8, 8, 2, 1}},
                                         [IRN_TILE_GRADIENT_NARROW] = {{16, 4, 1, 1}}}}},
    /* Intel's have 64 registers at SIMD 16, which also hold addresses and what is loaded: what a
     * convolution of 4 parts or more has beside its sums spills, its gradient's 32 sums do not. */
    {.name = "GPU, other",
     .simt = true,
     .local = 16 << 10,
     .group = 64,
     .sums = 32,
     .parts = 2,
     .tuning = {DIRECT_ON_GPU, .tiles = {[IRN_TILE_APPLY] = {{64, 2, 1, 2}},
                                         [IRN_TILE_APPLY_NARROW] = {{64, 2, 1, 1}},
                                         [IRN_TILE_APPLY_DOUBLE] = {{64, 2, 1, 2}},
                                         [IRN_TILE_GRADIENT] = {{8, 8, 2, 1}},
                                         [IRN_TILE_GRADIENT_NARROW] = {{16, 4, 1, 1}}}}},
    {.name = "GPU without local memory of its own", .simt = true, .tuning = {DIRECT_ON_GPU}},
};

/* Pixels that CLBlast multiplies at a time: fewer may stay in a cache from step to step, more keep
 * large devices busy. */
enum { FEW_PIXELS = 4096, MANY_PIXELS = 16384 };

/* What may be chosen for a use, where there are registers and room for it. */
static const struct candidate {
    irn_tile_use use;
    irn_tile tile;
} candidates[] = {
    {IRN_TILE_APPLY, {{64, 8, 2, 1}}},
    {IRN_TILE_APPLY, {{128, 8, 2, 1}}},
    {IRN_TILE_APPLY, {{256, 8, 2, 1}}},
    {IRN_TILE_APPLY, {{64, 4, 2, 2}}},
    {IRN_TILE_APPLY, {{128, 4, 2, 2}}},
    {IRN_TILE_APPLY, {{256, 4, 2, 2}}},
    {IRN_TILE_APPLY, {{64, 2, 1, 2}}},
    {IRN_TILE_APPLY_NARROW, {{64, 4, 1, 2}}},
    {IRN_TILE_APPLY_NARROW, {{128, 4, 1, 2}}},
    {IRN_TILE_APPLY_NARROW, {{64, 2, 2, 2}}},
    {IRN_TILE_APPLY_NARROW, {{64, 2, 1, 1}}},

    {IRN_TILE_APPLY_DOUBLE, {{64, 2, 1, 2}}},
    {IRN_TILE_APPLY_DOUBLE, {{128, 2, 1, 2}}},
    {IRN_TILE_GRADIENT, {{8, 8, 2, 2}}},
    {IRN_TILE_GRADIENT, {{16, 8, 2, 2}}},
    {IRN_TILE_GRADIENT, {{16, 16, 2, 2}}},
    {IRN_TILE_GRADIENT, {{8, 8, 2, 1}}},
    {IRN_TILE_GRADIENT, {{16, 8, 2, 1}}},
    {IRN_TILE_GRADIENT_NARROW, {{16, 4, 1, 1}}},
    {IRN_TILE_GRADIENT_NARROW, {{8, 8, 1, 1}}},
    {IRN_TILE_GRADIENT_NARROW, {{32, 2, 1, 1}}},
    /* 0: by tiles, as other kernels are. */
    {IRN_TILE_DENSE, {{0}}},
    {IRN_TILE_DENSE, {{FEW_PIXELS}}},
    {IRN_TILE_DENSE, {{MANY_PIXELS}}},
    {IRN_TILE_DENSE_GRADIENT, {{0}}},
    {IRN_TILE_DENSE_GRADIENT, {{FEW_PIXELS}}},
    {IRN_TILE_DENSE_GRADIENT, {{MANY_PIXELS}}},
    /* 0: what CLBlast's database says. */
    {IRN_TILE_BLAS, {{0}}},
    {IRN_TILE_BLAS, {{32, 32, 8, 1}}},
    {IRN_TILE_BLAS, {{64, 32, 8, 1}}},
    {IRN_TILE_BLAS, {{64, 64, 8, 1}}},
    {IRN_TILE_BLAS, {{64, 64, 16, 1}}},
    {IRN_TILE_BLAS, {{128, 64, 16, 1}}},
    {IRN_TILE_BLAS, {{128, 128, 16, 1}}},
    {IRN_TILE_BLAS, {{64, 32, 8}}},
    {IRN_TILE_BLAS, {{64, 64, 8}}},
    {IRN_TILE_BLAS, {{128, 64, 16}}},
    {IRN_TILE_BLAS, {{128, 128, 16}}},
    {IRN_TILE_CPU, {{4, 2}}},
    {IRN_TILE_CPU, {{5, 2}}},
    {IRN_TILE_CPU, {{6, 2}}},
    {IRN_TILE_CPU, {{8, 2}}},
    {IRN_TILE_CPU, {{12, 2}}},
    {IRN_TILE_CPU, {{6, 4}}},
};
enum {
    CLASSES = sizeof classes / sizeof *classes,
    CANDIDATES = sizeof candidates / sizeof *candidates
};

static bool belongs(const irn_device_info *device, const device_class *class)
{
    return device->is_simt == class->simt &&
           (class->block == 0 || device->channel_block == class->block) &&
           (class->simd == 0 || device->simd_width == class->simd) &&
           device->local_memory >= class->local && device->max_group >= class->group;
}

/* CPUs of narrow vectors, and GPUs without anything, are the last resort. */
static const device_class *class_of(const irn_device_info *device)
{
    size_t i = 0;
    while (!belongs(device, &classes[i]))
        i++;
    return &classes[i];
}

/* ---- room for tiles ---- */

static bool is_gradient(irn_tile_use use)
{
    return use == IRN_TILE_GRADIENT || use == IRN_TILE_GRADIENT_NARROW;
}

/* CLBlast's: its kernels are of the same kind as the tiled ones. 0, what it does unasked, it does
 * on every device. */
static bool fits_blas(const irn_device_info *device, const device_class *class, const unsigned *t)
{
    if (class->local == 0 || t[0] == 0)
        return class->local > 0;
    unsigned group = t[2] * t[2], local = t[3] * (t[0] + t[1]) * IRN_BLAS_STEP;
    return group <= device->max_group && local * sizeof(float) <= device->local_memory &&
           t[0] * t[1] / group <= class->sums;
}

/* Bytes of local memory that conv_tiled.cl and conv_tiled_gradient.cl declare. */
static size_t local_bytes(irn_tile_use use, const unsigned *t)
{
    const size_t block = 4, size = use == IRN_TILE_APPLY_DOUBLE ? sizeof(double) : sizeof(float);
    size_t blocks = is_gradient(use) ? IRN_TILE_STEP * (t[0] * t[2] + 1 + t[1] * t[3] + 1)
                                     : (size_t)t[3] * (t[0] + block * (t[1] * t[2] + 1));
    return 2 * blocks * block * size;
}

static unsigned accumulators(irn_tile_use use, const unsigned *t)
{
    if (use == IRN_TILE_CPU)
        return t[0] * t[1];
    return is_gradient(use) ? t[2] * t[3] * 16
                            : t[1] * t[2] * (use == IRN_TILE_APPLY_DOUBLE ? 8 : 4);
}

static bool too_many_parts(const device_class *class, irn_tile_use use, const unsigned *t)
{
    return class->parts > 0 && !is_gradient(use) && t[1] * t[2] > class->parts;
}

static bool fits(const irn_device_info *device, irn_tile_use use, const irn_tile *tile)
{
    const device_class *class = class_of(device);
    if (class->simt != (use != IRN_TILE_CPU))
        return false;
    if (use == IRN_TILE_DENSE || use == IRN_TILE_DENSE_GRADIENT)
        return class->local > 0;
    if (use == IRN_TILE_BLAS)
        return fits_blas(device, class, tile->size);
    unsigned sums = accumulators(use, tile->size);
    if (sums > class->sums || too_many_parts(class, use, tile->size))
        return false;
    if (use == IRN_TILE_CPU) /* fewer would leave vector units waiting for their sums */
        return 2 * sums > class->sums;
    unsigned group = is_gradient(use) ? tile->size[0] * tile->size[1] : tile->size[0];
    return group <= device->max_group && local_bytes(use, tile->size) <= device->local_memory &&
           (use != IRN_TILE_APPLY_DOUBLE || device->has_fp64);
}

bool irn_tile_candidate(irn_tile *out, const irn_device_info *device, irn_tile_use use, size_t k)
{
    for (size_t i = 0; i < CANDIDATES; i++)
        if (candidates[i].use == use && fits(device, use, &candidates[i].tile) && k-- == 0) {
            *out = candidates[i].tile;
            return true;
        }
    return false;
}

/* ---- the device's row ---- */

void irn_tuning_set(irn_tuning *tuning, irn_tile_use use, const irn_tile *tile)
{
    tuning->tiles[use] = *tile;
    if (use == IRN_TILE_CPU) {
        tuning->tile_float = tile->size[0];
        tuning->output_blocks = tile->size[1];
    }
}

void irn_tuning_force(irn_tuning *tuning, irn_tile_use use, const irn_tile *tile)
{
    irn_tuning_set(tuning, use, tile);
    if (use == IRN_TILE_APPLY || use == IRN_TILE_APPLY_NARROW) {
        irn_tuning_set(tuning, IRN_TILE_APPLY, tile);
        irn_tuning_set(tuning, IRN_TILE_APPLY_NARROW, tile);
    }
    if (is_gradient(use)) {
        irn_tuning_set(tuning, IRN_TILE_GRADIENT, tile);
        irn_tuning_set(tuning, IRN_TILE_GRADIENT_NARROW, tile);
    }
    if (use == IRN_TILE_BLAS) {
        const irn_tile by_blas = {{MANY_PIXELS}};
        irn_tuning_set(tuning, IRN_TILE_DENSE, &by_blas);
        irn_tuning_set(tuning, IRN_TILE_DENSE_GRADIENT, &by_blas);
    }
}

irn_tuning irn_tuning_for(const irn_device_info *device)
{
    irn_tuning tuning = class_of(device)->tuning;
    for (irn_tile_use use = 0; use < IRN_TILE_USES; use++) {
        irn_tile tile = tuning.tiles[use];
        if (tile.size[0] > 0 && !fits(device, use, &tile) &&
            !irn_tile_candidate(&tile, device, use, 0))
            memset(&tile, 0, sizeof tile);
        if (use != IRN_TILE_CPU || tile.size[0] > 0)
            irn_tuning_set(&tuning, use, &tile);
    }
    return tuning;
}

const char *irn_tuning_class(const irn_device_info *device)
{
    return class_of(device)->name;
}

/* ---- as text ---- */

const char *irn_tile_use_name(irn_tile_use use)
{
    static const char *const names[] = {"apply",    "apply-narrow",    "apply-double",
                                        "gradient", "gradient-narrow", "cpu",
                                        "dense",    "dense-gradient",  "clblast"};
    return names[use];
}

const char *irn_tile_text(char out[IRN_TILE_TEXT], const irn_tile *tile)
{
    size_t used = (size_t)snprintf(out, IRN_TILE_TEXT, "%u", tile->size[0]);
    for (size_t i = 1; i < 4 && tile->size[i] > 0; i++)
        used += (size_t)snprintf(out + used, IRN_TILE_TEXT - used, "x%u", tile->size[i]);
    return out;
}

/* A word is what a candidate looks like, or nothing. */
static bool read_choice(irn_tuning *tuning, const irn_device_info *device, const char *word,
                        size_t length)
{
    for (irn_tile_use use = 0; use < IRN_TILE_USES; use++) {
        irn_tile tile;
        for (size_t k = 0; irn_tile_candidate(&tile, device, use, k); k++) {
            char choice[IRN_TILE_TEXT + 32], text[IRN_TILE_TEXT];
            int n = snprintf(choice, sizeof choice, "%s=%s", irn_tile_use_name(use),
                             irn_tile_text(text, &tile));
            if ((size_t)n == length && memcmp(choice, word, length) == 0) {
                irn_tuning_set(tuning, use, &tile);
                return true;
            }
        }
    }
    return false;
}

irn_status irn_tuning_read(irn_tuning *tuning, const irn_device_info *device, const char *text,
                           const char *source)
{
    static const char between[] = " \n";
    irn_tuning changed = *tuning;
    for (const char *word = text + strspn(text, between); *word; word += strspn(word, between)) {
        size_t length = strcspn(word, between);
        char excerpt[IRN_EXCERPT];
        if (!read_choice(&changed, device, word, length))
            return irn_fail(
                IRN_ERROR_FORMAT, "%s: '%s' is no choice for %s (%s): `iresnet tune` shows them",
                source, irn_excerpt(excerpt, word, length), device->name, irn_tuning_class(device));
        word += length;
    }
    *tuning = changed;
    return IRN_OK;
}
