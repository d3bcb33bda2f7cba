/* Upper bounds at all frequencies by the device, in float64 or float32 (cl/proof.cl).
 *
 * Where a zero-padded layer has a choice of frequencies, estimates at those where the norm may be
 * largest say which to take. In rounds: estimates say where the norm may be; there the host finds
 * it exactly enough; at this shift all frequencies are factored, and those that fail go on to the
 * next round. Only completed factorisations prove anything. */
#include "base/round.h"
#include "certify/krylov.h"
#include "certify/proof_symbol.h"
#include "runtime/runtime.h"
#include "tensor/tensor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Steps of power iteration in the first round, four times as many in each later one, up to a limit;
 * rounds at most, and those before precision is given up; memory for matrices, and frequencies of
 * one launch. */
enum {
    FIRST_STEPS = 6,
    MOST_STEPS = 200,
    MOST_ROUNDS = 70,
    PATIENT_ROUNDS = 30,
    SCRATCH = 192 << 20,
    LAUNCH = 1 << 15
};

/* Of shifts: how far above the squared norm they are put at least, and how much more is ventured of
 * what the proof loses anyway. */
static const double gap = 1e-10, share = 0.1;

typedef struct prover {
    irn_symbol *symbol;
    irn_context *context;
    bool is_double;
    const char *options;
    irn_sums_layout layout;
    size_t order, pitch, bundle; /* as in cl/proof.cl; bundle: frequencies */
    size_t items, capacity;      /* work-groups; bundles of a launch */
    cl_mem sums, weights, groups, scratch, results, start;
    double *host_weights, *host_results;
    int *host_groups;         /* of each bundle, and how many frequencies it has */
    size_t *remaining, count; /* frequencies that are not proven yet */
} prover;

static size_t rounded_up(size_t value, size_t unit)
{
    return (value + unit - 1) / unit * unit;
}

static size_t real_size(const prover *p)
{
    return p->is_double ? sizeof(double) : sizeof(float);
}

/* Writes doubles as the device's numbers, in place. */
static irn_status write_reals(prover *p, cl_mem memory, size_t offset, double *values, size_t count)
{
    float *narrow = (float *)(void *)values;
    for (size_t i = 0; !p->is_double && i < count; i++) {
        float value = (float)values[i];
        memcpy(&narrow[i], &value, sizeof value);
    }
    return irn_memory_write(p->context, memory, offset * real_size(p), values,
                            count * real_size(p));
}

static irn_status read_reals(prover *p, cl_mem memory, double *values, size_t count)
{
    IRN_TRY(irn_memory_read(p->context, memory, 0, values, count * real_size(p)));
    for (size_t i = count; !p->is_double && i-- > 0;) {
        float value;
        memcpy(&value, (const char *)values + i * sizeof value, sizeof value);
        values[i] = value;
    }
    return IRN_OK;
}

/* ---- correlations ---- */

/* Where the device has no float64 the host makes them. */
static irn_status sums_on_host(prover *p)
{
    const irn_symbol *s = p->symbol;
    const irn_correlation *c = &s->correlation;
    size_t stride = p->layout.stride, count = 2 * p->layout.lags * stride * stride;
    double *taps, *sums = NULL;
    IRN_TRY(irn_alloc(&taps, s->list.groups * s->list.count * c->columns, stride * sizeof *taps));
    irn_correlation_taps(c, stride, taps);
    irn_status status = irn_alloc(&sums, count, sizeof *sums);
    for (size_t group = 0; status == IRN_OK && group < s->list.groups; group++) {
        irn_correlation_sums(c, group, taps, &p->layout, sums);
        status = write_reals(p, p->sums, group * count, sums, count);
    }
    free(sums);
    free(taps);
    return status;
}

static irn_status upload(irn_context *context, cl_mem *out, const void *values, size_t count,
                         size_t size)
{
    IRN_TRY(irn_memory_create(context, out, count, size, false));
    return irn_memory_write(context, *out, 0, values, count * size);
}

static irn_status run_correlate(prover *p, cl_mem taps, cl_mem pairs, cl_mem starts)
{
    const irn_symbol *s = p->symbol;
    const irn_correlation *c = &s->correlation;
    size_t group = p->context->tuning.work_group, lanes = group > 1 ? 1 : p->layout.run;
    irn_call call = irn_call_begin(p->context, "common.clh group.clh lanes.clh proof.cl",
                                   p->is_double ? "-DREAL=double -DSTORED=double"
                                                : "-DREAL=double -DSTORED=float",
                                   "correlate");
    irn_call_memory(&call, taps, 0);
    irn_call_memory(&call, pairs, 0);
    irn_call_memory(&call, starts, 0);
    irn_call_memory(&call, p->sums, 0);
    irn_call_int(&call, s->list.count);
    irn_call_int(&call, c->columns);
    irn_call_int(&call, p->layout.stride);
    irn_call_int(&call, p->layout.run);
    irn_call_int(&call, c->lags);
    return irn_call_run(&call, rounded_up(p->layout.stride / lanes, group),
                        p->order / (group > 1 || p->layout.run == 16 ? 4 : 2),
                        c->lags * s->list.groups, group);
}

