#include "certify/proof.h"
#include "base/round.h"
#include "certify/roots.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

/* THEOREM (method: Rump, "Verification of positive definiteness", BIT 46, 2006; Demmel 1989;
 * Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., lemma 8.4 and section 3.1).
 *
 * X is an m x n complex matrix of floating-point numbers, A the exact one, ||A - X|| <= e. Complex
 * arithmetic is real arithmetic on the parts. u: unit roundoff, eta: what a product or quotient
 * that underflows loses at most (also if it is flushed to zero); sums that underflow are exact or
 * lose at most eta, and are counted with their product. g(k) = k u / (1 - k u).
 *
 * 1. Gram matrix G = fl(X X^H). Either part of an entry is a real inner product of 2n terms, in any
 *    order: wrong by g(2n) sum(|a||c| + |b||d|) <= g(2n) sum_k |X_ik||X_jk| (Cauchy-Schwarz on
 *    each complex product). The entry, of two parts, by sqrt(2) times that, and the matrix by
 *        ||G - X X^H|| <= sqrt(2) g(2n) ||X||_F^2.
 *    Fused or not, blocked or not: the count of roundings is no larger. Or G is computed otherwise,
 *    with a bound of its own in place of this one (correlation.c).
 * 2. B = fl(s I - G) with s given as a floating-point number: only the diagonal rounds, each
 *    B_ii by at most u B_ii <= u s, because 0 <= G_ii; u (s + that bound) where G is computed
 *    otherwise.
 * 3. B = L L^H runs to completion. Each part of an entry of L solves
 *        L_jj L_ij = B_ij - sum_{k<j} L_ik conj(L_jk),
 *    a real sum of 2(j - 1) products and B_ij, in any order, then one division by L_jj (or two
 *    roundings: a product with its reciprocal; or a square root on the diagonal, which counts twice
 *    in L_jj^2). Divided by the factors that B_ij itself collects, each product carries at most
 *    2j factors 1 + delta, and so does L_jj L_ij (Higham, lemma 8.4): the residual of the part is
 *    at most
 *        g(2m) sum_{k<=j} (|a||c| + |b||d|) <= g(2m) sum_{k<=j} |L_ik||L_jk|,
 *    of the entry sqrt(2) times it, at most sqrt(2) g(2m) ||l_i|| ||l_j||, l_i the rows of L. On
 *    the diagonal ||l_j||^2 (1 - g(2m)) <= B_jj. The matrix of numbers ||l_i|| ||l_j|| has norm
 *    sum ||l_j||^2, hence, L L^H being positive semidefinite, lambda_min(B) >= -alpha tr B,
 *        alpha = sqrt(2) g(2m + 2r) / (1 - g(2m + 2r)),
 *    r = 1 where 0 would do. In float32 r = 6: a pivot and its root carry 2 (m - 1) + 12, the
 *    others 2 (m - 1) + 5 + 1 roundings.
 * 4. Underflow: each part of an entry of G loses 2n eta, of the residuals 2m eta + L_jj eta with
 *    L_jj <= sqrt(s); through the norms of m x m matrices of complex entries, and B_jj in 3., that
 *    is in all less than 16 (m + 1)(m + n + 1 + s) eta, operands that are flushed included.
 * Together
 *    ||A|| <= sqrt(s + u s + alpha tr B + sqrt(2) g(2n) ||X||_F^2 + 16 (m+1)(m+n+1+s) eta) + e.
 *
 * EVALUATION. The terms beside s are sums of positive numbers, computed with a relative error of
 * less than 1/500 even if every rounding below went the same way, since (2 (m + n) + 16) u <=
 * 1/1000 is asked for; that covers tr B and ||X||_F^2, which are sums of m (and 2n) numbers. They
 * are enlarged by 1/100. Each later operation is rounded to nearest and moved up by one neighbour.
 */
static const double enlarged = 1.01;

irn_rounding irn_rounding_64(void)
{
    return (irn_rounding){IRN_UNIT_64, DBL_MIN, 1};
}

