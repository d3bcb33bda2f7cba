/* Tuning of CLBlast, which this program puts itself before: it multiplies nothing, and takes as
 * long or fails as a test wants. */
#include "devices.h"

#include "ops/tune.h"
#include "runtime/blas.h"
#include "runtime/tuning.h"

#include <clblast_c.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- CLBlast ---- */

typedef enum kind {
    FAILS,            /* whatever it is given */
    NEEDS_PARAMETERS, /* fails with its database's */
    BETTER_WITHOUT,   /* its database's are the fastest */
    BETTER_WITH,      /* some of ours are */
    TAKES_NONE        /* of another version, with other parameters */
} kind;

static struct {
    kind kind;
    size_t rows;     /* MWG, 0: its database's */
    size_t products; /* since they were set last */
} clblast;

static void wait_a_little(void)
{
    const struct timespec pause = {0, 6000000};
    nanosleep(&pause, NULL);
}

CLBlastStatusCode CLBlastSgemmWithTempBuffer(const CLBlastLayout layout, const CLBlastTranspose at,
                                             const CLBlastTranspose bt, const size_t m,
                                             const size_t n, const size_t k, const float alpha,
                                             const cl_mem a, const size_t a0, const size_t a_row,
                                             const cl_mem b, const size_t b0, const size_t b_row,
                                             const float beta, cl_mem c, const size_t c0,
                                             const size_t c_row, cl_command_queue *queue,
                                             cl_event *event, cl_mem room)
{
    (void)layout, (void)at, (void)bt, (void)m, (void)n, (void)k, (void)alpha, (void)a, (void)a0;
    (void)a_row, (void)b, (void)b0, (void)b_row, (void)beta, (void)c, (void)c0, (void)c_row;
    (void)queue, (void)event, (void)room;
    clblast.products++;
    if (clblast.kind == FAILS || (clblast.kind == NEEDS_PARAMETERS && clblast.rows == 0))
        return CLBlastInvalidLocalMemUsage;
    bool fast = clblast.rows == (clblast.kind == BETTER_WITH ? 64 : 0);
    if (!fast)
        wait_a_little();
    return CLBlastSuccess;
}

CLBlastStatusCode CLBlastOverrideParameters(const cl_device_id device, const char *kernel,
                                            const CLBlastPrecision precision, const size_t count,
                                            const char **names, const size_t *values)
{
    ck_assert(device && precision == CLBlastPrecisionSingle);
    if (clblast.kind == TAKES_NONE)
        return CLBlastMissingOverrideParameter;
    for (size_t i = 0; i < count; i++)
        if (strcmp(kernel, "Xgemm") == 0 && strcmp(names[i], "MWG") == 0)
            clblast.rows = values[i];
    clblast.products = 0;
    return CLBlastSuccess;
}

/* ---- tuning ---- */

/* A GPU's layout, whatever the device is. */
static irn_context *open_context(int device, bool may_set)
{
    ck_assert_int_eq(setenv("IRN_TEST_BLOCK", "4", 1), 0);
    irn_context *context = devices_open(device);
    ck_assert_int_eq(unsetenv("IRN_TEST_BLOCK"), 0);
    context->may_set_blas = may_set;
    clblast.rows = clblast.products = 0;
    return context;
}

static irn_tile chosen(const irn_context *context, irn_tile_use use)
{
    return context->tuning.tiles[use];
}

/* How often a use's tiles are among the entries, and the best of them. */
static size_t count_entries(const irn_tune_entry *entries, size_t count, irn_tile_use use,
                            const irn_tune_entry **best)
{
    size_t found = 0;
    *best = NULL;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(entries[i].use, irn_tile_use_name(use)) != 0)
            continue;
        found++;
        if (entries[i].best) {
            ck_assert_ptr_null(*best);
            *best = &entries[i];
        }
    }
    return found;
}

