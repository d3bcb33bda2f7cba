/* What `iresnet train` can be told. */
#include "logdet.h"
#include "train.h"

#include <string.h>

#define COUNT_OF(table) (sizeof(table) / sizeof *(table))

/* In the order of irn_activation and irn_optimizer. */
static const char *const activation_words[] = {"identity", "elu",      "relu", "tanh",
                                               "softplus", "lipswish", NULL};
static const char *const optimizer_words[] = {"sgd", "adam", "adamax", NULL};
/* Of irn_task, irn_prior and irn_logdet_gradient. */
static const char *const task_words[] = {"classify", "density", "hybrid", NULL};
static const char *const prior_words[] = {"none", "standard", "learned", NULL};
static const char *const logdet_words[] = {"series", "neumann", "roulette", "exact", NULL};

#define FILE_TEXT(option, field, word, text)                                                       \
    {                                                                                              \
        .name = option, .kind = CLI_TEXT, .offset = offsetof(train_files, field),                  \
        .argument = word, .help = text                                                             \
    }

static const cli_option file_options[] = {
    {.name = "task",
     .kind = CLI_WORD,
     .offset = offsetof(train_files, task),
     .argument = "NAME",
     .help = "what to learn: classify (the default), density, or\n"
             "hybrid, which is both",
     .words = task_words},
    FILE_TEXT("data", data, "SPEC",
              "training data (needed): digits (bundled), mnist:DIR,\n"
              "cifar10:DIR, cifar100:DIR, idx:IMAGES[,LABELS],\n"
              "npy:IMAGES[,LABELS] or toy:NAME, points in the plane"),
    FILE_TEXT("test-data", test_data, "SPEC",
              "test data (default: the test part of the same;\n"
              "none for idx and npy)"),
    FILE_TEXT("out", out, "DIR", "where model, checkpoint and log go (needed)"),
    FILE_TEXT("preset", preset, "NAME",
              "defaults of model and training: digits, mnist, cifar10;\n"
              "for densities toy, digits-density, mnist-density,\n"
              "cifar10-density (default: by data and task; else one\n"
              "stage of one block)"),
    FILE_TEXT("resume", resume, "FILE",
              "go on from a checkpoint: its model and training options\n"
              "rule, only --epochs can be changed"),
    FILE_TEXT("log", log, "FILE", "a line an epoch, .csv or .jsonl (default DIR/log.jsonl)"),
    {.name = "force",
     .kind = CLI_FLAG,
     .offset = offsetof(train_files, force),
     .help = "replace the model, checkpoint and log of an earlier run"},
    {.name = "certify",
     .kind = CLI_TOGGLE,
     .offset = offsetof(train_files, certify),
     .help = "prove bounds at the end and store them in the model; if\n"
             "a block's is not below 1, scale layers down until no\n"
             "block is above the coefficient (default yes)"},
    {.name = "arithmetic",
     .kind = CLI_WORD,
     .offset = offsetof(train_files, arithmetic),
     .argument = "NAME",
     .help = CLI_ARITHMETIC_HELP,
     .words = cli_arithmetic_words},
};

#define MODEL_LIST(option, field, lengths, limit, most, word, text)                                \
    {                                                                                              \
        .name = option, .kind = CLI_COUNTS, .offset = offsetof(train_model, field),                \
        .argument = word, .help = text, .low = 1, .high = most, .length = limit,                   \
        .count_offset = offsetof(train_model, lengths)                                             \
    }

/* Limits here and below are those of irn_model_create() and irn_trainer_create(), but for runs that
 * would do nothing: no epochs, or a rate of 0. */
