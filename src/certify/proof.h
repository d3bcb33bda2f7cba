/* Bounds on the norms of matrices and convolutions that hold in real arithmetic, in spite of the
 * rounding of the computation that proves them. The theorems are in proof.c,
 * proof_symbol.c and proof_operator.c. */
#ifndef IRN_PROOF_H
#define IRN_PROOF_H

#include "certify/cholesky.h"

#include <iresnet/certify.h>

/* ---- the theorem ---- */

/* Arithmetic that rounds to nearest: unit roundoff, the smallest positive normal number, and how
 * many roundings a quotient by a root counts for. */
typedef struct irn_rounding {
    double unit, tiny, quotient;
} irn_rounding;

/* float64, on the host and in OpenCL. */
irn_rounding irn_rounding_64(void);
/* float32 in OpenCL, which allows quotients and roots several roundings. */
irn_rounding irn_rounding_32(void);

/* What a factorisation of shift I - G that ran to completion left behind, G the Gram matrix of the
 * rows of a rows x columns matrix. */
typedef struct irn_proof_terms {
    size_t rows, columns;
    double shift;
    double trace;      /* of shift I - G */
    double gram;       /* trace of G */
    double gram_error; /* upper bound of the norm of what G is wrong by; if it is known, columns and
                          gram are 0, else it is 0 and G was computed as the sums of products */
    double error;      /* upper bound of the norm of what the matrix's entries are wrong by */
} irn_proof_terms;

/* An upper bound of the exact matrix's norm; infinity where the theorem says nothing, for sizes of
 * 1/1000 of 1/unit and more. */
double irn_proof_upper(irn_rounding rounding, const irn_proof_terms *terms);

/* A lower bound of it: ||X^H v|| / ||v||, from the computed squares of both, less all rounding; 0
 * where it says nothing. `length` is to be near 1; shift and trace do not matter. */
double irn_proof_lower(irn_rounding rounding, const irn_proof_terms *terms, double square,
                       double length);

/* ---- one matrix ---- */

/* The matrix X, rows <= columns, and space to prove with. */
typedef struct irn_prover {
    irn_planes matrix, gram, factor;
    double error, gram_error; /* as in irn_proof_terms; gram_error: 0 if gram is of the matrix */
    double *vector_re, *vector_im; /* near the leading left singular vector, after a search */
} irn_prover;

/* Errors: IRN_ERROR_ARGUMENT (sizes), IRN_ERROR_MEMORY. */
irn_status irn_prover_create(irn_prover *out, size_t rows, size_t columns);
void irn_prover_free(irn_prover *prover);

/* Begins on a new matrix that is in prover->matrix, with entries of order 1. */
void irn_prover_gram(irn_prover *prover);

/* A proven bound near sqrt(shift), or infinity where shift is too small. */
double irn_prover_try(irn_prover *prover, double shift);

/* Raises *shift from one that is too small, and if it is not 0 probably near, to just above the
 * squared norm, and returns what that proves; infinity if none of a bounded number of trials
 * succeeds. */
double irn_prover_search(irn_prover *prover, double *shift);

/* ||X^H v|| / ||v|| for the vector that the search left, less all rounding: a lower bound. */
double irn_prover_lower(const irn_prover *prover);

/* An upper bound of the norm of the outputs x inputs matrix (interleaved complex, row-major, each
 * entry within `error` of the exact one) at about the candidate, or infinity if the candidate is
 * too small; candidate 0 searches for the smallest. lower may be NULL; it is 0 with a candidate.
 * Errors: IRN_ERROR_NUMERIC (NaN or infinity), IRN_ERROR_ARGUMENT, IRN_ERROR_MEMORY. */
irn_status irn_prove_matrix(double *upper, double *lower, const double *matrix, size_t outputs,
                            size_t inputs, double error, double candidate);

/* ---- convolutions ---- */

/* Bounds of a kernel [outputs, inputs / groups, kernel_height, kernel_width] in real arithmetic
 * with the given values, from the symbol of the layer on a torus (spectral/tap_list.h). Circular,
 * if the stride divides the map: upper / lower - 1 is near 1e-10 in float64. Zero padding: upper is
 * of the smallest torus that contains the layer, lower from the layer itself at a vector that is
 * nearly the best. Any size: of the supremum over all maps. context: NULL for the host only; proof
 * says what IRN_ARITHMETIC_AUTO chose. name is for sentences. Errors: as of irn_certify_kernel();
 * IRN_ERROR_UNSUPPORTED if the device cannot do the arithmetic; IRN_ERROR_NOT_CERTIFIED if no trial
 * succeeds. */
irn_status irn_prove_symbol(irn_bound *out, irn_proof *proof, irn_context *context,
                            irn_arithmetic arithmetic, const double *kernel,
                            const irn_kernel_shape *shape, const char *name);

/* Bounds of a zero-padded layer by a proof for its own matrix, upper / lower - 1 below 1e-6.
 * suits: whether it is one (not circular, not of any size) with at most 4,096 rows or columns, a
 * group's, and at a reasonable price; if not, nothing is done. Errors: as of irn_prove_symbol(). */
irn_status irn_prove_operator(irn_bound *out, bool *suits, const double *kernel,
                              const irn_kernel_shape *shape, const char *name);

#endif