/* Each candidate once, and the best is in use. */
static void check_entries(const irn_context *context, const irn_tune_entry *entries, size_t count,
                          bool may_set)
{
    for (irn_tile_use use = IRN_TILE_DENSE; use < IRN_TILE_USES; use++) {
        const irn_tune_entry *best;
        irn_tile tile;
        char text[IRN_TILE_TEXT];
        size_t candidates = 0, found = count_entries(entries, count, use, &best);
        while (irn_tile_candidate(&tile, &context->info, use, candidates))
            candidates++;
        if (use == IRN_TILE_BLAS && !may_set)
            candidates = 0;
        ck_assert_uint_eq(found, candidates);
        tile = chosen(context, use);
        ck_assert(!best || strcmp(best->tile, irn_tile_text(text, &tile)) == 0);
        ck_assert(best || candidates == 0 || use == IRN_TILE_BLAS);
    }
}

static irn_context *tune(int device, kind kind, bool may_set)
{
    irn_context *context = open_context(device, may_set);
    irn_tune_options options = IRN_TUNE_OPTIONS_INIT;
    irn_tune_entry *entries;
    size_t count;
    options.repeats = 1;
    clblast.kind = kind;
    testing_ok(irn_tune_from(IRN_TILE_DENSE, context, &options, &entries, &count));
    check_entries(context, entries, count, may_set);
    ck_assert(!context->blas_refused);
    free(entries);
    return context;
}

/* Tiles then do without. */
START_TEST(failing)
{
    irn_context *context = tune(_i, FAILS, true);
    ck_assert_uint_eq(chosen(context, IRN_TILE_BLAS).size[0], 0);
    ck_assert_uint_eq(chosen(context, IRN_TILE_DENSE).size[0], 0);
    ck_assert_uint_eq(chosen(context, IRN_TILE_DENSE_GRADIENT).size[0], 0);
    devices_close(context);
}
END_TEST

/* What fails with the database's parameters is tried with others. */
START_TEST(failing_at_first)
{
    irn_context *context = tune(_i, NEEDS_PARAMETERS, true);
    ck_assert_uint_gt(chosen(context, IRN_TILE_BLAS).size[0], 0);
    devices_close(context);
}
END_TEST

START_TEST(better_with)
{
    irn_context *context = tune(_i, BETTER_WITH, true);
    irn_tile given = irn_blas_parameters(context), tile = chosen(context, IRN_TILE_BLAS);
    ck_assert_uint_eq(tile.size[0], 64);
    ck_assert_uint_gt(chosen(context, IRN_TILE_DENSE).size[0], 0);
    ck_assert_uint_eq(clblast.rows, 64); /* dense layers were measured again, with these */
    ck_assert_uint_gt(clblast.products, 0);
    ck_assert_mem_eq(&given, &tile, sizeof tile);
    devices_close(context);
}
END_TEST

/* There is no way back in this process, in which the database's cannot be measured any more. */
START_TEST(better_without)
{
    irn_context *context = tune(_i, BETTER_WITHOUT, true);
    irn_tune_options options = IRN_TUNE_OPTIONS_INIT;
    irn_tune_entry *entries;
    const irn_tune_entry *best;
    size_t count;
    options.repeats = 1;
    ck_assert_uint_eq(chosen(context, IRN_TILE_BLAS).size[0], 0);
    ck_assert_uint_gt(irn_blas_parameters(context).size[0], 0);
    testing_ok(irn_tune_from(IRN_TILE_DENSE, context, &options, &entries, &count));
    count_entries(entries, count, IRN_TILE_BLAS, &best);
    ck_assert(best && strcmp(best->tile, "0") != 0);
    free(entries);
    devices_close(context);
}
END_TEST

START_TEST(other_version)
{
    irn_context *context = tune(_i, TAKES_NONE, true);
    ck_assert_uint_eq(chosen(context, IRN_TILE_BLAS).size[0], 0);
    ck_assert_uint_eq(irn_blas_parameters(context).size[0], 0);
    devices_close(context);
}
END_TEST

START_TEST(not_allowed)
{
    irn_context *context = tune(_i, BETTER_WITH, false);
    ck_assert_uint_eq(chosen(context, IRN_TILE_BLAS).size[0], 0);
    ck_assert_uint_eq(clblast.rows, 0);
    devices_close(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tuning of CLBlast");
    TCase *test = devices_case(suite, "tuning");
    devices_add(test, failing);
    devices_add(test, failing_at_first);
    devices_add(test, better_with);
    devices_add(test, better_without);
    devices_add(test, other_version);
    devices_add(test, not_allowed);
    return testing_run(suite);
}