static irn_status sums_on_device(prover *p)
{
    const irn_symbol *s = p->symbol;
    const irn_correlation *c = &s->correlation;
    size_t stride = p->layout.stride, pairs = c->starts[c->lags];
    size_t count = s->list.groups * s->list.count * c->columns * stride;
    cl_mem device_taps = NULL, device_pairs = NULL, device_starts = NULL;
    double *taps;
    int *starts = NULL;
    IRN_TRY(irn_alloc(&taps, count, sizeof *taps));
    irn_correlation_taps(c, stride, taps);
    irn_status status = irn_alloc(&starts, c->lags + 1, sizeof *starts);
    for (size_t i = 0; status == IRN_OK && i <= c->lags; i++)
        starts[i] = (int)c->starts[i];
    if (status == IRN_OK)
        status = upload(p->context, &device_taps, taps, count, sizeof *taps);
    if (status == IRN_OK)
        status = upload(p->context, &device_pairs, c->pairs, pairs, sizeof *c->pairs);
    if (status == IRN_OK)
        status = upload(p->context, &device_starts, starts, c->lags + 1, sizeof *starts);
    if (status == IRN_OK)
        status = run_correlate(p, device_taps, device_pairs, device_starts);
    irn_memory_release(p->context, device_taps);
    irn_memory_release(p->context, device_pairs);
    irn_memory_release(p->context, device_starts);
    free(starts);
    free(taps);
    return status;
}

/* ---- launches ---- */

/* Fills bundles, each with frequencies of one group, from number `first` of the remaining ones on;
 * returns the number after the last. Where frequencies are few, all compute units get some. */
static size_t pack(prover *p, size_t first, size_t *bundles)
{
    const irn_symbol *s = p->symbol;
    size_t i = first, width = 2 * p->layout.lags;
    size_t most = irn_smaller(p->bundle, (p->count + p->items - 1) / p->items);
    for (*bundles = 0; *bundles < p->capacity && i < p->count; ++*bundles) {
        size_t of = p->remaining[i] / s->frequencies, used = 0;
        for (; used < most && i < p->count && p->remaining[i] / s->frequencies == of; used++) {
            size_t slot = *bundles * p->bundle + used;
            const irn_symbol_place at = irn_symbol_frequency(s, p->remaining[i++]);
            irn_correlation_weights(&s->correlation, at.row, at.column,
                                    p->host_weights + slot * width);
        }
        p->host_groups[2 * *bundles] = (int)of;
        p->host_groups[2 * *bundles + 1] = (int)used;
    }
    return i;
}

static irn_call begin(prover *p, const char *kernel)
{
    irn_call call =
        irn_call_begin(p->context, "common.clh group.clh lanes.clh proof.cl", p->options, kernel);
    irn_call_memory(&call, p->sums, 0);
    irn_call_memory(&call, p->weights, 0);
    irn_call_memory(&call, p->groups, 0);
    irn_call_memory(&call, p->scratch, 0);
    irn_call_memory(&call, p->results, 0);
    return call;
}

/* What the bundles are computed with, and how. */
static irn_status run(prover *p, irn_call *call, size_t bundles)
{
    size_t group = p->context->tuning.work_group;
    irn_call_int(call, bundles);
    irn_call_int(call, p->symbol->correlation.rows);
    irn_call_int(call, p->order);
    irn_call_int(call, p->layout.stride);
    irn_call_int(call, p->pitch);
    irn_call_int(call, p->layout.run);
    irn_call_int(call, p->layout.lags);
    return irn_call_run(call, irn_smaller(bundles, p->items) * group, 1, 1, group);
}

/* Takes the results of the bundles to those of the remaining frequencies from `first` on. */
static irn_status fetch(prover *p, size_t bundles, double *results)
{
    IRN_TRY(read_reals(p, p->results, p->host_results, bundles * p->bundle));
    for (size_t bundle = 0; bundle < bundles; bundle++)
        for (int f = 0; f < p->host_groups[2 * bundle + 1]; f++)
            *results++ = p->host_results[bundle * p->bundle + (size_t)f];
    return IRN_OK;
}

