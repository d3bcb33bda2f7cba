/* The families of the check of devices, each by itself: none needs what another leaves behind. The
 * cases (CK_RUN_CASE) are for Oclgrind, which takes minutes for some. */
#include "devices.h"

#include "trial/trial.h"

#include <stdlib.h>

typedef irn_status family(irn_trial *trial);

static void run(int device, family *check, bool thorough)
{
    irn_trial *trial = calloc(1, sizeof *trial);
    ck_assert_ptr_nonnull(trial);
    trial->context = devices_open(device);
    trial->thorough = thorough;
    trial->context->launches = &trial->launched;
    irn_status status = check(trial);
    trial->context->launches = NULL;
    irn_trial_clear(trial);
    testing_ok(status);
    ck_assert_int_ne(trial->result.outcome, IRN_CHECK_REPLACED);
    ck_assert(trial->result.outcome == IRN_CHECK_ABSENT ||
              trial->result.error <= trial->result.limit);
    devices_close(trial->context);
    free(trial);
}

START_TEST(layouts)
{
    run(_i, irn_trial_layout, false);
}
END_TEST

/* Thorough: with activations that have a parameter of their own. */
START_TEST(elements)
{
    run(_i, irn_trial_elements, true);
}
END_TEST

START_TEST(sums)
{
    run(_i, irn_trial_sums, false);
}
END_TEST

START_TEST(random_numbers)
{
    run(_i, irn_trial_random, false);
}
END_TEST

START_TEST(convolutions)
{
    run(_i, irn_trial_convolutions, false);
}
END_TEST

START_TEST(float64)
{
    run(_i, irn_trial_float64, false);
}
END_TEST

START_TEST(power_iteration)
{
    run(_i, irn_trial_power, false);
}
END_TEST

START_TEST(networks)
{
    run(_i, irn_trial_network, false);
}
END_TEST

START_TEST(inverses)
{
    run(_i, irn_trial_inverse, false);
}
END_TEST

START_TEST(optimisers)
{
    run(_i, irn_trial_optimisers, false);
}
END_TEST

START_TEST(training)
{
    run(_i, irn_trial_training, false);
}
END_TEST

START_TEST(densities)
{
    run(_i, irn_trial_densities, false);
}
END_TEST

START_TEST(singular_values)
{
    run(_i, irn_trial_spectrum, false);
}
END_TEST

START_TEST(proofs)
{
    run(_i, irn_trial_proofs, false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("families");
    TCase *test = devices_case(suite, "elements");
    devices_add(test, layouts);
    devices_add(test, elements);
    devices_add(test, sums);
    devices_add(test, random_numbers);
    devices_add(test, optimisers);
    test = devices_case(suite, "convolutions");
    devices_add(test, convolutions);
    devices_add(test, float64);
    test = devices_case(suite, "networks");
    devices_add(test, power_iteration);
    devices_add(test, networks);
    test = devices_case(suite, "inverses");
    devices_add(test, inverses);
    test = devices_case(suite, "training");
    devices_add(test, training);
    test = devices_case(suite, "densities");
    devices_add(test, densities);
    test = devices_case(suite, "spectra");
    devices_add(test, singular_values);
    test = devices_case(suite, "proofs");
    devices_add(test, proofs);
    return testing_run(suite);
}
