/* Opening what a command works with, and telling what went wrong. */
#include "cli.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* A check compiles most kernels there are, and has a progress bar for that. */
static void log_library(const char *message, void *payload)
{
    cli_session *session = payload;
    if (!session->checking)
        cli_note(session, "%s", message);
}

static void note_replaced(const irn_check_result *result, void *payload)
{
    if (result->outcome == IRN_CHECK_REPLACED)
        cli_note(payload, "%s", result->sentence);
}

irn_status cli_session_check(cli_session *session, unsigned parts)
{
    irn_check_options options = IRN_CHECK_OPTIONS_INIT;
    options.parts = parts;
    options.remember = true;
    options.progress = cli_progress_step;
    options.progress_payload = &session->progress;
    options.result = note_replaced;
    options.result_payload = session;
    cli_progress_begin(&session->progress, "checking the device");
    session->checking = true;
    irn_status status = irn_device_check(session->context, &options);
    session->checking = false;
    cli_progress_clear(&session->progress);
    return status;
}

int cli_session_open(cli_session *session)
{
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    options.device = session->common.device;
    options.seed = session->common.seed;
    options.log = log_library;
    options.log_payload = session;
    options.clblast_parameters = true; /* nobody else uses CLBlast here */
    cli_interrupt_install();
    irn_status status = irn_context_create(&session->context, &options);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

int cli_session_context(cli_session *session)
{
    const unsigned usual = IRN_CHECK_NETWORKS | IRN_CHECK_INVERSES;
    int result = cli_session_open(session);
    if (result != CLI_DONE)
        return result;
    irn_status status = cli_session_check(session, session->parts ? session->parts : usual);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

int cli_session_model(cli_session *session, const char *path)
{
    session->model_path = path;
    int result = session->context ? CLI_DONE : cli_session_context(session);
    if (result != CLI_DONE)
        return result;
    irn_status status = irn_model_load(&session->model, session->context, path);
    return status == IRN_OK ? CLI_DONE : cli_fail(session, status);
}

void cli_session_close(cli_session *session)
{
    cli_progress_clear(&session->progress);
    irn_model_free(session->model);
    irn_context_free(session->context);
    session->model = NULL;
    session->context = NULL;
}

static void begin_line(cli_session *session)
{
    cli_progress_clear(&session->progress);
    fprintf(stderr, "iresnet %s: ", session->command->name);
}

int cli_fail(cli_session *session, irn_status status)
{
    begin_line(session);
    if (status == IRN_ERROR_CANCELLED && cli_interrupted()) {
        fputs("interrupted\n", stderr);
        return CLI_STOPPED;
    }
    const char *sentence = irn_last_error();
    fprintf(stderr, "%s\n", *sentence ? sentence : irn_status_text(status));
    return status == IRN_ERROR_NOT_CERTIFIED ? CLI_BOUND : CLI_FAILED;
}

int cli_fail_option(cli_session *session, irn_status status)
{
    int result = cli_fail(session, status);
    return status == IRN_ERROR_ARGUMENT ? CLI_USAGE : result;
}

int cli_error(cli_session *session, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    begin_line(session);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    if (status == CLI_USAGE)
        fprintf(stderr, "Try `iresnet %s --help`.\n", session->command->name);
    return status;
}

void cli_warn(cli_session *session, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    begin_line(session);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

void cli_note(cli_session *session, const char *format, ...)
{
    if (session->common.quiet)
        return;
    va_list arguments;
    va_start(arguments, format);
    begin_line(session);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

bool cli_has_suffix(const char *path, const char *suffix)
{
    size_t length = strlen(path), wanted = strlen(suffix);
    return length > wanted && strcasecmp(path + length - wanted, suffix) == 0;
}