/* A launch that does not come to a factorisation must not leave another's result in its place. */
static irn_status forget(prover *p, size_t bundles)
{
    for (size_t i = 0; i < bundles * p->bundle; i++)
        p->host_results[i] = -1;
    return write_reals(p, p->results, 0, p->host_results, bundles * p->bundle);
}

/* Estimates of the squared norm (steps > 0), or traces of completed factorisations at the shift, of
 * all remaining frequencies. */
static irn_status run_all(prover *p, size_t steps, double shift, double *results)
{
    for (size_t first = 0, next, bundles; first < p->count; first = next) {
        next = pack(p, first, &bundles);
        IRN_TRY(write_reals(p, p->weights, 0, p->host_weights,
                            bundles * p->bundle * 2 * p->layout.lags));
        IRN_TRY(irn_memory_write(p->context, p->groups, 0, p->host_groups,
                                 bundles * 2 * sizeof *p->host_groups));
        IRN_TRY(steps ? IRN_OK : forget(p, bundles));
        irn_call call = begin(p, steps ? "estimate" : "factor");
        if (steps) {
            irn_call_memory(&call, p->start, 0);
            irn_call_int(&call, steps);
        } else {
            irn_call_real(&call, p->is_double, shift);
        }
        IRN_TRY(run(p, &call, bundles));
        IRN_TRY(fetch(p, bundles, results + first));
    }
    return IRN_OK;
}

/* ---- rounds ---- */

/* The same of some frequencies. */
static irn_status estimate(void *payload, size_t *frequencies, size_t count, size_t steps,
                           double *estimates)
{
    prover *p = payload;
    size_t *remaining = p->remaining, kept = p->count;
    p->remaining = frequencies;
    p->count = count;
    irn_status status = run_all(p, steps, 0, estimates);
    p->remaining = remaining;
    p->count = kept;
    return status;
}

static void list_frequencies(prover *p)
{
    p->count = p->symbol->list.groups * p->symbol->frequencies;
    for (size_t i = 0; i < p->count; i++)
        p->remaining[i] = i;
}

/* In the first round, which frequencies there are is settled, too. */
static irn_status settle(prover *p, size_t steps, size_t *best, double *found)
{
    IRN_TRY(irn_symbol_settle(p->symbol, estimate, p, steps, best, found));
    list_frequencies(p);
    return IRN_OK;
}

static irn_status choose(prover *p, size_t steps, double *estimates, size_t *best)
{
    *best = 0;
    if (p->count == 1)
        return IRN_OK;
    IRN_TRY(run_all(p, steps, 0, estimates));
    for (size_t i = 1; i < p->count; i++)
        if (estimates[i] > estimates[*best])
            *best = i;
    return IRN_OK;
}

/* The Gram matrix of one frequency, which the estimate leaves behind, into the host's prover. */
static irn_status read_gram(prover *p, size_t index)
{
    irn_planes *gram = &p->symbol->prover.gram;
    size_t values = p->order * p->pitch;
    double *matrix, unused;
    IRN_TRY(irn_alloc(&matrix, values, sizeof *matrix));
    irn_status status = estimate(p, &index, 1, 1, &unused);
    if (status == IRN_OK)
        status = read_reals(p, p->scratch, matrix, values);
    for (size_t column = 0; status == IRN_OK && column < gram->rows; column++)
        for (size_t row = column; row < gram->rows; row++) {
            const double *from = matrix + column * p->pitch + row;
            gram->re[column * gram->stride + row] = -from[0];
            gram->im[column * gram->stride + row] = -from[p->layout.stride];
        }
    free(matrix);
    return status;
}

/* Its trace is the squared Frobenius norm of the matrix, which the host has computed in its own
 * way: this would show a device that computes wrongly. */
static irn_status check_gram(const prover *p, double gram_error)
{
    const irn_prover *host = &p->symbol->prover;
    const irn_planes *x = &host->matrix, *gram = &host->gram;
    double trace = 0, square = 0, error = host->error, rows = (double)gram->rows;
    for (size_t i = 0; i < gram->rows; i++)
        trace += gram->re[i * gram->stride + i];
    for (size_t i = 0; i < x->columns * x->stride; i++)
        square += x->re[i] * x->re[i] + x->im[i] * x->im[i];
    double limit = 1.01 * rows * gram_error + 3 * error * (sqrt(square) + error) + 1e-10 * square;
    if (!(fabs(trace - square) <= limit))
        return irn_fail(IRN_ERROR_DEVICE, "%s: %s computed the trace %.17g, the host %.17g",
                        p->symbol->name, p->context->info.name, trace, square);
    return IRN_OK;
}

