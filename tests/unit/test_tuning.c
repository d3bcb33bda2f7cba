/* Device classes and their tiles; choices as text; and what is remembered of a device, in files
 * that nobody can trust. */
#include "devices.h"

#include "runtime/tuning.h"

#include <iresnet/tune.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- classes ---- */

static irn_device_info gpu(unsigned simd, uint64_t local, unsigned group, bool fp64)
{
    return (irn_device_info){.is_gpu = true,
                             .is_simt = true,
                             .has_fp64 = fp64,
                             .channel_block = 4,
                             .simd_width = simd,
                             .local_memory = local,
                             .max_group = group};
}

static irn_device_info cpu(unsigned block)
{
    return (irn_device_info){.channel_block = block, .max_group = 4096};
}

static bool same(const irn_tile *a, const irn_tile *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Each tile of the device's row is one that it may have, or there is none; CLBlast is never the
 * default. */
static void check_row(const irn_device_info *device)
{
    irn_tuning tuning = irn_tuning_for(device);
    ck_assert_uint_gt(tuning.tile_float, 0);
    ck_assert_uint_gt(tuning.output_blocks, 0);
    for (irn_tile_use use = 0; use < IRN_TILE_USES; use++) {
        irn_tile tile, *row = &tuning.tiles[use];
        bool any = irn_tile_candidate(&tile, device, use, 0), found = !any;
        for (size_t k = 0; irn_tile_candidate(&tile, device, use, k); k++)
            found = found || same(&tile, row);
        ck_assert_msg(found, "%s: '%s' has a tile that is none of its candidates",
                      irn_tuning_class(device), irn_tile_use_name(use));
        any = any && use < IRN_TILE_DENSE;
        ck_assert_msg(any == (row->size[0] > 0), "%s: '%s' has %s", irn_tuning_class(device),
                      irn_tile_use_name(use), any ? "no tile" : "a tile without room for it");
    }
}

START_TEST(rows)
{
    const unsigned simds[] = {0, 8, 16, 32, 64}, groups[] = {1, 63, 64, 128, 256, 1024};
    const uint64_t locals[] = {0, 1 << 10, 16 << 10, 32 << 10, 64 << 10, 228 << 10};
    for (size_t s = 0; s < 5; s++)
        for (size_t g = 0; g < 6; g++)
            for (size_t l = 0; l < 6; l++)
                for (int fp64 = 0; fp64 < 2; fp64++) {
                    irn_device_info device = gpu(simds[s], locals[l], groups[g], fp64);
                    check_row(&device);
                }
    const irn_device_info wide = cpu(16), narrow = cpu(8);
    check_row(&wide);
    check_row(&narrow);
}
END_TEST

START_TEST(limits)
{
    irn_device_info large = gpu(32, 64 << 10, 1024, true), small = gpu(32, 64 << 10, 64, true);
    irn_device_info none = gpu(32, 0, 1024, true), single = gpu(32, 64 << 10, 1024, false);
    irn_tuning tuning = irn_tuning_for(&large);
    irn_tile tile;
    ck_assert_uint_gt(tuning.tiles[IRN_TILE_APPLY].size[0], 64);
    tuning = irn_tuning_for(&small);
    ck_assert_uint_eq(tuning.tiles[IRN_TILE_APPLY].size[0], 64);
    for (size_t k = 0; irn_tile_candidate(&tile, &small, IRN_TILE_APPLY, k); k++)
        ck_assert_uint_le(tile.size[0], 64);
    for (irn_tile_use use = 0; use < IRN_TILE_USES; use++)
        ck_assert(!irn_tile_candidate(&tile, &none, use, 0));
    for (size_t k = 0; irn_tile_candidate(&tile, &small, IRN_TILE_BLAS, k); k++)
        ck_assert_uint_le(tile.size[2] * tile.size[2], 64);
    ck_assert(irn_tile_candidate(&tile, &large, IRN_TILE_APPLY_DOUBLE, 0));
    ck_assert(!irn_tile_candidate(&tile, &single, IRN_TILE_APPLY_DOUBLE, 0));
    const irn_device_info processor = cpu(16);
    ck_assert(!irn_tile_candidate(&tile, &processor, IRN_TILE_APPLY, 0));
    ck_assert(!irn_tile_candidate(&tile, &large, IRN_TILE_CPU, 0));
}
END_TEST

/* CPUs have what was measured on them, and not the first tile that fits. */
START_TEST(processors)
{
    const irn_device_info wide = cpu(16), narrow = cpu(8);
    irn_tuning tuning = irn_tuning_for(&wide);
    ck_assert_uint_eq(tuning.tile_float, 8);
    ck_assert_uint_eq(tuning.output_blocks, 2);
    tuning = irn_tuning_for(&narrow);
    ck_assert_uint_eq(tuning.tile_float, 5);
    ck_assert_uint_eq(tuning.output_blocks, 2);
}
END_TEST

/* ---- text ---- */

START_TEST(choices)
{
    const irn_device_info device = gpu(32, 64 << 10, 1024, true);
    const irn_tile wide = {{256, 8, 2, 1}}, narrow = {{32, 2, 1, 1}}, blas = {{64, 64, 8}};
    irn_tuning tuning = irn_tuning_for(&device), before;
    testing_ok(irn_tuning_read(&tuning, &device, "", "x"));
    testing_ok(
        irn_tuning_read(&tuning, &device, " apply=256x8x2x1\n gradient-narrow=32x2x1x1 \n", "x"));
    ck_assert(same(&tuning.tiles[IRN_TILE_APPLY], &wide));
    ck_assert(same(&tuning.tiles[IRN_TILE_GRADIENT_NARROW], &narrow));
    testing_ok(irn_tuning_read(&tuning, &device, "dense=4096 dense-gradient=16384", "x"));
    ck_assert_uint_eq(tuning.tiles[IRN_TILE_DENSE].size[0], 4096);
    testing_ok(irn_tuning_read(&tuning, &device, "dense=0", "x"));
    ck_assert_uint_eq(tuning.tiles[IRN_TILE_DENSE].size[0], 0);
    ck_assert_uint_eq(tuning.tiles[IRN_TILE_DENSE_GRADIENT].size[0], 16384);
    testing_ok(irn_tuning_read(&tuning, &device, "clblast=64x64x8", "x"));
    ck_assert(same(&tuning.tiles[IRN_TILE_BLAS], &blas));
    before = tuning;
    const char *const bad[] = {
        "apply",          "apply=",           "apply=64x8x2",           "apply=64x8x2x1x1",
        "=64x8x2x1",      "apply=0x0x0x0",    "apply=64x8x2x1,",        "apply =64x8x2x1",
        "cpu=8x2",        "apply=064x8x2x1",  "apply=4294967360x8x2x1", "gradient=128x8x2x1",
        "apply=-1x8x2x1", "apply=64x8x2x1\t", "Apply=64x8x2x1",         "apply=64x8x2x1\v",
        "dense=1",        "dense=",           "clblast=64x64x8x2",      "clblast=64x64",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[96]; /* the first choice is good: nothing of it may stay */
        snprintf(text, sizeof text, "apply=64x4x2x2 %s", bad[i]);
        testing_fails(irn_tuning_read(&tuning, &device, text, "the text"), IRN_ERROR_FORMAT,
                      "the text: '");
        ck_assert_mem_eq(&tuning, &before, sizeof tuning);
    }
}
END_TEST

/* ---- files ---- */

typedef struct heard {
    int left_out, not_allowed;
} heard;

static void listen(const char *message, void *payload)
{
    heard *self = payload;
    self->left_out += strstr(message, "what was tuned is left out") != NULL;
    self->not_allowed += strstr(message, "may not set its parameters") != NULL;
}

static irn_context *open_context(int device, heard *heard)
{
    irn_context *context;
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    options.device = devices_choice(device);
    options.cache_dir = testing_path("cache");
    options.log = listen;
    options.log_payload = heard;
    heard->left_out = heard->not_allowed = 0;
    testing_ok(irn_context_create(&context, &options));
    return context;
}

/* A use of the device that has something to choose, and what it does not have yet. */
static irn_tile_use other_choice(const irn_context *context, irn_tile *tile)
{
    for (irn_tile_use use = 0; use < IRN_TILE_USES; use++)
        for (size_t k = 0; irn_tile_candidate(tile, &context->info, use, k); k++)
            if (!same(tile, &context->tuning.tiles[use]))
                return use;
    ck_abort_msg("%s has nothing to choose", context->info.name);
    return IRN_TILE_USES;
}

START_TEST(remembering)
{
    heard heard;
    irn_tile tile;
    bool any;
    char path[4096];
    irn_context *context = open_context(_i, &heard);
    const irn_tuning standard = context->tuning;
    irn_tile_use use = other_choice(context, &tile);
    irn_tuning_set(&context->tuning, use, &tile);
    testing_ok(irn_tune_path(context, path, sizeof path));
    testing_ok(irn_tune_remember(context));
    testing_fails(irn_tune_path(context, path, 20), IRN_ERROR_FILE, "too long");
    irn_context_free(context);

    context = open_context(_i, &heard);
    ck_assert_int_eq(heard.left_out, 0);
    ck_assert(same(&context->tuning.tiles[use], &tile));
    ck_assert_mem_ne(&context->tuning, &standard, sizeof standard);
    testing_ok(irn_tune_forget(context, &any));
    ck_assert(any);
    ck_assert_mem_eq(&context->tuning, &standard, sizeof standard);
    testing_ok(irn_tune_forget(context, &any));
    ck_assert(!any);
    irn_context_free(context);

    context = open_context(_i, &heard);
    ck_assert_mem_eq(&context->tuning, &standard, sizeof standard);
    irn_context_free(context);
}
END_TEST

/* The file at path is left out, and that is all that happens. */
static void check_left_out(int device, const irn_tuning *standard, const char *what)
{
    heard heard;
    irn_context *context = open_context(device, &heard);
    ck_assert_msg(heard.left_out == 1, "%s: said %d times to be left out", what, heard.left_out);
    ck_assert_msg(memcmp(&context->tuning, standard, sizeof *standard) == 0, "%s: was used", what);
    irn_context_free(context);
}

static void write_bytes(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

START_TEST(hostile_files)
{
    heard heard;
    irn_tile tile;
    char path[4096], good[256], text[IRN_TILE_TEXT];
    irn_context *context = open_context(_i, &heard);
    const irn_tuning standard = context->tuning;
    irn_tile_use use = other_choice(context, &tile);
    testing_ok(irn_tune_remember(context)); /* makes the folder */
    testing_ok(irn_tune_path(context, path, sizeof path));
    irn_context_free(context);
    int length = snprintf(good, sizeof good, "iresnet tuning 1\n%s=%s\n", irn_tile_use_name(use),
                          irn_tile_text(text, &tile));

    char *huge = calloc(1 << 20, 1);
    memset(huge, ' ', 1 << 20);
    memcpy(huge, good, (size_t)length);
    write_bytes(path, huge, 1 << 20);
    check_left_out(_i, &standard, "a megabyte");
    memset(huge + length, 0, 100);
    write_bytes(path, huge, (size_t)length + 100);
    check_left_out(_i, &standard, "zero bytes");
    free(huge);
    for (int cut = 0; cut < length - 2; cut++) /* the last byte is a line end that need not be */
        if (cut != (int)strlen("iresnet tuning 1\n")) {
            write_bytes(path, good, (size_t)cut);
            check_left_out(_i, &standard, "a part");
        }
    for (int at = 0; at < length - 1; at++) {
        good[at] ^= 1;
        write_bytes(path, good, (size_t)length);
        check_left_out(_i, &standard, "a changed byte");
        good[at] ^= 1;
    }
    unlink(path);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    check_left_out(_i, &standard, "a folder");
    rmdir(path);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    check_left_out(_i, &standard, "a pipe");
    unlink(path);
    write_bytes(path, good, (size_t)length);
    context = open_context(_i, &heard);
    ck_assert(same(&context->tuning.tiles[use], &tile));
    irn_context_free(context);
}
END_TEST

START_TEST(overriding)
{
    heard heard;
    irn_tile tile;
    bool any;
    char choice[256], text[IRN_TILE_TEXT];
    irn_context *context = open_context(_i, &heard);
    irn_tile_use use = other_choice(context, &tile);
    snprintf(choice, sizeof choice, "%s=%s", irn_tile_use_name(use), irn_tile_text(text, &tile));
    irn_context_free(context);
    setenv("IRN_TUNING", choice, 1);
    context = open_context(_i, &heard);
    ck_assert(same(&context->tuning.tiles[use], &tile));
    testing_ok(irn_tune_forget(context, &any));
    ck_assert(!any);
    ck_assert(same(&context->tuning.tiles[use], &tile));
    setenv("IRN_TUNING", "apply=99x1", 1);
    testing_fails(irn_tune_forget(context, &any), IRN_ERROR_ARGUMENT, "IRN_TUNING");
    ck_assert(same(&context->tuning.tiles[use], &tile));
    irn_context_free(context);
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    options.device = devices_choice(_i);
    testing_fails(irn_context_create(&context, &options), IRN_ERROR_ARGUMENT,
                  "IRN_TUNING: 'apply=99x1' is no choice for ");
    ck_assert_ptr_null(context);
    unsetenv("IRN_TUNING");
}
END_TEST

/* Who may not set them has no products by CLBlast that were measured with them either. */
static void check_parameters(int device, const irn_tile *tile)
{
    heard heard;
    const irn_tile none = {{0}};
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    irn_context *context = open_context(device, &heard);
    ck_assert_int_eq(heard.not_allowed, 1);
    ck_assert(same(&context->tuning.tiles[IRN_TILE_BLAS], &none));
    ck_assert(same(&context->tuning.tiles[IRN_TILE_DENSE], &none));
    ck_assert(same(&context->tuning.tiles[IRN_TILE_DENSE_GRADIENT], &none));
    irn_context_free(context);
    options.device = devices_choice(device);
    options.cache_dir = testing_path("cache");
    options.clblast_parameters = true;
    testing_ok(irn_context_create(&context, &options));
    ck_assert(same(&context->tuning.tiles[IRN_TILE_BLAS], tile));
    ck_assert_uint_gt(context->tuning.tiles[IRN_TILE_DENSE].size[0], 0);
    irn_context_free(context);
}

/* CLBlast's parameters, of the environment or remembered, are for those who may set them; others
 * are told. */
START_TEST(parameters_of_clblast)
{
    heard heard;
    irn_tile tile;
    char choice[256], text[IRN_TILE_TEXT];
    irn_context_options options = IRN_CONTEXT_OPTIONS_INIT;
    irn_context *context = open_context(_i, &heard);
    bool any = irn_tile_candidate(&tile, &context->info, IRN_TILE_BLAS, 1);
    ck_assert(any == context->info.is_simt);
    irn_context_free(context);
    if (!any)
        return;
    snprintf(choice, sizeof choice, "dense=4096 clblast=%s", irn_tile_text(text, &tile));
    setenv("IRN_TUNING", choice, 1);
    check_parameters(_i, &tile);
    unsetenv("IRN_TUNING");
    options.device = devices_choice(_i);
    options.cache_dir = testing_path("cache");
    options.clblast_parameters = true;
    testing_ok(irn_context_create(&context, &options));
    irn_tuning_force(&context->tuning, IRN_TILE_BLAS, &tile);
    testing_ok(irn_tune_remember(context));
    irn_context_free(context);
    check_parameters(_i, &tile);
}
END_TEST

/* ---- measuring ---- */

START_TEST(refusals)
{
    heard heard;
    irn_context *context = open_context(_i, &heard);
    irn_tune_options options = IRN_TUNE_OPTIONS_INIT;
    irn_tune_entry *entries;
    size_t count;
    cl_mem memory;
    bool any;
    options.version = 2;
    testing_fails(irn_tune(context, &options, &entries, &count), IRN_ERROR_ARGUMENT, "2");
    options = (irn_tune_options)IRN_TUNE_OPTIONS_INIT;
    options.repeats = 0;
    testing_fails(irn_tune(context, &options, &entries, &count), IRN_ERROR_ARGUMENT, "0 repeats");
    testing_ok(irn_memory_create(context, &memory, 16, 4, false));
    testing_fails(irn_tune(context, NULL, &entries, &count), IRN_ERROR_ARGUMENT, "64 bytes");
    testing_fails(irn_tune_forget(context, &any), IRN_ERROR_ARGUMENT, "64 bytes");
    irn_memory_release(context, memory);
    context->info.is_simt = true; /* a class without anything to choose */
    context->info.local_memory = 0;
    testing_ok(irn_tune(context, NULL, &entries, &count));
    ck_assert_uint_eq(count, 0);
    free(entries);
    irn_context_free(context);
}
END_TEST

static bool stop(size_t done, size_t total, const char *what, void *payload)
{
    *(size_t *)payload = total;
    return done == 0 && what;
}

/* The first tile is measured, and none of it stays. */
START_TEST(cancelling)
{
    heard heard;
    irn_context *context = open_context(_i, &heard);
    const irn_tuning standard = context->tuning;
    irn_tune_options options = IRN_TUNE_OPTIONS_INIT;
    irn_tune_entry *entries;
    size_t count, total = 0;
    options.repeats = 1;
    options.progress = stop;
    options.payload = &total;
    testing_fails(irn_tune(context, &options, &entries, &count), IRN_ERROR_CANCELLED, "cancelled");
    ck_assert_ptr_null(entries);
    ck_assert_uint_gt(total, 1);
    ck_assert_uint_eq(irn_context_memory(context), 0);
    ck_assert_mem_eq(&context->tuning, &standard, sizeof standard);
    irn_context_free(context);
}
END_TEST

/* Tuning is the cure for a present tile with which the device fails. */
START_TEST(present_fails)
{
    heard heard;
    const irn_tile too_large = {{1 << 20, 1, 1, 1}};
    irn_context *context = open_context(_i, &heard);
    irn_tune_options options = IRN_TUNE_OPTIONS_INIT;
    irn_tune_entry *entries;
    size_t count, total = 0;
    for (irn_tile_use use = 0; use < IRN_TILE_CPU; use++)
        if (context->tuning.tiles[use].size[0] > 0)
            irn_tuning_set(&context->tuning, use, &too_large);
    options.repeats = 1;
    options.progress = stop;
    options.payload = &total;
    testing_fails(irn_tune(context, &options, &entries, &count), IRN_ERROR_CANCELLED, "cancelled");
    ck_assert_uint_gt(total, 1);
    irn_context_free(context);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("tuning");
    TCase *test = devices_case(suite, "tuning");
    tcase_add_test(test, rows);
    tcase_add_test(test, limits);
    tcase_add_test(test, processors);
    tcase_add_test(test, choices);
    devices_add(test, remembering);
    devices_add(test, hostile_files);
    devices_add(test, overriding);
    devices_add(test, parameters_of_clblast);
    devices_add(test, refusals);
    devices_add(test, cancelling);
    devices_add(test, present_fails);
    return testing_run(suite);
}
