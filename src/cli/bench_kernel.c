/* Timings of one kernel's bounds. */
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct kernel_bench {
    irn_context *context;
    irn_kernel_shape shape;
    irn_certify_options how;
    float *values;
    irn_bound bound;
} kernel_bench;

static irn_status call_kernel(void *payload)
{
    kernel_bench *self = payload;
    return irn_certify_kernel(&self->bound, self->context, self->values, &self->shape, &self->how);
}

static int print_json(cli_session *session, const bench_options *options, const irn_bound *bound,
                      const bench_seconds *seconds)
{
    cli_json json;
    cli_json_begin(&json, false);
    cli_json_text(&json, json.root, "bench", "certify");
    cli_json_text(&json, json.root, "device", irn_context_device(session->context)->name);
    cJSON *kernel = cJSON_AddArrayToObject(json.root, "kernel");
    for (size_t i = 0; kernel && i < 4; i++)
        cli_json_number(&json, kernel, NULL, (double)options->kernel[i]);
    json.failed = json.failed || !kernel;
    cli_json_number(&json, json.root, "height", (double)options->size[0]);
    cli_json_number(&json, json.root, "width", (double)options->size[1]);
    cli_json_text(&json, json.root, "padding", cli_padding_words[options->padding]);
    cli_json_text(&json, json.root, "arithmetic", cli_arithmetic_words[options->arithmetic]);
    cli_json_number(&json, json.root, "lower", bound->lower);
    cli_json_number(&json, json.root, "upper", bound->upper);
    cli_json_number(&json, json.root, "repeats", (double)options->repeats);
    cli_json_number(&json, json.root, "best_seconds", seconds->best);
    cli_json_number(&json, json.root, "median_seconds", seconds->median);
    cli_json_number(&json, json.root, "peak_device_memory",
                    (double)irn_context_peak_memory(session->context));
    return cli_json_print(session, &json);
}

static int print_result(cli_session *session, const bench_options *options, const irn_bound *bound,
                        const bench_seconds *seconds)
{
    char lower[CLI_BOUND_TEXT], upper[CLI_BOUND_TEXT];
    if (session->common.json)
        return print_json(session, options, bound, seconds);
    printf("certify, kernel %zux%zux%zux%zu on %zux%zu, %s: %.4g s at best, %.4g s median of %zu\n",
           options->kernel[0], options->kernel[1], options->kernel[2], options->kernel[3],
           options->size[0], options->size[1], cli_padding_words[options->padding], seconds->best,
           seconds->median, options->repeats);
    printf("%s <= norm <= %s, open by a share of %.2g\n", cli_bound_lower(lower, bound->lower),
           cli_bound_upper(upper, bound->upper), bound->upper / bound->lower - 1);
    printf("peak device memory: %s\n", cli_bytes(lower, irn_context_peak_memory(session->context)));
    return CLI_DONE;
}

int bench_kernel(cli_session *session, const bench_options *options)
{
    const size_t *k = options->kernel;
    kernel_bench self = {.shape = {.outputs = k[0],
                                   .inputs = k[1],
                                   .kernel_height = k[2],
                                   .kernel_width = k[3],
                                   .height = options->size[0],
                                   .width = options->size[1],
                                   .padding = (irn_padding)options->padding},
                         .how = IRN_CERTIFY_OPTIONS_INIT};
    bench_seconds seconds;
    session->parts = IRN_CHECK_CERTIFICATES;
    int result = cli_session_context(session);
    if (result != CLI_DONE)
        return result;
    self.context = session->context;
    self.how.arithmetic = (irn_arithmetic)options->arithmetic;
    size_t count = k[0] * k[1] * k[2] * k[3]; /* far from overflowing, by the options' limits */
    self.values = malloc(count * sizeof *self.values);
    if (!self.values)
        return cli_error(session, CLI_FAILED, "no memory for a kernel of %zu values", count);
    bench_fill(self.values, count, 0, session->common.seed);
    result = bench_measure(session, options->repeats, call_kernel, &self, &seconds);
    if (result == CLI_DONE)
        result = print_result(session, options, &self.bound, &seconds);
    free(self.values);
    return result;
}
