#include "trial/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct family {
    unsigned part;
    const char *name;
    irn_status (*run)(irn_trial *trial);
} family;

/* From what others rest on to what rests on others, so that what fails first is to blame. */
static const family families[] = {
    {IRN_CHECK_NETWORKS, "layouts", irn_trial_layout},
    {IRN_CHECK_NETWORKS, "elementwise operations", irn_trial_elements},
    {IRN_CHECK_NETWORKS, "sums", irn_trial_sums},
    {IRN_CHECK_NETWORKS, "convolutions", irn_trial_convolutions},
    {IRN_CHECK_NETWORKS, "power iteration", irn_trial_power},
    {IRN_CHECK_NETWORKS, "networks", irn_trial_network},
    {IRN_CHECK_INVERSES | IRN_CHECK_DENSITIES, "random numbers", irn_trial_random},
    {IRN_CHECK_INVERSES, "float64", irn_trial_float64},
    {IRN_CHECK_INVERSES, "inverses and densities", irn_trial_inverse},
    {IRN_CHECK_TRAINING, "optimisers", irn_trial_optimisers},
    {IRN_CHECK_TRAINING, "training", irn_trial_training},
    {IRN_CHECK_DENSITIES, "training of densities", irn_trial_densities},
    {IRN_CHECK_CERTIFICATES, "singular values", irn_trial_spectrum},
    {IRN_CHECK_CERTIFICATES, "proofs", irn_trial_proofs}};
enum { FAMILIES = sizeof families / sizeof *families };

static double clock_seconds(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Where numbers cannot be made, or the caller has had enough, nothing is said about the device. */
static bool blames_device(irn_status status)
{
    return status != IRN_OK && status != IRN_ERROR_MEMORY && status != IRN_ERROR_CANCELLED;
}

/* Whatever a family fails with, it is the device's fault: on others it does not. */
static irn_status refuse(irn_trial *trial, const family *f)
{
    const irn_device_info *info = &trial->context->info;
    char suspects[256] = "";
    /* A comparison has named them. */
    if (trial->launched.count)
        irn_trial_suspects(trial, suspects, sizeof suspects);
    snprintf(trial->sentence, sizeof trial->sentence, "%s%s%s", irn_last_error(),
             *suspects ? ", after " : "", suspects);
    trial->result.outcome = IRN_CHECK_FAILED;
    return irn_fail(IRN_ERROR_DEVICE,
                    "%s (%s, driver %s) computes wrongly and is not used. Checking %s: %s. Another "
                    "driver may help; with IRN_CHECK=off in the environment nothing is checked",
                    info->name, info->platform, info->driver, f->name, trial->sentence);
}

static irn_status run_family(irn_trial *trial, const family *f, const irn_check_options *options)
{
    double begun = clock_seconds();
    trial->result = (irn_check_result){.family = f->name};
    trial->worst[0] = trial->sentence[0] = 0;
    trial->launched.count = 0;
    trial->drawn = 0; /* so that its numbers do not depend on what went before */
    irn_status status = f->run(trial);
    irn_trial_clear(trial);
    if (blames_device(status))
        status = refuse(trial, f);
    trial->result.worst = trial->worst;
    trial->result.sentence = trial->sentence;
    trial->result.seconds = clock_seconds() - begun;
    if (options->result && (status == IRN_OK || trial->result.outcome == IRN_CHECK_FAILED))
        options->result(&trial->result, options->result_payload);
    return status;
}

static irn_status progress(const irn_check_options *options, size_t done, size_t total,
                           const char *what)
{
    if (options->progress && !options->progress(done, total, what, options->progress_payload))
        return irn_fail(IRN_ERROR_CANCELLED, "the check of the device was cancelled");
    return IRN_OK;
}

/* A thorough check goes on after a failure, whose sentence is the first one's. */
static irn_status run_families(irn_trial *trial, const irn_check_options *options, unsigned parts)
{
    irn_status first = IRN_OK;
    char sentence[1024] = "";
    size_t done = 0, total = 0;
    for (size_t i = 0; i < FAMILIES; i++)
        total += (families[i].part & parts) != 0;
    for (size_t i = 0; i < FAMILIES; i++) {
        if (!(families[i].part & parts))
            continue;
        irn_status status = progress(options, done++, total, families[i].name);
        if (status == IRN_OK)
            status = run_family(trial, &families[i], options);
        if (status == IRN_OK)
            continue;
        if (first == IRN_OK) {
            first = status;
            snprintf(sentence, sizeof sentence, "%s", irn_last_error());
        }
        if (!trial->thorough || !blames_device(status))
            break;
    }
    if (first != IRN_OK)
        return irn_fail(first, "%s", sentence);
    return progress(options, total, total, "done");
}

static irn_status run(irn_context *context, const irn_check_options *options, unsigned parts)
{
    irn_trial *trial;
    char sentence[1024]; /* of the last failure, which what a check tried is not */
    IRN_TRY(irn_alloc(&trial, 1, sizeof *trial));
    snprintf(sentence, sizeof sentence, "%s", irn_last_error());
    trial->context = context;
    trial->thorough = options->thorough;
    context->launches = &trial->launched;
    irn_status status = run_families(trial, options, parts);
    context->launches = NULL;
    free(trial);
    if (status == IRN_OK)
        irn_set_error("%s", sentence);
    return status;
}

static bool switched_off(void)
{
    const char *value = getenv("IRN_CHECK");
    return value && strcmp(value, "off") == 0;
}

irn_status irn_device_check(irn_context *context, const irn_check_options *options)
{
    irn_check_options usual = IRN_CHECK_OPTIONS_INIT;
    usual.remember = true;
    if (!context)
        return irn_fail(IRN_ERROR_ARGUMENT, "the context of a check is NULL");
    if (!options)
        options = &usual;
    IRN_TRY(irn_check_version("irn_check_options", options->version, IRN_CHECK_OPTIONS_VERSION));
    unsigned parts = options->parts & IRN_CHECK_ALL;
    if (options->remember && switched_off())
        return IRN_OK;
    if (options->remember)
        parts &= ~irn_trial_remembered(context, parts);
    if (!parts)
        return IRN_OK;
    irn_status status = run(context, options, parts);
    if (status == IRN_OK)
        irn_trial_remember(context, parts);
    else if (blames_device(status))
        irn_trial_forget(context, parts);
    return status;
}
