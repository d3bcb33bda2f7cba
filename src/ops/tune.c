/* Measuring tiles: see tune.h of the public interface, and tuning.h for what there is to choose. */
#include "ops/tune.h"
#include "ops/bench.h"
#include "runtime/blas.h"
#include "runtime/tuning.h"
#include "io/file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Shapes that stand for a use, of networks for images of 32x32 and smaller; batches are found for
 * the device. */
enum { MAX_SHAPES = 4, MAX_BATCH = 128 };

typedef struct use_shapes {
    irn_tile_use use;
    irn_conv_case shapes[MAX_SHAPES]; /* inputs 0: no more */
} use_shapes;

static const use_shapes table[] = {
    {IRN_TILE_APPLY,
     {{1, 32, 32, 32, 32, 3, IRN_SINGLE, true, true, true, false},
      {1, 64, 64, 16, 16, 3, IRN_SINGLE, true, true, true, false},
      {1, 128, 128, 8, 8, 3, IRN_SINGLE, true, true, true, false},
      {1, 128, 128, 16, 16, 1, IRN_SINGLE, true, true, true, false}}},
    {IRN_TILE_APPLY_NARROW,
     {{1, 12, 12, 16, 16, 3, IRN_SINGLE, true, true, true, false},
      {1, 32, 16, 16, 16, 3, IRN_SINGLE, true, true, false, false}}},
    {IRN_TILE_APPLY_DOUBLE, {{1, 32, 32, 16, 16, 3, IRN_DOUBLE, true, true, false, false}}},
    {IRN_TILE_GRADIENT,
     {{1, 32, 32, 32, 32, 3, IRN_SINGLE, true, false, false, true},
      {1, 64, 64, 16, 16, 3, IRN_SINGLE, true, false, false, true},
      {1, 128, 128, 8, 8, 3, IRN_SINGLE, true, false, false, true},
      {1, 128, 128, 16, 16, 1, IRN_SINGLE, true, false, false, true}}},
    {IRN_TILE_GRADIENT_NARROW,
     {{1, 3, 32, 32, 32, 3, IRN_SINGLE, true, false, false, true},
      {1, 32, 3, 32, 32, 3, IRN_SINGLE, true, false, false, true},
      {1, 12, 12, 16, 16, 3, IRN_SINGLE, true, false, false, true}}},
    {IRN_TILE_CPU,
     {{1, 32, 32, 32, 32, 3, IRN_SINGLE, false, true, true, true},
      {1, 128, 128, 8, 8, 3, IRN_SINGLE, false, true, true, true},
      {1, 64, 64, 16, 16, 3, IRN_SINGLE, true, true, true, true},
      {1, 128, 128, 16, 16, 1, IRN_SINGLE, true, true, true, false}}},
    {IRN_TILE_DENSE,
     {{1, 128, 128, 16, 16, 1, IRN_SINGLE, false, true, true, false},
      {1, 256, 256, 8, 8, 1, IRN_SINGLE, false, true, true, false},
      {1, 512, 512, 1, 1, 1, IRN_SINGLE, false, true, true, false}}},
    {IRN_TILE_DENSE_GRADIENT,
     {{1, 128, 128, 16, 16, 1, IRN_SINGLE, false, false, false, true},
      {1, 256, 256, 8, 8, 1, IRN_SINGLE, false, false, false, true},
      {1, 512, 512, 1, 1, 1, IRN_SINGLE, false, false, false, true}}},
    {IRN_TILE_BLAS,
     {{1, 128, 128, 16, 16, 1, IRN_SINGLE, false, true, true, true},
      {1, 256, 256, 8, 8, 1, IRN_SINGLE, false, true, true, true},
      {1, 512, 512, 1, 1, 1, IRN_SINGLE, false, true, true, true}}},
};
enum { USES = sizeof table / sizeof *table };

typedef struct tuner {
    irn_context *context;
    const irn_tune_options *options;
    irn_tuning before;
    irn_tile blas;           /* what CLBlast has when the rest is measured */
    use_shapes work;         /* of the use at hand, with batches */
    irn_tune_entry *entries; /* of the uses so far */
    size_t count;
    size_t done, total; /* measurements, at most */
} tuner;

/* Whether there is something to choose. */
static bool offers(const irn_context *context, irn_tile_use use)
{
    irn_tile tile;
    return (use != IRN_TILE_BLAS || context->may_set_blas) &&
           irn_tile_candidate(&tile, &context->info, use, 0);
}

/* A batch with which the device takes a while, so that what is timed is not the launch. */
static irn_status find_batch(irn_context *context, irn_conv_case *shape)
{
    const double enough = 5e-3;
    double seconds = 0, operations;
    for (shape->batch = 1; shape->batch < MAX_BATCH; shape->batch *= 2) {
        IRN_TRY(irn_bench_case(context, shape, 1, &seconds, &operations));
        if (seconds >= enough)
            break;
    }
    return IRN_OK;
}

