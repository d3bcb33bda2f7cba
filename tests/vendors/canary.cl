/* Kernels of which canary.py knows what compilers must say. COUNT values are more than any GPU has
 * registers for, and compilers cannot tell where in an array the data point. */

__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void plain(__global const float *x,
                                                                    __global float *y, int n)
{
    const int i = (int)get_global_id(0);
    y[i] = n * x[i];
}

/* 1024 bytes of local memory. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
shared_values(__global const float *x, __global float *y, int n)
{
    __local float shared[256];
    const int i = (int)get_global_id(0), k = (int)get_local_id(0);
    for (int part = 0; part < 4; part++)
        shared[4 * k + part] = x[4 * i + part];
    barrier(CLK_LOCAL_MEM_FENCE);
    y[i] = shared[(k + n) & 255];
}

/* An array that has to lie in memory. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void
private_array(__global const float *x, __global float *y, int n)
{
    float many[256];
    const int i = (int)get_global_id(0);
    for (int k = 0; k < 256; k++)
        many[k] = x[i * 256 + k];
    for (int k = 0; k < n; k++)
        many[(int)x[i + k] & 255] += many[(int)y[i + k] & 255];
    y[i] = many[n & 255];
}

/* Values that all live at once. */
__kernel __attribute__((reqd_work_group_size(64, 1, 1))) void many_values(__global const float *x,
                                                                          __global float *y, int n)
{
    float many[COUNT], sum = 0;
    const int i = (int)get_global_id(0);
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        many[k] = x[i + k * n];
    for (int round = 0; round < n; round++) {
#pragma unroll
        for (int k = 0; k < COUNT; k++)
            many[k] = many[k] * x[round] + many[(k + 1) % COUNT];
    }
#pragma unroll
    for (int k = 0; k < COUNT; k++)
        sum += many[k] * y[i + k];
    y[i] = sum;
}
