/* iresnet tune */
#include "output.h"

#include <iresnet/check.h>
#include <iresnet/tune.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct tune_options {
    size_t repeats;
    bool dry_run, forget;
} tune_options;

static const cli_option tune_table[] = {
    {.name = "repeats",
     .kind = CLI_COUNT,
     .offset = offsetof(tune_options, repeats),
     .argument = "N",
     .help = "timed runs of each convolution, of which the best\n"
             "counts (default 5)",
     .low = 1,
     .high = 1000},
    {.name = "dry-run",
     .kind = CLI_FLAG,
     .offset = offsetof(tune_options, dry_run),
     .help = "measure, but remember nothing"},
    {.name = "forget",
     .kind = CLI_FLAG,
     .offset = offsetof(tune_options, forget),
     .help = "measure nothing, and go back to the class's tiles"},
};

static int print_json(cli_session *session, const irn_tune_entry *entries, size_t count,
                      const char *path)
{
    const irn_device_info *device = irn_context_device(session->context);
    cli_json json;
    cli_json_begin(&json, false);
    cli_json_text(&json, json.root, "device", device->name);
    cli_json_text(&json, json.root, "driver", device->driver);
    cli_json_text(&json, json.root, "class", irn_tune_class(session->context));
    cJSON *list = cJSON_AddArrayToObject(json.root, "tiles");
    for (size_t i = 0; list && i < count; i++) {
        cJSON *entry = cli_json_object(&json, list, NULL);
        cli_json_text(&json, entry, "use", entries[i].use);
        cli_json_text(&json, entry, "tile", entries[i].tile);
        cli_json_number(&json, entry, "gflops", entries[i].gflops);
        cli_json_bool(&json, entry, "before", entries[i].before);
        cli_json_bool(&json, entry, "best", entries[i].best);
    }
    json.failed = json.failed || !list;
    if (path)
        cli_json_text(&json, json.root, "file", path);
    else
        cli_json_null(&json, json.root, "file");
    return cli_json_print(session, &json);
}

static void print_table(cli_session *session, const irn_tune_entry *entries, size_t count,
                        const char *path)
{
    printf("%s: %s\n", irn_context_device(session->context)->name,
           irn_tune_class(session->context));
    if (count > 0)
        printf("\n%-16s  %-12s  %10s\n", "for", "tile", "GFLOP/s");
    for (size_t i = 0; i < count; i++) {
        const irn_tune_entry *e = &entries[i];
        const char *mark = e->best && e->before ? "  best, as before"
                           : e->best            ? "  best"
                           : e->before          ? "  before"
                                                : "";
        if (e->gflops > 0)
            printf("%-16s  %-12s  %10.4g%s\n", e->use, e->tile, e->gflops, mark);
        else
            printf("%-16s  %-12s  %10s%s\n", e->use, e->tile, "failed", mark);
    }
    if (count == 0)
        puts("nothing to choose: this class has one tile for each use");
    else if (path)
        printf("\nremembered in %s\n", path);
}

static int measure(cli_session *session, const tune_options *options)
{
    irn_tune_options how = IRN_TUNE_OPTIONS_INIT;
    irn_tune_entry *entries = NULL;
    char path[4096] = "";
    size_t count = 0;
    irn_status status = IRN_OK;
    if (!options->dry_run)
        status = irn_tune_path(session->context, path, sizeof path);
    if (status != IRN_OK)
        return cli_fail(session, status);
    how.repeats = options->repeats;
    how.progress = cli_progress_step;
    how.payload = &session->progress;
    cli_progress_begin(&session->progress, "measuring tiles");
    status = irn_tune(session->context, &how, &entries, &count);
    cli_progress_clear(&session->progress);
    if (status == IRN_OK) /* what was chosen */
        status = cli_session_check(session, IRN_CHECK_NETWORKS | IRN_CHECK_INVERSES);
    bool remember = !options->dry_run && count > 0;
    if (status == IRN_OK && remember)
        status = irn_tune_remember(session->context);
    int result = CLI_DONE;
    if (status != IRN_OK)
        result = cli_fail(session, status);
    else if (session->common.json)
        result = print_json(session, entries, count, remember ? path : NULL);
    else
        print_table(session, entries, count, remember ? path : NULL);
    free(entries);
    return result;
}

static int forget(cli_session *session)
{
    bool any = false;
    irn_status status = irn_tune_forget(session->context, &any);
    if (status != IRN_OK)
        return cli_fail(session, status);
    if (session->common.json)
        return print_json(session, NULL, 0, NULL);
    printf("%s: %s; %s\n", irn_context_device(session->context)->name,
           irn_tune_class(session->context), any ? "forgotten" : "nothing was remembered");
    return CLI_DONE;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    tune_options options = {.repeats = 5};
    cli_group groups[] = {
        {.title = "Options",
         .options = tune_table,
         .count = sizeof tune_table / sizeof *tune_table,
         .values = &options},
        cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_JSON | CLI_WITH_QUIET)};
    cli_operands operands = {.most = 0};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 2, argc, argv, &operands, &result))
        return result;
    const char *other = cli_first_given(&groups[0], "forget");
    if (options.forget && other)
        return cli_usage(self, "--%s is not for --forget", other);
    cli_progress_init(&session.progress, session.common.quiet);
    result = cli_session_open(&session);
    if (result == CLI_DONE)
        result = options.forget ? forget(&session) : measure(&session, &options);
    cli_session_close(&session);
    return result;
}

const cli_command cli_command_tune = {
    .name = "tune",
    .summary = "find the fastest tiles for a device, and remember them",
    .synopsis = "[options]",
    .about = "Measures the tiles that convolutions can be cut into on the device, and remembers\n"
             "the best for this device and driver, beside the compiled kernels; on GPUs also\n"
             "CLBlast and its own parameters, for kernels of 1x1. Another tile than before is\n"
             "taken if it is at least 3 % faster, and checked. Sums are divided differently\n"
             "then, so that last bits of results may change: not between a training run and\n"
             "its --resume, if these are to be bit for bit as one run.\n"
             "IRN_TUNING=\"USE=TILE ...\" in the environment overrides both for one run, with\n"
             "uses and tiles as they are listed here.\n",
    .examples = "  iresnet tune\n"
                "  iresnet tune --device 1 --repeats 20 --json\n"
                "  IRN_TUNING=apply=64x4x2x2 iresnet bench conv\n",
    .run = run,
};