/* Near the squared norm at one frequency. */
static irn_status search(prover *p, size_t index, double gram_error, double *found)
{
    double unused;
    const irn_symbol_place at = irn_symbol_frequency(p->symbol, index);
    irn_symbol_evaluate(p->symbol, at);
    IRN_TRY(read_gram(p, index));
    IRN_TRY(check_gram(p, gram_error));
    p->symbol->prover.gram_error = gram_error;
    return irn_symbol_search(p->symbol, at, found, &unused);
}

/* A number of the device's that is not below. */
static double shift_of(const prover *p, double value)
{
    float narrow = (float)value;
    if (p->is_double)
        return value;
    return (double)narrow < value ? (double)nextafterf(narrow, INFINITY) : (double)narrow;
}

/* What the theorem adds to a shift, relatively: all frequencies lose it, so a tenth of it more is
 * no harm, and lets roundings pass. */
static double venture(const prover *p, const irn_proof_terms *terms, double shift)
{
    irn_proof_terms t = *terms;
    t.shift = shift;
    t.trace = (double)t.rows * shift;
    double upper = irn_proof_upper(p->is_double ? irn_rounding_64() : irn_rounding_32(), &t);
    return fmax(gap, share * (upper * upper / shift - 1));
}

/* Keeps those that failed; of the others, the largest bound. */
static void sort_out(prover *p, irn_proof_terms *terms, double shift, const double *traces,
                     double *upper)
{
    const irn_rounding rounding = p->is_double ? irn_rounding_64() : irn_rounding_32();
    size_t failed = 0;
    terms->shift = shift;
    for (size_t i = 0; i < p->count; i++) {
        terms->trace = traces[i];
        if (traces[i] >= 0)
            *upper = fmax(*upper, irn_proof_upper(rounding, terms));
        else
            p->remaining[failed++] = p->remaining[i];
    }
    p->count = failed;
}

/* How far above what was found the next round's shift is put: twice as far, so that the rounds come
 * to an end; but where the norms of many frequencies are nearly equal, patience gives better
 * bounds.
 */
static double venture_more(double more, double first, int round)
{
    return fmin(2 * more, round < PATIENT_ROUNDS ? 16 * first : 1);
}

static irn_status rounds(prover *p, double *results, double *upper)
{
    irn_symbol *s = p->symbol;
    const irn_rounding rounding = p->is_double ? irn_rounding_64() : irn_rounding_32();
    irn_proof_terms terms = {.rows = s->correlation.rows,
                             .gram_error = irn_correlation_error(&s->correlation, rounding),
                             .error = s->list.error};
    double shift = 0, more = 0, first = 0, found = 0;
    size_t steps = FIRST_STEPS, best;
    for (int round = 0; round < MOST_ROUNDS && p->count > 0; round++) {
        IRN_TRY(round == 0 ? settle(p, steps, &best, &found) : choose(p, steps, results, &best));
        IRN_TRY(search(p, p->remaining[best], terms.gram_error, &found));
        if (round == 0)
            first = venture(p, &terms, found);
        more = round == 0 ? first : venture_more(more, first, round);
        shift = shift_of(p, fmax(shift, found) * (1 + more));
        IRN_TRY(run_all(p, 0, shift, results));
        sort_out(p, &terms, shift, results, upper);
        steps = irn_smaller(4 * steps, MOST_STEPS);
    }
    if (p->count > 0 || !isfinite(*upper))
        return irn_fail(IRN_ERROR_NOT_CERTIFIED,
                        "%s: no bound was proven at %zu frequencies of "
                        "%zu x %zu on %s",
                        s->name, p->count, s->list.axes[0].torus, s->list.axes[1].torus,
                        p->context->info.name);
    return IRN_OK;
}

/* ---- memory ---- */

/* Rows side by side in a work-item, and columns of its tiles, as in cl/proof.cl. */
static void set_sizes(prover *p)
{
    const irn_context *context = p->context;
    bool simt = context->tuning.work_group > 1;
    size_t rows = p->symbol->correlation.rows, block = context->tuning.channel_block;
    p->order = rounded_up(rows, 4);
    p->layout.stride = simt ? p->order : rounded_up(rows, block);
    p->layout.run = simt ? p->layout.stride : block;
    p->layout.lags = p->symbol->correlation.lags;
    /* Columns a multiple of 4 KiB apart would meet in the same lines of a cache. */
    p->pitch = 2 * p->layout.stride + (simt ? 0 : block);
    size_t matrix = p->order * p->pitch * real_size(p);
    size_t scratch = irn_smaller(SCRATCH, (size_t)(context->info.max_allocation / 2));
    p->items = simt ? irn_smaller(4096, scratch / matrix) : irn_cpu_items(context);
    p->bundle = simt || p->count == 1 || p->items * matrix > scratch / 4 ? 1 : 4;
    p->items = irn_larger(1, irn_smaller(p->items, scratch / (p->bundle * matrix)));
    p->capacity = irn_larger(1, LAUNCH / (p->layout.lags * p->bundle));
    p->capacity = irn_smaller(p->capacity, p->count);
    if (simt) /* no more than a launch has */
        p->items = irn_smaller(p->items, p->capacity);
}