static irn_status find_batches(tuner *t)
{
    for (size_t i = 0; i < MAX_SHAPES && t->work.shapes[i].inputs > 0; i++)
        IRN_TRY(find_batch(t->context, &t->work.shapes[i]));
    return IRN_OK;
}

/* With the first tile that the device does not fail on, which the present one may be. Where it
 * fails on all, so it does when they are measured. */
static void size_work(tuner *t, irn_tile_use use)
{
    irn_context *context = t->context;
    const irn_tuning saved = context->tuning;
    const bool refused = context->blas_refused;
    bool sized = false;
    irn_tile tile;
    for (size_t k = 0; !sized && irn_tile_candidate(&tile, &context->info, use, k); k++) {
        irn_tuning_force(&context->tuning, use, &tile);
        sized = find_batches(t) == IRN_OK && context->blas_refused == refused;
        context->blas_refused = refused;
    }
    context->tuning = saved;
}

static irn_status measure(const tuner *t, double *gflops)
{
    double seconds = 0, operations = 0;
    for (size_t i = 0; i < MAX_SHAPES && t->work.shapes[i].inputs > 0; i++) {
        double some_seconds, some;
        IRN_TRY(irn_bench_case(t->context, &t->work.shapes[i], t->options->repeats, &some_seconds,
                               &some));
        seconds += some_seconds;
        operations += some;
    }
    *gflops = operations / seconds * 1e-9;
    return IRN_OK;
}

static bool is_dense(irn_tile_use use)
{
    return use == IRN_TILE_DENSE || use == IRN_TILE_DENSE_GRADIENT;
}

/* What was measured then was not CLBlast. */
static irn_status check_blas(const tuner *t, irn_tile_use use, const irn_tile *tile)
{
    bool wanted = use == IRN_TILE_BLAS || (is_dense(use) && tile->size[0] > 0);
    if (use == IRN_TILE_BLAS && tile->size[0] == 0 && irn_blas_parameters(t->context).size[0] > 0)
        return irn_fail(IRN_ERROR_DEVICE, "CLBlast has been given parameters in this process, and "
                                          "cannot go back to its own");
    if (wanted && t->context->blas_refused)
        return irn_fail(IRN_ERROR_DEVICE, "CLBlast fails on %s", t->context->info.name);
    return IRN_OK;
}

/* One tile. A device that fails on it, by its compiler or its memory, does not get it. */
static irn_status measure_tile(tuner *t, irn_tile_use use, const irn_tile *tile)
{
    irn_tune_entry *entry = &t->entries[t->count++];
    *entry = (irn_tune_entry){.best = false};
    irn_tuning *tuning = &t->context->tuning, saved = *tuning;
    const bool refused = t->context->blas_refused;
    snprintf(entry->use, sizeof entry->use, "%s", irn_tile_use_name(use));
    irn_tile_text(entry->tile, tile);
    entry->before = memcmp(tile, &t->before.tiles[use], sizeof *tile) == 0;
    irn_tuning_force(tuning, use, tile);
    if (measure(t, &entry->gflops) != IRN_OK || check_blas(t, use, tile) != IRN_OK) {
        irn_log(t->context, "%s=%s: %s", entry->use, entry->tile, irn_last_error());
        entry->gflops = 0;
    }
    *tuning = saved;
    t->context->blas_refused = refused; /* with other parameters CLBlast may do better */
    if (t->options->progress &&
        !t->options->progress(++t->done, t->total, entry->use, t->options->payload))
        return irn_fail(IRN_ERROR_CANCELLED, "tuning was cancelled");
    return IRN_OK;
}

/* The fastest of a use's entries, which are from `first` on; the present one if none is clearly
 * faster. Where CLBlast fails, whatever its parameters, tiles do without. */
static irn_status choose(tuner *t, irn_tile_use use, size_t first)
{
    const double clearly = 1.03;
    size_t best = first;
    for (size_t i = first; i < t->count; i++)
        if (t->entries[i].gflops > t->entries[best].gflops)
            best = i;
    irn_tile tile = {{0}};
    if (!(t->entries[best].gflops > 0) && use == IRN_TILE_BLAS) {
        irn_tuning_set(&t->context->tuning, use, &tile);
        return IRN_OK;
    }
    if (!(t->entries[best].gflops > 0))
        return irn_fail(IRN_ERROR_DEVICE, "no tile for '%s' works on %s: %s",
                        irn_tile_use_name(use), t->context->info.name, irn_last_error());
    for (size_t i = first; i < t->count; i++)
        if (t->entries[i].before && t->entries[best].gflops < clearly * t->entries[i].gflops)
            best = i;
    irn_tile_candidate(&tile, &t->context->info, use, best - first);
    t->entries[best].best = true;
    irn_tuning_set(&t->context->tuning, use, &tile);
    return IRN_OK;
}

