#include "certify/banded.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Panels whose columns are factored together, so that they stay in a cache while the panels below
 * them are read. */
enum { TOGETHER = 8 };

/* The first block column of a panel. */
static size_t first_of(const irn_banded *m, size_t panel)
{
    return panel > m->reach ? panel - m->reach : 0;
}

/* Blocks before a panel: the first panels are shorter than the others. */
static size_t blocks_before(size_t panel, size_t reach)
{
    size_t shorter = irn_smaller(panel, reach);
    return shorter * (shorter + 1) / 2 + (panel - shorter) * (reach + 1);
}

static double *block_of(const irn_banded *m, size_t panel, size_t column)
{
    size_t block = blocks_before(panel, m->reach) + column - first_of(m, panel);
    return m->values + block * IRN_PANEL_BLOCK;
}

static size_t panels_of(size_t order)
{
    return (order + IRN_PANEL - 1) / IRN_PANEL;
}

size_t irn_banded_size(size_t order, size_t band)
{
    size_t panels = panels_of(order);
    return blocks_before(panels, irn_smaller(panels_of(band), panels - 1)) * IRN_PANEL_BLOCK;
}

irn_status irn_banded_create(irn_banded *out, size_t order, size_t band)
{
    size_t panels = panels_of(order);
    *out = (irn_banded){
        .order = order, .panels = panels, .reach = irn_smaller(panels_of(band), panels - 1)};
    return irn_alloc(&out->values, irn_banded_size(order, band), sizeof(double));
}

void irn_banded_free(irn_banded *matrix)
{
    free(matrix->values);
    *matrix = (irn_banded){0};
}

void irn_banded_clear(irn_banded *matrix)
{
    memset(matrix->values, 0,
           blocks_before(matrix->panels, matrix->reach) * IRN_PANEL_BLOCK * sizeof(double));
}

void irn_banded_add(irn_banded *matrix, size_t row, size_t column, const double *block, size_t size)
{
    for (size_t c = 0; c < size; c++) {
        size_t j = column + c, i = irn_larger(row, j), lanes;
        size_t end = irn_smaller(row + size, (j / IRN_PANEL + matrix->reach + 1) * IRN_PANEL);
        for (; i < end; i += lanes) {
            const double *from = block + c * size + (i - row);
            double *to = block_of(matrix, i / IRN_PANEL, j / IRN_PANEL) +
                         j % IRN_PANEL * IRN_PANEL + i % IRN_PANEL;
            lanes = irn_smaller(IRN_PANEL - i % IRN_PANEL, end - i);
            for (size_t r = 0; r < lanes; r++)
                to[r] += from[r];
        }
    }
}

double irn_banded_trace(const irn_banded *matrix)
{
    double sum = 0;
    for (size_t i = 0; i < matrix->order; i++)
        sum += block_of(matrix, i / IRN_PANEL, i / IRN_PANEL)[i % IRN_PANEL * (IRN_PANEL + 1)];
    return sum;
}

/* Takes what a tile's own columns before `column` account for off that. */
static void subtract(double *tile, const double *diagonal, size_t column)
{
    for (size_t k = 0; k < column; k++)
        for (size_t r = 0; r < IRN_PANEL; r++)
            tile[column * IRN_PANEL + r] -=
                tile[k * IRN_PANEL + r] * diagonal[k * IRN_PANEL + column];
}

/* The tile on the diagonal is its own `diagonal`. */
static bool factor_diagonal(double *tile)
{
    for (size_t j = 0; j < IRN_PANEL; j++) {
        double *column = tile + j * IRN_PANEL;
        subtract(tile, tile, j);
        if (!(column[j] > 0))
            return false;
        double root = sqrt(column[j]);
        for (size_t r = 0; r < IRN_PANEL; r++)
            column[r] = r < j ? 0 : r == j ? root : column[r] / root;
    }
    return true;
}

static void factor_below(double *tile, const double *diagonal)
{
    for (size_t j = 0; j < IRN_PANEL; j++) {
        subtract(tile, diagonal, j);
        for (size_t r = 0; r < IRN_PANEL; r++)
            tile[j * IRN_PANEL + r] /= diagonal[j * (IRN_PANEL + 1)];
    }
}

