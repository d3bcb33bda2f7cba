/* Timings of the kernels beside the convolutions. */
#include "bench.h"

#include <iresnet/bench.h>

#include <stdio.h>
#include <stdlib.h>

static int print_json(cli_session *session, const irn_kernel_time *times, size_t count)
{
    cli_json json;
    cli_json_begin(&json, false);
    cli_json_text(&json, json.root, "bench", "kernels");
    cli_json_text(&json, json.root, "device", irn_context_device(session->context)->name);
    cJSON *list = cli_json_array(&json, json.root, "kernels");
    for (size_t i = 0; i < count; i++) {
        cJSON *entry = cli_json_object(&json, list, NULL);
        cli_json_text(&json, entry, "name", times[i].name);
        cli_json_number(&json, entry, "seconds", times[i].seconds);
        cli_json_number(&json, entry, "operations", times[i].operations);
        cli_json_number(&json, entry, "bytes", times[i].bytes);
    }
    return cli_json_print(session, &json);
}

static void print_table(const irn_kernel_time *times, size_t count)
{
    printf("%-22s  %12s  %8s  %8s\n", "kernel", "microseconds", "GB/s", "GFLOP/s");
    for (size_t i = 0; i < count; i++)
        printf("%-22s  %12.1f  %8.2f  %8.1f\n", times[i].name, 1e6 * times[i].seconds,
               1e-9 * times[i].bytes / times[i].seconds,
               1e-9 * times[i].operations / times[i].seconds);
}

int bench_streams(cli_session *session, const bench_options *options)
{
    irn_kernel_time *times = NULL;
    size_t count;
    int result = cli_session_context(session);
    if (result != CLI_DONE)
        return result;
    cli_progress_begin(&session->progress, "kernels");
    irn_status status = irn_bench_kernels(session->context, options->repeats, cli_progress_step,
                                          &session->progress, &times, &count);
    cli_progress_clear(&session->progress);
    if (status != IRN_OK)
        return cli_fail(session, status);
    if (session->common.json)
        result = print_json(session, times, count);
    else
        print_table(times, count);
    free(times);
    return result;
}
