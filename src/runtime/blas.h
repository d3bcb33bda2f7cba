/* Products of matrices in float32 by CLBlast, with the parameters that the context's tuning has for
 * it (IRN_TILE_BLAS) or those of its own database. */
#ifndef IRN_BLAS_H
#define IRN_BLAS_H

#include "runtime/runtime.h"

/* c[j][i] = sum over l < k of a[l][i] b[l][j], with i < m and j < n: the form that CLBlast's
 * kernels take as it is where sizes are multiples of their tiles. The matrices stand in one buffer,
 * from element a, b and c on. */
typedef struct irn_gemm {
    size_t m, n, k;
    size_t a, b, c;
    size_t end; /* behind c */
} irn_gemm;

irn_gemm irn_gemm_of(size_t m, size_t n, size_t k);

/* Floats of a buffer for products of up to these sizes: the matrices, and behind them what CLBlast
 * needs to make their sizes multiples of its tiles, so that it allocates nothing. */
size_t irn_gemm_scratch(irn_context *context, size_t m, size_t n, size_t k);

/* Whether CLBlast takes its kernel for large products, not the one for small ones. */
bool irn_gemm_is_large(irn_context *context, size_t m, size_t n, size_t k);

/* The product, in such a buffer; added to c if `add` is set. *done is false if CLBlast cannot do it
 * here, which is logged, and then the context does not try again. Errors: IRN_ERROR_MEMORY. */
irn_status irn_gemm_run(const irn_gemm *product, irn_context *context, cl_mem scratch, bool add,
                        bool *done);

/* The parameters that CLBlast has for the device: those that this library has given it in this
 * process, for whichever context. Zeros: its database's. Without tuning that says otherwise a
 * context takes them as they are. */
irn_tile irn_blas_parameters(const irn_context *context);

/* Has CLBlast forget its programs, if the context has used any. It keeps them, and with them the
 * OpenCL context, for the whole process and to its end. Others in the process lose theirs as well
 * and compile anew. */
void irn_blas_release(irn_context *context);

#endif
