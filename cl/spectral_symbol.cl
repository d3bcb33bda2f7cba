/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Around the Fourier transforms that give a kernel's symbol (REAL is double): `embed` lays kernels
 * on the torus, `gather` collects the matrices of chosen frequencies.
 *
 *   taps      [outputs * inputs][tap_rows][tap_columns]
 *   torus     [batch][height][width] complex
 *   matrices  as in svd.cl, one a frequency; `stride` is their `rows` there, `rows` the rows in use
 *
 * A batch holds entries first, first + 1, ... of the matrix, counted down its columns, so that
 * gather writes in order.
 */

/* Global size: at least batch; any. Entries beyond the last become zeros. Tap offsets enter with
 * the opposite sign: a forward transform has exp(-i w x), the symbol exp(+i w x). */
KERNEL void embed(__global const double *taps, ulong taps0, __global double2 *torus, ulong torus0,
                  int first, int entries, int batch, int inputs, int rows, int transposed,
                  int height, int width, int tap_rows, int tap_columns, int first_row,
                  int first_column)
{
    const int slot = (int)get_global_id(0), entry = first + slot;
    if (slot >= batch)
        return;
    const int column = entry / rows, row = entry - column * rows;
    const size_t pair = transposed ? (size_t)column * inputs + row : (size_t)row * inputs + column;
    for (int y = (int)get_global_id(1); y < height; y += (int)get_global_size(1)) {
        __global double2 *line = torus + torus0 + ((size_t)slot * height + y) * width;
        for (int x = 0; x < width; x++)
            line[x] = (double2)(0);
        /* Tap row t has offset first_row + t, so it lands in row -(first_row + t) of the torus. */
        const int t = (2 * height - y - first_row) % height;
        if (entry >= entries || t >= tap_rows)
            continue;
        __global const double *k = taps + taps0 + (pair * tap_rows + t) * tap_columns;
        for (int u = 0; u < tap_columns; u++)
            line[(2 * width - first_column - u) % width].x = k[u];
    }
}

/* Global size: any; frequencies. Matrix f gets the batch's entries at frequency table[f]. */
KERNEL void gather(__global const double2 *torus, ulong torus0, __global const int *table,
                   ulong table0, __global double *matrices, ulong matrices0, int first, int count,
                   int points, int columns, int rows, int stride)
{
    const int f = (int)get_global_id(1);
    __global const double2 *from = torus + torus0 + table[table0 + f];
    __global double *to = matrices + matrices0 + 2 * (size_t)f * columns * stride;
    for (int slot = (int)get_global_id(0); slot < count; slot += (int)get_global_size(0)) {
        const int column = (first + slot) / rows, row = first + slot - column * rows;
        const double2 value = from[(size_t)slot * points];
        to[2 * (size_t)column * stride + row] = value.x;
        to[(2 * (size_t)column + 1) * stride + row] = value.y;
    }
}
