#include "devices_check.h"

#include <stdio.h>

typedef struct report {
    cli_session *session;
    cli_json *json;
    cJSON *list; /* NULL: a table */
} report;

static const char *const outcomes[] = {"passed", "failed", "replaced", "absent"};

static void add_row(const report *self, const irn_check_result *result)
{
    cJSON *row = cli_json_object(self->json, self->list, NULL);
    cli_json_text(self->json, row, "family", result->family);
    cli_json_text(self->json, row, "outcome", outcomes[result->outcome]);
    cli_json_text(self->json, row, "worst", result->worst);
    cli_json_number(self->json, row, "error", result->error);
    cli_json_number(self->json, row, "limit", result->limit);
    cli_json_number(self->json, row, "seconds", result->seconds);
    cli_json_text(self->json, row, "sentence", result->sentence);
}

static void print_row(const irn_check_result *result)
{
    printf("  %-22s  %-8s", result->family, outcomes[result->outcome]);
    if (*result->worst)
        printf("  %7.1e of %7.1e  %5.1f s  %s", result->error, result->limit, result->seconds,
               result->worst);
    printf("\n");
    if (*result->sentence)
        printf("    %s\n", result->sentence);
    fflush(stdout);
}

static void take_result(const irn_check_result *result, void *payload)
{
    report *self = payload;
    cli_progress_clear(&self->session->progress);
    if (self->list)
        add_row(self, result);
    else
        print_row(result);
}

static void print_heading(const irn_device_info *device)
{
    printf("%s (%s, driver %s)\n", device->name, device->platform, device->driver);
    printf("  %-22s  %-8s  %-18s  %7s  %s\n", "family", "outcome", "error, limit", "time",
           "nearest to its limit");
}

/* null where the check did not come to one: interrupted, or short of memory. */
static void add_verdict(cli_json *json, cJSON *entry, irn_status status)
{
    if (status == IRN_OK || status == IRN_ERROR_DEVICE)
        cli_json_bool(json, entry, "computes_rightly", status == IRN_OK);
    else
        cli_json_null(json, entry, "computes_rightly");
}

/* Compiling takes most of the time, and what is compiled is of no interest here. */
static irn_status open_device(cli_session *session, const char *choice)
{
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    options.device = choice;
    options.clblast_parameters = true;
    return irn_context_create(&session->context, &options);
}

int cli_check_device(cli_session *session, const char *choice, cli_json *json, cJSON *entry)
{
    report self = {.session = session, .json = json};
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    irn_status status = open_device(session, choice);
    if (status != IRN_OK)
        return cli_fail(session, status);
    if (entry)
        self.list = cli_json_array(json, entry, "check");
    else
        print_heading(irn_context_device(session->context));
    options.thorough = true;
    options.progress = cli_progress_step;
    options.progress_payload = &session->progress;
    options.result = take_result;
    options.result_payload = &self;
    cli_progress_begin(&session->progress, "checking");
    status = irn_device_check(session->context, &options);
    if (entry)
        add_verdict(json, entry, status);
    int result = status == IRN_OK ? CLI_DONE : cli_fail(session, status);
    cli_session_close(session);
    return result;
}