/* OpenCL 1.2, 7.4: a quotient within 2.5 ulp, a root within 3 ulp, an ulp being up to 2 u; a root
 * counts twice in its square. */
irn_rounding irn_rounding_32(void)
{
    return (irn_rounding){(double)FLT_EPSILON / 2, (double)FLT_MIN, 6};
}

static double gamma_of(double count, double unit)
{
    return count * unit / (1 - count * unit);
}

double irn_proof_upper(irn_rounding rounding, const irn_proof_terms *t)
{
    double m = (double)t->rows, n = (double)t->columns, u = rounding.unit;
    if (!((2 * (m + n) + 16) * u <= 1e-3))
        return INFINITY;
    double g = gamma_of(2 * m + 2 * rounding.quotient, u), alpha = sqrt(2) * g / (1 - g);
    double slack = u * (t->shift + t->gram_error) + alpha * t->trace + t->gram_error +
                   sqrt(2) * gamma_of(2 * n, u) * t->gram +
                   16 * (m + 1) * (m + n + 1 + t->shift) * rounding.tiny;
    double square = irn_round_up(t->shift + enlarged * slack);
    return irn_round_up(irn_round_up(sqrt(square)) + t->error);
}

/* ---- one matrix ---- */

irn_status irn_prover_create(irn_prover *out, size_t rows, size_t columns)
{
    *out = (irn_prover){0};
    irn_status status = irn_planes_create(&out->matrix, rows, columns);
    if (status == IRN_OK)
        status = irn_planes_create(&out->gram, rows, rows);
    if (status == IRN_OK)
        status = irn_planes_create(&out->factor, rows, rows);
    if (status == IRN_OK)
        status = irn_alloc(&out->vector_re, 2 * out->matrix.stride, sizeof(double));
    if (status == IRN_OK)
        out->vector_im = out->vector_re + out->matrix.stride;
    else
        irn_prover_free(out);
    return status;
}

void irn_prover_free(irn_prover *prover)
{
    irn_planes_free(&prover->matrix);
    irn_planes_free(&prover->gram);
    irn_planes_free(&prover->factor);
    free(prover->vector_re);
    *prover = (irn_prover){0};
}

static double trace_of(const irn_planes *gram)
{
    double sum = 0;
    for (size_t i = 0; i < gram->rows; i++)
        sum += gram->re[i * gram->stride + i];
    return sum;
}

void irn_prover_gram(irn_prover *prover)
{
    irn_gram(&prover->gram, &prover->matrix);
    prover->gram_error = 0;
}

double irn_prover_try(irn_prover *prover, double shift)
{
    bool known = prover->gram_error > 0;
    irn_proof_terms terms = {.rows = prover->matrix.rows,
                             .columns = known ? 0 : prover->matrix.columns,
                             .shift = shift,
                             .gram = known ? 0 : trace_of(&prover->gram),
                             .gram_error = prover->gram_error,
                             .error = prover->error};
    if (!irn_cholesky(&prover->factor, &prover->gram, shift, &terms.trace))
        return INFINITY;
    return irn_proof_upper(irn_rounding_64(), &terms);
}

/* Of squared norms: how far above the leading eigenvalue a shift is left. */
static const double gap = 1e-10;
/* Where the first trial is if the shift that is too small is known to be near. */
static const double near_enough = 1.002;
enum { MOST_TRIALS = 100, MOST_STEPS = 12 };

/* Inverse iteration with the factor of B = shift I - G. For a unit vector x, ||B^-1 x|| is at most
 * 1 / lambda_min(B), hence shift - 1 / ||B^-1 x|| at most the leading eigenvalue of G, and soon
 * near it; settled: as near as it gets. It only finds candidates: no proof rests on it. */
