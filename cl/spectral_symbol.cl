/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Around the Fourier transforms that give a kernel's symbol (REAL is double): `embed` lays kernels
 * on the torus, `gather` collects the matrices of chosen frequencies.
 *
 *   taps      [tap][outputs * inputs]; offsets: row and column of each
 *   torus     [batch][height][width] complex
 *   matrices  as in svd.cl, one a frequency; `stride` is their `rows` there, `rows` the rows in use
 *
 * A batch holds entries first, first + 1, ... of the matrix, counted down its columns, so that
 * gather writes in order.
 */

/* Global size: at least batch; any. Entries beyond the last become zeros. Tap offsets enter with
 * the opposite sign: a forward transform has exp(-i w x), the symbol exp(+i w x). */
KERNEL void embed(__global const double *taps, ulong taps0, __global const int2 *offsets,
                  ulong offsets0, __global double2 *torus, ulong torus0, int first, int entries,
                  int batch, int inputs, int rows, int transposed, int height, int width, int count)
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
        for (int t = 0; t < count && entry < entries; t++) {
            const int2 offset = offsets[offsets0 + t];
            if ((height - offset.x) % height == y)
                line[(width - offset.y) % width].x = taps[taps0 + (size_t)t * entries + pair];
        }
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