static const cli_option model_options[] = {
    MODEL_LIST("blocks", config.blocks, blocks, IRN_MAX_STAGES, 1024, "N,N,...",
               "residual blocks in each stage"),
    MODEL_LIST("channels", config.widths, widths, IRN_MAX_STAGES, 16384, "N,N,...",
               "channels inside the blocks of each stage"),
    MODEL_LIST("strides", config.strides, strides, IRN_MAX_STAGES, 2, "N,N,...",
               "1, or 2: the stage begins with a squeeze"),
    MODEL_LIST("kernels", config.kernels, config.layers, IRN_MAX_LAYERS, 31, "N,N,...",
               "kernel sizes of a block's layers"),
    {.name = "coeff",
     .kind = CLI_REAL,
     .offset = offsetof(train_model, config.coefficient),
     .argument = "X",
     .help = "bound on each layer's norm; below 1 for invertibility;\n"
             "0: none, an ordinary residual network",
     .high = 1e6},
    {.name = "activation",
     .kind = CLI_WORD,
     .offset = offsetof(train_model, activation),
     .argument = "NAME",
     .help = "elu, relu, tanh, softplus, lipswish or identity",
     .words = activation_words},
    {.name = "padding",
     .kind = CLI_WORD,
     .offset = offsetof(train_model, padding),
     .argument = "NAME",
     .help = "of the convolutions: zeros or circular",
     .words = cli_padding_words},
    {.name = "init-squeeze",
     .kind = CLI_TOGGLE,
     .offset = offsetof(train_model, config.init_squeeze),
     .help = "squeeze 2x2 pixels to channels before the first block"},
    {.name = "pad-channels",
     .kind = CLI_COUNT,
     .offset = offsetof(train_model, config.pad_channels),
     .argument = "N",
     .help = "zero channels appended to the input",
     .high = 65536},
    {.name = "actnorm",
     .kind = CLI_TOGGLE,
     .offset = offsetof(train_model, config.actnorm),
     .help = "scale and shift of each channel before each block"},
    {.name = "multiscale",
     .kind = CLI_TOGGLE,
     .offset = offsetof(train_model, config.multiscale),
     .help = "half the channels leave as latents after each stage"},
    {.name = "prior",
     .kind = CLI_WORD,
     .offset = offsetof(train_model, prior),
     .argument = "NAME",
     .help = "density of the latents: standard or learned Gaussian,\n"
             "or none",
     .words = prior_words},
    {.name = "levels",
     .kind = CLI_COUNT,
     .offset = offsetof(train_model, config.levels),
     .argument = "N",
     .help = "values that discrete data have, 256 for 8 bits;\n"
             "0: they are continuous (default, densities without\n"
             "preset: 256 for 8-bit data, 0 for others)",
     .high = 65536},
    {.name = "logit",
     .kind = CLI_REAL,
     .offset = offsetof(train_model, config.logit),
     .argument = "A",
     .help = "densities: the network sees the logit of data on\n"
             "[-0.5, 0.5] squeezed to [A, 1-A], 0.05 say; 0: none",
     .high = IRN_MAX_LOGIT},
    {.name = "norm-momentum",
     .kind = CLI_REAL,
     .offset = offsetof(train_model, config.norm_momentum),
     .argument = "X",
     .help = "weight of the newest batch in the head's statistics",
     .high = 1,
     .above = true},
};

#define SCHEDULE_COUNT(option, field, least, most, text)                                           \
    {                                                                                              \
        .name = option, .kind = CLI_COUNT, .offset = offsetof(train_schedule, field),              \
        .argument = "N", .help = text, .low = least, .high = most                                  \
    }
#define SCHEDULE_REAL(option, field, most, exclusive, text)                                        \
    {                                                                                              \
        .name = option, .kind = CLI_REAL, .offset = offsetof(train_schedule, field),               \
        .argument = "X", .help = text, .high = most, .above = exclusive                            \
    }