static double leading(irn_prover *prover, double shift, bool *settled)
{
    size_t m = prover->matrix.rows;
    double *re = prover->vector_re, *im = prover->vector_im, value = 0;
    *settled = false;
    for (int step = 0; step < MOST_STEPS && !*settled; step++) {
        double square = 0, before = value;
        irn_cholesky_solve(&prover->factor, re, im);
        for (size_t i = 0; i < m; i++)
            square += re[i] * re[i] + im[i] * im[i];
        double length = sqrt(square);
        for (size_t i = 0; i < m; i++) {
            re[i] /= length;
            im[i] /= length;
        }
        value = shift - 1 / length;
        *settled = fabs(value - before) <= gap / 8 * value;
    }
    return value;
}

/* A unit vector that is orthogonal to nothing in particular. */
static void begin_vector(irn_prover *prover)
{
    size_t m = prover->matrix.rows;
    for (size_t i = 0; i < m; i++) {
        double turn = 0.6180339887498949 * (double)(i + 1);
        prover->vector_re[i] = (0.25 + turn - floor(turn)) / sqrt((double)m);
        prover->vector_im[i] = 0;
    }
}

/* The squared Frobenius norm of G, from its lower triangle. */
static double gram_square(const irn_planes *gram)
{
    double sum = 0;
    for (size_t j = 0; j < gram->rows; j++) {
        const double *re = gram->re + j * gram->stride, *im = gram->im + j * gram->stride;
        sum += re[j] * re[j];
        for (size_t i = j + 1; i < gram->rows; i++)
            sum += 2 * (re[i] * re[i] + im[i] * im[i]);
    }
    return sum;
}

/* The leading eigenvalue is between ||G||_F^2 / tr G and ||G||_F. Inverse iteration is the faster
 * the nearer the shift, so that a success is followed by a trial near what it found, and, once that
 * has settled, by one just above it. */
double irn_prover_search(irn_prover *prover, double *shift)
{
    double trace = trace_of(&prover->gram), square = gram_square(&prover->gram);
    double low = fmax(fmax(*shift, prover->error * prover->error), trace > 0 ? square / trace : 0);
    double high = INFINITY, bound = INFINITY, top = fmax(sqrt(square), low) * 1.001;
    double trial = *shift > low * 0.999 ? low * near_enough : sqrt(low * top);
    begin_vector(prover);
    for (int i = 0; i < MOST_TRIALS && !(high <= low * (1 + 2 * gap)); i++) {
        bool settled = false;
        double proven = irn_prover_try(prover, trial);
        if (isfinite(proven)) {
            high = trial;
            bound = proven;
            low = fmax(low, leading(prover, high, &settled));
            trial = settled ? low * (1 + gap) : low + (high - low) / 16;
        } else {
            low = trial;
            top = low > top / 1.001 ? 2 * low : top;
            trial = isfinite(high) ? (low + high) / 2 : sqrt(low * top);
        }
    }
    *shift = high;
    return bound;
}

/* Each part of X^H v is a real sum of 2m products, so as in 1. the vector is wrong by at most
 * sqrt(2) g(2m) ||X||_F ||v||. Norms of vectors of 2n and 2m numbers are relatively wrong by
 * (n + 1) u and (m + 1) u to first order, their quotient by another u. Underflow loses at most
 * tiny in each product and square; v is of length 1 but for rounding. */
double irn_proof_lower(irn_rounding rounding, const irn_proof_terms *t, double square,
                       double length)
{
    double m = (double)t->rows, n = (double)t->columns, u = rounding.unit;
    if (!(length > 0.5 && length < 2 && (2 * (m + n) + 16) * u <= 1e-3))
        return 0;
    double relative = enlarged * (m + n + 8) * u;
    double absolute =
        sqrt(2) * gamma_of(2 * m, u) * sqrt(t->gram) + 4 * (m + n) * sqrt(rounding.tiny);
    double value = sqrt(square) / sqrt(length) * (1 - relative);
    double lower = irn_round_down(irn_round_down(value - enlarged * absolute) - t->error);
    return lower > 0 ? lower : 0;
}

