/* The choice between a zero-padded layer's grids of frequencies, two along each axis
 * (spectral/tap_list.h), by estimates: those of power iteration, which are from below. The choice
 * need not be the best: the bound is proven on the grid that was chosen. */
#include "certify/proof_symbol.h"

#include <math.h>
#include <stdlib.h>

/* The frequencies around which grids are compared, and steps of power iteration there. */
enum { PEAKS = 3, PEAK_STEPS = 24 };

typedef struct choice {
    irn_symbol *symbol;
    irn_estimate *estimate;
    void *payload;
    size_t *list, count; /* frequencies, as they are numbered now */
    double *estimates;   /* of these */
    irn_symbol_place peaks[PEAKS];
    size_t peak_count;
} choice;

static void list_all(choice *c)
{
    c->count = c->symbol->list.groups * c->symbol->frequencies;
    for (size_t i = 0; i < c->count; i++)
        c->list[i] = i;
}

static size_t best_of(const choice *c)
{
    size_t best = 0;
    for (size_t i = 1; i < c->count; i++)
        if (c->estimates[i] > c->estimates[best])
            best = i;
    return best;
}

/* The largest estimates, which are used up. */
static void find_peaks(choice *c)
{
    c->peak_count = irn_smaller(c->count, PEAKS);
    for (size_t i = 0; i < c->peak_count; i++) {
        size_t best = best_of(c);
        c->peaks[i] = irn_symbol_frequency(c->symbol, c->list[best]);
        c->estimates[best] = -1;
    }
}

/* Whether a, below 2 periods, and b are equal or neighbours on grids of different shifts. */
static bool are_near(const irn_tap_axis *axis, size_t a, size_t b)
{
    size_t distance = (a + axis->period - b) % axis->period;
    return distance <= 1 || distance + 1 == axis->period;
}

/* Whether the frequency or its mirror image is at a peak or next to it. */
static bool is_at_peak(const choice *c, size_t index)
{
    const irn_tap_axis *y = &c->symbol->list.axes[0], *x = &c->symbol->list.axes[1];
    const irn_symbol_place at = irn_symbol_frequency(c->symbol, index);
    for (size_t i = 0; i < c->peak_count; i++) {
        const irn_symbol_place *peak = &c->peaks[i];
        bool same = are_near(y, at.row, peak->row) && are_near(x, at.column, peak->column);
        bool mirrored = are_near(y, y->period - at.row, peak->row) &&
                        are_near(x, x->period - at.column, peak->column);
        if (at.group == peak->group && (same || mirrored))
            return true;
    }
    return false;
}

/* The largest estimate at the peaks on one grid, and where it is. */
static irn_status rate(choice *c, size_t rows, size_t columns, double *rating, size_t *where)
{
    size_t kept = 0;
    irn_symbol_shift(c->symbol, rows, columns);
    list_all(c);
    for (size_t i = 0; i < c->count; i++)
        if (is_at_peak(c, i))
            c->list[kept++] = i;
    c->count = kept;
    IRN_TRY(c->estimate(c->payload, c->list, kept, PEAK_STEPS, c->estimates));
    size_t best = best_of(c);
    *rating = c->estimates[best];
    *where = c->list[best];
    return IRN_OK;
}

static size_t grids_of(const irn_tap_axis *axis)
{
    return axis->period / axis->torus;
}

/* The grid with the least rating, and the peak by the largest. */
static irn_status compare(choice *c, size_t *where, double *squared_estimate)
{
    size_t rows = grids_of(&c->symbol->list.axes[0]), columns = grids_of(&c->symbol->list.axes[1]);
    size_t found, chosen = 0;
    double rating, least = INFINITY, most = -1;
    for (size_t i = 0; i < rows * columns; i++) {
        IRN_TRY(rate(c, i / columns, i % columns, &rating, &found));
        if (rating > most) {
            most = rating;
            c->symbol->peak = irn_symbol_frequency(c->symbol, found);
            c->symbol->peak_estimate = rating;
        }
        if (rating < least) {
            least = rating;
            chosen = i;
            *where = found;
            *squared_estimate = rating;
        }
    }
    irn_symbol_shift(c->symbol, chosen / columns, chosen % columns);
    return IRN_OK;
}

static irn_status choose(choice *c, size_t steps, size_t *where, double *squared_estimate)
{
    list_all(c);
    if (c->count > 1)
        IRN_TRY(c->estimate(c->payload, c->list, c->count, steps, c->estimates));
    *where = best_of(c);
    *squared_estimate = c->estimates[*where];
    if (!irn_symbol_may_shift(c->symbol))
        return IRN_OK;
    find_peaks(c);
    return compare(c, where, squared_estimate);
}

bool irn_symbol_may_shift(const irn_symbol *s)
{
    return grids_of(&s->list.axes[0]) > 1 || grids_of(&s->list.axes[1]) > 1;
}

irn_status irn_symbol_settle(irn_symbol *s, irn_estimate *estimate, void *payload, size_t steps,
                             size_t *where, double *squared_estimate)
{
    choice c = {.symbol = s, .estimate = estimate, .payload = payload};
    size_t most = s->list.groups * s->most;
    IRN_TRY(irn_alloc(&c.list, most, sizeof *c.list));
    irn_status status = irn_alloc(&c.estimates, most, sizeof *c.estimates);
    if (status == IRN_OK)
        status = choose(&c, steps, where, squared_estimate);
    free(c.list);
    free(c.estimates);
    return status;
}