static irn_status tune_use(tuner *t, const use_shapes *work)
{
    irn_tile tile;
    size_t first = t->count;
    if (!offers(t->context, work->use))
        return IRN_OK;
    t->work = *work;
    size_work(t, work->use);
    for (size_t k = 0; irn_tile_candidate(&tile, &t->context->info, work->use, k); k++)
        IRN_TRY(measure_tile(t, work->use, &tile));
    return choose(t, work->use, first);
}

/* What is made has memory for the tiles there are. */
static irn_status check_unused(const irn_context *context)
{
    if (context->memory > 0)
        return irn_fail(IRN_ERROR_ARGUMENT,
                        "%llu bytes of the context are in use; tune before anything is made in it",
                        (unsigned long long)context->memory);
    return IRN_OK;
}

static irn_status check(const irn_context *context, const irn_tune_options *options)
{
    IRN_TRY(irn_check_version("irn_tune_options", options->version, IRN_TUNE_OPTIONS_VERSION));
    if (options->repeats < 1 || options->repeats > 1000)
        return irn_fail(IRN_ERROR_ARGUMENT, "%zu repeats: from 1 to 1000 are possible",
                        options->repeats);
    return check_unused(context);
}

/* Measurements at most: what CLBlast does is measured again where it has other parameters. */
static size_t count_candidates(const irn_context *context)
{
    size_t count = 0;
    irn_tile tile;
    for (irn_tile_use use = 0; use < IRN_TILE_USES; use++)
        for (size_t k = 0;
             offers(context, use) && irn_tile_candidate(&tile, &context->info, use, k); k++)
            count += is_dense(use) && context->may_set_blas ? 2 : 1;
    return count;
}

/* Drops a use's entries. */
static void forget(tuner *t, irn_tile_use use)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->entries[i].use, irn_tile_use_name(use)) != 0)
            t->entries[kept++] = t->entries[i];
    t->count = kept;
}

/* With the parameters that CLBlast has now. Before any were set, for which there is no way back,
 * the database's had to be measured. */
static irn_status tune_dense_again(tuner *t)
{
    if (memcmp(&t->blas, &t->context->tuning.tiles[IRN_TILE_BLAS], sizeof t->blas) == 0)
        return IRN_OK;
    for (size_t i = 0; i < USES; i++)
        if (is_dense(table[i].use)) {
            forget(t, table[i].use);
            IRN_TRY(tune_use(t, &table[i]));
        }
    return IRN_OK;
}

irn_status irn_tune(irn_context *context, const irn_tune_options *options, irn_tune_entry **out,
                    size_t *count)
{
    return irn_tune_from(0, context, options, out, count);
}

irn_status irn_tune_from(irn_tile_use first, irn_context *context, const irn_tune_options *options,
                         irn_tune_entry **out, size_t *count)
{
    const irn_tune_options standard = IRN_TUNE_OPTIONS_INIT;
    *out = NULL;
    *count = 0;
    options = options ? options : &standard;
    IRN_TRY(check(context, options));
    tuner t = {.context = context, .options = options, .before = context->tuning};
    t.total = count_candidates(context);
    if (context->may_set_blas)
        context->tuning.tiles[IRN_TILE_BLAS] = t.blas = irn_blas_parameters(context);
    irn_status status = irn_alloc(&t.entries, t.total, sizeof *t.entries);
    for (size_t i = 0; i < USES && status == IRN_OK; i++)
        if (table[i].use >= first)
            status = tune_use(&t, &table[i]);
    if (status == IRN_OK)
        status = tune_dense_again(&t);
    if (status == IRN_OK) {
        *out = t.entries;
        *count = t.count;
    } else {
        context->tuning = t.before;
        free(t.entries);
    }
    return status;
}

const char *irn_tune_class(const irn_context *context)
{
    return irn_tuning_class(&context->info);
}

irn_status irn_tune_path(const irn_context *context, char *path, size_t size)
{
    return irn_tuning_path(path, size, context);
}

irn_status irn_tune_remember(const irn_context *context)
{
    return irn_tuning_store(context);
}

irn_status irn_tune_forget(irn_context *context, bool *any)
{
    char path[4096];
    *any = false;
    IRN_TRY(check_unused(context));
    IRN_TRY(irn_tuning_path(path, sizeof path, context));
    *any = unlink(path) == 0;
    if (!*any && errno != ENOENT)
        return irn_fail_errno(path, "remove it", errno);
    return irn_context_make_tuning(context);
}
