/* iresnet bench: options, and convolutions against the device's peak. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const bench_words[] = {
    [BENCH_CONV] = "conv",       [BENCH_KERNELS] = "kernels", [BENCH_STEP] = "step",
    [BENCH_INVERSE] = "inverse", [BENCH_CERTIFY] = "certify", [BENCH_CERTIFY + 1] = NULL};

static const cli_option bench_table[] = {
    {.name = "preset",
     .kind = CLI_TEXT,
     .offset = offsetof(bench_options, preset),
     .argument = "NAME",
     .help = "network: see `iresnet train --help` (default\n"
             "cifar10); not for conv and kernels"},
    {.name = "batch",
     .kind = CLI_COUNT,
     .offset = offsetof(bench_options, batch),
     .argument = "N",
     .help = "images (default 128); for step and inverse",
     .low = 1,
     .high = 1e6},
    {.name = "repeats",
     .kind = CLI_COUNT,
     .offset = offsetof(bench_options, repeats),
     .argument = "N",
     .help = "timed runs after a warm-up (default 5)",
     .low = 1,
     .high = 1e5},
    {.name = "arithmetic",
     .kind = CLI_WORD,
     .offset = offsetof(bench_options, arithmetic),
     .argument = "NAME",
     .help = "for certify: " CLI_ARITHMETIC_HELP,
     .words = cli_arithmetic_words},
    {.name = "kernel",
     .kind = CLI_COUNTS,
     .offset = offsetof(bench_options, kernel),
     .count_offset = offsetof(bench_options, kernel_sizes),
     .argument = "O,I,H,W",
     .help = "certify: one random kernel of this shape, and no network",
     .low = 1,
     .high = 16384,
     .length = 4},
    {.name = "size",
     .kind = CLI_MAP,
     .offset = offsetof(bench_options, size),
     .argument = "HxW",
     .help = "the kernel's map (default 32x32); 0x0: any size",
     .low = 0,
     .high = 65536},
};

typedef struct conv_shape {
    size_t kernel, batch, side, inputs, outputs;
} conv_shape;

static const conv_shape conv_shapes[] = {{3, 128, 32, 32, 32},
                                         {3, 128, 16, 64, 64},
                                         {3, 128, 8, 128, 128},
                                         {3, 32, 16, 512, 512},
                                         {1, 128, 8, 256, 256}};
/* Each shape is measured in the form that models use, then as plain sums of products. */
enum { CONV_SHAPES = sizeof conv_shapes / sizeof *conv_shapes, CONV_ROWS = 2 * CONV_SHAPES };

static const char *conv_method(const irn_conv_rates *rates)
{
    return rates->winograd ? "winograd"
           : rates->blas   ? "clblast"
           : rates->tiled  ? "tiled"
                           : "direct";
}