/* Block (panel, column) of the factor, all blocks it depends on being there. */
static bool factor_block(irn_banded *factor, const irn_banded *gram, size_t panel, size_t column,
                         double shift, double *trace)
{
    size_t first = first_of(factor, panel);
    double *tile = block_of(factor, panel, column);
    const double *entries = block_of(gram, panel, column);
    double sum[IRN_PANEL_BLOCK];
    irn_panel_product(sum, block_of(factor, panel, first), block_of(factor, column, first),
                      (column - first) * IRN_PANEL);
    for (size_t i = 0; i < IRN_PANEL_BLOCK; i++) {
        bool on_diagonal = panel == column && i % (IRN_PANEL + 1) == 0;
        double entry = on_diagonal ? shift - entries[i] : -entries[i];
        if (on_diagonal && panel * IRN_PANEL + i / IRN_PANEL < factor->order)
            *trace += entry;
        tile[i] = entry - sum[i];
    }
    if (panel == column)
        return factor_diagonal(tile);
    factor_below(tile, block_of(factor, column, column));
    return true;
}

bool irn_banded_cholesky(irn_banded *factor, const irn_banded *gram, double shift, double *trace)
{
    size_t panels = factor->panels;
    *trace = 0;
    for (size_t from = 0; from < panels; from += TOGETHER) {
        size_t to = irn_smaller(from + TOGETHER, panels);
        for (size_t panel = from; panel < panels && first_of(factor, panel) < to; panel++)
            for (size_t column = irn_larger(from, first_of(factor, panel));
                 column < to && column <= panel; column++)
                if (!factor_block(factor, gram, panel, column, shift, trace))
                    return false;
    }
    return true;
}

/* Of the blocks on the diagonal only the lower triangles are there. */
void irn_banded_times(const irn_banded *matrix, double *y, const double *x)
{
    memset(y, 0, matrix->panels * IRN_PANEL * sizeof *y);
    for (size_t panel = 0; panel < matrix->panels; panel++) {
        size_t first = first_of(matrix, panel), depth = (panel - first) * IRN_PANEL;
        const double *blocks = block_of(matrix, panel, first),
                     *diagonal = blocks + depth * IRN_PANEL;
        const double *in = x + panel * IRN_PANEL;
        double *out = y + panel * IRN_PANEL;
        irn_panel_times(out, blocks, x + first * IRN_PANEL, depth);
        irn_panel_transposed(y + first * IRN_PANEL, blocks, in, depth);
        for (size_t c = 0; c < IRN_PANEL; c++)
            for (size_t r = c; r < IRN_PANEL; r++) {
                out[r] += diagonal[c * IRN_PANEL + r] * in[c];
                out[c] += r > c ? diagonal[c * IRN_PANEL + r] * in[r] : 0;
            }
    }
}

/* L x = b, then L^T x = b, a panel at a time. */
void irn_banded_solve(const irn_banded *factor, double *x)
{
    for (size_t panel = 0; panel < factor->panels; panel++) {
        size_t first = first_of(factor, panel);
        const double *diagonal = block_of(factor, panel, panel);
        double *here = x + panel * IRN_PANEL, sum[IRN_PANEL] = {0};
        irn_panel_times(sum, block_of(factor, panel, first), x + first * IRN_PANEL,
                        (panel - first) * IRN_PANEL);
        for (size_t j = 0; j < IRN_PANEL; j++) {
            here[j] = (here[j] - sum[j]) / diagonal[j * (IRN_PANEL + 1)];
            for (size_t r = j + 1; r < IRN_PANEL; r++)
                sum[r] += diagonal[j * IRN_PANEL + r] * here[j];
        }
    }
    for (size_t panel = factor->panels; panel-- > 0;) {
        size_t first = first_of(factor, panel);
        const double *diagonal = block_of(factor, panel, panel);
        double *here = x + panel * IRN_PANEL, less[IRN_PANEL];
        for (size_t j = IRN_PANEL; j-- > 0;) {
            for (size_t r = j + 1; r < IRN_PANEL; r++)
                here[j] -= diagonal[j * IRN_PANEL + r] * here[r];
            here[j] /= diagonal[j * (IRN_PANEL + 1)];
            less[j] = -here[j];
        }
        irn_panel_transposed(x + first * IRN_PANEL, block_of(factor, panel, first), less,
                             (panel - first) * IRN_PANEL);
    }
}
