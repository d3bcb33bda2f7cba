/* Presets and limits of architectures. */
#include "flow/config_limits.h"
#include "flow/model.h"

#include <math.h>
#include <string.h>

static const irn_model_config general = {.version = IRN_MODEL_CONFIG_VERSION,
                                         .channels = 1,
                                         .height = 1,
                                         .width = 1,
                                         .stages = 1,
                                         .blocks = {1},
                                         .widths = {32},
                                         .strides = {1},
                                         .layers = 3,
                                         .kernels = {3, 1, 3},
                                         .padding = IRN_PAD_ZEROS,
                                         .activation = IRN_ELU,
                                         .actnorm = true,
                                         .coefficient = 0.9,
                                         .norm_momentum = 0.1};

/* What presets change in the general network; lists end with 0. */
typedef struct preset {
    const char *name;
    size_t channels, map; /* of the input */
    bool init_squeeze;
    size_t pad_channels, blocks[4], widths[4], strides[4], kernels[5];
    double coefficient;
    size_t classes;
    bool density; /* multi-scale with a learned prior, of `levels` */
    size_t levels;
} preset;

/* cifar10 is the official classifier; cifar10-density the density network of iR section 5.2. */
static const preset presets[] = {
    {"digits", 1, 8, false, 15, {2, 2}, {32, 64}, {1, 2}, {3, 1, 3}, 0.9, 10, false, 0},
    {"mnist", 1, 28, true, 12, {3, 3}, {32, 64}, {1, 2}, {3, 1, 3}, 0.9, 10, false, 0},
    {"cifar10",
     3,
     32,
     false,
     13,
     {7, 7, 7},
     {32, 64, 128},
     {1, 2, 2},
     {3, 1, 3},
     0.9,
     10,
     false,
     0},
    {"toy", 2, 1, false, 0, {32}, {64}, {1}, {1, 1, 1, 1}, 0.99, 0, true, 0},
    {"digits-density", 1, 8, false, 0, {4, 4}, {32, 32}, {2, 2}, {3, 1, 3}, 0.97, 0, true, 17},
    {"mnist-density", 1, 28, false, 0, {6, 6}, {48, 48}, {2, 2}, {3, 1, 3}, 0.97, 0, true, 256},
    {"cifar10-density",
     3,
     32,
     false,
     0,
     {16, 16, 16},
     {512, 512, 512},
     {2, 2, 2},
     {3, 1, 3},
     0.9,
     0,
     true,
     256}};

static size_t copy_list(size_t *to, const size_t *from, size_t most)
{
    size_t count = 0;
    for (; count < most && from[count] > 0; count++)
        to[count] = from[count];
    return count;
}

static void apply_preset(irn_model_config *config, const preset *p)
{
    config->channels = p->channels;
    config->height = config->width = p->map;
    config->init_squeeze = p->init_squeeze;
    config->pad_channels = p->pad_channels;
    config->stages = copy_list(config->blocks, p->blocks, 4);
    copy_list(config->widths, p->widths, 4);
    copy_list(config->strides, p->strides, 4);
    config->layers = copy_list(config->kernels, p->kernels, 5);
    config->coefficient = p->coefficient;
    config->classes = p->classes;
    config->multiscale = p->density && config->stages > 1;
    config->prior = !p->density          ? IRN_PRIOR_NONE
                    : config->stages > 1 ? IRN_PRIOR_LEARNED
                                         : IRN_PRIOR_STANDARD;
    config->levels = p->levels;
}

irn_status irn_model_config_init(irn_model_config *config, const char *name)
{
    *config = general;
    if (!name)
        return IRN_OK;
    for (size_t i = 0; i < sizeof presets / sizeof *presets; i++)
        if (strcmp(name, presets[i].name) == 0) {
            apply_preset(config, &presets[i]);
            return IRN_OK;
        }
    return irn_fail(IRN_ERROR_ARGUMENT,
                    "there is no preset '%s'; choose digits, mnist, cifar10, toy, digits-density, "
                    "mnist-density or cifar10-density",
                    name);
}

static irn_status check_range(const char *field, size_t value, size_t low, size_t high)
{
    if (value < low || value > high)
        return irn_fail(IRN_ERROR_ARGUMENT, "%s is %zu; it must be %zu to %zu", field, value, low,
                        high);
    return IRN_OK;
}