static int measure_conv(cli_session *session, size_t repeats, double *peak,
                        irn_conv_rates rates[CONV_ROWS])
{
    cli_progress_begin(&session->progress, "convolutions");
    irn_status status = irn_bench_peak(session->context, peak);
    for (size_t i = 0; i < CONV_ROWS && status == IRN_OK; i++) {
        const conv_shape *shape = &conv_shapes[i % CONV_SHAPES];
        if (!cli_progress_step(i, CONV_ROWS, NULL, &session->progress))
            status = IRN_ERROR_CANCELLED;
        else
            status = irn_bench_conv(session->context, shape->batch, shape->inputs, shape->outputs,
                                    shape->side, shape->side, shape->kernel, i >= CONV_SHAPES,
                                    repeats, &rates[i]);
    }
    cli_progress_clear(&session->progress);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

static int print_conv_json(cli_session *session, double peak, const irn_conv_rates *rates)
{
    cli_json json;
    cli_json_begin(&json, false);
    cli_json_text(&json, json.root, "device", irn_context_device(session->context)->name);
    cli_json_number(&json, json.root, "peak_gflops", peak);
    cJSON *list = cJSON_AddArrayToObject(json.root, "shapes");
    for (size_t i = 0; list && i < CONV_ROWS; i++) {
        const conv_shape *shape = &conv_shapes[i % CONV_SHAPES];
        cJSON *entry = cli_json_object(&json, list, NULL);
        cli_json_text(&json, entry, "method", conv_method(&rates[i]));
        cli_json_number(&json, entry, "batch", (double)shape->batch);
        cli_json_number(&json, entry, "height", (double)shape->side);
        cli_json_number(&json, entry, "width", (double)shape->side);
        cli_json_number(&json, entry, "inputs", (double)shape->inputs);
        cli_json_number(&json, entry, "outputs", (double)shape->outputs);
        cli_json_number(&json, entry, "kernel", (double)shape->kernel);
        cli_json_number(&json, entry, "forward_gflops", rates[i].forward);
        cli_json_number(&json, entry, "data_gradient_gflops", rates[i].data_gradient);
        cli_json_number(&json, entry, "weight_gradient_gflops", rates[i].weight_gradient);
    }
    json.failed = json.failed || !list;
    return cli_json_print(session, &json);
}

static void print_conv(double peak, const irn_conv_rates *rates)
{
    printf("measured FMA peak: %.1f GFLOP/s\n\n", peak);
    printf("%-27s  %-8s  %17s  %17s  %17s\n", "convolution", "method", "forward", "data gradient",
           "weight gradient");
    for (size_t i = 0; i < CONV_ROWS; i++) {
        const conv_shape *shape = &conv_shapes[i % CONV_SHAPES];
        const double values[] = {rates[i].forward, rates[i].data_gradient,
                                 rates[i].weight_gradient};
        char name[96];
        snprintf(name, sizeof name, "%zux%zu, %zu x %zux%zu, %zu -> %zu", shape->kernel,
                 shape->kernel, shape->batch, shape->side, shape->side, shape->inputs,
                 shape->outputs);
        printf("%-27s  %-8s", name, conv_method(&rates[i]));
        for (size_t j = 0; j < 3; j++)
            printf("  %7.1f (%5.1f %%)", values[j], 100 * values[j] / peak);
        putchar('\n');
    }
    puts("GFLOP/s, counted as sums of products whatever the method (share of the peak)");
}

static int bench_conv(cli_session *session, const bench_options *options)
{
    double peak = 0;
    irn_conv_rates rates[CONV_ROWS];
    memset(rates, 0, sizeof rates);
    int result = cli_session_context(session);
    if (result == CLI_DONE)
        result = measure_conv(session, options->repeats, &peak, rates);
    if (result != CLI_DONE)
        return result;
    if (session->common.json)
        return print_conv_json(session, peak, rates);
    print_conv(peak, rates);
    return CLI_DONE;
}

/* The groups of options. */
enum { OPTIONS, COMMON, MODEL, SCHEDULE, GROUPS };

/* Options that the chosen measurement would not look at are errors. */
static const char *useless_option(int what, const cli_group *groups)
{
    const char *model = cli_first_given(&groups[MODEL], NULL);
    const char *schedule = cli_first_given(&groups[SCHEDULE], NULL);
    const bool plain = what == BENCH_CONV || what == BENCH_KERNELS;
    if (plain && model)
        return model;
    if (what != BENCH_STEP && schedule)
        return schedule;
    if (plain && cli_given(&groups[OPTIONS], "preset"))
        return "preset";
    if ((plain || what == BENCH_CERTIFY) && cli_given(&groups[OPTIONS], "batch"))
        return "batch";
    if (what != BENCH_CERTIFY && cli_given(&groups[OPTIONS], "arithmetic"))
        return "arithmetic";
    if (plain && cli_given(&groups[COMMON], "seed"))
        return "seed";
    return NULL;
}

/* The same among --kernel and what would take its place or depend on it; NULL: they agree. */
static const char *kernel_conflict(int what, const cli_group *groups)
{
    const char *model = cli_first_given(&groups[MODEL], "padding");
    if (what == BENCH_CERTIFY && cli_given(&groups[OPTIONS], "kernel"))
        return model ? model : cli_given(&groups[OPTIONS], "preset") ? "preset" : NULL;
    if (cli_given(&groups[OPTIONS], "kernel"))
        return "kernel";
    return cli_given(&groups[OPTIONS], "size") ? "size" : NULL;
}

/* Of the options of a schedule those that make a difference to a step. */
static void keep_step_options(cli_group *group)
{
    const char *const kept[] = {"optimizer", "power-iterations", "logdet",    "terms",
                                "probes",    "gaussian-probes",  "roulette",  "roulette-parameter",
                                "clip",      "average",          "accumulate"};
    for (size_t i = 0; i < group->count; i++) {
        bool keep = false;
        for (size_t k = 0; k < sizeof kept / sizeof *kept; k++)
            keep = keep || strcmp(group->options[i].name, kept[k]) == 0;
        if (!keep)
            group->absent |= UINT64_C(1) << i;
    }
    group->title = "Training step (defaults: the preset's)";
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    bench_options options = {.preset = "cifar10", .batch = 128, .repeats = 5, .size = {32, 32}};
    train_files files = {.preset = NULL};
    train_model model = {.blocks = 0};
    train_schedule schedule = {.shift = 0};
    cli_group parts[TRAIN_GROUPS], groups[GROUPS];
    train_groups(parts, &files, &model, &schedule);
    groups[OPTIONS] = (cli_group){.title = "Options",
                                  .options = bench_table,
                                  .count = sizeof bench_table / sizeof *bench_table,
                                  .values = &options};
    groups[COMMON] = cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_SEED |
                                                           CLI_WITH_JSON | CLI_WITH_QUIET);
    groups[MODEL] = parts[TRAIN_MODEL];
    groups[SCHEDULE] = parts[TRAIN_SCHEDULE];
    keep_step_options(&groups[SCHEDULE]);
    options.model = &groups[MODEL];
    options.schedule = &groups[SCHEDULE];
    cli_operands operands = {
        .names = "conv, kernels, step, inverse or certify", .least = 1, .most = 1};
    int result = CLI_DONE, what = 0;
    if (!cli_parse(self, groups, GROUPS, argc, argv, &operands, &result))
        return result;
    while (bench_words[what] && strcmp(bench_words[what], operands.values[0]) != 0)
        what++;
    if (!bench_words[what])
        return cli_usage(self, "'%s' is none of conv, kernels, step, inverse, certify",
                         operands.values[0]);
    const char *useless = useless_option(what, groups);
    if (useless)
        return cli_usage(self, "--%s is not for %s", useless, bench_words[what]);
    bool kernel = cli_given(&groups[OPTIONS], "kernel");
    const char *conflict = kernel_conflict(what, groups);
    if (conflict)
        return cli_usage(self, "--%s is not for %s%s", conflict, bench_words[what],
                         what != BENCH_CERTIFY ? ""
                         : kernel              ? " with --kernel"
                                               : " without --kernel");
    options.padding = model.padding;
    if (kernel && options.kernel_sizes != 4)
        return cli_usage(self, "--kernel has %zu sizes, not 4: O,I,H,W", options.kernel_sizes);
    cli_progress_init(&session.progress, session.common.quiet);
    result = what == BENCH_CONV      ? bench_conv(&session, &options)
             : what == BENCH_KERNELS ? bench_streams(&session, &options)
             : kernel                ? bench_kernel(&session, &options)
                                     : bench_network(&session, &options, what, bench_words[what]);
    cli_session_close(&session);
    return result;
}

const cli_command cli_command_bench = {
    .name = "bench",
    .summary = "measure speed: conv, kernels, step, inverse or certify",
    .synopsis = "conv|kernels|step|inverse|certify [options]",
    .about = "conv      GFLOP/s of convolutions and their gradients, and the share of what\n"
             "          the device can do at most (measured)\n"
             "kernels   seconds and bytes a second of other kernels that much time goes to\n"
             "step      seconds of a training step, and the device memory it takes at most\n"
             "inverse   seconds of inverting a batch with 20 steps in each block\n"
             "certify   seconds of bounding all layers of a network, or one kernel\n"
             "Networks have random weights and see random images.\n",
    .examples = "  iresnet bench conv\n"
                "  iresnet bench step --preset cifar10 --batch 128\n"
                "  iresnet bench inverse --preset mnist --json\n"
                "  iresnet bench certify --kernel 128,128,3,3 --size 32x32 --padding circular\n",
    .run = run,
};
