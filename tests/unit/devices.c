#include "devices.h"

#include "runtime/runtime.h"
#include "runtime/tuning.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_DEVICES = 16 };
static unsigned char indices[MAX_DEVICES];
static int count;

static bool wanted(const char *choice, size_t index, const irn_device_info *info)
{
    char number[24];
    snprintf(number, sizeof number, "%zu", index);
    return !choice || !*choice || strcmp(choice, number) == 0 || strstr(info->name, choice) ||
           strstr(info->platform, choice);
}

/* In the child: the indices of the devices to test on go to the pipe. */
static void look(int output)
{
    irn_device_info *list;
    size_t found;
    if (irn_device_list(&list, &found) != IRN_OK) {
        fprintf(stderr, "%s\n", irn_last_error());
        return;
    }
    for (size_t i = 0; i < found && i < MAX_DEVICES; i++) {
        unsigned char index = (unsigned char)i;
        if (!wanted(getenv("IRN_TEST_DEVICE"), i, &list[i]))
            continue;
        printf("device %zu: %s (%s)\n", i, list[i].name, list[i].platform);
        if (write(output, &index, 1) != 1)
            break;
    }
    irn_device_list_free(list);
}

int devices_count(void)
{
    int ends[2];
    if (count)
        return count;
    fflush(stdout);
    if (pipe(ends) != 0)
        abort();
    pid_t child = fork();
    if (child == 0) {
        look(ends[1]);
        fflush(stdout);
        _exit(0);
    }
    close(ends[1]);
    while (count < MAX_DEVICES && read(ends[0], &indices[count], 1) == 1)
        count++;
    close(ends[0]);
    waitpid(child, NULL, 0);
    printf("seed %llu (IRN_TEST_SEED)\n", (unsigned long long)host_seed());
    if (count == 0) {
        fprintf(stderr, "no OpenCL device to test on\n");
        exit(EXIT_FAILURE);
    }
    return count;
}

TCase *devices_case(Suite *suite, const char *name)
{
    TCase *test = testing_case(suite, name);
    const double seconds = 300; /* the first run also compiles kernels */
    tcase_set_timeout(test, seconds);
    tcase_add_checked_fixture(test, host_restart, host_free_all);
    return test;
}

const char *devices_choice(int device)
{
    static char text[8];
    snprintf(text, sizeof text, "%d", indices[device]);
    return text;
}

/* Kernels are made for kinds of devices. IRN_TEST_BLOCK=4, 8 or 16 takes those of the kind with
 * blocks of so many channels, whatever the device is. */
static void pretend(irn_context *context)
{
    const char *block = getenv("IRN_TEST_BLOCK");
    if (!block || !*block)
        return;
    context->info.channel_block = (unsigned)strtoul(block, NULL, 10);
    context->info.is_simt = context->info.channel_block == 4;
    context->info.local_memory = context->info.is_simt ? 32 << 10 : 0;
    context->info.max_group = 256;
    context->tuning = irn_tuning_for(&context->info);
}

irn_context *devices_open(int device)
{
    irn_context *context;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    options.device = devices_choice(device);
    options.seed = host_seed();
    testing_ok(irn_context_create(&context, &options));
    pretend(context);
    return context;
}

void devices_close(irn_context *context)
{
    ck_assert_uint_eq(irn_context_memory(context), 0);
    irn_context_free(context);
}

bool devices_prove(irn_context *context, irn_arithmetic arithmetic)
{
    bool whole;
    if (arithmetic == IRN_ARITHMETIC_AUTO || arithmetic == IRN_ARITHMETIC_HOST_FLOAT64)
        return true;
    testing_ok(irn_context_loops(context, &whole));
    return whole && (arithmetic == IRN_ARITHMETIC_DEVICE_FLOAT32 || context->info.has_fp64);
}

irn_model_config devices_small_config(size_t channels, size_t height, size_t width)
{
    irn_model_config config;
    testing_ok(irn_model_config_init(&config, NULL));
    config.channels = channels;
    config.height = height;
    config.width = width;
    config.widths[0] = 12;
    config.coefficient = 0.7; /* far below 1, so that zero padding's bounds are below 1 too */
    return config;
}
