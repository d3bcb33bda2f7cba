/* iresnet devices */
#include "output.h"

#include <stdio.h>

static void print_json(cli_json *json, const irn_device_info *device, size_t index)
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

static int run(const cli_command *self, int argc, char **argv)
{
    cli_session session = {.command = self};
    cli_group groups[] = {cli_common_group(&session.common, CLI_WITH_JSON)};
    cli_operands operands = {.most = 0};
    int result = CLI_DONE;
    if (!cli_parse(self, groups, 1, argc, argv, &operands, &result))
        return result;
    irn_device_info *devices = NULL;
    size_t count = 0;
    irn_status status = irn_device_list(&devices, &count);
    if (status != IRN_OK)
        return cli_fail(&session, status);
    if (session.common.json) {
        cli_json json;
        cli_json_begin(&json, true);
        for (size_t i = 0; i < count && json.root; i++)
            print_json(&json, &devices[i], i);
        result = cli_json_print(&session, &json);
    } else if (count > 0) {
        print_table(devices, count);
    }
    if (count == 0)
        cli_warn(&session, "no OpenCL device; for a CPU install pocl-opencl-icd");
    irn_device_list_free(devices);
    return result;
}

const cli_command cli_command_devices = {
    .name = "devices",
    .summary = "list the OpenCL devices",
    .synopsis = "[--json]",
    .about = "Lists all OpenCL devices. --device of the other commands takes an index from this\n"
             "list or part of a name. fp64: double precision on the device, which `certify` then\n"
             "uses; block: channels that lie side by side in the device's tensors.\n",
    .examples = "  iresnet devices\n"
                "  iresnet devices --json\n",
    .run = run,
};