static const cli_option schedule_options[] = {
    SCHEDULE_COUNT("epochs", options.epochs, 1, 1e6, "passes over the training data"),
    SCHEDULE_COUNT("batch", options.batch, 1, 1e6, "examples in a step"),
    {.name = "optimizer",
     .kind = CLI_WORD,
     .offset = offsetof(train_schedule, optimizer),
     .argument = "NAME",
     .help = "sgd, adam or adamax",
     .words = optimizer_words},
    SCHEDULE_REAL("lr", options.learning_rate, 1e3, true, "learning rate"),
    SCHEDULE_REAL("momentum", options.momentum, 1, false, "of SGD"),
    SCHEDULE_REAL("weight-decay", options.weight_decay, 1e3, false,
                  "times the parameters, added to their gradients"),
    {.name = "logdet",
     .kind = CLI_WORD,
     .offset = offsetof(train_schedule, logdet),
     .argument = "NAME",
     .help = "gradient of log-determinants: series, neumann, roulette\n"
             "or, up to 64 dimensions, exact",
     .words = logdet_words},
    SCHEDULE_COUNT("terms", options.terms, 1, 64, "of the series, or those always taken"),
    {.name = "roulette",
     .kind = CLI_WORD,
     .offset = offsetof(train_schedule, roulette),
     .argument = "NAME",
     .help = "distribution of the number of further terms: geometric\n"
             "or poisson",
     .words = cli_roulette_words},
    SCHEDULE_REAL("roulette-parameter", options.roulette_parameter, 100, true,
                  "its p, below 1, or its mean (default 0.5 or 2; the\n"
                  "variance is finite for certain where p < 1 - L^2)"),
    SCHEDULE_COUNT("probes", options.probes, 1, 1024, "random vectors for each log-determinant"),
    {.name = "gaussian-probes",
     .kind = CLI_TOGGLE,
     .offset = offsetof(train_schedule, options.gaussian_probes),
     .help = "normal random vectors, not +1 and -1"},
    {.name = "density-weight",
     .kind = CLI_REAL,
     .offset = offsetof(train_schedule, options.density_weight),
     .argument = "X",
     .help = "hybrid: of bits per dimension in the loss",
     .low = 1e-6,
     .high = 1e6},
    SCHEDULE_REAL("clip", options.clip_norm, 1e30, false,
                  "longest gradient; longer ones are shortened; 0: none"),
    SCHEDULE_REAL("average", options.average_decay, 0.999999999, false,
                  "decay of the weights' moving average, which is tested\n"
                  "and saved; 0: none"),
    SCHEDULE_COUNT("accumulate", options.accumulate, 1, 1e6,
                   "parts that a batch goes through in, for less memory"),
    SCHEDULE_COUNT("power-iterations", options.power_iterations, 0, 1e4,
                   "for each layer's norm in each step"),
    SCHEDULE_REAL("power-tolerance", options.power_tolerance, 1, false,
                  "iterate on, up to 100 times, until so many iterations\n"
                  "change the norm by no more than this share; 0: off"),
    SCHEDULE_COUNT("warmup", options.warmup_steps, 0, 1e9,
                   "steps over which the learning rate rises"),
    {.name = "milestones",
     .kind = CLI_REALS,
     .offset = offsetof(train_schedule, options.milestones),
     .argument = "X,X,...",
     .help = "shares of the epochs after which the rate drops",
     .high = 1,
     .length = IRN_MAX_MILESTONES,
     .count_offset = offsetof(train_schedule, options.milestone_count)},
    SCHEDULE_REAL("milestone-factor", options.milestone_factor, 1e3, false,
                  "what the rate is multiplied with there"),
    SCHEDULE_COUNT("shift", shift, 0, 4096, "move images by up to N pixels at random"),
    {.name = "flip",
     .kind = CLI_TOGGLE,
     .offset = offsetof(train_schedule, options.augmentation.flip),
     .help = "mirror images at random"},
};

void train_groups(cli_group groups[TRAIN_GROUPS], train_files *files, train_model *model,
                  train_schedule *schedule)
{
    groups[TRAIN_FILES] = (cli_group){
        .title = "Run", .options = file_options, .count = COUNT_OF(file_options), .values = files};
    groups[TRAIN_MODEL] = (cli_group){.title = "Model (defaults: the preset's)",
                                      .options = model_options,
                                      .count = COUNT_OF(model_options),
                                      .values = model};
    groups[TRAIN_SCHEDULE] = (cli_group){.title = "Training (defaults: the preset's)",
                                         .options = schedule_options,
                                         .count = COUNT_OF(schedule_options),
                                         .values = schedule};
}

const char *train_preset(const train_files *files)
{
    bool density = files->task != IRN_CLASSIFY;
    const char *data = files->data;
    if (files->preset)
        return files->preset;
    if (strncmp(data, "toy:", 4) == 0)
        return "toy";
    if (strcmp(data, "digits") == 0)
        return density ? "digits-density" : "digits";
    if (strncmp(data, "mnist:", 6) == 0)
        return density ? "mnist-density" : "mnist";
    if (strncmp(data, "cifar10:", 8) == 0 || strncmp(data, "cifar100:", 9) == 0)
        return density ? "cifar10-density" : "cifar10";
    return NULL;
}