static irn_status write_start(prover *p)
{
    size_t stride = p->layout.stride;
    double *start;
    IRN_TRY(irn_alloc(&start, 2 * stride, sizeof *start));
    for (size_t i = 0; i < 2 * p->symbol->correlation.rows; i++) {
        double turn = 0.6180339887498949 * (double)(i + 1);
        start[i / 2 + i % 2 * stride] = (i % 2 ? 0.1 : 0.25) + turn - floor(turn);
    }
    irn_status status = write_reals(p, p->start, 0, start, 2 * stride);
    free(start);
    return status;
}

static irn_status device_memory(prover *p)
{
    size_t size = real_size(p), stride = p->layout.stride, frequencies = p->capacity * p->bundle;
    size_t matrices = p->bundle * p->order * p->pitch + 4 * stride, sums;
    const size_t sizes[] = {2 * p->layout.lags, p->symbol->list.groups, stride, stride};
    if (!irn_product(&sums, sizes, 4))
        return irn_fail(IRN_ERROR_ARGUMENT, "%s: its correlations are beyond what can be counted",
                        p->symbol->name);
    IRN_TRY(irn_memory_create(p->context, &p->sums, sums, size, false));
    IRN_TRY(
        irn_memory_create(p->context, &p->weights, frequencies * 2 * p->layout.lags, size, false));
    IRN_TRY(irn_memory_create(p->context, &p->groups, p->capacity, 2 * sizeof(int), false));
    IRN_TRY(irn_memory_create(p->context, &p->results, frequencies, size, false));
    IRN_TRY(irn_memory_create(p->context, &p->scratch, p->items * matrices, size, false));
    return irn_memory_create(p->context, &p->start, 2 * stride, size, false);
}

static irn_status host_memory(prover *p)
{
    size_t frequencies = p->capacity * p->bundle;
    IRN_TRY(irn_alloc(&p->host_weights, frequencies * 2, p->layout.lags * sizeof(double)));
    IRN_TRY(irn_alloc(&p->host_results, frequencies, sizeof(double)));
    return irn_alloc(&p->host_groups, p->capacity, 2 * sizeof(int));
}

static irn_status find_lower(prover *p, double upper)
{
    irn_symbol *s = p->symbol;
    IRN_TRY(irn_symbol_lower(s));
    return irn_krylov_quotient(&s->lower, upper, s, p->context, p->is_double);
}

static irn_status prove(prover *p, double *upper)
{
    double *results;
    size_t most = p->symbol->list.groups * p->symbol->most;
    IRN_TRY(irn_alloc(&p->remaining, most, sizeof *p->remaining));
    list_frequencies(p);
    set_sizes(p);
    p->options = p->is_double     ? p->bundle == 1 ? "-DREAL=double -DFREQUENCIES=1"
                                                   : "-DREAL=double -DFREQUENCIES=4"
                 : p->bundle == 1 ? "-DREAL=float -DFREQUENCIES=1"
                                  : "-DREAL=float -DFREQUENCIES=4";
    IRN_TRY(host_memory(p));
    IRN_TRY(device_memory(p));
    IRN_TRY(write_start(p));
    IRN_TRY(p->context->info.has_fp64 ? sums_on_device(p) : sums_on_host(p));
    IRN_TRY(irn_alloc(&results, most, sizeof *results));
    irn_status status = rounds(p, results, upper);
    free(results);
    if (status == IRN_OK && irn_symbol_may_shift(p->symbol))
        status = find_lower(p, *upper);
    return status;
}

irn_status irn_symbol_upper_on_device(irn_symbol *symbol, irn_context *context, bool is_double,
                                      double *upper)
{
    prover p = {.symbol = symbol, .context = context, .is_double = is_double};
    irn_status status = prove(&p, upper);
    const cl_mem memory[] = {p.sums, p.weights, p.groups, p.scratch, p.results, p.start};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        irn_memory_release(context, memory[i]);
    free(p.host_weights);
    free(p.host_results);
    free(p.host_groups);
    free(p.remaining);
    return status;
}
