#include "certify/panel.h"

/* Fused multiply-adds and wider registers make a product three times as fast, but not all
 * processors that a build is for have them, so the choice is made at run time. (Not by
 * target_clones: its resolvers run before a sanitizer is ready.) Fusing leaves out roundings that
 * the theorems count, and harms no bound; CMakeLists.txt allows it in this file alone. */
#if defined(__GNUC__) && defined(__x86_64__)
#define IRN_PANEL_FUSED 1
#define IRN_PANEL_INLINE static inline __attribute__((always_inline))
#else
#define IRN_PANEL_FUSED 0
#define IRN_PANEL_INLINE static inline
#endif

/* Columns of a product that are summed at a time. */
enum { COLUMNS = 4 };

IRN_PANEL_INLINE void product(double *out, const double *a, const double *b, size_t depth)
{
    for (size_t column = 0; column < IRN_PANEL; column += COLUMNS) {
        double sum[COLUMNS][IRN_PANEL] = {{0}};
        for (size_t k = 0; k < depth; k++)
            for (size_t c = 0; c < COLUMNS; c++)
                for (size_t r = 0; r < IRN_PANEL; r++)
                    sum[c][r] += a[IRN_PANEL * k + r] * b[IRN_PANEL * k + column + c];
        for (size_t c = 0; c < COLUMNS; c++)
            for (size_t r = 0; r < IRN_PANEL; r++)
                out[IRN_PANEL * (column + c) + r] = sum[c][r];
    }
}

#if IRN_PANEL_FUSED
__attribute__((target("avx2,fma"))) static void product_fused(double *out, const double *a,
                                                              const double *b, size_t depth)
{
    product(out, a, b, depth);
}
#endif

void irn_panel_product(double *out, const double *a, const double *b, size_t depth)
{
#if IRN_PANEL_FUSED
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
        product_fused(out, a, b, depth);
        return;
    }
#endif
    product(out, a, b, depth);
}

void irn_panel_times(double *y, const double *panel, const double *x, size_t depth)
{
    double sum[IRN_PANEL] = {0};
    for (size_t k = 0; k < depth; k++)
        for (size_t r = 0; r < IRN_PANEL; r++)
            sum[r] += panel[IRN_PANEL * k + r] * x[k];
    for (size_t r = 0; r < IRN_PANEL; r++)
        y[r] += sum[r];
}

void irn_panel_transposed(double *y, const double *panel, const double *x, size_t depth)
{
    for (size_t k = 0; k < depth; k++) {
        const double *p = panel + IRN_PANEL * k;
        y[k] += ((p[0] * x[0] + p[1] * x[1]) + (p[2] * x[2] + p[3] * x[3])) +
                ((p[4] * x[4] + p[5] * x[5]) + (p[6] * x[6] + p[7] * x[7]));
    }
}
