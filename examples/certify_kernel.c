/* Bounds the norm of one convolution kernel held in memory: the discrete Laplacian on a 7x7 map.
 *
 * It shows a trap. The singular values of a convolution are known in closed form for circular
 * padding only (Sedghi, Gupta, Long 2019), and they are often taken for those of the zero-padded
 * layer that the network really has. On a 7x7 map that number is too small: the zero-padded
 * Laplacian's norm is 4 + 4 cos(pi/8) = 7.696, the circular one's 4 + 4 cos(pi/7) = 7.604. A
 * network divided by 7.604 would be called contractive without being so.
 *
 * Usage: certify_kernel. Exit status: 0; 1 if something failed; 3 if a bound is wrong. */
#include <iresnet/iresnet.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAP = 7 };

static const double pi = 3.14159265358979323846;

static const float laplacian[3][3] = {{0, 1, 0}, {1, -4, 1}, {0, 1, 0}};

static irn_kernel_shape on_map(size_t size, irn_padding padding)
{
    return (irn_kernel_shape){.outputs = 1,
                              .inputs = 1,
                              .kernel_height = 3,
                              .kernel_width = 3,
                              .height = size,
                              .width = size,
                              .padding = padding};
}

static irn_status bound(irn_context *context, irn_padding padding, irn_bound *out)
{
    const irn_kernel_shape shape = on_map(MAP, padding);
    return irn_certify_kernel(out, context, &laplacian[0][0], &shape, NULL);
}

/* On the host, with every rounding error counted: on the 7x7 torus, and on maps of any size. */
static irn_status prove(irn_bound *circular, irn_bound *any)
{
    const irn_kernel_shape shape = on_map(MAP, IRN_PAD_CIRCULAR);
    const irn_kernel_shape every = on_map(0, IRN_PAD_ZEROS);
    irn_status status = irn_prove_kernel(circular, &laplacian[0][0], &shape);
    return status == IRN_OK ? irn_prove_kernel(any, &laplacian[0][0], &every) : status;
}

static bool print(const char *padding, irn_bound found, double exact)
{
    bool holds = found.lower <= exact && exact <= found.upper;
    printf("%-9s %10.6f <= %10.6f <= %10.6f   %s\n", padding, found.lower, exact, found.upper,
           holds ? "holds" : "WRONG");
    return holds;
}

int main(void)
{
    irn_context *context = NULL;
    irn_bound zeros, circular, proven, any;
    irn_status status = irn_context_create(&context, NULL);
    if (status == IRN_OK)
        status = bound(context, IRN_PAD_ZEROS, &zeros);
    if (status == IRN_OK)
        status = bound(context, IRN_PAD_CIRCULAR, &circular);
    if (status == IRN_OK)
        status = prove(&proven, &any);
    irn_context_free(context);
    if (status != IRN_OK) {
        fprintf(stderr, "certify_kernel: %s\n", irn_last_error());
        return EXIT_FAILURE;
    }

    const double zeros_exact = 4 + 4 * cos(pi / (MAP + 1)), circular_exact = 4 + 4 * cos(pi / MAP);
    printf("%-9s %10s    %10s    %10s\n", "padding", "lower", "norm", "upper");
    bool holds = print("zeros", zeros, zeros_exact);
    holds = print("circular", circular, circular_exact) && holds;
    holds = print("proven", proven, circular_exact) && holds;
    holds = print("any size", any, 8) && holds; /* the supremum, at the highest frequency */
    printf("The circular norm is %.6f too small for the zero-padded layer.\n",
           zeros_exact - circular.upper);
    return holds ? EXIT_SUCCESS : 3;
}