double irn_prover_lower(const irn_prover *prover)
{
    const irn_planes *x = &prover->matrix;
    double square = 0, length = 0;
    irn_proof_terms terms = {.rows = x->rows, .columns = x->columns, .error = prover->error};
    for (size_t i = 0; i < x->columns * x->stride; i++)
        terms.gram += x->re[i] * x->re[i] + x->im[i] * x->im[i];
    for (size_t i = 0; i < x->rows; i++)
        length += prover->vector_re[i] * prover->vector_re[i] +
                  prover->vector_im[i] * prover->vector_im[i];
    for (size_t k = 0; k < x->columns; k++) {
        const double *re = x->re + k * x->stride, *im = x->im + k * x->stride;
        double a = 0, b = 0;
        for (size_t i = 0; i < x->rows; i++) {
            a += re[i] * prover->vector_re[i] + im[i] * prover->vector_im[i];
            b += re[i] * prover->vector_im[i] - im[i] * prover->vector_re[i];
        }
        square += a * a + b * b;
    }
    return irn_proof_lower(irn_rounding_64(), &terms, square, length);
}

static irn_status check_matrix(const double *matrix, size_t outputs, size_t inputs, double error,
                               double *peak)
{
    *peak = 0;
    for (size_t i = 0; i < 2 * outputs * inputs; i++) {
        if (!isfinite(matrix[i]))
            return irn_fail(IRN_ERROR_NUMERIC, "entry %zu of a %zu x %zu matrix is not finite",
                            i / 2, outputs, inputs);
        *peak = fmax(*peak, fabs(matrix[i]));
    }
    if (!(error >= 0) || !isfinite(error))
        return irn_fail(IRN_ERROR_NUMERIC, "the error %f of a matrix's entries is not a bound",
                        error);
    return IRN_OK;
}

/* Scaled by a power of two, which is exact but where it underflows, and turned so that rows are the
 * smaller side. */
static void load(irn_prover *prover, const double *matrix, size_t outputs, size_t inputs,
                 double error, int exponent)
{
    irn_planes *x = &prover->matrix;
    for (size_t o = 0; o < outputs; o++)
        for (size_t i = 0; i < inputs; i++) {
            size_t at = outputs <= inputs ? i * x->stride + o : o * x->stride + i;
            x->re[at] = ldexp(matrix[2 * (o * inputs + i)], -exponent);
            x->im[at] = ldexp(matrix[2 * (o * inputs + i) + 1], -exponent);
        }
    double entry = irn_round_up(ldexp(error, -exponent)) + 2 * DBL_MIN;
    prover->error =
        error == 0 && exponent <= 0 ? 0 : enlarged * sqrt((double)outputs * (double)inputs) * entry;
}

irn_status irn_prove_matrix(double *upper, double *lower, const double *matrix, size_t outputs,
                            size_t inputs, double error, double candidate)
{
    irn_prover prover;
    double peak, bound, low = 0, shift = 0;
    int exponent;
    IRN_TRY(irn_prover_create(&prover, irn_smaller(outputs, inputs), irn_larger(outputs, inputs)));
    irn_status status = check_matrix(matrix, outputs, inputs, error, &peak);
    if (status == IRN_OK) {
        frexp(fmax(peak, error), &exponent);
        load(&prover, matrix, outputs, inputs, error, exponent);
        irn_prover_gram(&prover);
        if (candidate > 0) {
            double scaled = ldexp(candidate, -exponent);
            bound = irn_prover_try(&prover, scaled * scaled);
        } else if (peak == 0 && error == 0) {
            bound = 0;
        } else {
            bound = irn_prover_search(&prover, &shift);
            low = isfinite(bound) ? irn_prover_lower(&prover) : 0;
        }
        low = irn_round_down(ldexp(low, exponent));
        *upper = bound == 0 ? 0 : irn_round_up(ldexp(bound, exponent));
        if (lower)
            *lower = low > 0 ? low : 0;
    }
    irn_prover_free(&prover);
    return status;
}