static irn_status check_numbers(const irn_model_config *c)
{
    if (!(c->coefficient >= 0 && c->coefficient <= irn_max_coefficient))
        return irn_fail(IRN_ERROR_ARGUMENT, "coefficient is %g; it must be 0 (off) to %g",
                        c->coefficient, irn_max_coefficient);
    if (!(c->norm_momentum > 0 && c->norm_momentum <= 1))
        return irn_fail(IRN_ERROR_ARGUMENT, "norm_momentum is %g; it must be in (0, 1]",
                        c->norm_momentum);
    if (!(c->sigma_epsilon >= 0 && c->sigma_epsilon <= irn_max_sigma_epsilon))
        return irn_fail(IRN_ERROR_ARGUMENT, "sigma_epsilon is %g; it must be 0 to %g",
                        c->sigma_epsilon, irn_max_sigma_epsilon);
    if (c->padding != IRN_PAD_ZEROS && c->padding != IRN_PAD_CIRCULAR)
        return irn_fail(IRN_ERROR_ARGUMENT, "padding is %d; it must be %d (zeros) or %d (circular)",
                        (int)c->padding, IRN_PAD_ZEROS, IRN_PAD_CIRCULAR);
    return check_range("activation", (size_t)c->activation, IRN_IDENTITY, IRN_LIPSWISH);
}

static irn_status check_density(const irn_model_config *c)
{
    IRN_TRY(check_range("prior", (size_t)c->prior, IRN_PRIOR_NONE, IRN_PRIOR_LEARNED));
    IRN_TRY(check_range("levels", c->levels, 0, IRN_MAX_LEVELS));
    if (c->prior != IRN_PRIOR_NONE && c->pad_channels > 0)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "pad_channels is %zu; with a prior it must be 0: padded inputs have no "
                        "density",
                        c->pad_channels);
    if (c->logit != 0 && !(c->logit >= IRN_MIN_LOGIT && c->logit <= IRN_MAX_LOGIT))
        return irn_fail(IRN_ERROR_ARGUMENT, "logit is %g; it must be 0 (none) or %g to %g",
                        c->logit, IRN_MIN_LOGIT, IRN_MAX_LOGIT);
    if (c->logit > 0 && c->prior == IRN_PRIOR_NONE)
        return irn_fail(IRN_ERROR_ARGUMENT, "logit is %g; without a prior it must be 0", c->logit);
    return IRN_OK;
}

/* Every squeeze halves the map, which must be even, and quadruples the channels. */
static irn_status check_squeeze(size_t *channels, size_t *height, size_t *width, const char *where)
{
    if (*height % 2 || *width % 2)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "%s squeezes a %zu x %zu map; height and width must be even there", where,
                        *height, *width);
    *height /= 2;
    *width /= 2;
    *channels *= 4;
    return check_range("the number of channels after squeezing", *channels, 1, IRN_MAX_CHANNELS);
}

static irn_status check_stages(const irn_model_config *c)
{
    size_t channels = c->channels, height = c->height, width = c->width;
    if (c->init_squeeze)
        IRN_TRY(check_squeeze(&channels, &height, &width, "init_squeeze"));
    channels += c->pad_channels;
    for (size_t s = 0; s < c->stages; s++) {
        IRN_TRY(check_range("blocks in a stage", c->blocks[s], 1, IRN_MAX_BLOCKS));
        IRN_TRY(check_range("width of a stage", c->widths[s], 1, IRN_MAX_WIDTH));
        IRN_TRY(check_range("stride of a stage", c->strides[s], 1, IRN_MAX_STRIDE));
        if (c->strides[s] == 2)
            IRN_TRY(check_squeeze(&channels, &height, &width, "a stage of stride 2"));
        if (c->multiscale && s + 1 < c->stages)
            IRN_TRY(check_range("channels to split", channels, 2, IRN_MAX_CHANNELS));
        channels -= c->multiscale && s + 1 < c->stages ? channels / 2 : 0;
    }
    return IRN_OK;
}

irn_status irn_config_check(const irn_model_config *config)
{
    IRN_TRY(irn_check_version("irn_model_config", config->version, IRN_MODEL_CONFIG_VERSION));
    IRN_TRY(check_range("channels", config->channels, 1, IRN_MAX_CHANNELS));
    IRN_TRY(check_range("height", config->height, 1, IRN_MAX_MAP));
    IRN_TRY(check_range("width", config->width, 1, IRN_MAX_MAP));
    IRN_TRY(check_range("pad_channels", config->pad_channels, 0, IRN_MAX_CHANNELS));
    IRN_TRY(check_range("stages", config->stages, 1, IRN_MAX_STAGES));
    IRN_TRY(check_range("layers", config->layers, 1, IRN_MAX_LAYERS));
    IRN_TRY(check_range("classes", config->classes, 0, IRN_MAX_CLASSES));
    for (size_t i = 0; i < config->layers; i++)
        IRN_TRY(check_range("kernel size", config->kernels[i], 1, IRN_MAX_KERNEL));
    IRN_TRY(check_numbers(config));
    IRN_TRY(check_density(config));
    return check_stages(config);
}
