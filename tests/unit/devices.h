/* Runs tests on every OpenCL device found, or on the one that IRN_TEST_DEVICE names by its index or
 * a part of its name. */
#ifndef DEVICES_H
#define DEVICES_H

#include "host.h"
#include "testing.h"

#include <iresnet/certify.h>
#include <iresnet/context.h>
#include <iresnet/model.h>

/* How many devices there are to test on. The first call prints them and the seed, and ends the
 * program where there is none. A child process looks, because drivers do not survive a fork. */
int devices_count(void);

/* A case whose tests get a temporary folder and a pool of host arrays. */
TCase *devices_case(Suite *suite, const char *name);

/* Adds a test to run on each device; _i in it is what devices_open() takes. */
#define devices_add(test_case, test) tcase_add_loop_test((test_case), (test), 0, devices_count())

/* A context on that device, the random sequence begun again. */
irn_context *devices_open(int device);
/* Also checks that all device memory was given back. */
void devices_close(irn_context *context);

/* The device's index in irn_device_list(), as text for a device choice. */
const char *devices_choice(int device);

/* Whether the device can do a proof in this arithmetic: drivers that end loops early prove nothing.
 */
bool devices_prove(irn_context *context, irn_arithmetic arithmetic);

/* One block of 12 hidden channels that certifies on any map; for more, change its fields. */
irn_model_config devices_small_config(size_t channels, size_t height, size_t width);

#endif