/* All lists must describe the same number of stages. */
static int check_stages(cli_session *session, const cli_group *group, const train_model *values)
{
    const char *const names[] = {"blocks", "channels", "strides"};
    const size_t lengths[] = {values->blocks, values->widths, values->strides};
    for (size_t i = 1; i < 3; i++)
        if (lengths[i] != lengths[0])
            return cli_error(session, CLI_USAGE,
                             "--blocks has %zu stages%s, but --%s has %zu%s; give as many to each",
                             lengths[0], cli_given(group, names[0]) ? "" : " (the default)",
                             names[i], lengths[i],
                             cli_given(group, names[i]) ? "" : " (the default)");
    return CLI_DONE;
}

/* The network's input is the data's, and what the task does not need is left out. */
static void fit_to_data(irn_model_config *config, irn_task task, const irn_dataset_info *info)
{
    config->channels = info->channels;
    config->height = info->height;
    config->width = info->width;
    config->classes = task == IRN_DENSITY ? 0 : info->classes;
    if (task != IRN_CLASSIFY && config->prior == IRN_PRIOR_NONE)
        config->prior = IRN_PRIOR_LEARNED;
    if (task != IRN_CLASSIFY && config->levels == 0)
        config->levels = info->levels;
}

int train_model_config(cli_session *session, const cli_group *group, const char *preset,
                       irn_task task, const irn_dataset_info *info, irn_model_config *out)
{
    train_model values;
    memset(&values, 0, sizeof values);
    irn_status status = irn_model_config_init(&values.config, preset);
    if (status != IRN_OK)
        return cli_fail_option(session, status);
    irn_model_config *config = &values.config;
    values.blocks = values.widths = values.strides = config->stages;
    values.activation = (int)config->activation;
    values.padding = (int)config->padding;
    if (info)
        fit_to_data(config, task, info);
    values.prior = (int)config->prior;
    cli_copy_given(group, &values);
    config->activation = (irn_activation)values.activation;
    config->padding = (irn_padding)values.padding;
    config->prior = (irn_prior)values.prior;
    config->stages = values.blocks;
    if (config->height == 1 && config->width == 1 && !cli_given(group, "kernels"))
        for (size_t i = 0; i < config->layers; i++)
            config->kernels[i] = 1; /* points: dense layers */
    *out = *config;
    return check_stages(session, group, &values);
}

/* Options of log-determinants that this run makes no use of. */
static int check_logdet(cli_session *session, const cli_group *group, const irn_train_options *o)
{
    static const char *const all[] = {
        "density-weight",    "logdet", "terms", "probes", "gaussian-probes", "roulette",
        "roulette-parameter"};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        if (!cli_given(group, all[i]))
            continue;
        if (o->task == IRN_CLASSIFY)
            return cli_error(session, CLI_USAGE, "--%s is of densities, and the task is classify",
                             all[i]);
        if (i == 0 && o->task == IRN_DENSITY)
            return cli_error(session, CLI_USAGE,
                             "--density-weight is of hybrid, and the task is density");
        bool roulette = i >= 5 && o->logdet != IRN_GRADIENT_ROULETTE;
        if (roulette || (i >= 2 && o->logdet == IRN_GRADIENT_EXACT))
            return cli_error(session, CLI_USAGE, "--%s is of no use with --logdet %s", all[i],
                             logdet_words[o->logdet]);
    }
    return cli_roulette_check(session->command, (int)o->roulette, o->roulette_parameter);
}

int train_schedule_options(cli_session *session, const cli_group *group, const char *preset,
                           irn_task task, irn_train_options *out)
{
    train_schedule values;
    memset(&values, 0, sizeof values);
    irn_status status = irn_train_options_init(&values.options, preset);
    if (status != IRN_OK)
        return cli_fail_option(session, status);
    values.options.task = task;
    values.optimizer = (int)values.options.optimizer;
    values.logdet = (int)values.options.logdet;
    values.roulette = (int)values.options.roulette;
    values.shift = values.options.augmentation.shift;
    cli_copy_given(group, &values);
    values.options.optimizer = (irn_optimizer)values.optimizer;
    values.options.logdet = (irn_logdet_gradient)values.logdet;
    values.options.roulette = (irn_roulette_kind)values.roulette;
    values.options.augmentation.shift = (unsigned)values.shift;
    *out = values.options;
    if (out->optimizer != IRN_SGD && cli_given(group, "momentum"))
        return cli_error(session, CLI_USAGE, "--momentum is of sgd, and the optimizer is %s",
                         optimizer_words[out->optimizer]);
    return check_logdet(session, group, out);
}
