/* iresnet devices */
#include "devices_check.h"

#include <stdio.h>

static cJSON *add_json(cli_json *json, const irn_device_info *device, size_t index)
{
    cJSON *entry = cli_json_object(json, json->root, NULL);
    cli_json_number(json, entry, "index", (double)index);
    cli_json_text(json, entry, "name", device->name);
    cli_json_text(json, entry, "platform", device->platform);
    cli_json_text(json, entry, "driver", device->driver);
    cli_json_text(json, entry, "type", device->is_gpu ? "gpu" : "cpu");
    cli_json_number(json, entry, "units", (double)device->compute_units);
    cli_json_number(json, entry, "memory", (double)device->global_memory);
    cli_json_number(json, entry, "max_allocation", (double)device->max_allocation);
    cli_json_bool(json, entry, "fp64", device->has_fp64);
    cli_json_number(json, entry, "simd_width", (double)device->simd_width);
    cli_json_number(json, entry, "max_group", (double)device->max_group);
    cli_json_number(json, entry, "local_memory", (double)device->local_memory);
    cli_json_number(json, entry, "block", (double)device->channel_block);
    return entry;
}

static void print_table(const irn_device_info *devices, size_t count)
{
    printf("%-5s  %-36s  %-28s  %-4s  %5s  %10s  %-4s  %s\n", "index", "name", "platform", "type",
           "units", "memory", "fp64", "block");
    for (size_t i = 0; i < count; i++) {
        const irn_device_info *device = &devices[i];
        char memory[CLI_BOUND_TEXT];
        printf("%5zu  %-36s  %-28s  %-4s  %5u  %10s  %-4s  %5u\n", i, device->name,
               device->platform, device->is_gpu ? "GPU" : "CPU", device->compute_units,
               cli_bytes(memory, device->global_memory), device->has_fp64 ? "yes" : "no",
               device->channel_block);
    }
}

typedef struct devices_options {
    bool check;
} devices_options;

static const cli_option devices_table[] = {
    {.name = "check",
     .kind = CLI_FLAG,
     .offset = offsetof(devices_options, check),
     .help = "check what the devices compute, or that of --device, in\n"
             "full: every kernel against the host, clFFT, and CLBlast\n"
             "if it is chosen; status 1 if a device computes wrongly"},
};

/* All devices, whatever the first ones compute. */
static int check_all(cli_session *session, const irn_device_info *devices, size_t count,
                     cli_json *json)
{
    int worst = CLI_DONE;
    for (size_t i = 0; i < count && worst != CLI_STOPPED; i++) {
        char index[24];
        snprintf(index, sizeof index, "%zu", i);
        cJSON *entry = json ? add_json(json, &devices[i], i) : NULL;
        if (json && json->failed)
            break;
        int result = cli_check_device(session, index, json, entry);
        worst = result == CLI_DONE ? worst : result;
    }
    return worst;
}

/* The one device of --device, whose place in the list nobody has to know. */
static int check_one(cli_session *session, cli_json *json)
{
    cJSON *entry = json ? cli_json_object(json, json->root, NULL) : NULL;
    if (json && json->failed)
        return CLI_DONE; /* what prints it tells */
    return cli_check_device(session, session->common.device, json, entry);
}

static int check(cli_session *session, const irn_device_info *devices, size_t count)
{
    cli_json json, *to = NULL;
    if (session->common.json) {
        cli_json_begin(&json, true);
        to = &json;
    }
    if (to && json.failed)
        return cli_json_print(session, to);
    int result =
        session->common.device ? check_one(session, to) : check_all(session, devices, count, to);
    int printed = to ? cli_json_print(session, to) : CLI_DONE;
    return result == CLI_DONE ? printed : result;
}

static int list(cli_session *session, const irn_device_info *devices, size_t count)
{
    if (session->common.json) {
        cli_json json;
        cli_json_begin(&json, true);
        for (size_t i = 0; i < count && json.root; i++)
            add_json(&json, &devices[i], i);
        return cli_json_print(session, &json);
    }
    if (count > 0)
        print_table(devices, count);
    return CLI_DONE;
}

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    devices_options options = {.check = false};
    cli_group groups[] = {
        {.title = "Check", .options = devices_table, .count = 1, .values = &options},
        cli_common_group(&session.common, CLI_WITH_DEVICE | CLI_WITH_JSON | CLI_WITH_QUIET)};
    cli_operands operands = {.most = 0};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 2, argc, argv, &operands, &result))
        return result;
    if (session.common.device && !options.check)
        return cli_usage(self, "--device says which device to check; it needs --check");
    cli_progress_init(&session.progress, session.common.quiet);
    irn_device_info *devices = NULL;
    size_t count = 0;
    irn_status status = irn_device_list(&devices, &count);
    if (status != IRN_OK)
        return cli_fail(&session, status);
    result = options.check ? check(&session, devices, count) : list(&session, devices, count);
    if (count == 0)
        cli_warn(&session, "no OpenCL device; for a CPU install pocl-opencl-icd");
    irn_device_list_free(devices);
    return result;
}

const cli_command cli_command_devices = {
    .name = "devices",
    .summary = "list the OpenCL devices, or check what they compute",
    .synopsis = "[--check [--device D]] [--json]",
    .about = "Lists all OpenCL devices. --device of the other commands takes an index from this\n"
             "list or part of a name. fp64: double precision on the device, which `certify` then\n"
             "uses; block: channels that lie side by side in the device's tensors.\n"
             "\n"
             "Commands check a device for some seconds when they first use it, or a new driver,\n"
             "and end with status 1 where it computes wrongly. --check does so in full, whatever\n"
             "was found before. IRN_CHECK=off in the environment leaves the first check out.\n",
    .examples = "  iresnet devices\n"
                "  iresnet devices --check\n"
                "  iresnet devices --json\n",
    .run = run,
};
